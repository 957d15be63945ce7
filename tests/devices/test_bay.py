import pytest

from devices.effects import CheckPlate
from devices.events import BatteryMeasured, BayChanged, Listing, PlateChecked
from devices.kinds.bay import BAY
from tests.devices.table import Run, at, changes

PLATE = "沪A12345"
DAYS = 86400


def bay(**params: float) -> Run:
    return Run(BAY, **params)


def taken(seconds: float, plate: str = "") -> BayChanged:
    return BayChanged(at=at(seconds), occupied=True, plate=plate)


def left(seconds: float) -> BayChanged:
    return BayChanged(at=at(seconds), occupied=False)


def checked(listing: Listing, plate: str = PLATE) -> PlateChecked:
    return PlateChecked(at=at(0), plate=plate, listing=listing, captured_at=at(0))


def test_three_days_in_a_bay_are_an_overstay_until_it_is_left() -> None:
    run = bay()
    run.say(taken(0), taken(DAYS))
    assert run.until(3 * DAYS - 1) == []
    (alert,) = run.until(9 * DAYS)
    assert (alert.code, alert.at) == ("bay_overstay", at(3 * DAYS))
    assert run.say(taken(9 * DAYS)) == []
    assert changes(run.say(left(9 * DAYS + 1), left(9 * DAYS + 2))) == ["-bay_overstay"]
    assert run.due is None


def test_no_limit_means_no_overstay() -> None:
    run = bay(overstay_h=0)
    run.say(taken(0))
    assert run.due is None


def test_a_plate_in_a_private_bay_is_checked_once() -> None:
    run = bay(private=1)
    assert run.say(taken(0, PLATE), taken(1, PLATE)) == [CheckPlate(plate=PLATE, at=at(0), captured_at=at(0))]
    assert bay().say(taken(0, PLATE)) == []


@pytest.mark.parametrize("listing", list(Listing))
def test_only_a_listed_vehicle_may_use_a_private_bay(listing: Listing) -> None:
    run = bay(private=1)
    run.say(taken(0, PLATE))
    mine = listing in (Listing.ALLOW, Listing.VISITOR)
    effects = run.say(checked(listing), checked(listing))
    assert changes(effects) == ([] if mine else ["+bay_foreign_vehicle"])
    assert all(e.subject == PLATE for e in effects)
    assert changes(run.say(left(1))) == ([] if mine else ["-bay_foreign_vehicle"])


def test_an_answer_about_a_vehicle_that_is_gone_raises_nothing() -> None:
    run = bay(private=1)
    assert changes(run.say(taken(0, PLATE), left(1), checked(Listing.UNKNOWN))) == []


def test_another_plate_is_another_vehicle_with_its_own_time() -> None:
    run = bay(private=1)
    run.say(taken(0, PLATE), checked(Listing.UNKNOWN))
    effects = run.say(taken(DAYS, "沪B67890"))
    assert changes(effects) == ["-bay_foreign_vehicle"]
    assert run.due == at(4 * DAYS)


def test_a_bay_sensor_has_a_battery_too() -> None:
    assert changes(bay().say(BatteryMeasured(at=at(0), level_pct=3))) == ["+battery_low"]
