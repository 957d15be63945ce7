"""How well faces are told apart, measured on labelled images.

The figures are those of the path the gateway takes: the same engines, the same policies, the same thresholds.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import median

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from vision.faces import FaceEngine
from vision.gallery import THRESHOLD
from vision.labels import Progress, read_labels, timed
from vision.types import FaceFound, FaceLook

Floats = NDArray[np.float64]


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
        looks.append((person, *timed(engine.look, image)))
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
