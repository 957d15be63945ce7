"""Named values, for protocols that have no vocabulary of their own: which of a device's values means what is said when
it is registered, in its `options`.

An option is a meaning of ours and the device's name for it: {"door_open": "Inputs/A", "level_pct": "light/brightness"};
a name after ! means the opposite. `sensor.` and a metric name the reading of anything else: {"sensor.temperature_c":
"engine/temperature"}. A value nobody named becomes `SensorMeasured` under a name made of its own. A text may name
somebody, so it is kept only where an option says so: {"text.mode": "light/mode"} makes a `VendorNotice` called mode.

`set_open`, `set_close`, `set_on` and `set_level_pct` name what is written to command the device, several with ; in
between where the protocol writes several at once.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any

from msgspec import Struct

from devices.effects import CloseBarrier, Command, OpenPassage, SetLamp
from devices.errors import DecodeError, UnsupportedCommandError
from devices.events import (
    BarrierMoved,
    BatteryMeasured,
    BayChanged,
    CoverMoved,
    DoorChanged,
    Event,
    Hazard,
    HazardDetected,
    LampFault,
    LampFaulted,
    LampMeasured,
    ObjectDetected,
    SensorMeasured,
    TamperDetected,
    VendorNotice,
    WaterMeasured,
)
from devices.model import Device, Reading

VALUES_AT_MOST = 1_000
"""Of one message."""
PAYLOAD_AT_MOST = 64 * 1024
"""Bytes of a message of texts and figures (ThingsBoard takes no more either); more would only take time."""
_SENSOR, _TEXT = "sensor.", "text."
_ADDRESS = re.compile(r"[^/+#\x00-\x1f\x7f]{1,64}")

Scalar = bool | float | str


class Value(Struct, frozen=True):
    """One value a device told: its name for it, and when, UTC. `timed` and `stored` are those of `Reading`."""

    name: str
    value: Scalar
    at: datetime
    timed: bool = True
    stored: bool = False


_SWITCHED: dict[str, Callable[[datetime, bool], Event]] = {
    "door_open": lambda at, on: DoorChanged(at=at, open=on),
    "barrier_open": lambda at, on: BarrierMoved(at=at, open=on),
    "cover_open": lambda at, on: CoverMoved(at=at, open=on),
    "occupied": lambda at, on: BayChanged(at=at, occupied=on),
    "motion": lambda at, on: ObjectDetected(at=at, label="motion", present=on),
    "tamper": lambda at, on: TamperDetected(at=at, active=on),
    "lamp_failed": lambda at, on: LampFaulted(at=at, fault=LampFault.LAMP_FAILURE, active=on),
    **{
        str(hazard): lambda at, on, hazard=hazard: HazardDetected(at=at, hazard=hazard, active=on)  # type: ignore[misc]
        for hazard in Hazard
    },
}
"""Meanings that are either so or not."""

_LAMP = frozenset(LampMeasured.__struct_fields__) - frozenset(Event.__struct_fields__)
"""Meanings that are figures of a lamp, and `lamp_on`: told at one time they are one reading."""

_MEASURED: dict[str, Callable[[datetime, float], Event]] = {
    "battery_pct": lambda at, value: BatteryMeasured(at=at, level_pct=value),
    "water_below_cover_cm": lambda at, value: WaterMeasured(at=at, below_cover_cm=value),
}
_PERCENT = frozenset({"level_pct", "battery_pct"})

MEANINGS = frozenset({*_SWITCHED, *_LAMP, *_MEASURED, "lamp_on"})
"""Every meaning an option can give a value, besides those that begin with `sensor.`."""


def readings(values: Iterable[Value], options: Mapping[str, str]) -> tuple[Reading, ...]:
    """What these values say of a device registered with these options; of texts nobody named, that there was one.

    :raises DecodeError: there are more than any device has.
    """
    told = list(values)
    if len(told) > VALUES_AT_MOST:
        raise DecodeError("too many values in one message")
    meant = _meant(options)
    found: list[Reading] = []
    lamps: dict[tuple[datetime, bool, bool], dict[str, Any]] = {}
    for value in told:
        meanings = meant.get(value.name) or [("", False)]
        for meaning, opposite in meanings:
            figure = _figure(value.value, opposite=opposite)
            if figure is not None and (meaning == "lamp_on" or meaning in _LAMP):
                _lamp(lamps.setdefault((value.at, value.timed, value.stored), {}), meaning, figure)
            elif (event := _event(value, meaning, figure)) is not None:
                found.append(Reading(event=event, timed=value.timed, stored=value.stored))
    for (at, timed, stored), figures in lamps.items():
        if figures:
            found.append(Reading(event=LampMeasured(at=at, **figures), timed=timed, stored=stored))
    if not found and told:
        found.append(Reading(event=VendorNotice(at=told[0].at, name=told[0].name[:128]), timed=told[0].timed))
    return tuple(found)


def _meant(options: Mapping[str, str]) -> dict[str, list[tuple[str, bool]]]:
    meant: dict[str, list[tuple[str, bool]]] = {}
    for meaning, name in options.items():
        if meaning in MEANINGS or meaning.startswith((_SENSOR, _TEXT)):
            meant.setdefault(name.removeprefix("!"), []).append((meaning, name.startswith("!")))
    return meant


def _figure(value: Scalar, *, opposite: bool) -> float | None:
    if isinstance(value, str) or not math.isfinite(value):
        return None
    return float(not value) if opposite else float(value)


def _lamp(figures: dict[str, Any], meaning: str, figure: float) -> None:
    if meaning == "lamp_on":
        figures.setdefault("level_pct", 100.0 if figure else 0.0)
    elif meaning not in _PERCENT or 0 <= figure <= 100:
        figures[meaning] = figure


def _event(value: Value, meaning: str, figure: float | None) -> Event | None:
    if figure is None:
        if not meaning.startswith(_TEXT) or not isinstance(value.value, str):
            return None
        return VendorNotice(at=value.at, name=meaning.removeprefix(_TEXT)[:128], code=value.value[:32])
    if meaning in _SWITCHED:
        return _SWITCHED[meaning](value.at, bool(figure))
    if meaning in _MEASURED:
        return _MEASURED[meaning](value.at, figure) if meaning not in _PERCENT or 0 <= figure <= 100 else None
    metric = meaning.removeprefix(_SENSOR) or metric_of(value.name)
    return SensorMeasured(at=value.at, metric=metric[:128], value=figure) if metric else None


def check_size(payload: bytes) -> None:
    """:raises DecodeError: the message is larger than any that carries values."""
    if len(payload) > PAYLOAD_AT_MOST:
        raise DecodeError("payload too large")


def metric_of(name: str) -> str:
    """A device's own name for a value, as the name of a metric: Supply Voltage is supply_voltage."""
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")[:64]


def plain_address(name: str) -> str:
    """A device's name as free as these protocols allow it (blanks and all), checked.

    :raises DecodeError: it is empty, too long, or could not be part of a topic.
    """
    if _ADDRESS.fullmatch(name) is None:
        raise DecodeError("bad device id")
    return name


def written(command: Command, device: Device) -> dict[str, bool | int]:
    """What is to be written to carry out a command: the device's own name for it, and the value.

    :raises UnsupportedCommandError: the registration does not say what to write.
    """
    options = device.options
    match command:
        case OpenPassage() if names := options.get("set_open"):
            return _each(names, value=True)
        case CloseBarrier() if names := options.get("set_close"):
            return _each(names, value=True)
        case SetLamp(level_pct=level) if names := options.get("set_level_pct"):
            return _each(names, value=round(level)) | _each(options.get("set_on", ""), value=level > 0)
        case SetLamp(level_pct=level) if names := options.get("set_on"):
            return _each(names, value=level > 0)
    raise UnsupportedCommandError(f"no option of {device.id} says what to write for {type(command).__name__}")


def _each(names: str, *, value: bool | int) -> dict[str, bool | int]:
    return dict.fromkeys((name for name in names.split(";") if name), value)
