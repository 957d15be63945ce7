"""Our own protocol, for firmware makers: JSON on linli/v1/{address}/event|status|heartbeat|answer, and /command down.

An event is one of `devices.events`, sent as it is; its picture travels beside it in base64. docs/asyncapi.yaml is made
from the messages below. This is the hot path: one decode into a typed union, and no dict.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, tzinfo
from functools import lru_cache, reduce
from operator import or_
from typing import TYPE_CHECKING, Annotated, Literal

import msgspec
from msgspec import Meta, Struct
from msgspec.structs import replace

from devices.effects import (
    COMMANDS,
    CloseBarrier,
    Command,
    OpenPassage,
    PersonEntry,
    PlateEntry,
    Reboot,
    SetLamp,
    Speak,
    SyncPersons,
    SyncPlates,
    SyncTime,
    TakeSnapshot,
)
from devices.errors import DecodeError, UnsupportedCommandError
from devices.events import (
    EVENTS,
    INTERNAL,
    CommandAnswered,
    CommandResult,
    CredentialPresented,
    DeviceStatusChanged,
    Event,
    FaceCaptured,
    FrameCaptured,
    Heartbeat,
    Method,
    Name,
    OfflineReason,
    Utc,
    evidence_key,
)
from devices.model import Decoded, Device, Outgoing, Protocol, Reading
from devices.protocols.wire import MAX_PAYLOAD, address_of, parse, picture, utc

PREFIX = "linli/v1"


class FaceCapturedSent(FaceCaptured, frozen=True, kw_only=True, tag="face_captured"):
    """A face the device could not or should not decide on; its picture is the message's `image`."""

    evidence: Name = ""


class FrameCapturedSent(FrameCaptured, frozen=True, kw_only=True, tag="frame_captured"):
    """What is before the camera; the picture is the message's `image`. It answers a take_snapshot."""

    evidence: Name = ""


_AS_SENT: dict[type[Event], type[Event]] = {FaceCaptured: FaceCapturedSent, FrameCaptured: FrameCapturedSent}

if TYPE_CHECKING:
    SentEvent = Event
else:
    SentEvent = reduce(or_, (_AS_SENT.get(e, e) for e in EVENTS.values() if e not in INTERNAL))


# -- what a device sends ---------------------------------------------


class EventMessage(Struct, frozen=True, kw_only=True):
    """Something happened. `id`: the device's own number of this record, the same when it is sent again. `stored`: it
    was kept while there was no connection. `image`: JPEG or PNG in base64; it becomes the event's `evidence`, which a
    device leaves out.
    """

    id: Name = ""
    stored: bool = False
    event: SentEvent
    image: str = ""


class StatusMessage(Struct, frozen=True, kw_only=True):
    """The device came or goes; also its last will, which has no `at`. `boot_id` is new after each restart."""

    online: bool
    reason: Literal["", "last_will", "goodbye"] = ""
    boot_id: Name = ""
    firmware: Name = ""
    at: Utc | None = None


class HeartbeatMessage(Struct, frozen=True, kw_only=True):
    """Still there. `at` is the device's clock: the gateway measures how wrong it is."""

    at: Utc | None = None
    boot_id: Name = ""


class AnswerMessage(Struct, frozen=True, kw_only=True):
    """What became of the command `command_id`: accepted, then done or failed, with the reason in words."""

    command_id: Annotated[str, Meta(min_length=1, max_length=128)]
    result: CommandResult
    reason: Name = ""
    at: Utc | None = None


# -- what a device is sent ---------------------------------------------


class OpenPassageOrder(Struct, frozen=True, kw_only=True, tag_field="type", tag="open_passage"):
    """Open the door or raise the barrier once. `method`: how the person or vehicle was recognised."""

    method: Method


class CloseBarrierOrder(Struct, frozen=True, kw_only=True, tag_field="type", tag="close_barrier"):
    """Lower the barrier."""


class SetLampOrder(Struct, frozen=True, kw_only=True, tag_field="type", tag="set_lamp"):
    """Set the lamp to `level_pct`: 0 off, 100 full."""

    level_pct: Annotated[float, Meta(ge=0, le=100)]


class SpeakOrder(Struct, frozen=True, kw_only=True, tag_field="type", tag="speak"):
    """Say `text` aloud, or show it where there is no loudspeaker."""

    text: str


class TakeSnapshotOrder(Struct, frozen=True, kw_only=True, tag_field="type", tag="take_snapshot"):
    """Send a frame_captured event with a picture of what is before the camera now: that is the proof."""


class RebootOrder(Struct, frozen=True, kw_only=True, tag_field="type", tag="reboot"):
    """Answer accepted, then start anew; the new boot_id is the proof."""


class SyncTimeOrder(Struct, frozen=True, kw_only=True, tag_field="type", tag="sync_time"):
    """Set the clock to `now` (UTC). The `at` of the next heartbeat is the proof."""

    now: Utc


class SyncPersonsOrder(Struct, frozen=True, kw_only=True, tag_field="type", tag="sync_persons"):
    """Change your list of persons: add or replace `put`, remove `remove` (ids). Answer each entry in a list_answered
    event with this command's id, in one or several; an id to remove that you do not know counts as taken.
    """

    put: tuple[PersonEntry, ...] = ()
    remove: tuple[str, ...] = ()


class SyncPlatesOrder(Struct, frozen=True, kw_only=True, tag_field="type", tag="sync_plates"):
    """Change your list of plates, as with sync_persons."""

    put: tuple[PlateEntry, ...] = ()
    remove: tuple[str, ...] = ()


Order = (
    OpenPassageOrder
    | CloseBarrierOrder
    | SetLampOrder
    | SpeakOrder
    | TakeSnapshotOrder
    | RebootOrder
    | SyncTimeOrder
    | SyncPersonsOrder
    | SyncPlatesOrder
)


class CommandMessage(Struct, frozen=True, kw_only=True):
    """Do this once, before `not_after` (UTC) or never. Who it is for stays in the gateway."""

    id: str
    not_after: Utc
    command: Order


# -- up ---------------------------------------------

_EVENT = msgspec.json.Decoder(EventMessage)
_STATUS = msgspec.json.Decoder(StatusMessage)
_HEARTBEAT = msgspec.json.Decoder(HeartbeatMessage)
_ANSWER = msgspec.json.Decoder(AnswerMessage)

_TYPES: tuple[type[Event], ...] = (*EVENTS.values(), *_AS_SENT.values())
_PICTURED = frozenset(e for e in _TYPES if "evidence" in e.__struct_fields__)


def decode(topic: str, payload: bytes, received_at: datetime, zone: tzinfo) -> Decoded:
    """One message of a device. Times carry their own zone, so the site's is not asked.

    :raises DecodeError: the message is not one of this protocol.
    """
    del zone
    address, read = _route(topic)
    return read(address, payload, received_at)


def _event(address: str, payload: bytes, received_at: datetime) -> Decoded:
    del received_at
    if len(payload) > MAX_PAYLOAD:
        raise DecodeError("payload too large")
    try:
        message = _EVENT.decode(payload)
    except (ValueError, RecursionError) as error:
        raise DecodeError(_why(payload)) from error
    event = message.event
    at = utc(event.at)
    if at is not event.at:
        event = replace(event, at=at)
    if type(event) is CredentialPresented and event.reply_to:
        event = replace(event, reply_to="")  # our own protocol opens by a command: nobody waits for an answer
    images: tuple[bytes, ...] = ()
    if type(event) in _PICTURED:
        event, images = _pictured(event, message.image)
    reading = Reading(event=event, record_id=message.id, stored=message.stored)
    return Decoded(address=address, readings=(reading,), images=images)


def _pictured(event: Event, encoded: str) -> tuple[Event, tuple[bytes, ...]]:
    """The event with the key of its picture: the only evidence a device can name is what it sends along."""
    image = picture(encoded)
    key = evidence_key(image) if image else ""
    images = (image,) if image else ()
    if isinstance(event, FaceCapturedSent):
        if not image:
            raise DecodeError("a captured face without its picture")
        return FaceCaptured(at=event.at, evidence=key, live=event.live), images
    if isinstance(event, FrameCapturedSent):
        if not image:
            raise DecodeError("a captured frame without its picture")
        return FrameCaptured(at=event.at, evidence=key), images
    return event if getattr(event, "evidence", "") == key else replace(event, evidence=key), images


def _status(address: str, payload: bytes, received_at: datetime) -> Decoded:
    said = parse(_STATUS, payload)
    reason = OfflineReason.NONE
    if not said.online:
        reason = OfflineReason(said.reason) or (OfflineReason.GOODBYE if said.at else OfflineReason.WILL)
    event = DeviceStatusChanged(
        at=utc(said.at or received_at), online=said.online, reason=reason, boot_id=said.boot_id, firmware=said.firmware
    )
    return Decoded(address=address, readings=(Reading(event=event, timed=said.at is not None),))


def _heartbeat(address: str, payload: bytes, received_at: datetime) -> Decoded:
    said = parse(_HEARTBEAT, payload)
    event = Heartbeat(at=utc(said.at or received_at), boot_id=said.boot_id)
    return Decoded(address=address, readings=(Reading(event=event, timed=said.at is not None),))


def _answer(address: str, payload: bytes, received_at: datetime) -> Decoded:
    said = parse(_ANSWER, payload)
    event = CommandAnswered(
        at=utc(said.at or received_at), command_id=said.command_id, result=said.result, reason=said.reason
    )
    return Decoded(address=address, readings=(Reading(event=event, timed=said.at is not None),))


_Read = Callable[[str, bytes, datetime], Decoded]

_LEAVES: dict[str, _Read] = {"event": _event, "status": _status, "heartbeat": _heartbeat, "answer": _answer}


@lru_cache(maxsize=20_000)
def _route(topic: str) -> tuple[str, _Read]:
    """Who speaks, and about what. A device keeps to a few topics, so each is taken apart once."""
    parts = topic.split("/")
    if len(parts) != 4 or f"{parts[0]}/{parts[1]}" != PREFIX or parts[3] not in _LEAVES:
        raise DecodeError("not a topic of this protocol")
    return address_of(parts[2]), _LEAVES[parts[3]]


class _TypeOnly(Struct):
    type: str


class _TypeOfEvent(Struct):
    event: _TypeOnly


_TYPE = msgspec.json.Decoder(_TypeOfEvent)
_INTERNAL_NAMES = frozenset(str(e.__struct_config__.tag) for e in INTERNAL)


def _why(payload: bytes) -> str:
    """Why an event message could not be decoded, in words that can be counted."""
    try:
        kind = parse(_TYPE, payload).event.type
    except DecodeError as error:
        return error.reason
    if kind in _INTERNAL_NAMES:
        return "internal event type"
    return "payload does not fit the protocol" if kind in EVENTS else "unknown event type"


# -- down ---------------------------------------------


def encode(command: Command, command_id: str, device: Device, now: datetime) -> Outgoing:
    """The message that carries `command`. QoS 0: a broker keeps QoS 1 for who is away, and a late opening is none.

    :raises UnsupportedCommandError: the command is none of `PROTOCOL.commands`.
    """
    order = _order(command, now)
    message = CommandMessage(id=command_id, not_after=command.not_after, command=order)
    return Outgoing(topic=f"{PREFIX}/{device.address}/command", payload=msgspec.json.encode(message))


def _order(command: Command, now: datetime) -> Order:  # noqa: PLR0911 - one line a command
    match command:
        case OpenPassage(method=method):
            return OpenPassageOrder(method=method)
        case CloseBarrier():
            return CloseBarrierOrder()
        case SetLamp(level_pct=level):
            return SetLampOrder(level_pct=level)
        case Speak(text=text):
            return SpeakOrder(text=text)
        case TakeSnapshot():
            return TakeSnapshotOrder()
        case Reboot():
            return RebootOrder()
        case SyncTime():
            return SyncTimeOrder(now=now)
        case SyncPersons(put=persons, remove=remove):
            return SyncPersonsOrder(put=persons, remove=remove)
        case SyncPlates(put=plates, remove=remove):
            return SyncPlatesOrder(put=plates, remove=remove)
        case _:
            raise UnsupportedCommandError(f"native has no message for {type(command).__name__}")


PROTOCOL = Protocol(
    name="native",
    topics=tuple(f"{PREFIX}/+/{leaf}" for leaf in _LEAVES),
    orders=(f"{PREFIX}/+/command",),
    decode=decode,
    encode=encode,
    commands=frozenset(COMMANDS.values()),
    heartbeat_s=10.0,
)
"""Ours."""
