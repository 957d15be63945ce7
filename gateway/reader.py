"""From a message to readings of known devices: routing, decoding, throttling, identity. Poison stops here.

What was published and what was posted take one way; only their decoding differs.
"""

from __future__ import annotations

import struct
from collections import Counter, OrderedDict
from collections.abc import Mapping
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Any
from zoneinfo import ZoneInfo

import structlog
from msgspec import Struct
from msgspec.structs import replace

from devices.errors import DecodeError
from devices.model import Decoded, Device, Protocol, Reading
from gateway import metrics
from gateway.changes import Changes, Quarantined
from gateway.directory import Directory
from gateway.discovery import Discovery
from gateway.inbox import Posted
from gateway.mqtt import Message
from gateway.routes import Route, Routes
from gateway.settings import Limits
from gateway.standing import Standing
from gateway.store import us

log = structlog.get_logger()

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LENGTH = struct.Struct("<I").pack
_MS_MASK = (1 << 48) - 1
FLOOD = "flood"
"""Why a message of a device that sends too many at once is set aside."""
SESSIONS_KEPT = 4_096
"""So many conversations (`Protocol.follow`) are remembered; one that is forgotten is begun anew by its device."""
UNKNOWN_KEPT = 10_000


class Read(Struct, frozen=True, gc=False):
    """What a message says of one device, and under which ids."""

    message: Message
    device: Device
    protocol: Protocol
    decoded: Decoded
    ids: tuple[bytes, ...]


def event_id(at: datetime, *identity: bytes) -> bytes:
    """16 bytes: milliseconds of `at` (6 bytes, big-endian), then a BLAKE2b-80 of `identity`.

    The same record gives the same id whenever it is sent again; new records sort behind old ones, so that the unique
    index is written at its end.
    """
    said = b"".join([_LENGTH(len(part)) + part for part in identity])
    return (us(at) // 1000 & _MS_MASK).to_bytes(6, "big") + blake2b(said, digest_size=10).digest()


def quarantine(message: Message, batch: Changes, address: str, reason: str) -> None:
    """Keep a message that cannot be used, with a counted reason."""
    metrics.QUARANTINED.labels(reason).inc()
    batch.quarantined.append(Quarantined(message.received_at, address, message.topic[:256], reason, message.payload))


class UnusableError(Exception):
    """A message that cannot be used here: whose (as far as known), and why."""

    def __init__(self, address: str, reason: str) -> None:
        super().__init__(reason)
        self.address, self.reason = address, reason


def as_message(post: Posted) -> Message:
    """A post as the one shape all messages have. Its payload is its parts without what the transport adds to them: the
    same record has other boundaries each time it is sent, and must be known again.
    """
    path = f"/ingest/{post.protocol}/{post.push.address}/{post.push.path}"
    payload = b"\0".join(part.body for part in post.push.parts)
    return Message(path, payload, 0, 0, retained=False, epoch=0, received_at=post.received_at)


class _Allowance(Struct):
    tokens: float
    at: float


class Reader:
    """Turns messages into `Read`s; what cannot be used is quarantined or ignored, with a counted reason.

    `standing`: what devices said last where messages are retained (`Journal.standing`).
    """

    def __init__(
        self,
        protocols: Mapping[str, Protocol],
        directory: Directory,
        *,
        limits: Limits,
        zone: str,
        discovery: Discovery | None = None,
        standing: Mapping[tuple[str, str], bytes] | None = None,
    ) -> None:
        self._protocols = protocols
        self._directory = directory
        self._discovery = discovery or Discovery(protocols)
        self._limits = limits
        self._zone = ZoneInfo(zone)
        self._routes = Routes(protocols)
        self._standing = Standing(standing or {})
        self._registered: dict[str, Device] = {}
        self._unknown: set[bytes] = set()
        self._sessions: OrderedDict[tuple[str, str], Any] = OrderedDict()
        self._allowances: dict[str, _Allowance] = {}
        self._counters = {name: metrics.MESSAGES.labels(name) for name in protocols}
        self._taken: Counter[str] = Counter()
        self._credit = 0.0
        self.untimed = 0
        self.reload()

    def reload(self) -> None:
        """Devices were added, changed or removed."""
        registered = {device.id: device for device in self._directory.devices()}
        self._standing.forget(name for name, d in self._registered.items() if registered.get(name) is not d)
        self._registered = registered
        self._unknown.clear()
        self._routes.update(registered.values())

    def adopt(self, batch: Changes) -> None:
        """The batch is safe: what it changed is the truth now."""
        self._standing.adopt(batch)
        for protocol, count in self._taken.items():
            self._counters[protocol].inc(count)
        self._taken.clear()

    def read(self, message: Message, batch: Changes) -> list[Read]:
        """The message understood, for each device it speaks of. What is not for us is left out; `batch` says why."""
        try:
            route = self._route(message)
            if message.retained and not route.stands:
                metrics.IGNORED.labels("retained").inc()
                return []
            said = self._said(message, route)
        except UnusableError as unusable:
            self._quarantine(message, batch, unusable.address, unusable.reason)
            return []
        except DecodeError as error:
            self._quarantine(message, batch, "", error.reason)
            return []
        reads: list[Read] = []
        for decoded in (said, *said.others) if said.others else (said,):
            for device in self._speakers(decoded, route):
                read = self._understood(device, decoded, message, route, batch)
                if read is not None:
                    reads.append(read)
        return reads

    def posted(self, post: Posted, batch: Changes) -> Read:
        """What a device posted, understood.

        :raises UnusableError: it cannot be used; `batch` says so, too.
        """
        message = as_message(post)
        try:
            return self._posted(post, message)
        except UnusableError as unusable:
            self._quarantine(message, batch, unusable.address, unusable.reason)
            raise

    def _posted(self, post: Posted, message: Message) -> Read:
        protocol, address = self._protocols.get(post.protocol), post.push.address
        if protocol is None or protocol.receive is None:
            raise UnusableError("", "this protocol takes no posts")
        if len(message.payload) > self._limits.max_payload:
            raise UnusableError(address, "payload too large")
        name = f"{protocol.name}:{address}"
        try:
            decoded = protocol.receive(post.push, post.received_at, self._zone)
            if decoded.address != address:  # only who may post for a device speaks for it
                raise UnusableError(name, "device id in path and payload differ")
            device = self._directory.device_at(protocol.name, address)
            if device is None:
                self._discovery.unregistered(
                    protocol.name, decoded, message.topic, message.payload, message.received_at
                )
                raise UnusableError(name, "unknown device")
            return self._understood_of(device, decoded, message, protocol)
        except DecodeError as error:
            raise UnusableError(name, error.reason) from error

    def _route(self, message: Message) -> Route:
        route = self._routes.of(message.topic)
        if route is None:
            self._discovery.unheard(message.topic, message.payload, message.received_at)
            raise UnusableError("", "no protocol listens on this topic")
        if len(message.payload) > self._limits.max_payload:
            raise UnusableError("", "payload too large")
        return route

    def _said(self, message: Message, route: Route) -> Decoded:
        protocol = route.protocol
        decoded = protocol.decode(message.topic, message.payload, message.received_at, self._zone)
        if protocol.follow is None or not decoded.session:
            return decoded
        session = (protocol.name, decoded.session)
        memory, decoded = protocol.follow(self._sessions.get(session), decoded, message.received_at)
        self._sessions[session] = memory
        self._sessions.move_to_end(session)
        if len(self._sessions) > SESSIONS_KEPT:
            self._sessions.popitem(last=False)
        return decoded

    def _speakers(self, decoded: Decoded, route: Route) -> tuple[Device | None, ...]:
        """Who says it; None: somebody who is not registered. On a device's own topic nobody speaks for others."""
        if not decoded.address:
            return tuple(map(self._directory.device, route.owners)) or (None,)
        device = self._directory.device_at(route.protocol.name, decoded.address)
        return (device if device is None or not route.owners or device.id in route.owners else None,)

    def _understood(
        self, device: Device | None, decoded: Decoded, message: Message, route: Route, batch: Changes
    ) -> Read | None:
        """What the message says of this device; None where that is nothing."""
        if device is None:
            self._stranger(decoded, message, route, batch)
            return None
        try:
            return self._of(device, decoded, message, route, batch)
        except UnusableError as unusable:
            self._quarantine(message, batch, unusable.address, unusable.reason)
        except DecodeError as error:
            self._quarantine(message, batch, device.id, error.reason)
        return None

    def _stranger(self, decoded: Decoded, message: Message, route: Route, batch: Changes) -> None:
        """Set a message of somebody unknown aside: once, however many strangers it speaks of."""
        held = batch.quarantined[-1] if batch.quarantined else None
        if decoded.ignored:
            metrics.IGNORED.labels(decoded.ignored).inc()
        elif not (held is not None and held.payload is message.payload) and not self._known_stranger(message):
            name = route.protocol.name
            self._discovery.unregistered(name, decoded, message.topic, message.payload, message.received_at)
            self._quarantine(message, batch, f"{name}:{decoded.address}", "unknown device")

    def _known_stranger(self, message: Message) -> bool:
        """A stranger's retained message comes at every connection, and is set aside once."""
        if not message.retained:
            return False
        digest = blake2b(message.topic.encode() + b"\0" + message.payload, digest_size=16).digest()
        known = digest in self._unknown
        if len(self._unknown) < UNKNOWN_KEPT:
            self._unknown.add(digest)
        return known

    def _of(self, device: Device, decoded: Decoded, message: Message, route: Route, batch: Changes) -> Read | None:
        """What the message says of this device; None: a retained message with nothing new. What is outdated is put on
        record and moves nothing.
        """
        if not route.stands:
            return self._understood_of(device, decoded, message, route.protocol)
        if self._standing.outdated(device.id, message.topic, epoch=message.epoch, dup=message.dup):
            return self._understood_of(device, decoded, message, route.protocol, outdated=True)
        news = self._standing.news(device.id, message.topic, message.payload, batch)
        if message.retained and not news:
            metrics.IGNORED.labels("retained, and known").inc()
            return None
        return self._understood_of(device, decoded, message, route.protocol)

    def _understood_of(
        self, device: Device, decoded: Decoded, message: Message, protocol: Protocol, *, outdated: bool = False
    ) -> Read:
        """The readings of a device that is known, each under its id."""
        if protocol.interpret is not None:
            decoded = protocol.interpret(decoded, device)
        if decoded.ignored:
            metrics.IGNORED.labels(decoded.ignored).inc()
        elif self._floods(device.id, message.received_at.timestamp()):
            raise UnusableError(device.id, FLOOD)
        if message.retained:  # it says how things stand now, whenever it was said
            decoded = replace(
                decoded, readings=tuple(replace(r, timed=False, stored=False) for r in decoded.readings), replies=()
            )
        elif outdated:
            readings = tuple(r if r.timed else replace(r, stored=True) for r in decoded.readings)
            decoded = replace(decoded, readings=readings)
        self._taken[protocol.name] += 1
        ids = tuple(self._identify(device, reading, n, message) for n, reading in enumerate(decoded.readings))
        return Read(message, device, protocol, decoded, ids)

    def _identify(self, device: Device, reading: Reading, n: int, message: Message) -> bytes:
        if reading.record_id:
            # Without a time of the device's the time of receipt is no part of it: it differs each time it is sent.
            return event_id(
                reading.event.at if reading.timed else _EPOCH, device.id.encode(), reading.record_id.encode()
            )
        if reading.timed:
            return event_id(reading.event.at, device.id.encode(), message.topic.encode(), message.payload, bytes([n]))
        # Neither a record id nor a time: a repetition cannot be told from a new message, so it counts as new;
        # deciding twice on such facts (status, notices) changes nothing.
        self.untimed += 1
        return event_id(message.received_at, device.id.encode(), struct.pack("<Qi", self.untimed, message.epoch))

    def _floods(self, device: str, now: float) -> bool:
        rate, burst = self._limits.device_rate, self._limits.device_burst
        held = self._allowances.get(device)
        if held is None:
            self._allowances[device] = _Allowance(burst + self._credit - 1, now)
            return False
        held.tokens = max(held.tokens, min(burst, held.tokens + max(0.0, now - held.at) * rate)) - 1
        held.at = now
        if held.tokens >= 0:
            return False
        held.tokens = 0.0
        return True

    def pardon(self, seconds: float) -> None:
        """We were away so long: what gathered meanwhile comes at our speed, not at the devices', and is no flood."""
        self._credit = max(0.0, seconds) * self._limits.device_rate
        self._allowances.clear()

    def _quarantine(self, message: Message, batch: Changes, address: str, reason: str) -> None:
        quarantine(message, batch, address, reason)
        log.info("quarantined", reason=reason, size=len(message.payload))
