"""What a device is made of: a kind (what it IS), a protocol (what it SPEAKS) and a place."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, tzinfo
from typing import Any, Generic, TypeVar

from msgspec import Struct

from devices.effects import Command, Effect
from devices.events import Event

S = TypeVar("S", bound=Struct)

Step = tuple[S, list[Effect]]
"""What a decision gives: the new state and what is to be done."""


class Device(Struct, frozen=True, kw_only=True):
    """One registered device. `address` is its name in its protocol; the place lives here, never in a topic.

    `params` are the kind's limits (see each kind's module for names and units). `uplink` names what it shares with
    others (a switch, a breaker), for finding the root cause of an outage. `zone` is an IANA time zone. `options` are
    the protocol's words about this device (a topic prefix, a codec); addresses and passwords are no options.
    """

    id: str
    kind: str
    protocol: str
    address: str
    name: str = ""
    community: str = ""
    grid: str = ""
    building: str = ""
    asset: str = ""
    direction: str = ""
    uplink: str = ""
    zone: str = "Asia/Shanghai"
    params: dict[str, float] = {}
    options: dict[str, str] = {}

    def param(self, name: str, default: float) -> float:
        """A limit set for this device, or the kind's default."""
        return self.params.get(name, default)


class DeviceKind(Struct, Generic[S], frozen=True, kw_only=True):
    """What a thing is: a pure state machine with deadlines.

    `decide(state, event, device)` gives the new state and the effects; an event it does not know changes nothing.
    `deadline(state, device)` is when it wants `Ticked` next, None for never; recomputed from saved state on restart.
    `params` documents the limits it reads: name -> (default, meaning with unit).
    """

    name: str
    initial: S
    decide: Callable[[S, Event, Device], Step[S]]
    deadline: Callable[[S, Device], datetime | None]
    params: Mapping[str, tuple[float, str]] = {}


class Reading(Struct, frozen=True, kw_only=True):
    """One event out of a message.

    `record_id`: the vendor's id of this record, "" to identify it by topic, payload and time. `timed`: `event.at` came
    from the device, else it is the time of receipt. `stored`: the device says it replays it from its own memory.
    """

    event: Event
    record_id: str = ""
    timed: bool = True
    stored: bool = False


class Outgoing(Struct, frozen=True, kw_only=True):
    """A message for the broker. Never retained."""

    topic: str
    payload: bytes
    qos: int = 0


class ListLimits(Struct, frozen=True, kw_only=True):
    """How much of a list one message may carry: entries added or changed (`put`) or removed, and bytes of photos. A
    message carries the one or the other, never both. 0: it has no way to remove any, or takes no photos.
    """

    put: int = 500
    remove: int = 500
    photo_bytes: int = 2 * 1024 * 1024


class HttpCall(Struct, frozen=True, kw_only=True):
    """A request to a device's own HTTP server. `path` begins with / and follows the address the device is registered
    with; credentials are the shell's. `media`: the body's Content-Type.
    """

    method: str
    path: str
    payload: bytes = b""
    media: str = ""


class History(Struct, frozen=True, kw_only=True):
    """How a device is asked for what it saw while nobody listened, page by page. A page is received like a post.

    `call(device, since, until, position)`: the page that begins with record `position` of that time, by the device's
    own clock. `following(body, position)`: where the next page begins, None after the last; it raises only
    `DecodeError`.
    """

    call: Callable[[Device, datetime, datetime, int], HttpCall]
    following: Callable[[bytes, int], int | None]


class Attachment(Struct, frozen=True, kw_only=True):
    """The event stream of a device's own HTTP server: `GET path` is answered with a multipart body without end, each
    part of it (and the pictures behind it) what a post would hold.

    `silent_s`: without a whole part for so long the stream is dead, s; three times the device's `heartbeat_s` where
    that is set. `history`: where it can be asked for what was missed.
    """

    path: str
    silent_s: float
    history: History | None = None


class HttpPart(Struct, frozen=True, kw_only=True):
    """One part of what a device posted: the whole body (`name` ""), or a part of a multipart body."""

    name: str = ""
    media: str = ""
    body: bytes


class HttpPush(Struct, frozen=True, kw_only=True):
    """What a device posted to /ingest/{protocol}/{address}/{path}, its body already taken apart."""

    address: str
    path: str = ""
    parts: tuple[HttpPart, ...]


class HttpReply(Struct, frozen=True, kw_only=True):
    """What a device that posted is answered with, once its message is safe."""

    payload: bytes = b""
    media: str = "application/json"


class Decoded(Struct, frozen=True, kw_only=True):
    """What one message said. `address` is who said it, in the protocol's terms; `images` are the pictures its events
    name by `evidence_key`; `replies` are what the protocol itself owes the device once the message is safe (`answer`:
    over HTTP). `ignored` says why there are no readings. `raw`: for `Protocol.interpret`.

    `others`: what the same message says of other devices (a sub-gateway's telemetry). `session`: whose conversation it
    belongs to, for `Protocol.follow`. On a topic of `Protocol.topics_of` `address` may be "": whoever's filter it is.
    """

    address: str
    readings: tuple[Reading, ...] = ()
    images: tuple[bytes, ...] = ()
    replies: tuple[Outgoing, ...] = ()
    answer: HttpReply | None = None
    ignored: str = ""
    raw: Any = None
    others: tuple[Decoded, ...] = ()
    session: str = ""


class Offer(Struct, frozen=True, kw_only=True):
    """What a device that introduces itself could be registered as. A person decides: nothing is learned from it."""

    address: str
    kind: str
    options: dict[str, str] = {}


class Protocol(Struct, frozen=True, kw_only=True):
    """What a thing speaks.

    `topics`: MQTT filters it listens on. `orders`: MQTT filters its devices listen on; the embedded broker lets devices
    publish on `topics` and subscribe to `orders`, and nothing else.
    `decode(topic, payload, received_at, zone)` raises only `DecodeError`.
    `encode(command, command_id, device, now)` gives the message that carries a command; it raises
    `UnsupportedCommandError` for types outside `commands`, and nothing else. An `HttpReply` is for a device that can be
    told something only in the answer to what it posts: it goes out with that answer, or not at all.
    `heartbeat_s`: how often a device of it is heard at least, in seconds; three in a row missed mean offline.

    Only where needed: `interpret(decoded, device)` says what a message means for the registered device, where the
    message alone does not (a LoRaWAN codec); it raises only `DecodeError`. `topics_of(device)`: filters of one device
    that lie outside `topics`, by its `options`; `orders_of(device)`: the same for what it listens on. `retained`:
    filters whose retained messages are taken, because they say how things stand (`#`: all of this protocol).
    `lists`: what a `SyncPersons` or `SyncPlates` may hold.
    `receive(push, received_at, zone)`: for what comes over HTTP, as `decode`. `answered(command_id, status, body,
    now)`: what the reply to an `HttpCall` says of the command, as a message of the device called. `attachment`: the
    event stream its devices can be attached to, for `receive`.

    `follow(memory, decoded, received_at)` says what a message means after those before it (aliases, sequence numbers):
    the new memory of `decoded.session`, and the message understood. Memory is None at first and lost on a restart, so
    it holds only what the device can be asked for again. It raises only `DecodeError`. `offers(topic, payload)`: whom a
    message introduces; none for most messages.
    """

    name: str
    topics: tuple[str, ...]
    decode: Callable[[str, bytes, datetime, tzinfo], Decoded]
    encode: Callable[[Command, str, Device, datetime], Outgoing | HttpCall | HttpReply]
    commands: frozenset[type[Command]]
    heartbeat_s: float
    orders: tuple[str, ...] = ()
    interpret: Callable[[Decoded, Device], Decoded] | None = None
    topics_of: Callable[[Device], tuple[str, ...]] | None = None
    orders_of: Callable[[Device], tuple[str, ...]] | None = None
    retained: tuple[str, ...] = ()
    receive: Callable[[HttpPush, datetime, tzinfo], Decoded] | None = None
    answered: Callable[[str, int, bytes, datetime], Decoded] | None = None
    attachment: Attachment | None = None
    follow: Callable[[Any, Decoded, datetime], tuple[Any, Decoded]] | None = None
    offers: Callable[[str, bytes], tuple[Offer, ...]] | None = None
    lists: ListLimits = ListLimits()
