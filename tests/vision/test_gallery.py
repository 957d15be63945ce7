import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vision.gallery import GREY_BAND, MARGIN, THRESHOLD, Gallery, as_vector
from vision.types import Identified, Match, Stranger, Unsure


def at(distance: float, axis: int = 0) -> np.ndarray:
    """The vector this far from the origin along one axis."""
    vector = np.zeros(128, np.float32)
    vector[axis] = distance
    return vector


HERE = at(0.0)
names = st.sampled_from(["ann", "bo", "chen", "dai"])
vectors = st.integers(0, 2**32 - 1).map(lambda seed: np.random.default_rng(seed).normal(0, 0.05, 128).astype("f4"))
templates = st.lists(st.tuples(names, st.sampled_from(["1", "2"]), vectors), max_size=8)


def gallery(*entries: tuple[str, str, np.ndarray]) -> Gallery:
    made = Gallery()
    made.load(entries)
    return made


@pytest.mark.parametrize(
    ("ann", "bo", "expected"),
    [
        (0.2, 0.5, Identified),
        (THRESHOLD - 0.01, THRESHOLD + MARGIN, Identified),
        (0.3, 0.33, Unsure),
        (THRESHOLD + 0.01, 0.9, Unsure),
        (THRESHOLD + GREY_BAND + 0.01, 0.9, Stranger),
    ],
)
def test_a_face_is_named_only_when_near_and_clearly_nearest(ann: float, bo: float, expected: type[Match]) -> None:
    found = gallery(("ann", "1", at(ann)), ("bo", "1", at(bo, axis=1))).identify(HERE)
    assert type(found) is expected
    assert found.distance == pytest.approx(ann)


def test_a_second_template_of_the_same_person_takes_nothing_from_the_margin() -> None:
    found = gallery(("ann", "1", at(0.2)), ("ann", "2", at(0.21)), ("bo", "1", at(0.5, 1))).identify(HERE)
    assert isinstance(found, Identified)
    assert (found.person, found.template) == ("ann", "1")
    assert found.margin == pytest.approx(0.3)


def test_a_person_alone_in_the_gallery_has_no_margin_to_keep() -> None:
    found = gallery(("ann", "1", at(0.2))).identify(HERE)
    assert isinstance(found, Identified)
    assert found.margin is None


def test_an_empty_gallery_knows_nobody() -> None:
    assert Gallery().identify(HERE) == Stranger(threshold=THRESHOLD, distance=None)


def test_only_the_people_asked_about_are_searched() -> None:
    everybody = gallery(("ann", "1", at(0.1)), ("bo", "1", at(0.3, 1)))
    found = everybody.identify(HERE, among=["bo", "nobody"])
    assert isinstance(found, Identified)
    assert (found.person, found.margin) == ("bo", None)
    assert everybody.identify(HERE, among=[]) == Stranger(threshold=THRESHOLD, distance=None)


def test_a_template_is_replaced_under_its_id() -> None:
    made = gallery(("ann", "1", at(0.1)))
    made.put("ann", "1", at(5.0))
    assert len(made) == 1
    assert isinstance(made.identify(HERE), Stranger)


@pytest.mark.parametrize("bad", [np.zeros(127), np.full(128, np.nan), b"short", np.zeros((128, 1))])
def test_what_is_not_an_embedding_is_refused_and_changes_nothing(bad: bytes | np.ndarray) -> None:
    made = gallery(("ann", "1", at(0.1)))
    with pytest.raises(ValueError):
        made.load([("bo", "1", HERE), ("chen", "1", bad)])
    assert made.people() == {"ann"}


def test_bytes_and_numbers_are_the_same_embedding() -> None:
    vector = at(0.25, axis=3)
    assert np.array_equal(as_vector(vector.astype("<f4").tobytes()), vector)


@given(templates, vectors, st.none() | st.lists(names))
def test_a_search_agrees_with_comparing_one_by_one(
    entries: list[tuple[str, str, np.ndarray]], wanted: np.ndarray, among: list[str] | None
) -> None:
    found = gallery(*entries).identify(wanted, among=among)
    last = {(person, template): vector for person, template, vector in entries}
    nearest: dict[str, float] = {}
    for (person, _), vector in last.items():
        if among is None or person in among:
            nearest[person] = min(nearest.get(person, 9.0), float(np.linalg.norm(vector - wanted)))
    if not nearest:
        assert found == Stranger(threshold=THRESHOLD, distance=None)
        return
    best = min(nearest.values())
    assert found.distance == pytest.approx(best, rel=1e-5)
    if isinstance(found, Identified):
        assert nearest[found.person] == pytest.approx(best, rel=1e-5)
        assert found.distance < THRESHOLD
        rivals = [d for person, d in nearest.items() if person != found.person]
        assert found.margin == (pytest.approx(min(rivals) - best, abs=1e-5) if rivals else None)
        assert found.margin is None or found.margin >= MARGIN


@given(templates, names)
def test_a_removed_person_is_never_found_again(entries: list[tuple[str, str, np.ndarray]], gone: str) -> None:
    made = gallery(*entries)
    held = {(person, template) for person, template, _ in entries if person == gone}
    assert made.remove(gone) == len(held)
    assert gone not in made.people()
    for person, _, vector in entries:
        found = made.identify(vector, threshold=100.0, margin=0.0)
        assert not (isinstance(found, Identified) and found.person == gone), person
        assert made.identify(vector, among=[gone]) == Stranger(threshold=THRESHOLD, distance=None)


def test_one_template_can_be_removed_and_the_person_stays() -> None:
    made = gallery(("ann", "1", at(0.1)), ("ann", "2", at(0.3)))
    assert made.remove("ann", "1") == 1
    found = made.identify(HERE)
    assert isinstance(found, Identified)
    assert found.template == "2"


def test_searching_while_others_write_never_names_who_is_gone() -> None:
    made = gallery(("bo", "1", at(0.3, 1)))
    wrong: list[str] = []
    done = threading.Event()

    def write() -> None:
        for _ in range(300):
            made.put("ann", "1", at(0.1))
            made.remove("ann")
            found = made.identify(HERE)
            if not isinstance(found, Identified) or found.person != "bo":
                wrong.append(repr(found))
        done.set()

    def search() -> None:
        while not done.is_set():
            found = made.identify(HERE)
            if not isinstance(found, Identified):
                wrong.append(repr(found))

    threads = [threading.Thread(target=run) for run in (write, search, search)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
