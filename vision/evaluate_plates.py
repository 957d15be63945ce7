"""How well plates are read, measured on labelled images: the engine the gateway uses, and the bare pair beside it."""

from __future__ import annotations

import time
from pathlib import Path
from statistics import median

import cv2
import numpy as np
from msgspec import Struct

from vision import ctc
from vision.degrade import DEGRADATIONS
from vision.grammar import clean
from vision.image import ImageError, bounded, decode, scaled
from vision.labels import Progress, read_labels, timed
from vision.plate_models import Detector, Reader
from vision.plate_reads import Read
from vision.plates import LONGEST_SIDE, SEARCH_SIDE, PlateEngine, flatten
from vision.types import PlateFound, PlateLook, PlateUnsure


class PlateFigures(Struct, frozen=True, kw_only=True):
    """`exact`: images whose best reading, sure or not, is the plate; `char`: characters right, by edit distance. All
    are fractions of `images`, but `ms_p50`: one image, bytes to reading. `read`: images with a reading sure enough to
    be looked up; `read_wrong`: of those, not the plate of the label (also: the plate of another car in the image);
    `among`: images with the plate among all those read.
    """

    images: int
    exact: float
    char: float
    ms_p50: float
    read: float
    read_wrong: float
    among: float


class ComparedFigures(PlateFigures, frozen=True, kw_only=True):
    """And the same of the two models without our rules, on the same images in the same run: one look at the same size,
    the detector's most certain plate, all that the reader knows, nothing repaired.
    """

    bare_exact: float
    bare_char: float
    bare_ms_p50: float


class BarePair:
    """The two models and nothing else."""

    def __init__(self) -> None:
        self._detector = Detector()
        self._reader = Reader()

    def look(self, data: bytes) -> str:
        """The text on the detector's most certain plate, without separators; "" for none."""
        try:
            working, _ = bounded(decode(data), LONGEST_SIDE)
        except ImageError:
            return ""
        resize = SEARCH_SIDE / max(working.shape[:2])
        sightings = self._detector.find(scaled(working, resize))
        if not sightings:
            return ""
        line = flatten(working, sightings[0].corners / np.float32(resize))
        return clean(ctc.greedy(self._reader.read_all(line), self._reader.known).text)


def edit_distance(a: str, b: str) -> int:
    """Fewest insertions, deletions and substitutions that turn one text into the other (Levenshtein)."""
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        diagonal, row[0] = row[0], i
        for j, y in enumerate(b, 1):
            diagonal, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, diagonal + (x != y))
    return row[-1]


def _text(look: PlateLook) -> str:
    return look.reading.plate if isinstance(look, PlateFound | PlateUnsure) else ""


def _all(look: PlateLook) -> set[str]:
    return {r.plate for r in (look.reading, *look.others)} if isinstance(look, PlateFound | PlateUnsure) else set()


def _exact(pairs: list[tuple[str, str]]) -> float:
    return sum(truth == text for truth, text in pairs) / len(pairs)


def _characters(pairs: list[tuple[str, str]]) -> float:
    wrong = sum(min(edit_distance(truth, text), len(truth)) for truth, text in pairs)
    return 1 - wrong / max(1, sum(len(truth) for truth, _ in pairs))


def _degraded(engine: PlateEngine, rows: list[tuple[Path, str]], progress: Progress, name: str) -> list[Read]:
    """Every image again, as `vision.degrade` spoils it."""
    reads = []
    for image, label in progress(rows):
        spoilt = DEGRADATIONS[name](decode(image.read_bytes()))
        data = bytes(cv2.imencode(".png", spoilt)[1])
        started = time.perf_counter()
        look = engine.look(data)
        reads.append(Read(image, clean(label), look, (time.perf_counter() - started) * 1000))
    return reads


def evaluate_plates(labels: Path, progress: Progress, *, bare: bool = False, html: Path | None = None) -> PlateFigures:
    """Read every image (`file,plate`); `bare`: also with the two models alone; `html`: also as a page, with the images
    degraded beside the clean ones. Raises LabelsError, OSError.
    """
    rows = read_labels(labels, "plate")
    engine, pair = PlateEngine(), BarePair() if bare else None
    looks: list[tuple[str, PlateLook, float]] = []
    bare_looks: list[tuple[str, str, float]] = []
    for image, label in progress(rows):
        truth = clean(label)
        looks.append((truth, *timed(engine.look, image)))
        if pair:
            bare_looks.append((truth, *timed(pair.look, image)))
    figures = _figures(looks)
    if html is not None:
        from vision.report_plates import write  # noqa: PLC0415 - plotly takes a second

        reads = [Read(image, *look) for (image, _), look in zip(rows, looks, strict=True)]
        write(html, reads, {name: _degraded(engine, rows, progress, name) for name in DEGRADATIONS}, figures)
    if not bare_looks:
        return figures
    pairs = [(truth, text) for truth, text, _ in bare_looks]
    return ComparedFigures(
        **{name: getattr(figures, name) for name in figures.__struct_fields__},
        bare_exact=_exact(pairs),
        bare_char=_characters(pairs),
        bare_ms_p50=median(ms for *_, ms in bare_looks),
    )


def _figures(looks: list[tuple[str, PlateLook, float]]) -> PlateFigures:
    pairs = [(truth, _text(look)) for truth, look, _ in looks]
    sure = [truth == look.reading.plate for truth, look, _ in looks if isinstance(look, PlateFound)]
    return PlateFigures(
        images=len(looks),
        exact=_exact(pairs),
        char=_characters(pairs),
        ms_p50=median(ms for *_, ms in looks),
        read=len(sure) / len(looks),
        read_wrong=sure.count(False) / len(looks),
        among=sum(truth in _all(look) for truth, look, _ in looks) / len(looks),
    )
