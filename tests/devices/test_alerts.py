from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.alert_types import ALERT_TYPES, AlertType, Severity
from devices.alerts import (
    REOPEN_WITHIN,
    SHELVE_AT_MOST,
    Alert,
    AlertError,
    Condition,
    Disposition,
    Work,
    acknowledged,
    alert_key,
    cleared,
    disposed,
    may_reopen,
    raised_again,
    shelved,
    unshelved,
    worked,
)
from devices.escalation import LEVELS

NOW = datetime(2026, 3, 2, 4, 0, tzinfo=UTC)
MIN = timedelta(minutes=1)


def alert(code: str = "door_held_open", **more: object) -> Alert:
    kind = ALERT_TYPES[code]
    base = {
        "id": "1",
        "key": f"c1/gate-1/{code}",
        "type": code,
        "severity": kind.severity,
        "community": "c1",
        "first_seen": NOW,
        "last_seen": NOW,
        "raised_at": NOW,
    }
    return Alert(**(base | more))


def close(a: Alert, disposition: Disposition = Disposition.TRUE, now: datetime = NOW) -> Alert:
    return disposed(a, disposition=disposition, by="desk", reason="seen", now=now)


def test_every_type_speaks_both_languages_and_names_its_service() -> None:
    for kind in ALERT_TYPES.values():
        assert all((kind.title_en, kind.title_zh, kind.service, kind.cause)), kind.code


def test_every_type_has_a_route_from_near_to_far_and_what_is_grave_goes_all_the_way() -> None:
    order = [level.value for level in LEVELS]
    for kind in ALERT_TYPES.values():
        assert list(kind.route) == [level for level in order if level in kind.route], kind.code
        assert kind.severity is not Severity.P1 or list(kind.route) == order, kind.code


@pytest.mark.parametrize("kind", ALERT_TYPES.values(), ids=lambda kind: kind.code)
def test_every_type_has_two_to_five_short_steps_the_same_in_both_languages(kind: AlertType) -> None:
    assert 2 <= len(kind.steps_zh) == len(kind.steps_en) <= 5
    assert all(any("\u4e00" <= c <= "\u9fff" for c in step) and len(step) <= 40 for step in kind.steps_zh)
    assert all(step.isascii() and step[0].isupper() and step[-1] not in ".!" for step in kind.steps_en)


def test_the_key_names_the_instance_only_where_there_is_one() -> None:
    assert alert_key("c1", "cam-1", "zone_intrusion", "lane") == "c1/cam-1/zone_intrusion/lane"
    assert alert_key("c1", "gate-1", "tamper") == "c1/gate-1/tamper"


def test_the_same_condition_counts_up_and_stays_one_alert() -> None:
    again = raised_again(alert(), at=NOW + MIN, now=NOW + MIN, evidence="e2")
    assert (again.count, again.first_seen, again.last_seen, again.evidence) == (2, NOW, NOW + MIN, "e2")
    assert again.raised_at == NOW


def test_a_late_report_moves_the_beginning_and_nothing_else() -> None:
    done = cleared(alert(evidence="e1"), at=NOW + MIN)
    again = raised_again(done, at=NOW - MIN, now=NOW + 2 * MIN, evidence="old", late=True)
    assert again.condition is Condition.CLEARED
    assert (again.first_seen, again.last_seen, again.evidence, again.count) == (NOW - MIN, NOW, "e1", 2)


def test_an_alert_known_only_late_is_no_longer_late_once_seen_live() -> None:
    assert raised_again(alert(late=True), at=NOW, now=NOW).late is False
    assert raised_again(alert(late=True), at=NOW, now=NOW, late=True).late is True


def test_a_condition_that_comes_back_wants_a_new_acknowledgement_and_disposition() -> None:
    closed = close(cleared(alert(work=Work.VERIFIED, assignee="w1"), at=NOW + MIN), now=NOW + MIN)
    assert not closed.open
    back = raised_again(closed, at=NOW + 2 * MIN, now=NOW + 2 * MIN)
    assert back.open
    assert back.condition is Condition.ACTIVE
    assert (back.cleared_at, back.acknowledged_at, back.disposition, back.disposed_by) == (None, None, None, "")
    assert (back.work, back.assignee, back.raised_at) == (Work.NONE, "", NOW + 2 * MIN)


def test_work_that_is_going_on_goes_on_when_the_condition_comes_back() -> None:
    back = raised_again(cleared(alert(work=Work.ON_SITE, assignee="w1"), at=NOW), at=NOW, now=NOW)
    assert (back.work, back.assignee) == (Work.ON_SITE, "w1")


@pytest.mark.parametrize(
    ("after", "disposition", "reopens"),
    [
        (REOPEN_WITHIN, Disposition.TRUE, True),
        (REOPEN_WITHIN + MIN, Disposition.TRUE, False),
        (MIN, Disposition.FALSE, False),
        (MIN, Disposition.TEST, False),
        (MIN, Disposition.DUPLICATE, False),
    ],
)
def test_a_closed_alert_reopens_soon_after_and_only_if_it_was_true(
    after: timedelta, disposition: Disposition, reopens: bool
) -> None:
    closed = close(cleared(alert(), at=NOW), disposition)
    assert may_reopen(closed, now=NOW + after) is reopens


def test_an_active_alert_is_not_reopened() -> None:
    assert not may_reopen(alert(), now=NOW)


def test_a_latching_alert_outlives_its_condition_until_a_person_deals_with_it() -> None:
    forced = alert("door_forced")
    assert cleared(forced, at=NOW) is forced
    done = close(forced, now=NOW + MIN)
    assert (done.condition, done.cleared_at, done.open) == (Condition.CLEARED, NOW + MIN, False)


def test_clearing_twice_keeps_the_first_time() -> None:
    done = cleared(alert(), at=NOW)
    assert cleared(done, at=NOW + MIN) is done


def test_the_first_acknowledgement_stands() -> None:
    first = acknowledged(alert(), by="a", reason=" on it ", now=NOW)
    assert (first.acknowledged_by, first.acknowledged_reason, first.acknowledged_at) == ("a", "on it", NOW)
    assert acknowledged(first, by="b", reason="me too", now=NOW + MIN) is first
    with pytest.raises(AlertError, match="reason"):
        acknowledged(alert(), by="a", reason="  ", now=NOW)


def test_what_still_holds_cannot_be_closed_as_true_but_can_as_false() -> None:
    with pytest.raises(AlertError, match="still holds"):
        close(alert())
    assert not close(alert(), Disposition.FALSE).open


def test_what_was_only_reported_late_can_be_closed_as_true() -> None:
    assert not close(alert(late=True)).open


def test_shelving_has_an_end_a_reason_and_no_p1() -> None:
    until = NOW + SHELVE_AT_MOST
    assert shelved(alert(), until=until, reason="works", now=NOW).shelved_until == until
    for bad in (NOW, until + MIN):
        with pytest.raises(AlertError, match="within the next 8 hours"):
            shelved(alert(), until=bad, reason="works", now=NOW)
    with pytest.raises(AlertError, match="reason"):
        shelved(alert(), until=until, reason=" ", now=NOW)
    with pytest.raises(AlertError, match="P1"):
        shelved(alert(severity=Severity.P1), until=until, reason="works", now=NOW)


def test_shelving_again_and_again_ends_eight_hours_after_the_first_time() -> None:
    once = shelved(alert(), until=NOW + 60 * MIN, reason="works", now=NOW)
    longer = shelved(once, until=NOW + SHELVE_AT_MOST, reason="still", now=NOW + 59 * MIN)
    with pytest.raises(AlertError, match="counted from"):
        shelved(longer, until=NOW + SHELVE_AT_MOST + MIN, reason="still", now=NOW + SHELVE_AT_MOST - MIN)
    seen = unshelved(longer)
    assert shelved(seen, until=NOW + 2 * SHELVE_AT_MOST, reason="again", now=NOW + SHELVE_AT_MOST).shelved_until


def test_what_is_closed_is_not_shelved() -> None:
    with pytest.raises(AlertError, match="closed"):
        shelved(close(alert(), Disposition.FALSE), until=NOW + MIN, reason="works", now=NOW)


def work(a: Alert, to: Work, assignee: str = "") -> Alert:
    return worked(a, work=to, assignee=assignee, now=NOW + MIN)


def test_a_step_back_from_the_backend_is_ignored() -> None:
    on_site = work(alert(), Work.ON_SITE, "w1")
    assert work(on_site, Work.CLAIMED) is on_site
    assert work(on_site, Work.ASSIGNED, "w1") is on_site
    assert work(on_site, Work.ASSIGNED, "w2").assignee == "w2"
    assert work(on_site, Work.REJECTED).work is Work.REJECTED
    assert work(work(on_site, Work.REJECTED), Work.ACCEPTED).work is Work.ACCEPTED


@given(st.lists(st.tuples(st.sampled_from(Work), st.sampled_from(["", "w1", "w2"]))))
def test_the_same_word_of_the_backend_twice_changes_nothing(words: list[tuple[Work, str]]) -> None:
    a = alert()
    for to, who in words:
        try:
            a = work(a, to, who)
        except AlertError:  # claimed by the other
            continue
        assert worked(a, work=to, assignee=who, now=NOW + 2 * MIN) == a


_STEPS = st.sampled_from(["raise", "late", "clear", "ack", "false", "true"])


@given(st.sampled_from(sorted(ALERT_TYPES)), st.lists(_STEPS, max_size=12))
def test_whatever_happens_cleared_has_a_time_and_closed_has_all_three(code: str, steps: list[str]) -> None:
    a, now = alert(code), NOW
    for step in steps:
        now += MIN
        match step:
            case "raise" | "late":
                a = raised_again(a, at=now, now=now, late=step == "late")
            case "clear":
                a = cleared(a, at=now)
            case "ack":
                a = acknowledged(a, by="desk", reason="seen", now=now)
            case "false":
                a = close(a, Disposition.FALSE, now)
            case "true" if a.condition is Condition.CLEARED:
                a = close(a, Disposition.TRUE, now)
        assert (a.condition is Condition.CLEARED) == (a.cleared_at is not None)
        assert a.disposition is None or a.acknowledged_at is not None
        assert a.open == (a.cleared_at is None or a.acknowledged_at is None or a.disposition is None)
        assert a.first_seen <= a.last_seen


def test_of_two_who_claim_at_once_the_first_has_it_and_the_second_is_told_whose_it_is() -> None:
    mine = worked(alert(), work=Work.CLAIMED, assignee="w1", now=NOW)
    with pytest.raises(AlertError, match="w1"):
        worked(mine, work=Work.CLAIMED, assignee="w2", now=NOW)
    assert worked(mine, work=Work.CLAIMED, assignee="w1", now=NOW + MIN) is mine
    back = worked(mine, work=Work.REJECTED, assignee="w1", now=NOW)
    assert worked(back, work=Work.CLAIMED, assignee="w2", now=NOW).assignee == "w2"
    assert worked(mine, work=Work.ASSIGNED, assignee="w2", now=NOW).work is Work.ASSIGNED


def test_what_is_done_by_itself_takes_nothing_from_who_was_faster():
    mine = worked(alert(), work=Work.CLAIMED, assignee="desk", now=NOW)
    with pytest.raises(AlertError, match="it stands at claimed by desk"):
        worked(mine, work=Work.ASSIGNED, assignee="w2", now=NOW, if_work=Work.ACCEPTED)
    assert worked(mine, work=Work.CLAIMED, assignee="desk", now=NOW, if_work=Work.ASSIGNED) is mine
    assert worked(mine, work=Work.ON_SITE, assignee="desk", now=NOW, if_work=Work.CLAIMED).work is Work.ON_SITE


def test_a_step_heard_before_changes_nothing_even_if_more_has_happened_since() -> None:
    given_back = worked(work(alert(), Work.CLAIMED, "w1"), work=Work.REJECTED, assignee="w1", now=NOW, step="s-1")
    anew = work(given_back, Work.ASSIGNED, "w2")
    assert worked(anew, work=Work.REJECTED, assignee="w1", now=NOW + MIN, step="s-1") is anew
    assert worked(anew, work=Work.REJECTED, assignee="w2", now=NOW + MIN, step="s-2").work is Work.REJECTED


def test_closing_or_shelving_the_same_way_again_changes_nothing() -> None:
    closed = close(alert(), Disposition.FALSE, NOW)
    assert close(closed, Disposition.FALSE, NOW + MIN) is closed
    assert close(closed, Disposition.NO_ACTION, NOW + MIN).disposition is Disposition.NO_ACTION
    until = NOW + timedelta(hours=1)
    aside = shelved(alert(), until=until, reason="works", now=NOW)
    assert shelved(aside, until=until, reason=" works ", now=NOW + MIN) is aside


def test_a_refusal_says_for_programs_who_was_faster() -> None:
    mine = worked(alert(), work=Work.CLAIMED, assignee="w1", now=NOW)
    with pytest.raises(AlertError) as told:
        worked(mine, work=Work.CLAIMED, assignee="w2", now=NOW)
    assert (told.value.code, told.value.who, told.value.stands) == ("claimed_already", "w1", Work.CLAIMED)
