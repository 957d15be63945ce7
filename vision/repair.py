"""Why a plate is not what the reader alone would have said: the trail of a repair. Standard library and msgspec only.

Nothing here decides. The decoder (`vision.ctc`) or a vote chooses the text; this module says place by place what was
changed and which rule asked for it, so that a guard, or a court, can follow it.
"""

from __future__ import annotations

from difflib import SequenceMatcher

from vision.grammar import place_says
from vision.types import Repair


def trail(read: str, plate: str, *, because: str = "") -> tuple[Repair, ...]:
    """The changes that make `plate` out of `read`, in order of their place in `plate`. `because` says why where it was
    not the grammar (a vote, a registry); the grammar's reason is what may stand in that place.
    """
    found: list[Repair] = []
    for what, i, j, k, m in SequenceMatcher(None, read, plate, autojunk=False).get_opcodes():
        if what == "equal":
            continue
        was, now = read[i:j], plate[k:m]
        for step in range(max(len(was), len(now))):
            old, new = was[step : step + 1], now[step : step + 1]
            at = k + min(step, len(now))
            found.append(Repair(at, old, new, because or _reason(plate, at, old, new)))
    return tuple(found)


def _reason(plate: str, at: int, old: str, new: str) -> str:
    """`old` gave way to `new` at `at` because of the grammar of `plate`."""
    if not new:
        return f"{old} dropped at {at + 1}: a plate of this kind has {len(plate)} characters"
    change = f"{old or 'nothing'}→{new} at {at + 1}"
    if old and old in "IO" and at > 1:
        return f"{change}: letters O and I do not occur"
    return f"{change}: {place_says(plate, at)} stands there"
