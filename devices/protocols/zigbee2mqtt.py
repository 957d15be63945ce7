"""Zigbee2MQTT: zigbee2mqtt/{friendly name}, and .../set, .../get, .../availability, zigbee2mqtt/bridge/...

Source: Zigbee2MQTT's guide to its MQTT topics and messages. A friendly name may hold slashes. Under another base topic
than zigbee2mqtt a device's address is {base}/{friendly name}, and its option `base` says so. There is no answer to a
command but the new state. Brightness is 0 to 254. `contact` is true while a door is shut. The `voltage` of what has a
battery is its cell's, in mV. Times come only with the setting `last_seen`.
"""

from __future__ import annotations

from datetime import datetime, tzinfo
from typing import Any

import msgspec

from devices.effects import Command, SetLamp
from devices.errors import DecodeError
from devices.events import (
    BatteryMeasured,
    DeviceStatusChanged,
    DoorChanged,
    Event,
    Hazard,
    HazardDetected,
    Heartbeat,
    LampMeasured,
    OfflineReason,
    SensorMeasured,
    TamperDetected,
    VendorNotice,
)
from devices.model import Decoded, Device, Outgoing, Protocol, Reading
from devices.protocols.roots import no_message, one_channel, path, switched_on
from devices.protocols.wire import epoch_time, label, local_time, number, only, parse

BASE = "zigbee2mqtt"
_FULL = 254
_METRICS = {
    "temperature": "temperature_c",
    "device_temperature": "device_temperature_c",
    "humidity": "humidity_pct",
    "soil_moisture": "moisture_pct",
    "pressure": "pressure_hpa",
    "illuminance": "illuminance_lx",
    "illuminance_lux": "illuminance_lx",
    "co2": "co2_ppm",
    "voc": "voc_ppb",
    "pm25": "pm2_5_ug_m3",
    "formaldehyd": "hcho_mg_m3",
    "distance": "distance_m",
    "target_distance": "distance_m",
    "smoke_density": "smoke_density",
    "power_factor": "power_factor",
}
_STATES = {"occupancy": "occupancy", "presence": "occupancy", "moving": "moving"}
_HAZARDS = {
    "water_leak": Hazard.WATER_LEAK,
    "smoke": Hazard.SMOKE,
    "gas": Hazard.GAS,
    "carbon_monoxide": Hazard.GAS,
    "vibration": Hazard.VIBRATION,
    "sos": Hazard.SOS,
}
_CALLS_FOR_HELP = frozenset(("emergency", "sos", "panic"))
_ALIVE, _GONE = frozenset(("device_joined", "device_announce")), frozenset(("device_leave",))

Fields = dict[str, Any]
_FIELDS = msgspec.json.Decoder(Fields)

# -- up ---------------------------------------------


def decode(topic: str, payload: bytes, received_at: datetime, zone: tzinfo) -> Decoded:
    """A device's state, its availability, or a message of the bridge (address bridge).

    :raises DecodeError: the message is not one of this protocol.
    """
    base, *rest = topic.split("/")
    root = [] if base == BASE else [base]
    match rest:
        case []:
            raise DecodeError("not a topic of this protocol")
        case ["bridge", *leaf]:
            return _bridge(root, "/".join(leaf), payload, received_at)
        case [*name, "availability"] if name:
            return _available(path([*root, *name]), payload, received_at)
        case [*name, "set" | "get"] | [*name, "set" | "get", _] if name:
            return Decoded(address=path([*root, *name]), ignored="a message to the device")
    address = path([*root, *rest])
    if payload[:1] != b"{":
        return Decoded(address=address, ignored="one attribute alone: set Zigbee2MQTT's output to json")
    return _state(address, parse(_FIELDS, payload), received_at, zone)


def _word(payload: bytes, key: str) -> str:
    """A state as plain text (older versions) or as an object."""
    if payload[:1] != b"{":
        return payload[:64].decode(errors="replace").strip()
    found = parse(_FIELDS, payload).get(key)
    return found if isinstance(found, str) else ""


def _available(address: str, payload: bytes, received_at: datetime) -> Decoded:
    word = _word(payload, "state")
    if word not in ("online", "offline"):
        raise DecodeError("payload does not fit the protocol")
    online = word == "online"
    reason = OfflineReason.NONE if online else OfflineReason.SILENT
    return only(address, DeviceStatusChanged(at=received_at, online=online, reason=reason), timed=False)


def _bridge(root: list[str], leaf: str, payload: bytes, received_at: datetime) -> Decoded:
    address = path([*root, "bridge"])
    if leaf == "state":
        return _available(address, payload, received_at)
    if leaf == "event":
        return _network(root, parse(_FIELDS, payload), received_at)
    if leaf.startswith("response/"):
        status = label(_word(payload, "status"))
        event = VendorNotice(at=received_at, name=f"bridge.{leaf.removeprefix('response/')}"[:128], code=status)
        return only(address, event, timed=False)
    return Decoded(address=address, ignored="the bridge's own log, lists and settings")


def _network(root: list[str], fields: Fields, received_at: datetime) -> Decoded:
    """A device came to the Zigbee network or left it: said of the device, not of the bridge."""
    kind, data = fields.get("type"), fields.get("data")
    name = data.get("friendly_name") if isinstance(data, dict) else None
    if not isinstance(name, str):
        raise DecodeError("payload does not fit the protocol")
    address = path([*root, *name.split("/")])
    if kind in _ALIVE:
        return only(address, DeviceStatusChanged(at=received_at, online=True), timed=False)
    if kind in _GONE:
        event = DeviceStatusChanged(at=received_at, online=False, reason=OfflineReason.GOODBYE)
        return only(address, event, timed=False)
    return Decoded(address=address, ignored="the bridge talks to the device")


def _state(address: str, fields: Fields, received_at: datetime, zone: tzinfo) -> Decoded:
    seen = fields.get("last_seen")
    written = seen if isinstance(seen, str | int | float) and not isinstance(seen, bool) else None
    own = local_time(written, zone) if isinstance(written, str) else epoch_time(written)
    at = own or received_at
    lamps = _lamps(fields, at)
    others = [event for key, value in fields.items() if (event := _field(key, value, at, fields)) is not None]
    events = [*lamps.values(), *others] or [Heartbeat(at=at)]
    readings = tuple(Reading(event=event, timed=own is not None) for event in events)
    return Decoded(address=address, readings=readings, raw=(*lamps, *("" for _ in others)) if lamps else None)


def _lamps(fields: Fields, at: datetime) -> dict[str, Event]:
    """The lamp or switch, or each of several (state_l1, brightness_l1...); the meter belongs to the whole device."""
    found: dict[str, Event] = {}
    for key, value in fields.items():
        name, _, channel = key.partition("_")
        on = switched_on(value) if name == "state" and isinstance(value, str) else None
        if on is None:
            continue
        brightness = _number(fields, f"brightness_{channel}" if channel else "brightness")
        level = min(100.0, brightness / _FULL * 100) if brightness is not None and brightness >= 0 else 100.0
        found[channel] = LampMeasured(at=at, level_pct=level if on else 0.0, **({} if channel else _meter(fields)))
    if "" not in found and (meter := _meter(fields)):
        found[""] = LampMeasured(at=at, **meter)
    return found


def _meter(fields: Fields) -> dict[str, Any]:
    if "battery" in fields or "battery_low" in fields:
        return {}
    names = {
        "active_power_w": "power",
        "supply_voltage_v": "voltage",
        "supply_current_a": "current",
        "active_energy_kwh": "energy",
    }
    return {ours: value for ours, theirs in names.items() if (value := _number(fields, theirs)) is not None}


def _number(fields: Fields, key: str) -> float | None:
    value = fields.get(key)
    return number(value) if isinstance(value, int | float) else None


def _field(key: str, value: Any, at: datetime, fields: Fields) -> Event | None:  # noqa: PLR0911 - one table
    """One field of a sensor."""
    match key, value:
        case "contact", bool():
            return DoorChanged(at=at, open=not value)
        case "tamper", bool():
            return TamperDetected(at=at, active=value)
        case "battery_low", True if "battery" not in fields:
            return VendorNotice(at=at, name="battery_low")
        case "action", str() if value:
            if value.lower() in _CALLS_FOR_HELP:
                return HazardDetected(at=at, hazard=Hazard.SOS)
            return VendorNotice(at=at, name="button", code=label(value))
        case _, bool() if key in _HAZARDS:
            return HazardDetected(at=at, hazard=_HAZARDS[key], active=value, test=fields.get("test") is True)
        case _, bool() if key in _STATES:
            return SensorMeasured(at=at, metric=_STATES[key], value=float(value))
    figure = _number(fields, key)
    if figure is None:
        return None
    if key == "battery":
        return BatteryMeasured(at=at, level_pct=figure) if 0 <= figure <= 100 else None
    return SensorMeasured(at=at, metric=_METRICS[key], value=figure) if key in _METRICS else None


def interpret(decoded: Decoded, device: Device) -> Decoded:
    """The switch that is registered (option `channel`: l1, l2, left...), as the device's kind reads it."""
    return one_channel(decoded, device, "")


# -- down ---------------------------------------------


def encode(command: Command, command_id: str, device: Device, now: datetime) -> Outgoing:
    """.../set with state and brightness. Reads the options `output` (relay: no brightness), `channel` and `base`.

    :raises UnsupportedCommandError: the command is not SetLamp.
    """
    del command_id, now
    if not isinstance(command, SetLamp):
        raise no_message("zigbee2mqtt", command)
    channel = device.options.get("channel", "")
    suffix = f"_{channel}" if channel else ""
    body: dict[str, Any] = {f"state{suffix}": "ON" if command.level_pct > 0 else "OFF"}
    if command.level_pct > 0 and device.options.get("output", "dimmer") != "relay":
        body[f"brightness{suffix}"] = max(1, round(min(100.0, command.level_pct) * _FULL / 100))
    root = "" if device.options.get("base") else f"{BASE}/"
    return Outgoing(topic=f"{root}{device.address}/set", payload=msgspec.json.encode(body))


def topics_of(device: Device) -> tuple[str, ...]:
    """Everything below another base topic (option `base`)."""
    base = device.options.get("base", "")
    return (f"{base}/#",) if base and base != BASE else ()


PROTOCOL = Protocol(
    name="zigbee2mqtt",
    topics=(f"{BASE}/#",),
    orders=(f"{BASE}/#",),
    decode=decode,
    encode=encode,
    commands=frozenset({SetLamp}),
    heartbeat_s=0.0,
    interpret=interpret,
    topics_of=topics_of,
    retained=(f"{BASE}/#",),
)
"""Zigbee2MQTT itself says who is away (its setting `availability`), so silence of a device says nothing."""
