import cv2
import numpy as np
import pytest

from simulators.face_drawing import DISTINCT, draw_face, faces_from
from simulators.plate_drawing import draw_car


@pytest.mark.models
def test_drawn_faces_are_found():
    face_recognition = pytest.importorskip("face_recognition")
    for person in DISTINCT[:3]:
        image = cv2.imdecode(np.frombuffer(draw_face(person), np.uint8), cv2.IMREAD_COLOR)
        assert len(face_recognition.face_locations(np.ascontiguousarray(image[:, :, ::-1]))) == 1


def test_two_shots_of_one_person_differ_and_each_can_be_drawn_again():
    assert draw_face(7, shot=1) == draw_face(7, shot=1) != draw_face(7, shot=2)


def test_a_car_is_a_jpeg_that_can_be_drawn_again():
    assert draw_car("川A12345", seed=1) == draw_car("川A12345", seed=1)
    image = cv2.imdecode(np.frombuffer(draw_car("吉B7K210", seed=2), np.uint8), cv2.IMREAD_COLOR)
    assert image.shape == (540, 960, 3)


@pytest.mark.parametrize("plate", ["", "A123456", "京A1234"])
def test_a_plate_that_cannot_be_drawn_is_refused(plate):
    with pytest.raises(ValueError, match="can draw"):
        draw_car(plate, seed=1)


def test_photographs_are_grouped_by_folder_or_file_name(tmp_path):
    (tmp_path / "ann").mkdir()
    (tmp_path / "ann" / "1.jpg").write_bytes(b"1")
    (tmp_path / "ann" / "2.png").write_bytes(b"2")
    (tmp_path / "ben.jpeg").write_bytes(b"3")
    assert faces_from(tmp_path) == {"ann": [b"1", b"2"], "ben": [b"3"]}
    with pytest.raises(FileNotFoundError):
        faces_from(tmp_path / "ann" / "none")
