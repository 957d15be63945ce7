"""The ladder of an alert nobody owns: a table of moments, and who is told."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.alert_types import ALERT_TYPES, Severity
from devices.alerts import (
    Alert,
    Disposition,
    Work,
    acknowledged,
    cleared,
    clock_set,
    disposed,
    raised_again,
    shelved,
    unshelved,
    worked,
)
from devices.escalation import LEVELS, Ladder, Level, begun, climbed, deadline, owned
from devices.escalation import followed as followed_by

NOW = datetime(2026, 3, 2, 4, 0, tzinfo=UTC)
LADDERS = {
    severity: Ladder(after=(60, 180, 600), repeat_s=1800, on_site_s=600 if severity is Severity.P1 else None)
    for severity in Severity
}
EVERYBODY = {Level.GRID_WORKER: ("g1",), Level.COMMUNITY: ("c1",), Level.SUB_DISTRICT: ("s1", "s2")}


def after(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def alert(code: str = "door_forced", **more: object) -> Alert:
    base = {"id": "1", "key": f"c/d/{code}", "type": code, "severity": ALERT_TYPES[code].severity, "community": "c"}
    times = {"first_seen": NOW, "last_seen": NOW, "raised_at": NOW, "unowned_since": NOW}
    return Alert(**(base | times | more))


def nobody_special(level: Level, _alert: Alert, _now: datetime) -> tuple[str, ...]:
    return (level.value,)


def followed(before: Alert, then: Alert, now: datetime) -> Alert:
    return followed_by(before, then, now, nobody_special)


def told(start: Alert, until: float, staff: Mapping[Level, tuple[str, ...]]) -> list[tuple[float, Level]]:
    """Who is told when, s from now, if nobody does anything."""
    found, held = [], start
    for _ in range(20):
        due = deadline(held, LADDERS)
        if due is None or due > after(until):
            break
        held = climbed(held, due, lambda level, _alert, _now: staff.get(level, ()))
        found.append(((due - NOW).total_seconds(), LEVELS[held.rung]))
    return found


def test_an_alert_nobody_owns_climbs_from_the_desk_to_the_sub_district_and_is_repeated_there() -> None:
    assert told(alert(), 5000, EVERYBODY) == [
        (60, Level.GRID_WORKER),
        (180, Level.COMMUNITY),
        (600, Level.SUB_DISTRICT),
        (2400, Level.SUB_DISTRICT),
        (4200, Level.SUB_DISTRICT),
    ]


def test_a_level_with_nobody_on_duty_is_skipped_at_once() -> None:
    assert told(alert(), 700, {Level.SUB_DISTRICT: ("s1",)})[0] == (60, Level.SUB_DISTRICT)


def test_with_nobody_anywhere_the_last_level_is_told_again_and_again() -> None:
    assert [level for _, level in told(alert(), 2500, {})] == [Level.SUB_DISTRICT] * 2


def test_with_nobody_further_up_whoever_is_there_is_told_again() -> None:
    assert told(alert(), 2500, {Level.GRID_WORKER: ("g1",)}) == [
        (60, Level.GRID_WORKER),
        (180, Level.SUB_DISTRICT),
        (1980, Level.SUB_DISTRICT),
    ]
    late = climbed(
        alert(rung=3, informed=("old",)), after(4000), lambda level, *_: ("g1",) if level == "grid_worker" else ()
    )
    assert late.informed == ("g1",), "who came on duty since is told"


def test_the_desk_is_told_when_it_begins_and_skipped_at_once_when_nobody_sits_there() -> None:
    assert begun(alert(), NOW, nobody_special).informed == ("desk",)
    alone = begun(alert(), NOW, lambda level, *_: () if level is Level.DESK else ("w",))
    assert (alone.rung, alone.informed, alone.climbed_at) == (1, ("w",), NOW)
    assert deadline(alone, LADDERS) == after(180)


def test_who_is_told_is_kept_with_the_alert() -> None:
    held = climbed(alert(rung=2), after(600), lambda *_: ("s1", "s2"))
    assert (held.informed, held.climbed_at) == (("s1", "s2"), after(600))


def test_acknowledging_stops_the_ladder_and_so_does_a_claim() -> None:
    for owner in (
        acknowledged(alert(), by="desk", reason="seen", now=after(30)),
        worked(alert(), work=Work.CLAIMED, assignee="w1", now=after(30)),
    ):
        held = followed(alert(), owner, after(30))
        assert owned(held)
        assert deadline(held, LADDERS) == after(30 + 600)


def test_accepting_and_assigning_are_no_claim() -> None:
    for work in (Work.ACCEPTED, Work.ASSIGNED):
        held = followed(alert(), worked(alert(), work=work, assignee="w1", now=after(30)), after(30))
        assert deadline(held, LADDERS) == after(60)


def test_owned_but_nobody_on_site_starts_anew() -> None:
    held = followed(alert(), acknowledged(alert(), by="desk", reason="seen", now=after(30)), after(30))
    lapsed = climbed(held, after(630), lambda *_: ("x",))
    assert (lapsed.unowned_since, lapsed.rung) == (after(630), 0)
    assert deadline(lapsed, LADDERS) == after(690)


def test_on_site_nothing_lapses() -> None:
    held = followed(alert(), worked(alert(), work=Work.ON_SITE, assignee="w1", now=after(30)), after(30))
    assert deadline(held, LADDERS) is None


def test_a_backend_that_gives_the_case_back_starts_the_ladder_anew() -> None:
    mine = followed(alert(), worked(alert(), work=Work.CLAIMED, assignee="w1", now=after(30)), after(30))
    back = followed(mine, worked(mine, work=Work.REJECTED, assignee="", now=after(90)), after(90))
    assert back.unowned_since == after(90)


@pytest.mark.parametrize(
    "quiet",
    [
        cleared(alert("door_held_open"), at=after(5)),
        alert("door_held_open", suppressed_by="root"),
        shelved(alert("door_held_open"), until=after(3600), reason="painters", now=NOW),
        alert(test=True),
        disposed(alert(), disposition=Disposition.FALSE, by="desk", reason="no", now=after(1)),
    ],
    ids=["cleared", "suppressed", "shelved", "test", "closed"],
)
def test_what_nobody_has_to_act_on_does_not_climb(quiet: Alert) -> None:
    assert deadline(quiet, LADDERS) is None


def test_what_comes_out_of_hiding_starts_from_the_desk() -> None:
    hidden = shelved(alert("door_held_open"), until=after(3600), reason="painters", now=NOW)
    shown = followed(hidden, unshelved(hidden), after(3600))
    assert (shown.unowned_since, shown.rung) == (after(3600), 0)
    assert deadline(shown, LADDERS) == after(3660)


def test_what_comes_back_after_the_work_was_over_starts_from_the_desk() -> None:
    held = alert("door_held_open")
    for n, work in enumerate((Work.CLAIMED, Work.ON_SITE, Work.RESOLVED)):
        held = followed(held, worked(held, work=work, assignee="w1", now=after(n)), after(n))
    over = followed(held, cleared(held, at=after(10)), after(10))
    back = followed(over, raised_again(over, at=after(20), now=after(20)), after(20))
    assert (back.unowned_since, back.rung, back.informed) == (after(20), 0, ("desk",))
    assert deadline(back, LADDERS) == after(80)


def test_a_case_given_to_somebody_else_is_nobodys_until_they_claim_it() -> None:
    mine = followed(alert(), worked(alert(), work=Work.CLAIMED, assignee="w1", now=after(30)), after(30))
    given = followed(mine, worked(mine, work=Work.ASSIGNED, assignee="w2", now=after(90)), after(90))
    assert deadline(given, LADDERS) == after(150)


@pytest.mark.parametrize("by", [3600, -3600, -5], ids=["forwards", "backwards", "a little"])
def test_a_clock_that_is_set_leaves_every_timer_what_was_left_of_it(by: float) -> None:
    step = timedelta(seconds=by)
    climbing = climbed(alert(), after(60), nobody_special)
    mine = followed(alert(), acknowledged(alert(), by="desk", reason="seen", now=after(30)), after(30))
    for held in (alert(), climbing, mine):
        due = deadline(held, LADDERS)
        assert due is not None
        assert deadline(clock_set(held, step), LADDERS) == due + step
    away = shelved(alert("door_held_open"), until=after(3600), reason="painters", now=NOW)
    assert clock_set(away, step).shelved_until == after(3600) + step
    kept = clock_set(mine, step)
    assert (kept.raised_at, kept.acknowledged_at) == (NOW, after(30)), "what was written down stays as it was"


_ACTS = st.sampled_from(["acknowledge", "claim", "on_site", "reject", "tick"])


@given(st.lists(st.tuples(_ACTS, st.integers(1, 900)), max_size=15))
def test_whatever_happens_a_deadline_passed_is_a_deadline_moved(acts: list[tuple[str, int]]) -> None:
    held, now = alert(), NOW
    for act, seconds in acts:
        now += timedelta(seconds=seconds)
        match act:
            case "acknowledge":
                then = acknowledged(held, by="desk", reason="seen", now=now)
            case "claim":
                then = worked(held, work=Work.CLAIMED, assignee="w", now=now)
            case "on_site":
                then = worked(held, work=Work.ON_SITE, assignee="w", now=now)
            case "reject":
                then = worked(held, work=Work.REJECTED, assignee="", now=now)
            case _:
                then = held
        held = followed(held, then, now)
        due = deadline(held, LADDERS)
        if due is not None and due <= now:
            held = climbed(held, now, lambda *_: ("x",))
            again = deadline(held, LADDERS)
            assert again is None or again > now or held.rung < len(LEVELS) - 1
