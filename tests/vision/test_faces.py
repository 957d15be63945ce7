import cv2
import numpy as np
import pytest

from tests.vision import drawn
from vision.faces import ENROL, GATE, FaceEngine
from vision.gallery import Gallery
from vision.types import FaceFound, FaceLook, Identified, LowQuality, ManyFaces, NoFace, Unreadable

pytestmark = pytest.mark.models


@pytest.fixture(scope="module")
def gate() -> FaceEngine:
    return FaceEngine(GATE)


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
    assert FaceEngine(ENROL).look(picture) == ManyFaces(count=2)


@pytest.mark.parametrize(
    ("picture", "reason"),
    [
        (drawn.face(1, light=0.18), "too dark"),
        (cv2.GaussianBlur(drawn.face(1), (0, 0), 6), "too blurred"),
        (cv2.resize(drawn.face(1), (70, 70), interpolation=cv2.INTER_AREA), "too small"),
    ],
)
def test_a_face_that_cannot_be_compared_says_why(gate: FaceEngine, picture: np.ndarray, reason: str) -> None:
    look = gate.look(drawn.png(picture))
    assert isinstance(look, LowQuality)
    assert look.reason == reason


def test_a_tight_crop_is_found_at_the_second_attempt(gate: FaceEngine) -> None:
    assert isinstance(gate.look(drawn.jpeg(drawn.face(9)[62:222, 48:208])), FaceFound)


def test_hostile_bytes_are_unreadable(gate: FaceEngine) -> None:
    for name, data in drawn.hostile().items():
        assert isinstance(gate.look(data), Unreadable), name
