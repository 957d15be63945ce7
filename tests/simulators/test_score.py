"""The score: its world is seeded and reaches every scenario, and the scorer tells a missing and a false alert."""

from collections import Counter
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest
from msgspec.structs import replace

from simulators.score import run as score_run
from simulators.score.run import Scored, run, world_of
from simulators.score.scoring import Changed, Rounded, TurnedAway, score
from simulators.score.wire import Fact, arriving
from simulators.score.world import MIDNIGHT, Incident

HOUR = timedelta(hours=1)
INCIDENT = Incident(
    scenario="door forced",
    start=MIDNIGHT + HOUR,
    end=MIDNIGHT + 2 * HOUR,
    codes=frozenset({"door_forced"}),
    devices=frozenset({"gate-1"}),
    explains=frozenset({"door_held_open"}),
)
ALERT = Changed(
    at=MIDNIGHT + HOUR + timedelta(seconds=4),
    change="raised",
    alert="a1",
    type="door_forced",
    device="gate-1",
    instance="",
    subject="",
    first_seen=MIDNIGHT + HOUR,
    confidence=1.0,
    hidden=False,
)


def figures(*changes: Changed, incidents: tuple[Incident, ...] = (INCIDENT,)) -> dict[str, Any]:
    counted = score(incidents, changes, device_days=10, since=MIDNIGHT)
    (one,) = counted.scenarios
    return {"found": one.found, "right": one.right, "false": counted.false, "explained": counted.explained}


@pytest.mark.parametrize(
    ("changes", "found", "right", "false", "explained"),
    [
        ((ALERT,), 1, 1, 0, 0),
        ((), 0, 0, 0, 0),
        ((replace(ALERT, hidden=True),), 0, 0, 0, 0),
        ((replace(ALERT, change="repeated"),), 0, 0, 0, 0),
        ((replace(ALERT, change="released"),), 1, 1, 0, 0),
        ((replace(ALERT, device="gate-2"),), 0, 0, 1, 0),
        ((replace(ALERT, type="duress"),), 0, 0, 1, 0),
        ((replace(ALERT, at=MIDNIGHT + HOUR / 2),), 0, 0, 1, 0),
        ((replace(ALERT, at=MIDNIGHT + 3 * HOUR),), 0, 0, 1, 0),
        ((replace(ALERT, at=MIDNIGHT - HOUR),), 0, 0, 0, 0),
        ((replace(ALERT, type="door_held_open"),), 0, 0, 0, 1),
        ((ALERT, replace(ALERT, at=ALERT.at + HOUR / 2, change="reopened")), 1, 2, 0, 0),
        ((replace(ALERT, type="alarm_flood"),), 0, 0, 0, 0),
    ],
)
def test_an_alert_counts_for_what_it_tells(
    changes: tuple[Changed, ...], found: int, right: int, false: int, explained: int
) -> None:
    assert figures(*changes) == {"found": found, "right": right, "false": false, "explained": explained}


def test_an_alert_about_somebody_else_is_false() -> None:
    about = replace(INCIDENT, subject="tenant-1")
    assert figures(replace(ALERT, subject="tenant-1"), incidents=(about,))["found"] == 1
    assert figures(replace(ALERT, subject="tenant-2"), incidents=(about,)) == {
        "found": 0,
        "right": 0,
        "false": 1,
        "explained": 0,
    }


def test_missing_and_false_alerts_show_in_the_rates() -> None:
    other = replace(INCIDENT, start=MIDNIGHT + 5 * HOUR, end=MIDNIGHT + 6 * HOUR)
    wrong = replace(ALERT, device="gate-9")
    counted = score((INCIDENT, other), (ALERT, wrong), device_days=500, since=MIDNIGHT)
    (one,) = counted.scenarios
    assert (one.recall, one.precision, one.delay_p50_s) == (0.5, 0.5, 4.0)
    assert counted.false_per_1000_device_days == 2.0
    assert counted.missed == ("door forced at gate-1, 30 Jun 21:00",)


def test_calibration_holds_the_score_against_what_the_cars_were() -> None:
    stands = replace(INCIDENT, codes=frozenset({"vehicle_overstay"}), devices=frozenset(), subject="苏A00001")
    right = replace(ALERT, type="vehicle_overstay", subject="苏A00001", confidence=0.9)
    wrong = [replace(right, subject=f"苏B0000{n}", confidence=0.05) for n in range(3)]
    told = score((stands,), [right, *wrong], device_days=1, since=MIDNIGHT).calibration
    assert [(one.candidates, one.share) for one in told.bins] == [(3, 0.0), (1, 1.0)]
    assert told.brier == pytest.approx((3 * 0.05**2 + 0.1**2) / 4, abs=1e-4)
    assert told.brier_constant == pytest.approx(0.25 * 0.75, abs=1e-4)


def test_a_car_found_on_a_round_is_told_by_the_alert_that_follows() -> None:
    stands = replace(INCIDENT, codes=frozenset({"unknown_stays"}), devices=frozenset(), subject="苏A00001")
    told = replace(ALERT, type="unknown_stays", subject="苏A00001")
    looks = [
        Rounded(at=ALERT.at, plate="苏A00001", probability=0.3, here=True, alert=False),
        Rounded(at=ALERT.at, plate="苏A00002", probability=0.1, here=False, alert=False),
        Rounded(at=ALERT.at, plate="苏A00003", probability=0.9, here=True, alert=True),
        Rounded(at=MIDNIGHT - HOUR, plate="苏A00004", probability=0.1, here=False, alert=False),
    ]
    by_round = score((stands,), [told, *looks], device_days=1, since=MIDNIGHT)
    assert [(one.found, one.by_round) for one in by_round.scenarios] == [(1, 1)]
    assert (by_round.rounds.looked, by_round.rounds.here) == (2, 1)
    assert [(one.candidates, one.share) for one in by_round.rounds.looks.bins] == [(1, 0.0), (1, 1.0), (1, 1.0)]
    by_itself = score((stands,), [told, looks[2]], device_days=1, since=MIDNIGHT)
    assert [(one.found, one.by_round) for one in by_itself.scenarios] == [(1, 0)]


def test_turn_aways_are_counted_against_those_that_were() -> None:
    counted = [TurnedAway(at=MIDNIGHT + HOUR), TurnedAway(at=MIDNIGHT + HOUR), TurnedAway(at=MIDNIGHT + 3 * HOUR)]
    true = [MIDNIGHT + HOUR, MIDNIGHT + 2 * HOUR, MIDNIGHT + 3 * HOUR + timedelta(seconds=59)]
    away = score((INCIDENT,), counted, device_days=1, since=MIDNIGHT, turned_away=true).turn_aways
    assert (away.happened, away.counted, away.right) == (3, 3, 2)


# -- the whole ---------------------------------------------------------------------------------------------------------


def test_the_same_seed_gives_the_same_month_and_another_seed_another() -> None:
    one, again, other = (world_of(seed, 1) for seed in (5, 5, 6))
    assert one[1] == again[1]
    assert arriving(one[0])[-500:] == arriving(again[0])[-500:]
    assert one[0].incidents == again[0].incidents
    assert one[0].incidents != other[0].incidents


def test_a_month_has_every_scenario_more_than_once() -> None:
    world, _ = world_of(1, 30)
    told = Counter(incident.scenario for incident in world.incidents if incident.codes)
    assert len(told) == 31
    assert [name for name, count in told.items() if count < 2] == ["shed grows"]


def test_what_arrives_is_partly_lost_doubled_and_late() -> None:
    world, _ = world_of(3, 1)
    facts = arriving(world)
    records = [fact.record for fact in facts]
    assert len(set(records)) < len(world.said)
    assert len(records) > len(set(records))
    assert any(fact.stored for fact in facts)
    assert any(later.event.at < earlier.event.at for earlier, later in pairwise(facts))


@pytest.fixture(scope="module")
def few_days() -> Scored:
    return run(2, 2, lead_in=False)


@pytest.mark.timeout(600)
def test_a_few_days_have_every_scenario_and_the_engine_finds_what_is_clear_cut(few_days: Scored) -> None:
    by_name = {one.scenario: one for one in few_days.score.scenarios}
    assert len(by_name) >= 25
    for name in ("duress", "manhole open", "blocklisted plate", "tailgating", "repeated refusal", "fire lane blocked"):
        assert by_name[name].recall == 1.0, name
    assert few_days.score.false > 0, "a month without a single false alert is no month"
    assert few_days.score.device_days == 2 * few_days.devices


@pytest.mark.timeout(600)
def test_an_engine_that_hears_no_duress_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def deaf(world: Any) -> list[Fact]:
        return [fact for fact in arriving(world) if type(fact.event).__name__ != "DuressSignalled"]

    monkeypatch.setattr(score_run, "arriving", deaf)
    (one,) = (scenario for scenario in run(2, 1, lead_in=False).score.scenarios if scenario.scenario == "duress")
    assert (one.found, one.recall) == (0, 0.0)
