"""A manhole cover with a sensor for its position and the water below.

An open cover is a danger to life: each report of it raises the alert, which stays until a person has dealt with it.
"""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct
from msgspec.structs import replace

from devices.effects import Effect, RecordPoint
from devices.events import (
    BatteryMeasured,
    CoverMoved,
    Event,
    HazardDetected,
    SensorMeasured,
    TamperDetected,
    WaterMeasured,
)
from devices.kinds.common import BATTERY_PARAMS, Params, Raised, battery, either, hazard, limit, switched, tampered
from devices.model import Device, DeviceKind, Step

PARAMS: Params = {
    "tilt_max_deg": (15, "a closed cover tilted more than this is tilted, degrees from the horizontal"),
    "water_alarm_cm": (50, "water nearer to the cover than this is high, cm below the cover"),
    "water_band_cm": (10, "and high until it has fallen this much further, cm"),
    **BATTERY_PARAMS,
}


class Cover(Struct, frozen=True, kw_only=True):
    """`open`: None until heard. `raised`: what is wrong besides."""

    open: bool | None = None
    raised: Raised = ()


def decide(cover: Cover, event: Event, device: Device) -> Step[Cover]:  # noqa: PLR0911 - one table
    """An open or tilted cover, high water, a low battery, an opened housing."""
    match event:
        case CoverMoved():
            return _moved(cover, event, device)
        case WaterMeasured(below_cover_cm=depth, at=at):
            high = depth < limit(device, PARAMS, "water_alarm_cm")
            if not high and "water_high" in cover.raised:
                high = depth <= limit(device, PARAMS, "water_alarm_cm") + limit(device, PARAMS, "water_band_cm")
            raised, effects = switched(cover.raised, "water_high", at, holds=high)
            point = RecordPoint(metric="water_below_cover_cm", value=depth, at=at)
            return replace(cover, raised=raised), [point, *effects]
        case BatteryMeasured():
            raised, effects = battery(cover.raised, event, device)
            return replace(cover, raised=raised), effects
        case TamperDetected():
            return cover, tampered(event)
        case HazardDetected():
            return cover, hazard(event)
        case SensorMeasured(metric=metric, value=value, at=at):
            return cover, [RecordPoint(metric=metric, value=value, at=at)]
    return cover, []


def _moved(cover: Cover, event: CoverMoved, device: Device) -> Step[Cover]:
    effects: list[Effect] = []
    if event.open or cover.open:
        effects.append(either("cover_open", event.at, active=event.open))
    raised = cover.raised
    if event.tilt_deg is not None:
        effects.append(RecordPoint(metric="tilt_deg", value=event.tilt_deg, at=event.at))
        tilted = not event.open and event.tilt_deg > limit(device, PARAMS, "tilt_max_deg")
        raised, more = switched(raised, "cover_tilted", event.at, holds=tilted)
        effects += more
    return replace(cover, open=event.open, raised=raised), effects


def deadline(_cover: Cover, _device: Device) -> datetime | None:
    """Never: everything it says stands for itself."""
    return None


COVER = DeviceKind(name="cover", initial=Cover(), decide=decide, deadline=deadline, params=PARAMS)
