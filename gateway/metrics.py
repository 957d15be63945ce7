"""What the gateway counts, for `/metrics`. Labels are bounded: never a device, a person or a plate."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

REGISTRY = CollectorRegistry()

MESSAGES = Counter("linli_messages", "Messages taken from devices.", ["protocol"], registry=REGISTRY)
EVENTS = Counter("linli_events", "Events decided and stored.", ["type"], registry=REGISTRY)
QUARANTINED = Counter("linli_quarantined", "Messages put into quarantine.", ["reason"], registry=REGISTRY)
IGNORED = Counter("linli_ignored", "Messages that say nothing we act on.", ["reason"], registry=REGISTRY)
COMMANDS = Counter("linli_commands", "Commands by where they ended.", ["type", "status"], registry=REGISTRY)
ALERTS = Counter("linli_alerts", "Alerts raised.", ["type"], registry=REGISTRY)
POSTS = Counter("linli_posts", "What devices posted over HTTP, by how it was answered.", ["status"], registry=REGISTRY)
STREAM_EVENTS = Counter(
    "linli_stream_events", "Events of attached streams, by how a post would be answered.", ["status"], registry=REGISTRY
)
STREAMS = Gauge("linli_streams_attached", "Devices whose event stream is attached to.", registry=REGISTRY)
DELIVERIES = Counter("linli_deliveries", "Webhook deliveries.", ["outcome"], registry=REGISTRY)
VISION_JOBS = Counter("linli_vision_jobs", "Looks at pictures.", ["kind", "outcome"], registry=REGISTRY)
COMMIT_SECONDS = Histogram(
    "linli_commit_seconds",
    "Seconds one durable commit of a batch took.",
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5),
    registry=REGISTRY,
)
DEVICES_ONLINE = Gauge("linli_devices_online", "Devices that are there.", registry=REGISTRY)
