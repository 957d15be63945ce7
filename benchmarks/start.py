"""`bench start`: how long from `linli run` to ready, with its own broker, and how much memory a full estate needs.

Ready is when /health says so: broker up, session open, API listening. Vision loads behind it; it is there when
the first face has been looked at. Memory is resident memory of the gateway's own process (the broker and the vision
worker are told apart) after every device has sent a heartbeat. The limit is Python starting with the same libraries.
"""

from __future__ import annotations

import base64
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import msgspec
import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from prometheus_client.parser import text_string_to_metric_families

from benchmarks import ground
from devices.model import Device
from simulators.face_drawing import draw_face
from simulators.gateway_process import free_port

LIBRARIES = "import fastapi, uvicorn, paho.mqtt.client, msgspec, structlog, cryptography.fernet, urllib3, numpy"
KINDS = ("face_gate", "barrier", "light", "camera", "cover", "bay")


def run(rounds: int, devices: int) -> dict[str, Any]:
    plain = median([libraries_alone() for _ in range(rounds)])
    ready = median([ready_after(workers=0) for _ in range(rounds)])
    ground.say("with a vision worker")
    looked = [first_face() for _ in range(rounds)]
    ground.say(f"memory with {devices} devices")
    return {
        "name": "start",
        "rounds": rounds,
        "libraries_alone_s": plain,
        "ready_s": ready,
        "ready_with_vision_s": median([one[0] for one in looked]),
        "first_face_s": median([one[1] for one in looked]),
        **memory(devices),
        "ratio": round(ready / plain, 2),
    }


def median(values: list[float]) -> float:
    return round(sorted(values)[len(values) // 2], 2)


def libraries_alone() -> float:
    begin = time.monotonic()
    subprocess.run([sys.executable, "-c", LIBRARIES], check=True)
    return time.monotonic() - begin


@contextmanager
def own_broker(devices: list[Device], *, workers: int) -> Iterator[tuple[ground.GatewayProcess, paho.Client]]:
    """A gateway that runs its own broker, as an estate does, and a client on it."""
    with tempfile.TemporaryDirectory(prefix="linli-bench-") as name:
        port = free_port()
        mqtt = {"url": "", "listen": f"127.0.0.1:{port}", "allow_anonymous": True}
        config = ground.settings_file(Path(name), port, mqtt=mqtt, faces={"workers": workers})
        ground.register(config, devices)
        begin = time.monotonic()
        gateway = ground.GatewayProcess(config)
        ground.wait_for(lambda: httpx.get(f"{gateway.url}/health").is_success, 30, "a healthy gateway", every=0.01)
        gateway.ready_s = time.monotonic() - begin
        client = paho.Client(CallbackAPIVersion.VERSION2, client_id="bench-start", protocol=paho.MQTTv311)
        try:
            client.connect("127.0.0.1", port)
            client.loop_start()
            ground.wait_for(client.is_connected, 10, "the connection to the gateway's broker")
            yield gateway, client
        finally:
            client.disconnect()
            client.loop_stop()
            gateway.stop()


def ready_after(*, workers: int) -> float:
    with own_broker([], workers=workers) as (gateway, _):
        return gateway.ready_s


def first_face() -> tuple[float, float]:
    """Seconds until ready, and until a face had been looked at. A gate sends one at once, and again every second."""
    gate = Device(id="gate-0", kind="face_gate", protocol="native", address="gate-0", community="bench")
    with own_broker([gate], workers=1) as (gateway, client):
        begin = time.monotonic() - gateway.ready_s
        image = base64.b64encode(draw_face(1)).decode()
        sent = [0.0, 0.0]

        def looked() -> bool:
            if time.monotonic() - sent[0] > 1:
                sent[0], sent[1] = time.monotonic(), sent[1] + 1
                event = {"type": "face_captured", "at": _now(), "live": True}
                body = {"id": f"f{sent[1]:g}", "event": event, "image": image}
                client.publish("linli/v1/gate-0/event", json.dumps(body), qos=1)
            return counted(gateway, "linli_vision_jobs", outcome="one_face") > 0

        ground.wait_for(looked, 60, "the first look at a face")
        return gateway.ready_s, time.monotonic() - begin


def memory(devices: int) -> dict[str, Any]:
    """Resident megabytes with so many devices of every kind, all of them heard twice."""
    estate = [
        Device(
            id=f"dev-{n:04d}",
            kind=KINDS[n % len(KINDS)],
            protocol="native",
            address=f"dev-{n:04d}",
            name=f"Device {n}",
            community="bench",
            grid=f"grid-{n % 20}",
            building=f"{n % 60}",
        )
        for n in range(devices)
    ]
    with own_broker(estate, workers=0) as (gateway, client):
        figures: dict[str, Any] = {"devices": devices, "ready_with_devices_s": round(gateway.ready_s, 2)}
        figures["rss_idle_mb"] = round(gateway.rss_mb(), 1)
        for beat in (1, 2):
            for device in estate:
                payload = msgspec.json.encode({"at": _now(), "boot_id": "b1"})
                client.publish(f"linli/v1/{device.address}/heartbeat", payload, qos=1)
            wanted = beat * devices
            ground.wait_for(_heard(gateway, wanted), 60, "the heartbeats of all devices")
        figures["rss_mb"] = round(gateway.rss_mb(), 1)
        broker = gateway.process.children()
        figures["broker_rss_mb"] = round(sum(child.memory_info().rss for child in broker) / 1e6, 1)
        return figures


def _heard(gateway: ground.GatewayProcess, wanted: int) -> Callable[[], bool]:
    return lambda: counted(gateway, "linli_messages", protocol="native") >= wanted


def counted(gateway: ground.GatewayProcess, name: str, **labels: str) -> float:
    """A counter of the gateway's own metrics."""
    text = httpx.get(f"{gateway.url}/metrics").raise_for_status().text
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name == f"{name}_total" and labels.items() <= sample.labels.items():
                return float(sample.value)
    return 0.0


def _now() -> str:
    return datetime.now(UTC).isoformat().replace("+00:00", "Z")
