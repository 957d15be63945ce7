"""A parking bay with a sensor: taken too long, or a private one taken by somebody else's vehicle.

free --taken--> taken --overstay_h--> overstay (alert) --left--> free (alerts cleared)
"""

from __future__ import annotations

from datetime import datetime, timedelta

from msgspec import Struct
from msgspec.structs import replace

from devices.effects import CheckPlate, ClearAlert, Effect, RaiseAlert, RecordPoint
from devices.events import (
    BatteryMeasured,
    BayChanged,
    Event,
    HazardDetected,
    Listing,
    PlateChecked,
    SensorMeasured,
    TamperDetected,
    Ticked,
)
from devices.kinds.common import BATTERY_PARAMS, Params, Raised, battery, hazard, limit, switched, tampered
from devices.model import Device, DeviceKind, Step

PARAMS: Params = {
    "overstay_h": (72, "taken longer than this is an overstay, h; 0: never"),
    "private": (0, "1: only vehicles the registry allows here may use it"),
    **BATTERY_PARAMS,
}
OVERSTAY, FOREIGN = "bay_overstay", "bay_foreign_vehicle"


class Bay(Struct, frozen=True, kw_only=True):
    """`occupied_at`: since when it is taken, None while free; `plate`: by whom, "" where the sensor cannot tell."""

    occupied_at: datetime | None = None
    plate: str = ""
    raised: Raised = ()


def decide(bay: Bay, event: Event, device: Device) -> Step[Bay]:  # noqa: PLR0911 - one table
    """See the table at the top; `deadline` says when it wants `Ticked`."""
    match event:
        case BayChanged(occupied=True):
            return _taken(bay, event, device)
        case BayChanged(at=at):
            return _left(bay, at)
        case PlateChecked(plate=plate, listing=listing, at=at, evidence=evidence) if plate and plate == bay.plate:
            foreign = listing not in (Listing.ALLOW, Listing.VISITOR)
            raised, effects = switched(bay.raised, FOREIGN, at, holds=foreign)
            if foreign and effects:
                effects = [RaiseAlert(code=FOREIGN, at=at, subject=plate, evidence=evidence)]
            return replace(bay, raised=raised), effects
        case BatteryMeasured():
            raised, effects = battery(bay.raised, event, device)
            return replace(bay, raised=raised), effects
        case TamperDetected():
            return bay, tampered(event)
        case HazardDetected():
            return bay, hazard(event)
        case SensorMeasured(metric=metric, value=value, at=at):
            return bay, [RecordPoint(metric=metric, value=value, at=at)]
        case Ticked(at=at) if (due := deadline(bay, device)) and at >= due:
            raised, effects = switched(bay.raised, OVERSTAY, due, holds=True)
            return replace(bay, raised=raised), effects
    return bay, []


def _taken(bay: Bay, event: BayChanged, device: Device) -> Step[Bay]:
    effects: list[Effect] = []
    if bay.plate and event.plate and event.plate != bay.plate:
        bay, effects = _left(bay, event.at)  # another vehicle: the sensor missed the change
    news = event.plate not in ("", bay.plate)
    bay = replace(bay, occupied_at=bay.occupied_at or event.at, plate=event.plate or bay.plate)
    if news and limit(device, PARAMS, "private"):
        effects.append(CheckPlate(plate=bay.plate, at=event.at, captured_at=event.at))
    return bay, effects


def _left(bay: Bay, at: datetime) -> Step[Bay]:
    over: list[Effect] = [ClearAlert(code=code, at=at) for code in (OVERSTAY, FOREIGN) if code in bay.raised]
    raised = tuple(code for code in bay.raised if code not in (OVERSTAY, FOREIGN))
    return replace(bay, occupied_at=None, plate="", raised=raised), over


def deadline(bay: Bay, device: Device) -> datetime | None:
    """When the vehicle has stayed too long."""
    hours = limit(device, PARAMS, "overstay_h")
    if bay.occupied_at is None or hours <= 0 or OVERSTAY in bay.raised:
        return None
    return bay.occupied_at + timedelta(hours=hours)


BAY = DeviceKind(name="bay", initial=Bay(), decide=decide, deadline=deadline, params=PARAMS)
