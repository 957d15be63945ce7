"""Alerts: their types, the orthogonal axes of one alert, and every transition an alert can make. Pure.

An alert's identity is its `key` (community/device/type[/instance]); at most one alert per key is open. Axes:
`condition` active|cleared, `acknowledged` no|yes, `shelved_until`, `suppressed_by`, `work` (mirrored from the backend).
An alert is closed when it is cleared, acknowledged and has a disposition.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from devices.alert_types import ALERT_TYPES, Severity

REOPEN_WITHIN = timedelta(minutes=10)
SHELVE_AT_MOST = timedelta(hours=8)
CHATTER_CYCLES = 5
"""Coming and going so often within `CHATTER_WINDOW` is chatter (ISA-18.2 speaks of three a minute; a street lamp with a
bad joint needs minutes for one)."""
CHATTER_WINDOW = timedelta(minutes=30)
_NOTHING = timedelta()
CHATTER_QUIET = timedelta(minutes=10)
"""A chattering alert is over only when its condition has not come back for so long."""


class Condition(StrEnum):
    """Whether what the alert is about still holds."""

    ACTIVE = "active"
    CLEARED = "cleared"


class Disposition(StrEnum):
    """What a closed alert turned out to be."""

    TRUE = "true"
    FALSE = "false"
    TEST = "test"
    DUPLICATE = "duplicate"
    NO_ACTION = "no_action"


class Work(StrEnum):
    """Where the governance backend stands with the case."""

    NONE = "none"
    ACCEPTED = "accepted"
    ASSIGNED = "assigned"
    CLAIMED = "claimed"
    ON_SITE = "on_site"
    RESOLVED = "resolved"
    VERIFIED = "verified"
    REJECTED = "rejected"


class Alert(Struct, frozen=True, kw_only=True):
    """One alert as it stands. Times UTC. `subject` and `evidence` stay inside unless a contract says otherwise.

    `incident`: what it belongs to (`devices.incidents`); `uplink`: what its device shares with others. `clears_at`: the
    condition has ended, and counts as over if it stays so until then. `cycles`, `cycles_from`: how often it came back,
    counted since when (`chattering`). `shelved_from`: put aside since then without a break. `unowned_since`,
    `owned_since`, `rung`, `climbed_at`, `informed`: see `devices.escalation`. `heard`: the backend's own ids of the
    last steps it told.
    """

    id: str
    key: str
    type: str
    severity: Severity
    community: str
    grid: str = ""
    building: str = ""
    device: str = ""
    instance: str = ""
    condition: Condition = Condition.ACTIVE
    first_seen: datetime
    last_seen: datetime
    raised_at: datetime
    cleared_at: datetime | None = None
    count: int = 1
    confidence: float = 1.0
    evidence: str = ""
    subject: str = ""
    detail: dict[str, Any] = {}
    late: bool = False
    test: bool = False
    acknowledged_at: datetime | None = None
    acknowledged_by: str = ""
    acknowledged_reason: str = ""
    disposition: Disposition | None = None
    disposed_by: str = ""
    shelved_until: datetime | None = None
    shelved_from: datetime | None = None
    shelved_reason: str = ""
    suppressed_by: str = ""
    incident: str = ""
    uplink: str = ""
    clears_at: datetime | None = None
    cycles: int = 0
    cycles_from: datetime | None = None
    unowned_since: datetime | None = None
    owned_since: datetime | None = None
    rung: int = 0
    climbed_at: datetime | None = None
    informed: tuple[str, ...] = ()
    work: Work = Work.NONE
    work_at: datetime | None = None
    assignee: str = ""
    heard: tuple[str, ...] = ()

    @property
    def open(self) -> bool:
        """Open until cleared, acknowledged and disposed of."""
        return self.condition is Condition.ACTIVE or self.acknowledged_at is None or self.disposition is None

    @property
    def chattering(self) -> bool:
        """It comes and goes: a bad actor, whose every going is no news."""
        return self.cycles >= CHATTER_CYCLES


class AlertError(ValueError):
    """A transition the alert's state does not allow (the caller's fault); the text says why, `code` for programs. `who`
    was faster, "" where nobody was; `stands`: where the work stands, None where that is not why.
    """

    def __init__(self, text: str, *, code: str = "refused", who: str = "", stands: Work | None = None) -> None:
        super().__init__(text)
        self.code, self.who, self.stands = code, who, stands


def alert_key(community: str, device: str, code: str, instance: str = "") -> str:
    """The identity of an alert: `community/device/type[/instance]`."""
    return "/".join(part for part in (community, device, code, instance) if part)


def raised_again(
    alert: Alert,
    *,
    at: datetime,
    now: datetime,
    evidence: str = "",
    detail: Mapping[str, Any] | None = None,
    late: bool = False,
) -> Alert:
    """The same condition was seen again. `at`: when, as the device says; `now`: when we learnt it. The
    latest `detail` counts.

    A late report is counted, and never makes a cleared alert active. One that comes back wants to be acknowledged
    again, and worked on again where the work was already over.
    """
    counted = replace(
        alert,
        count=alert.count + 1,
        first_seen=min(alert.first_seen, at),
        last_seen=max(alert.last_seen, at),
        evidence=alert.evidence or evidence if late else evidence or alert.evidence,
        detail=dict(detail) if detail and not late else alert.detail,
        late=alert.late and late,
    )
    if late:
        return counted
    if alert.condition is Condition.ACTIVE:
        return replace(_came_back(counted, now), clears_at=None) if alert.clears_at else counted
    counted = _came_back(counted, now)
    over = alert.work in (Work.RESOLVED, Work.VERIFIED, Work.REJECTED)
    return replace(
        counted,
        condition=Condition.ACTIVE,
        cleared_at=None,
        raised_at=now,
        acknowledged_at=None,
        acknowledged_by="",
        acknowledged_reason="",
        disposition=None,
        disposed_by="",
        work=Work.NONE if over else alert.work,
        work_at=now if over else alert.work_at,
        assignee="" if over else alert.assignee,
    )


def _came_back(alert: Alert, now: datetime) -> Alert:
    """Counted as one more cycle of the present window."""
    if alert.cycles_from is None or now - alert.cycles_from > CHATTER_WINDOW:
        return replace(alert, cycles=1, cycles_from=now)
    return replace(alert, cycles=alert.cycles + 1)


def may_reopen(alert: Alert, *, now: datetime) -> bool:
    """A cleared alert takes a new report of its condition for `REOPEN_WITHIN`, unless it was closed as something
    else than true.
    """
    if alert.cleared_at is None or alert.disposition not in (None, Disposition.TRUE):
        return False
    return abs(now - alert.cleared_at) <= REOPEN_WITHIN


def tells_of(alert: Alert, *, at: datetime) -> bool:
    """Whether a late report of its condition at that time is about this alert, closed or not, and not about something
    of another time that nobody has been told of.
    """
    end = alert.last_seen if alert.cleared_at is None else max(alert.cleared_at, alert.last_seen)
    return alert.first_seen - REOPEN_WITHIN <= at <= end + REOPEN_WITHIN


def cleared(alert: Alert, *, at: datetime) -> Alert:
    """The condition is over; a latching alert stays active."""
    if alert.condition is Condition.CLEARED or ALERT_TYPES[alert.type].latch:
        return alert
    return replace(alert, condition=Condition.CLEARED, cleared_at=at, clears_at=None)


def ending(alert: Alert, *, at: datetime, now: datetime, delay: timedelta = _NOTHING) -> Alert:
    """The condition has ended. It is over at once, or, with a `delay` and for one that chatters, when it has not come
    back by `clears_at`.
    """
    wait = max(delay, CHATTER_QUIET if alert.chattering else _NOTHING)
    if not wait or alert.condition is Condition.CLEARED or ALERT_TYPES[alert.type].latch:
        return cleared(alert, at=at)
    return replace(alert, clears_at=now + wait)


def acknowledged(alert: Alert, *, by: str, reason: str, now: datetime) -> Alert:
    """A person has seen it. Doing it twice changes nothing; somebody else's acknowledgement stands.

    :raises AlertError: no reason was given.
    """
    if not reason.strip():
        raise AlertError("an acknowledgement needs a reason", code="reason_missing")
    if alert.acknowledged_at is not None:
        return alert
    return replace(alert, acknowledged_at=now, acknowledged_by=by, acknowledged_reason=reason.strip())


def disposed(alert: Alert, *, disposition: Disposition, by: str, reason: str, now: datetime) -> Alert:
    """A person says what it was. Acknowledges it, and clears a latching alert. Saying the same again changes nothing.

    :raises AlertError: the condition still holds and does not latch, so it cannot be closed yet. One that was only
        ever reported late can: nothing will tell that it is over.
    """
    if alert.disposition is disposition and not alert.open:
        return alert
    by_person = ALERT_TYPES[alert.type].latch or alert.late
    if alert.condition is Condition.ACTIVE and not by_person and disposition is Disposition.TRUE:
        text = "the condition still holds: it can be closed as true once it has cleared"
        raise AlertError(text, code="still_active")
    done = replace(acknowledged(alert, by=by, reason=reason, now=now), disposition=disposition, disposed_by=by)
    if done.condition is Condition.ACTIVE:
        done = replace(done, condition=Condition.CLEARED, cleared_at=now, clears_at=None)
    return done


def shelved(alert: Alert, *, until: datetime, reason: str, now: datetime) -> Alert:
    """Put aside for a while. What is shelved already may be shelved for longer, but not beyond `SHELVE_AT_MOST` from
    the first time: then somebody has to see it again. Until the same time for the same reason again changes
    nothing.

    :raises AlertError: P1, closed, longer than `SHELVE_AT_MOST`, in the past, or without a reason.
    """
    if alert.severity is Severity.P1:
        raise AlertError("a P1 alert cannot be shelved", code="never_p1")
    if not alert.open:
        raise AlertError("it is closed already: there is nothing to shelve", code="closed")
    if alert.shelved_until == until and alert.shelved_reason == reason.strip():
        return alert
    since = alert.shelved_from or now
    if not now < until <= since + SHELVE_AT_MOST:
        begun = "" if alert.shelved_from is None else f", counted from {alert.shelved_from.isoformat()}"
        hours = f"{SHELVE_AT_MOST.total_seconds() / 3600:g} hours"
        raise AlertError(f"shelve until a time within the next {hours}{begun}", code="shelved_too_long")
    if not reason.strip():
        raise AlertError("shelving needs a reason", code="reason_missing")
    return replace(alert, shelved_until=until, shelved_from=since, shelved_reason=reason.strip())


def unshelved(alert: Alert) -> Alert:
    """The time it was put aside for is over."""
    return replace(alert, shelved_until=None, shelved_from=None, shelved_reason="")


_TIMERS = ("unowned_since", "owned_since", "climbed_at", "clears_at", "cycles_from", "shelved_from", "shelved_until")


def clock_set(alert: Alert, by: timedelta) -> Alert:
    """Our own clock was set by so much: what is being timed goes on with what was left of it. What was written down of
    the past (`raised_at`, `acknowledged_at`, ...) stays as it was written.
    """
    running = {name: at for name in _TIMERS if (at := getattr(alert, name)) is not None}
    return replace(alert, **{name: at + by for name, at in running.items()}) if running else alert


_HELD = (Work.CLAIMED, Work.ON_SITE)
_WORK_ORDER = (Work.NONE, Work.ACCEPTED, Work.ASSIGNED, Work.CLAIMED, Work.ON_SITE, Work.RESOLVED, Work.VERIFIED)


HEARD = 16
"""So many steps of a backend are remembered with an alert."""


def worked(
    alert: Alert, *, work: Work, assignee: str, now: datetime, if_work: Work | None = None, step: str = ""
) -> Alert:
    """The backend tells where it stands. Idempotent; a step back is ignored except `rejected` and a new `assigned`
    (to somebody else than before). `if_work`: only if it stands so; else somebody was faster. `step`: the backend's own
    id of what it tells; one that was heard already changes nothing, even if more has happened since.

    :raises AlertError: somebody else has claimed it: the first claim stands until it is given back or assigned anew.
    """
    if (step and step in alert.heard) or (work is alert.work and assignee in ("", alert.assignee)):
        return alert
    if if_work is not None and alert.work is not if_work:
        by = f" by {alert.assignee}" if alert.assignee else ""
        text = f"it stands at {alert.work}{by}, no longer at {if_work}"
        raise AlertError(text, code="stands_elsewhere", who=alert.assignee, stands=alert.work)
    if work in _HELD and alert.work in _HELD and alert.assignee and assignee not in ("", alert.assignee):
        text = f"{alert.assignee} has claimed it already"
        raise AlertError(text, code="claimed_already", who=alert.assignee, stands=alert.work)
    anew = work is Work.ASSIGNED and assignee not in ("", alert.assignee)
    forward = work is Work.REJECTED or alert.work is Work.REJECTED or anew
    if not forward and _WORK_ORDER.index(work) < _WORK_ORDER.index(alert.work):
        return alert
    heard = (*alert.heard, step)[-HEARD:] if step else alert.heard
    return replace(alert, work=work, work_at=now, assignee=assignee or alert.assignee, heard=heard)
