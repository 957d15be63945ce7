"""How well faces are told apart and plates are read, measured on labelled images.

The figures are those of the path the gateway takes: the same engines, the same policies, the same thresholds.
"""

from __future__ import annotations

import csv
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from statistics import median
from typing import TypeVar

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from vision.faces import FaceEngine
from vision.gallery import THRESHOLD
from vision.plates import PlateEngine, clean
from vision.types import FaceFound, FaceLook, PlateFound, PlateLook, PlateUnsure

Floats = NDArray[np.float64]
Progress = Callable[[Iterable[tuple[Path, str]]], Iterable[tuple[Path, str]]]
"""Passes the images through, showing how far we are."""


class LabelsError(Exception):
    """The labels are missing, or not what they should be; the message says which file and what."""


class FaceFigures(Struct, frozen=True, kw_only=True):
    """`images`, `detected`, `genuine`, `impostor` are counts: labelled images, images that gave one usable face, pairs
    of them of one person, and of two. The rest are fractions: `rank1`: images whose nearest other image is of the same
    person, of all images of people with two or more (no face found is a miss); `eer`: where false accepts and false
    rejects of pairs are equal; `far`, `frr`: their rates at `threshold`, the gallery's. `ms_p50`: one image, bytes to
    embedding. A rate nothing could be measured for is None.
    """

    images: int
    detected: int
    genuine: int
    impostor: int
    rank1: float | None
    eer: float | None
    threshold: float
    far: float | None
    frr: float | None
    ms_p50: float


class PlateFigures(Struct, frozen=True, kw_only=True):
    """`exact`: images whose best reading, sure or not, is the plate; `char`: characters right, by edit distance. Both
    are fractions of all `images`. `ms_p50`: one image, bytes to reading.
    """

    images: int
    exact: float
    char: float
    ms_p50: float


def read_labels(labels: Path, column: str) -> list[tuple[Path, str]]:
    """Rows of a CSV with the columns `file` (relative to the CSV) and `column`. Raises LabelsError."""
    try:
        with labels.open(encoding="utf-8-sig", newline="") as lines:
            rows = list(csv.DictReader(lines))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise LabelsError(f"{labels}: {error}") from error
    if not rows or not {"file", column} <= rows[0].keys():
        raise LabelsError(f"{labels}: needs the columns file,{column} and at least one row")
    found = [(labels.parent / row["file"], row[column] or "") for row in rows]
    if missing := [image for image, _ in found if not image.is_file()]:
        raise LabelsError(f"{labels}: {len(missing)} images are missing, the first is {missing[0]}")
    return found


T = TypeVar("T")


def _timed(look: Callable[[bytes], T], image: Path) -> tuple[T, float]:
    """What a look gave, and how long it took, ms."""
    data = image.read_bytes()
    started = time.perf_counter()
    found = look(data)
    return found, (time.perf_counter() - started) * 1000


def _equal_error_rate(genuine: Floats, impostor: Floats) -> float | None:
    if not len(genuine) or not len(impostor):
        return None
    cuts = np.unique(np.concatenate([genuine, impostor]))
    rejected = 1 - np.searchsorted(np.sort(genuine), cuts, side="right") / len(genuine)
    accepted = np.searchsorted(np.sort(impostor), cuts, side="right") / len(impostor)
    at = int(np.abs(rejected - accepted).argmin())
    return float(rejected[at] + accepted[at]) / 2


def _rate(hits: NDArray[np.bool_]) -> float | None:
    return float(hits.mean()) if len(hits) else None


def _rank1(distances: Floats, same: NDArray[np.bool_], people: Sequence[str], found: Sequence[str]) -> float | None:
    candidates = sum(people.count(person) > 1 for person in people)
    if not candidates:
        return None
    if len(found) < 2:
        return 0.0
    nearest = (distances + np.diag(np.full(len(found), np.inf))).argmin(axis=1)
    return float(same[np.arange(len(found)), nearest].sum()) / candidates


def evaluate_faces(labels: Path, progress: Progress) -> FaceFigures:
    """Compare every image with every other (`file,person`). Raises LabelsError."""
    rows = read_labels(labels, "person")
    engine = FaceEngine()
    looks: list[tuple[str, FaceLook, float]] = []
    for image, person in progress(rows):
        looks.append((person, *_timed(engine.look, image)))
    faces = [(person, look.embedding) for person, look, _ in looks if isinstance(look, FaceFound)]
    people = [person for person, _ in faces]
    vectors = np.array([np.frombuffer(e, dtype="<f4") for _, e in faces], dtype=np.float64).reshape(-1, 128)
    distances = np.linalg.norm(vectors[:, None] - vectors[None], axis=2)
    same = np.array(people)[:, None] == np.array(people)[None]
    upper = np.triu(np.ones_like(same, dtype=bool), 1)
    genuine, impostor = distances[upper & same], distances[upper & ~same]
    return FaceFigures(
        images=len(rows),
        detected=len(faces),
        genuine=len(genuine),
        impostor=len(impostor),
        rank1=_rank1(distances, same, [person for _, person in rows], people),
        eer=_equal_error_rate(genuine, impostor),
        threshold=THRESHOLD,
        far=_rate(impostor < THRESHOLD),
        frr=_rate(genuine >= THRESHOLD),
        ms_p50=median(ms for *_, ms in looks),
    )


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
        look, ms = _timed(engine.look, image)
        times.append(ms)
        exact += _text(look) == truth
        wrong += min(edit_distance(truth, _text(look)), len(truth))
        characters += len(truth)
    return PlateFigures(
        images=len(rows), exact=exact / len(rows), char=1 - wrong / max(1, characters), ms_p50=median(times)
    )
