from datetime import UTC, date, datetime, timedelta

import pytest

from devices.effects import RecordPoint
from devices.events import LampFault, LampFaulted, LampMeasured, Ticked
from devices.kinds.light import LIGHT
from devices.kinds.sun import daylight, solar_day
from tests.devices.table import Run, at, changes, of

MIN, H = 60, 3600
HALF_HOUR, GRACE, DAY_GRACE = timedelta(minutes=30), timedelta(minutes=15), timedelta(minutes=60)
# The table's start is noon in Shanghai on 2 March.
SUNSET = daylight(date(2026, 3, 2), 31.23, 121.47)[1]
SUNRISE = daylight(date(2026, 3, 3), 31.23, 121.47)[0]


def light(**params: float) -> Run:
    return Run(LIGHT, **params)


def lamp(seconds: float, level: float | None = None, watts: float | None = None, **more: float) -> LampMeasured:
    return LampMeasured(at=at(seconds), level_pct=level, active_power_w=watts, **more)


@pytest.mark.parametrize(
    ("day", "lat", "lon", "rise", "down"),
    [  # published sunrise and sunset, to the minute, UTC
        (date(2026, 6, 21), 31.23, 121.47, "2026-06-20T20:50", "2026-06-21T11:01"),
        (date(2026, 12, 21), 31.23, 121.47, "2026-12-20T22:48", "2026-12-21T08:55"),
        (date(2026, 6, 21), 51.48, 0.0, "2026-06-21T03:43", "2026-06-21T20:21"),
    ],
)
def test_the_sun_rises_and_sets_when_the_almanac_says(day: date, lat: float, lon: float, rise: str, down: str) -> None:
    for ours, theirs in zip(daylight(day, lat, lon), (rise, down), strict=True):
        assert abs(ours - datetime.fromisoformat(theirs).replace(tzinfo=UTC)) < timedelta(minutes=2)


def test_where_the_sun_never_sets_the_day_is_whole_and_where_it_never_rises_empty() -> None:
    rise, down = daylight(date(2026, 6, 21), 78.2, 15.6)
    assert down - rise == timedelta(days=1)
    rise, down = daylight(date(2026, 12, 21), 78.2, 15.6)
    assert rise == down


def test_the_solar_day_of_shanghai_begins_before_that_of_greenwich() -> None:
    assert solar_day(datetime(2026, 3, 1, 16, 0, tzinfo=UTC), 121.47) == date(2026, 3, 2)


def test_every_measured_quantity_is_recorded_and_no_other() -> None:
    effects = light().say(lamp(0, 0, 0.5, supply_voltage_v=231, temperature_c=20))
    assert {e.metric: e.value for e in of(RecordPoint, effects)} == {
        "level_pct": 0,
        "active_power_w": 0.5,
        "supply_voltage_v": 231,
        "temperature_c": 20,
    }


def test_a_shining_lamp_without_power_is_out_at_the_second_reading() -> None:
    run = light()
    assert changes(run.say(lamp(0, 100, 0.4))) == []
    assert changes(run.say(lamp(0, 100, 0.4))) == [], "the same reading twice is one reading"
    assert changes(run.say(lamp(60, 80, 0.2))) == ["+lamp_out"]
    assert changes(run.say(lamp(120, 80, 0.2), lamp(180, 0, 0))) == []
    assert changes(run.say(lamp(240, 100, 40))) == ["-lamp_out"]


def test_one_weak_reading_between_good_ones_is_nothing() -> None:
    run = light()
    assert changes(run.say(lamp(0, 100, 0), lamp(60, 100, 40), lamp(120, 100, 0), lamp(180, 100, 40))) == []


def test_a_lamp_on_by_day_is_told_after_the_grace_and_ends_with_switching_off() -> None:
    run = light()
    run.say(lamp(0, 100, 40))
    assert run.until(59 * MIN) == []
    (alert,) = run.until(2 * H)
    assert (alert.code, alert.at) == ("lamp_on_by_day", at(60 * MIN))
    assert changes(run.say(lamp(2 * H, 100, 40))) == []
    assert changes(run.say(lamp(3 * H, 0, 0))) == ["-lamp_on_by_day"]


def test_a_lamp_on_by_day_is_right_again_at_sunset_and_wrong_again_the_next_day() -> None:
    run = light()
    run.say(lamp(0, 100, 40))
    run.until(H)
    (cleared,) = run.until(18 * H)
    assert (cleared.code, cleared.at) == ("lamp_on_by_day", SUNSET - HALF_HOUR)
    (again,) = run.until(24 * H)
    assert again.at == SUNRISE + HALF_HOUR + DAY_GRACE


def test_a_lamp_left_on_is_found_without_any_further_reading() -> None:
    run = light()
    run.say(lamp(8 * H, 100, 40))
    assert changes(run.until(24 * H)) == ["+lamp_on_by_day"]


def test_a_street_light_off_at_night_is_dark_and_a_stair_light_is_not() -> None:
    street, stair = light(), light(stair=1)
    for run in (street, stair):
        run.say(lamp(0, 0, 0))
    (dark,) = street.until(8 * H)
    assert (dark.code, dark.at) == ("lamp_dark_at_night", SUNSET + HALF_HOUR + GRACE)
    (cleared,) = street.until(20 * H)
    assert (cleared.code, cleared.at) == ("lamp_dark_at_night", SUNRISE - HALF_HOUR)
    assert stair.until(20 * H) == []


def test_a_night_we_slept_through_is_not_raised_the_morning_after() -> None:
    run = light()
    run.say(lamp(0, 0, 0))
    assert run.say(Ticked(at=at(20 * H))) == []
    assert run.due is not None
    assert run.due > at(20 * H)


def test_a_circuit_without_supply_is_told_by_its_voltage() -> None:
    run = light()
    assert changes(run.say(lamp(0, supply_voltage_v=20), lamp(1, supply_voltage_v=18))) == ["+lamp_supply_loss"]
    assert changes(run.say(lamp(2, supply_voltage_v=229))) == ["-lamp_supply_loss"]


def test_six_changes_in_a_minute_are_flicker_until_a_minute_of_rest() -> None:
    run = light()
    blinks = [lamp(n * 5, 100 * (n % 2), 40 * (n % 2)) for n in range(7)]
    assert changes(run.say(*blinks[:6])) == []
    assert changes(run.say(blinks[6], *[lamp(35, 100, 40)])) == ["+lamp_flicker"]
    assert changes(run.until(94)) == []
    assert changes(run.until(95)) == ["-lamp_flicker"]


def test_slow_changes_are_no_flicker() -> None:
    run = light(stair=1)
    assert "+lamp_flicker" not in changes(run.say(*(lamp(n * 20, 100 * (n % 2), 40 * (n % 2)) for n in range(30))))


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (LampFault.LAMP_FAILURE, "lamp_out"),
        (LampFault.LOW_POWER, "lamp_power"),
        (LampFault.HIGH_POWER, "lamp_power"),
        (LampFault.FLICKER, "lamp_flicker"),
        (LampFault.SUPPLY_LOSS, "lamp_supply_loss"),
    ],
)
def test_the_controller_reports_its_own_faults_and_their_end(fault: LampFault, code: str) -> None:
    run = light()
    assert changes(run.say(LampFaulted(at=at(0), fault=fault))) == [f"+{code}"]
    assert changes(run.say(LampFaulted(at=at(1), fault=fault, active=False))) == [f"-{code}"]


def test_a_failure_the_controller_has_reported_is_over_when_the_lamp_takes_power() -> None:
    run = light()
    run.say(LampFaulted(at=at(0), fault=LampFault.LAMP_FAILURE))
    assert changes(run.say(lamp(1, 100, 40))) == ["-lamp_out"]
