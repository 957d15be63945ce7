"""Vehicles on the estate: no room left for anybody, and who is turned away by that."""

from __future__ import annotations

from datetime import datetime, timedelta

from msgspec import Struct
from msgspec.structs import replace

from devices.effects import ClearAlert, Effect, RaiseAlert, RecordPoint
from devices.events import BayChanged, Direction, Event, Listing, PlateChecked, Ticked, VehiclePassed
from devices.kinds.common import earliest
from devices.model import Device, Step
from gateway.policy import Policy, plate_digest
from gateway.settings import Policies

# -- no bay is free (停车难) ------------------------------------------------------------------------------------------


class AtEntry(Struct, frozen=True, kw_only=True):
    """Somebody stands at an entry while no bay is free. `who`: a digest of the plate."""

    lane: str
    who: str
    at: datetime


class Lot(Struct, frozen=True, kw_only=True):
    """The bays of a community heard of, and which are taken; `full_since` while all are; `carrier`: whose alert it
    is. `waiting` came to an entry since then and have not passed; `turned_away`: how many of this time drove off.
    """

    bays: dict[str, bool] = {}
    full_since: datetime | None = None
    carrier: str = ""
    waiting: tuple[AtEntry, ...] = ()
    turned_away: int = 0


WAITING_AT_MOST = 64
TURNED_AWAY = "turned_away"
"""The metric: one vehicle that came while no bay was free and drove off."""


def _lot_scope(event: Event, device: Device) -> str:
    match event:
        case BayChanged() if device.param("private", 0) == 0:
            return device.community
        case PlateChecked() | VehiclePassed() if device.kind == "barrier" and device.direction != Direction.OUT:
            return device.community
    return ""


def _told_at(state: Lot, limits: Policies) -> datetime | None:
    """When it is told that all is taken, unless it has been."""
    untold = state.full_since is not None and not state.carrier
    return state.full_since + timedelta(minutes=limits.full_min) if untold and state.full_since else None


def _lot_deadline(state: Lot, limits: Policies) -> datetime | None:
    patience = timedelta(minutes=limits.turn_away_min)
    return earliest(_told_at(state, limits), *(one.at + patience for one in state.waiting))


def _lot(state: Lot, event: Event, device: Device | None, limits: Policies) -> Step[Lot]:
    match event, device:
        case BayChanged(occupied=occupied, at=at), Device():
            bays = {**state.bays, device.id: occupied}
            return _bays(state, bays, at, full=len(bays) >= limits.full_bays and all(bays.values()))
        case PlateChecked(listing=listing), Device() if state.full_since and listing is not Listing.BLOCK:
            return _at_entry(state, event, device), []
        case VehiclePassed(direction=direction), Device() if state.waiting and direction is not Direction.OUT:
            return _went_in(state, event, device), []
        case Ticked(at=at), _:
            state, gone = _drove_off(state, at, limits)
            due = _told_at(state, limits)
            if due and at >= due:
                state = replace(state, carrier=next(iter(state.bays)))
                return state, [*gone, _full(state, due)]
            return state, [*gone, _full(state, at)] if gone and state.carrier else gone
    return state, []


def _bays(state: Lot, bays: dict[str, bool], at: datetime, *, full: bool) -> Step[Lot]:
    if full and state.full_since is None:
        return replace(state, bays=bays, full_since=at, turned_away=0), []
    if full:
        return replace(state, bays=bays), []
    over: list[Effect] = [ClearAlert(code="parking_full", at=at, device=state.carrier)] if state.carrier else []
    return replace(state, bays=bays, full_since=None, carrier=""), over


def _at_entry(state: Lot, event: PlateChecked, device: Device) -> Lot:
    who = plate_digest(event.plate)
    if any(one.who == who for one in state.waiting):
        return state
    new = AtEntry(lane=device.id, who=who, at=event.captured_at)
    return replace(state, waiting=(*state.waiting, new)[-WAITING_AT_MOST:])


def _went_in(state: Lot, event: VehiclePassed, device: Device) -> Lot:
    """Whoever it was; where nobody read the plate, the one who has stood there longest."""
    who = plate_digest(event.plate) if event.plate else ""
    went = next((one for one in state.waiting if one.who == who or (not who and one.lane == device.id)), None)
    return replace(state, waiting=tuple(one for one in state.waiting if one is not went)) if went else state


def _drove_off(state: Lot, now: datetime, limits: Policies) -> tuple[Lot, list[Effect]]:
    """Those that came and did not go in for so long."""
    gone = [one for one in state.waiting if one.at + timedelta(minutes=limits.turn_away_min) <= now]
    points: list[Effect] = [RecordPoint(metric=TURNED_AWAY, value=1, at=one.at, device=one.lane) for one in gone]
    left = tuple(one for one in state.waiting if one not in gone)
    here = sum(1 for one in gone if state.full_since and one.at >= state.full_since)
    return replace(state, waiting=left, turned_away=state.turned_away + here), points


def _full(state: Lot, at: datetime) -> RaiseAlert:
    detail = {"bays": len(state.bays), "turned_away": state.turned_away}
    return RaiseAlert(code="parking_full", at=at, detail=detail, device=state.carrier)


PARKING_FULL = Policy(
    name="parking_full",
    initial=Lot(),
    hears=(BayChanged, PlateChecked, VehiclePassed),
    scope=_lot_scope,
    decide=_lot,
    deadline=_lot_deadline,
)
