"""From the plate vision saw to what it means here."""

from __future__ import annotations

from datetime import datetime

from devices.effects import ReadPlate
from devices.events import PlateOutcome, PlateRead
from vision.types import Look, PlateFound, PlateUnsure, outcome


def plate_seen(question: ReadPlate, look: Look, now: datetime) -> PlateRead:
    """The answer to a `ReadPlate`."""
    found = look.reading if isinstance(look, PlateFound | PlateUnsure) else None
    return PlateRead(
        at=now,
        outcome=PlateOutcome(outcome(look)),
        evidence=question.evidence,
        captured_at=question.captured_at,
        plate=found.plate[:16] if found else "",
        confidence=found.confidence if found else None,
        camera_plate=question.camera_plate,
    )
