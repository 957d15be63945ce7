"""The latest alert changes: what the courier, the live stream and a pulling backend follow, each from its own cursor.

The latest are kept as they were committed, so that whoever is up to date reads memory: a row from SQLite gives up the
interpreter's lock and has to win it back from the engine.
"""

from __future__ import annotations

import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from itertools import takewhile
from typing import Any

KEPT = 2000

Row = Mapping[str, Any]
"""seq, alert, change, actor, reason, at (us since 1970 UTC), body (the alert as it then stood, JSON), hash, ledger."""


class Latest:
    """Rows of `alert_changes` in order. From any thread; `reader` gives the calling thread's connection."""

    def __init__(self, reader: Callable[[], sqlite3.Connection]) -> None:
        self._reader = reader
        self._latest: deque[Row] = deque(maxlen=KEPT)
        self._lock = threading.Lock()

    def add(self, rows: Sequence[Row]) -> None:
        """These have just been committed, by the one writer there is."""
        with self._lock:
            self._latest.extend(rows)

    def after(self, seq: int, limit: int) -> Sequence[Row]:
        """At most `limit` rows behind `seq`, without a gap.

        :raises sqlite3.Error: the database cannot be read.
        """
        with self._lock:
            kept = bool(self._latest) and self._latest[0]["seq"] <= seq + 1
            newer = list(takewhile(lambda row: row["seq"] > seq, reversed(self._latest))) if kept else []
        if kept:
            return newer[: -limit - 1 : -1]
        sql = "SELECT * FROM alert_changes WHERE seq > ? ORDER BY seq LIMIT ?"
        return [dict(row) for row in self._reader().execute(sql, (seq, limit))]
