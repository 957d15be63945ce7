"""`linli bench plates`: bytes of a street photograph to a plate, against the bare parts on the same images."""

from __future__ import annotations

import csv
import time
from pathlib import Path
from statistics import median
from typing import Any

import cv2
import numpy as np

from vision.evaluate_plates import BarePair
from vision.image import Image, bounded, decode, scaled
from vision.plate_models import Detector, Reader
from vision.plates import LONGEST_SIDE, SEARCH_SIDE, PlateEngine, flatten


def drawn(number: int) -> bytes:
    """A car with a plate of Latin characters, JPEG, where no photographs are at hand."""
    draw = np.random.default_rng(number)
    scene = draw.integers(70, 120, (720, 1280, 3), np.uint8)
    cv2.rectangle(scene, (420, 200), (860, 620), (60, 60, 160), -1)
    cv2.rectangle(scene, (540, 500), (740, 564), (245, 245, 245), -1)
    text = f"VA{draw.integers(10_000, 99_999)}"
    cv2.putText(scene, text, (548, 548), cv2.FONT_HERSHEY_SIMPLEX, 1.35, (15, 15, 15), 4, cv2.LINE_AA)
    return bytes(cv2.imencode(".jpg", scene)[1])


def _images(labels: Path | None, most: int) -> list[bytes]:
    if labels is None:
        return [drawn(number) for number in range(most)]
    with labels.open(encoding="utf-8-sig", newline="") as lines:
        return [(labels.parent / row["file"]).read_bytes() for row in csv.DictReader(lines)][:most]


def _ms(started: float) -> float:
    return (time.perf_counter() - started) * 1000


class _Parts:
    """Each part by itself, on one image: what no way of putting them together can be faster than."""

    def __init__(self) -> None:
        self._detector, self._reader = Detector(), Reader()
        self.times: dict[str, list[float]] = {"decode": [], "detect": [], "read": []}

    def once(self, data: bytes) -> float:
        """ms of decoding, one detection at `SEARCH_SIDE`, and reading one plate (or the middle, where none is)."""
        started = time.perf_counter()
        working, _ = bounded(decode(data), LONGEST_SIDE)
        self.times["decode"].append(_ms(started))
        small: Image = scaled(working, SEARCH_SIDE / max(working.shape[:2]))
        started = time.perf_counter()
        found = self._detector.find(small)
        self.times["detect"].append(_ms(started))
        line = flatten(small, found[0].corners) if found else small[:80, :240]
        started = time.perf_counter()
        self._reader.read_all(line)
        self.times["read"].append(_ms(started))
        return sum(times[-1] for times in self.times.values())


def run(labels: Path | None = None, images: int = 60) -> dict[str, Any]:
    """`labels`: a CSV with the column `file`; without it, drawn images. ms per image on one thread: ours (`ms_p50`,
    `ms_mean`; all looks, rules and every plate in the image), the bare pair, and the sum of the parts. `ratio` is the
    median over images of ours by that image's sum of parts.
    """
    data = _images(labels, images)
    engine, pair, parts = PlateEngine(), BarePair(), _Parts()
    ours, bare, sums = [], [], []
    for image in (data[0], *data):  # the first one twice: it warms up
        started = time.perf_counter()
        engine.look(image)
        ours.append(_ms(started))
        started = time.perf_counter()
        pair.look(image)
        bare.append(_ms(started))
        sums.append(parts.once(image))
    ours, bare, sums = ours[1:], bare[1:], sums[1:]
    return {
        "name": "plates",
        "images": len(data),
        "ms_p50": round(median(ours), 1),
        "ms_mean": round(float(np.mean(ours)), 1),
        "ms_p95": round(float(np.quantile(ours, 0.95)), 1),
        "bare_pair_ms_p50": round(median(bare), 1),
        "parts_ms_p50": round(median(sums), 1),
        **{f"{name}_ms_p50": round(median(times[1:]), 1) for name, times in parts.times.items()},
        "ratio": round(median(a / b for a, b in zip(ours, sums, strict=True)), 3),
    }
