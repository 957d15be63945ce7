"""What spans devices or outlives one event: pure state machines like the kinds, one for each policy and scope.

The hub asks `scope` for the key whose state an event concerns, `decide` for the new state and the effects, `deadline`
for when the state wants `Ticked`. At a tick there is no device, so a state carries what its alerts need, and every
effect names its device. A state that is its policy's initial one again is forgotten by the hub.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from devices.effects import ClearAlert, RaiseAlert
from devices.events import (
    AccessDenied,
    AccessGranted,
    AccessTaken,
    DeviceStatusChanged,
    DoorChanged,
    Event,
    Listing,
    PlateChecked,
    PlateVerdict,
    Ticked,
    VehiclePassed,
)
from devices.model import Device, Step
from gateway import delays, doubts, outage, settings, stays
from gateway.policy import Policy, plate_digest
from gateway.scenarios import SCENARIOS

PASSING = timedelta(minutes=10)
"""A vehicle at the barrier, or a door opened for nobody, is of interest so long."""
NOBODY = "door_open_nobody_passed"


def _instance(at: datetime) -> str:
    """Tells visits apart without saying whose: a hash of a plate could be guessed back, a time cannot."""
    return f"{at:%Y%m%dT%H%M%S%f}"


# -- refused several times at one gate --------------------------------------------------------------------------------


class Refusals(Struct, frozen=True, kw_only=True):
    """The latest refusals at a gate, oldest first; no more than the alert needs."""

    times: tuple[datetime, ...] = ()
    gate: str = ""
    raised: bool = False


def _refusals_scope(_event: Event, device: Device) -> str:
    return device.id


def _refusals_deadline(state: Refusals, limits: settings.Policies) -> datetime | None:
    return max(state.times) + timedelta(seconds=limits.refusal_window_s) if state.times else None


def _refusals(state: Refusals, event: Event, device: Device | None, limits: settings.Policies) -> Step[Refusals]:
    match event, device:
        case AccessDenied(at=at, evidence=evidence, person=person), Device():
            window = timedelta(seconds=limits.refusal_window_s)
            times = (*(t for t in state.times if at - t < window), at)[-limits.refusals :]
            after = Refusals(times=times, gate=device.id, raised=state.raised or len(times) >= limits.refusals)
            if len(times) < limits.refusals:
                return after, []
            detail: dict[str, Any] = {"refusals": len(times), "window_s": limits.refusal_window_s}
            if event.distance is not None:
                detail |= {"distance": event.distance, "threshold": event.threshold}
            alert = RaiseAlert(
                code="repeated_refusal", at=at, subject=person, evidence=evidence, detail=detail, device=device.id
            )
            return after, [alert]
        case AccessGranted(), _ if state.times:
            pass
        case Ticked(at=at), _ if (due := _refusals_deadline(state, limits)) and at >= due:
            pass
        case _:
            return state, []
    cleared = ClearAlert(code="repeated_refusal", at=event.at, device=state.gate)
    return Refusals(), [cleared] if state.raised else []


# -- a blocklisted or unknown vehicle at the barrier ------------------------------------------------------------------


class Visit(Struct, frozen=True, kw_only=True):
    """A vehicle somebody should look at: at which barrier, under which instance, until when."""

    barrier: str = ""
    instance: str = ""
    until: datetime | None = None


def _visit_deadline(state: Visit, limits: settings.Policies) -> datetime | None:  # noqa: ARG001 - every deadline's shape
    return state.until


def _blocked_scope(event: Event, device: Device) -> str:
    blocked = isinstance(event, PlateChecked) and event.listing is Listing.BLOCK
    return f"{device.id}/{plate_digest(event.plate)}" if blocked and isinstance(event, PlateChecked) else ""


def _blocked(state: Visit, event: Event, device: Device | None, limits: settings.Policies) -> Step[Visit]:  # noqa: ARG001
    match event, device:
        case PlateChecked(listing=Listing.BLOCK, at=at), Device():
            return _seen(state, event, device, "blocklisted_plate", state.instance or event.vehicle or _instance(at))
        case Ticked(at=at), _ if state.until and at >= state.until:
            return Visit(), [_gone(state, "blocklisted_plate", at)]
    return state, []


def _unknown_scope(event: Event, device: Device) -> str:
    match event:
        case PlateChecked(settled=False) | PlateChecked(verdict=PlateVerdict.UNSURE):
            return ""  # a better picture may come; and what may be registered is not unknown
        case PlateChecked(listing=Listing.UNKNOWN | Listing.EXPIRED, plate=plate) | VehiclePassed(plate=plate) if plate:
            return f"{device.id}/{plate_digest(plate)}"
    return ""


def _unknown(state: Visit, event: Event, device: Device | None, limits: settings.Policies) -> Step[Visit]:  # noqa: ARG001
    match event, device:
        case PlateChecked(listing=Listing.UNKNOWN | Listing.EXPIRED, at=at), Device():
            return _seen(state, event, device, "unknown_vehicle", state.instance or _instance(at))
        case VehiclePassed(at=at), _ if state.until:
            return Visit(), [_gone(state, "unknown_vehicle", at)]
        case Ticked(at=at), _ if state.until and at >= state.until:
            return Visit(), [_gone(state, "unknown_vehicle", at)]
    return state, []


def _seen(state: Visit, event: PlateChecked, device: Device, code: str, instance: str) -> Step[Visit]:
    until = event.at + PASSING
    after = Visit(barrier=device.id, instance=instance, until=max(state.until, until) if state.until else until)
    alert = RaiseAlert(
        code=code,
        at=event.captured_at,
        instance=instance,
        subject=event.plate,
        evidence=event.evidence,
        detail={"listing": event.listing.value},
        device=device.id,
    )
    return after, [alert]


def _gone(state: Visit, code: str, at: datetime) -> ClearAlert:
    return ClearAlert(code=code, at=at, instance=state.instance, device=state.barrier)


# -- a door opened, and nobody passed ---------------------------------------------------------------------------------


class Opening(Struct, frozen=True, kw_only=True):
    """Somebody was let in (`granted_at`), the door opened (`opened_at`), and it was noticed (`raised_at`)."""

    gate: str = ""
    person: str = ""
    evidence: str = ""
    granted_at: datetime | None = None
    opened_at: datetime | None = None
    raised_at: datetime | None = None


def _opening_scope(_event: Event, device: Device) -> str:
    return device.id if device.param("passage_sensor", 0) == 1 else ""


def _opening_deadline(state: Opening, limits: settings.Policies) -> datetime | None:
    waiting_since = state.opened_at or state.granted_at
    if waiting_since:
        return waiting_since + timedelta(seconds=limits.nobody_passed_s)
    return state.raised_at + PASSING if state.raised_at else None


def _opening(state: Opening, event: Event, device: Device | None, limits: settings.Policies) -> Step[Opening]:
    match event, device:
        case AccessGranted(at=at, person=person, evidence=evidence), Device() if state.opened_at is None:
            return replace(state, gate=device.id, person=person, evidence=evidence, granted_at=at), []
        case DoorChanged(open=True, at=at), _ if state.granted_at and state.opened_at is None:
            return replace(state, opened_at=at), []
        case AccessTaken(at=at), _ if state.granted_at or state.raised_at:
            return Opening(), [_passed(state, at)] if state.raised_at else []
        case Ticked(at=at), _ if (due := _opening_deadline(state, limits)) and at >= due:
            return _nobody(state, due, at)
    return state, []


def _nobody(state: Opening, due: datetime, now: datetime) -> Step[Opening]:
    """The wait is over: for somebody to pass, for the door to open at all, or for an earlier alert to be of use."""
    if state.opened_at:
        alert = RaiseAlert(code=NOBODY, at=due, subject=state.person, evidence=state.evidence, device=state.gate)
        return Opening(gate=state.gate, raised_at=now), [alert]
    if state.granted_at and state.raised_at:
        return Opening(gate=state.gate, raised_at=state.raised_at), []
    return Opening(), [_passed(state, now)] if state.raised_at else []


def _passed(state: Opening, at: datetime) -> ClearAlert:
    return ClearAlert(code=NOBODY, at=at, device=state.gate)


POLICIES: tuple[Policy, ...] = (
    Policy(
        name="repeated_refusal",
        initial=Refusals(),
        hears=(AccessDenied, AccessGranted),
        scope=_refusals_scope,
        decide=_refusals,
        deadline=_refusals_deadline,
    ),
    Policy(
        name="blocklisted_plate",
        initial=Visit(),
        hears=(PlateChecked,),
        scope=_blocked_scope,
        decide=_blocked,
        deadline=_visit_deadline,
        even_late=True,
    ),
    Policy(
        name="unknown_vehicle",
        initial=Visit(),
        hears=(PlateChecked, VehiclePassed),
        scope=_unknown_scope,
        decide=_unknown,
        deadline=_visit_deadline,
    ),
    Policy(
        name="plate_doubt",
        initial=doubts.Doubts(),
        hears=(PlateChecked, VehiclePassed),
        scope=doubts.scope,
        decide=doubts.decide,
        deadline=doubts.deadline,
    ),
    stays.STAY,
    stays.TRACE,
    stays.YARD,
    Policy(
        name="door_open_nobody_passed",
        initial=Opening(),
        hears=(AccessGranted, AccessTaken, DoorChanged),
        scope=_opening_scope,
        decide=_opening,
        deadline=_opening_deadline,
    ),
    Policy(
        name="offline",
        initial=outage.Outage(),
        hears=(DeviceStatusChanged,),
        scope=outage.scope,
        decide=outage.decide,
        deadline=outage.deadline,
    ),
    *SCENARIOS,
    delays.DELAY_ON,
)
"""Every policy, in the order in which they see an event."""
