"""Which protocol listens on a topic, and whose topic it is where a registered device has topics of its own.

A device's own filters come from its registration (`Protocol.topics_of`), never from a message. They are kept away from
what others are told: a device that may speak where a door listens could open it.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Iterable, Mapping

from msgspec import Struct

from devices.model import Device, Protocol

KEPT = 20_000
LENGTH = 256
"""A longer topic is looked up each time, so that invented ones do not fill the memory; no filter may be longer."""


class FilterError(ValueError):
    """A device's options name a topic it cannot have; the text says why."""


class Route(Struct, frozen=True):
    """`owners`: ids of the devices whose own topic it is; none on a topic all devices of the protocol share. `stands`:
    retained messages are taken here.
    """

    protocol: Protocol
    owners: tuple[str, ...] = ()
    stands: bool = False


class Routes:
    """Routes by topic, remembered. `update` them when devices were registered, changed or removed."""

    def __init__(self, protocols: Mapping[str, Protocol]) -> None:
        self._protocols = protocols
        self._shared = [(_pattern(t), Route(p)) for p in protocols.values() for t in p.topics]
        self._standing = {name: [_pattern(t) for t in p.retained] for name, p in protocols.items()}
        self._exact: dict[str, Route] = {}
        self._wild: list[tuple[re.Pattern[str], Route]] = []
        self._known: OrderedDict[str, Route | None] = OrderedDict()

    def update(self, devices: Iterable[Device]) -> None:
        """The devices as they are registered now."""
        owners: dict[tuple[str, str], list[str]] = {}
        for device in devices:
            protocol = self._protocols.get(device.protocol)
            for topic in own_topics(protocol, device) if protocol else ():
                owners.setdefault((topic, device.protocol), []).append(device.id)
        self._exact, self._wild = {}, []
        for (topic, protocol_name), ids in owners.items():
            route = Route(self._protocols[protocol_name], tuple(ids))
            if "+" in topic or "#" in topic:
                self._wild.append((_pattern(topic), route))
            else:
                self._exact.setdefault(topic, route)
        self._known.clear()

    def of(self, topic: str) -> Route | None:
        """Who listens there; None: nobody. What is one device's own goes before what a protocol listens on."""
        try:
            return self._known[topic]
        except KeyError:
            found = self._find(topic)
            if len(topic) <= LENGTH:
                self._known[topic] = found
            if len(self._known) > KEPT:
                self._known.popitem(last=False)
            return found

    def _find(self, topic: str) -> Route | None:
        found = self._exact.get(topic)
        if found is None:
            found = next((route for pattern, route in (*self._wild, *self._shared) if pattern.fullmatch(topic)), None)
        if found is None:
            return None
        stands = any(pattern.fullmatch(topic) for pattern in self._standing[found.protocol.name])
        return Route(found.protocol, found.owners, stands)


def own_topics(protocol: Protocol, device: Device) -> tuple[str, ...]:
    """Filters of this device alone on which it speaks."""
    return protocol.topics_of(device) if protocol.topics_of else ()


def own_orders(protocol: Protocol, device: Device) -> tuple[str, ...]:
    """Filters of this device alone on which it listens."""
    return protocol.orders_of(device) if protocol.orders_of else ()


def check_own(device: Device, protocols: Mapping[str, Protocol]) -> None:
    """Whether the topics a device brings along may be its own.

    :raises FilterError: one is no filter, takes in the broker's own topics, or lets it speak where others are told
        something, or hear what others say.
    """
    protocol = protocols[device.protocol]
    orders = [f for p in protocols.values() for f in p.orders]
    heard = [f for p in protocols.values() for f in p.topics if p.name != device.protocol]
    for topic in own_topics(protocol, device):
        _check(topic, orders, "a device listens there")
    for topic in own_orders(protocol, device):
        _check(topic, heard, "other devices speak there")


def _check(topic: str, taken: Iterable[str], why: str) -> None:
    levels = topic.split("/")
    odd = any(("+" in level or "#" in level) and len(level) > 1 for level in levels) or "#" in levels[:-1]
    if not topic or len(topic) > LENGTH or odd or any(c.isspace() or ord(c) < 32 or ord(c) == 127 for c in topic):
        raise FilterError(f"{topic[:64]!r} is not a topic filter the broker takes")
    if levels[0] in ("", "+", "#") or levels[0].startswith("$"):
        raise FilterError(f"{topic!r} is not below a root of its own")
    if any(overlap(topic, other) for other in taken):
        raise FilterError(f"{topic!r} cannot be its topic: {why}")


def overlap(one: str, other: str) -> bool:
    """Whether some topic matches both filters."""
    for a, b in zip(one.split("/"), other.split("/"), strict=False):
        if "#" in (a, b):
            return True
        if a != b and "+" not in (a, b):
            return False
    ones, others = one.split("/"), other.split("/")
    longer = ones if len(ones) > len(others) else others
    return len(ones) == len(others) or (abs(len(ones) - len(others)) == 1 and longer[-1] == "#")


def _pattern(topic_filter: str) -> re.Pattern[str]:
    if topic_filter == "#":
        return re.compile(".*", re.DOTALL)
    parts = [r"[^/]*" if part == "+" else re.escape(part) for part in topic_filter.split("/")]
    return re.compile("/".join(parts).replace(r"/\#", r"(?:/.*)?"), re.DOTALL)
