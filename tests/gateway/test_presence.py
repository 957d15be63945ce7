"""Who is on the estate: exits that were misread or not read at all, entries that were, rounds, and what is kept."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from devices.events import Listing
from devices.model import Device
from gateway import dwell, presence
from gateway.actions import MarkVehicle, NotFoundError, RefusedError
from gateway.presence import Stay, Trace, Yard
from gateway.presencebook import Inside
from gateway.settings import Policies
from gateway.vehicles import Vehicle, new_vehicle_id
from tests.gateway.shell import START, Shell

WAY_IN = Device(id="in-1", kind="barrier", protocol="native", address="I1", community="c1", direction="in")
WAY_OUT = Device(id="out-1", kind="barrier", protocol="native", address="O1", community="c1", direction="out")
RESIDENT, OTHER, STRANGER = "沪A84078", "沪B12345", "苏E36915"
H = 3600.0
LIMITS = Policies()


class Estate(Shell):
    """A way in and a way out, and two residents' cars."""

    def __init__(self, folder: Path, now: datetime = START) -> None:
        super().__init__(folder, now, (WAY_IN, WAY_OUT))
        for plate in (RESIDENT, OTHER):
            if self.directory.vehicle(plate) is None:
                self.directory.put_vehicle(Vehicle(plate=plate, id=new_vehicle_id(), listing=Listing.ALLOW))

    def comes(self, plate: str) -> None:
        self.say(WAY_IN, "vehicle_passed", direction="in", plate=plate)
        self.pass_time(60)

    def leaves(self, plate: str = "") -> None:
        self.say(WAY_OUT, "vehicle_passed", direction="out", plate=plate)
        self.pass_time(60)

    def lives(self, plate: str, days: int, out_h: float = 9) -> None:
        """Comes home in the evening and leaves in the morning, so many days."""
        for _ in range(days):
            self.comes(plate)
            self.pass_time((24 - out_h) * H)
            self.leaves(plate)
            self.pass_time(out_h * H)

    def inside(self) -> dict[str, Inside]:
        return {one.stay.plate: one for one in self.hub.presence.inside("c1", self.now)}

    def mark(self, plate: str, *, here: bool) -> Any:
        one = self.inside()[plate]
        assert one.stay.entered_at is not None
        return self.ask(MarkVehicle(by="guard", community="c1", key=one.key, entered_at=one.stay.entered_at, here=here))

    @property
    def open(self) -> list[str]:
        """What stands, but for lanes that are silent for hours here."""
        silent = ("device_offline", "uplink_offline")
        return [kind for kind, condition, _ in self.alerts() if condition == "active" and kind not in silent]


@pytest.fixture
def estate(tmp_path: Path) -> Iterator[Estate]:
    held = Estate(tmp_path)
    yield held
    held.close()


# -- exits --


def test_a_vehicle_read_at_the_exit_is_out(estate: Estate) -> None:
    estate.comes(STRANGER)
    assert list(estate.inside()) == [STRANGER]
    estate.leaves(STRANGER)
    assert estate.inside() == {}


@pytest.mark.parametrize("read", ["苏E56915", "苏E3G915"])
def test_an_exit_misread_by_similar_characters_is_that_vehicles(estate: Estate, read: str) -> None:
    estate.comes(STRANGER)
    estate.pass_time(H)
    estate.leaves(read)
    assert estate.inside() == {}
    (body,) = estate.rows("SELECT body FROM events WHERE type = 'vehicle_traced'")[0]
    assert read in body.decode()
    assert STRANGER in body.decode()


def test_an_exit_that_resembles_nobody_is_nobodys(estate: Estate) -> None:
    estate.comes(STRANGER)
    estate.leaves("京N77777")
    assert list(estate.inside()) == [STRANGER]
    assert "vehicle_traced" not in estate.events()


def test_a_plate_read_at_the_exit_counts_though_no_passage_is_told(estate: Estate) -> None:
    estate.comes(STRANGER)
    estate.say(WAY_OUT, "plate_captured", plate=STRANGER, confidence=0.9)
    assert list(estate.inside()) == [STRANGER]
    estate.pass_time(181)
    assert estate.inside() == {}


def test_a_misread_plate_at_the_exit_is_traced_though_no_passage_is_told(estate: Estate) -> None:
    estate.comes(STRANGER)
    estate.pass_time(H)
    estate.say(WAY_OUT, "plate_captured", plate="苏E3691S", confidence=0.9)
    estate.pass_time(181)
    assert estate.inside() == {}
    ((device, body),) = estate.rows("SELECT device, body FROM events WHERE type = 'vehicle_traced'")
    assert device == WAY_OUT.id
    assert b"3691S" in body


def test_a_lane_registered_as_neither_in_nor_out_goes_by_what_is_said_of_it(estate: Estate) -> None:
    estate.directory.put_device(replace(WAY_OUT, direction="both"))
    estate.comes(STRANGER)
    estate.say(WAY_OUT, "plate_captured", plate=STRANGER, confidence=0.9, direction="out")
    estate.pass_time(181)
    assert estate.inside() == {}
    assert estate.rows("SELECT count(*) FROM quarantine") == [(0,)]


def test_a_passage_without_a_plate_is_the_reading_before_it(estate: Estate) -> None:
    estate.comes(STRANGER)
    estate.comes(OTHER)
    estate.say(WAY_OUT, "plate_captured", plate=STRANGER, confidence=0.9)
    estate.leaves()
    assert list(estate.inside()) == [OTHER]


def test_what_a_lane_tells_late_of_an_exit_sets_the_register_right(estate: Estate) -> None:
    estate.comes(STRANGER)
    estate.pass_time(5 * H)
    when = estate.now - timedelta(hours=3)
    body = {
        "id": "r1",
        "stored": True,
        "event": {"type": "plate_captured", "at": when.isoformat(), "plate": STRANGER, "confidence": 0.9},
    }
    estate.take(estate.message("linli/v1/O1/event", body))
    assert estate.inside() == {}


# -- entries --


def test_an_entry_misread_for_a_registered_vehicle_that_is_out_is_its_own(estate: Estate) -> None:
    estate.lives(RESIDENT, 8)
    estate.comes("沪A8A078")
    assert list(estate.inside()) == [RESIDENT]
    assert estate.inside()[RESIDENT].stay.read == "沪A8A078"


def test_an_entry_that_resembles_one_that_is_inside_is_a_strangers(estate: Estate) -> None:
    estate.lives(RESIDENT, 8)
    estate.comes(RESIDENT)
    estate.pass_time(H)
    estate.comes("沪A8A078")
    assert set(estate.inside()) == {RESIDENT, "沪A8A078"}


def test_a_known_vehicle_that_leaves_without_having_come_ends_the_stay_of_its_misread_self(estate: Estate) -> None:
    estate.comes("沪A84O78")  # nothing is known of its habits yet: it may be a stranger's
    estate.pass_time(10 * H)
    estate.leaves(RESIDENT)
    assert estate.inside() == {}


def test_one_seen_again_at_the_entry_was_out(estate: Estate) -> None:
    estate.comes(RESIDENT)
    estate.pass_time(30 * H)
    estate.comes(RESIDENT)
    stay = estate.inside()[RESIDENT].stay
    assert (stay.visits, stay.missed) == (0, 1)


# -- overdue --


def test_a_stranger_that_stays_is_told_once_and_is_over_when_it_leaves(estate: Estate) -> None:
    estate.comes(STRANGER)
    estate.pass_time(24 * H - 61)
    assert estate.open == []
    estate.pass_time(3)
    estate.pass_time(30 * H)
    assert estate.open == ["unknown_stays"]
    estate.leaves(STRANGER)
    assert estate.open == []


def test_a_resident_stays_as_long_as_a_zombie_car_is_not(estate: Estate) -> None:
    estate.lives(RESIDENT, 8)
    estate.comes(RESIDENT)
    estate.pass_time(29 * 24 * H)
    assert estate.open == []
    estate.pass_time(2 * 24 * H)
    assert estate.open == ["vehicle_overstay"]


def test_a_guest_registered_meanwhile_is_no_guest(estate: Estate) -> None:
    estate.comes(STRANGER)
    estate.pass_time(25 * H)
    assert estate.open == ["unknown_stays"]
    estate.directory.put_vehicle(Vehicle(plate=STRANGER, id=new_vehicle_id(), listing=Listing.ALLOW))
    estate.pass_time(H + 1)
    assert estate.open == []


def test_the_only_one_inside_is_the_one_nobody_could_read(estate: Estate) -> None:
    estate.comes(STRANGER)
    estate.pass_time(H)
    estate.leaves()
    assert estate.inside() == {}


def test_a_stranger_that_may_have_left_unread_is_on_the_list_and_no_alert(estate: Estate) -> None:
    estate.comes(STRANGER)
    estate.comes("皖C55555")
    estate.pass_time(H)
    estate.leaves()
    estate.pass_time(24 * H)
    assert estate.open == []
    one = estate.inside()[STRANGER]
    assert one.waits is (one.probability >= LIMITS.round_from)
    assert one.probability < 0.5


def test_who_comes_back_claims_the_exit_nobody_could_read(estate: Estate) -> None:
    estate.lives(RESIDENT, 12)
    estate.comes(RESIDENT)
    estate.pass_time(13 * H)
    estate.comes(STRANGER)
    estate.pass_time(H)
    estate.leaves()
    estate.pass_time(8 * H)
    before = estate.inside()[STRANGER].probability
    estate.comes(RESIDENT)
    after = estate.inside()[STRANGER].probability
    assert before < after
    estate.pass_time(H)
    assert len(estate.rows("SELECT name FROM states WHERE name LIKE 'policy:exit_trace:%'")) <= 1


# -- rounds --


def overdue(estate: Estate) -> None:
    """A stranger that may have left without having been read: who else was there was seen to leave later."""
    estate.lives(OTHER, 4)
    estate.comes(OTHER)
    estate.comes(STRANGER)
    estate.pass_time(6 * H)
    estate.leaves()
    estate.pass_time(19 * H)
    assert estate.open == []
    assert estate.inside()[STRANGER].waits


def test_found_on_the_round_it_is_told_with_certainty(estate: Estate) -> None:
    overdue(estate)
    marked = estate.mark(STRANGER, here=True)
    assert marked.overdue
    assert estate.open == ["unknown_stays"]
    (alert,) = [one for one in estate.hub.alerts.open if one.type == "unknown_stays"]
    assert alert.confidence > 0.99
    assert alert.detail["seen_on_a_round"] is True
    assert not estate.inside()[STRANGER].waits


def test_not_found_on_the_round_it_is_gone_from_the_register(estate: Estate) -> None:
    overdue(estate)
    assert not estate.mark(STRANGER, here=False).overdue
    assert STRANGER not in estate.inside()
    with pytest.raises(NotFoundError):
        estate.ask(MarkVehicle(by="guard", community="c1", key="0" * 16, entered_at=START, here=False))


def test_a_mark_is_about_one_stay_and_no_later_one(estate: Estate) -> None:
    overdue(estate)
    one = estate.inside()[STRANGER]
    action = MarkVehicle(by="guard", community="c1", key=one.key, entered_at=START, here=False)
    with pytest.raises(RefusedError, match="came in again"):
        estate.ask(action)


def test_a_list_nobody_takes_along_is_one_alert_until_it_is_empty(estate: Estate) -> None:
    overdue(estate)
    for _ in range(3):
        estate.pass_time(24 * H)
    assert estate.open == ["round_due"]
    (alert,) = [one for one in estate.hub.alerts.open if one.type == "round_due"]
    assert alert.detail["vehicles"] >= 1
    for plate, one in estate.inside().items():
        if one.waits:
            estate.mark(plate, here=False)
    assert estate.open == []


def test_a_round_is_in_the_ledger_without_the_plate(estate: Estate) -> None:
    overdue(estate)
    estate.mark(STRANGER, here=True)
    (body,) = estate.rows("SELECT body FROM ledger WHERE kind = 'round'")[0]
    assert b'"here":true' in body
    assert STRANGER.encode() not in body


# -- what is kept --


def test_a_restart_keeps_who_is_inside_and_how_likely(tmp_path: Path) -> None:
    first = Estate(tmp_path)
    overdue(first)
    before = first.hub.presence.inside("c1", first.now)
    first.close()
    again = Estate(tmp_path, first.now)
    assert again.hub.presence.inside("c1", first.now) == before
    assert again.mark(STRANGER, here=True).overdue
    again.close()


# -- the arithmetic --


@given(st.lists(st.floats(0, 3000), max_size=30), st.floats(0, 3000), st.floats(0, 3000))
def test_a_curve_falls_from_one_to_those_who_stay_for_ever(seen: list[float], early: float, late: float) -> None:
    counts = dwell.NOTHING
    for hours in seen:
        counts = dwell.observed(counts, hours)
    curve = dwell.curve(counts, dwell.Usual(low=0.25, high=12, long=0.03, for_ever=0.002))
    early, late = sorted((early, late))
    assert 1 >= curve.survival(early) >= curve.survival(late) >= 0.002 - 1e-9
    assert curve.survival(0) == 1
    assert curve.density(early) >= 0


def test_what_was_seen_outweighs_what_is_usual() -> None:
    usual, counts = dwell.Usual(low=0.25, high=12), dwell.NOTHING
    for _ in range(1000):
        counts = dwell.observed(counts, 3)
    assert dwell.curve(counts, usual).survival(4.1) < 0.1 < dwell.curve(dwell.NOTHING, usual).survival(4.1)


@pytest.mark.parametrize(
    ("read", "plate", "low", "high"),
    [
        ("沪A12345", "沪A12345", 0.0, 0.0),
        ("沪A1234S", "沪A12345", 0.1, 0.5),
        ("苏A12345", "沪A12345", 0.5, 0.5),
        ("沪A1234", "沪A12345", 1.0, 1.0),
        ("沪A99345", "沪A12345", 1.5, 9),
        ("沪A99999", "沪A12345", 9, float("inf")),
    ],
)
def test_errors_between_a_text_and_a_plate(read: str, plate: str, low: float, high: float) -> None:
    assert low <= presence.errors(read, plate) <= high


def at(hours: float) -> datetime:
    return START + timedelta(hours=hours)


def stranger(**fields: Any) -> Stay:
    return Stay(plate=STRANGER, barrier="in-1", entered_at=START, **fields)


@pytest.mark.parametrize(
    ("stay", "hours", "low", "high"),
    [
        (stranger(), 1, 0.98, 1.0),
        (stranger(), 24, 0.5, 0.95),
        (stranger(), 30 * 24, 0.15, 0.6),
        (stranger(seen_at=at(48)), 30 * 24, 0.7, 1.0),
        (stranger(mistaken=0.5), 1, 0.2, 0.5),
        (Stay(plate=RESIDENT, listing=Listing.ALLOW, entered_at=START, visits=40), 30 * 24, 0.8, 1.0),
        (Stay(plate=RESIDENT), 1, 0.0, 0.0),
    ],
)
def test_the_probability_without_any_trace(stay: Stay, hours: float, low: float, high: float) -> None:
    assert low <= presence.odds(stay, (), Yard(), LIMITS, at(hours)).probability <= high


def test_a_trace_is_shared_by_how_likely_each_was_to_leave_just_then() -> None:
    inside = {
        "just came": Stay(plate="a", entered_at=at(9.9)),
        "usual": Stay(plate="b", entered_at=at(8)),
        "zombie": Stay(plate="c", entered_at=at(-900)),
    }
    trace = presence.traced(Trace(at=at(10), lane="out-1"), inside, dict.fromkeys(inside, 0.01), ([], Yard(), LIMITS))
    shares = {key: share.weight for key, share in trace.candidates.items()}
    assert shares["usual"] > 10 * shares["zombie"]
    assert presence.the_one(trace)[0] in ("usual", "just came")


def test_a_trace_claimed_by_another_says_nothing_any_more() -> None:
    shares = {"a": presence.Share(0.1, 0.1), "b": presence.Share(0.1, 0.1)}
    trace = Trace(at=at(1), lane="out-1", candidates=shares, other=0.01)
    ((_, before),) = presence.evidence([trace])["a"]
    left = presence.without(trace, "b")
    assert left is not None
    ((_, alone),) = presence.evidence([left])["a"]
    claimed = presence.without(trace, "b", 0.9)
    assert claimed is not None
    ((_, after),) = presence.evidence([claimed])["a"]
    assert alone > before
    assert after == pytest.approx(0.1 * alone)
    assert presence.without(trace, "b", 1.0) is None
