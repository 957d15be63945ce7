"""ONVIF events over MQTT (Profile M, Core Specification, Event broker): {prefix}/onvif-ej/{topic}[/&source].

Source: the ONVIF Core, Analytics, Imaging, Door Control and Access Control specifications. The namespace tns1 is left
out, others stand before a colon. The source follows after "&", once as its values, in older texts as &Name=Value, and
again in the payload {UtcTime, Source, Data}, which is what is read. Values are text or not ("15", 15, "true", true).
The prefix is the device's address. Credential tokens and holders' names are not kept.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, tzinfo
from typing import Any

import msgspec
from msgspec import Struct, field

from devices.errors import DecodeError
from devices.events import (
    AccessDenied,
    AccessGranted,
    AccessTaken,
    CameraFault,
    CameraHealthChanged,
    DenyReason,
    DeviceStatusChanged,
    DoorAlarm,
    DoorAlarmed,
    DoorChanged,
    DuressSignalled,
    Event,
    Hazard,
    HazardDetected,
    Method,
    ObjectDetected,
    PlateCaptured,
    SensorMeasured,
    TamperDetected,
    VendorNotice,
)
from devices.model import Decoded, Device, Protocol
from devices.protocols.fit import fitted
from devices.protocols.roots import nothing_to_send, path
from devices.protocols.wire import label, local_time, number, only, parse

_MARK = "onvif-ej"
_WORDS = {
    "true": True,
    "1": True,
    "on": True,
    "active": True,
    "false": False,
    "0": False,
    "off": False,
    "inactive": False,
}
MAX_PLATE = 16

Items = dict[str, Any]


class _Message(Struct, frozen=True):
    time: str | None = field(name="UtcTime", default=None)
    source: Items = field(name="Source", default={})
    data: Items = field(name="Data", default={})


class _Said(Struct, frozen=True):
    """One message on its way through a handler. `topic`: its local part, `at`: UTC."""

    topic: str
    at: datetime
    source: Items
    data: Items


_MESSAGE = msgspec.json.Decoder(_Message)


def decode(topic: str, payload: bytes, received_at: datetime, zone: tzinfo) -> Decoded:
    """One event of a camera, a door controller or a sensor.

    :raises DecodeError: the message is not one of this protocol.
    """
    del zone
    prefix, mark, local = topic.partition(f"/{_MARK}/")
    if not mark or not local:
        raise DecodeError("not a topic of this protocol")
    address = path(prefix.split("/"))
    local = local.partition("/&")[0]
    message = parse(_MESSAGE, payload)
    own = local_time(message.time, UTC)
    said = _Said(local, own or received_at, message.source, message.data)
    handler = next((h for start, h in _TOPICS.items() if local == start or local.startswith(f"{start}/")), _notice)
    return only(address, handler(said) or _notice(said), timed=own is not None)


def _text(items: Items, *keys: str) -> str:
    return next((label(v) for key in keys if isinstance(v := items.get(key), str | int | float) and v is not True), "")


def _state(items: Items, *keys: str) -> bool | None:
    for key in keys:
        value = items.get(key)
        if isinstance(value, bool):
            return value
        if isinstance(value, str | int) and (found := _WORDS.get(str(value)[:8].strip().lower())) is not None:
            return found
    return None


def _notice(said: _Said) -> Event:
    state = _state(said.data, "State", "LogicalState", "IsMotion", "Failed", "Value")
    return VendorNotice(at=said.at, name=said.topic[:128], code="" if state is None else str(state).lower())


# -- analytics ---------------------------------------------


def _crossed(said: _Said) -> Event:
    """Somebody or something crossed a line that was drawn for that. It has no end."""
    return HazardDetected(at=said.at, hazard=Hazard.INTRUSION)


def _inside(said: _Said) -> Event | None:
    inside = _state(said.data, "IsInside", "State")
    if inside is None:
        return None
    return ObjectDetected(
        at=said.at,
        label=_text(said.data, "ObjectType", "ClassTypes") or "object",
        zone=_text(said.source, "Rule", "RuleName") or "field",
        track=_text(said.data, "ObjectId", "ObjectID"),
        present=inside,
    )


def _motion(said: _Said) -> Event | None:
    moving = _state(said.data, "State", "IsMotion", "Motion")
    return None if moving is None else SensorMeasured(at=said.at, metric="motion", value=float(moving))


def _counted(said: _Said) -> Event | None:
    count = _number(said.data, "Count", "ObjectCount")
    return None if count is None else SensorMeasured(at=said.at, metric="object_count", value=count)


def _plate(said: _Said) -> Event | None:
    plate = _text(said.data, "PlateNumber", "LicensePlate", "Plate").replace(" ", "").upper()
    return PlateCaptured(at=said.at, plate=plate, trigger="onvif") if 0 < len(plate) <= MAX_PLATE else None


def _number(items: Items, *keys: str) -> float | None:
    values = (items.get(key) for key in keys)
    return next((n for v in values if isinstance(v, str | int | float) and (n := number(v)) is not None), None)


# -- the camera and its device ---------------------------------------------


def _picture(fault: CameraFault) -> Callable[[_Said], Event | None]:
    def read(said: _Said) -> Event | None:
        active = _state(said.data, "State")
        return None if active is None else CameraHealthChanged(at=said.at, fault=fault, active=active)

    return read


def _tampered(said: _Said) -> Event | None:
    active = _state(said.data, "State", "IsTamper", "Tamper", "Active")
    return None if active is None else TamperDetected(at=said.at, active=active)


def _input(said: _Said) -> Event | None:
    state = _state(said.data, "LogicalState", "State")
    return None if state is None else SensorMeasured(at=said.at, metric="digital_input", value=float(state))


def _sensor(metric: str) -> Callable[[_Said], Event | None]:
    def read(said: _Said) -> Event | None:
        value = _number(said.data, "Value", "Temperature", "Humidity")
        return None if value is None else SensorMeasured(at=said.at, metric=metric, value=value)

    return read


def _started(said: _Said) -> Event:
    return DeviceStatusChanged(at=said.at, online=True)


# -- doors ---------------------------------------------

_METHODS = {"Credential": Method.CARD, "Anonymous": Method.UNKNOWN, "Identifier": Method.UNKNOWN}
_DENIALS = {str(reason): reason for reason in DenyReason}
_ALARMS = {str(alarm): alarm for alarm in DoorAlarm}


def _granted(said: _Said) -> Event:
    return AccessGranted(at=said.at, method=_METHODS.get(said.topic.rpartition("/")[2], Method.UNKNOWN))


def _denied(said: _Said) -> Event:
    reason = _DENIALS.get(_text(said.data, "Reason"), DenyReason.OTHER)
    if "CredentialNotFound" in said.topic:
        reason = DenyReason.UNKNOWN_CREDENTIAL
    return AccessDenied(at=said.at, method=_METHODS.get(said.topic.split("/")[-1], Method.UNKNOWN), reason=reason)


def _taken(said: _Said) -> Event:
    return AccessTaken(at=said.at)


def _duress(said: _Said) -> Event:
    return DuressSignalled(at=said.at)


def _door(said: _Said) -> Event | None:
    state = _text(said.data, "State")
    return DoorChanged(at=said.at, open=state == "Open") if state in ("Open", "Closed") else None


def _door_alarm(said: _Said) -> Event | None:
    alarm = _ALARMS.get(_text(said.data, "State"))
    return None if alarm is None else DoorAlarmed(at=said.at, state=alarm)


def _door_tamper(said: _Said) -> Event | None:
    state = _text(said.data, "State")
    known = {"TamperDetected": True, "NotInTamper": False}
    return TamperDetected(at=said.at, active=known[state]) if state in known else None


_TOPICS: dict[str, Callable[[_Said], Event | None]] = {
    "RuleEngine/LineDetector/Crossed": _crossed,
    "RuleEngine/FieldDetector/ObjectsInside": _inside,
    "RuleEngine/LoiteringDetector/ObjectIsLoitering": _inside,
    "RuleEngine/CellMotionDetector/Motion": _motion,
    "RuleEngine/MotionRegionDetector/Motion": _motion,
    "RuleEngine/TamperDetector/Tamper": _tampered,
    "RuleEngine/CountAggregation/Counter": _counted,
    "RuleEngine/Recognition/LicensePlate": _plate,
    "VideoSource/MotionAlarm": _motion,
    "VideoSource/SignalLoss": _picture(CameraFault.SIGNAL_LOST),
    "VideoSource/SignalLost": _picture(CameraFault.SIGNAL_LOST),
    "VideoSource/GlobalSceneChange": _picture(CameraFault.MOVED),
    "VideoSource/ImageTooBlurry": _picture(CameraFault.DEFOCUSED),
    "VideoSource/ImageTooDark": _picture(CameraFault.OCCLUDED),
    "Device/Trigger/DigitalInput": _input,
    "Device/Sensor/Temperature": _sensor("temperature_c"),
    "Device/Sensor/RelativeHumidity": _sensor("humidity_pct"),
    "Device/Tamper": _tampered,
    "Device/OperationMode/Rebooted": _started,
    "Monitoring/OperatingTime/LastReboot": _started,
    "AccessControl/AccessGranted": _granted,
    "AccessControl/AccessTaken": _taken,
    "AccessControl/Denied": _denied,
    "AccessControl/Duress": _duress,
    "Door/State/DoorPhysicalState": _door,
    "Door/State/DoorAlarm": _door_alarm,
    "Door/State/DoorTamper": _door_tamper,
}
"""Local topic (or what it begins with) -> what it says. All others are kept as notices under their own name."""


def topics_of(device: Device) -> tuple[str, ...]:
    """The topics of a device whose prefix has slashes."""
    return (f"{device.address}/{_MARK}/#",) if "/" in device.address else ()


def interpret(decoded: Decoded, device: Device) -> Decoded:
    """As the device's kind reads it."""
    return fitted(decoded, device)


PROTOCOL = Protocol(
    name="onvif",
    topics=(f"+/{_MARK}/#",),
    decode=decode,
    encode=nothing_to_send("onvif"),
    commands=frozenset(),
    heartbeat_s=0.0,
    interpret=interpret,
    topics_of=topics_of,
)
"""Events only: a device is commanded by ONVIF's web services, not over MQTT."""
