"""What a device may do on the embedded broker: say what the gateway hears, hear what the gateway says, nothing else.

Devices share one user, so a device can speak for another of its kind; but none can read another's pictures, tell a door
to open, or reach the broker's own subjects ($JS, $SYS), where streams are deleted.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from devices.model import Device, Protocol
from gateway.routes import own_orders, own_topics

_QOS1_DELIVERY = "$MQTT.sub.>"
"""Where NATS itself hands QoS 1 messages to a session; it lets no client subscribe there by name."""


def device_rights(protocols: Iterable[Protocol], devices: Iterable[Device] = ()) -> dict[str, Any]:
    """The permissions of the device user, as NATS takes them: what the protocols say, and what registered devices have
    of their own.
    """
    spoken = {protocol.name: protocol for protocol in protocols}
    said = {topic for protocol in spoken.values() for topic in protocol.topics}
    heard = {topic for protocol in spoken.values() for topic in protocol.orders}
    for device in devices:
        if device.protocol in spoken:
            said.update(own_topics(spoken[device.protocol], device))
            heard.update(own_orders(spoken[device.protocol], device))
    publish = {subject for topic in said for subject in subjects(topic)}
    subscribe = {subject for topic in heard for subject in subjects(topic)}
    return {"publish": {"allow": sorted(publish)}, "subscribe": {"allow": [*sorted(subscribe), _QOS1_DELIVERY]}}


def reader_rights(filters: Iterable[str], says: Iterable[str]) -> dict[str, Any]:
    """The permissions of a user that reads what is under these filters and says what is under those."""
    return {
        "publish": {"allow": sorted(subject for topic in says for subject in subjects(topic))},
        "subscribe": {"allow": [*sorted(subject for topic in filters for subject in subjects(topic)), _QOS1_DELIVERY]},
    }


def subjects(topic: str) -> list[str]:
    """The NATS subjects of an MQTT filter: `a/+` is a.*; `a/#` is a and a.>; a dot in a name is //, an empty one /."""
    *parents, last = topic.split("/")
    if last == "#":
        above = ".".join(map(_token, parents))
        return [above, f"{above}.>"] if parents else [">"]
    return [".".join(map(_token, (*parents, last)))]


def topic_of(subject: str) -> str:
    """The MQTT topic of a NATS subject, as `subjects` the other way round."""
    levels = subject.replace("//", "\0").split(".")
    return "/".join("" if level == "/" else level.replace("\0", ".") for level in levels)


def _token(level: str) -> str:
    return "*" if level == "+" else level.replace(".", "//") or "/"
