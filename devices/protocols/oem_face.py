"""Face terminals of the OEM "facesluice" family: JSON on mqtt/face/basic, mqtt/face/heartbeat and mqtt/face/{id}/...

The terminal decides by itself about those it knows (RecPush) and sends those it does not (StrSnapPush). Times are local
without a zone, numbers come as text or as numbers, and `customId` is empty for people enrolled at the terminal. It
sends a record again until PushAck, which therefore leaves only once the record is safe. The HTTP pushes of the same
devices say the same under other names, on paths that begin with /Subscribe/.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, tzinfo
from typing import Any

import msgspec
from msgspec import Struct

from devices.effects import Command, OpenPassage
from devices.errors import DecodeError, UnsupportedCommandError
from devices.events import (
    AccessDenied,
    AccessGranted,
    CommandAnswered,
    CommandResult,
    CredentialPresented,
    DenyReason,
    DeviceStatusChanged,
    Event,
    FaceCaptured,
    Heartbeat,
    Method,
    ObjectDetected,
    OfflineReason,
    PlateCaptured,
    VendorNotice,
    evidence_key,
)
from devices.model import Decoded, Device, HttpPush, HttpReply, Outgoing, Protocol
from devices.protocols.oem_face_wire import Card, CardInfo, Envelope, Info, Plate, Record
from devices.protocols.wire import (
    address_of,
    integer,
    label,
    name,
    only,
    parse,
    percent,
    picture,
    same_device,
    text,
)

BASE = "mqtt/face"
HTTP = "/Subscribe/"
_SHARED = {"basic": frozenset({"Online", "Offline"}), "heartbeat": frozenset({"HeartBeat"})}
"""Topics all terminals share: any of them could speak for another there, so they carry nothing that counts."""
_OWN = frozenset({"Rec", "Snap", "Ack", "QRCode", "Card", "IDCard", "Alarm"})
_GRANTED, _REFUSED, _STRANGER = 1, 2, 3
_BLOCK_LIST = 1
_SNAP_ACK, _RECORD_ACK = 1, 2
_PLATE_COLORS = ("", "blue", "yellow", "white", "black", "green", "yellow_green", "gradient_green")


class _Said(Struct, frozen=True):
    """One message on its way through a handler."""

    address: str
    received_at: datetime
    zone: tzinfo
    envelope: Envelope
    info: Any
    http: bool


# -- up ---------------------------------------------

_ENVELOPE = msgspec.json.Decoder(Envelope)


def decode(topic: str, payload: bytes, received_at: datetime, zone: tzinfo) -> Decoded:
    """One message of a terminal. `zone` is the terminal's: it tells local time only.

    :raises DecodeError: the message is not one of this protocol.
    """
    owner, leaf = _split(topic)
    envelope = parse(_ENVELOPE, payload)
    if leaf in _SHARED and envelope.operator not in _SHARED[leaf]:
        raise DecodeError("operator not allowed on a shared topic")
    decoder, handler = _handler(envelope.operator, leaf)
    info = parse(decoder, envelope.info)
    if owner:
        same_device(owner, info.owner)
    address = owner or address_of(info.owner)
    said = _Said(address, received_at, zone, envelope, info, topic.startswith(HTTP))
    return handler(said)


def receive(push: HttpPush, received_at: datetime, zone: tzinfo) -> Decoded:
    """One HTTP push (Verify, Snap, PlateSnapPush, heartbeat), answered as the terminal expects it.

    :raises DecodeError: it is not one of this protocol, or another terminal's.
    """
    decoded = decode(HTTP + push.path, push.parts[0].body if push.parts else b"", received_at, zone)
    if decoded.address != push.address:
        raise DecodeError("device id in path and payload differ")
    return msgspec.structs.replace(decoded, answer=HttpReply(payload=b'{"code":200,"desc":"OK"}'))


def _split(topic: str) -> tuple[str, str]:
    """Who speaks ("" on a topic that does not say), and the topic's last part."""
    if topic.startswith(HTTP):
        return "", ""
    match topic.split("/"):
        case ["mqtt", "face", leaf] if leaf in _SHARED:
            return "", leaf
        case ["mqtt", "face", owner, leaf] if leaf in _OWN:
            return address_of(owner), leaf
    raise DecodeError("not a topic of this protocol")


def _reply(said: _Said, operator: str, message_id: str, info: dict[str, Any]) -> tuple[Outgoing, ...]:
    if said.http:
        return ()
    body = {"operator": operator, **({"messageId": message_id} if message_id else {}), "info": info}
    return (Outgoing(topic=f"{BASE}/{said.address}", payload=msgspec.json.encode(body)),)


def _push_ack(said: _Said, kind: int, record: str) -> tuple[Outgoing, ...]:
    if not record:
        return ()
    plain = record.isascii() and record.isdecimal() and len(record) <= 18
    info = {"PushAckType": kind, "SnapOrRecordID": int(record) if plain else record}
    return _reply(said, "PushAck", f"{kind}-{record}", info)


def _clock(said: _Said) -> datetime | None:
    """The terminal's time, None where it has none: one without a clock is there all the same."""
    try:
        at: datetime | None = said.info.at(said.zone)
    except DecodeError:
        return None
    return at


def _online(said: _Said) -> Decoded:
    at = _clock(said)
    decoded = only(said.address, DeviceStatusChanged(at=at or said.received_at, online=True), timed=at is not None)
    answer = {"facesluiceId": said.address, "result": "ok"}
    return msgspec.structs.replace(decoded, replies=_reply(said, "Online-Ack", name(said.envelope.message_id), answer))


def _offline(said: _Said) -> Decoded:
    """The last will is written before the connection is lost, so only a goodbye has a time."""
    at = _clock(said)
    reason = OfflineReason.GOODBYE if text(said.info.local) else OfflineReason.WILL
    event = DeviceStatusChanged(at=at or said.received_at, online=False, reason=reason)
    return only(said.address, event, timed=at is not None)


def _heartbeat(said: _Said) -> Decoded:
    at = _clock(said)
    return only(said.address, Heartbeat(at=at or said.received_at), timed=at is not None)


def _moment(said: _Said) -> datetime:
    """When a record was made. Without it a replay could not be told from somebody at the door now."""
    at: datetime | None = said.info.at(said.zone)
    if at is None:
        raise DecodeError("a record without a time")
    return at


def _recognised(said: _Said) -> Decoded:
    """What the terminal decided about a face."""
    info: Record = said.info
    image = picture(info.pic or said.envelope.snap_pic)
    event = _verdict(info, _moment(said), evidence_key(image) if image else "")
    record = name(info.record) or name(info.http_record)
    decoded = only(said.address, event, image, record=name(f"Rec:{record}") if record else "", stored=info.stored)
    return msgspec.structs.replace(decoded, replies=_push_ack(said, _RECORD_ACK, record))


def _verdict(info: Record, at: datetime, evidence: str) -> Event:
    status, blocked = integer(info.status), integer(info.person_type) == _BLOCK_LIST
    if blocked or status == _REFUSED:
        reason = DenyReason.UNAUTHORIZED
        return AccessDenied(
            at=at, method=Method.FACE, reason=reason, person=info.who, evidence=evidence, blocked=blocked
        )
    if status == _STRANGER:
        reason = DenyReason.UNKNOWN_CREDENTIAL
        return AccessDenied(at=at, method=Method.FACE, reason=reason, evidence=evidence)
    if status != _GRANTED:  # 0 is no verdict; 22 and 24 are listed by the vendor without a meaning
        return VendorNotice(at=at, name="RecPush", code=label(info.status), evidence=evidence)
    direction = label(info.direction)
    return AccessGranted(
        at=at,
        method=Method.FACE,
        person=info.who,
        evidence=evidence,
        similarity=percent(info.similarity if info.similarity is not None else info.http_similarity),
        direction="" if direction == "unknow" else direction,
    )


def _stranger(said: _Said) -> Decoded:
    """A face the terminal does not know: ours to look at, if there is a picture."""
    info: Record = said.info
    at, image = _moment(said), picture(info.pic or said.envelope.snap_pic)
    event: Event = FaceCaptured(at=at, evidence=evidence_key(image))
    if not image:
        event = AccessDenied(at=at, method=Method.FACE, reason=DenyReason.UNKNOWN_CREDENTIAL)
    snap = name(info.snap) or name(info.http_record)
    decoded = only(said.address, event, image, record=name(f"Snap:{snap}") if snap else "", stored=info.stored)
    return msgspec.structs.replace(decoded, replies=_push_ack(said, _SNAP_ACK, snap))


def _thrown(said: _Said) -> Decoded:
    """Something was thrown from a window (高空抛物)."""
    image = picture(said.info.pic)
    evidence = evidence_key(image) if image else ""
    return only(said.address, ObjectDetected(at=_moment(said), label="thrown_object", evidence=evidence), image)


def _plate(said: _Said) -> Decoded:
    info: Plate = said.info
    image, at, plate = picture(said.envelope.plate_pic), info.at(said.zone), text(info.plate)
    color = integer(info.color) or 0
    event = PlateCaptured(
        at=at or said.received_at,
        plate=plate if len(plate) <= 16 else "",
        plate_color=_PLATE_COLORS[color] if 0 <= color < len(_PLATE_COLORS) else "",
        evidence=evidence_key(image) if image else "",
    )
    return only(said.address, event, image, timed=at is not None)


def _card(said: _Said) -> Decoded:
    card: CardInfo | None = said.info.card
    value = name(card.number) if card else ""
    if not value:
        return _notice(said)
    at = said.info.at(said.zone)
    event = CredentialPresented(at=at or said.received_at, method=Method.CARD, value=value)
    return only(said.address, event, timed=at is not None)


def _notice(said: _Said) -> Decoded:
    at = _clock(said)
    event = VendorNotice(at=at or said.received_at, name=label(said.envelope.operator), code=label(said.envelope.code))
    return only(said.address, event, timed=at is not None)


def _unlocked(said: _Said) -> Decoded:
    """The terminal took the command. Whether the door opened, only a door contact could say."""
    code, command_id = label(said.envelope.code), name(said.envelope.message_id)
    if not command_id:
        raise DecodeError("an answer without the command's id")
    taken = code in ("", "200") and text(said.info.result) in ("", "ok")
    event = CommandAnswered(
        at=said.received_at,
        command_id=command_id,
        result=CommandResult.ACCEPTED if taken else CommandResult.FAILED,
        reason="" if taken else code or label(said.info.result),
    )
    return only(said.address, event, timed=False)


def _acknowledged(said: _Said) -> Decoded:
    return Decoded(address=said.address, ignored="acknowledges our acknowledgement")


def _answered(said: _Said) -> Decoded:
    return Decoded(address=said.address, ignored="answers a command the gateway does not send")


_Handler = tuple[msgspec.json.Decoder[Any], Callable[[_Said], Decoded]]
_INFO, _RECORD = msgspec.json.Decoder(Info), msgspec.json.Decoder(Record)
_OPERATORS: dict[str, _Handler] = {
    "Online": (_INFO, _online),
    "Offline": (_INFO, _offline),
    "HeartBeat": (_INFO, _heartbeat),
    "RecPush": (_RECORD, _recognised),
    "VerifyPush": (_RECORD, _recognised),
    "StrSnapPush": (_RECORD, _stranger),
    "SnapPush": (_RECORD, _stranger),
    "ParabolicSnapPush": (_INFO, _thrown),
    "PlateSnapPush": (msgspec.json.Decoder(Plate), _plate),
    "Unlock-Ack": (_INFO, _unlocked),
    "PushAck-Ack": (_INFO, _acknowledged),
}
_CARD: _Handler = (msgspec.json.Decoder(Card), _card)
_NOTICE: _Handler = (_INFO, _notice)
_ANSWERED: _Handler = (_INFO, _answered)


def _handler(operator: str, leaf: str) -> _Handler:
    """By operator; what a card reader calls its operator is not documented, so its topic decides."""
    if operator.endswith("-Ack"):
        return _OPERATORS.get(operator, _ANSWERED)
    return _OPERATORS.get(operator, _CARD if leaf == "Card" else _NOTICE)


# -- down ---------------------------------------------


def encode(command: Command, command_id: str, device: Device, now: datetime) -> Outgoing:
    """The message that carries `command`; this terminal can only be told to open.

    :raises UnsupportedCommandError: the command is none of `PROTOCOL.commands`.
    """
    del now
    if not isinstance(command, OpenPassage):
        raise UnsupportedCommandError(f"oem_face has no message for {type(command).__name__}")
    body = {
        "operator": "Unlock",
        "messageId": command_id,
        "info": {"uid": "", "openDoor": "1", "Showinfo": "请通行"},
    }
    return Outgoing(topic=f"{BASE}/{device.address}", payload=msgspec.json.encode(body))


PROTOCOL = Protocol(
    name="oem_face",
    topics=(*(f"{BASE}/{leaf}" for leaf in _SHARED), *(f"{BASE}/+/{leaf}" for leaf in sorted(_OWN))),
    orders=(f"{BASE}/+",),
    decode=decode,
    encode=encode,
    commands=frozenset({OpenPassage}),
    heartbeat_s=60.0,
    receive=receive,
)
"""Terminals that say `facesluiceId`. KeepAliveInterval is 60 s by default."""
