from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from devices.effects import CheckPlate, MatchPlate, OpenPassage, PlateLook, ReadPlate, RecordPoint, Report
from devices.events import (
    BarrierFault,
    BarrierFaulted,
    BarrierMoved,
    Direction,
    Listing,
    LoopChanged,
    Method,
    PlateCaptured,
    PlateCharacter,
    PlateChecked,
    PlateOutcome,
    PlateRead,
    PlateText,
    PlateVerdict,
    VehiclePassed,
)
from devices.kinds.barrier import BARRIER, let_through
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


def text(plate: str = PLATE, *, sure: bool = True) -> PlateText:
    return PlateText(plate=plate, characters=tuple(PlateCharacter(c, 0.95) for c in plate), sure=sure, grammar="car")


def read(outcome: PlateOutcome, plate: str = PLATE, camera_plate: str = "", seconds: float = 0) -> PlateRead:
    sure = outcome is PlateOutcome.READ
    return PlateRead(
        at=at(seconds + 2),
        outcome=outcome,
        evidence=f"e{seconds:g}",
        captured_at=at(seconds),
        plate=plate,
        camera_plate=camera_plate,
        reading=text(plate, sure=sure) if sure or outcome is PlateOutcome.UNSURE else None,
    )


def arm(seconds: float, *, opened: bool) -> BarrierMoved:
    return BarrierMoved(at=at(seconds), open=opened)


def loop(seconds: float, *, occupied: bool, number: int = 0) -> LoopChanged:
    return LoopChanged(at=at(seconds), occupied=occupied, loop=number)


def passed(run: Run) -> list[VehiclePassed]:
    return [e.event for e in of(Report, run.effects)]


def test_the_cameras_plate_is_checked_and_the_picture_read_as_a_second_opinion() -> None:
    assert lane().say(seen()) == [
        CheckPlate(plate=PLATE, at=at(0), captured_at=at(0), evidence="e1", settled=False),
        ReadPlate(evidence="e1", captured_at=at(0), not_after=at(5), camera_plate=PLATE),
    ]
    assert not of(ReadPlate, lane(second_opinion=0).say(seen()))


def test_a_picture_without_a_plate_is_read_even_without_second_opinions() -> None:
    assert lane(second_opinion=0).say(seen(plate="")) == [
        ReadPlate(evidence="e1", captured_at=at(0), not_after=at(5), camera_plate="")
    ]
    assert lane().say(seen(plate="", evidence="")) == []


def test_a_plate_only_we_have_read_is_matched_with_the_looks_before_it() -> None:
    first = PlateLook(at=at(0), evidence="e0", reading=text())
    second = PlateLook(at=at(3), evidence="e3", reading=text(OTHER, sure=False))
    late = PlateLook(at=at(9), evidence="e9", reading=text())
    run = lane()
    assert run.say(read(PlateOutcome.READ)) == [MatchPlate(look=first, at=at(2), settled=False)]
    asked = run.say(read(PlateOutcome.UNSURE, OTHER, seconds=3))
    assert asked == [MatchPlate(look=second, at=at(5), others=(first,), settled=False)]
    assert run.say(read(PlateOutcome.READ, seconds=9)) == [
        MatchPlate(look=late, at=at(11), others=(second,), settled=False)
    ]


def test_a_second_opinion_counts_disagreement() -> None:
    same = lane().say(read(PlateOutcome.READ, camera_plate=PLATE))
    assert [type(e) for e in same] == [MatchPlate]
    other = lane().say(read(PlateOutcome.READ, camera_plate=OTHER))
    assert other[0] == RecordPoint(metric="plate_disagreement", value=1, at=at(2))
    assert of(MatchPlate, other)[0].camera_plate == OTHER


@pytest.mark.parametrize("outcome", [PlateOutcome.NO_PLATE, PlateOutcome.UNREADABLE])
def test_a_picture_nothing_was_read_on_asks_nothing(outcome: PlateOutcome) -> None:
    assert lane().say(read(outcome, "")) == []


ONE_DOUBTFUL_LOOK = {"sure": False, "frames": 1}
RULES = [
    (PlateVerdict.EXACT, {"sure": True, "frames": 1}, True),
    (PlateVerdict.EXACT, ONE_DOUBTFUL_LOOK, False),
    (PlateVerdict.EXACT, {"sure": False, "frames": 2}, True),
    (PlateVerdict.EXACT, {"camera_plate": OTHER}, False),
    (PlateVerdict.EXACT, {"camera_plate": OTHER, "frames": 2}, True),
    (PlateVerdict.SIMILAR, {"sure": True, "frames": 1}, False),
    (PlateVerdict.SIMILAR, {"frames": 2}, True),
    (PlateVerdict.UNSURE, {"frames": 5}, False),
    (PlateVerdict.EXACT, {"elsewhere": "lane-2"}, False),
]


@pytest.mark.parametrize(("verdict", "more", "opens"), RULES)
def test_how_much_it_takes_to_open(verdict: PlateVerdict, more: dict[str, Any], *, opens: bool) -> None:
    asked = lane().say(replace(checked(), verdict=verdict, **more))
    assert bool(of(OpenPassage, asked)) is opens


def test_a_camera_in_doubt_opens_nothing_alone() -> None:
    asked = of(CheckPlate, lane().say(seen(confidence=0.5)))
    assert [check.sure for check in asked] == [False]
    assert [check.sure for check in of(CheckPlate, lane().say(seen(confidence=0.9)))] == [True]


def test_a_vehicle_nothing_was_opened_for_is_asked_about_a_last_time() -> None:
    run = lane()
    run.say(
        read(PlateOutcome.UNSURE), replace(checked(2, captured=0), evidence="e0", settled=False, **ONE_DOUBTFUL_LOOK)
    )
    assert run.due == at(4)
    (last,) = run.until(10)
    assert (last.settled, last.look.evidence, last.at) == (True, "e0", at(4))
    assert run.due is None


def test_without_a_look_of_ours_the_cameras_plate_is_asked_about_a_last_time() -> None:
    run = lane()
    run.say(seen(), replace(checked(listing=Listing.UNKNOWN), evidence="e1", settled=False))
    assert run.until(10) == [
        CheckPlate(plate=PLATE, at=at(2), captured_at=at(0), evidence="e1", sure=False, settled=True)
    ]


def test_a_better_look_ends_the_doubt() -> None:
    run = lane()
    run.say(replace(checked(), evidence="e0", settled=False, **ONE_DOUBTFUL_LOOK))
    assert of(OpenPassage, run.say(replace(checked(1), evidence="e1", looks=("e0", "e1"), frames=2, settled=False)))
    assert run.due is None


def test_a_car_that_stands_under_the_open_arm_is_opened_for_once() -> None:
    run = lane(has_loop=1)
    run.say(seen(), checked(), arm(1, opened=True))
    for second in range(2, 40):
        run.say(seen(second), checked(second))
    run.say(loop(40, occupied=True), loop(42, occupied=False), arm(44, opened=False), checked(45, captured=41))
    assert len(of(OpenPassage, run.effects)) == 1
    assert [p.plate for p in passed(run)] == [PLATE]


def test_a_car_misread_on_a_later_picture_is_still_the_same_car() -> None:
    run = lane()
    run.say(replace(checked(), looks=("e0",)), arm(1, opened=True))
    assert run.say(replace(checked(2, OTHER), looks=("e0", "e2"), frames=2)) == []
    run.say(arm(8, opened=False))
    assert [p.plate for p in passed(run)] == [PLATE]


def test_what_we_read_does_not_open_again_for_whom_the_camera_let_in() -> None:
    run = lane()
    run.say(seen(), checked())
    assert run.say(replace(checked(1, OTHER), camera_plate=PLATE, frames=3)) == []


def test_a_car_that_turned_back_has_not_passed_and_is_opened_for_when_it_comes_again() -> None:
    run = lane(has_loop=1)
    run.say(seen(), checked(), arm(1, opened=True), arm(20, opened=False))
    assert passed(run) == []
    assert of(OpenPassage, run.say(seen(60), checked(60)))


def test_the_car_behind_is_another_one() -> None:
    run = lane(has_loop=1)
    run.say(replace(checked(), looks=("e0",)), arm(1, opened=True))
    assert of(OpenPassage, run.say(replace(checked(2, OTHER), looks=("e2",), evidence="e2")))


def test_a_lane_tells_whom_it_has_just_let_through() -> None:
    run = lane()
    run.say(checked())
    assert let_through(run.state, PLATE, at(8), run.device)
    assert not let_through(run.state, PLATE, at(11), run.device)
    assert not let_through(run.state, OTHER, at(1), run.device)
    run.say(arm(2, opened=True), arm(9, opened=False))
    assert let_through(run.state, PLATE, at(12), run.device)


LOOKS = [read(PlateOutcome.READ, seconds=second) for second in range(5)]


@given(st.permutations(LOOKS + LOOKS))
def test_looks_again_and_in_any_order_end_in_one_opening(order: list[PlateRead]) -> None:
    run = lane()
    for look in order:
        for ask in of(MatchPlate, run.say(look)):
            looks = tuple(sorted({ask.look.evidence, *(other.evidence for other in ask.others)}))
            answer = checked(6, captured=(ask.look.at - at(0)).total_seconds())
            run.say(replace(answer, evidence=ask.look.evidence, looks=looks, frames=len(looks), settled=False))
    run.say(arm(7, opened=True), arm(9, opened=False))
    assert len(of(OpenPassage, run.effects)) == 1
    assert len(passed(run)) == 1
    assert run.state.passage.doubt is None
    assert [look.evidence for look in run.state.passage.looks] == [look.evidence for look in LOOKS]


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
    assert passed(run) == [VehiclePassed(at=at(62), direction=Direction.IN)]


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
