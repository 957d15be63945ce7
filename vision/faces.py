"""Finds the face that counts in a picture and embeds it.

Which face counts is policy (`vision.quality`), and depends on what the image is for: at a gate the person in front is
wanted and somebody may stand behind; for enrolment a second face in the picture means the wrong person could be
enrolled.

    bytes -> decode -> detector -> policy -> five landmarks -> aligned chip -> network -> 128 numbers

The engine "reference" is plain face_recognition from the detector to the numbers, for comparing with.
"""

from __future__ import annotations

import warnings
from copy import copy
from pathlib import Path
from typing import Self

import cv2
import dlib
import msgspec
import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from vision.detectors import Detector, make
from vision.embedding import Embedder, model_file
from vision.engines import DetectorName, choose
from vision.fingerprint import fingerprint
from vision.image import Image, ImageError, bounded, decode
from vision.quality import ENROL, GATE, FacePolicy, flaw
from vision.resnet import CHIP_PX
from vision.types import Box, FaceEngineName, FaceFound, FaceLook, LowQuality, ManyFaces, NoFace, Unreadable

__all__ = ["ENROL", "GATE", "FaceEngine", "FacePolicy"]

cv2.setNumThreads(1)

LONGEST_SIDE = 800
"""The image is looked at in this size, px; detectors may look at a smaller one still."""
BORDER = 0.3
"""The second attempt adds this fraction of the size on every side: terminals send tight crops, and a detector wants
to see some surroundings."""
CHIP_PADDING = 0.25
"""Of the face's size around it, as dlib aligned the faces the network was trained on."""


class _Aligned(Struct, frozen=True, eq=False):
    """`chip`: RGB uint8[150, 150, 3], eyes level. `turn` as in `FaceFound`."""

    chip: Image
    turn: float


def _turn(points: NDArray[np.float64]) -> float:
    """How far the nose is off the middle between the eyes, along the line of the eyes, in eye distances."""
    right, left, nose = points[0:2].mean(axis=0), points[2:4].mean(axis=0), points[4]
    eyes = right - left
    return abs(float((nose - (right + left) / 2) @ eyes)) / max(float(eyes @ eyes), 1e-9)


class Aligner:
    """Five landmarks (the corners of both eyes and the nose), then the face upright and in its place."""

    def __init__(self) -> None:
        self._predict = dlib.shape_predictor(str(model_file("shape_predictor_5_face_landmarks.dat")))

    def landmarks(self, image: Image, box: Box) -> dlib.full_object_detection:
        """`image` is RGB, the box in its pixels."""
        return self._predict(image, dlib.rectangle(box.left, box.top, box.left + box.width, box.top + box.height))

    def __call__(self, image: Image, box: Box) -> _Aligned:
        """As `landmarks`."""
        shape = self.landmarks(image, box)
        chip = dlib.get_face_chip(image, shape, size=CHIP_PX, padding=CHIP_PADDING)
        return _Aligned(chip, _turn(np.array([(p.x, p.y) for p in shape.parts()], dtype=np.float64)))


class _Reference:
    """Embeds with face_recognition itself, which loads all its models when imported."""

    def __init__(self) -> None:
        with warnings.catch_warnings():
            # face_recognition_models 0.3.0 still finds its files through pkg_resources; nothing we can change.
            warnings.filterwarnings("ignore", message="pkg_resources is deprecated", category=UserWarning)
            import face_recognition  # noqa: PLC0415 - a second and 100 MB that no other engine needs
        self._encode = face_recognition.face_encodings

    def __call__(self, image: Image, box: Box, _chip: Image) -> NDArray[np.float32]:
        where = [(box.top, box.left + box.width, box.top + box.height, box.left)]
        return np.asarray(self._encode(image, where, num_jitters=1)[0], dtype=np.float32)


class _Converted:
    """Embeds the aligned face with the converted network."""

    def __init__(self, cache: Path | None) -> None:
        self._embed = Embedder(cache=cache)

    def __call__(self, _image: Image, _box: Box, chip: Image) -> NDArray[np.float32]:
        return np.asarray(self._embed(chip[None])[0])


def _find_again(detect: Detector, image: Image) -> list[Box]:
    """With a border around the image. What is centred in the border is an artefact, not a face."""
    height, width = image.shape[:2]
    down, across = round(height * BORDER), round(width * BORDER)
    edged = cv2.copyMakeBorder(image, down, down, across, across, cv2.BORDER_REPLICATE)
    framed, scale = bounded(np.asarray(edged, dtype=np.uint8), LONGEST_SIDE)
    found = [_scaled(box, scale) for box in detect(framed)]
    inside = [Box(b.left - across, b.top - down, b.width, b.height) for b in found]
    return [b for b in inside if 0 <= b.left + b.width / 2 < width and 0 <= b.top + b.height / 2 < height]


def _scaled(box: Box, scale: float) -> Box:
    return Box(round(box.left / scale), round(box.top / scale), round(box.width / scale), round(box.height / scale))


def _measure(image: Image, box: Box) -> tuple[float, float]:
    """Sharpness and brightness of a face; see `FaceFound`."""
    top, left = max(0, box.top), max(0, box.left)
    face = image[top : box.top + box.height, left : box.left + box.width]
    grey = cv2.resize(cv2.cvtColor(face, cv2.COLOR_RGB2GRAY), (112, 112), interpolation=cv2.INTER_AREA)
    return float(cv2.Laplacian(grey, cv2.CV_64F).var()), float(grey.mean())


def _area(box: Box) -> int:
    return box.width * box.height


class FaceEngine:
    """Looks for one face under a policy. `engine`: which detector (`vision.types.FaceEngineName`); `yunet`: where the
    operator keeps a YuNet model; `cache`: where converted models are kept. Not for use by several threads at once.
    Raises DetectorError, ModelError.
    """

    def __init__(
        self,
        policy: FacePolicy = GATE,
        *,
        engine: FaceEngineName = "auto",
        yunet: Path | None = None,
        cache: Path | None = None,
    ) -> None:
        self.policy = policy
        self.detector: DetectorName = choose(engine, yunet)
        self._detect = make(self.detector, yunet)
        self._align = Aligner()
        self._embed = _Reference() if engine == "reference" else _Converted(cache)

    def under(self, policy: FacePolicy) -> Self:
        """The same models under another policy."""
        other = copy(self)
        other.policy = policy
        return other

    def look(self, data: bytes) -> FaceLook:
        """JPEG or PNG bytes in, one of the `FaceLook` outcomes out; never raises for anything the bytes hold."""
        try:
            pixels = decode(data)
        except ImageError as error:
            return Unreadable(reason=str(error))
        return self.look_at(pixels)

    def look_at(self, pixels: Image) -> FaceLook:
        """As `look`, for decoded pixels (BGR)."""
        small, scale = bounded(pixels, LONGEST_SIDE)
        image = np.asarray(cv2.cvtColor(small, cv2.COLOR_BGR2RGB), dtype=np.uint8)
        boxes = self._detect(image) or _find_again(self._detect, image)
        if not boxes:
            return NoFace()
        if len(boxes) > 1 and _area(boxes[0]) < self.policy.dominance * _area(boxes[1]):
            return ManyFaces(count=len(boxes))
        look = self._judged(image, boxes[0], _scaled(boxes[0], scale), len(boxes) - 1)
        return msgspec.structs.replace(look, fingerprint=fingerprint(pixels)) if isinstance(look, FaceFound) else look

    def _judged(self, image: Image, box: Box, original: Box, others: int) -> FaceFound | LowQuality:
        """The face in `box`, which is `original` in the image as sent."""
        size = min(original.width, original.height)
        sharpness, brightness = _measure(image, box)
        aligned = self._align(image, box)
        if reason := flaw(self.policy, size_px=size, sharpness=sharpness, brightness=brightness, turn=aligned.turn):
            return LowQuality(reason=reason, box=original)
        return FaceFound(
            embedding=self._embed(image, box, aligned.chip).astype("<f4").tobytes(),
            box=original,
            size_px=size,
            sharpness=sharpness,
            brightness=brightness,
            turn=aligned.turn,
            others=others,
        )
