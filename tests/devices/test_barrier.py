import pytest

from devices.effects import CheckPlate, OpenPassage, ReadPlate, RecordPoint, Report
from devices.events import (
    BarrierFault,
    BarrierFaulted,
    BarrierMoved,
    Direction,
    Listing,
    LoopChanged,
    Method,
    PlateCaptured,
    PlateChecked,
    PlateOutcome,
    PlateRead,
    VehiclePassed,
)
from devices.kinds.barrier import BARRIER
from tests.devices.table import Run, at, changes, of

PLATE = "沪A12345"
OTHER = "沪B67890"


def lane(direction: str = "in", **params: float) -> Run:
    return Run(BARRIER, direction=direction, **params)


def seen(seconds: float = 0, plate: str = PLATE, **more: object) -> PlateCaptured:
    return PlateCaptured(at=at(seconds), plate=plate, **({"evidence": "e1"} | more))


def checked(
    seconds: float = 0, plate: str = PLATE, listing: Listing = Listing.ALLOW, captured: float | None = None
) -> PlateChecked:
    captured_at = at(seconds if captured is None else captured)
    return PlateChecked(at=at(seconds), plate=plate, listing=listing, vehicle="v1", captured_at=captured_at)


def read(outcome: PlateOutcome, plate: str = PLATE, camera_plate: str = "") -> PlateRead:
    return PlateRead(
        at=at(2), outcome=outcome, evidence="e1", captured_at=at(0), plate=plate, camera_plate=camera_plate
    )


def arm(seconds: float, *, opened: bool) -> BarrierMoved:
    return BarrierMoved(at=at(seconds), open=opened)


def loop(seconds: float, *, occupied: bool, number: int = 0) -> LoopChanged:
    return LoopChanged(at=at(seconds), occupied=occupied, loop=number)


def passed(run: Run) -> list[VehiclePassed]:
    return [e.event for e in of(Report, run.effects)]


def test_the_cameras_plate_is_checked_and_the_picture_read_as_a_second_opinion() -> None:
    assert lane().say(seen()) == [
        CheckPlate(plate=PLATE, at=at(0), captured_at=at(0), evidence="e1"),
        ReadPlate(evidence="e1", captured_at=at(0), not_after=at(5), camera_plate=PLATE),
    ]
    assert not of(ReadPlate, lane(second_opinion=0).say(seen()))


def test_a_picture_without_a_plate_is_read_even_without_second_opinions() -> None:
    assert lane(second_opinion=0).say(seen(plate="")) == [
        ReadPlate(evidence="e1", captured_at=at(0), not_after=at(5), camera_plate="")
    ]
    assert lane().say(seen(plate="", evidence="")) == []


def test_a_plate_only_we_have_read_is_checked() -> None:
    assert lane().say(read(PlateOutcome.READ)) == [CheckPlate(plate=PLATE, at=at(2), captured_at=at(0), evidence="e1")]


def test_a_second_opinion_counts_disagreement_and_opens_nothing() -> None:
    assert lane().say(read(PlateOutcome.READ, camera_plate=PLATE)) == []
    effects = lane().say(read(PlateOutcome.READ, camera_plate=OTHER))
    assert effects == [RecordPoint(metric="plate_disagreement", value=1, at=at(2))]


@pytest.mark.parametrize("outcome", [PlateOutcome.UNSURE, PlateOutcome.NO_PLATE, PlateOutcome.UNREADABLE])
def test_a_doubtful_reading_opens_nothing(outcome: PlateOutcome) -> None:
    assert lane().say(read(outcome)) == []


@pytest.mark.parametrize("listing", [Listing.ALLOW, Listing.VISITOR])
def test_a_listed_vehicle_opens_the_barrier(listing: Listing) -> None:
    opening = OpenPassage(not_after=at(8), method=Method.PLATE, vehicle="v1")
    assert lane().say(checked(listing=listing)) == [opening]


@pytest.mark.parametrize("listing", [Listing.BLOCK, Listing.UNKNOWN, Listing.EXPIRED])
def test_any_other_vehicle_opens_nothing(listing: Listing) -> None:
    assert lane().say(checked(listing=listing)) == []


def test_a_plate_seen_too_long_ago_opens_nothing() -> None:
    assert lane().say(checked(8.1, captured=0)) == []


def test_the_same_plate_opens_again_only_later_or_after_the_arm_has_closed() -> None:
    run = lane()
    assert len(of(OpenPassage, run.say(checked(0), checked(1), checked(5)))) == 1
    assert of(OpenPassage, run.say(checked(6)))
    assert not of(OpenPassage, run.say(checked(7)))
    assert of(OpenPassage, run.say(arm(8, opened=True), arm(9, opened=False), checked(9)))


def test_a_forged_plate_raises_an_alert_is_checked_and_never_opens() -> None:
    run = lane()
    effects = run.say(seen(forged=True))
    assert changes(effects) == ["+plate_forged"]
    assert of(CheckPlate, effects)
    assert run.say(checked()) == []
    assert changes(run.until(599)) == []
    assert changes(run.until(600)) == ["-plate_forged"]


def test_a_vehicle_leaving_the_loop_under_the_open_arm_has_passed() -> None:
    run = lane(has_loop=1)
    run.say(seen(), checked(), arm(1, opened=True), loop(2, occupied=True), loop(4, occupied=False))
    expected = VehiclePassed(at=at(4), direction=Direction.IN, plate=PLATE, evidence="e1")
    assert passed(run) == [expected]
    run.say(expected, loop(4.5, occupied=False), arm(5, opened=False))
    assert passed(run) == [expected]
    assert run.state.passes_itself is False


def test_two_vehicles_in_one_opening_pass_in_their_order() -> None:
    run = lane(has_loop=1)
    run.say(seen(), checked(), arm(1, opened=True), seen(2, OTHER), checked(2, OTHER))
    run.say(loop(3, occupied=True), loop(4, occupied=False), loop(5, occupied=True), loop(6, occupied=False))
    assert [p.plate for p in passed(run)] == [PLATE, OTHER]


def test_a_vehicle_still_on_another_loop_has_not_passed() -> None:
    run = lane(has_loop=1)
    run.say(seen(), checked(), arm(1, opened=True), loop(2, occupied=True, number=1), loop(3, occupied=True, number=2))
    run.say(loop(4, occupied=False, number=1))
    assert passed(run) == []
    run.say(loop(5, occupied=False, number=2))
    assert len(passed(run)) == 1


def test_without_a_loop_the_closing_arm_tells_that_the_vehicle_has_passed() -> None:
    run = lane(direction="")
    run.say(seen(direction=Direction.OUT), checked(), arm(1, opened=True), arm(9, opened=False))
    assert passed(run) == [VehiclePassed(at=at(9), direction=Direction.OUT, plate=PLATE, evidence="e1")]


def test_with_a_loop_the_closing_arm_tells_nothing() -> None:
    run = lane(has_loop=1)
    run.say(seen(), checked(), arm(1, opened=True), arm(9, opened=False))
    assert passed(run) == []


def test_a_vehicle_let_in_by_hand_has_passed_and_one_turned_away_has_not() -> None:
    by_hand = lane()
    by_hand.say(seen(), arm(20, opened=True), arm(30, opened=False))
    assert [p.plate for p in passed(by_hand)] == [PLATE]
    turned_away = lane()
    turned_away.say(seen(), checked(), arm(1, opened=True), seen(2, OTHER), arm(9, opened=False))
    assert [p.plate for p in passed(turned_away)] == [PLATE]


def test_an_old_plate_explains_no_passage() -> None:
    run = lane()
    run.say(seen(), arm(61, opened=True), arm(62, opened=False))
    assert passed(run) == []


def test_a_device_that_reports_passages_itself_is_not_doubled() -> None:
    run = lane()
    own = VehiclePassed(at=at(4), direction=Direction.IN, plate=PLATE)
    run.say(seen(), checked(), arm(1, opened=True), own, arm(9, opened=False))
    run.say(seen(20), checked(20), arm(21, opened=True), arm(29, opened=False))
    assert passed(run) == []


def test_an_arm_that_stays_open_over_nothing_does_not_close() -> None:
    run = lane()
    run.say(arm(0, opened=True), arm(30, opened=True))
    assert changes(run.until(59)) == []
    assert changes(run.until(60)) == ["+barrier_not_closing"]
    assert changes(run.until(2000)) == ["+barrier_stuck_open"]
    assert changes(run.say(arm(2001, opened=False))) == ["-barrier_not_closing", "-barrier_stuck_open"]
    assert run.due is None


def test_a_vehicle_under_the_arm_keeps_it_open_rightly_for_ten_minutes() -> None:
    run = lane(has_loop=1)
    run.say(arm(0, opened=True), loop(1, occupied=True))
    assert changes(run.until(599)) == []
    assert changes(run.until(600)) == ["+barrier_stuck_open"]
    run.say(loop(700, occupied=False))
    assert run.due == at(760)


@pytest.mark.parametrize("fault", list(BarrierFault))
def test_the_barrier_reports_its_own_faults_and_their_end(fault: BarrierFault) -> None:
    run = lane()
    begun = BarrierFaulted(at=at(0), fault=fault)
    assert changes(run.say(begun)) == [f"+barrier_{fault}"]
    assert changes(run.say(BarrierFaulted(at=at(1), fault=fault, active=False))) == [f"-barrier_{fault}"]


def test_what_the_barrier_has_reported_is_not_raised_by_us_too() -> None:
    run = lane(stuck_open_s=0)
    run.say(arm(0, opened=True), BarrierFaulted(at=at(1), fault=BarrierFault.NOT_CLOSING))
    assert run.until(5000) == []
    assert changes(run.say(arm(5001, opened=False))) == ["-barrier_not_closing"]
