"""Hikvision cameras and recorders: EventNotificationAlert posted over HTTP, pictures fetched over ISAPI.

An alert is repeated with a rising activePostCount while it is active and ends with `inactive`, or with silence.
heartBeat says active and is no alarm. An inactive videoloss is what old firmware sends every few seconds to show that
it is there, and also how a real loss of video ends: a heartbeat each time, and that end once in five minutes.
"""

from __future__ import annotations

from datetime import datetime, tzinfo

from msgspec import Struct, field
from msgspec.structs import replace

from devices.effects import Command, Reboot, SyncTime, TakeSnapshot
from devices.errors import DecodeError
from devices.events import (
    CameraFault,
    CameraHealthChanged,
    CommandAnswered,
    CommandResult,
    Event,
    FrameCaptured,
    Heartbeat,
    ObjectDetected,
    VendorNotice,
    evidence_key,
)
from devices.model import Decoded, Device, HttpCall, HttpPush, Protocol, Reading
from devices.protocols import hik_wire
from devices.protocols.hik_wire import ALERT_STREAM, Alert, document, moment, system_call
from devices.protocols.wire import MAX_IMAGE, Scalar, label, no_topic, only

_SAID_ONCE_IN_S = 300
_DETECTED = {
    "vmd": "motion",
    "linedetection": "",
    "fielddetection": "",
    "regionentrance": "",
    "regionexiting": "",
    "regionexit": "",
    "facedetection": "face",
    "pir": "motion",
    "loitering": "",
    "group": "person",
    "rapidmove": "",
    "parking": "vehicle",
    "unattendedbaggage": "baggage",
    "attendedbaggage": "baggage",
}
"""Event types (ISAPI, eventType) that something was seen, and what, where the alert itself does not say."""
_HEALTH = {
    "videoloss": CameraFault.SIGNAL_LOST,
    "shelteralarm": CameraFault.OCCLUDED,
    "tamperdetection": CameraFault.OCCLUDED,
    "scenechangedetection": CameraFault.MOVED,
    "defocus": CameraFault.DEFOCUSED,
    "defocusdetection": CameraFault.DEFOCUSED,
}
_TARGETS = {"human": "person", "person": "person", "vehicle": "vehicle", "face": "face"}


class _Region(Struct, frozen=True):
    id: Scalar = field(name="regionID", default=None)
    target: Scalar = field(name="detectionTarget", default=None)


class _Regions(Struct, frozen=True):
    entry: _Region | list[_Region] | str | None = field(name="DetectionRegionEntry", default=None)


class _Alert(Alert, frozen=True):
    regions: _Regions | list[_Region] | str | None = field(name="DetectionRegionList", default=None)
    target: Scalar = field(name="detectionTarget", default=None)

    @property
    def region(self) -> _Region:
        """The first region it names."""
        held = self.regions.entry if isinstance(self.regions, _Regions) else self.regions
        if isinstance(held, list):
            held = held[0] if held else None
        return held if isinstance(held, _Region) else _Region()


def receive(push: HttpPush, received_at: datetime, zone: tzinfo) -> Decoded:
    """One post of a camera.

    :raises DecodeError: it is not one of this protocol.
    """
    said, pictures = document(push, _Alert)
    if not said.type:
        raise DecodeError("payload does not fit the protocol")
    at = moment(said.written, zone)
    if said.type == "heartbeat":
        return only(push.address, Heartbeat(at=at or received_at), timed=at is not None)
    if said.type == "videoloss" and not said.active:
        return _breath(push.address, said, at, received_at)
    image = pictures[0] if pictures else b""
    event = _meaning(said, at or received_at, evidence_key(image) if image else "")
    return only(push.address, event, image, timed=at is not None)


def _breath(address: str, said: _Alert, at: datetime | None, received_at: datetime) -> Decoded:
    beat = Reading(event=Heartbeat(at=at or received_at), timed=at is not None)
    slot = int(received_at.timestamp()) // _SAID_ONCE_IN_S
    over = CameraHealthChanged(at=received_at, fault=CameraFault.SIGNAL_LOST, active=False)
    record = f"videoloss:{said.camera}:{slot}"[:128]
    return Decoded(address=address, readings=(beat, Reading(event=over, record_id=record, timed=False)))


def _meaning(said: _Alert, at: datetime, evidence: str) -> Event:
    if said.type in _DETECTED:
        region = said.region
        target = label(region.target) or label(said.target)
        zone = f"{said.camera}/{said.type}/{label(region.id) or '0'}"[:128]
        return ObjectDetected(
            at=at,
            label=_TARGETS.get(target.lower(), target) or _DETECTED[said.type] or "object",
            zone=zone,
            track=zone,
            present=said.active,
            evidence=evidence,
        )
    if (fault := _HEALTH.get(said.type)) is not None:
        return CameraHealthChanged(at=at, fault=fault, active=said.active, evidence=evidence)
    code = f"{said.camera}/{'active' if said.active else 'inactive'}"[:128]
    return VendorNotice(at=at, name=said.type, code=code, evidence=evidence)


# -- down ---------------------------------------------


def snapshot_call(device: Device) -> HttpCall:
    """Fetch one picture of the main stream of `channel` (1)."""
    return HttpCall(method="GET", path=f"/ISAPI/Streaming/channels/{int(device.param('channel', 1))}01/picture")


def encode(command: Command, command_id: str, device: Device, now: datetime) -> HttpCall:
    """The call that carries `command`. Reads `channel` (1) of the device.

    :raises UnsupportedCommandError: the command is none of `PROTOCOL.commands`.
    """
    del command_id
    return snapshot_call(device) if isinstance(command, TakeSnapshot) else system_call(command, device, now)


def answered(command_id: str, status: int, body: bytes, now: datetime) -> Decoded:
    """A picture, or a ResponseStatus.

    :raises DecodeError: it is neither, or the picture is too large.
    """
    if not body.startswith(b"\xff\xd8\xff"):
        return hik_wire.answered(command_id, status, body, now)
    return with_picture(command_id, body, now)


def with_picture(command_id: str, image: bytes, now: datetime) -> Decoded:
    """The command is done, and here is the frame.

    :raises DecodeError: the picture is too large.
    """
    if len(image) > MAX_IMAGE:
        raise DecodeError("image too large")
    done = only("", CommandAnswered(at=now, command_id=command_id, result=CommandResult.DONE), timed=False)
    frame = Reading(event=FrameCaptured(at=now, evidence=evidence_key(image)), timed=False)
    return replace(done, readings=(*done.readings, frame), images=(image,))


PROTOCOL = Protocol(
    name="hik_camera",
    topics=(),
    decode=no_topic,
    encode=encode,
    commands=frozenset({TakeSnapshot, Reboot, SyncTime}),
    heartbeat_s=60.0,
    receive=receive,
    answered=answered,
    attachment=ALERT_STREAM,
)
"""Cameras with an HTTP listening host, told to send a heartbeat every 30 s (`docs/http-devices.md`)."""
