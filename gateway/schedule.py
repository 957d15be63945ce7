"""Who wants to be woken when. Deadlines are recomputed from states, so an outdated entry only costs one look."""

from __future__ import annotations

import heapq
from datetime import datetime, timedelta

Name = tuple[str, ...]

SPARE = 1024

STEP = timedelta(seconds=5)
"""A wall clock that moves so much more or less than the time that passed has been set."""


class Schedule:
    """A queue of names by due time; each name is held once, at its earliest announced time."""

    def __init__(self) -> None:
        self._heap: list[tuple[datetime, Name]] = []
        self._due: dict[Name, datetime] = {}

    def want(self, name: Name, due: datetime | None) -> None:
        """`name` has a deadline at `due`. A later one than announced is found out when the earlier comes."""
        if due is None:
            return
        known = self._due.get(name)
        if known is None or due < known:
            self._due[name] = due
            heapq.heappush(self._heap, (due, name))
            if len(self._heap) > 2 * len(self._due) + SPARE:  # mostly outdated
                self._heap = [(at, wanted) for wanted, at in self._due.items()]
                heapq.heapify(self._heap)

    def forget(self, name: Name) -> None:
        """`name` has no deadline any more. Only once that is safe: see `Hub.adopt`."""
        self._due.pop(name, None)

    def __len__(self) -> int:
        return len(self._heap)

    def next(self) -> datetime | None:
        """The earliest due time."""
        return self._heap[0][0] if self._heap else None

    def pop(self, now: datetime, at_most: int) -> list[Name]:
        """The names whose time has come, each once, the longest waiting first; the caller decides which are due."""
        names: list[Name] = []
        while self._heap and self._heap[0][0] <= now and len(names) < at_most:
            due, name = heapq.heappop(self._heap)
            if self._due.get(name) == due:
                del self._due[name]
                names.append(name)
        return names


class ClockWatch:
    """Notices that somebody, or NTP, has set the wall clock."""

    def __init__(self) -> None:
        self._ahead: datetime | None = None

    def stepped(self, wall: datetime, monotonic: float) -> timedelta | None:
        """By how much the clock was set since the last call, None if it was not; `monotonic` in seconds."""
        before, self._ahead = self._ahead, wall - timedelta(seconds=monotonic)
        by = self._ahead - before if before is not None else timedelta()
        return by if abs(by) > STEP else None
