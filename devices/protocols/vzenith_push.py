"""Vzenith (臻识) cameras with the older push: AlarmInfoPlate posted over HTTP, or published on /device/push/result.

The camera opens its barrier on the answer to a plate: `Response_AlarmInfoPlate` with info "ok"; anything else leaves it
shut. So an opening decided together with the plate goes out in that answer (over MQTT on /device/{sn}/command); a
plate that we have to read from the picture ourselves comes too late for it. The plate is plain text here. A camera says
over which of the two it speaks by its option `transport` ("mqtt", or "http").

Sources: UserApp package of the vendor; its HTTP push document for ContinuePushOffline and `retransfer_stop`.
"""

from __future__ import annotations

from datetime import datetime, tzinfo

import msgspec
from msgspec import Struct, field
from msgspec.structs import replace

from devices.effects import Command, OpenPassage
from devices.errors import DecodeError, UnsupportedCommandError
from devices.events import Event, Heartbeat, LoopChanged, PlateCaptured, VendorNotice, evidence_key
from devices.model import Decoded, Device, HttpPush, HttpReply, Outgoing, Protocol
from devices.protocols.vzenith_wire import NO_PLATE, plate_color
from devices.protocols.wire import (
    Scalar,
    address_of,
    epoch_time,
    integer,
    name,
    only,
    parse,
    percent,
    picture,
    same_device,
    text,
)

TOPIC = "/device/push/result"


class _Timeval(Struct, frozen=True):
    sec: Scalar = None
    usec: Scalar = None


class _TimeStamp(Struct, frozen=True):
    value: _Timeval = field(name="Timeval", default=_Timeval())


class _Plate(Struct, frozen=True):
    license: Scalar = None
    plate_id: Scalar = field(name="plateid", default=None)
    path: Scalar = field(name="imagePath", default=None)
    offline: Scalar = field(name="isoffline", default=None)
    confidence: Scalar = None
    color: Scalar = field(name="colorType", default=None)
    fake: Scalar = field(name="is_fake_plate", default=None)
    time: _TimeStamp = field(name="timeStamp", default=_TimeStamp())
    full: str | None = field(name="imageFile", default=None)
    small: str | None = field(name="imageFragmentFile", default=None)


class _Input(Struct, frozen=True):
    source: Scalar = None
    value: Scalar = None


class _Result(Struct, frozen=True):
    plate: _Plate | None = field(name="PlateResult", default=None)
    input: _Input | None = field(name="TriggerResult", default=None)


class _Info(Struct, frozen=True):
    serial: Scalar = field(name="serialno", default=None)
    heartbeat: Scalar = None
    result: _Result = field(default=_Result())


class _Body(Struct, frozen=True):
    plate: _Info | None = field(name="AlarmInfoPlate", default=None)
    input: _Info | None = field(name="AlarmGioIn", default=None)


_BODY = msgspec.json.Decoder(_Body)


def decode(topic: str, payload: bytes, received_at: datetime, zone: tzinfo) -> Decoded:
    """One message on the topic all cameras share; its serial number says who speaks.

    :raises DecodeError: it is not one of this protocol.
    """
    del zone
    if topic != TOPIC:
        raise DecodeError("not a topic of this protocol")
    info = _info(payload)
    return _meaning(address_of(text(info.serial)), info, received_at)


def receive(push: HttpPush, received_at: datetime, zone: tzinfo) -> Decoded:
    """One post of a camera, answered so that it neither opens nor sends again.

    :raises DecodeError: it is not one of this protocol, or another camera's.
    """
    del zone
    info = _info(push.parts[0].body if push.parts else b"")
    same_device(push.address, info.serial)
    decoded = _meaning(push.address, info, received_at)
    return replace(decoded, answer=HttpReply(payload=_response(info.result.plate, opens=False)))


def _info(payload: bytes) -> _Info:
    body = parse(_BODY, payload)
    info = body.plate or body.input
    if info is None:
        raise DecodeError("payload does not fit the protocol")
    return info


def _meaning(address: str, info: _Info, received_at: datetime) -> Decoded:
    if info.heartbeat is not None:
        return only(address, Heartbeat(at=received_at), timed=False)
    if info.result.plate is not None:
        return _plate(address, info.result.plate, received_at)
    event: Event = VendorNotice(at=received_at, name="input")
    if (trigger := info.result.input) is not None:
        source, value = integer(trigger.source), integer(trigger.value)
        if source is not None and 0 <= source < 256 and value in (0, 1):
            event = LoopChanged(at=received_at, loop=source, occupied=value == 1)
    return only(address, event, timed=False)


def _plate(address: str, plate: _Plate, received_at: datetime) -> Decoded:
    image = picture(plate.full) or picture(plate.small)
    at = epoch_time(plate.time.value.sec, plate.time.value.usec)
    number, color, plate_id = text(plate.license), plate_color(plate.color), name(plate.plate_id)
    event = PlateCaptured(
        at=at or received_at,
        plate="" if number in NO_PLATE or len(number) > 16 else number,
        confidence=percent(plate.confidence),
        evidence=evidence_key(image) if image else "",
        plate_color=color,
        forged=integer(plate.fake) == 1,
    )
    # Without a time plateid alone tells no records apart: it starts anew with the camera. A plate sent again must not
    # open again, though, so what else stays the same is put to it.
    rest = "" if at else f":{number[:16]}:{text(plate.path)[-48:]}"
    record = name(f"plate:{plate_id[:32]}{rest}") if plate_id else ""
    stored = integer(plate.offline) == 1
    return only(address, event, image, record=record, timed=at is not None, stored=stored)


def _response(plate: _Plate | None, *, opens: bool) -> bytes:
    """`retransfer_stop`: some firmware counts any other content as a failure and sends the plate again."""
    body: dict[str, object] = {
        "info": "ok" if opens else "no",
        "content": "retransfer_stop",
        "is_pay": "true" if opens else "false",
    }
    if plate is not None and integer(plate.offline) == 1 and (plate_id := integer(plate.plate_id)) is not None:
        body["ContinuePushOffline"] = {"plateid": plate_id, "continue": 1}
    return msgspec.json.encode({"Response_AlarmInfoPlate": body})


def encode(command: Command, command_id: str, device: Device, now: datetime) -> Outgoing | HttpReply:
    """The answer that opens. Reads the option `transport` of the device.

    :raises UnsupportedCommandError: the command is none of `PROTOCOL.commands`.
    """
    del command_id, now
    if not isinstance(command, OpenPassage):
        raise UnsupportedCommandError(f"vzenith_push has no message for {type(command).__name__}")
    body = _response(None, opens=True)
    if device.options.get("transport") == "http":
        return HttpReply(payload=body)
    return Outgoing(topic=f"/device/{device.address}/command", payload=body)


PROTOCOL = Protocol(
    name="vzenith_push",
    topics=(TOPIC,),
    orders=("/device/+/command",),
    decode=decode,
    encode=encode,
    commands=frozenset({OpenPassage}),
    heartbeat_s=30.0,
    receive=receive,
)
"""Cameras of the older push; its heartbeat is set to 10 s by default and to 30 s at most where documented."""
