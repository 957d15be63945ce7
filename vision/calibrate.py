"""`linli faces calibrate`: labelled images to a calibration, and what it would mean for an estate."""

from __future__ import annotations

from pathlib import Path

import msgspec
from msgspec import Struct

from vision.calibration import Calibration, OperatingPoint, false_accepts_per_day, operating_point
from vision.evaluate import calibrated, measure
from vision.faces import FaceEngine
from vision.labels import Progress
from vision.types import FaceEngineName


class CalibrationFigures(Struct, frozen=True, kw_only=True):
    """`point`: the threshold and how it came about. `false_accepts_per_day`: expected with `strangers_per_day` people
    who are not enrolled at the gates. `images`, `detected`: counts.
    """

    images: int
    detected: int
    calibration: Calibration
    point: OperatingPoint
    strangers_per_day: float
    false_accepts_per_day: float


def calibrate(
    labels: Path,
    progress: Progress,
    *,
    far: float,
    gallery: int,
    strangers: float,
    out: Path | None,
    engine: FaceEngineName,
    yunet: Path | None = None,
) -> CalibrationFigures:
    """Measure, fit, and write the `Calibration` to `out`. Raises LabelsError, CalibrationError, OSError."""
    seen = measure(labels, progress, engine=FaceEngine(engine=engine, yunet=yunet))
    calibration = calibrated(seen)
    point = operating_point(calibration, far=far, gallery=gallery)
    if out is not None:
        out.write_bytes(msgspec.json.encode(calibration))
    return CalibrationFigures(
        images=len(seen.files),
        detected=int(seen.found.sum()),
        calibration=calibration,
        point=point,
        strangers_per_day=strangers,
        false_accepts_per_day=false_accepts_per_day(
            calibration, threshold=point.threshold, gallery=gallery, strangers=strangers
        ),
    )
