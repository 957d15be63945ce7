"""Jobs that wait for a worker: their order, and their deadlines."""

from __future__ import annotations

import heapq
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from itertools import count
from typing import Literal

from vision.types import Job, Look

Lane = Literal["face", "plate", "enrol", "scene"]
LANES: tuple[Lane, ...] = ("face", "plate", "enrol", "scene")
"""Somebody stands at a gate while a car waits behind glass, and who is being enrolled sits in an office: in this order.
A lane's name is the kind of job in it. Scenes last, without a claim: their pictures come again."""
PATIENCE: dict[Lane, int] = {"plate": 3, "enrol": 31}
"""How many jobs of other lanes may go before one that waits, so that a crowd at the door holds up neither the barrier
nor the office for good: at the worst every fourth job is a plate, and every thirty-second a photograph to enrol."""


ENROL_SHARE = 0.25
"""Of the queue: photographs to enrol may fill so much of it, so that there is always room for who stands at a gate."""


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
    """A bounded queue of lanes (`LANES`): the first that has a job goes first, none of those in `PATIENCE` is passed
    over for ever. Within a lane the order is that of coming.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._changed = threading.Condition()
        self._lanes: dict[Lane, deque[Ticket]] = {lane: deque() for lane in LANES}
        self._passed_over: dict[Lane, int] = dict.fromkeys(LANES, 0)
        self._closed = False

    def __len__(self) -> int:
        return sum(len(lane) for lane in self._lanes.values())

    def put(self, ticket: Ticket) -> bool:
        """False when the queue is full or closed."""
        with self._changed:
            if self._closed or len(self) >= self._size:
                return False
            if ticket.job.kind == "enrol" and len(self._lanes["enrol"]) >= max(1, self._size * ENROL_SHARE):
                return False
            self._lanes[ticket.job.kind].append(ticket)
            self._changed.notify()
            return True

    def put_back(self, ticket: Ticket) -> bool:
        """To the front of its lane, for its second try; also into a full queue. False when closed."""
        with self._changed:
            if self._closed:
                return False
            ticket.tried = True
            self._lanes[ticket.job.kind].appendleft(ticket)
            self._changed.notify()
            return True

    def take(self) -> Ticket | None:
        """The next job, waiting for one; None when the queue is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or len(self))
            return None if self._closed else self._next()

    def _next(self) -> Ticket:
        waiting = [lane for lane in LANES if self._lanes[lane]]
        impatient = (lane for lane, most in PATIENCE.items() if lane in waiting and self._passed_over[lane] >= most)
        chosen = next(impatient, waiting[0])
        for lane in waiting:
            self._passed_over[lane] = 0 if lane == chosen else self._passed_over[lane] + 1
        return self._lanes[chosen].popleft()

    def discard(self, ticket: Ticket) -> None:
        """Drop a job that is answered already, so that it takes no room."""
        with self._changed:
            lane = self._lanes[ticket.job.kind]
            if ticket in lane:
                lane.remove(ticket)

    def close(self) -> list[Ticket]:
        """Refuse new jobs, wake everybody who waits, and hand over what was left."""
        with self._changed:
            self._closed = True
            left = [ticket for lane in self._lanes.values() for ticket in lane]
            for lane in self._lanes.values():
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
