"""How far fingerprints of one photograph, changed as a replay changes it, are from those of somebody who moved.

With the labelled photographs of a developer's machine; `pytest -s -m shared tests/vision/test_fingerprint.py` prints
the distributions that `faces.replay_bits` rests on.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from itertools import combinations
from pathlib import Path

import cv2
import numpy as np
import pytest

from gateway.replay import bits_apart
from gateway.settings import Faces
from tests.vision import drawn
from vision.fingerprint import fingerprint
from vision.image import Image, decode

LABELS = Path(__file__).resolve().parents[3] / "shared" / "faces" / "labels.csv"
BITS = Faces().replay_bits
TRIES = 4
"""So often every photograph is changed in every way."""


def _noisy(image: Image, sigma: float, rng: np.random.Generator) -> Image:
    return np.clip(image + rng.normal(0, sigma, image.shape), 0, 255).astype(np.uint8)


def _jpeg(image: Image, quality: int) -> Image:
    done = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return np.asarray(cv2.imdecode(done, cv2.IMREAD_COLOR), dtype=np.uint8)


def _moved(percent: float) -> Callable[[Image, np.random.Generator], Image]:
    """The next frame of somebody who moved by so much of the picture; light, pose and the sensor's noise change."""

    def change(image: Image, rng: np.random.Generator) -> Image:
        height, width = image.shape[:2]
        move = cv2.getRotationMatrix2D((width / 2, height / 2), rng.uniform(-2, 2), rng.uniform(0.98, 1.02))
        move[:, 2] += rng.choice((-1, 1), 2) * (percent / 100 * width, percent / 100 * height)
        moved = cv2.warpAffine(image, move, (width, height), borderMode=cv2.BORDER_REPLICATE)
        lit = np.clip(moved * rng.uniform(0.95, 1.05), 0, 255).astype(np.uint8)
        return _jpeg(_noisy(lit, 4, rng), 85)

    return change


REPLAYED: dict[str, Callable[[Image, np.random.Generator], Image]] = {
    "JPEG 75": lambda image, _: _jpeg(image, 75),
    "JPEG 45": lambda image, _: _jpeg(image, 45),
    "half the size": lambda image, _: cv2.resize(image, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA),
    "noise of 8 levels": lambda image, rng: _noisy(image, 8, rng),
}
LIVE = {f"moved by {percent} %": _moved(percent) for percent in (0.5, 1, 2, 4, 8)}


@pytest.fixture(scope="module")
def photographs() -> Iterator[list[Image]]:
    if not LABELS.is_file():
        pytest.skip("the labelled photographs of a developer's machine are not here")
    with LABELS.open(encoding="utf-8", newline="") as lines:
        yield [decode((LABELS.parent / row["file"]).read_bytes()) for row in csv.DictReader(lines)]


def _apart(photographs: list[Image], change: Callable[[Image, np.random.Generator], Image]) -> np.ndarray:
    rng = np.random.default_rng(1)
    prints = [fingerprint(image) for image in photographs]
    return np.array(
        [
            bits_apart(own, fingerprint(change(image, rng)))
            for own, image in zip(prints, photographs, strict=True)
            for _ in range(TRIES)
        ]
    )


def _told(name: str, apart: np.ndarray) -> None:
    low, five, middle, most, high = (int(q) for q in np.percentile(apart, [0, 5, 50, 95, 100]))
    line = f"{name:20} bits of 256: min {low:3}, 5 % {five:3}, median {middle:3}, 95 % {most:3}, max {high:3}"
    print(line)  # noqa: T201 - the figures themselves, with -s


@pytest.mark.shared
def test_a_photograph_shown_again_is_near_and_somebody_who_moved_is_not(photographs: list[Image]) -> None:
    for name, change in REPLAYED.items():
        apart = _apart(photographs, change)
        _told(name, apart)
        assert np.mean(apart <= BITS) >= 0.95, name
    for name, change in LIVE.items():
        apart = _apart(photographs, change)
        _told(name, apart)
        assert apart.min() > BITS, name
    others = [bits_apart(fingerprint(a), fingerprint(b)) for a, b in combinations(photographs, 2)]
    _told("two photographs", np.array(others))
    assert min(others) > 8 * BITS


def test_a_fingerprint_is_256_bits_of_any_picture() -> None:
    face = drawn.face(3)
    for image in (face, face[:40], cv2.resize(face, (900, 700)), np.zeros((5, 5, 3), np.uint8)):
        assert len(fingerprint(image)) == 32
    assert bits_apart(fingerprint(face), fingerprint(_jpeg(face, 90))) <= BITS
    assert bits_apart(fingerprint(face), fingerprint(drawn.face(4))) > BITS
    assert bits_apart(b"\x00" * 32, b"\xff" * 31 + b"\xfe") == 255
