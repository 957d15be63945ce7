"""Shelly Gen2 and later over MQTT: {prefix}/events/rpc, {prefix}/status/{component}, {prefix}/online, {prefix}/rpc.

Source: Shelly's API documentation (Gen2 notifications, MQTT, component types) and captured frames. The prefix is the
device's id or what the operator chose, with slashes if they like; it is the device's address. A notification holds only
what changed. A request's answer is published to {src}/rpc with the request's id; our src is {prefix}/linli, so that the
answer says whose it is. Energy is in Wh, times are seconds since 1970.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, tzinfo
from typing import Any

import msgspec
from msgspec import Struct

from devices.effects import Command, Reboot, SetLamp
from devices.errors import DecodeError
from devices.events import (
    BatteryMeasured,
    CommandAnswered,
    CommandResult,
    DeviceStatusChanged,
    Event,
    Hazard,
    HazardDetected,
    Heartbeat,
    LampFault,
    LampFaulted,
    LampMeasured,
    OfflineReason,
    SensorMeasured,
    VendorNotice,
)
from devices.model import Decoded, Device, Outgoing, Protocol, Reading
from devices.protocols.roots import no_message, one_channel, path
from devices.protocols.wire import Scalar, epoch_time, label, name, number, only, parse

_SRC = "linli"
_ONLINE = {b"true": True, b"false": False}
Fields = dict[str, Any]


class _Frame(Struct, frozen=True):
    id: Scalar = None
    method: str = ""
    params: dict[str, Any] = {}
    error: Fields | None = None


_FRAME = msgspec.json.Decoder(_Frame)
_FIELDS = msgspec.json.Decoder(Fields)

# -- up ---------------------------------------------


def decode(topic: str, payload: bytes, received_at: datetime, zone: tzinfo) -> Decoded:
    """A notification, a component's status, an answer to a request, or the last will.

    :raises DecodeError: the message is not one of this protocol.
    """
    del zone
    match topic.split("/"):
        case [*prefix, "online"] if prefix:
            return _online(path(prefix), payload, received_at)
        case [*prefix, "events", "rpc"] if prefix:
            return _notified(path(prefix), parse(_FRAME, payload), received_at)
        case [*prefix, "status", component] if prefix:
            said = _component(component, parse(_FIELDS, payload), received_at)
            return _told(path(prefix), said or [("", Heartbeat(at=received_at))], timed=False)
        case [*prefix, src, "rpc"] if prefix and src == _SRC:
            return _answered(path(prefix), parse(_FRAME, payload), received_at)
    raise DecodeError("not a topic of this protocol")


def _online(address: str, payload: bytes, received_at: datetime) -> Decoded:
    online = _ONLINE.get(payload.strip())
    if online is None:
        raise DecodeError("payload does not fit the protocol")
    reason = OfflineReason.NONE if online else OfflineReason.WILL
    return only(address, DeviceStatusChanged(at=received_at, online=online, reason=reason), timed=False)


def _notified(address: str, frame: _Frame, received_at: datetime) -> Decoded:
    """NotifyStatus, NotifyFullStatus or NotifyEvent; what concerns none of our components shows that it is there."""
    stamp = frame.params.get("ts")
    own = epoch_time(stamp) if isinstance(stamp, int | float) and not isinstance(stamp, bool) else None
    at = own or received_at
    if frame.method == "NotifyEvent":
        said = _events(frame.params.get("events"), at)
    elif frame.method in ("NotifyStatus", "NotifyFullStatus"):
        parts = ((key, value) for key, value in frame.params.items() if isinstance(value, dict))
        said = [event for key, value in parts for event in _component(key, value, at)]
    else:
        return Decoded(address=address, ignored="a notification we do not know")
    return _told(address, said or [("", Heartbeat(at=at))], timed=own is not None)


def _told(address: str, said: list[tuple[str, Event]], *, timed: bool) -> Decoded:
    readings = tuple(Reading(event=event, timed=timed) for _, event in said)
    return Decoded(address=address, readings=readings, raw=tuple(channel for channel, _ in said))


def _events(found: Any, at: datetime) -> list[tuple[str, Event]]:
    """Buttons, and whatever a component calls an event."""
    said: list[tuple[str, Event]] = []
    for item in found if isinstance(found, list) else []:
        event, component = (item.get("event"), item.get("component")) if isinstance(item, dict) else (None, None)
        if isinstance(event, str) and isinstance(component, str):
            button = component.startswith("input:")
            said.append(("", VendorNotice(at=at, name="button" if button else label(component), code=label(event))))
    return said


def _component(key: str, fields: Fields, at: datetime) -> list[tuple[str, Event]]:
    kind, _, channel = key.partition(":")
    handler = _COMPONENTS.get(kind)
    return [(channel, event) for event in handler(fields, at)] if handler else []


def _output(fields: Fields, at: datetime) -> list[Event]:
    """A relay or a dimmer. Brightness alone does not say whether the lamp is on."""
    on, brightness = fields.get("output"), _number(fields.get("brightness"))
    level = None
    if isinstance(on, bool):
        dimmed = brightness if brightness is not None and 0 <= brightness <= 100 else 100.0
        level = dimmed if on else 0.0
    total = _number(_part(fields, "aenergy").get("total"))
    lamp = LampMeasured(
        at=at,
        level_pct=level,
        active_power_w=_number(fields.get("apower")),
        supply_voltage_v=_number(fields.get("voltage")),
        supply_current_a=_number(fields.get("current")),
        active_energy_kwh=None if total is None else total / 1000,
        temperature_c=_number(_part(fields, "temperature").get("tC")),
    )
    measured: list[Event] = [lamp] if lamp != LampMeasured(at=at) else []
    return measured + _errors(fields.get("errors"), at)


def _errors(found: Any, at: datetime) -> list[Event]:
    errors = [error for error in found if isinstance(error, str)] if isinstance(found, list) else []
    faults: list[Event] = [LampFaulted(at=at, fault=LampFault.HIGH_POWER)] if "overpower" in errors else []
    return faults + [VendorNotice(at=at, name="error", code=label(e)) for e in errors if e != "overpower"]


def _measures(key: str, metric: str) -> Callable[[Fields, datetime], list[Event]]:
    def read(fields: Fields, at: datetime) -> list[Event]:
        value = _number(fields.get(key))
        return [] if value is None else [SensorMeasured(at=at, metric=metric, value=value)]

    return read


def _warns(hazard: Hazard) -> Callable[[Fields, datetime], list[Event]]:
    def read(fields: Fields, at: datetime) -> list[Event]:
        alarm = fields.get("alarm")
        return [HazardDetected(at=at, hazard=hazard, active=alarm)] if isinstance(alarm, bool) else []

    return read


def _power(fields: Fields, at: datetime) -> list[Event]:
    level = _number(_part(fields, "battery").get("percent"))
    fits = level is not None and 0 <= level <= 100
    return [BatteryMeasured(at=at, level_pct=level)] if fits and level is not None else []


def _input(fields: Fields, at: datetime) -> list[Event]:
    state = fields.get("state")
    return [SensorMeasured(at=at, metric="digital_input", value=float(state))] if isinstance(state, bool) else []


def _part(fields: Fields, key: str) -> Fields:
    found = fields.get(key)
    return found if isinstance(found, dict) else {}


def _number(value: Any) -> float | None:
    return number(value) if isinstance(value, int | float) else None


_COMPONENTS: dict[str, Callable[[Fields, datetime], list[Event]]] = {
    "switch": _output,
    "light": _output,
    "pm1": _output,
    "temperature": _measures("tC", "temperature_c"),
    "humidity": _measures("rh", "humidity_pct"),
    "illuminance": _measures("lux", "illuminance_lx"),
    "smoke": _warns(Hazard.SMOKE),
    "flood": _warns(Hazard.WATER_LEAK),
    "devicepower": _power,
    "input": _input,
}


def _answered(address: str, frame: _Frame, received_at: datetime) -> Decoded:
    """The answer to a request of ours comes when it has been carried out."""
    command = name(frame.id)
    if not command:
        raise DecodeError("an answer without the command's id")
    failed = frame.error is not None
    reason = label(frame.error.get("code")) if frame.error and isinstance(frame.error.get("code"), int | str) else ""
    event = CommandAnswered(
        at=received_at,
        command_id=command,
        result=CommandResult.FAILED if failed else CommandResult.DONE,
        reason=(reason or "no code") if failed else "",
    )
    return only(address, event, timed=False)


def interpret(decoded: Decoded, device: Device) -> Decoded:
    """The output that is registered (option `channel`, 0 without it), as the device's kind reads it."""
    return one_channel(decoded, device, "0")


# -- down ---------------------------------------------


def encode(command: Command, command_id: str, device: Device, now: datetime) -> Outgoing:
    """A request on {prefix}/rpc. Reads the options `output` (relay, the default, takes 0 or more than 0; dimmer) and
    `channel`.

    :raises UnsupportedCommandError: the command is none of `PROTOCOL.commands`.
    """
    del now
    found = device.options.get("channel", "0")
    channel = int(found) if found.isdecimal() and len(found) < 4 else 0
    match command:
        case SetLamp(level_pct=level) if device.options.get("output") == "dimmer":
            brightness = {"brightness": max(1, round(min(100.0, level)))} if level > 0 else {}
            method, params = "Light.Set", {"id": channel, "on": level > 0, **brightness}
        case SetLamp(level_pct=level):
            method, params = "Switch.Set", {"id": channel, "on": level > 0}
        case Reboot():
            method, params = "Shelly.Reboot", {}
        case _:
            raise no_message("shelly", command)
    body = {"id": command_id, "src": f"{device.address}/{_SRC}", "method": method, "params": params}
    return Outgoing(topic=f"{device.address}/rpc", payload=msgspec.json.encode(body))


def topics_of(device: Device) -> tuple[str, ...]:
    """The topics of a device whose prefix has slashes."""
    prefix = device.address
    leaves = ("events/rpc", "online", "status/+", f"{_SRC}/rpc")
    return tuple(f"{prefix}/{leaf}" for leaf in leaves) if "/" in prefix else ()


def orders_of(device: Device) -> tuple[str, ...]:
    """Where it listens. A filter for all of them (+/rpc) would take in other devices' topics."""
    return (f"{device.address}/rpc",)


PROTOCOL = Protocol(
    name="shelly",
    topics=("+/events/rpc", "+/online", "+/status/+", f"+/{_SRC}/rpc"),
    orders_of=orders_of,
    decode=decode,
    encode=encode,
    commands=frozenset({SetLamp, Reboot}),
    heartbeat_s=0.0,
    interpret=interpret,
    topics_of=topics_of,
    retained=("+/online",),
)
"""A mains-powered device says nothing while nothing changes; its last will says that it is gone."""
