"""A vehicle at a barrier whose plate a person has to look at: one alert a lane and kind of doubt, until it has passed.

The plates it may be are not in the alert: its `candidates` are ids of vehicles, for whoever may read the register.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from msgspec import Struct

from devices.effects import ClearAlert, RaiseAlert
from devices.events import Event, PlateChecked, PlateVerdict, Ticked, VehiclePassed
from devices.model import Device, Step
from gateway import settings

OF_INTEREST = timedelta(minutes=10)
UNSURE = "plate_unsure"
NEAR_BLOCK = "plate_near_blocklist"


class Doubts(Struct, frozen=True, kw_only=True):
    """Alerts raised at a lane, and until when they are of interest."""

    barrier: str = ""
    codes: tuple[str, ...] = ()
    until: datetime | None = None


def scope(event: Event, device: Device) -> str:
    """A lane."""
    return device.id if device.kind == "barrier" and isinstance(event, PlateChecked | VehiclePassed) else ""


def deadline(state: Doubts, limits: settings.Policies) -> datetime | None:  # noqa: ARG001 - every deadline's shape
    """When nobody is interested any more."""
    return state.until


def decide(state: Doubts, event: Event, device: Device | None, limits: settings.Policies) -> Step[Doubts]:  # noqa: ARG001
    """Raised by what the registry could not tell, cleared when a vehicle has passed or by and by."""
    match event, device:
        case PlateChecked(settled=True, elsewhere=""), Device():
            return _checked(state, event, device)
        case VehiclePassed(at=at), _ if state.codes:
            return _over(state, at)
        case Ticked(at=at), _ if state.until and at >= state.until:
            return _over(state, at)
    return state, []


def _checked(state: Doubts, event: PlateChecked, device: Device) -> Step[Doubts]:
    codes = []
    if event.verdict in (PlateVerdict.UNSURE, PlateVerdict.SIMILAR):
        codes.append(UNSURE)
    if event.near_block:
        codes.append(NEAR_BLOCK)
    if not codes:
        return state, []
    until = max(state.until or event.at, event.at + OF_INTEREST)
    after = Doubts(barrier=device.id, codes=tuple(sorted({*state.codes, *codes})), until=until)
    return after, [_alert(code, event, device) for code in codes]


def _alert(code: str, event: PlateChecked, device: Device) -> RaiseAlert:
    detail: dict[str, Any] = {"verdict": event.verdict.value, "frames": event.frames, "read_surely": event.sure}
    if event.candidates:
        detail["candidates"] = list(event.candidates)
    if event.distance is not None:
        detail["distance"] = round(event.distance, 2)
    if event.margin is not None:
        detail["margin"] = round(event.margin, 2)
    if event.camera_plate:
        detail["camera_disagrees"] = True
    return RaiseAlert(
        code=code,
        at=event.captured_at,
        subject=event.read or event.plate,
        evidence=event.evidence,
        detail=detail,
        device=device.id,
    )


def _over(state: Doubts, at: datetime) -> Step[Doubts]:
    return Doubts(), [ClearAlert(code=code, at=at, device=state.barrier) for code in state.codes]
