"""In what order changes are delivered: several at a time, those of one alert one after another. Pure, no clock.

The cursor is the last change of the unbroken run from the start that is done with; after a crash everything behind it
is delivered again, under the same id.
"""

from __future__ import annotations

import heapq
from collections import deque

from msgspec import Struct


class Parcel(Struct, kw_only=True, eq=False):
    """One change on its way. `seq`: of `alert_changes`. `row`: of the dead letter it is a replay of, else 0. `id`: the
    same whenever it is sent again, and of no other message.
    """

    seq: int
    alert: str
    id: str = ""
    body: bytes
    row: int = 0
    attempts: int = 0
    first_tried: float = 0.0
    tried: float = 0.0


class Lanes:
    """Parcels by alert. Times are seconds of any clock that only goes forward."""

    def __init__(self, cursor: int) -> None:
        self.cursor = cursor
        self.newest = cursor
        self._open: deque[int] = deque()
        self._finished: set[int] = set()
        self._lanes: dict[str, deque[Parcel]] = {}
        self._ready: deque[str] = deque()
        self._asleep: list[tuple[float, int, str]] = []
        self.waiting = 0

    def skip(self, seq: int) -> None:
        """A change nobody wants here."""
        self._see(seq)
        self._finish(seq)

    def add(self, parcel: Parcel) -> None:
        """A change to deliver, in the order of `seq`; a replay does not touch the cursor."""
        if not parcel.row:
            self._see(parcel.seq)
        self.waiting += 1
        lane = self._lanes.get(parcel.alert)
        if lane is None:
            self._lanes[parcel.alert] = deque([parcel])
            self._ready.append(parcel.alert)
        else:
            lane.append(parcel)

    def take(self, now: float) -> Parcel | None:
        """The next parcel that may go now; its alert's others wait until it is done or put back."""
        while self._asleep and self._asleep[0][0] <= now:
            self._ready.append(heapq.heappop(self._asleep)[2])
        return self._lanes[self._ready.popleft()][0] if self._ready else None

    def done(self, parcel: Parcel) -> None:
        """It arrived, or was given up."""
        lane = self._lanes[parcel.alert]
        lane.popleft()
        self.waiting -= 1
        if lane:
            self._ready.append(parcel.alert)
        else:
            del self._lanes[parcel.alert]
        if not parcel.row:
            self._finish(parcel.seq)

    def put_back(self, parcel: Parcel, until: float) -> None:
        """It did not arrive; again, not before `until`."""
        heapq.heappush(self._asleep, (until, parcel.seq, parcel.alert))

    def next_at(self, now: float) -> float | None:
        """When `take` will give something; None: not before something happens."""
        if self._ready:
            return now
        return self._asleep[0][0] if self._asleep else None

    def _see(self, seq: int) -> None:
        self.newest = seq
        self._open.append(seq)

    def _finish(self, seq: int) -> None:
        self._finished.add(seq)
        while self._open and self._open[0] in self._finished:
            self.cursor = self._open.popleft()
            self._finished.remove(self.cursor)

    @property
    def held(self) -> int:
        """How many changes are remembered behind the cursor."""
        return len(self._open)
