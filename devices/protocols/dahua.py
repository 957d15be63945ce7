"""Dahua cameras: the lines of their event manager, `Code=...;action=...;index=...;data={...}`, and CGI calls.

The lines come in pieces (multipart/x-mixed-replace) whose Content-Length is often wrong, with a bare `Heartbeat`
between them. `index` counts channels from 0; `UTC` counts seconds from 1970, LocaleTime has no zone. A Start may lack
the `Name` its Stop has, so channel and code tell events apart. DrivingDirection and JunctionDirection are the camera's;
the lane's is the registry's.
"""

from __future__ import annotations

from datetime import datetime, tzinfo
from urllib.parse import quote
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Struct, field

from devices.effects import Command, OpenPassage, Reboot, SyncTime, TakeSnapshot
from devices.errors import DecodeError, UnsupportedCommandError
from devices.events import (
    CameraFault,
    CameraHealthChanged,
    CommandAnswered,
    CommandResult,
    Event,
    Heartbeat,
    ObjectDetected,
    PlateCaptured,
    Vendor,
    VendorNotice,
    evidence_key,
)
from devices.model import Attachment, Decoded, Device, HttpCall, HttpPart, HttpPush, Protocol, Reading
from devices.protocols.hik_camera import with_picture
from devices.protocols.pieces import is_picture, parts_of
from devices.protocols.wire import (
    MAX_IMAGE,
    MAX_NAME,
    Scalar,
    epoch_time,
    label,
    local_time,
    no_topic,
    only,
    parse,
    text,
)

_MAX_TEXT = 128 * 1024
_DETECTED = {
    "VideoMotion": "motion",
    "SmartMotionHuman": "person",
    "SmartMotionVehicle": "vehicle",
    "CrossLineDetection": "object",
    "CrossRegionDetection": "object",
    "LeftDetection": "baggage",
    "TakenAwayDetection": "object",
    "WanderDetection": "person",
    "FaceDetection": "face",
}
_HEALTH = {
    "VideoLoss": CameraFault.SIGNAL_LOST,
    "VideoBlind": CameraFault.OCCLUDED,
    "VideoUnFocus": CameraFault.DEFOCUSED,
    "SceneChange": CameraFault.MOVED,
}
_OBJECTS = {"human": "person", "vehicle": "vehicle", "nonmotor": "bicycle"}
_COLORS = {"blue": "blue", "yellow": "yellow", "white": "white", "black": "black", "green": "green"}
_STOP = "Stop"


class _Car(Struct, frozen=True):
    plate: Scalar = field(name="PlateNumber", default=None)
    color: Scalar = field(name="PlateColor", default=None)


class _Object(Struct, frozen=True):
    type: Scalar = field(name="ObjectType", default=None)


class _Data(Struct, frozen=True):
    utc: Scalar = field(name="UTC", default=None)
    local: Scalar = field(name="LocaleTime", default=None)
    object: _Object | None = field(name="Object", default=None)
    car: _Car | None = field(name="TrafficCar", default=None)
    driving: list[Scalar] | Scalar = field(name="DrivingDirection", default=None)
    junction: Scalar = field(name="JunctionDirection", default=None)


_DATA = msgspec.json.Decoder(_Data)


def receive(push: HttpPush, received_at: datetime, zone: tzinfo) -> Decoded:
    """What a camera's event manager said.

    :raises DecodeError: it is not one of this protocol.
    """
    parts = parts_of(push)
    images = tuple(part.body for part in parts if is_picture(part) and part.body)
    if any(len(image) > MAX_IMAGE for image in images):
        raise DecodeError("image too large")
    readings = tuple(
        reading for part in parts if not is_picture(part) for reading in _line(part, received_at, zone, images)
    )
    if not readings:
        raise DecodeError("a post without an event")
    return Decoded(address=push.address, readings=readings, images=images[:1])


def _line(part: HttpPart, received_at: datetime, zone: tzinfo, images: tuple[bytes, ...]) -> list[Reading]:
    if len(part.body) > _MAX_TEXT:
        raise DecodeError("payload too large")
    try:
        line = part.body.decode().strip()
    except UnicodeDecodeError as error:
        raise DecodeError("payload is not text") from error
    if line == "Heartbeat":
        return [Reading(event=Heartbeat(at=received_at), timed=False)]
    if not line:
        return []
    head, found, body = line.partition(";data=")
    pairs = dict(pair.partition("=")[::2] for pair in head.split(";")[:16])
    code, action = pairs.get("Code", ""), pairs.get("action", "")
    if not code or len(code) > MAX_NAME:
        raise DecodeError("payload does not fit the protocol")
    data = parse(_DATA, _object(body)) if found and body.lstrip().startswith("{") else _Data()
    at = epoch_time(data.utc) or local_time(data.local, zone)
    channel = pairs.get("index", "0")[:8]
    event = _meaning(code, action, channel, data, at or received_at, evidence_key(images[0]) if images else "")
    return [Reading(event=event, timed=at is not None)]


def _object(body: str) -> bytes:
    """The object without what some firmware leaves behind it: the next boundary, a stray line."""
    return body[: body.rfind("}") + 1].encode()


def _meaning(code: str, action: str, channel: str, data: _Data, at: datetime, evidence: str) -> Event:
    if code in _DETECTED:
        kind = label(data.object.type).lower() if data.object else ""
        zone = f"{channel}/{code}"
        return ObjectDetected(
            at=at,
            label=_OBJECTS.get(kind, _DETECTED[code]),
            zone=zone,
            track=zone,
            present=action != _STOP,
            evidence=evidence,
        )
    if (fault := _HEALTH.get(code)) is not None:
        return CameraHealthChanged(at=at, fault=fault, active=action != _STOP, evidence=evidence)
    if code == "TrafficJunction" and data.car is not None:
        plate = text(data.car.plate).replace(" ", "")
        return PlateCaptured(
            at=at,
            plate=plate if plate.isalnum() and len(plate) <= 16 else "",
            plate_color=_COLORS.get(label(data.car.color).lower(), ""),
            evidence=evidence,
            vendor=_directions(data),
        )
    return VendorNotice(at=at, name=code, code=f"{channel}/{action}"[:MAX_NAME], evidence=evidence)


def _directions(data: _Data) -> Vendor:
    driving = data.driving[0] if isinstance(data.driving, list) and data.driving else data.driving
    vendor: Vendor = {}
    if not isinstance(driving, list) and (said := label(driving)[:32]):
        vendor["driving"] = said
    if said := label(data.junction)[:32]:
        vendor["junction"] = said
    return vendor


# -- down ---------------------------------------------


def encode(command: Command, command_id: str, device: Device, now: datetime) -> HttpCall:
    """The call that carries `command`. Reads `channel` (1) of the device; a barrier is opened by its plate camera
    (trafficSnap.cgi), a door by its controller (accessControl.cgi).

    Source: the vendor's HTTP API. Every call is a GET, also what moves something: it is sent once.

    :raises UnsupportedCommandError: the command is none of `PROTOCOL.commands`.
    """
    del command_id
    channel = int(device.param("channel", 1))
    match command:
        case OpenPassage() if device.kind == "barrier":
            path = f"/cgi-bin/trafficSnap.cgi?action=openStrobe&channel={channel}&info.openType=Normal"
        case OpenPassage():
            path = f"/cgi-bin/accessControl.cgi?action=openDoor&channel={channel}&UserID=101&Type=Remote"
        case TakeSnapshot():
            path = f"/cgi-bin/snapshot.cgi?channel={channel}"
        case Reboot():
            path = "/cgi-bin/magicBox.cgi?action=reboot"
        case SyncTime():
            local = now.astimezone(ZoneInfo(device.zone)).strftime("%Y-%m-%d %H:%M:%S")
            path = f"/cgi-bin/global.cgi?action=setCurrentTime&time={quote(local)}"
        case _:
            raise UnsupportedCommandError(f"dahua has no message for {type(command).__name__}")
    return HttpCall(method="GET", path=path)


def answered(command_id: str, status: int, body: bytes, now: datetime) -> Decoded:
    """OK, or a picture. Anything else is a refusal.

    :raises DecodeError: the picture is too large.
    """
    if body.startswith(b"\xff\xd8\xff"):
        return with_picture(command_id, body, now)
    taken = status < 300 and body[:64].strip().upper() in (b"OK", b"")
    event = CommandAnswered(
        at=now,
        command_id=command_id,
        result=CommandResult.ACCEPTED if taken else CommandResult.FAILED,
        reason="" if taken else f"HTTP {status}",
    )
    return only("", event, timed=False)


PROTOCOL = Protocol(
    name="dahua",
    topics=(),
    decode=no_topic,
    encode=encode,
    commands=frozenset({OpenPassage, TakeSnapshot, Reboot, SyncTime}),
    heartbeat_s=60.0,
    receive=receive,
    answered=answered,
    attachment=Attachment(path="/cgi-bin/eventManager.cgi?action=attach&codes=[All]&heartbeat=5", silent_s=20.0),
)
"""Cameras whose event manager is attached to: by us, asking for a heartbeat every 5 s, or by what posts it here, with
heartbeat=30."""
