"""A street or stair light and its controller: out, flickering, without supply, on by day, dark at night.

Wrong for the time of day is found by deadline, not only by readings: a controller may report nothing but changes.
A lamp told to shine that takes no power is out (two readings in a row), which is not the same as dark at night.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from msgspec import Struct
from msgspec.structs import replace

from devices.effects import ClearAlert, Effect, RaiseAlert, RecordPoint
from devices.events import (
    BatteryMeasured,
    Event,
    HazardDetected,
    LampFault,
    LampFaulted,
    LampMeasured,
    SensorMeasured,
    TamperDetected,
    Ticked,
)
from devices.kinds.common import (
    BATTERY_PARAMS,
    Params,
    Raised,
    battery,
    earliest,
    either,
    figures,
    hazard,
    limit,
    seconds,
    switched,
    tampered,
)
from devices.kinds.sun import daylight, solar_day
from devices.model import Device, DeviceKind, Step

PARAMS: Params = {
    "fail_below_w": (2, "a lamp that shines takes at least this, W"),
    "supply_low_v": (100, "below this the circuit has no supply, V"),
    "twilight_margin_min": (30, "from sunset this long, and before sunrise, a lamp may be on or off, min"),
    "day_grace_min": (60, "lit by day for this long is a fault, and no test of the lamps, min"),
    "night_grace_min": (15, "dark at night for this long is a fault, min"),
    "stair": (0, "1: a stair light, which may be off at night"),
    "flicker_changes": (6, "this many changes between on and off within the window are flicker (2 to 60)"),
    "flicker_window_s": (60, "see flicker_changes, s"),
    "lat": (31.23, "latitude, degrees north"),
    "lon": (121.47, "longitude, degrees east"),
    **BATTERY_PARAMS,
}
CODES = {
    LampFault.LAMP_FAILURE: "lamp_out",
    LampFault.LOW_POWER: "lamp_power",
    LampFault.HIGH_POWER: "lamp_power",
    LampFault.FLICKER: "lamp_flicker",
    LampFault.SUPPLY_LOSS: "lamp_supply_loss",
}
BY_DAY, AT_NIGHT = "lamp_on_by_day", "lamp_dark_at_night"


class Light(Struct, frozen=True, kw_only=True):
    """`lit` since `since` (which also moves on when a wrong time of day is over). `weak_at`: the first reading without
    power while it should shine. `changes`: recent changes between on and off. `flickers`: until they stop.
    """

    lit: bool | None = None
    since: datetime | None = None
    weak_at: datetime | None = None
    changes: tuple[datetime, ...] = ()
    flickers: bool = False
    raised: Raised = ()


def decide(light: Light, event: Event, device: Device) -> Step[Light]:  # noqa: PLR0911 - one table
    """See the text at the top; `deadline` says when it wants `Ticked`."""
    match event:
        case LampMeasured():
            light, effects = _measured(light, event, device)
            light, more = _time_of_day(light, event.at, device)
            return light, effects + more
        case LampFaulted(fault=fault, active=active, at=at):
            code = CODES[fault]
            others = tuple(other for other in light.raised if other != code)
            # Supply and failure show in the readings too, so that a reading can end them.
            seen = active and code in ("lamp_out", "lamp_supply_loss")
            return replace(light, raised=(*others, code) if seen else others), [either(code, at, active=active)]
        case TamperDetected():
            return light, tampered(event)
        case HazardDetected():
            return light, hazard(event)
        case SensorMeasured(metric=metric, value=value, at=at):
            return light, [RecordPoint(metric=metric, value=value, at=at)]
        case BatteryMeasured():
            raised, effects = battery(light.raised, event, device)
            return replace(light, raised=raised), effects
        case Ticked(at=at):
            light, effects = _time_of_day(light, at, device)
            light, more = _steady(light, at, device)
            return light, effects + more
    return light, []


def _measured(light: Light, event: LampMeasured, device: Device) -> Step[Light]:
    at, level, power, volts = event.at, event.level_pct, event.active_power_w, event.supply_voltage_v
    effects = figures(event)
    fail_below = limit(device, PARAMS, "fail_below_w")
    if volts is not None:
        lost = volts < limit(device, PARAMS, "supply_low_v")
        raised, more = switched(light.raised, "lamp_supply_loss", at, holds=lost)
        light, effects = replace(light, raised=raised), effects + more
    if level is not None and power is not None:
        light, more = _power(light, at, weak=level > 0 and power < fail_below, shines=level > 0)
        effects += more
    if level is not None or power is not None:
        light, more = _lit(light, (level or 0) > 0 or (power or 0) > fail_below, at, device)
        effects += more
    return light, effects


def _power(light: Light, at: datetime, *, weak: bool, shines: bool) -> Step[Light]:
    if weak:
        holds = "lamp_out" in light.raised or (light.weak_at is not None and at > light.weak_at)
        light = replace(light, weak_at=light.weak_at or at)
    else:
        light = replace(light, weak_at=None)
        holds = "lamp_out" in light.raised and not shines  # one that is switched off proves nothing
    raised, effects = switched(light.raised, "lamp_out", at, holds=holds)
    return replace(light, raised=raised), effects


def _lit(light: Light, lit: bool, at: datetime, device: Device) -> Step[Light]:
    """It went on or off: what was wrong before is over, and too many changes are flicker."""
    if lit == light.lit:
        return light, []
    effects: list[Effect] = [ClearAlert(code=code, at=at) for code in (BY_DAY, AT_NIGHT) if code in light.raised]
    raised = tuple(code for code in light.raised if code not in (BY_DAY, AT_NIGHT))
    first = light.lit is None
    enough = int(max(2, min(60, limit(device, PARAMS, "flicker_changes"))))
    window = seconds(device, PARAMS, "flicker_window_s")
    changes = () if first else tuple(c for c in (*light.changes, at) if at - c <= window)[-enough:]
    flickers = len(changes) >= enough
    if flickers and not light.flickers:
        effects.append(RaiseAlert(code="lamp_flicker", at=at))
    flickers = flickers or light.flickers
    return replace(light, lit=lit, since=at, raised=raised, changes=changes, flickers=flickers), effects


def _quiet_at(light: Light, device: Device) -> datetime | None:
    """When the last change is long enough ago for the flicker to be over."""
    return light.changes[-1] + seconds(device, PARAMS, "flicker_window_s") if light.flickers else None


def _steady(light: Light, at: datetime, device: Device) -> Step[Light]:
    quiet = _quiet_at(light, device)
    if quiet is None or at < quiet:
        return light, []
    return replace(light, changes=(), flickers=False), [ClearAlert(code="lamp_flicker", at=quiet)]


def _wrong_period(light: Light, device: Device) -> tuple[datetime, datetime] | None:
    """From when to when (UTC) being as it is will be wrong next: the next day for a lit lamp, else the next night."""
    if light.since is None or (not light.lit and limit(device, PARAMS, "stair")):
        return None
    lat, lon = limit(device, PARAMS, "lat"), limit(device, PARAMS, "lon")
    margin = timedelta(minutes=limit(device, PARAMS, "twilight_margin_min"))
    grace = timedelta(minutes=limit(device, PARAMS, "day_grace_min" if light.lit else "night_grace_min"))
    today = solar_day(light.since, lon)
    for days in range(-1, 3):
        rise, down = daylight(today + timedelta(days=days), lat, lon)
        if light.lit:
            start, end = rise + margin, down - margin
        else:
            start, end = down + margin, daylight(today + timedelta(days=days + 1), lat, lon)[0] - margin
        start = max(start, light.since)
        if end - start > grace:
            return start + grace, end
    return None


def _time_of_day(light: Light, at: datetime, device: Device) -> Step[Light]:
    """Raise when it has been wrong for long enough; over when the time of day makes it right again."""
    period = _wrong_period(light, device)
    if period is None or at < period[0]:
        return light, []
    due, end = period
    code = BY_DAY if light.lit else AT_NIGHT
    raised, effects = switched(light.raised, code, due if at < end else at, holds=at < end)
    return replace(light, raised=raised, since=light.since if at < end else at), effects


def deadline(light: Light, device: Device) -> datetime | None:
    """When it is wrong for the time of day, when that ends, or when flicker is over."""
    period = _wrong_period(light, device)
    if period is None:
        return _quiet_at(light, device)
    raised = (BY_DAY if light.lit else AT_NIGHT) in light.raised
    return earliest(period[1] if raised else period[0], _quiet_at(light, device))


LIGHT = DeviceKind(name="light", initial=Light(), decide=decide, deadline=deadline, params=PARAMS)
