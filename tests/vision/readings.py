"""Plate readings made up for tests."""

from vision.grammar import grammar_of
from vision.types import Alternatives, PlateReading

QUAD = ((0.0, 0.0), (90.0, 0.0), (90.0, 30.0), (0.0, 30.0))


def reading(
    plate: str,
    confidence: float = 0.95,
    doubts: dict[int, float] | None = None,
    also: dict[int, Alternatives] | None = None,
) -> PlateReading:
    """`doubts`: confidence of single places; `also`: their alternatives."""
    confidences = tuple((doubts or {}).get(at, confidence) for at in range(len(plate)))
    grammar = grammar_of(plate)
    return PlateReading(
        plate=plate,
        confidence=sum(confidences) / max(1, len(plate)),
        char_confidences=confidences,
        quad=QUAD,
        valid=grammar is not None,
        grammar=grammar.name if grammar else "",
        alternatives=tuple((also or {}).get(at, ()) for at in range(len(plate))),
    )
