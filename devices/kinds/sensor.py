"""An environment sensor: it warns of smoke, gas, water, a call for help; its figures are recorded and held to limits.

within limits --beyond for limit_delay_s--> sensor_limit (alert, one for each metric) --back by the band--> within

Limits are parameters named after the metric: `temperature_c_max`, `humidity_pct_min`, `co2_ppm_max`... and
`temperature_c_band` for how far back it must come. A metric without a limit is recorded only.
"""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct
from msgspec.structs import replace

from devices.effects import ClearAlert, Effect, RaiseAlert, RecordPoint
from devices.events import (
    BatteryMeasured,
    DoorChanged,
    Event,
    HazardDetected,
    LampMeasured,
    SensorMeasured,
    TamperDetected,
    Ticked,
)
from devices.kinds.common import BATTERY_PARAMS, Params, Raised, battery, figures, hazard, seconds, tampered
from devices.model import Device, DeviceKind, Step

PARAMS: Params = {
    "limit_delay_s": (0, "beyond a limit for this long is an alert, s"),
    **BATTERY_PARAMS,
}
MAX_METRICS = 64


class Beyond(Struct, frozen=True, kw_only=True):
    """A metric that is beyond its limit since `since`, with its last `value`; `raised`: the alert is."""

    metric: str
    since: datetime
    value: float
    raised: bool = False


class Sensor(Struct, frozen=True, kw_only=True):
    """`beyond`: what is out of its limits, at most `MAX_METRICS`. `raised`: what is wrong besides."""

    beyond: tuple[Beyond, ...] = ()
    raised: Raised = ()


def decide(sensor: Sensor, event: Event, device: Device) -> Step[Sensor]:  # noqa: PLR0911 - one table
    """See the table at the top; `deadline` says when it wants `Ticked`."""
    match event:
        case HazardDetected():
            return sensor, hazard(event)
        case SensorMeasured():
            return _measured(sensor, event, device)
        case LampMeasured():
            return sensor, figures(event)
        case DoorChanged(open=is_open, at=at):
            return sensor, [RecordPoint(metric="open", value=float(is_open), at=at)]
        case BatteryMeasured():
            raised, effects = battery(sensor.raised, event, device)
            return replace(sensor, raised=raised), effects
        case TamperDetected():
            return sensor, tampered(event)
        case Ticked(at=at):
            return _raised(sensor, at, device)
    return sensor, []


def _measured(sensor: Sensor, event: SensorMeasured, device: Device) -> Step[Sensor]:
    point: list[Effect] = [RecordPoint(metric=event.metric, value=event.value, at=event.at)]
    known = next((b for b in sensor.beyond if b.metric == event.metric), None)
    others = tuple(b for b in sensor.beyond if b.metric != event.metric)
    if not _outside(event, device, band=known is not None and known.raised):
        over: list[Effect] = []
        if known is not None and known.raised:
            over = [ClearAlert(code="sensor_limit", at=event.at, instance=event.metric)]
        return replace(sensor, beyond=others), point + over
    since = known.since if known else event.at
    raised = known.raised if known else False
    now = Beyond(metric=event.metric, since=min(since, event.at), value=event.value, raised=raised)
    sensor, effects = _raised(replace(sensor, beyond=(*others, now)[-MAX_METRICS:]), event.at, device)
    return sensor, point + effects


def _outside(event: SensorMeasured, device: Device, *, band: bool) -> bool:
    """Beyond a limit; with `band`, until it has come back by so much."""
    back = device.param(f"{event.metric}_band", 0.0) if band else 0.0
    low, high = device.params.get(f"{event.metric}_min"), device.params.get(f"{event.metric}_max")
    return (low is not None and event.value < low + back) or (high is not None and event.value > high - back)


def _raised(sensor: Sensor, at: datetime, device: Device) -> Step[Sensor]:
    """Raise what has been beyond its limit for long enough."""
    delay = seconds(device, PARAMS, "limit_delay_s")
    due = [b for b in sensor.beyond if not b.raised and at >= b.since + delay]
    effects: list[Effect] = [
        RaiseAlert(code="sensor_limit", at=b.since + delay, instance=b.metric, detail={b.metric: b.value}) for b in due
    ]
    beyond = tuple(replace(b, raised=True) if b in due else b for b in sensor.beyond)
    return replace(sensor, beyond=beyond), effects


def deadline(sensor: Sensor, device: Device) -> datetime | None:
    """When something has been beyond its limit for long enough."""
    delay = seconds(device, PARAMS, "limit_delay_s")
    return min((b.since + delay for b in sensor.beyond if not b.raised), default=None)


SENSOR = DeviceKind(name="sensor", initial=Sensor(), decide=decide, deadline=deadline, params=PARAMS)
