"""What several kinds share: limits as lengths of time, the earliest deadline, batteries and housings."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from devices.effects import ClearAlert, Effect, RaiseAlert, RecordPoint
from devices.events import BatteryMeasured, Event, Hazard, HazardDetected, LampMeasured, TamperDetected
from devices.model import Device

Params = Mapping[str, tuple[float, str]]
"""A kind's limits: name -> (default, meaning with unit)."""

Raised = tuple[str, ...]
"""Codes of the alerts a kind has raised for a condition that still holds."""

BATTERY_PARAMS: Params = {
    "battery_low_pct": (15, "below this the battery is low, percent"),
    "battery_ok_pct": (20, "above this a low battery is well again, percent"),
}

HOLDS_LIST: Params = {"holds_list": (0, "1: it decides by itself and is kept supplied with its persons or plates")}


def limit(device: Device, params: Params, name: str) -> float:
    """A limit as set for this device, or the default of its kind."""
    return device.param(name, params[name][0])


def seconds(device: Device, params: Params, name: str) -> timedelta:
    """A limit in seconds, as a length of time."""
    return timedelta(seconds=limit(device, params, name))


def earliest(*times: datetime | None) -> datetime | None:
    """The first of these that there is."""
    return min((time for time in times if time is not None), default=None)


def switched(raised: Raised, code: str, at: datetime, *, holds: bool) -> tuple[Raised, list[Effect]]:
    """Raise `code` when its condition begins to hold, clear it when it ends, say nothing in between."""
    if holds == (code in raised):
        return raised, []
    if holds:
        return (*raised, code), [RaiseAlert(code=code, at=at)]
    return tuple(other for other in raised if other != code), [ClearAlert(code=code, at=at)]


def battery(raised: Raised, event: BatteryMeasured, device: Device) -> tuple[Raised, list[Effect]]:
    """Record the charge; `battery_low` with a dead band, so that a battery at the limit does not chatter."""
    holds = event.level_pct < limit(device, BATTERY_PARAMS, "battery_low_pct")
    if not holds and "battery_low" in raised:
        holds = event.level_pct <= limit(device, BATTERY_PARAMS, "battery_ok_pct")
    raised, effects = switched(raised, "battery_low", event.at, holds=holds)
    return raised, [RecordPoint(metric="battery_pct", value=event.level_pct, at=event.at), *effects]


def tampered(event: TamperDetected) -> list[Effect]:
    """The housing was opened, or closed again (the alert latches: a person still has to look)."""
    return [either("tamper", event.at, active=event.active)]


def either(code: str, at: datetime, *, active: bool, evidence: str = "") -> Effect:
    """What the device itself says of a fault: it began, or it is over."""
    return RaiseAlert(code=code, at=at, evidence=evidence) if active else ClearAlert(code=code, at=at)


HAZARDS = {
    Hazard.SMOKE: "smoke",
    Hazard.GAS: "gas",
    Hazard.WATER_LEAK: "water_leak",
    Hazard.HEAT: "heat",
    Hazard.INTRUSION: "intrusion",
    Hazard.VIBRATION: "vibration",
    Hazard.SOS: "sos",
}
"""The alert each hazard raises."""


def hazard(event: HazardDetected) -> list[Effect]:
    """A sensor warns, or says that it is over. A test button raises nothing: the journal shows that it was pressed."""
    if event.test:
        return []
    return [either(HAZARDS[event.hazard], event.at, active=event.active, evidence=event.evidence)]


def figures(event: LampMeasured) -> list[Effect]:
    """What was measured, as points."""
    names = (name for name in event.__struct_fields__ if name not in Event.__struct_fields__)
    values = ((name, getattr(event, name)) for name in names)
    return [RecordPoint(metric=name, value=v, at=event.at) for name, v in values if v is not None]
