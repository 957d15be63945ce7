"""Vehicles on the estate: no room left for anybody."""

from __future__ import annotations

from datetime import datetime, timedelta

from msgspec import Struct
from msgspec.structs import replace

from devices.effects import ClearAlert, RaiseAlert
from devices.events import BayChanged, Event, Ticked
from devices.model import Device, Step
from gateway.policy import Policy
from gateway.settings import Policies

# -- no bay is free (停车难) ------------------------------------------------------------------------------------------


class Lot(Struct, frozen=True, kw_only=True):
    """The bays of a community heard of, and which are taken; `full_since` while all are; `carrier`: whose alert it
    is.
    """

    bays: dict[str, bool] = {}
    full_since: datetime | None = None
    carrier: str = ""


def _lot_scope(event: Event, device: Device) -> str:
    return device.community if isinstance(event, BayChanged) and device.param("private", 0) == 0 else ""


def _lot_deadline(state: Lot, limits: Policies) -> datetime | None:
    waiting = state.full_since is not None and not state.carrier
    return state.full_since + timedelta(minutes=limits.full_min) if waiting and state.full_since else None


def _lot(state: Lot, event: Event, device: Device | None, limits: Policies) -> Step[Lot]:
    match event, device:
        case BayChanged(occupied=occupied, at=at), Device():
            bays = {**state.bays, device.id: occupied}
            full = len(bays) >= limits.full_bays and all(bays.values())
            if full:
                return replace(state, bays=bays, full_since=state.full_since or at), []
            over = [ClearAlert(code="parking_full", at=at, device=state.carrier)] if state.carrier else []
            return Lot(bays=bays), list(over)
        case Ticked(at=at), _ if (due := _lot_deadline(state, limits)) and at >= due:
            carrier = next(iter(state.bays))
            told = RaiseAlert(code="parking_full", at=due, detail={"bays": len(state.bays)}, device=carrier)
            return replace(state, carrier=carrier), [told]
    return state, []


PARKING_FULL = Policy(
    name="parking_full", initial=Lot(), hears=(BayChanged,), scope=_lot_scope, decide=_lot, deadline=_lot_deadline
)
