from devices.effects import RecordPoint
from devices.events import BatteryMeasured, CoverMoved, TamperDetected, WaterMeasured
from devices.kinds.cover import COVER
from tests.devices.table import Run, at, changes, of


def cover(**params: float) -> Run:
    return Run(COVER, **params)


def test_an_open_cover_is_an_alert_each_time_it_is_said() -> None:
    run = cover()
    assert changes(run.say(CoverMoved(at=at(0), open=True), CoverMoved(at=at(1), open=True))) == ["+cover_open"] * 2
    assert changes(run.say(CoverMoved(at=at(2), open=False), CoverMoved(at=at(3), open=False))) == ["-cover_open"]


def test_a_tilted_cover_is_told_once_until_it_lies_flat() -> None:
    run = cover()
    tilts = [CoverMoved(at=at(n), open=False, tilt_deg=tilt) for n, tilt in enumerate((5, 15, 16, 30, 14))]
    assert changes(run.say(*tilts[:2])) == []
    assert changes(run.say(*tilts[2:4])) == ["+cover_tilted"]
    assert changes(run.say(CoverMoved(at=at(4), open=False))) == [], "an unknown tilt says nothing"
    assert changes(run.say(tilts[4])) == ["-cover_tilted"]


def test_an_open_cover_is_not_also_tilted() -> None:
    assert changes(cover().say(CoverMoved(at=at(0), open=True, tilt_deg=80))) == ["+cover_open"]


def test_high_water_ends_only_well_below_the_limit() -> None:
    run = cover()
    levels = {50: [], 49: ["+water_high"], 40: [], 55: [], 60: [], 61: ["-water_high"]}
    for n, (depth, expected) in enumerate(levels.items()):
        effects = run.say(WaterMeasured(at=at(n), below_cover_cm=depth))
        assert changes(effects) == expected, depth
        assert of(RecordPoint, effects)[0].value == depth


def test_a_low_battery_ends_only_above_twenty_percent() -> None:
    run = cover()
    for n, (level, expected) in enumerate({15: [], 14: ["+battery_low"], 20: [], 21: ["-battery_low"]}.items()):
        effects = run.say(BatteryMeasured(at=at(n), level_pct=level))
        assert changes(effects) == expected, level
        assert of(RecordPoint, effects) == [RecordPoint(metric="battery_pct", value=level, at=at(n))]


def test_an_opened_housing_is_tampering() -> None:
    assert changes(cover().say(TamperDetected(at=at(0)))) == ["+tamper"]


def test_a_cover_never_waits_for_a_time() -> None:
    run = cover()
    run.say(CoverMoved(at=at(0), open=True), WaterMeasured(at=at(1), below_cover_cm=1))
    assert run.due is None
