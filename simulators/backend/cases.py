"""A case: what the backend makes of an alert, who is to go there, and when the next level is asked. Pure.

new -> accepted, assigned (派单) -> claimed (认领) -> on_site -> resolved -> verified
              |  nobody claims in time: assigned to the next level
              -> rejected: given back, and dispatched anew by whoever looks at it
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct
from msgspec.structs import asdict, replace

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


APART: Mapping[Work, tuple[Work, ...]] = {
    Work.VERIFIED: (Work.ASSIGNED, Work.CLAIMED, Work.ON_SITE, Work.RESOLVED),
}
"""Who does this has done none of that with the case: nobody vouches for their own work, nor for whom they sent."""
Severity = Annotated[int, Meta(ge=1, le=3)]


class Case(Struct, frozen=True, kw_only=True):
    """One case. `seq`: of the last change taken in; `ahead`: the gateway has answered a step made at that time, and its
    change has not come in yet. `asked`: how many levels were asked, `asked_at` when the last one was, s since 1970.
    `did`: which operator did what, by step. `refusal`: what the gateway said to a step (code, who, stands, text).
    `unknown`: the gateway does not know it any more, since it was set back; it is worked on here alone.
    """

    alert: str
    seq: int = 0
    type: str = ""
    severity: Severity = 3
    title: dict[str, str] = {}
    steps: dict[str, list[str]] = {}
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
    work_at: datetime | None = None
    ahead: datetime | None = None
    assignee: str = ""
    asked: int = 0
    asked_at: float = 0.0
    did: dict[str, str] = {}
    refusal: dict[str, str] = {}
    unknown: bool = False


class _Said(Struct, kw_only=True):
    """What a CloudEvent's data and the API's alerts have in common. Whatever is not of its type is refused."""

    type: str
    severity: Severity
    title: dict[str, str] = {}
    steps: dict[str, list[str]] = {}
    device: str = ""
    raised_at: str = ""
    condition: str = "active"
    open: bool = True
    test: bool = False
    suppressed_by: str | None = None
    work: Work = Work.NONE
    work_at: datetime | None = None


class _Where(Struct, frozen=True):
    community: str = ""
    grid: str = ""
    building: str = ""


class _Delivered(_Said, kw_only=True):
    place: _Where = _Where()
    acknowledged_at: str | None = None


class _Viewed(_Said, kw_only=True):
    community: str = ""
    grid: str = ""
    building: str = ""
    assignee: str = ""
    acknowledged: dict[str, Any] | None = None


def from_delivery(data: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a case out of the data of a CloudEvent.

    :raises msgspec.ValidationError: it is not of the shape the gateway sends.
    """
    said = msgspec.convert(data, _Delivered)
    return _common(said) | asdict(said.place) | {"acknowledged": said.acknowledged_at is not None}


def from_view(view: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a case out of an alert as the API shows it. Raises as `from_delivery`."""
    said = msgspec.convert(view, _Viewed)
    own = {name: getattr(said, name) for name in ("community", "grid", "building", "assignee")}
    return _common(said) | own | {"acknowledged": said.acknowledged is not None}


def _common(said: _Said) -> dict[str, Any]:
    kept = ("type", "severity", "title", "steps", "device", "raised_at", "condition", "open", "test", "work", "work_at")
    return {name: getattr(said, name) for name in kept} | {"hidden": bool(said.suppressed_by)}


def taken_in(case: Case | None, alert: str, seq: int, fields: Mapping[str, Any]) -> Case:
    """The case after one change; an older one than it knows changes nothing, and one from before a step the gateway has
    answered leaves the work as it was answered.
    """
    held = case or Case(alert=alert)
    if seq < held.seq:
        return held
    came = fields.get("work_at")
    behind = held.ahead is not None and (came is None or came < held.ahead)
    if behind:
        fields = {name: value for name, value in fields.items() if name not in ("work", "work_at", "assignee")}
    after = replace(held, seq=seq, ahead=held.ahead if behind else None, unknown=False, **fields)
    given = held.work in (Work.ACCEPTED, Work.ASSIGNED) and after.work in (Work.CLAIMED, Work.ON_SITE)
    if given and after.assignee != held.assignee and held.assignee:
        after = replace(after, refusal=refused("claimed_already", who=after.assignee or "?", stands=after.work))
    if after.work is Work.NONE and held.work is not Work.NONE:  # it came back: everybody is asked anew
        return replace(after, asked=0, asked_at=0.0, assignee="", refusal={}, did={})
    return after


def answered(case: Case, fields: Mapping[str, Any], refusal: Mapping[str, str]) -> Case:
    """The case as the gateway shows it in answer to a step; its change may still be under way."""
    ahead = fields["work_at"] if fields.get("work_at") != case.work_at else case.ahead
    return replace(case, **fields, ahead=ahead, refusal=dict(refusal))


def worked_alone(case: Case, work: Work, assignee: str, operator: str) -> Case:
    """The case after a step the gateway is not told of; verified, it is over: nobody else will end it."""
    did = case.did | {work.value: operator}
    over = work is Work.VERIFIED
    return replace(case, work=work, assignee=assignee or case.assignee, did=did, open=not over, refusal={})


def refused(code: str, *, who: str = "", stands: Work | str = "", text: str = "") -> dict[str, str]:
    """A refusal as the page tells it."""
    return {"code": code, "who": who, "stands": str(stands), "text": text}


def not_apart(case: Case, work: Work, operator: str) -> Work | None:
    """Which step this operator has done that they may not follow with `work`; None: they may."""
    barred = APART.get(work, ())
    done = next((before for before in barred if case.did.get(before.value) == operator), None)
    return done or (Work.CLAIMED if barred and operator == case.assignee else None)


def wants_somebody(case: Case) -> bool:
    """It is to be dispatched: nobody has it, and it is not behind another."""
    waits = case.work in (Work.NONE, Work.ACCEPTED)
    return waits and case.open and case.condition == "active" and not (case.hidden or case.test or case.unknown)


def unclaimed_since(case: Case) -> float | None:
    """Since when it is assigned and nobody has claimed it, s since 1970."""
    waits = case.work is Work.ASSIGNED and case.asked and case.open and not case.unknown
    return case.asked_at if waits else None


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
