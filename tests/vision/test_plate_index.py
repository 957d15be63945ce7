import pytest
from hypothesis import given
from hypothesis import strategies as st

from vision import plate_index
from vision.confusion import SLIP, cost
from vision.plate_index import GrowingIndex, PlateIndex
from vision.registry_match import WORTH_ASKING

plates = st.from_regex(r"[沪浙][AB][018BDQ]{3,5}", fullmatch=True)


def one_by_one(text: str, registered: set[str], within: float) -> set[str]:
    """The same, plainly."""
    found = set()
    for plate in registered:
        if len(plate) == len(text):
            near = sum(map(cost, text, plate)) <= within + 1e-4
        else:
            short, long = sorted((text, plate), key=len)
            slipped = len(long) == len(short) + 1 and any(long[:i] + long[i + 1 :] == short for i in range(len(long)))
            near = slipped and within >= SLIP
        if near:
            found.add(plate)
    return found


@given(plates, st.sets(plates, max_size=30), st.sampled_from([0.3, 0.6, WORTH_ASKING]))
def test_it_finds_what_comparing_one_by_one_finds(text: str, registered: set[str], within: float) -> None:
    found = PlateIndex(registered).near(text, within)
    assert len(found) == len(set(found))
    assert set(found) == one_by_one(text, registered, within)


@pytest.mark.parametrize("text", ["", "沪", "沪A123456789"])
def test_text_unlike_any_plate_is_near_none(text: str) -> None:
    assert PlateIndex({"沪A12345", "沪AD12345"}).near(text, WORTH_ASKING) == []
    assert PlateIndex(()).near(text, WORTH_ASKING) == []


@given(plates, st.sets(plates, max_size=10), st.lists(st.sets(plates, max_size=4), max_size=6))
def test_one_that_grows_finds_what_one_made_anew_finds(text: str, first: set[str], more: list[set[str]]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plate_index, "RECENT", 5)
        registered = set(first)
        index = GrowingIndex(registered)
        for new in more:
            registered |= new
            index.add(new, registered)
            assert index.near(text, WORTH_ASKING) == one_by_one(text, registered, WORTH_ASKING)
