"""A vehicle's stay, and the alerts it leads to when it stays too long: a stranger's, a guest's, and after weeks
anybody's, a candidate for a zombie car (僵尸车). Pure; `gateway.presencebook` tells what happens.

away --in--> inside --limit passed--> overdue --likely still there--> alert --out, in again, gone--> over
                                         |--perhaps--> on the list for a round, asked again every day
away for a week (who comes often: two months) --> forgotten

How likely it is, see `gateway.presence`.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from msgspec.structs import replace

from devices.effects import ClearAlert, Effect, RaiseAlert
from devices.events import Listing
from devices.kinds.common import earliest
from devices.model import Step
from gateway.policy import Policy
from gateway.presence import Stay, Trace, Yard
from gateway.settings import Policies

ZOMBIE, ROUND = "vehicle_overstay", "round_due"
GUESTS = {Listing.VISITOR: "visitor_overstay", Listing.EXPIRED: "visitor_overstay", Listing.UNKNOWN: "unknown_stays"}
REMEMBERED, REMEMBERED_LONG, OFTEN = timedelta(days=7), timedelta(days=60), 5
"""So long a vehicle that left is known by its visits, and so long one that came so often: guests fill no memory."""
AGAIN, AGAIN_TOLD = timedelta(days=1), timedelta(hours=1)
"""How often an overdue vehicle is asked about again: it may have been registered, or turned out to have left."""
SETTLED = timedelta(minutes=3)
"""A plate read at a lane of which no passage is told for so long will have none told."""
READINGS = 32
MOST = 1000
"""Further visits teach nothing."""


def limits_of(stay: Stay, limits: Policies) -> Iterator[tuple[datetime, str]]:
    """From when on it stays too long, and the alert that says so."""
    if stay.entered_at is None:
        return
    if stay.listing in GUESTS:
        yield stay.entered_at + timedelta(hours=limits.visit_h), GUESTS[stay.listing]
    yield stay.entered_at + timedelta(days=limits.zombie_days), ZOMBIE


def waits(stay: Stay, limits: Policies, now: datetime) -> datetime | None:
    """Since when it stays too long without an alert that says so; None: it does not."""
    return earliest(*(due for due, code in limits_of(stay, limits) if due <= now and code not in stay.told))


def deadline(stay: Stay, limits: Policies) -> datetime | None:
    """When it is to be asked about, or is forgotten."""
    if stay.entered_at is None:
        often = stay.visits >= OFTEN
        return stay.left_at + (REMEMBERED_LONG if often else REMEMBERED) if stay.left_at else None
    last, every = stay.checked_at, AGAIN_TOLD if stay.told else AGAIN
    return earliest(*(due if last is None or last < due else last + every for due, _ in limits_of(stay, limits)))


def came(before: Stay, *, plate: str, read: str, barrier: str, evidence: str, listing: Listing, at: datetime) -> Stay:
    """In by this barrier. Its exit was missed where it had not left."""
    return Stay(
        plate=plate,
        read=read if read != plate else "",
        barrier=barrier,
        evidence=evidence,
        listing=listing,
        entered_at=at,
        visits=before.visits,
        missed=min(MOST, before.missed + (before.entered_at is not None)),
    )


def left(stay: Stay, at: datetime, *, seen: bool = True) -> Stay:
    """Out. `seen`: by an exit that was seen, or else at some time before."""
    visits, missed = stay.visits + seen, stay.missed + (not seen)
    return Stay(plate=stay.plate, listing=stay.listing, left_at=at, visits=min(MOST, visits), missed=min(MOST, missed))


def over(stay: Stay, at: datetime) -> list[Effect]:
    """The ends of its alerts."""
    return [ClearAlert(code=code, at=at, instance=_instance(stay), device=stay.barrier) for code in stay.told]


def asked(stay: Stay, probability: float, limits: Policies, now: datetime, *, about: dict[str, Any]) -> Step[Stay]:
    """It is inside with this probability: an alert, or the end of one. `about`: for the alert's detail."""
    effects: list[Effect] = []
    told = []
    for due, code in limits_of(stay, limits):
        stands = code in stay.told
        if due > now or probability < (limits.still_there / 2 if stands else limits.still_there):
            continue
        told.append(code)
        if not stands:
            effects.append(_alert(stay, code, probability, limits, now, about))
    effects += over(replace(stay, told=tuple(code for code in stay.told if code not in told)), now)
    return replace(stay, told=tuple(told), checked_at=now), effects


def _alert(
    stay: Stay, code: str, probability: float, limits: Policies, now: datetime, about: dict[str, Any]
) -> RaiseAlert:
    limit = {"days": limits.zombie_days} if code == ZOMBIE else {"hours": limits.visit_h}
    return RaiseAlert(
        code=code,
        at=now,
        instance=_instance(stay),
        subject=stay.plate,
        evidence=stay.evidence,
        confidence=round(probability, 3),
        detail={**limit, **about, "visits_before": stay.visits + stay.missed},
        device=stay.barrier,
    )


def _instance(stay: Stay) -> str:
    """Tells stays apart without saying whose: a hash of a plate could be guessed back, a time cannot."""
    return f"{stay.entered_at:%Y%m%dT%H%M%S%f}"


# -- the round ---------------------------------------------------------------------------------------------------------


def round_deadline(yard: Yard, limits: Policies) -> datetime | None:
    """When somebody is reminded of the list, or it is looked through again."""
    if yard.waiting_since is None:
        return None
    due = yard.waiting_since + timedelta(days=limits.round_days)
    return max(due, yard.looked_at + AGAIN) if yard.looked_at else due


def yard_deadline(yard: Yard, limits: Policies) -> datetime | None:
    """When a reading is settled, or the list looked through."""
    return earliest(round_deadline(yard, limits), *(one.at + SETTLED for one in yard.readings))


def looked_through(yard: Yard, waiting: int, limits: Policies, now: datetime, *, marked: bool = False) -> Step[Yard]:
    """So many vehicles are on the list. One alert for all of them where nobody `marked` any for days, and its end."""
    since = None if not waiting else now if marked else yard.waiting_since or now
    due = since is not None and since + timedelta(days=limits.round_days) <= now
    after = replace(yard, waiting_since=since, looked_at=now, round_told=due)
    if due and not yard.round_told:
        detail = {"vehicles": waiting, "round_days": limits.round_days}
        return after, [RaiseAlert(code=ROUND, at=now, detail=detail, device=yard.lane)]
    if yard.round_told and not due:
        return after, [ClearAlert(code=ROUND, at=now, device=yard.lane)]
    return after, []


def trace_deadline(trace: Trace, limits: Policies) -> datetime | None:
    """When it says nothing any more."""
    return trace.at + 1.5 * timedelta(days=limits.zombie_days)


def _by_the_book(state: Any, *_: Any) -> Step[Any]:
    raise AssertionError(f"only gateway.presencebook decides {type(state).__name__}")


def _nowhere(*_: Any) -> str:
    return ""


def _kept(name: str, initial: Any, due: Any) -> Policy:
    return Policy(name=name, initial=initial, hears=(), scope=_nowhere, decide=_by_the_book, deadline=due)


STAY = _kept(ZOMBIE, Stay(), deadline)
TRACE = _kept("exit_trace", Trace(at=datetime.min.replace(tzinfo=UTC), lane=""), trace_deadline)
YARD = _kept("yard", Yard(), yard_deadline)
"""States that are kept and woken like those of other policies, but decided together."""
