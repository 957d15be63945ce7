"""A plate as read against the plates registered: pure, standard library and msgspec only.

A barrier may open for a plate that was misread in a way plates are misread, if exactly one registered plate is that
near and the next one clearly further. A blocklist is another matter: an accusation is exact, or it is a person's to
make, never the outcome of a similarity.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Literal

from msgspec import Struct

from vision.confusion import SLIP, cost
from vision.grammar import clean, grammar_of
from vision.repair import trail
from vision.types import PlateReading, Repair

Verdict = Literal["exact", "similar", "unsure", "unknown"]

NEAR = 0.6
"""Furthest a registered plate may be, in plain errors, to count as the one read: two confusions of shape."""
MARGIN = 0.5
"""And by how much nearer than any other."""
WORTH_ASKING = 1.5
"""Up to here a person is asked; further is unknown."""
DOUBT = 0.9
"""A confusion is only believed where the reader itself was less certain of the character than this, or where the text
is no plate at all..."""
CERTAIN_COST = 3.0
"""...else it costs so many times as much: what was read well, and exists, is probably another car."""


class Candidate(Struct, frozen=True):
    """A registered plate and how far it is from the one read, in plain errors."""

    plate: str
    distance: float


class RegistryMatch(Struct, frozen=True, kw_only=True):
    """What the registry says of a plate as read.

    `verdict`: "exact", "similar" (`plate` is the one, with its `distance`, `margin` to the next and `repairs`),
    "unsure" (a person is asked; `candidates` are what it may be, nearest first) or "unknown". `plate` is "" unless
    exact or similar. `blocked`: the text itself is on the blocklist. `ask_about_block`: something on the blocklist is
    near; for a person only. `why` is for people.
    """

    verdict: Verdict
    plate: str = ""
    distance: float | None = None
    margin: float | None = None
    candidates: tuple[Candidate, ...] = ()
    repairs: tuple[Repair, ...] = ()
    blocked: bool = False
    ask_about_block: tuple[Candidate, ...] = ()
    why: str = ""


def match(reading: PlateReading | str, registered: Iterable[str], blocked: Iterable[str] = ()) -> RegistryMatch:
    """Find a plate among those `registered` (without separators). `reading`: from the camera, as text, or ours with
    its confidences, which make a confusion cheaper where the reader was in doubt. Order does not matter.
    """
    text = clean(reading if isinstance(reading, str) else reading.plate)
    bad = frozenset(blocked)
    if text in bad:
        return RegistryMatch(verdict="exact", plate=text, distance=0.0, blocked=True, why="on the blocklist, exactly")
    known = frozenset(registered) - bad
    near_bad = _near(reading, text, bad)
    if text in known:
        return RegistryMatch(verdict="exact", plate=text, distance=0.0, why="registered, exactly")
    near = _near(reading, text, known)
    found = _similar(text, near) if near and not near_bad else None
    if found:
        return found
    if near or near_bad:
        why = "near a plate on the blocklist: for a person to look at" if near_bad else _why_unsure(near)
        return RegistryMatch(verdict="unsure", candidates=near, ask_about_block=near_bad, why=why)
    return RegistryMatch(verdict="unknown", why="nothing registered is near")


def _similar(text: str, near: Sequence[Candidate]) -> RegistryMatch | None:
    """The one plate that is near, where there is one."""
    best = near[0]
    margin = near[1].distance - best.distance if len(near) > 1 else None
    if best.distance > NEAR or (margin is not None and margin < MARGIN):
        return None
    repairs = trail(text, best.plate, because="the only registered plate that looks like it")
    changes = ", ".join(f"{r.was or 'nothing'}→{r.now or 'nothing'} at {r.at + 1}" for r in repairs)
    return RegistryMatch(
        verdict="similar",
        plate=best.plate,
        distance=best.distance,
        margin=margin,
        candidates=tuple(near),
        repairs=repairs,
        why=f"{changes}: the only registered plate that looks like it",
    )


def _why_unsure(near: Sequence[Candidate]) -> str:
    if near[0].distance > NEAR:
        return "registered plates resemble it, none closely enough"
    return "several registered plates look like it"


def _near(reading: PlateReading | str, text: str, plates: Iterable[str]) -> tuple[Candidate, ...]:
    """Those worth asking about, nearest first: five at most."""
    doubts = None if isinstance(reading, str) else reading
    found = (Candidate(plate, round(_distance(text, plate, doubts), 3)) for plate in plates)
    return tuple(sorted((c for c in found if c.distance <= WORTH_ASKING), key=lambda c: (c.distance, c.plate))[:5])


def _distance(text: str, plate: str, reading: PlateReading | None) -> float:
    """Plain errors between what was read and a registered plate: place by place, or one character lost or added."""
    if len(text) != len(plate):
        short, long = sorted((text, plate), key=len)
        slipped = len(long) == len(short) + 1 and any(long[:i] + long[i + 1 :] == short for i in range(len(long)))
        return SLIP if slipped else math.inf
    if grammar_of(text) is None:  # it cannot have been read right
        return sum(map(cost, text, plate))
    certain = (1.0,) * len(text)
    confidences = reading.char_confidences if reading and len(reading.char_confidences) == len(text) else certain
    return sum(
        cost(a, b) * (CERTAIN_COST if p >= DOUBT else 1.0) for a, b, p in zip(text, plate, confidences, strict=True)
    )
