"""How readily one character of a plate is read as another. Standard library only, and the grammar.

Costs are fractions of a plain error (1.0): 0.3 for shapes that embossed, dirty or far plates make alike. From the
confusions of public plate readers and of GA 36's own rule (no I, no O).
"""

from __future__ import annotations

from collections.abc import Mapping

from vision.grammar import PROVINCES

_ALIKE = (
    ("0", "O", 0.1), ("0", "D", 0.3), ("0", "Q", 0.3), ("O", "D", 0.3), ("O", "Q", 0.3), ("D", "Q", 0.4),
    ("0", "U", 0.7), ("D", "U", 0.7), ("0", "C", 0.7), ("G", "C", 0.5),
    ("8", "B", 0.3), ("2", "Z", 0.3), ("5", "S", 0.3), ("6", "G", 0.4), ("1", "I", 0.1), ("1", "L", 0.6),
    ("1", "T", 0.7), ("1", "J", 0.7), ("7", "T", 0.5), ("7", "Z", 0.6), ("1", "7", 0.6), ("3", "8", 0.6),
    ("4", "A", 0.4), ("5", "6", 0.6), ("6", "8", 0.6), ("8", "9", 0.7), ("E", "F", 0.4), ("P", "F", 0.6),
    ("M", "N", 0.5), ("M", "W", 0.6), ("H", "N", 0.5), ("K", "X", 0.6), ("U", "V", 0.5), ("V", "Y", 0.5),
    ("P", "R", 0.6), ("9", "P", 0.7),
    ("皖", "院", 0.1), ("川", "州", 0.2), ("辽", "江", 0.3), ("沪", "泸", 0.1), ("苏", "芬", 0.3), ("津", "律", 0.2),
)  # fmt: skip
"""Two characters and the cost of taking one for the other."""

PROVINCE = 0.5
"""One province for another: the strokes are fine, and go first when the picture is small."""
PLAIN = 1.0
SLIP = 1.0
"""A character too many or too few."""
_PROVINCES = frozenset(PROVINCES)

_COSTS: Mapping[frozenset[str], float] = {frozenset((a, b)): cost for a, b, cost in _ALIKE}


def cost(a: str, b: str) -> float:
    """Of reading one character for the other: 0 for the same, 1 for two that are nothing alike."""
    if a == b:
        return 0.0
    if a in _PROVINCES and b in _PROVINCES:
        return PROVINCE
    return _COSTS.get(frozenset((a, b)), PLAIN)


def distance(a: str, b: str) -> float:
    """Cheapest way to misread one text as the other (weighted edit distance); 0 is the same text."""
    row = [float(j) * SLIP for j in range(len(b) + 1)]
    for i, x in enumerate(a, 1):
        diagonal, row[0] = row[0], i * SLIP
        for j, y in enumerate(b, 1):
            diagonal, row[j] = row[j], min(row[j] + SLIP, row[j - 1] + SLIP, diagonal + cost(x, y))
    return row[-1]
