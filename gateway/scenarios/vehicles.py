"""Vehicles on the estate: guests that stay too long, and no room left for anybody."""

from __future__ import annotations

from datetime import datetime, timedelta

from msgspec import Struct
from msgspec.structs import replace

from devices.effects import ClearAlert, Effect, RaiseAlert
from devices.events import BayChanged, Direction, Event, Listing, PlateChecked, Ticked, VehiclePassed
from devices.model import Device, Step
from gateway.policy import Policy, plate_digest
from gateway.settings import Policies

# -- a guest's or a stranger's vehicle that came in and stays ----------------------------------------------------------

_CODES = {Listing.VISITOR: "visitor_overstay", Listing.EXPIRED: "visitor_overstay", Listing.UNKNOWN: "unknown_stays"}


class Guest(Struct, frozen=True, kw_only=True):
    """A vehicle that is no resident's: where it stands in the registry, by which lane and when it came in."""

    listing: Listing = Listing.ALLOW
    plate: str = ""
    lane: str = ""
    evidence: str = ""
    entered_at: datetime | None = None
    raised: bool = False


def _guest_scope(event: Event, device: Device) -> str:
    match event:
        case PlateChecked(plate=plate) | VehiclePassed(plate=plate) if plate:
            return f"{device.community}/{plate_digest(plate)}"
    return ""


def _guest_deadline(state: Guest, limits: Policies) -> datetime | None:
    if state.entered_at is None or state.raised or state.listing not in _CODES:
        return None
    return state.entered_at + timedelta(hours=limits.visit_h)


def _guest(state: Guest, event: Event, device: Device | None, limits: Policies) -> Step[Guest]:
    match event, device:
        case PlateChecked(listing=listing, plate=plate), _ if listing in _CODES or state.entered_at is not None:
            known = replace(state, listing=listing, plate=plate)
            # Registered meanwhile: no guest any more.
            return (known, []) if listing in _CODES else (Guest(), _gone(state, event.at))
        case VehiclePassed(direction=Direction.IN, at=at, evidence=evidence), Device() if state.plate:
            came = replace(state, lane=device.id, evidence=evidence, entered_at=at, raised=False)
            return came, _gone(state, at)  # in again without having left: we missed it leaving
        case VehiclePassed(direction=Direction.OUT, at=at), _:
            return Guest(), _gone(state, at)
        case Ticked(at=at), _ if (due := _guest_deadline(state, limits)) and at >= due and state.entered_at:
            told = RaiseAlert(
                code=_CODES[state.listing],
                at=due,
                instance=f"{state.entered_at:%Y%m%dT%H%M%S%f}",
                subject=state.plate,
                evidence=state.evidence,
                detail={"hours": limits.visit_h},
                device=state.lane,
            )
            return replace(state, raised=True), [told]
    return state, []


def _gone(state: Guest, at: datetime) -> list[Effect]:
    if not state.raised or state.entered_at is None:
        return []
    instance = f"{state.entered_at:%Y%m%dT%H%M%S%f}"
    return [ClearAlert(code=_CODES[state.listing], at=at, instance=instance, device=state.lane)]


VISIT = Policy(
    name="visit",
    initial=Guest(),
    hears=(PlateChecked, VehiclePassed),
    scope=_guest_scope,
    decide=_guest,
    deadline=_guest_deadline,
)

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
