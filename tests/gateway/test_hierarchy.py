"""A change of places is checked by the edges it touches, and is judged as the whole would be."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.hierarchy import Hierarchy, Place, check_whole
from gateway.refusals import InvalidError
from gateway.roster import PLACE_KINDS

IDS = [f"p{n}" for n in range(7)]
places = st.builds(
    Place,
    id=st.sampled_from(IDS),
    kind=st.sampled_from([*PLACE_KINDS, "planet"]),
    name=st.just("n"),
    parent=st.sampled_from(["", *IDS, "nowhere"]),
)


def refused(check: object, *given_: object) -> bool:
    try:
        check(*given_)  # type: ignore[operator]
    except InvalidError:
        return True
    return False


@given(
    steps=st.lists(
        st.tuples(st.lists(places, max_size=4), st.lists(st.sampled_from(IDS), max_size=3)), min_size=1, max_size=12
    )
)
def test_a_change_is_judged_as_the_whole_after_it_would_be(steps: list[tuple[list[Place], list[str]]]) -> None:
    hierarchy = Hierarchy()
    for several, gone in steps:
        written = {place.id: place for place in several}
        going = [place for place in gone if place not in written]
        whole = {place.id: place for place in hierarchy.all() if place.id not in going} | written
        wrong = refused(check_whole, list(whole.values()))
        assert refused(hierarchy.check, written, going) == wrong
        if not wrong:
            hierarchy.change(written, going)
            assert {place.id: place for place in hierarchy.all()} == whole


@pytest.mark.parametrize(
    ("written", "gone", "words"),
    [
        ([], ["g"], "place b lies in g, which is not among the places"),
        ([Place(id="g", kind="unit", name="G", parent="c")], [], "place b, a building, cannot lie in g, a unit"),
        ([Place(id="b", kind="building", name="B", parent="x")], [], "place b lies in x"),
    ],
)
def test_what_is_wrong_names_the_place(written: list[Place], gone: list[str], words: str) -> None:
    hierarchy = Hierarchy(
        [
            Place(id="c", kind="community", name="C"),
            Place(id="g", kind="grid", name="G", parent="c"),
            Place(id="b", kind="building", name="B", parent="g"),
        ]
    )
    with pytest.raises(InvalidError, match=words):
        hierarchy.check({place.id: place for place in written}, gone)
