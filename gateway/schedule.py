"""Who wants to be woken when. Deadlines are recomputed from states, so an outdated entry only costs one look."""

from __future__ import annotations

import heapq
from datetime import datetime

Name = tuple[str, ...]


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

    def next(self) -> datetime | None:
        """The earliest due time."""
        return self._heap[0][0] if self._heap else None

    def pop(self, now: datetime) -> list[Name]:
        """The names whose time has come, each once. The caller decides whether they are really due."""
        names = []
        while self._heap and self._heap[0][0] <= now:
            due, name = heapq.heappop(self._heap)
            if self._due.get(name) == due:
                del self._due[name]
                names.append(name)
        return names
