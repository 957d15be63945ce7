"""One thread that does things when they are due, so that devices need no locks of their own."""

from __future__ import annotations

import heapq
import itertools
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

Action = Callable[[], None]


class Clockwork:
    """Runs actions one after another, each not before it is due. An action that raises stops it: see `wait`."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._due: list[tuple[float, int, Action]] = []
        self._order = itertools.count()
        self._changed = threading.Condition()
        self._stopped = False
        self._running: Future[None] | None = None

    def start(self) -> None:
        """Begins to run in a thread of its own."""
        executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix=self._name)
        self._running = executor.submit(self._run)
        executor.shutdown(wait=False)

    def later(self, seconds: float, action: Action) -> None:
        """Does `action` in `seconds`; from any thread."""
        with self._changed:
            heapq.heappush(self._due, (time.monotonic() + seconds, next(self._order), action))
            self._changed.notify()

    def stop(self) -> None:
        """Ends after the action that is under way; what is not yet due is never done."""
        with self._changed:
            self._stopped = True
            self._changed.notify()

    def running(self) -> bool:
        """Whether it has been started and has neither ended nor failed."""
        return self._running is not None and not self._running.done()

    def wait(self, timeout: float | None = None) -> None:
        """Returns when it has ended.

        :raises TimeoutError: it has not within `timeout` seconds. Raises what an action raised.
        """
        if self._running is not None:
            self._running.result(timeout)

    def _run(self) -> None:
        while (action := self._next()) is not None:
            action()

    def _next(self) -> Action | None:
        with self._changed:
            while not self._stopped:
                pause = self._due[0][0] - time.monotonic() if self._due else None
                if pause is not None and pause <= 0:
                    return heapq.heappop(self._due)[2]
                self._changed.wait(pause)
        return None
