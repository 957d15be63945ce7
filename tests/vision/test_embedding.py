"""The converted network against dlib's own, and the cache it is kept in."""

import os
import threading
from pathlib import Path

import cv2
import dlib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.vision import drawn
from vision.detectors import hog_detector
from vision.embedding import Embedder, cache_dir, converted, model_file
from vision.faces import Aligner
from vision.resnet import ModelError, convert, parse

pytestmark = pytest.mark.models
WEIGHTS = model_file("dlib_face_recognition_resnet_model_v1.dat")
PHOTOGRAPHS = Path(__file__).resolve().parents[2] / "../shared/faces/images"
CLOSE = 1e-5


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def embedder(cache: Path) -> Embedder:
    return Embedder(cache=cache)


@pytest.fixture(scope="module")
def dlib_network() -> dlib.face_recognition_model_v1:
    return dlib.face_recognition_model_v1(str(WEIGHTS))


def largest_difference(
    pictures: list[np.ndarray], embedder: Embedder, network: dlib.face_recognition_model_v1
) -> float:
    """Between our path from landmarks to numbers and dlib's; every picture (RGB) shows a face."""
    detect, align = hog_detector(), Aligner()
    differences: list[float] = []
    for picture in pictures:
        box = detect(picture)[0]
        theirs = np.array(network.compute_face_descriptor(picture, align.landmarks(picture, box)))
        ours = embedder(align(picture, box).chip[None])[0]
        differences.append(float(np.abs(ours - theirs).max()))
    return max(differences)


def test_drawn_faces_are_embedded_as_dlib_does(
    embedder: Embedder, dlib_network: dlib.face_recognition_model_v1
) -> None:
    pictures = [
        np.ascontiguousarray(drawn.face(seed, turn=turn, light=light)[:, :, ::-1])
        for seed in range(1, 9)
        for turn, light in ((0.0, 1.0), (1.0, 0.5))
    ]
    assert largest_difference(pictures, embedder, dlib_network) < CLOSE


@pytest.mark.shared
@pytest.mark.skipif(not PHOTOGRAPHS.is_dir(), reason="the labelled photographs are not beside this checkout")
def test_photographs_are_embedded_as_dlib_does(
    embedder: Embedder, dlib_network: dlib.face_recognition_model_v1
) -> None:
    pictures = [cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB) for path in sorted(PHOTOGRAPHS.iterdir())]
    assert largest_difference(pictures, embedder, dlib_network) < CLOSE


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from(["noise", "flat", "stripes"]))
def test_any_chip_at_all_is_embedded_as_dlib_does(
    embedder: Embedder, dlib_network: dlib.face_recognition_model_v1, seed: int, kind: str
) -> None:
    random = np.random.default_rng(seed)
    chip = random.integers(0, 256, (150, 150, 3), np.uint8)
    if kind == "flat":
        chip[:] = chip[0, 0]
    elif kind == "stripes":
        chip[:] = chip[:, :1]
    theirs = np.array(dlib_network.compute_face_descriptor(chip))
    assert np.abs(embedder(chip[None])[0] - theirs).max() < CLOSE


def test_several_chips_at_once_are_the_same_as_one_by_one(embedder: Embedder) -> None:
    chips = np.random.default_rng(5).integers(0, 256, (3, 150, 150, 3), np.uint8)
    assert np.allclose(embedder(chips), np.concatenate([embedder(chip[None]) for chip in chips]), atol=CLOSE)


@pytest.mark.parametrize("wrong", [np.zeros((1, 150, 150, 3), np.float32), np.zeros((1, 149, 150, 3), np.uint8)])
def test_what_is_no_chip_is_refused(embedder: Embedder, wrong: np.ndarray) -> None:
    with pytest.raises(ValueError, match="an aligned face is"):
        embedder(wrong)


def held(cache: Path) -> Path:
    (only,) = cache.iterdir()
    return only


def test_the_second_start_reads_what_the_first_wrote(tmp_path: Path) -> None:
    first = converted(WEIGHTS, tmp_path)
    written = held(tmp_path).stat().st_mtime_ns
    assert converted(WEIGHTS, tmp_path) == first
    assert held(tmp_path).stat().st_mtime_ns == written


@pytest.mark.parametrize("spoil", ["cut short", "one bit", "empty"])
def test_a_spoilt_cache_is_built_anew(tmp_path: Path, spoil: str) -> None:
    model = converted(WEIGHTS, tmp_path)
    whole = held(tmp_path).read_bytes()
    middle = len(whole) // 2
    spoilt = {
        "cut short": whole[:middle],
        "one bit": whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :],
        "empty": b"",
    }
    held(tmp_path).write_bytes(spoilt[spoil])
    assert converted(WEIGHTS, tmp_path) == model
    assert held(tmp_path).read_bytes() == whole


def test_a_cache_that_cannot_be_written_does_without(tmp_path: Path) -> None:
    in_the_way = tmp_path / "a file where the directory should be"
    in_the_way.write_bytes(b"x")
    assert Embedder(cache=in_the_way)(np.zeros((1, 150, 150, 3), np.uint8)).shape == (1, 128)
    assert in_the_way.read_bytes() == b"x"


def test_workers_that_start_together_leave_one_whole_file(tmp_path: Path) -> None:
    models: list[bytes] = []
    threads = [threading.Thread(target=lambda: models.append(converted(WEIGHTS, tmp_path))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(models)) == 1
    assert converted(WEIGHTS, tmp_path) == models[0]
    assert held(tmp_path).is_file()


def test_the_cache_is_where_the_operator_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.delenv("LINLI_CACHE", raising=False)
    assert cache_dir() == tmp_path / ".cache/linli"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_dir() == tmp_path / "xdg/linli"
    monkeypatch.setenv("LINLI_CACHE", os.fspath(tmp_path / "own"))
    assert cache_dir() == tmp_path / "own"


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 22_466_065), st.binary(min_size=1, max_size=40))
def test_a_damaged_model_is_refused_or_has_other_weights_and_nothing_else_happens(at: int, junk: bytes) -> None:
    whole = WEIGHTS.read_bytes()
    try:
        convolutions, matrix = parse(whole[:at] + junk + whole[at + len(junk) :])
    except ModelError:
        return
    assert (len(convolutions), matrix.shape) == (29, (256, 128))


@pytest.mark.parametrize("data", [b"", b"not a model", WEIGHTS.read_bytes()[:5_000_000]])
def test_what_is_not_the_network_is_refused(data: bytes) -> None:
    with pytest.raises(ModelError):
        convert(data)
