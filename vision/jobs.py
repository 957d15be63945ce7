"""Jobs that wait for a worker: their order, and their deadlines."""

from __future__ import annotations

import heapq
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from itertools import count

from vision.types import Job, Look

PLATE_EVERY = 4
"""Somebody stands at a gate while a car waits behind glass: faces first, but every fourth job is a plate if one waits,
so that a crowd at the door does not hold the barrier up for good."""


class Ticket:
    """A job, its deadline (`time.monotonic` seconds), and the future that is answered exactly once."""

    def __init__(self, job: Job, due: float) -> None:
        self.job = job
        self.due = due
        self.tried = False
        self.future: Future[Look] = Future()
        self.future.set_running_or_notify_cancel()  # cancelling would leave the job unanswered in our counters
        self._lock = threading.Lock()
        self._answered = False

    @property
    def done(self) -> bool:
        return self._answered

    def answer(self, look: Look) -> bool:
        """Resolve the future; False when it already was."""
        with self._lock:
            if self._answered:
                return False
            self._answered = True
            self.job = Job(self.job.kind, b"")  # we may be remembered until the deadline; the image need not be
        self.future.set_result(look)
        return True


class Queue:
    """A bounded queue, faces before plates, no plate passed over more than `PLATE_EVERY - 1` times in a row; scenes
    when nobody waits at a gate or a barrier: they come again.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._changed = threading.Condition()
        self._faces: deque[Ticket] = deque()
        self._plates: deque[Ticket] = deque()
        self._scenes: deque[Ticket] = deque()
        self._passed_over = 0
        self._closed = False

    def __len__(self) -> int:
        return len(self._faces) + len(self._plates) + len(self._scenes)

    def _lane(self, ticket: Ticket) -> deque[Ticket]:
        return {"plate": self._plates, "scene": self._scenes}.get(ticket.job.kind, self._faces)

    def put(self, ticket: Ticket) -> bool:
        """False when the queue is full or closed."""
        with self._changed:
            if self._closed or len(self) >= self._size:
                return False
            self._lane(ticket).append(ticket)
            self._changed.notify()
            return True

    def put_back(self, ticket: Ticket) -> bool:
        """To the front, for its second try; also into a full queue. False when closed."""
        with self._changed:
            if self._closed:
                return False
            ticket.tried = True
            self._lane(ticket).appendleft(ticket)
            self._changed.notify()
            return True

    def take(self) -> Ticket | None:
        """The next job, waiting for one; None when the queue is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or len(self))
            return None if self._closed else self._next()

    def _next(self) -> Ticket:
        if self._plates and (not self._faces or self._passed_over >= PLATE_EVERY - 1):
            self._passed_over = 0
            return self._plates.popleft()
        if not self._faces:
            return self._scenes.popleft()
        self._passed_over += 1 if self._plates else 0
        return self._faces.popleft()

    def discard(self, ticket: Ticket) -> None:
        """Drop a job that is answered already, so that it takes no room."""
        with self._changed:
            lane = self._lane(ticket)
            if ticket in lane:
                lane.remove(ticket)

    def close(self) -> list[Ticket]:
        """Refuse new jobs, wake everybody who waits, and hand over what was left."""
        with self._changed:
            self._closed = True
            lanes = (self._faces, self._plates, self._scenes)
            left = [ticket for lane in lanes for ticket in lane]
            for lane in lanes:
                lane.clear()
            self._changed.notify_all()
            return left


class Deadlines:
    """One thread that calls `expire` for each watched ticket that is unanswered when it is due."""

    def __init__(self, expire: Callable[[Ticket], None]) -> None:
        self._expire = expire
        self._changed = threading.Condition()
        self._heap: list[tuple[float, int, Ticket]] = []
        self._number = count()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="vision-deadlines", daemon=True)
        self._thread.start()

    def watch(self, ticket: Ticket) -> None:
        with self._changed:
            heapq.heappush(self._heap, (ticket.due, next(self._number), ticket))
            self._changed.notify()

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()

    def _run(self) -> None:
        while (ticket := self._next_due()) is not None:
            if not ticket.done:
                self._expire(ticket)

    def _next_due(self) -> Ticket | None:
        with self._changed:
            while not self._closed:
                wait = self._heap[0][0] - time.monotonic() if self._heap else None
                if wait is not None and wait <= 0:
                    return heapq.heappop(self._heap)[2]
                self._changed.wait(wait)
        return None
