import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.vision.readings import reading
from vision.confusion import cost, distance
from vision.types import PlateReading
from vision.voting import clusters, vote

PLATE = "沪A1B234"
seen = st.lists(
    st.builds(
        reading,
        st.text("沪浙A1B23480", max_size=8),
        st.floats(0.05, 1, allow_subnormal=False),
    ),
    max_size=6,
)
short = st.text("沪浙08BDQ1", max_size=7)


def test_nothing_read_gives_no_vote() -> None:
    assert vote([]) is None
    assert vote([reading("")]) is None


def test_one_reading_is_its_own_vote() -> None:
    voted = vote([reading(PLATE)])
    assert voted is not None
    assert (voted.plate, voted.frames, voted.repairs) == (PLATE, 1, ())
    assert voted.confidence == pytest.approx(0.95)


def test_frames_that_are_each_wrong_elsewhere_agree_on_the_plate() -> None:
    voted = vote([reading("沪A18234"), reading("浙A1B234"), reading("沪A1B2Z4"), reading("沪A1B234", 0.5)])
    assert voted is not None
    assert (voted.plate, voted.frames, voted.valid) == (PLATE, 4, True)


def test_a_vote_that_overrules_the_best_frame_says_so() -> None:
    voted = vote([reading("沪A18234", 0.99), reading(PLATE, 0.9), reading(PLATE, 0.9)])
    assert voted is not None
    assert [(r.at, r.was, r.now, r.why) for r in voted.repairs] == [(3, "8", "B", "3 frames voted")]
    assert voted.alternatives[3][0][0] == "8"


def test_the_car_behind_does_not_vote() -> None:
    voted = vote([reading(PLATE), reading("粤C98765", 0.97), reading(PLATE, 0.9)])
    assert voted is not None
    assert (voted.plate, voted.frames) == (PLATE, 2)


def test_a_frame_that_lost_the_eighth_character_does_not_shorten_the_plate() -> None:
    voted = vote([reading("沪AD12345"), reading("沪AD1234", 0.9), reading("沪AD12345")])
    assert voted is not None
    assert (voted.plate, voted.grammar) == ("沪AD12345", "new_energy_small")


def test_a_text_that_is_no_plate_counts_less_than_one_that_is() -> None:
    voted = vote([reading("沪A1O234", 0.9), reading("沪A10234", 0.6)])
    assert voted is not None
    assert voted.plate == "沪A10234"


def test_what_a_frame_thought_possible_votes_too() -> None:
    doubtful = reading("沪A18234", doubts={3: 0.5}, also={3: (("B", 0.45),)})
    voted = vote([doubtful, doubtful, reading(PLATE, 0.99)])
    assert voted is not None
    assert voted.plate == PLATE


@given(seen, st.randoms(use_true_random=False))
def test_the_order_of_frames_does_not_matter(readings: list[PlateReading], shuffled: object) -> None:
    other = sorted(readings, key=lambda _: shuffled.random())  # type: ignore[attr-defined]
    first, second = vote(readings), vote(other)
    assert (first and (first.plate, first.frames)) == (second and (second.plate, second.frames))


@given(seen)
def test_every_reading_is_in_one_cluster_and_confidences_are_fractions(readings: list[PlateReading]) -> None:
    groups = clusters(readings)
    assert sum(map(len, groups)) == sum(bool(r.plate) for r in readings)
    voted = vote(readings)
    if voted:
        assert all(0 <= p <= 1 for p in voted.char_confidences)
        assert len(voted.char_confidences) == len(voted.plate) == len(voted.alternatives)


@given(short, short)
def test_misreading_costs_the_same_both_ways_and_nothing_only_for_the_same(a: str, b: str) -> None:
    assert distance(a, b) == pytest.approx(distance(b, a))
    assert (distance(a, b) == 0) == (a == b)


@pytest.mark.parametrize("pair", ["0O", "0D", "0Q", "8B", "2Z", "5S", "6G", "1I", "沪浙"])
def test_what_looks_alike_costs_less_than_a_plain_error(pair: str) -> None:
    assert 0 < cost(*pair) < cost("A", "3") == 1
