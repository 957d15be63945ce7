"""How long vehicles stay, or stay away: a distribution learned from what was seen, begun with what is usual. Pure.

Lengths of time are hours, in bins each the square root of two wider than the one before, from eight minutes to six
weeks. What is usual counts as much as `AS_GOOD_AS` observations; within its range every doubling is as likely. What
stays beyond everything that ends by itself (`for_ever`) is never learned: who never leaves is never seen leaving.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from functools import lru_cache
from itertools import pairwise

from msgspec import Struct

EDGES = tuple(0.125 * 2 ** (n / 2) for n in range(28))
"""Upper ends of the bins, h; the first begins at 0."""
_WIDTHS = (EDGES[0], *(high - low for low, high in pairwise(EDGES)))
AS_GOOD_AS = 100.0
NOTHING: tuple[float, ...] = (0.0,) * len(EDGES)
"""Nothing observed yet."""


class Usual(Struct, frozen=True):
    """What to expect before anything was seen: mostly between `low` and `high` hours; the share `long` longer than
    `over`; the share `for_ever` beyond everything.
    """

    low: float
    high: float
    long: float = 0.0
    over: float = 24.0
    for_ever: float = 0.0


class Curve(Struct, frozen=True):
    """`shares` by bin, and `beyond`: the share that is still there at the beginning of each bin and after the last."""

    shares: tuple[float, ...]
    beyond: tuple[float, ...]

    def survival(self, hours: float) -> float:
        """Share that lasts at least so long."""
        bin_, within = _place(hours)
        if bin_ == len(EDGES):
            return self.beyond[-1]
        return self.beyond[bin_] - self.shares[bin_] * within

    def density(self, hours: float) -> float:
        """Share that ends at this length, per hour."""
        bin_, _ = _place(hours)
        return self.shares[bin_] / _WIDTHS[bin_] if bin_ < len(EDGES) else 0.0


def observed(counts: tuple[float, ...], hours: float) -> tuple[float, ...]:
    """`counts` with one more that lasted so long."""
    bin_ = min(_place(hours)[0], len(EDGES) - 1)
    return (*counts[:bin_], counts[bin_] + 1, *counts[bin_ + 1 :])


@lru_cache(maxsize=256)
def curve(counts: tuple[float, ...], usual: Usual) -> Curve:
    """What is known by now."""
    expected = _expected(usual)
    total = sum(counts) + AS_GOOD_AS
    ends = 1 - usual.for_ever
    shares = tuple(ends * (n + AS_GOOD_AS * p) / total for n, p in zip(counts, expected, strict=True))
    beyond, left = [], 1.0
    for share in shares:
        beyond.append(left)
        left -= share
    return Curve(shares, (*beyond, max(usual.for_ever, left)))


def _place(hours: float) -> tuple[int, float]:
    """The bin, and how far into it."""
    hours = max(0.0, hours)
    bin_ = bisect_right(EDGES, hours)
    low = EDGES[bin_ - 1] if bin_ else 0.0
    return bin_, (hours - low) / _WIDTHS[bin_] if bin_ < len(EDGES) else 0.0


def _expected(usual: Usual) -> tuple[float, ...]:
    body, tail = _even(usual.low, usual.high), _even(usual.over, EDGES[-1])
    return tuple((1 - usual.long) * a + usual.long * b for a, b in zip(body, tail, strict=True))


def _even(low: float, high: float) -> tuple[float, ...]:
    """Every doubling as likely as another between these lengths; all of it in them."""
    found, begin = [], 0.0
    for end in EDGES:
        inside = max(begin, low), min(end, high)
        found.append(math.log(inside[1] / inside[0]) if inside[1] > inside[0] else 0.0)
        begin = end
    total = sum(found)
    return tuple(part / total for part in found)
