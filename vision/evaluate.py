"""How well faces are told apart, measured on labelled images.

The figures are those of the path the gateway takes: the same engines, the same policies, the same gallery.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from vision.calibration import Calibration, CalibrationError, OperatingPoint, fit, operating_point
from vision.degrade import DEGRADATIONS
from vision.faces import FaceEngine
from vision.gallery import THRESHOLD, Gallery
from vision.image import Image, ImageError, decode
from vision.labels import Progress, read_labels, timed
from vision.types import EMBEDDING_SIZE, FaceEngineName, FaceFound, Identified, Unsure

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

FAR = 1e-4
"""False accepts per attempt that the open-set figures are for, ..."""
GALLERIES = {"building": 200, "estate": 5000}
"""... against so many templates: a building is searched first, then the estate."""


class OpenSet(Struct, frozen=True, kw_only=True):
    """Every image once as a stranger (nobody of that person enrolled) and, if there are others of them, once as a
    resident (all others enrolled), at the `threshold`, L2, that the same images calibrate for `far` per attempt against
    `gallery` templates. Counts: `strangers`, of them `false_accepts`; `residents`, of them named right, named wrong
    (`misnamed`), `unsure`, or turned away (no face found included). `frr`: residents not named right, a fraction.
    """

    far: float
    gallery: int
    threshold: float
    strangers: int
    false_accepts: int
    residents: int
    right: int
    misnamed: int
    unsure: int
    turned_away: int
    frr: float | None


class Degraded(Struct, frozen=True, kw_only=True):
    """As in `FaceFigures`, with degraded images shown to a gallery of the clean ones."""

    detected: int
    genuine: int
    impostor: int
    rank1: float | None
    eer: float | None
    far: float | None
    frr: float | None
    open_set: dict[str, OpenSet]


class FaceFigures(Struct, frozen=True, kw_only=True):
    """`images`, `detected`, `genuine`, `impostor` are counts: labelled images, images that gave one usable face, pairs
    of them of one person, and of two. The rest are fractions: `rank1`: images whose nearest other image is of the same
    person, of all images of people with two or more (no face found is a miss); `eer`: where false accepts and false
    rejects of pairs are equal; `far`, `frr`: their rates at `threshold`, the gallery's own. `ms_p50`: one image, bytes
    to embedding. `open_set`, by what is searched (`GALLERIES`), is empty where there are too few pairs to calibrate
    with. A rate nothing could be measured for is None.
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
    engine: str
    open_set: dict[str, OpenSet]
    degraded: dict[str, Degraded]


class Measured(Struct, frozen=True, kw_only=True, eq=False):
    """Labelled images and what they gave: `vectors[i]` is NaN where no usable face was found."""

    files: tuple[Path, ...]
    people: tuple[str, ...]
    vectors: Floats
    ms: tuple[float, ...]
    detector: str

    @property
    def found(self) -> Bools:
        """Which images gave a face."""
        return np.asarray(~np.isnan(self.vectors).any(axis=1))

    @property
    def same(self) -> Bools:
        """bool[n, n]: of one person."""
        names = np.array(self.people)
        return np.asarray(names[:, None] == names[None])


def equal_error_rate(genuine: Floats, impostor: Floats) -> float | None:
    """Where false rejects and false accepts are equal; None without pairs of both kinds."""
    if not len(genuine) or not len(impostor):
        return None
    cuts = np.unique(np.concatenate([genuine, impostor]))
    rejected = 1 - np.searchsorted(np.sort(genuine), cuts, side="right") / len(genuine)
    accepted = np.searchsorted(np.sort(impostor), cuts, side="right") / len(impostor)
    at = int(np.abs(rejected - accepted).argmin())
    return float(rejected[at] + accepted[at]) / 2


def _rate(hits: Bools) -> float | None:
    return float(hits.mean()) if len(hits) else None


def distances(probes: Floats, gallery: Floats) -> Floats:
    """L2 between every two rows, NaN where one is; float64[n, m]."""
    return np.asarray(np.linalg.norm(probes[:, None] - gallery[None], axis=2))


def pairs(between: Floats, same: Bools) -> tuple[Floats, Floats]:
    """Distances of genuine and of impostor pairs, an image with itself left out."""
    upper = np.triu(np.ones_like(same), 1) & ~np.isnan(between)
    return between[upper & same], between[upper & ~same]


def _crossed(between: Floats, same: Bools) -> tuple[Floats, Floats]:
    """As `pairs`, for probes and a gallery that are not the same images: (i, j) and (j, i) are two pairs."""
    apart = ~np.eye(len(same), dtype=bool) & ~np.isnan(between)
    return between[apart & same], between[apart & ~same]


def _rank1(between: Floats, same: Bools) -> float | None:
    candidates = same.sum(axis=1) > 1
    if not candidates.any():
        return None
    others = np.where(np.isnan(between) | np.eye(len(same), dtype=bool), np.inf, between)
    nearest = others.argmin(axis=1)
    rows = np.arange(len(same))
    return float((same[rows, nearest] & np.isfinite(others[rows, nearest]))[candidates].mean())


def measure(
    labels: Path, progress: Progress, *, engine: FaceEngine, change: Callable[[Image], Image] | None = None
) -> Measured:
    """Look at every image (`file,person`), each put through `change` first. Raises LabelsError."""

    def look(data: bytes) -> object:
        if change is None:
            return engine.look(data)
        try:
            return engine.look_at(change(decode(data)))
        except ImageError:
            return None

    rows = read_labels(labels, "person")
    vectors = np.full((len(rows), EMBEDDING_SIZE), np.nan)
    times: list[float] = []
    for i, (image, _) in enumerate(progress(rows)):
        seen, ms = timed(look, image)
        times.append(ms)
        if isinstance(seen, FaceFound):
            vectors[i] = np.frombuffer(seen.embedding, dtype="<f4")
    return Measured(
        files=tuple(image for image, _ in rows),
        people=tuple(person for _, person in rows),
        vectors=vectors,
        ms=tuple(times),
        detector=engine.detector,
    )


def calibrated(clean: Measured) -> Calibration:
    """From the pairs of these images. Raises CalibrationError."""
    kept = np.flatnonzero(clean.found)
    genuine, impostor = pairs(distances(clean.vectors[kept], clean.vectors[kept]), clean.same[np.ix_(kept, kept)])
    return fit(genuine, impostor, people=len({clean.people[i] for i in kept}), detector=clean.detector)


def _open_sets(clean: Measured, probes: Measured) -> dict[str, OpenSet]:
    """Empty when the images are too few to calibrate with."""
    try:
        calibration = calibrated(clean)
        points = {n: operating_point(calibration, far=FAR, gallery=size) for n, size in GALLERIES.items()}
    except CalibrationError:
        return {}
    return {name: _open_set(clean, probes, point) for name, point in points.items()}


def _open_set(clean: Measured, probes: Measured, point: OperatingPoint) -> OpenSet:
    gallery = Gallery()
    gallery.load((clean.people[i], str(i), clean.vectors[i].astype(np.float32)) for i in np.flatnonzero(clean.found))
    count = dict.fromkeys(("strangers", "false_accepts", "residents", "right", "misnamed", "unsure", "turned_away"), 0)
    everybody = gallery.people()
    for i, person in enumerate(probes.people):
        vector, threshold = probes.vectors[i], point.threshold
        count["strangers"] += 1
        if probes.found[i]:
            match = gallery.identify(vector.astype(np.float32), threshold=threshold, among=everybody - {person})
            count["false_accepts"] += isinstance(match, Identified)
        if clean.people.count(person) > 1:
            count["residents"] += 1
            count[_resident(gallery, clean, i, vector, threshold)] += 1
    return OpenSet(
        far=point.far,
        gallery=point.gallery,
        threshold=point.threshold,
        frr=1 - count["right"] / count["residents"] if count["residents"] else None,
        **count,
    )


def _resident(gallery: Gallery, clean: Measured, image: int, vector: Floats, threshold: float) -> str:
    """How a resident fares whose other images are enrolled: the name of a count of `OpenSet`."""
    person = clean.people[image]
    if np.isnan(vector).any():
        return "turned_away"
    gallery.remove(person, str(image))
    match = gallery.identify(vector.astype(np.float32), threshold=threshold)
    if clean.found[image]:
        gallery.put(person, str(image), clean.vectors[image].astype(np.float32))
    if isinstance(match, Identified):
        return "right" if match.person == person else "misnamed"
    return "unsure" if isinstance(match, Unsure) else "turned_away"


def _degraded(clean: Measured, probes: Measured) -> Degraded:
    between = distances(probes.vectors, clean.vectors)
    genuine, impostor = _crossed(between, clean.same)
    return Degraded(
        detected=int(probes.found.sum()),
        genuine=len(genuine),
        impostor=len(impostor),
        rank1=_rank1(between, clean.same),
        eer=equal_error_rate(genuine, impostor),
        far=_rate(impostor < THRESHOLD),
        frr=_rate(genuine >= THRESHOLD),
        open_set=_open_sets(clean, probes),
    )


def figures(clean: Measured, degraded: dict[str, Measured], engine: str) -> FaceFigures:
    """Everything that is said of the measured images."""
    between = distances(clean.vectors, clean.vectors)
    genuine, impostor = pairs(between, clean.same)
    return FaceFigures(
        images=len(clean.files),
        detected=int(clean.found.sum()),
        genuine=len(genuine),
        impostor=len(impostor),
        rank1=_rank1(between, clean.same),
        eer=equal_error_rate(genuine, impostor),
        threshold=THRESHOLD,
        far=_rate(impostor < THRESHOLD),
        frr=_rate(genuine >= THRESHOLD),
        ms_p50=median(clean.ms),
        engine=engine,
        open_set=_open_sets(clean, clean),
        degraded={name: _degraded(clean, probes) for name, probes in degraded.items()},
    )


def evaluate_faces(
    labels: Path,
    progress: Progress,
    *,
    engine: FaceEngineName = "auto",
    degradations: Sequence[str] = tuple(DEGRADATIONS),
    html: Path | None = None,
) -> FaceFigures:
    """Compare every image with every other (`file,person`), clean and degraded; `html`: also as a page, pictures
    included. Raises LabelsError, OSError for the page.
    """
    eyes = FaceEngine(engine=engine)
    clean = measure(labels, progress, engine=eyes)
    degraded = {name: measure(labels, progress, engine=eyes, change=DEGRADATIONS[name]) for name in degradations}
    measured = figures(clean, degraded, eyes.detector if engine != "reference" else engine)
    if html is not None:
        from vision.report import write  # noqa: PLC0415 - plotly takes a second

        write(html, clean, degraded, measured)
    return measured
