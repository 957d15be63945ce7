"""Who must know of an alert that nobody owns, and when: the ladder from the desk to the sub-district. Pure.

desk (told at once) --after[0]--> grid worker --after[1]--> community --after[2]--> sub-district --repeat_s--> again

An alert is owned once somebody acknowledged it or the backend says it is claimed; then the ladder stands still. Owned,
but nobody on site within `on_site_s`, or given to somebody who has not claimed it: it is nobody's again and the ladder
starts anew. A level with nobody on duty is skipped at once, the desk too; with nobody further up, the highest level
that has somebody is told again. What is suppressed, shelved, cleared or a test does not climb.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from enum import StrEnum

from msgspec import Struct
from msgspec.structs import replace

from devices.alert_types import Severity
from devices.alerts import Alert, Condition, Work


class Level(StrEnum):
    """Who is told, from near to far."""

    DESK = "desk"
    GRID_WORKER = "grid_worker"
    COMMUNITY = "community"
    SUB_DISTRICT = "sub_district"


LEVELS = tuple(Level)

OnDuty = Callable[[Level, Alert, datetime], tuple[str, ...]]
"""Who is on duty at a level for an alert's place at a time: ids, none when the level is not there."""


class Ladder(Struct, frozen=True, kw_only=True):
    """The times of one severity, s. `after`: unowned for so long, the grid worker, the community and the sub-district
    are told; then the last of them again every `repeat_s`. `on_site_s`: see above; None: owned is enough.
    """

    after: tuple[float, float, float]
    repeat_s: float
    on_site_s: float | None = None


Ladders = Mapping[Severity, Ladder]

_BEING_DONE = (Work.ON_SITE, Work.RESOLVED, Work.VERIFIED)
_CLAIMED = (Work.CLAIMED, *_BEING_DONE)


def owned(alert: Alert) -> bool:
    """Somebody has taken it on, and that has not lapsed."""
    return alert.unowned_since is None


def rests(alert: Alert) -> bool:
    """Nobody needs to be told now."""
    over = alert.condition is not Condition.ACTIVE or not alert.open
    return over or bool(alert.suppressed_by) or alert.shelved_until is not None or alert.test


def followed(before: Alert, after: Alert, now: datetime, on_duty: OnDuty) -> Alert:
    """What a transition means for the ladder: taking it on stops it, coming out of hiding or coming back starts it."""
    acknowledged = after.acknowledged_at is not None
    claimed = after.work in _CLAIMED
    taken = acknowledged and before.acknowledged_at is None
    if taken or (claimed and before.work not in _CLAIMED):
        return replace(after, unowned_since=None, climbed_at=None, owned_since=now)
    if owned(after) and after.work_at != before.work_at:
        after = replace(after, owned_since=now)
    dropped = not acknowledged and not claimed and (before.acknowledged_at is not None or before.work in _CLAIMED)
    shown = rests(before) and not rests(after) and not owned(after)
    return begun(after, now, on_duty) if dropped or shown else after


def begun(alert: Alert, now: datetime, on_duty: OnDuty) -> Alert:
    """It is nobody's as of now: the desk is told or, when nobody is on duty there, who comes next."""
    people = on_duty(LEVELS[0], alert, now)
    fresh = replace(alert, unowned_since=now, owned_since=None, rung=0, climbed_at=None, informed=people)
    return fresh if people else climbed(fresh, now, on_duty)


def deadline(alert: Alert, ladders: Ladders) -> datetime | None:
    """When the next level is to be told, or an owner counts as lost."""
    if rests(alert):
        return None
    ladder = ladders[alert.severity]
    if alert.unowned_since is None:
        return _lapses_at(alert, ladder)
    if alert.rung < len(ladder.after):
        return alert.unowned_since + timedelta(seconds=ladder.after[alert.rung])
    return (alert.climbed_at or alert.unowned_since) + timedelta(seconds=ladder.repeat_s)


def _lapses_at(alert: Alert, ladder: Ladder) -> datetime | None:
    if ladder.on_site_s is None or alert.work in _BEING_DONE:
        return None
    written = [at for at in (alert.acknowledged_at, alert.work_at) if at is not None]
    since = alert.owned_since or max(written, default=None)  # an alert of an older version has no timer of its own
    return since + timedelta(seconds=ladder.on_site_s) if since else None


def climbed(alert: Alert, now: datetime, on_duty: OnDuty) -> Alert:
    """The next level that has somebody on duty is told; the last one again. A lapsed owner starts the ladder anew.

    Call it when `deadline` has passed. Levels without anybody are skipped in one go.
    """
    if alert.unowned_since is None:
        return begun(alert, now, on_duty)
    last = len(LEVELS) - 1
    for rung in range(min(alert.rung + 1, last), last + 1):
        people = on_duty(LEVELS[rung], alert, now)
        if people:
            return replace(alert, rung=rung, climbed_at=now, informed=people)
    # Nobody further up is on duty: the highest level that has somebody now, else whoever was told last.
    below = (people for level in reversed(LEVELS) if (people := on_duty(level, alert, now)))
    return replace(alert, rung=last, climbed_at=now, informed=next(below, alert.informed))
