"""The courier brings every alert change to every receiver that wants it: at least once, in order per alert, for days.

One thread looks after the subscriptions; each has a line of its own (`gateway.line`), so a slow receiver holds up
nobody else.
"""

from __future__ import annotations

import random
import sqlite3
import threading
import time
from collections.abc import Callable
from urllib.parse import urlsplit

import structlog

from gateway.line import Line
from gateway.settings import Settings
from gateway.store import Store
from gateway.subscriptions import Subscription, Subscriptions
from gateway.vault import Vault

LOOK_AGAIN_S = 30.0
"""Subscriptions are looked at again at least this often, should nobody wake us."""

_log = structlog.get_logger(__name__)


def delays(attempt: int) -> float:
    """Seconds to wait after the `attempt`-th failure: doubling from 1 s to 10 min, with jitter."""
    return min(600.0, 2.0 ** min(attempt - 1, 10)) * random.uniform(0.75, 1.25)  # noqa: S311 - spreads, hides nothing


class Courier:
    """Delivers. `backoff(attempt)` gives the seconds to wait after a failure, `clock` seconds that only go forward."""

    def __init__(
        self,
        store: Store,
        vault: Vault,
        settings: Settings,
        *,
        backoff: Callable[[int], float] = delays,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock = clock
        self._store = store
        self._vault = vault
        self._settings = settings
        self._backoff = backoff
        self._tables = Subscriptions(store, vault)
        self._lines: dict[str, Line] = {}
        self._awake = threading.Event()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="courier", daemon=True)

    def start(self) -> None:
        """Begin where the cursors stand."""
        self._thread.start()

    def tell(self) -> None:
        """There are new changes. Never blocks."""
        for line in list(self._lines.values()):
            line.tell()

    def wake(self) -> None:
        """There are other subscriptions or secrets, or dead letters to replay. Never blocks."""
        self._awake.set()

    def stop(self) -> None:
        """Finish what is on its way (at most `webhooks.timeout_s` each) and save the cursors."""
        self._stopping = True
        self._awake.set()
        if self._thread.ident is not None:
            self._thread.join()

    def replay(self, subscription: str) -> int:
        """Try every dead letter of a subscription again; how many there are."""
        count = self._tables.replay(subscription)
        self.wake()
        return count

    def problems(self) -> list[str]:
        """One sentence for each thing that is wrong."""
        found = [line.trouble for line in list(self._lines.values()) if line.trouble]
        found += [
            f"nothing is delivered to {urlsplit(one.url).hostname} any more, it said {one.disabled}; "
            f"resume or remove the subscription {one.id}"
            for one in self._tables.all()
            if one.disabled
        ]
        if dead := self._tables.dead_count():
            found.append(f"{dead} alert changes were given up; look at the dead letters and replay them")
        return found

    def _run(self) -> None:
        while not self._stopping:
            self._awake.clear()
            try:
                wanted = {s.id: s for s in self._tables.all() if not s.disabled}
            except sqlite3.OperationalError as error:
                _log.warning("courier_cannot_read", error=str(error))
            else:
                self._keep_lines(wanted)
            self._awake.wait(LOOK_AGAIN_S)
        self._keep_lines({})

    def _keep_lines(self, wanted: dict[str, Subscription]) -> None:
        gone = [self._lines.pop(name) for name, line in list(self._lines.items()) if name not in wanted or line.over]
        for line in gone:
            line.ask_to_stop()
        for line in gone:
            line.join()
        for name, subscription in wanted.items():
            if name not in self._lines:
                self._lines[name] = Line(
                    subscription, self._store, self._tables, self._vault, self._settings, self._backoff, self._clock
                )
            self._lines[name].refresh()
