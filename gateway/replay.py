"""Is this face a photograph shown again? A gate's pictures of the last day, and what a new one is compared with.

Exactly the same bytes under another record are never a live face: no sensor takes the same picture twice. Nearly the
same picture (`vision.fingerprint`) is one compressed, shrunk or brightened again; frames of one visit are near each
other too, so only what is at least `SETTLED` old is compared, and it counts only where somebody would be let in by it.
A record that is sent again has the same event id and never comes here.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import NamedTuple

from devices.events import Replay

REMEMBERED = timedelta(hours=24)
SETTLED = timedelta(seconds=60)
"""Pictures nearer in time may be of one visit: a person who stands still."""
PER_GATE = 4096
"""So many pictures of one gate are remembered, the latest."""


class Sighting(NamedTuple):
    """A face was seen at a gate. `at`: when it was captured, UTC; `evidence`: the picture's key."""

    device: str
    at: datetime
    evidence: str
    fingerprint: bytes


def bits_apart(one: bytes, other: bytes) -> int:
    """In how many bits two fingerprints differ (Hamming distance)."""
    return (int.from_bytes(one) ^ int.from_bytes(other)).bit_count()


def repeats(new: Sighting, earlier: Iterable[Sighting], *, bits: int) -> Replay:
    """What `new` is a repetition of, by what was seen at its gate `earlier`. `bits`: how many of 256 may differ."""
    near = Replay.NONE
    for seen in earlier:
        if abs(new.at - seen.at) > REMEMBERED:
            continue
        if seen.evidence == new.evidence:
            return Replay.EXACT
        settled = abs(new.at - seen.at) >= SETTLED
        if settled and new.fingerprint and bits_apart(new.fingerprint, seen.fingerprint) <= bits:
            near = Replay.NEAR
    return near


class Sightings:
    """What was seen lately, by gate. Used by the engine's thread alone."""

    def __init__(self) -> None:
        self._by_gate: dict[str, deque[Sighting]] = {}

    def adopt(self, new: Iterable[Sighting]) -> None:
        """These are safe in the database."""
        for seen in new:
            self._by_gate.setdefault(seen.device, deque(maxlen=PER_GATE)).append(seen)

    def at(self, device: str) -> Iterable[Sighting]:
        """What was seen at a gate, oldest first."""
        return self._by_gate.get(device, ())
