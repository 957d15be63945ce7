"""A vehicle that came in and never left: a candidate for a zombie car (僵尸车), with a score for whether it still is
there.

away --in--> inside --zombie_days, no exit seen--> candidate (alert) --out, or in again--> over
away for a week --> forgotten

Either it has not moved, or it left and its exit was not seen (no plate, a misread one), and it has not come back since.
How likely each is follows from how often its exits were missed before, and from how often it used to come back.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from msgspec import Struct
from msgspec.structs import replace

from devices.effects import ClearAlert, Effect, RaiseAlert
from devices.events import Direction, Event, Ticked, VehiclePassed
from devices.model import Device, Step
from gateway.policy import Policy, plate_digest
from gateway.settings import Policies

CODE = "vehicle_overstay"
AS_GOOD_AS = 20
"""The estate's own share of missed exits counts for a plate as much as so many exits of its own."""
MOST = 1000
"""Further visits teach nothing."""


REMEMBERED = timedelta(days=7)
"""So long a vehicle that left is known by its visits: enough for whoever lives here, and guests fill no memory."""


class Stay(Struct, frozen=True, kw_only=True):
    """A vehicle: since when it is on the estate, by which barrier it came; or when it left. `visits` ended with an exit
    that was seen, `missed` with one that was not: it came in again without having left.
    """

    plate: str = ""
    barrier: str = ""
    evidence: str = ""
    entered_at: datetime | None = None
    left_at: datetime | None = None
    raised: bool = False
    visits: int = 0
    missed: int = 0


def scope(event: Event, device: Device) -> str:
    """A plate in a community, without saying whose."""
    if not isinstance(event, VehiclePassed) or not event.plate or event.direction is Direction.UNKNOWN:
        return ""
    return f"{device.community}/{plate_digest(event.plate)}"


def deadline(state: Stay, limits: Policies) -> datetime | None:
    """When it becomes a candidate, or is forgotten."""
    if state.entered_at is None:
        return state.left_at + REMEMBERED if state.left_at else None
    return None if state.raised else state.entered_at + timedelta(days=limits.zombie_days)


def decide(state: Stay, event: Event, device: Device | None, limits: Policies) -> Step[Stay]:
    """See the table at the top."""
    match event, device:
        case VehiclePassed(direction=Direction.IN, at=at), Device():
            missed = min(MOST, state.missed + (state.entered_at is not None))
            came = Stay(plate=event.plate, barrier=device.id, evidence=event.evidence, entered_at=at)
            return replace(came, visits=state.visits, missed=missed), _over(state, at)
        case VehiclePassed(direction=Direction.OUT, at=at), _ if state.entered_at:
            return Stay(left_at=at, visits=min(MOST, state.visits + 1), missed=state.missed), _over(state, at)
        case Ticked(at=at), _ if (due := deadline(state, limits)) and at >= due:
            return _waited(state, due, limits)
    return state, []


def _waited(state: Stay, due: datetime, limits: Policies) -> Step[Stay]:
    if state.entered_at is None:
        return Stay(), []
    alert = RaiseAlert(
        code=CODE,
        at=due,
        instance=_instance(state.entered_at),
        subject=state.plate,
        evidence=state.evidence,
        confidence=round(likelihood(state, limits), 3),
        detail={"days": limits.zombie_days, "visits_before": state.visits + state.missed},
        device=state.barrier,
    )
    return replace(state, raised=True), [alert]


def likelihood(state: Stay, limits: Policies) -> float:
    """That it still stands there, by Bayes' rule: it stays for so long with the estate's `zombie_share`; against that,
    its exit was missed and it has not come back. Both rates of its own are shrunk: the first towards the estate's
    `missed_exit_share`, the second by the rule of succession.
    """
    before = state.visits + state.missed
    missed = (state.missed + AS_GOOD_AS * limits.missed_exit_share) / (before + AS_GOOD_AS)
    stays_away = 1 / (before + 1)
    stands = limits.zombie_share
    return stands / (stands + (1 - stands) * missed * stays_away)


def _over(state: Stay, at: datetime) -> list[Effect]:
    if not state.raised or state.entered_at is None:
        return []
    return [ClearAlert(code=CODE, at=at, instance=_instance(state.entered_at), device=state.barrier)]


def _instance(at: datetime) -> str:
    return f"{at:%Y%m%dT%H%M%S%f}"


STAY = Policy(name=CODE, initial=Stay(), hears=(VehiclePassed,), scope=scope, decide=decide, deadline=deadline)
