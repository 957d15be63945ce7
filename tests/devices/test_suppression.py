from datetime import UTC, datetime, timedelta

import pytest

from devices.alert_types import ALERT_TYPES, Severity
from devices.alerts import CHATTER_CYCLES, CHATTER_QUIET, Alert, Condition, cleared, ending, raised_again
from devices.incidents import TOGETHER, Stretch, joined
from devices.suppression import ROOTS, explains

NOW = datetime(2026, 3, 2, 4, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def alert(code: str, n: str = "", **more: object) -> Alert:
    base = {"id": code + n, "key": f"c/d/{code}{n}", "type": code, "severity": ALERT_TYPES[code].severity}
    place = {"community": "c", "device": "d1", "uplink": "u1", "building": "b1"}
    times = {"first_seen": NOW, "last_seen": NOW, "raised_at": NOW}
    return Alert(**(base | place | times | more))


@pytest.mark.parametrize(
    ("root", "hidden", "elsewhere"),
    [
        ("broker_offline", "device_offline", {}),
        ("uplink_offline", "device_offline", {"uplink": "u2"}),
        ("uplink_offline", "lamp_dark_at_night", {"community": "c2"}),
        ("device_offline", "camera_frozen", {"device": "d2"}),
        ("camera_occluded", "zone_intrusion", {"device": "d2"}),
        ("device_offline", "fire_lane_blocked", {"device": "d2"}),
        ("smoke", "door_held_open", {"building": "b2"}),
        ("lamp_supply_loss", "lamp_out", {"device": "d2"}),
        ("alarm_flood", "battery_low", {"community": "c2"}),
    ],
)
def test_a_cause_explains_what_follows_from_it_where_it_reaches(
    root: str, hidden: str, elsewhere: dict[str, str]
) -> None:
    assert explains(alert(root), alert(hidden))
    assert not explains(alert(hidden), alert(root))
    if elsewhere:
        assert not explains(alert(root), alert(hidden, **elsewhere))


@pytest.mark.parametrize("cause", ["camera_occluded", "camera_signal_lost", "device_offline"])
def test_what_a_camera_saw_before_it_was_blinded_stays(cause: str) -> None:
    before = alert("zone_intrusion", first_seen=NOW - MINUTE)
    assert not explains(alert(cause), before)
    assert explains(alert(cause), alert("zone_intrusion", first_seen=NOW + MINUTE))


def test_a_cause_that_is_over_explains_nothing() -> None:
    assert not explains(cleared(alert("uplink_offline"), at=NOW), alert("device_offline"))


def test_no_cause_whatever_hides_a_p1() -> None:
    grave = [code for code, kind in ALERT_TYPES.items() if kind.severity is Severity.P1]
    assert not [(r, g) for r in ROOTS if r in ALERT_TYPES for g in grave if explains(alert(r), alert(g))]


def test_every_type_a_cause_names_is_in_the_table() -> None:
    named = {code for root in ROOTS.values() for code in root.hides} | set(ROOTS)
    assert not named - set(ALERT_TYPES)


def test_alerts_of_one_cause_and_time_are_one_incident() -> None:
    first = joined(None, "a", NOW)
    second = joined(first, "b", NOW + TOGETHER)
    assert (second.incident, second.last) == ("a", NOW + TOGETHER)
    assert joined(second, "c", second.last + TOGETHER + MINUTE) == Stretch("c", second.last + TOGETHER + MINUTE)


def test_a_condition_that_comes_and_goes_chatters_and_then_ends_only_when_it_has_been_quiet() -> None:
    held, now = alert("lamp_flicker"), NOW
    for _ in range(CHATTER_CYCLES):
        held = ending(held, at=now, now=now)
        assert held.condition is Condition.CLEARED
        now += MINUTE
        held = raised_again(held, at=now, now=now)
    assert held.chattering
    quiet = ending(held, at=now, now=now)
    assert (quiet.condition, quiet.clears_at) == (Condition.ACTIVE, now + CHATTER_QUIET)
    again = raised_again(quiet, at=now + MINUTE, now=now + MINUTE)
    assert (again.clears_at, again.cycles) == (None, CHATTER_CYCLES + 1)


def test_cycles_long_apart_are_no_chatter() -> None:
    held, now = alert("lamp_flicker"), NOW
    for _ in range(CHATTER_CYCLES + 2):
        now += timedelta(minutes=20)
        held = raised_again(ending(held, at=now, now=now), at=now, now=now)
    assert not held.chattering
