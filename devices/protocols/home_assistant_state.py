"""What a state told to Home Assistant means here, by component and device class.

Device classes: https://www.home-assistant.io/integrations/binary_sensor/#device-class and .../sensor/#device-class.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import msgspec

from devices.errors import DecodeError
from devices.events import (
    BarrierMoved,
    BatteryMeasured,
    BayChanged,
    CoverMoved,
    DoorChanged,
    Event,
    Hazard,
    HazardDetected,
    LampMeasured,
    ObjectDetected,
    SensorMeasured,
    TamperDetected,
    VendorNotice,
)
from devices.protocols.home_assistant_config import path_of
from devices.protocols.values import metric_of
from devices.protocols.wire import label, number, parse

_ANY = msgspec.json.Decoder(Any)
_HAZARDS = {
    "smoke": Hazard.SMOKE,
    "gas": Hazard.GAS,
    "carbon_monoxide": Hazard.GAS,
    "moisture": Hazard.WATER_LEAK,
    "heat": Hazard.HEAT,
    "vibration": Hazard.VIBRATION,
    "safety": Hazard.SOS,
}
_OPENINGS = frozenset({"door", "garage_door", "opening", "window", "lock"})
_SEEN = frozenset({"motion", "occupancy", "presence", "moving"})
_UNITS: dict[str, tuple[str, Callable[[float], float]]] = {
    "°C": ("_c", lambda v: v),
    "°F": ("_c", lambda v: round((v - 32) / 1.8, 2)),
    "%": ("_pct", lambda v: v),
    "W": ("_w", lambda v: v),
    "kW": ("_w", lambda v: v * 1000),
    "kWh": ("_kwh", lambda v: v),
    "V": ("_v", lambda v: v),
    "A": ("_a", lambda v: v),
    "mA": ("_a", lambda v: v / 1000),
    "lx": ("_lx", lambda v: v),
    "mm": ("_mm", lambda v: v),
    "cm": ("_mm", lambda v: v * 10),
    "m": ("_mm", lambda v: v * 1000),
    "hPa": ("_hpa", lambda v: v),
    "ppm": ("_ppm", lambda v: v),
    "dBm": ("_dbm", lambda v: v),
}
_LAMP_FIGURES = {"power_w": "active_power_w", "voltage_v": "supply_voltage_v", "current_a": "supply_current_a"}
_LAMP_FIGURES |= {
    "energy_kwh": "active_energy_kwh",
    "temperature_c": "temperature_c",
    "illuminance_lx": "illuminance_lx",
}


def events_of(value: Any, options: dict[str, str], kind: str, at: datetime) -> list[Event]:
    """What the value of `options["component"]` says of a device of this kind ("" for one nobody registered)."""
    return _COMPONENTS.get(options["component"], _other)(value, options, kind, at)


def text(payload: bytes) -> str:
    """A payload as text.

    :raises DecodeError: it is none.
    """
    try:
        return payload.decode().strip()
    except UnicodeDecodeError as error:
        raise DecodeError("payload is not text") from error


def valued(payload: bytes, template: str) -> Any:
    """The value a state tells: along its template, or as it stands (an object where it is JSON, else text)."""
    path = path_of(template) if template else ()
    if path is None:
        raise DecodeError("a template that does more than name a value")
    if not path and not payload.lstrip().startswith(b"{"):
        return text(payload)
    found: Any = parse(_ANY, payload)
    for key in path:
        found = found.get(key) if isinstance(found, dict) else None
    return found


def _plain(value: Any) -> str:
    """As text, to be compared with the payloads of the announcement."""
    if isinstance(value, bool):
        return str(value).lower()
    return label(value) if isinstance(value, str | int | float) else ""


def _switched(value: Any, options: dict[str, str]) -> bool | None:
    told = _plain(value)
    if told == options.get("state_on", options.get("payload_on", "ON")):
        return True
    return False if told == options.get("state_off", options.get("payload_off", "OFF")) else None


def _binary(value: Any, options: dict[str, str], kind: str, at: datetime) -> list[Event]:  # noqa: PLR0911 - one table
    on, device_class = _switched(value, options), options.get("device_class", "")
    if on is None:
        return [VendorNotice(at=at, name="binary_sensor", code=_code(value))]
    if device_class in _HAZARDS:
        return [HazardDetected(at=at, hazard=_HAZARDS[device_class], active=on)]
    if device_class == "tamper":
        return [TamperDetected(at=at, active=on)]
    if device_class == "battery":  # on: low
        return [VendorNotice(at=at, name="battery", code="low" if on else "ok")]
    if kind == "bay" and device_class in _SEEN:
        return [BayChanged(at=at, occupied=on)]
    if device_class in _SEEN:
        return [ObjectDetected(at=at, label=device_class, present=on)]
    if device_class in _OPENINGS or kind in _OPENED:
        return [_opened(kind, at, on)]
    return [VendorNotice(at=at, name="binary_sensor", code="on" if on else "off")]


def _opened(kind: str, at: datetime, is_open: bool) -> Event:
    event: Event = _OPENED.get(kind, DoorChanged)(at=at, open=is_open)
    return event


_OPENED: dict[str, Any] = {"face_gate": DoorChanged, "barrier": BarrierMoved, "cover": CoverMoved}


def _sensor(value: Any, options: dict[str, str], kind: str, at: datetime) -> list[Event]:
    if isinstance(value, dict):  # without a template: each of its figures
        return [
            SensorMeasured(at=at, metric=metric_of(key), value=figure)
            for key, held in list(value.items())[:50]
            if metric_of(key) and (figure := _number(held)) is not None
        ]
    figure, device_class = _number(value), options.get("device_class", "")
    if figure is None:
        told = _plain(value)  # any other text may name somebody
        known = told in ("unavailable", "unknown") or device_class == "enum"
        return [VendorNotice(at=at, name="sensor", code=told[:32] if known else "")]
    unit = options.get("unit_of_measurement", "")
    if device_class == "battery":
        return [BatteryMeasured(at=at, level_pct=figure)] if 0 <= figure <= 100 else []
    suffix, convert = _UNITS.get(unit, (f"_{metric_of(unit)}" if metric_of(unit) else "", lambda v: v))
    metric = f"{metric_of(device_class) or 'value'}{suffix}"
    if kind == "light" and metric in _LAMP_FIGURES:
        return [LampMeasured(at=at, **{_LAMP_FIGURES[metric]: convert(figure)})]
    return [SensorMeasured(at=at, metric=metric, value=convert(figure))]


def _number(value: Any) -> float | None:
    return number(value) if isinstance(value, str | int | float) else None


def _code(value: Any) -> str:
    """A word, where it is one: a sensor's text may name somebody."""
    told = _plain(value)
    return told if told.isascii() and told.replace("_", "").isalnum() and len(told) <= 16 else ""


def _light(value: Any, options: dict[str, str], kind: str, at: datetime) -> list[Event]:
    level = None
    if isinstance(value, dict):
        on = _switched(value.get("state"), options)
        bright, scale = _number(value.get("brightness")), _number(options.get("brightness_scale", "255")) or 255
        if on and bright is not None and 0 <= bright <= scale:
            level = round(100 * bright / scale, 1)
    else:
        on = _switched(value, options)
    if on is None:
        return [VendorNotice(at=at, name=options["component"], code=_code(value))]
    if options["component"] == "switch" and kind not in ("", "light"):
        return [VendorNotice(at=at, name="switch", code="on" if on else "off")]
    return [LampMeasured(at=at, level_pct=(100.0 if level is None else level) if on else 0.0)]


def _cover(value: Any, options: dict[str, str], kind: str, at: datetime) -> list[Event]:
    told = _plain(value)
    if told == options.get("state_open", "open"):
        return [_opened(kind or "barrier", at, True)]
    if told == options.get("state_closed", "closed"):
        return [_opened(kind or "barrier", at, False)]
    return [VendorNotice(at=at, name="cover", code=_code(value))]


def _lock(value: Any, options: dict[str, str], kind: str, at: datetime) -> list[Event]:
    """A bolt that is drawn is not a door that is open."""
    del kind
    told = _plain(value)
    states = {options.get("state_locked", "LOCKED"): "locked", options.get("state_unlocked", "UNLOCKED"): "unlocked"}
    return [VendorNotice(at=at, name="lock", code=states.get(told, _code(value)))]


def _happened(value: Any, options: dict[str, str], kind: str, at: datetime) -> list[Event]:
    del kind
    what = value.get("event_type") if isinstance(value, dict) else value
    name = options.get("device_class") or "event"
    return [VendorNotice(at=at, name=name, code=_code(what))]


def _other(value: Any, options: dict[str, str], kind: str, at: datetime) -> list[Event]:
    """Nobody said what it is: an event, a light, figures, or a word."""
    if isinstance(value, dict):
        if "event_type" in value:
            return _happened(value, options, kind, at)
        if "state" in value and _switched(value["state"], options) is not None:
            return _light(value, options, kind, at)
        return _sensor(value, options, kind, at)
    figure = _number(value)
    if figure is not None:
        return [SensorMeasured(at=at, metric=metric_of(options["component"]) or "value", value=figure)]
    return [VendorNotice(at=at, name=options["component"] or "state", code=_code(value))]


_COMPONENTS: dict[str, Callable[[Any, dict[str, str], str, datetime], list[Event]]] = {
    "binary_sensor": _binary,
    "sensor": _sensor,
    "switch": _light,
    "light": _light,
    "cover": _cover,
    "lock": _lock,
    "event": _happened,
}
