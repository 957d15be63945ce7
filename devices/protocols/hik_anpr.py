"""Hikvision plate cameras: ANPR alerts posted as multipart (anpr.xml, detectionPicture.jpg, licensePlatePicture.jpg),
barriers moved over ISAPI.

`direction` (forward, reverse) is the camera's; the lane's is the registry's. listType and vehicleListName are the
camera's own lists, ours decide. alarmDataType 1 is a record of the past. Some firmware sends a post again that was not
answered 200, other does not, so a record is known by its UUID. "barrietGate..." is how the vendor spells it.
"""

from __future__ import annotations

from datetime import datetime, tzinfo

from msgspec import Struct, field

from devices.effects import CloseBarrier, Command, OpenPassage, Reboot, SyncTime, TakeSnapshot
from devices.errors import DecodeError
from devices.events import Heartbeat, PlateCaptured, Vendor, VendorNotice, evidence_key
from devices.model import Decoded, Device, HttpCall, HttpPush, Protocol
from devices.protocols.hik_camera import answered, snapshot_call
from devices.protocols.hik_wire import ALERT_STREAM, XML, Alert, document, moment, system_call
from devices.protocols.wire import Scalar, integer, label, name, no_topic, number, only, text

_UNREAD = frozenset({"", "unknown", "noplate", "无车牌"})
_COLORS = {
    "white": "white",
    "yellow": "yellow",
    "blue": "blue",
    "black": "black",
    "green": "green",
    "newenergygreen": "gradient_green",
    "newenergyyellowgreen": "yellow_green",
    "yellowgreen": "yellow_green",
}
"""`plateColor` (ISAPI, ANPR) as the other cameras' colours are called here; unknown and other have none."""
_HISTORY = 1


class _Plate(Struct, frozen=True):
    license: Scalar = field(name="licensePlate", default=None)
    confidence: Scalar = field(name="confidenceLevel", default=None)
    color: Scalar = field(name="plateColor", default=None)
    direction: Scalar = None
    data: Scalar = field(name="alarmDataType", default=None)
    vehicle: Scalar = field(name="vehicleType", default=None)
    listing: Scalar = field(name="listType", default=None)
    listing_name: Scalar = field(name="vehicleListName", default=None)
    lane: Scalar = field(name="line", default=None)


class _Alert(Alert, frozen=True):
    uuid: Scalar = field(name="UUID", default=None)
    anpr: _Plate | str | None = field(name="ANPR", default=None)


def receive(push: HttpPush, received_at: datetime, zone: tzinfo) -> Decoded:
    """One post of a plate camera.

    :raises DecodeError: it is not one of this protocol.
    """
    said, pictures = document(push, _Alert)
    at = moment(said.written, zone)
    if isinstance(said.anpr, _Plate):
        return _plate(push.address, said, said.anpr, pictures, at, received_at)
    if not said.type:
        raise DecodeError("payload does not fit the protocol")
    if said.type in ("heartbeat", "videoloss"):
        return only(push.address, Heartbeat(at=at or received_at), timed=at is not None)
    state = "active" if said.active else "inactive"
    return only(push.address, VendorNotice(at=at or received_at, name=said.type, code=state), timed=at is not None)


def _plate(
    address: str,
    said: _Alert,
    plate: _Plate,
    pictures: tuple[bytes, ...],
    at: datetime | None,
    received_at: datetime,
) -> Decoded:
    image = pictures[0] if pictures else b""
    event = PlateCaptured(
        at=at or received_at,
        plate=_license(plate.license),
        confidence=_confidence(plate.confidence),
        evidence=evidence_key(image) if image else "",
        plate_color=_COLORS.get(label(plate.color).lower(), ""),
        vendor=_vendor(plate),
    )
    uuid = name(said.uuid)
    record = name(f"anpr:{uuid}") if uuid else ""
    stored = integer(plate.data) == _HISTORY
    return only(address, event, image, record=record, timed=at is not None, stored=stored)


def _license(sent: Scalar) -> str:
    plate = text(sent).replace(" ", "")
    return "" if plate.lower() in _UNREAD or not plate.isalnum() or len(plate) > 16 else plate


def _confidence(sent: Scalar) -> float | None:
    """0 to 100 in the vendor's document; some integrators make it a fraction."""
    found = number(sent)
    if found is None or not 0 <= found <= 100:
        return None
    return found / 100 if found > 1 else found


def _vendor(plate: _Plate) -> Vendor:
    vendor: Vendor = {}
    said = {
        "direction": plate.direction,
        "vehicle_type": plate.vehicle,
        "list": plate.listing if plate.listing is not None else plate.listing_name,
        "lane": plate.lane,
    }
    for key, value in said.items():
        if short := label(value)[:32]:
            vendor[key] = short
    return vendor


def encode(command: Command, command_id: str, device: Device, now: datetime) -> HttpCall:
    """The call that carries `command`. Reads the parameter `gate` (1), the option `barrier` ("entrance", or "parking"
    for firmware with the newer /ISAPI/Parking) and, for a snapshot, `channel` (1) of the device.

    :raises UnsupportedCommandError: the command is none of `PROTOCOL.commands`.
    """
    del command_id
    match command:
        case OpenPassage():
            return _barrier("open", device)
        case CloseBarrier():
            return _barrier("close", device)
        case TakeSnapshot():
            return snapshot_call(device)
    return system_call(command, device, now)


def _barrier(what: str, device: Device) -> HttpCall:
    gate = int(device.param("gate", 1))
    if device.options.get("barrier") == "parking":
        path = f"/ISAPI/Parking/channels/{gate}/barrierGate"
        body = f"<BarrierGate><ctrlMode>{what}</ctrlMode></BarrierGate>"
    else:
        path = "/ISAPI/ITC/Entrance/barrierGateCtrl"
        body = (
            '<BarrierGateCtrl version="2.0" xmlns="http://www.isapi.org/ver20/XMLSchema">'
            f"<barrietGateNum>{gate}</barrietGateNum>"
            f"<BarrierGateCtrlList><barrietGateOper>{what}</barrietGateOper></BarrierGateCtrlList></BarrierGateCtrl>"
        )
    return HttpCall(method="PUT", path=path, payload=body.encode(), media=XML)


PROTOCOL = Protocol(
    name="hik_anpr",
    topics=(),
    decode=no_topic,
    encode=encode,
    commands=frozenset({OpenPassage, CloseBarrier, TakeSnapshot, Reboot, SyncTime}),
    heartbeat_s=60.0,
    receive=receive,
    answered=answered,
    attachment=ALERT_STREAM,
)
"""Cameras with an HTTP listening host, told to send a heartbeat every 30 s (`docs/http-devices.md`)."""
