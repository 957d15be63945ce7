"""How well plates are read, measured on labelled images: the engine the gateway uses, and the bare pair beside it."""

from __future__ import annotations

from pathlib import Path
from statistics import median

from msgspec import Struct

from vision.grammar import clean
from vision.labels import Progress, read_labels, timed
from vision.plates import PlateEngine
from vision.types import PlateFound, PlateLook, PlateUnsure


class PlateFigures(Struct, frozen=True, kw_only=True):
    """`exact`: images whose best reading, sure or not, is the plate; `char`: characters right, by edit distance. Both
    are fractions of all `images`. `ms_p50`: one image, bytes to reading.
    """

    images: int
    exact: float
    char: float
    ms_p50: float


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


def evaluate_plates(labels: Path, progress: Progress) -> PlateFigures:
    """Read every image (`file,plate`). Raises LabelsError."""
    rows = read_labels(labels, "plate")
    engine = PlateEngine()
    exact = wrong = characters = 0
    times: list[float] = []
    for image, label in progress(rows):
        truth = clean(label)
        look, ms = timed(engine.look, image)
        times.append(ms)
        exact += _text(look) == truth
        wrong += min(edit_distance(truth, _text(look)), len(truth))
        characters += len(truth)
    return PlateFigures(
        images=len(rows), exact=exact / len(rows), char=1 - wrong / max(1, characters), ms_p50=median(times)
    )
