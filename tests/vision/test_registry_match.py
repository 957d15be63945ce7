import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.vision.readings import reading
from vision.registry_match import NEAR, match

OURS = {"沪A1B234", "沪C55555", "沪AD12345"}
plates = st.from_regex(r"[沪浙][AB][018BD]{5}", fullmatch=True)


def test_a_registered_plate_is_found_exactly_whatever_separators_it_has() -> None:
    found = match("沪A·1B234", OURS)
    assert (found.verdict, found.plate, found.distance) == ("exact", "沪A1B234", 0)


def test_a_doubtful_character_is_repaired_and_the_trail_says_how() -> None:
    found = match(reading("沪A18234", doubts={3: 0.6}), OURS)
    assert (found.verdict, found.plate) == ("similar", "沪A1B234")
    assert "8→B at 4" in found.why
    assert [(r.was, r.now) for r in found.repairs] == [("8", "B")]


def test_what_was_read_well_and_exists_is_another_car() -> None:
    found = match(reading("沪A18234", 0.99), OURS)
    assert (found.verdict, found.plate) == ("unsure", "")
    assert [c.plate for c in found.candidates] == ["沪A1B234"]


def test_a_cameras_text_that_can_be_no_plate_is_repaired() -> None:
    assert match("沪C5555S5", {"沪C555555"}).verdict == "similar"
    assert match("沪A1I234", {"沪A11234"}).plate == "沪A11234"


def test_two_that_look_alike_leave_it_unsure() -> None:
    found = match(reading("沪A10234", doubts={3: 0.5}), {"沪A1D234", "沪A1Q234"})
    assert (found.verdict, found.plate, len(found.candidates)) == ("unsure", "", 2)
    assert "several" in found.why


def test_another_province_counts_where_the_reader_was_in_doubt() -> None:
    assert match(reading("浙C55555", doubts={0: 0.5}), OURS).plate == "沪C55555"
    assert match(reading("浙C55555"), OURS).verdict == "unsure"


def test_a_plate_that_lost_its_eighth_character_is_for_a_person() -> None:
    found = match("沪AD1234", OURS)
    assert found.verdict == "unsure"
    assert found.candidates[0].plate == "沪AD12345"


def test_a_strangers_plate_is_unknown() -> None:
    assert match(reading("粤C98766", 0.5), OURS).verdict == "unknown"


def test_the_blocklist_is_matched_exactly() -> None:
    found = match("沪B00001", OURS, {"沪B00001"})
    assert (found.verdict, found.blocked) == ("exact", True)


def test_a_plate_near_the_blocklist_is_neither_blocked_nor_let_in() -> None:
    found = match(reading("沪B0000I"), {"沪B00007"}, {"沪B00001"})
    assert (found.verdict, found.blocked, found.plate) == ("unsure", False, "")
    assert [c.plate for c in found.ask_about_block] == ["沪B00001"]


def test_the_registered_car_of_an_honest_neighbour_is_not_held_up_by_a_similar_blocked_one() -> None:
    assert match("沪B00007", {"沪B00007"}, {"沪B00001"}).verdict == "exact"


def test_a_plate_on_both_lists_is_blocked() -> None:
    assert match("沪C55555", OURS, OURS).blocked


@given(plates, st.floats(0.2, 1), st.sets(plates, max_size=6), st.sets(plates, max_size=3))
def test_only_what_is_registered_is_named_and_only_what_is_blocked_is_blocked(
    plate: str, confidence: float, registered: set[str], blocked: set[str]
) -> None:
    found = match(reading(plate, confidence), registered, blocked)
    assert found.blocked == (plate in blocked)
    if found.plate:
        assert found.plate in (blocked if found.blocked else registered - blocked)
    if found.verdict == "similar":
        assert found.distance is not None
        assert 0 < found.distance <= NEAR
        assert not found.ask_about_block


@pytest.mark.parametrize("text", ["", "·", "垃圾"])
def test_text_that_is_nothing_is_unknown(text: str) -> None:
    assert match(text, OURS).verdict == "unknown"
