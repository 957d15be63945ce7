"""The reference face engine: dlib through face_recognition. Finds the face that counts and embeds it.

Which face counts is policy, and depends on what the image is for: at a gate the person in front is wanted and somebody
may stand behind; for enrolment a second face in the picture means the wrong person could be enrolled.
"""

from __future__ import annotations

import warnings

import cv2
import numpy as np
from msgspec import Struct

from vision.image import Image, ImageError, bounded, decode
from vision.types import Box, FaceFound, FaceLook, LowQuality, ManyFaces, NoFace, Unreadable

with warnings.catch_warnings():
    # face_recognition_models 0.3.0 still finds its files through pkg_resources; nothing we can change.
    warnings.filterwarnings("ignore", message="pkg_resources is deprecated", category=UserWarning)
    import face_recognition

cv2.setNumThreads(1)

LONGEST_SIDE = 800
"""The image is searched at this size, px. dlib's detector finds faces from 80 px, upsampled once from 40 px."""
BORDER = 0.3
"""The second attempt adds this fraction of the size on every side: terminals send tight crops, and dlib's detector
wants to see some surroundings."""


class FacePolicy(Struct, frozen=True, kw_only=True):
    """What makes a face good enough. `min_px`: shorter side. `dominance`: how many times the area of the second-largest
    face the largest must have to count alone. Sharpness and brightness as in `FaceFound`; the limits only turn away
    what dlib cannot embed to any use: a face lost in the dark, burnt out, or smeared.
    """

    min_px: int
    dominance: float
    min_sharpness: float = 12.0
    min_brightness: float = 30.0
    max_brightness: float = 240.0


GATE = FacePolicy(min_px=48, dominance=2.0)
ENROL = FacePolicy(min_px=80, dominance=float("inf"))


def _rgb(pixels: Image) -> Image:
    return np.ascontiguousarray(pixels[:, :, ::-1])  # dlib takes RGB


def _area(box: Box) -> int:
    return box.width * box.height


def _upscaled(box: Box, scale: float) -> Box:
    return Box(round(box.left / scale), round(box.top / scale), round(box.width / scale), round(box.height / scale))


def _find(pixels: Image) -> list[Box]:
    """Faces in px of `pixels`, largest first."""
    found = face_recognition.face_locations(_rgb(pixels), number_of_times_to_upsample=1, model="hog")
    boxes = [Box(left, top, right - left, bottom - top) for top, right, bottom, left in found]
    return sorted(boxes, key=_area, reverse=True)


def _find_again(pixels: Image) -> list[Box]:
    """As `_find`, with a border around the image. What is centred in the border is an artefact, not a face."""
    height, width = pixels.shape[:2]
    down, across = round(height * BORDER), round(width * BORDER)
    framed, scale = bounded(
        np.asarray(cv2.copyMakeBorder(pixels, down, down, across, across, cv2.BORDER_REPLICATE), dtype=np.uint8),
        LONGEST_SIDE,
    )
    return [
        Box(
            round(b.left / scale) - across, round(b.top / scale) - down, round(b.width / scale), round(b.height / scale)
        )
        for b in _find(framed)
    ]


def _measure(pixels: Image, box: Box) -> tuple[float, float]:
    """Sharpness and brightness of a face; see `FaceFound`."""
    top, left = max(0, box.top), max(0, box.left)
    face = pixels[top : box.top + box.height, left : box.left + box.width]
    grey = cv2.resize(cv2.cvtColor(face, cv2.COLOR_BGR2GRAY), (112, 112), interpolation=cv2.INTER_AREA)
    return float(cv2.Laplacian(grey, cv2.CV_64F).var()), float(grey.mean())


class FaceEngine:
    """Looks for one face under a policy. Not for use by several threads at once."""

    def __init__(self, policy: FacePolicy = GATE) -> None:
        self._policy = policy

    def look(self, data: bytes) -> FaceLook:
        """JPEG or PNG bytes in, one of the `FaceLook` outcomes out; never raises for anything the bytes hold."""
        try:
            pixels = decode(data)
        except ImageError as error:
            return Unreadable(reason=str(error))
        return self.look_at(pixels)

    def look_at(self, pixels: Image) -> FaceLook:
        """As `look`, for decoded pixels."""
        small, scale = bounded(pixels, LONGEST_SIDE)
        boxes = _find(small) or _find_again(small)
        if not boxes:
            return NoFace()
        if len(boxes) > 1 and _area(boxes[0]) < self._policy.dominance * _area(boxes[1]):
            return ManyFaces(count=len(boxes))
        box = _upscaled(boxes[0], scale)
        size = min(box.width, box.height)
        sharpness, brightness = _measure(small, boxes[0])
        if flaw := self._flaw(size, sharpness, brightness):
            return LowQuality(reason=flaw, box=box)
        b = boxes[0]
        where = [(b.top, b.left + b.width, b.top + b.height, b.left)]
        embedding = face_recognition.face_encodings(_rgb(small), where, num_jitters=1)[0]
        return FaceFound(
            embedding=np.asarray(embedding, dtype="<f4").tobytes(),
            box=box,
            size_px=size,
            sharpness=sharpness,
            brightness=brightness,
            others=len(boxes) - 1,
        )

    def _flaw(self, size_px: int, sharpness: float, brightness: float) -> str:
        policy = self._policy
        if size_px < policy.min_px:
            return "too small"
        if brightness < policy.min_brightness:
            return "too dark"
        if brightness > policy.max_brightness:
            return "too bright"
        return "too blurred" if sharpness < policy.min_sharpness else ""
