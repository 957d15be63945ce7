"""Face terminals of the OEM "facesluice" family: JSON on mqtt/face/basic, mqtt/face/heartbeat and mqtt/face/{id}/...

The terminal decides by itself about those it knows (RecPush) and sends those it does not (StrSnapPush). Times are local
without a zone, numbers come as text or as numbers, and `customId` is empty for people enrolled at the terminal. It
sends a record again until PushAck, which therefore leaves only once the record is safe. The HTTP pushes of the same
devices say the same under other names, on paths that begin with /Subscribe/. Newer firmware lets the site choose what
stands before face/ (option `prefix`). Its person list: `oem_face_persons`.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, tzinfo
from typing import Any

import msgspec
from msgspec import Struct

from devices.effects import Command, OpenPassage, Speak, SyncPersons
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
    SensorMeasured,
    Vendor,
    VendorNotice,
    evidence_key,
)
from devices.model import Decoded, Device, HttpPush, HttpReply, Outgoing, Protocol, Reading
from devices.protocols import oem_face_persons as persons
from devices.protocols.oem_face_wire import Envelope, Info, Plate, Read, Record, presented
from devices.protocols.wire import (
    address_of,
    integer,
    label,
    leftover,
    name,
    only,
    parse,
    percent,
    picture,
    same_device,
    text,
)

PREFIX = "mqtt"
HTTP = "/Subscribe/"
_SHARED = {"basic": frozenset({"Online", "Offline"}), "heartbeat": frozenset({"HeartBeat"})}
"""Topics all terminals share: any of them could speak for another there, so they carry nothing that counts."""
_OWN = frozenset({"Rec", "Snap", "Ack", "QRCode", "Card", "IDCard", "Alarm"})
_GRANTED, _REFUSED, _STRANGER = 1, 2, 3
_BLOCK_LIST = 1
_SNAP_ACK, _RECORD_ACK = 1, 2
_LIST_ACKS = (
    "EditPerson-Ack",
    "EditPersonsNew-Ack",
    "EditPersons-Ack",
    "AddPerson-Ack",
    "AddPersons-Ack",
    "DelPerson-Ack",
    "DeletePersons-Ack",
)
_UNDERSTOOD = frozenset(key for sort in (Record, Plate) for key in sort.__struct_encode_fields__) | {"scene"}
_PLATE_COLORS = ("", "blue", "yellow", "white", "black", "green", "yellow_green", "gradient_green")


class _Said(Struct, frozen=True):
    """One message on its way through a handler."""

    address: str
    base: str
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
    base, owner, leaf = _split(topic)
    envelope = parse(_ENVELOPE, payload)
    if leaf in _SHARED and envelope.operator not in _SHARED[leaf]:
        raise DecodeError("operator not allowed on a shared topic")
    decoder, handler = _handler(envelope.operator, leaf)
    info = parse(decoder, envelope.info)
    if owner:
        same_device(owner, info.owner)
    address = owner or address_of(info.owner)
    said = _Said(address, base, received_at, zone, envelope, info, topic.startswith(HTTP))
    return handler(said)


def receive(push: HttpPush, received_at: datetime, zone: tzinfo) -> Decoded:
    """One HTTP push (Verify, Snap, PlateSnapPush, heartbeat), answered as the terminal expects it.

    :raises DecodeError: it is not one of this protocol, or another terminal's.
    """
    decoded = decode(HTTP + push.path, push.parts[0].body if push.parts else b"", received_at, zone)
    if decoded.address != push.address:
        raise DecodeError("device id in path and payload differ")
    return msgspec.structs.replace(decoded, answer=HttpReply(payload=b'{"code":200,"desc":"OK"}'))


def _split(topic: str) -> tuple[str, str, str]:
    """What its topics begin with, who speaks ("" on a topic that does not say), and the topic's last part."""
    if topic.startswith(HTTP):
        return "", "", ""
    match topic.split("/"):
        case [*prefix, "face", leaf] if prefix and leaf in _SHARED:
            return "/".join((*prefix, "face")), "", leaf
        case [*prefix, "face", owner, leaf] if prefix and leaf in _OWN:
            return "/".join((*prefix, "face")), address_of(owner), leaf
    raise DecodeError("not a topic of this protocol")


def _reply(said: _Said, operator: str, message_id: str, info: dict[str, Any]) -> tuple[Outgoing, ...]:
    if said.http:
        return ()
    body = {"operator": operator, **({"messageId": message_id} if message_id else {}), "info": info}
    return (Outgoing(topic=f"{said.base}/{said.address}", payload=msgspec.json.encode(body)),)


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
    at = _moment(said)
    event = _verdict(info, at, evidence_key(image) if image else "", _further(said))
    record = name(info.record) or name(info.http_record)
    decoded = only(said.address, event, image, record=name(f"Rec:{record}") if record else "", stored=info.stored)
    readings = decoded.readings + _temperature(info, at, record)
    return msgspec.structs.replace(decoded, readings=readings, replies=_push_ack(said, _RECORD_ACK, record))


def _temperature(info: Record, at: datetime, record: str) -> tuple[Reading, ...]:
    """A thermal terminal measures whoever stands before it; the reading names nobody."""
    if (measured := info.body_temperature_c) is None:
        return ()
    event = SensorMeasured(at=at, metric="body_temperature_c", value=measured)
    return (Reading(event=event, record_id=name(f"Temp:{record}") if record else "", stored=info.stored),)


def _further(said: _Said) -> Vendor:
    return leftover(said.envelope.info, _UNDERSTOOD)


def _verdict(info: Record, at: datetime, evidence: str, vendor: Vendor) -> Event:
    status, blocked = integer(info.verdict), integer(info.person_type) == _BLOCK_LIST
    if blocked or status == _REFUSED:
        reason = DenyReason.UNAUTHORIZED
        return AccessDenied(
            at=at,
            method=Method.FACE,
            reason=reason,
            person=info.who,
            evidence=evidence,
            blocked=blocked,
            vendor=vendor,
        )
    if status == _STRANGER:
        reason = DenyReason.UNKNOWN_CREDENTIAL
        return AccessDenied(at=at, method=Method.FACE, reason=reason, evidence=evidence, vendor=vendor)
    if status != _GRANTED:  # 0 is no verdict; 22 and 24 are listed by the vendor without a meaning
        return VendorNotice(at=at, name="RecPush", code=label(info.verdict), evidence=evidence, vendor=vendor)
    return AccessGranted(
        at=at,
        method=Method.FACE,
        person=info.who,
        evidence=evidence,
        similarity=percent(info.similarity if info.similarity is not None else info.http_similarity),
        direction=info.way,
        vendor=vendor,
    )


def _stranger(said: _Said) -> Decoded:
    """A face the terminal does not know: ours to look at, if there is a picture."""
    info: Record = said.info
    at, image = _moment(said), picture(info.pic or said.envelope.snap_pic)
    event: Event = FaceCaptured(at=at, evidence=evidence_key(image), vendor=_further(said))
    if not image:
        reason = DenyReason.UNKNOWN_CREDENTIAL
        event = AccessDenied(at=at, method=Method.FACE, reason=reason, vendor=_further(said))
    snap = name(info.snap) or name(info.http_record)
    decoded = only(said.address, event, image, record=name(f"Snap:{snap}") if snap else "", stored=info.stored)
    readings = decoded.readings + _temperature(info, at, snap)
    return msgspec.structs.replace(decoded, readings=readings, replies=_push_ack(said, _SNAP_ACK, snap))


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
    return _presented(said, Method.CARD)


def _code(said: _Said) -> Decoded:
    return _presented(said, Method.QR)


def _presented(said: _Said, method: Method) -> Decoded:
    value = presented(said.envelope.info, said.info)
    if not value:
        return _notice(said)
    at = said.info.at(said.zone)
    event = CredentialPresented(at=at or said.received_at, method=method, value=value)
    return only(said.address, event, timed=at is not None)


def _identity(said: _Said) -> Decoded:
    """An identity card was read: that it was, and nothing of what is on it."""
    at = _clock(said)
    event = VendorNotice(at=at or said.received_at, name=label(said.envelope.operator))
    return only(said.address, event, timed=at is not None)


def _notice(said: _Said) -> Decoded:
    at = _clock(said)
    operator, code = label(said.envelope.operator), label(said.envelope.code)
    event = VendorNotice(at=at or said.received_at, name=operator, code=code, vendor=_further(said))
    return only(said.address, event, timed=at is not None)


def _unlocked(said: _Said) -> Decoded:
    """The terminal took the command. Whether the door opened, only a door contact could say."""
    return _result(said, CommandResult.ACCEPTED)


def _answered(said: _Said) -> Decoded:
    """The answer to any other command."""
    if not name(said.envelope.message_id):
        return Decoded(address=said.address, ignored="an answer that names no command")
    return _result(said, CommandResult.DONE)


def _result(said: _Said, taken: CommandResult) -> Decoded:
    failed = persons.failure(said.envelope.code, said.info.result)
    result = CommandResult.FAILED if failed else taken
    event = CommandAnswered(at=said.received_at, command_id=_command_id(said), result=result, reason=failed)
    return only(said.address, event, timed=False)


def _command_id(said: _Said) -> str:
    """What we sent; DeletePersons-Ack was seen with the operator's name behind it."""
    command_id = name(said.envelope.message_id).removesuffix(" " + said.envelope.operator.removesuffix("-Ack"))
    if not command_id:
        raise DecodeError("an answer without the command's id")
    return command_id


def _list_changed(said: _Said) -> Decoded:
    envelope = said.envelope
    event = persons.answered(envelope.operator, _command_id(said), envelope.code, envelope.info, said.received_at)
    return only(said.address, event, timed=False)


def _list_told(said: _Said) -> Decoded:
    if persons.failure(said.envelope.code, said.info.result):
        return _answered(said)
    return only(said.address, persons.reported(said.envelope.info, said.received_at), timed=False)


def _progress(said: _Said) -> Decoded:
    """Which batch is under way: 0 none, 1 AddPersons, 2 EditPersons, 3 EditPersonsNew."""
    event = VendorNotice(at=said.received_at, name="QueryProgress", code=label(said.info.status))
    return only(said.address, event, timed=False)


def _acknowledged(said: _Said) -> Decoded:
    return Decoded(address=said.address, ignored="acknowledges our acknowledgement")


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
    "QueryPerson-Ack": (_INFO, _list_told),
    "QueryProgress-Ack": (_INFO, _progress),
    **dict.fromkeys(_LIST_ACKS, (_INFO, _list_changed)),
}
_READ = msgspec.json.Decoder(Read)
_READERS: dict[str, _Handler] = {"Card": (_READ, _card), "QRCode": (_READ, _code), "IDCard": (_INFO, _identity)}
_NOTICE: _Handler = (_INFO, _notice)
_ANSWERED: _Handler = (_INFO, _answered)


def _handler(operator: str, leaf: str) -> _Handler:
    """By operator; what a card reader calls its operator is not documented, so its topic decides. On Ack some firmware
    leaves the ending away.
    """
    if leaf == "Ack" and not operator.endswith("-Ack"):
        operator += "-Ack"
    if operator.endswith("-Ack"):
        return _OPERATORS.get(operator, _ANSWERED)
    return _OPERATORS.get(operator) or _READERS.get(leaf, _NOTICE)


# -- down ---------------------------------------------


def encode(command: Command, command_id: str, device: Device, now: datetime) -> Outgoing:
    """The message that carries `command`. `Speak` plays a prompt the terminal has, by the name of its file: it cannot
    read a text aloud.

    :raises UnsupportedCommandError: the terminal has no message for this.
    """
    del now
    match command:
        case OpenPassage():
            info = {"uid": "", "openDoor": "1", "Showinfo": "请通行"}
            body: dict[str, Any] = {"operator": "Unlock", "messageId": command_id, "info": info}
        case Speak(text=prompt):
            if not prompt.endswith(".wav"):
                raise UnsupportedCommandError("oem_face plays prompts it has, such as welcome.wav, and reads no text")
            played = {"UsrType": "1", "voicetype": prompt}
            body = {"operator": "voiceplay", "messageId": command_id, "info": played}
        case SyncPersons():
            body = persons.sync(command, command_id, device)
        case _:
            raise UnsupportedCommandError(f"oem_face has no message for {type(command).__name__}")
    return Outgoing(topic=f"{_base(device)}/{device.address}", payload=msgspec.json.encode(body))


def _base(device: Device) -> str:
    return f"{device.options.get('prefix', PREFIX).strip('/')}/face"


def topics_of(device: Device) -> tuple[str, ...]:
    """The topics of a terminal whose site chose another beginning (option `prefix`)."""
    base = _base(device)
    if base == f"{PREFIX}/face":
        return ()
    return (*(f"{base}/{leaf}" for leaf in _SHARED), *(f"{base}/{device.address}/{leaf}" for leaf in sorted(_OWN)))


def orders_of(device: Device) -> tuple[str, ...]:
    """Where such a terminal listens."""
    return (f"{_base(device)}/{device.address}",) if topics_of(device) else ()


PROTOCOL = Protocol(
    name="oem_face",
    topics=(*(f"{PREFIX}/face/{leaf}" for leaf in _SHARED), *(f"{PREFIX}/face/+/{leaf}" for leaf in sorted(_OWN))),
    orders=(f"{PREFIX}/face/+",),
    decode=decode,
    encode=encode,
    commands=frozenset({OpenPassage, Speak, SyncPersons}),
    heartbeat_s=60.0,
    topics_of=topics_of,
    orders_of=orders_of,
    lists=persons.LIMITS,
    receive=receive,
)
"""Terminals that say `facesluiceId`. KeepAliveInterval is 60 s by default."""
