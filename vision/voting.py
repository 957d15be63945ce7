"""Several readings of cars passing a lane, into one plate: pure, standard library and msgspec only.

A camera sends a handful of frames per passage, and one bad frame must not decide. Readings are put into clusters of
what may be one plate, so that the car behind does not vote on the one in front; the largest cluster by confidence is
voted on character by character; only then is the result held against the grammar, so that a frame that was wrong in
one place still helps with the other six (the late filter).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from msgspec.structs import replace

from vision.confusion import distance
from vision.grammar import grammar_of
from vision.repair import trail
from vision.types import Alternatives, PlateReading

SAME_PLATE = 2.0
"""Readings at most this far apart (`vision.confusion.distance`; one plain error is 1) may be of one plate."""
INVALID_WEIGHT = 0.5
"""What the vote of a frame counts whose own text is no plate."""


def vote(readings: Sequence[PlateReading]) -> PlateReading | None:
    """One reading out of those of a passage, in any order; None without any.

    `char_confidences` are the shares of the vote times the confidence of the frames that gave them; `frames` counts
    the readings that took part; `repairs` tells where the vote overruled the best single frame.
    """
    groups = clusters(readings)
    if not groups:
        return None
    return _voted(max(groups, key=lambda group: (sum(_weight(r) for r in group), group[0].plate)))


def clusters(readings: Sequence[PlateReading]) -> list[list[PlateReading]]:
    """Readings grouped by what may be one plate; each group led by its heaviest reading, which the others are near."""
    groups: list[list[PlateReading]] = []
    for reading in sorted(readings, key=lambda r: (-_weight(r), r.plate)):
        if not reading.plate:
            continue
        near = [(distance(group[0].plate, reading.plate), at) for at, group in enumerate(groups)]
        best = min(near, default=(SAME_PLATE + 1, 0))
        if best[0] <= SAME_PLATE:
            groups[best[1]].append(reading)
        else:
            groups.append([reading])
    return groups


def _weight(reading: PlateReading) -> float:
    return reading.confidence * (1.0 if reading.valid else INVALID_WEIGHT)


def _voted(group: list[PlateReading]) -> PlateReading:
    """The vote of one cluster, among its readings of the length most of the weight has."""
    lengths: dict[int, float] = defaultdict(float)
    for reading in group:
        lengths[len(reading.plate)] += _weight(reading)
    length = max(lengths, key=lambda n: (lengths[n], n))
    voters = [reading for reading in group if len(reading.plate) == length]
    places = [_place(voters, at) for at in range(length)]
    text = "".join(max(place, key=lambda c: (place[c], c)) for place in places)
    best = max(voters, key=lambda r: (_weight(r), r.plate))
    if grammar_of(text) is None and best.valid:  # the late filter: a mixture that is no plate gives way to a frame
        text = best.plate
    grammar = grammar_of(text)
    confidences = tuple(place[c] / sum(_weight(r) for r in voters) for place, c in zip(places, text, strict=True))
    return replace(
        best,
        plate=text,
        confidence=sum(confidences) / length,
        char_confidences=confidences,
        valid=grammar is not None,
        grammar=grammar.name if grammar else "",
        alternatives=tuple(_others(place, c, voters) for place, c in zip(places, text, strict=True)),
        repairs=best.repairs + trail(best.plate, text, because=f"{len(voters)} frames voted"),
        frames=len(voters),
    )


def _place(voters: list[PlateReading], at: int) -> dict[str, float]:
    """The votes on one place: weight times confidence, by character; a frame's alternatives vote too."""
    votes: dict[str, float] = defaultdict(float)
    for reading in voters:
        votes[reading.plate[at]] += _weight(reading) * reading.char_confidences[at]
        for character, probability in reading.alternatives[at] if reading.alternatives else ():
            votes[character] += _weight(reading) * probability
    return votes


def _others(place: dict[str, float], chosen: str, voters: list[PlateReading]) -> Alternatives:
    whole = sum(_weight(reading) for reading in voters)
    ranked = sorted(((votes / whole, c) for c, votes in place.items() if c != chosen), reverse=True)
    return tuple((c, round(share, 3)) for share, c in ranked[:3])
