"""Milesight nodes: what their fields mean, whether from the bytes or from the object of the maker's decoder.

Key names differ between generations of that decoder (old: water_level, energy_sum; new: depth, power_consumption), so
they are mapped by synonyms. A figure without a name here is kept under the maker's. `history` holds stored records with
times of their own; the NB-IoT models wrap their fields into data:[...] beside the modem's identity, which is left out.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from typing import Any

from devices.codecs.fields import boolean, items, numeric, recorded_at, words
from devices.codecs.milesight_wire import taken_apart
from devices.codecs.model import Codec, Uplink
from devices.effects import Command, Reboot, SetLamp
from devices.errors import UnsupportedCommandError
from devices.events import (
    BatteryMeasured,
    DeviceStatusChanged,
    DoorChanged,
    Event,
    Hazard,
    HazardDetected,
    LampFault,
    LampFaulted,
    LampMeasured,
    SensorMeasured,
    TamperDetected,
    VendorNotice,
)
from devices.model import Device, Reading

MAX_RECORDS = 64
"""So many stored records of one message are read: a LoRaWAN payload of 242 bytes holds fewer."""
_PORT = 85

Fields = dict[str, Any]

_METRICS = {
    "temperature": "temperature_c",
    "humidity": "humidity_pct",
    "distance": "distance_mm",
    "depth": "depth_cm",
    "water_level": "depth_cm",
    "angle_x": "tilt_x_deg",
    "angle_y": "tilt_y_deg",
    "angle_z": "tilt_z_deg",
    "co2": "co2_ppm",
    "nh3": "nh3_ppm",
    "h2s": "h2s_ppm",
    "o3": "o3_ppm",
    "hcho": "hcho_mg_m3",
    "pm2_5": "pm2_5_ug_m3",
    "pm10": "pm10_ug_m3",
    "tvoc": "tvoc_index",
    "pressure": "pressure_hpa",
    "illuminance": "illuminance_lx",
    "illumination": "illuminance_lx",
    "light": "illuminance_lx",
    "light_level": "light_level",
    "moisture": "moisture_pct",
    "ec": "conductivity_us_cm",
    "electricity": "conductivity_us_cm",
    "conductivity": "conductivity_us_cm",
    "pulse": "pulse_count",
    "remaining": "remaining_pct",
    "concentration": "concentration",
    "power_factor": "power_factor_pct",
    "wind_speed": "wind_speed_m_s",
    "wind_direction": "wind_direction_deg",
    "rainfall_total": "rainfall_mm",
    "people_count_all": "people_count",
    "laeq": "noise_db",
    "leq": "noise_db",
}
"""Field -> our name, with its unit."""
_LAMP_KEYS = frozenset(
    ("voltage", "voltate", "active_power", "power", "current_ma", "power_consumption", "power_sum", "energy_sum")
)
_IDENTITY = frozenset(
    [
        "imei",
        "imsi",
        "iccid",
        "sn",
        "csq",
        "snr",
        "id",
        "length",
        "flag",
        "framecnt",
        "data_length",
        "startflag",
        "version",
        "protocol",
        "protocolversion",
        "type",
        "timestamp",
        "msgid",
        "msgtype",
        "ipso_version",
        "protocol_version",
        "tsl_version",
        "hardware_version",
        "hardwareversion",
        "lorawan_class",
        "device_status",
        "reset_event",
        "region_count",
        "switch_count",
    ]
)
"""Who the node or its modem is: not a measurement, and partly a SIM's identity."""
_OCCUPANCY = frozenset(("pir", "pir_status", "occupancy", "occupancy_status", "motion", "motion_status", "pir_trigger"))
_LIGHT = frozenset(("daylight", "daylight_status", "light_status"))
_SWITCH = re.compile(r"(?:switch|relay|button_status)_?\d*|socket_status|relay_output_status|power_status")
_NAME = re.compile(r"[a-z][a-z0-9_]{0,47}")


def decode(uplink: Uplink) -> tuple[Reading, ...]:
    """The bytes where there are some and no object, else the object.

    :raises DecodeError: the bytes are none of this maker.
    """
    found = uplink.decoded if isinstance(uplink.decoded, dict) and uplink.decoded else None
    if found is None:
        found = taken_apart(uplink.data, uplink.options.get("model", "").lower()) if uplink.data else {}
    readings = list(uplink.says(*_said(found, uplink.at, uplink.options)))
    for inside in items(found.get("data")):
        readings += uplink.says(*_said(inside, uplink.at, uplink.options))
    for record in items(found.get("history"))[:MAX_RECORDS]:
        events = _said(record, recorded_at(record.get("timestamp")), uplink.options)
        readings += [Reading(event=event, stored=True) for event in events]
    return tuple(readings)


def _said(found: Fields, at: datetime, options: Any) -> list[Event]:
    """What the fields of one moment say."""
    fields = {key.lower(): value for key, value in found.items() if isinstance(key, str)}
    events: list[Event] = [*_electric(fields, at, options.get("channel", ""))]
    if (tilted := _tilted(fields)) is not None:
        events.append(SensorMeasured(at=at, metric="tilted", value=float(tilted)))
    if firmware := words(fields.get("firmware_version", fields.get("firmwareversion"))):
        events.append(DeviceStatusChanged(at=at, online=True, firmware=firmware))
    for key, value in fields.items():
        state = _STATES.get(key)
        event = state(at, value) if state else _figure(key, value, at, electric=bool(_LAMP_KEYS & fields.keys()))
        if event is not None:
            events.append(event)
    return events


def _tilted(fields: Fields) -> bool | None:
    """Whether the node itself finds that it is tilted: by its switch, or over a threshold of any axis."""
    keys = ("position", "threshold_x", "threshold_y", "threshold_z")
    states = [state for key in keys if (state := boolean(fields.get(key))) is not None]
    return any(states) if states else None


def _electric(fields: Fields, at: datetime, channel: str) -> list[Event]:
    """A socket, a switch or a meter. Of several switches the one of option `channel` counts, else any that is on."""
    switches = {
        key: on for key, value in fields.items() if _SWITCH.fullmatch(key) and (on := boolean(value)) is not None
    }
    own = {key: on for key, on in switches.items() if key.endswith(f"_{channel}")} if channel else switches
    if not own and not _LAMP_KEYS & fields.keys():
        return []
    energy = _first(fields, "power_consumption", "power_sum", "energy_sum")
    milliamps = _first(fields, "current_ma", "current", "total_current") if _LAMP_KEYS & fields.keys() else None
    return [
        LampMeasured(
            at=at,
            level_pct=(100.0 if any(own.values()) else 0.0) if own else None,
            active_power_w=_first(fields, "active_power", "power"),
            supply_voltage_v=_first(fields, "voltage", "voltate"),
            supply_current_a=None if milliamps is None else milliamps / 1000,
            active_energy_kwh=None if energy is None else energy / 1000,
        )
    ]


def _first(fields: Fields, *keys: str) -> float | None:
    return next((value for key in keys if (value := numeric(fields.get(key))) is not None), None)


def _figure(key: str, value: Any, at: datetime, *, electric: bool) -> Event | None:
    """A number under our name or the maker's; a word that is no state of ours as a notice."""
    told = (
        key in _IDENTITY
        or key in _LAMP_KEYS
        or key.startswith(("firmware", "threshold_", "position"))
        or key.endswith("_change")
    )
    if told or (electric and key in ("current", "total_current")) or _NAME.fullmatch(key) is None:
        return None
    if key in _OCCUPANCY or key in _LIGHT:
        return _presence(key, value, at)
    if _SWITCH.fullmatch(key) and boolean(value) is not None:
        return None
    if isinstance(value, str) and (word := words(value)):
        figure = numeric(word) if key in _METRICS else None
        if figure is None:
            return VendorNotice(at=at, name=f"milesight.{key}", code=word)
        value = figure
    number = numeric(value)
    return (
        None if number is None else SensorMeasured(at=at, metric=_METRICS.get(key, _UNITS.get(key, key)), value=number)
    )


_UNITS = {
    "current": "current_a",
    "total_current": "charge_ah",
    "current_max": "current_max_a",
    "current_min": "current_min_a",
}


def _presence(key: str, value: Any, at: datetime) -> Event | None:
    metric = "occupancy" if key in _OCCUPANCY else "daylight"
    word = words(value).lower()
    state = word in ("light", "bright") if word in ("light", "bright", "dark") else boolean(value)
    return None if state is None else SensorMeasured(at=at, metric=metric, value=float(state))


# -- states ---------------------------------------------


def _battery(at: datetime, value: Any) -> Event | None:
    level = numeric(value)
    return BatteryMeasured(at=at, level_pct=level) if level is not None and 0 <= level <= 100 else None


def _door(at: datetime, value: Any) -> Event | None:
    state = boolean(value)
    return None if state is None else DoorChanged(at=at, open=state)


def _tamper(at: datetime, value: Any) -> Event | None:
    word = words(value).lower()
    return TamperDetected(at=at, active=word not in ("installed", "install", "normal")) if word else None


def _hazard(hazard: Hazard) -> Callable[[datetime, Any], Event | None]:
    def read(at: datetime, value: Any) -> Event | None:
        state = boolean(value)
        return None if state is None else HazardDetected(at=at, hazard=hazard, active=state)

    return read


def _button(at: datetime, value: Any) -> Event | None:
    """A press; whether it calls for help is the registration's to say (option `button` = sos)."""
    pressed = words(value.get("status") if isinstance(value, dict) else value)
    return VendorNotice(at=at, name="button", code=pressed) if pressed else None


def _outage(at: datetime, value: Any) -> Event | None:
    word = words(value).lower()
    return LampFaulted(at=at, fault=LampFault.SUPPLY_LOSS, active=word == "power_outage") if word else None


def _smoke(at: datetime, value: Any) -> Event | None:
    """The event of a smoke sensor (GS524N). A silenced alarm is still one."""
    word = words(value).lower()
    if word.startswith("testing"):
        return HazardDetected(at=at, hazard=Hazard.SMOKE, test=True)
    if word in ("removed", "installed"):
        return TamperDetected(at=at, active=word == "removed")
    if word in ("alarm", "normal"):
        return HazardDetected(at=at, hazard=Hazard.SMOKE, active=word == "alarm")
    return VendorNotice(at=at, name="milesight.event", code=word) if word else None


_STATES: dict[str, Callable[[datetime, Any], Event | None]] = {
    "battery": _battery,
    "magnet_status": _door,
    "door_status": _door,
    "magnet": _door,
    "tamper_status": _tamper,
    "install": _tamper,
    "leakage_status": _hazard(Hazard.WATER_LEAK),
    "leakage": _hazard(Hazard.WATER_LEAK),
    "water_leak": _hazard(Hazard.WATER_LEAK),
    "gas_status": _hazard(Hazard.GAS),
    "smoke_status": _hazard(Hazard.SMOKE),
    "event": _smoke,
    "button": _button,
    "button_event": _button,
    "press": _button,
    "power_outage_alarm": _outage,
}

# -- down ---------------------------------------------


def encode(command: Command, device: Device) -> tuple[int, bytes]:
    """Switch (port 85: a WS50x switch, a WS52x socket) or restart (every model). A relay takes 0 or more than 0.

    Reads the options `model` (ws501, ws502, ws503, ws523...) and `channel` (1 to 3: which
    switch of a WS50x, 1 without it).

    :raises UnsupportedCommandError: the command is another one, or this model has no switch we know.
    """
    model = device.options.get("model", "").lower()
    match command:
        case Reboot():
            return _PORT, b"\xff\x10\xff"
        case SetLamp(level_pct=level) if model.startswith("ws50"):
            channel = device.options.get("channel", "1")
            if channel not in ("1", "2", "3"):
                raise UnsupportedCommandError("option channel is 1, 2 or 3")
            n = int(channel) - 1
            return _PORT, bytes((0xFF, 0x29, 1 << n + 4 | (level > 0) << n))
        case SetLamp(level_pct=level) if model.startswith("ws52"):
            return _PORT, bytes((0x08, int(level > 0), 0xFF, 0xFF))
        case SetLamp():
            raise UnsupportedCommandError("a Milesight device switches when option model is ws50x or ws52x")
    raise UnsupportedCommandError(f"a Milesight device has no message for {type(command).__name__}")


CODEC = Codec(name="milesight", decode=decode, encode=encode, commands=frozenset({SetLamp, Reboot}))
