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

from devices.effects import Command, OpenPassage, Speak, SyncPersons
from devices.errors import DecodeError, UnsupportedCommandError
from devices.events import (
    CommandAnswered,
    CommandResult,
    CredentialPresented,
    DeviceStatusChanged,
    Heartbeat,
    Method,
    OfflineReason,
    VendorNotice,
)
from devices.model import Decoded, Device, HttpPush, HttpReply, Outgoing, Protocol
from devices.protocols import oem_face_persons as persons
from devices.protocols.oem_face_records import Said, clock, further, recognised, reply, stranger, thrown, vehicle
from devices.protocols.oem_face_wire import Envelope, Info, Plate, Read, Record, presented
from devices.protocols.wire import (
    address_of,
    label,
    name,
    only,
    parse,
    same_device,
    text,
)

PREFIX = "mqtt"
HTTP = "/Subscribe/"
_SHARED = {"basic": frozenset({"Online", "Offline"}), "heartbeat": frozenset({"HeartBeat"})}
"""Topics all terminals share: any of them could speak for another there, so they carry nothing that counts."""
_OWN = frozenset({"Rec", "Snap", "Ack", "QRCode", "Card", "IDCard", "Alarm"})
_LIST_ACKS = (
    "EditPerson-Ack",
    "EditPersonsNew-Ack",
    "EditPersons-Ack",
    "AddPerson-Ack",
    "AddPersons-Ack",
    "DelPerson-Ack",
    "DeletePersons-Ack",
)

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
    said = Said(address, base, received_at, zone, envelope, info, topic.startswith(HTTP))
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
        case [*prefix, "face", owner, "rec", _] if prefix:  # firmware that keeps books of attendance
            return "/".join((*prefix, "face")), address_of(owner), "Rec"
    raise DecodeError("not a topic of this protocol")


def _online(said: Said) -> Decoded:
    at = clock(said)
    decoded = only(said.address, DeviceStatusChanged(at=at or said.received_at, online=True), timed=at is not None)
    answer = {"facesluiceId": said.address, "result": "ok"}
    return msgspec.structs.replace(decoded, replies=reply(said, "Online-Ack", name(said.envelope.message_id), answer))


def _offline(said: Said) -> Decoded:
    """The last will is written before the connection is lost, so only a goodbye has a time."""
    at = clock(said)
    reason = OfflineReason.GOODBYE if text(said.info.local) else OfflineReason.WILL
    event = DeviceStatusChanged(at=at or said.received_at, online=False, reason=reason)
    return only(said.address, event, timed=at is not None)


def _heartbeat(said: Said) -> Decoded:
    at = clock(said)
    return only(said.address, Heartbeat(at=at or said.received_at), timed=at is not None)


def _card(said: Said) -> Decoded:
    return _presented(said, Method.CARD)


def _code(said: Said) -> Decoded:
    return _presented(said, Method.QR)


def _presented(said: Said, method: Method) -> Decoded:
    value = presented(said.envelope.info, said.info)
    if not value:
        return _notice(said)
    at = said.info.at(said.zone)
    event = CredentialPresented(at=at or said.received_at, method=method, value=value)
    return only(said.address, event, timed=at is not None)


def _identity(said: Said) -> Decoded:
    """An identity card was read: that it was, and nothing of what is on it."""
    at = clock(said)
    event = VendorNotice(at=at or said.received_at, name=label(said.envelope.operator))
    return only(said.address, event, timed=at is not None)


def _notice(said: Said) -> Decoded:
    at = clock(said)
    operator, code = label(said.envelope.operator), label(said.envelope.code)
    event = VendorNotice(at=at or said.received_at, name=operator, code=code, vendor=further(said))
    return only(said.address, event, timed=at is not None)


def _unlocked(said: Said) -> Decoded:
    """The terminal took the command. Whether the door opened, only a door contact could say."""
    return _result(said, CommandResult.ACCEPTED)


def _answered(said: Said) -> Decoded:
    """The answer to any other command."""
    if not name(said.envelope.message_id):
        return Decoded(address=said.address, ignored="an answer that names no command")
    return _result(said, CommandResult.DONE)


def _result(said: Said, taken: CommandResult) -> Decoded:
    failed = persons.failure(said.envelope.code, said.info.result)
    result = CommandResult.FAILED if failed else taken
    event = CommandAnswered(at=said.received_at, command_id=_command_id(said), result=result, reason=failed)
    return only(said.address, event, timed=False)


def _command_id(said: Said) -> str:
    """What we sent; DeletePersons-Ack was seen with the operator's name behind it."""
    command_id = name(said.envelope.message_id).removesuffix(" " + said.envelope.operator.removesuffix("-Ack"))
    if not command_id:
        raise DecodeError("an answer without the command's id")
    return command_id


def _list_changed(said: Said) -> Decoded:
    envelope = said.envelope
    event = persons.answered(envelope.operator, _command_id(said), envelope.code, envelope.info, said.received_at)
    return only(said.address, event, timed=False)


def _list_told(said: Said) -> Decoded:
    if persons.failure(said.envelope.code, said.info.result):
        return _answered(said)
    return only(said.address, persons.reported(said.envelope.info, said.received_at), timed=False)


def _progress(said: Said) -> Decoded:
    """Which batch is under way: 0 none, 1 AddPersons, 2 EditPersons, 3 EditPersonsNew."""
    event = VendorNotice(at=said.received_at, name="QueryProgress", code=label(said.info.status))
    return only(said.address, event, timed=False)


def _acknowledged(said: Said) -> Decoded:
    return Decoded(address=said.address, ignored="acknowledges our acknowledgement")


_Handler = tuple[msgspec.json.Decoder[Any], Callable[[Said], Decoded]]
_INFO, _RECORD = msgspec.json.Decoder(Info), msgspec.json.Decoder(Record)
_OPERATORS: dict[str, _Handler] = {
    "Online": (_INFO, _online),
    "Offline": (_INFO, _offline),
    "HeartBeat": (_INFO, _heartbeat),
    "RecPush": (_RECORD, recognised),
    "VerifyPush": (_RECORD, recognised),
    "StrSnapPush": (_RECORD, stranger),
    "SnapPush": (_RECORD, stranger),
    "ParabolicSnapPush": (_INFO, thrown),
    "PlateSnapPush": (msgspec.json.Decoder(Plate), vehicle),
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
    receive=receive,
    topics_of=topics_of,
    orders_of=orders_of,
    lists=persons.LIMITS,
)
"""Terminals that say `facesluiceId`. KeepAliveInterval is 60 s by default."""
