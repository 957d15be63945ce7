import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from vision.gallery import GREY_BAND, MARGIN, THRESHOLD, Gallery, Limit, Nearest, as_vector
from vision.index import Index
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


@pytest.mark.parametrize(
    "bad",
    [
        np.zeros(127),
        np.full(128, np.nan),
        np.full(128, 20.0),
        np.full(128, np.nan, "<f4").tobytes(),
        b"short",
        np.zeros((128, 1)),
    ],
)
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


def test_a_person_refused_for_a_face_is_not_named_for_it_again() -> None:
    made = gallery(("ann", "1", at(0.3)), ("bo", "1", at(0.9, 1)))
    assert isinstance(made.identify(HERE), Identified)
    made.refuse("ann", at(0.05, 2))
    assert isinstance(made.identify(HERE), Unsure)
    assert isinstance(made.identify(at(0.29)), Identified), "their own face is still theirs"
    made.remove("ann")
    made.put("ann", "2", at(0.3))
    assert isinstance(made.identify(HERE), Identified), "what was forgotten with them stays forgotten"


def test_who_is_not_enrolled_cannot_be_refused() -> None:
    made = Gallery()
    made.refuse("ann", HERE)
    made.put("ann", "1", HERE)
    assert isinstance(made.identify(HERE), Identified)


def test_the_nearest_of_everybody_else_is_found() -> None:
    made = gallery(("ann", "1", at(0.1)), ("ann", "2", at(0.2)), ("bo", "1", at(0.4, 1)))
    assert made.nearest(HERE, excluding="ann") == Nearest(person="bo", template="1", distance=pytest.approx(0.4))
    found = made.nearest(HERE)
    assert found is not None
    assert found.person == "ann"
    assert gallery(("ann", "1", HERE)).nearest(HERE, excluding="ann") is None


def test_an_answer_says_what_was_searched_and_why_the_threshold_is_what_it_is() -> None:
    made = gallery(("ann", "1", at(0.1)), ("bo", "1", at(0.4, 1)), ("chen", "1", at(0.7, 2)))
    found = made.identify(HERE, threshold=lambda searched: Limit(0.45, f"1e-4 per attempt among {searched}"))
    assert (found.searched, found.why, found.model) == (3, "1e-4 per attempt among 3", "dlib-resnet-v1")
    assert made.identify(HERE, among=["ann", "bo"]).searched == 2


def test_what_was_removed_is_overwritten_in_memory() -> None:
    index = Index(4, block_rows=8)
    rows = index.add(np.full((3, 4), 0.5, np.float32))
    index.forget(rows[:2])
    assert np.count_nonzero(index._blocks[0].vectors[:3] == 0.5) == 4
    assert sorted(index.add(np.full((2, 4), 0.25, np.float32))) == sorted(rows[:2]), "and the room is used again"
    assert index.rows == 3


@pytest.mark.parametrize("exact_rows", [10**6, 100])
def test_a_large_gallery_finds_what_comparing_one_by_one_finds(exact_rows: int) -> None:
    random = np.random.default_rng(11)
    held = random.normal(0, 0.12, (3000, 128)).astype("f4")
    made = Gallery(exact_rows=exact_rows, block_rows=256)
    made.load((f"person-{i // 3}", str(i), vector.tobytes()) for i, vector in enumerate(held))
    for i in random.integers(0, 3000, 60):
        wanted = held[i] + random.normal(0, 0.02, 128).astype("f4")
        distances = np.linalg.norm(held - wanted, axis=1)
        others = distances[np.arange(3000) // 3 != i // 3]
        found = made.identify(wanted)
        assert isinstance(found, Identified)
        assert (found.person, found.template) == (f"person-{i // 3}", str(i))
        assert found.distance == pytest.approx(distances[i], abs=1e-5)
        assert found.margin == pytest.approx(others.min() - distances[i], abs=1e-5)


def test_a_person_with_more_templates_than_are_asked_for_has_their_true_rival() -> None:
    made = Gallery(exact_rows=10, block_rows=64)
    made.load([("ann", str(i), at(0.2 + i / 1000)) for i in range(150)])
    made.load([("bo", "1", at(0.6, 1)), ("chen", "1", at(0.9, 2))])
    found = made.identify(HERE)
    assert isinstance(found, Identified)
    assert found.margin == pytest.approx(0.4)


def test_many_chosen_people_are_searched_by_scanning() -> None:
    random = np.random.default_rng(12)
    held = random.normal(0, 0.12, (9000, 128)).astype("f4")
    made = Gallery(block_rows=4096)
    made.load((f"person-{i}", "1", vector) for i, vector in enumerate(held))
    chosen = {f"person-{i}" for i in range(400, 9000)}
    inside, outside = made.identify(held[5000], among=chosen), made.identify(held[7], among=chosen)
    assert isinstance(inside, Identified)
    assert (inside.person, inside.searched) == ("person-5000", 8600)
    assert outside.distance == pytest.approx(np.linalg.norm(held[400:] - held[7], axis=1).min(), abs=1e-5)


class Estate(RuleBasedStateMachine):
    """Any order of moving in, moving out and being seen, against a dict; blocks and limits so small that every path
    (new block, row used again, half precision, chosen people) is taken.
    """

    def __init__(self) -> None:
        super().__init__()
        self.gallery = Gallery(exact_rows=6, block_rows=4)
        self.truth: dict[tuple[str, str], np.ndarray] = {}

    @rule(entries=templates)
    def moves_in(self, entries: list[tuple[str, str, np.ndarray]]) -> None:
        self.gallery.load(entries)
        self.truth |= {(person, template): vector for person, template, vector in entries}

    @rule(person=names)
    def moves_out(self, person: str) -> None:
        gone = [key for key in self.truth if key[0] == person]
        assert self.gallery.remove(person) == len(gone)
        for key in gone:
            del self.truth[key]

    @rule(person=names, template=st.sampled_from(["1", "2"]))
    def loses_a_template(self, person: str, template: str) -> None:
        assert self.gallery.remove(person, template) == ((person, template) in self.truth)
        self.truth.pop((person, template), None)

    @rule(wanted=vectors, chosen=st.none() | st.frozensets(names))
    def is_seen(self, wanted: np.ndarray, chosen: frozenset[str] | None) -> None:
        nearest: dict[str, float] = {}
        for (person, _), vector in self.truth.items():
            if chosen is None or person in chosen:
                nearest[person] = min(nearest.get(person, 99.0), float(np.linalg.norm(vector - wanted)))
        found = self.gallery.identify(wanted, threshold=50.0, margin=0.0, among=chosen)
        if not nearest:
            assert isinstance(found, Stranger)
            return
        best, *others = sorted(nearest.values())
        assert isinstance(found, Identified)
        assert nearest[found.person] == pytest.approx(best, abs=1e-5)
        assert found.margin == (pytest.approx(others[0] - best, abs=1e-5) if others else None)

    @invariant()
    def holds_what_it_was_given(self) -> None:
        assert len(self.gallery) == len(self.truth)
        assert self.gallery.people() == {person for person, _ in self.truth}


TestEstate = Estate.TestCase
TestEstate.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)


def test_a_removed_person_is_not_named_by_a_search_that_starts_after_the_removal() -> None:
    random = np.random.default_rng(13)
    crowd = random.normal(0, 0.12, (2000, 128)).astype("f4")
    made = Gallery(exact_rows=500, block_rows=256)
    made.load((f"person-{i}", "1", vector) for i, vector in enumerate(crowd))
    wrong: list[str] = []

    def write(first: int) -> None:
        for i in range(first, first + 150):
            made.remove(f"person-{i}")
            found = made.identify(crowd[i], threshold=50.0, margin=0.0)
            if not isinstance(found, Identified) or found.person == f"person-{i}":
                wrong.append(f"after the removal: {found}")
            made.put(f"person-{i}", "1", crowd[i])
            found = made.identify(crowd[i])
            if not isinstance(found, Identified) or found.person != f"person-{i}":
                wrong.append(f"after the enrolment: {found}")

    def search() -> None:
        for i in range(1500, 1800):
            found = made.identify(crowd[i])
            if not isinstance(found, Identified) or found.person != f"person-{i}":
                wrong.append(f"untouched: {found}")

    threads = [threading.Thread(target=write, args=(first,)) for first in (0, 200)]
    threads += [threading.Thread(target=search) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert len(made) == 2000
