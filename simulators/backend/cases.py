"""A case: what the backend makes of an alert, who is to go there, and when the next level is asked. Pure.

new -> accepted, assigned (派单) -> claimed (认领) -> on_site -> resolved -> verified
              |  nobody claims in time: assigned to the next level
              -> rejected: given back, and dispatched anew by whoever looks at it
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from devices.alerts import Work
from devices.escalation import LEVELS, Level

FIELD_LEVELS = LEVELS[1:]
"""Who is sent: the desk has seen it already."""
NEXT: Mapping[Work, tuple[Work, ...]] = {
    Work.NONE: (Work.ACCEPTED, Work.ASSIGNED, Work.CLAIMED, Work.REJECTED),
    Work.ACCEPTED: (Work.ASSIGNED, Work.CLAIMED, Work.REJECTED),
    Work.ASSIGNED: (Work.CLAIMED, Work.ASSIGNED, Work.REJECTED),
    Work.CLAIMED: (Work.ON_SITE, Work.ASSIGNED, Work.REJECTED),
    Work.ON_SITE: (Work.RESOLVED, Work.ASSIGNED, Work.REJECTED),
    Work.RESOLVED: (Work.VERIFIED, Work.REJECTED),
    Work.VERIFIED: (),
    Work.REJECTED: (Work.ASSIGNED, Work.CLAIMED),
}
"""What may be done with a case as it stands."""


class Case(Struct, frozen=True, kw_only=True):
    """One case. `seq`: of the last change taken in. `asked`: how many levels were asked, `asked_at` when the last one
    was, s since 1970. `told`: what the gateway said when somebody else was faster; "" otherwise.
    """

    alert: str
    seq: int = 0
    type: str = ""
    severity: int = 3
    title: dict[str, str] = {}
    advice: dict[str, str] = {}
    community: str = ""
    grid: str = ""
    building: str = ""
    device: str = ""
    raised_at: str = ""
    condition: str = "active"
    open: bool = True
    acknowledged: bool = False
    hidden: bool = False
    test: bool = False
    work: Work = Work.NONE
    assignee: str = ""
    asked: int = 0
    asked_at: float = 0.0
    told: str = ""


def from_delivery(data: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a case out of the data of a CloudEvent."""
    place = data.get("place") or {}
    return _common(data) | {
        "community": place.get("community", ""),
        "grid": place.get("grid", ""),
        "building": place.get("building", ""),
        "acknowledged": data.get("acknowledged_at") is not None,
    }


def from_view(view: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a case out of an alert as the API shows it."""
    own = {name: view.get(name, "") for name in ("community", "grid", "building", "assignee")}
    return _common(view) | own | {"acknowledged": view.get("acknowledged") is not None}


def _common(said: Mapping[str, Any]) -> dict[str, Any]:
    kept = ("type", "severity", "title", "advice", "device", "raised_at", "condition", "open", "test")
    fields = {name: said[name] for name in kept if name in said}
    return fields | {"work": Work(said.get("work", "none")), "hidden": bool(said.get("suppressed_by"))}


def taken_in(case: Case | None, alert: str, seq: int, fields: Mapping[str, Any]) -> Case:
    """The case after one change; an older one than it knows changes nothing."""
    held = case or Case(alert=alert)
    if seq < held.seq:
        return held
    after = replace(held, seq=seq, **fields)
    given = held.work in (Work.ACCEPTED, Work.ASSIGNED) and after.work in (Work.CLAIMED, Work.ON_SITE)
    if given and after.assignee != held.assignee and held.assignee:
        after = replace(after, told=f"{after.assignee or '?'} has claimed it already")
    if after.work is Work.NONE and held.work is not Work.NONE:  # it came back: everybody is asked anew
        return replace(after, asked=0, asked_at=0.0, assignee="", told="")
    return after


def wants_somebody(case: Case) -> bool:
    """It is to be dispatched: nobody has it, and it is not behind another."""
    waits = case.work in (Work.NONE, Work.ACCEPTED)
    return waits and case.open and case.condition == "active" and not (case.hidden or case.test)


def unclaimed_since(case: Case) -> float | None:
    """Since when it is assigned and nobody has claimed it, s since 1970."""
    return case.asked_at if case.work is Work.ASSIGNED and case.asked and case.open else None


# -- who is sent ------------------------------------------------------------------------------------------------------


class Person(Struct, frozen=True, kw_only=True):
    """Somebody who can be sent."""

    id: str
    level: Level
    places: tuple[str, ...]
    name: str = ""
    role: str = ""
    contact: str = ""


class Place(Struct, frozen=True, kw_only=True):
    """A place of the hierarchy; `parent` "" for none."""

    id: str
    kind: str
    name: str
    parent: str = ""


class Roster(Struct, frozen=True, kw_only=True):
    """Who can be sent where. `anybody`: who gets what nobody is named for."""

    places: tuple[Place, ...] = ()
    staff: tuple[Person, ...] = ()
    anybody: str = "grid-worker-1"


def around(case: Case, roster: Roster) -> list[str]:
    """The places of a case, the smallest first, each with those it lies in."""
    parents = {place.id: place.parent for place in roster.places}
    found: list[str] = []
    for start in (case.building, case.grid, case.community):
        place = start
        while place and place not in found:
            found.append(place)
            place = parents.get(place, "")
    return found


def next_asked(case: Case, roster: Roster, busy: Mapping[str, int]) -> tuple[int, str] | None:
    """Which level is asked next and whom of it: of the smallest place that has anybody, who has least to do. None: all
    levels were asked. `busy`: cases in hand, by person.
    """
    for rung in range(case.asked, len(FIELD_LEVELS)):
        for place in around(case, roster):
            here = [one for one in roster.staff if one.level is FIELD_LEVELS[rung] and place in one.places]
            if here:
                return rung + 1, min(here, key=lambda one: (busy.get(one.id, 0), one.id)).id
    return (len(FIELD_LEVELS), roster.anybody) if case.asked == 0 else None


def loads(cases: Sequence[Case]) -> dict[str, int]:
    """Cases in hand, by person."""
    found: dict[str, int] = {}
    for case in cases:
        if case.open and case.assignee and case.work in (Work.ASSIGNED, Work.CLAIMED, Work.ON_SITE):
            found[case.assignee] = found.get(case.assignee, 0) + 1
    return found
