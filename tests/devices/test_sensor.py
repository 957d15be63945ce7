"""Environment sensors: warnings, limits with a delay and a band, and what is only recorded."""

from __future__ import annotations

import pytest

from devices.alert_types import ALERT_TYPES, Severity
from devices.effects import RecordPoint
from devices.events import (
    BatteryMeasured,
    DoorChanged,
    Hazard,
    HazardDetected,
    LampMeasured,
    SensorMeasured,
    TamperDetected,
)
from devices.kinds import KINDS
from devices.kinds.common import HAZARDS
from devices.kinds.sensor import SENSOR
from tests.devices.table import Run, at, changes, of


def warm(seconds: float, value: float, metric: str = "temperature_c") -> SensorMeasured:
    return SensorMeasured(at=at(seconds), metric=metric, value=value)


@pytest.mark.parametrize("hazard", list(Hazard))
@pytest.mark.parametrize("kind", ["sensor", "cover", "bay", "light", "camera"])
def test_a_warning_raises_its_alert_whatever_the_sensor_is_fixed_to(kind: str, hazard: Hazard) -> None:
    run = Run(KINDS[kind])
    code = HAZARDS[hazard]
    assert changes(run.say(HazardDetected(at=at(0), hazard=hazard))) == [f"+{code}"]
    assert changes(run.say(HazardDetected(at=at(9), hazard=hazard, active=False))) == [f"-{code}"]
    assert code in ALERT_TYPES


def test_life_comes_first() -> None:
    gravest = {HAZARDS[h] for h in Hazard if ALERT_TYPES[HAZARDS[h]].severity is Severity.P1}
    assert gravest == {"smoke", "gas", "heat", "sos", "intrusion"}


def test_a_test_button_raises_nothing() -> None:
    assert Run(SENSOR).say(HazardDetected(at=at(0), hazard=Hazard.SMOKE, test=True)) == []


def test_a_value_beyond_its_limit_raises_one_alert_until_it_is_back_by_the_band() -> None:
    run = Run(SENSOR, temperature_c_max=30, temperature_c_band=2)
    assert changes(run.say(warm(0, 30))) == []
    assert changes(run.say(warm(1, 31), warm(2, 35))) == ["+sensor_limit"]
    assert changes(run.say(warm(3, 29))) == []
    assert changes(run.say(warm(4, 27.5), warm(5, 27.0))) == ["-sensor_limit"]


def test_below_the_lower_limit_counts_too_and_each_metric_has_its_own_alert() -> None:
    run = Run(SENSOR, temperature_c_min=0, humidity_pct_max=80)
    raised = run.say(warm(0, -1), warm(0, 90, "humidity_pct"))
    assert changes(raised) == ["+sensor_limit", "+sensor_limit"]
    assert changes(run.say(warm(9, 5))) == ["-sensor_limit"]
    assert [b.metric for b in run.state.beyond] == ["humidity_pct"]


def test_with_a_delay_a_short_peak_is_none() -> None:
    run = Run(SENSOR, temperature_c_max=30, limit_delay_s=60)
    assert changes(run.say(warm(0, 31))) == []
    assert run.due == at(60)
    assert changes(run.say(warm(30, 29))) == []
    assert run.due is None
    run.say(warm(100, 31))
    assert changes(run.until(200)) == ["+sensor_limit"]
    assert run.due is None


def test_every_figure_is_recorded() -> None:
    run = Run(SENSOR)
    said = run.say(warm(0, 21), LampMeasured(at=at(0), active_power_w=5), DoorChanged(at=at(0), open=True))
    assert [(p.metric, p.value) for p in of(RecordPoint, said)] == [
        ("temperature_c", 21),
        ("active_power_w", 5),
        ("open", 1),
    ]


def test_its_battery_and_its_housing_are_watched() -> None:
    run = Run(SENSOR)
    said = run.say(BatteryMeasured(at=at(0), level_pct=5), TamperDetected(at=at(1)))
    assert changes(said) == ["+battery_low", "+tamper"]
