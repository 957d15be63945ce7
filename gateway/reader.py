"""From a message to readings of a known device: routing, decoding, throttling, identity. Poison stops here.

What was published and what was posted take one way; only their decoding differs.
"""

from __future__ import annotations

import re
import struct
from collections import OrderedDict
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from hashlib import blake2b
from zoneinfo import ZoneInfo

import structlog
from msgspec import Struct

from devices.errors import DecodeError
from devices.model import Decoded, Device, Protocol, Reading
from gateway import metrics
from gateway.changes import Changes, Quarantined
from gateway.directory import Directory
from gateway.discovery import Discovery
from gateway.inbox import Posted
from gateway.mqtt import Message
from gateway.settings import Limits

log = structlog.get_logger()

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MS = timedelta(milliseconds=1)
_MS_MASK = (1 << 48) - 1
FLOOD = "flood"
"""Why a message of a device that sends too many at once is set aside."""
ROUTES_KEPT = 20_000
ROUTE_LENGTH = 256
"""A longer topic is looked up each time, so that invented ones do not fill the memory."""


class Read(Struct, frozen=True, gc=False):
    """A message understood: who said what, under which ids."""

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
    digest = blake2b(digest_size=10)
    for part in identity:
        digest.update(struct.pack("<I", len(part)))
        digest.update(part)
    return struct.pack(">Q", ((at - _EPOCH) // _MS) & _MS_MASK)[2:] + digest.digest()


def _filter_pattern(topic_filter: str) -> str:
    parts = [r"[^/]*" if part == "+" else re.escape(part) for part in topic_filter.split("/")]
    return "/".join(parts).replace(r"/\#", r"(?:/.*)?")


class UnusableError(Exception):
    """A message that cannot be used here: whose (as far as known), and why."""

    def __init__(self, address: str, reason: str) -> None:
        super().__init__(reason)
        self.address, self.reason = address, reason


_Spoken = tuple[Protocol, Decoded]


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
    """Turns messages into `Read`s; what cannot be used is quarantined or ignored, with a counted reason."""

    def __init__(
        self,
        protocols: Mapping[str, Protocol],
        directory: Directory,
        *,
        limits: Limits,
        zone: str,
        discovery: Discovery | None = None,
    ) -> None:
        self._protocols = protocols
        self._directory = directory
        self._limits = limits
        self._zone = ZoneInfo(zone)
        self._patterns = [(re.compile(_filter_pattern(t)), p) for p in protocols.values() for t in p.topics]
        self._routes: OrderedDict[str, Protocol | None] = OrderedDict()
        self._allowances: dict[str, _Allowance] = {}
        self._counters = {name: metrics.MESSAGES.labels(name) for name in protocols}
        self._credit = 0.0
        self._discovery = discovery or Discovery(protocols)
        self.untimed = 0

    def _route(self, topic: str) -> Protocol | None:
        try:
            return self._routes[topic]
        except KeyError:
            found = next((protocol for pattern, protocol in self._patterns if pattern.fullmatch(topic)), None)
            if len(topic) <= ROUTE_LENGTH:
                self._routes[topic] = found
            if len(self._routes) > ROUTES_KEPT:
                self._routes.popitem(last=False)
            return found

    def read(self, message: Message, batch: Changes) -> Read | None:
        """The message understood, or None when it is not for us; then `batch` says why."""
        if message.retained:
            metrics.IGNORED.labels("retained").inc()
            return None
        try:
            return self._or_aside(message, batch, self._published)
        except UnusableError:
            return None

    def posted(self, post: Posted, batch: Changes) -> Read:
        """What a device posted, understood.

        :raises UnusableError: it cannot be used; `batch` says so, too.
        """
        return self._or_aside(as_message(post), batch, partial(self._posted, post))

    def _or_aside(self, message: Message, batch: Changes, decoded: Callable[[Message], _Spoken]) -> Read:
        try:
            return self._understood(message, *decoded(message))
        except UnusableError as unusable:
            self._quarantine(message, batch, unusable.address, unusable.reason)
            raise

    def _published(self, message: Message) -> _Spoken:
        protocol = self._route(message.topic)
        if protocol is None:
            self._discovery.unheard(message.topic, message.payload, message.received_at)
            raise UnusableError("", "no protocol listens on this topic")
        if len(message.payload) > self._limits.max_payload:
            raise UnusableError("", "payload too large")
        try:
            return protocol, protocol.decode(message.topic, message.payload, message.received_at, self._zone)
        except DecodeError as error:
            raise UnusableError("", error.reason) from error

    def _posted(self, post: Posted, message: Message) -> _Spoken:
        protocol, address = self._protocols.get(post.protocol), post.push.address
        if protocol is None or protocol.receive is None:
            raise UnusableError("", "this protocol takes no posts")
        if len(message.payload) > self._limits.max_payload:
            raise UnusableError(address, "payload too large")
        try:
            decoded = protocol.receive(post.push, post.received_at, self._zone)
        except DecodeError as error:
            raise UnusableError(f"{protocol.name}:{address}", error.reason) from error
        if decoded.address != address:  # only who may post for a device speaks for it
            raise UnusableError(f"{protocol.name}:{address}", "device id in path and payload differ")
        return protocol, decoded

    def _understood(self, message: Message, protocol: Protocol, decoded: Decoded) -> Read:
        device = self._directory.device_at(protocol.name, decoded.address)
        if device is None:
            self._discovery.unregistered(protocol.name, decoded, message.topic, message.payload, message.received_at)
            raise UnusableError(f"{protocol.name}:{decoded.address}", "unknown device")
        if decoded.ignored:
            metrics.IGNORED.labels(decoded.ignored).inc()
        elif self._floods(device.id, message.received_at.timestamp()):
            raise UnusableError(device.id, FLOOD)
        self._counters[protocol.name].inc()
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
        metrics.QUARANTINED.labels(reason).inc()
        topic = message.topic[:256]
        batch.quarantined.append(Quarantined(message.received_at, address, topic, reason, message.payload))
        log.info("quarantined", reason=reason, size=len(message.payload))
