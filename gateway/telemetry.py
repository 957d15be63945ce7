"""Telemetry: the table `points` is the spool. Full hours are summed up, old points dropped, and, where a server is set,
everything is exported to InfluxDB 2/3 or VictoriaMetrics in synchronous writes behind a durable cursor.

A point leaves the spool only when its hour is summed up, it was exported (where a server is set), and it is old enough.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import structlog

from gateway.settings import Settings
from gateway.store import EXPORTED, THINGSBOARD, Store, us

if TYPE_CHECKING:
    from gateway.influx import Exporter

HOUR_US = 3_600_000_000
HOURLY_ROWS = 20_000
PRUNE_ROWS = 10_000
KEEP_EVERY_S = 60.0
HOURLY = "points_hourly"

_log = structlog.get_logger(__name__)


class Telemetry:
    """Keeps the points. `backoff(attempt)` gives the seconds to wait after a failed export."""

    def __init__(self, store: Store, settings: Settings, *, backoff: Callable[[int], float] | None = None) -> None:
        self._store = store
        self._settings = settings
        self._stopping = threading.Event()
        self._keeper = threading.Thread(target=self._keep, name="telemetry-keeper", daemon=True)
        self._exporter = _exporter(store, settings, backoff) if settings.influx.url else None

    def start(self) -> None:
        """Begin where the cursors stand."""
        self._keeper.start()
        if self._exporter is not None:
            self._exporter.start()

    def stop(self) -> None:
        """Let a write that is under way end."""
        self._stopping.set()
        if self._exporter is not None:
            self._exporter.stop()
        if self._keeper.ident is not None:
            self._keeper.join()

    def wake(self) -> None:
        """There are new points; never blocks."""
        if self._exporter is not None:
            self._exporter.wake()

    def problems(self) -> list[str]:
        """One sentence for each thing that is wrong."""
        return self._exporter.problems() if self._exporter is not None else []

    # -- keeping ------------------------------------------------------------------------------------------------------

    def _keep(self) -> None:
        while not self._stopping.is_set():
            try:
                while self.sum_up() and not self._stopping.is_set():
                    pass
                while self.prune(datetime.now(UTC)) and not self._stopping.is_set():
                    pass
            except sqlite3.OperationalError as error:
                _log.warning("telemetry_cannot_write", error=str(error))
            self._stopping.wait(KEEP_EVERY_S)

    def sum_up(self) -> int:
        """Add a bounded number of new points to their hours, in one transaction with the cursor, so that none counts
        twice and none is missed, however late it comes; how many.
        """
        with self._store.write() as db:
            after = self._store.cursor(HOURLY)
            last, count = db.execute(
                "SELECT max(seq), count(*) FROM (SELECT seq FROM points WHERE seq>? ORDER BY seq LIMIT ?)",
                (after, HOURLY_ROWS),
            ).fetchone()
            if not count:
                return 0
            db.execute(
                "INSERT INTO points_hourly(device, metric, hour, count, low, high, total)"
                " SELECT device, metric, at / ? * ?, count(*), min(value), max(value), sum(value)"
                " FROM points WHERE seq>? AND seq<=? GROUP BY 1, 2, 3"
                " ON CONFLICT(device, metric, hour) DO UPDATE SET count=count+excluded.count,"
                " low=min(low, excluded.low), high=max(high, excluded.high), total=total+excluded.total",
                (HOUR_US, HOUR_US, after, last),
            )
            db.execute("INSERT OR REPLACE INTO cursors(name, seq) VALUES (?,?)", (HOURLY, last))
        return int(count)

    def prune(self, now: datetime) -> int:
        """Drop a bounded number of points that are done with and older than `retention.points_days`; how many."""
        before = us(now - timedelta(days=self._settings.retention.points_days))
        with self._store.write() as db:
            done = self._store.cursor(HOURLY)
            if self._settings.influx.url:
                done = min(done, self._store.cursor(EXPORTED))
            if self._settings.thingsboard.url:
                done = min(done, self._store.cursor(THINGSBOARD))
            return db.execute(
                "DELETE FROM points WHERE seq IN (SELECT seq FROM points WHERE seq<=? ORDER BY seq LIMIT ?) AND at<?",
                (done, PRUNE_ROWS, before),
            ).rowcount


def _exporter(store: Store, settings: Settings, backoff: Callable[[int], float] | None) -> Exporter:
    from gateway.influx import Exporter, delays  # noqa: PLC0415 - a client of 13 MB that most estates never need

    return Exporter(store, settings.influx, backoff=backoff or delays)
