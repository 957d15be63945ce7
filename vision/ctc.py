"""From a line reader's probabilities to a plate: what it says by itself, and the likeliest text some plate can have.

A CTC reader gives for each step along the line a probability of every character and of "nothing new" (the blank,
column 0). One text has many spellings (blanks, and a character held over several steps); a prefix beam search adds them
up (Graves 2006; Hannun 2014). Ours only keeps prefixes with which some plate begins (`vision.grammar.follow`), so
an O where only digits stand costs its own probability, instead of being replaced afterwards by a guess.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from vision.grammar import follow, is_plate
from vision.types import Alternatives

Floats = NDArray[np.float32]

WIDTH = 24
"""Prefixes kept at each step."""
BRANCHES = 8
"""Likeliest characters tried at each step."""
FLOOR = 1e-4
"""A character less likely than this at a step is not tried there."""
_NEVER = 1e-9
MENTIONED = 0.02
"""Smallest probability of an alternative worth telling."""


class Spelling(Struct, frozen=True):
    """A text; for each character its highest probability, and the step at which it had it."""

    text: str
    confidences: tuple[float, ...]
    steps: tuple[int, ...]


class _Prefix(Struct):
    """Probabilities, relative to the best prefix, of ending with a blank and without; peaks as (probability, step)."""

    blank: float
    bare: float
    peaks: tuple[tuple[float, int], ...]

    @property
    def both(self) -> float:
        return self.blank + self.bare


def greedy(steps: Floats, characters: Sequence[str]) -> Spelling:
    """What the reader says by itself: the best character of each step, repeats and blanks left out.

    `steps`: float32[steps, characters], probabilities; `characters[0]` is the blank.
    """
    best = steps.argmax(axis=1)
    previous = np.concatenate([[-1], best[:-1]])
    starts = [i for i, c in enumerate(best) if c and c != previous[i]]
    return Spelling(
        "".join(characters[best[i]] for i in starts),
        tuple(float(steps[i, best[i]]) for i in starts),
        tuple(starts),
    )


def plate(steps: Floats, characters: Sequence[str]) -> Spelling | None:
    """The likeliest text that is a plate by its grammar; None when no plate can be spelt. Shapes as for `greedy`."""
    beam = {"": _Prefix(1.0, 0.0, ())}
    for at, row in enumerate(steps):
        tried = [(characters[i], float(row[i])) for i in np.argpartition(row, -BRANCHES)[-BRANCHES:] if i]
        grown = _grow(beam, max(float(row[0]), _NEVER), [(c, p) for c, p in tried if p > FLOOR], at)
        kept = sorted(grown.items(), key=lambda item: -item[1].both)[:WIDTH]
        scale = 1 / kept[0][1].both  # relative to the best, so that forty steps do not underflow
        beam = {text: _Prefix(p.blank * scale, p.bare * scale, p.peaks) for text, p in kept}
    whole = [(prefix.both, text, prefix.peaks) for text, prefix in beam.items() if is_plate(text)]
    if not whole:
        return None
    _, text, peaks = max(whole)
    return Spelling(text, tuple(p for p, _ in peaks), tuple(at for _, at in peaks))


def _grow(beam: dict[str, _Prefix], blank: float, tried: list[tuple[str, float]], at: int) -> dict[str, _Prefix]:
    """Every prefix of `beam`, one step later: nothing new, the last character held, or one more that may follow."""
    grown: dict[str, _Prefix] = {}
    likely = dict(tried)
    for text, old in beam.items():
        same = grown.setdefault(text, _Prefix(0.0, 0.0, old.peaks))
        same.blank += old.both * blank
        if text:
            held = likely.get(text[-1], _NEVER)
            same.bare += old.bare * held
            same.peaks = _higher(same.peaks, old.peaks[:-1], held, at)
        allowed = follow(text)
        for character, probability in tried:
            if character not in allowed:
                continue
            # The same character twice needs a blank between.
            mass = (old.blank if text.endswith(character) else old.both) * probability
            more = grown.setdefault(text + character, _Prefix(0.0, 0.0, (*old.peaks, (0.0, at))))
            more.bare += mass
            more.peaks = _higher(more.peaks, old.peaks, probability, at)
    return grown


def _higher(
    peaks: tuple[tuple[float, int], ...], before: tuple[tuple[float, int], ...], probability: float, at: int
) -> tuple[tuple[float, int], ...]:
    """The peaks, with this step as the last one's where it is higher."""
    return (*before, (probability, at)) if probability > peaks[-1][0] else peaks


def alternatives(steps: Floats, characters: Sequence[str], spelling: Spelling) -> tuple[Alternatives, ...]:
    """For each character of a spelling, what else the reader saw there: three at most."""
    found = []
    for character, at in zip(spelling.text, spelling.steps, strict=True):
        best = (int(i) for i in np.argsort(-steps[at])[:5])
        seen = [(characters[i], round(float(steps[at, i]), 3)) for i in best if i and characters[i] != character]
        found.append(tuple((c, p) for c, p in seen[:3] if p >= MENTIONED))
    return tuple(found)
