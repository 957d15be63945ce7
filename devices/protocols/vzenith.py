"""Vzenith (臻识) lane cameras with the barrier on their relays: device/{sn}/message/up|down/{name}.

Firmware before v1.1.5 has {sn}/device/message/... instead; both are in the field. ivs_result lies directly in the
payload, everything else in payload.body. The serial number of the envelope is who speaks; the one inside the result is
that of a module and may differ. The camera's `direction` is relative to the camera, so the lane's is the registry's.
"""

from __future__ import annotations

import binascii
from collections.abc import Callable
from datetime import datetime, tzinfo
from typing import Any

import msgspec
from msgspec import Raw, Struct, field

from devices.effects import CloseBarrier, Command, OpenPassage
from devices.errors import DecodeError, UnsupportedCommandError
from devices.events import (
    BarrierMoved,
    CommandAnswered,
    CommandResult,
    Event,
    Heartbeat,
    LoopChanged,
    PlateCaptured,
    VendorNotice,
    evidence_key,
)
from devices.model import Decoded, Device, Outgoing, Protocol
from devices.protocols.wire import (
    Scalar,
    address_of,
    epoch_time,
    inner,
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

_COLORS = ("", "blue", "yellow", "white", "black", "green", "yellow_green")
_TRIGGERS = {1: "auto", 2: "external_io", 4: "software", 8: "virtual_loop"}
_NOT_ARRIVING = {64: "vehicle_staying", 65: "vehicle_staying_ended", 66: "vehicle_turned_back"}
"""Triggers of a vehicle that has been seen before: a second look at it must not open a second time."""
_NO_PLATE = frozenset({"_无_", "无牌车"})
_OFF, _ON, _PULSE = 0, 1, 2
_MOVES_THE_ARM = frozenset({"gpio_out", "gate_direct_open"})

# -- the wire ---------------------------------------------


class _Envelope(Struct, frozen=True):
    id: Scalar = None
    sn: Scalar = None
    name: Scalar = None
    code: Scalar = None
    timestamp: Scalar = None
    payload: Raw = Raw(b"null")


class _Timeval(Struct, frozen=True):
    sec: Scalar = None
    usec: Scalar = None


class _TimeStamp(Struct, frozen=True):
    value: _Timeval = field(name="Timeval", default=_Timeval())


class _Result(Struct, frozen=True):
    license: Scalar = None
    confidence: Scalar = None
    color: Scalar = field(name="colorType", default=None)
    trigger: Scalar = field(name="triggerType", default=None)
    fake: Scalar = field(name="is_fake_plate", default=None)
    encrypted: Scalar = field(name="is_encrypted", default=None)
    offline: Scalar = field(name="isoffline", default=None)
    plate_id: Scalar = field(name="plateid", default=None)
    time: _TimeStamp = field(name="timeStamp", default=_TimeStamp())
    full: str | None = field(name="full_image_content", default=None)
    small: str | None = field(name="small_image_content", default=None)


class _Input(Struct, frozen=True):
    source: Scalar = None
    value: Scalar = None


class _Gate(Struct, frozen=True):
    connected: Scalar = field(name="connect_status", default=None)
    status: Scalar = field(name="gate_status", default=None)


class _Snapshot(Struct, frozen=True):
    code: Scalar = field(name="state_code", default=None)
    image: str | None = field(name="image_content", default=None)


class _Alive(Struct, frozen=True):
    timestamp: Scalar = None


_ENVELOPE = msgspec.json.Decoder(_Envelope)
_RESULT = msgspec.json.Decoder(_Result)
_INPUT = msgspec.json.Decoder(_Input)
_GATE = msgspec.json.Decoder(_Gate)
_SNAPSHOT = msgspec.json.Decoder(_Snapshot)
_ALIVE = msgspec.json.Decoder(_Alive)


class _Said(Struct, frozen=True):
    """One message on its way through a handler. `body`: what was inside its wrappings."""

    address: str
    name: str
    received_at: datetime
    envelope: _Envelope
    body: Raw


# -- up ---------------------------------------------


def decode(topic: str, payload: bytes, received_at: datetime, zone: tzinfo) -> Decoded:
    """One message of a camera. Its times count from 1970, so the site's zone is not asked.

    :raises DecodeError: the message is not one of this protocol.
    """
    del zone
    address, leaf, is_reply = _split(topic)
    envelope = parse(_ENVELOPE, payload)
    same_device(address, envelope.sn)
    body = inner(envelope.payload, "body") or envelope.payload
    said = _Said(address, label(envelope.name) or leaf[:128], received_at, envelope, body)
    if is_reply:
        return _reply(said)
    return _NAMES.get(said.name, _notice)(said)


def _split(topic: str) -> tuple[str, str, bool]:
    """Who speaks, about what, and whether it answers a command."""
    match topic.split("/"):
        case ["device", sn, "message", "up", leaf] | [sn, "device", "message", "up", leaf]:
            return address_of(sn), leaf, False
        case ["device", sn, "message", "down", leaf, "reply"] | [sn, "device", "message", "down", leaf, "reply"]:
            return address_of(sn), leaf, True
    raise DecodeError("not a topic of this protocol")


def _plate(said: _Said) -> Decoded:
    found = inner(said.body, "AlarmInfoPlate", "result", "PlateResult")
    if found is None:
        raise DecodeError("payload does not fit the protocol")
    result = parse(_RESULT, found)
    image = picture(result.full) or picture(result.small)
    evidence = evidence_key(image) if image else ""
    taken_at = epoch_time(result.time.value.sec, result.time.value.usec) or epoch_time(said.envelope.timestamp)
    at = taken_at or said.received_at
    trigger, plate_id = integer(result.trigger) or 0, name(result.plate_id)
    event: Event
    if trigger in _NOT_ARRIVING:
        event = VendorNotice(at=at, name=_NOT_ARRIVING[trigger], code=str(trigger), evidence=evidence)
    else:
        color = integer(result.color) or 0
        event = PlateCaptured(
            at=at,
            plate="" if integer(result.encrypted) == 1 else _licence(text(result.license)),
            confidence=percent(result.confidence),
            evidence=evidence,
            plate_color=_COLORS[color] if 0 <= color < len(_COLORS) else "",
            forged=integer(result.fake) == 1,
            trigger=_TRIGGERS.get(trigger, str(trigger)),
        )
    record = name(f"plate:{plate_id}") if plate_id else ""
    stored = integer(result.offline) == 1
    return only(said.address, event, image, record=record, timed=taken_at is not None, stored=stored)


def _licence(sent: str) -> str:
    """The plate, from base64 of UTF-8 or as it is; "" where there is none to speak of."""
    try:
        plate = binascii.a2b_base64(sent, strict_mode=True).decode()
    except ValueError:
        plate = sent
    if not plate.isalnum() and plate not in _NO_PLATE:
        plate = sent  # it only looked like base64
    return "" if plate in _NO_PLATE or len(plate) > 16 else plate


def _alive(said: _Said) -> Decoded:
    at = epoch_time(parse(_ALIVE, said.body).timestamp) or epoch_time(said.envelope.timestamp)
    return only(said.address, Heartbeat(at=at or said.received_at), timed=at is not None)


def _loop(said: _Said) -> Decoded:
    found = inner(said.body, "AlarmGioIn", "result", "TriggerResult")
    if found is None:
        raise DecodeError("payload does not fit the protocol")
    trigger = parse(_INPUT, found)
    source, value = integer(trigger.source), integer(trigger.value)
    if value not in (_OFF, _ON):  # a pulse says neither that the loop is occupied nor that it is free
        return _notice(said, code=label(trigger.value))
    if source is None or not 0 <= source < 256:
        raise DecodeError("payload does not fit the protocol")
    at = epoch_time(said.envelope.timestamp)
    event = LoopChanged(at=at or said.received_at, loop=source, occupied=value == _ON)
    return only(said.address, event, timed=at is not None)


def _gate(said: _Said) -> Decoded:
    gate = parse(_GATE, said.body)
    status = integer(gate.status)
    if integer(gate.connected) != 1 or status not in (0, 1):
        return _notice(said, code=f"{label(gate.connected)}/{label(gate.status)}"[:128])
    at = epoch_time(said.envelope.timestamp)
    return only(said.address, BarrierMoved(at=at or said.received_at, open=status == 1), timed=at is not None)


def _snapshot(said: _Said) -> Decoded:
    snapshot = parse(_SNAPSHOT, said.body)
    return _notice(said, code=label(snapshot.code), image=picture(snapshot.image))


def _notice(said: _Said, *, code: str = "", image: bytes = b"") -> Decoded:
    at = epoch_time(said.envelope.timestamp)
    evidence = evidence_key(image) if image else ""
    event = VendorNotice(at=at or said.received_at, name=said.name, code=code, evidence=evidence)
    return only(said.address, event, image, timed=at is not None)


def _reply(said: _Said) -> Decoded:
    """The camera took the command or not. Its time is left aside: its clock was seen minutes behind the command."""
    if said.name not in _MOVES_THE_ARM:
        return Decoded(address=said.address, ignored="answers a command the gateway does not send")
    command_id, code = name(said.envelope.id), label(said.envelope.code)
    if not command_id:
        raise DecodeError("an answer without the command's id")
    taken = code == "200"
    event = CommandAnswered(
        at=said.received_at,
        command_id=command_id,
        result=CommandResult.ACCEPTED if taken else CommandResult.FAILED,
        reason="" if taken else code or "no code",
    )
    return only(said.address, event, timed=False)


_NAMES: dict[str, Callable[[_Said], Decoded]] = {
    "ivs_result": _plate,
    "keep_alive": _alive,
    "gpio_in": _loop,
    "barr_gate_status": _gate,
    "snapshot": _snapshot,
}

# -- down ---------------------------------------------


def encode(command: Command, command_id: str, device: Device, now: datetime) -> Outgoing:
    """The message that carries `command`: a pulse on the relay the site wired to it.

    QoS 0: a broker keeps QoS 1 for a camera that is away, and this message says nothing about when it is too late.
    gpio_out and not gate_direct_open, which older firmware lacks. Reads `open_io`, `open_pulse_ms`, `close_io`,
    `close_pulse_ms` (500 to 5000 ms) and `legacy_topics` (1: {sn}/device/...) of the device.

    :raises UnsupportedCommandError: the command is none of `PROTOCOL.commands`.
    """
    match command:
        case OpenPassage():
            io, pulse_ms = device.param("open_io", 0), device.param("open_pulse_ms", 1500)
        case CloseBarrier():
            io, pulse_ms = device.param("close_io", 1), device.param("close_pulse_ms", 3000)
        case _:
            raise UnsupportedCommandError(f"vzenith has no message for {type(command).__name__}")
    sn = device.address
    body: dict[str, Any] = {
        "id": command_id,
        "sn": sn,
        "name": "gpio_out",
        "version": "1.0",
        "timestamp": int(now.timestamp()),
        "payload": {"type": "gpio_out", "body": {"delay": int(pulse_ms), "io": int(io), "value": _PULSE}},
    }
    start = f"{sn}/device" if device.param("legacy_topics", 0) else f"device/{sn}"
    return Outgoing(topic=f"{start}/message/down/gpio_out", payload=msgspec.json.encode(body))


PROTOCOL = Protocol(
    name="vzenith",
    topics=(
        "device/+/message/up/+",
        "device/+/message/down/+/reply",
        "+/device/message/up/+",
        "+/device/message/down/+/reply",
    ),
    orders=("device/+/message/down/#", "+/device/message/down/#"),
    decode=decode,
    encode=encode,
    commands=frozenset({OpenPassage, CloseBarrier}),
    heartbeat_s=10.0,
)
"""Cameras that send keep_alive every 10 s."""
