"""From the plate vision saw to what it means here."""

from __future__ import annotations

from datetime import UTC, datetime

from devices.effects import ReadPlate, WatchScene
from devices.events import (
    PlateCharacter,
    PlateOutcome,
    PlateRead,
    PlateRepair,
    PlateText,
    SceneCandidate,
    SceneJudged,
)
from vision.types import Look, PlateFound, PlateReading, PlateUnsure, SceneSeen, outcome

LONGEST_PLATE = 16
"""Characters of `devices.events.Plate`."""


def plate_seen(question: ReadPlate, look: Look, now: datetime) -> PlateRead:
    """The answer to a `ReadPlate`."""
    found = look.reading if isinstance(look, PlateFound | PlateUnsure) else None
    return PlateRead(
        at=now,
        outcome=PlateOutcome(outcome(look)),
        evidence=question.evidence,
        captured_at=question.captured_at,
        plate=found.plate[:LONGEST_PLATE] if found else "",
        confidence=found.confidence if found else None,
        camera_plate=question.camera_plate,
        reading=_text(found, sure=isinstance(look, PlateFound)) if found else None,
    )


def _text(found: PlateReading, *, sure: bool) -> PlateText:
    places = zip(found.plate[:LONGEST_PLATE], found.char_confidences, strict=False)
    others = found.alternatives or ((),) * len(found.plate)
    return PlateText(
        plate=found.plate[:LONGEST_PLATE],
        characters=tuple(
            PlateCharacter(character, min(1.0, max(0.0, confidence)), other[:5])
            for (character, confidence), other in zip(places, others, strict=False)
        ),
        sure=sure,
        grammar=found.grammar,
        repairs=tuple(PlateRepair(r.at, r.was, r.now, r.why[:128]) for r in found.repairs[:LONGEST_PLATE]),
    )


def scene_seen(question: WatchScene, look: Look, now: datetime) -> SceneJudged:
    """The answer to a `WatchScene`."""
    findings = look.findings if isinstance(look, SceneSeen) else ()
    return SceneJudged(
        at=now,
        evidence=question.evidence,
        captured_at=question.captured_at,
        seen=isinstance(look, SceneSeen),
        candidates=tuple(
            SceneCandidate(
                condition=one.condition,
                score=one.score,
                since=datetime.fromtimestamp(one.since, UTC),
                zone=one.zone,
                why=one.why[:128],
            )
            for one in findings[:32]
        ),
    )
