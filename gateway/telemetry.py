"""Telemetry: the table `points` is the spool. Full hours are summed up, old points dropped, and, where a server is set,
everything is exported to InfluxDB 2/3 or VictoriaMetrics in synchronous writes behind a durable cursor.

A point leaves the spool only when its hour is summed up, it was exported (where a server is set), and it is old enough.
"""

from __future__ import annotations

import math
import random
import sqlite3
import threading
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta

import structlog
import urllib3
from influxdb_client import InfluxDBClient
from influxdb_client.client.write_api import SYNCHRONOUS, WriteApi
from influxdb_client.domain.write_precision import WritePrecision
from influxdb_client.rest import ApiException

from gateway.settings import Influx, Settings
from gateway.store import Store, us, when

HOUR_US = 3_600_000_000
EXPORT_ROWS = 5_000
HOURLY_ROWS = 20_000
PRUNE_ROWS = 10_000
TIMEOUT_MS = 10_000
LOOK_EVERY_S = 1.0
"""How long a point may wait for its export; a message's own transaction writes it and wakes nobody."""
KEEP_EVERY_S = 60.0
SPOOL_OLD = timedelta(days=1)
HOURLY, EXPORTED = "points_hourly", "influx"

_WRONG = (400, 413, 422)
"""The server will never take this as it is; everything else may pass."""
_log = structlog.get_logger(__name__)
_ESCAPE = str.maketrans({",": r"\,", "=": r"\=", " ": r"\ ", "\\": r"\\", "\n": r"\n", "\r": r"\n"})


def delays(attempt: int) -> float:
    """Seconds to wait after the `attempt`-th failed export: doubling from 1 s to 5 min, with jitter."""
    return min(300.0, 2.0 ** min(attempt - 1, 9)) * random.uniform(0.75, 1.25)  # noqa: S311 - spreads, hides nothing


def lines(points: Iterable[tuple[str, str, int, float]]) -> list[str]:
    """Points (device, metric, time in us, value) as line protocol: measurement `linli`, tags `device` and `metric`, one
    field `value`, time in microseconds.
    """
    return [
        f"linli,device={device.translate(_ESCAPE)},metric={metric.translate(_ESCAPE)} value={value!r} {at}"
        for device, metric, at, value in points
        if device and metric and math.isfinite(value)
    ]


class Telemetry:
    """Keeps the points. `backoff(attempt)` gives the seconds to wait after a failed export."""

    def __init__(self, store: Store, settings: Settings, *, backoff: Callable[[int], float] = delays) -> None:
        self._store = store
        self._settings = settings
        self._backoff = backoff
        self._stopping = threading.Event()
        self._awake = threading.Event()
        self._trouble = ""
        self._threads = [threading.Thread(target=self._keep, name="telemetry-keeper", daemon=True)]
        if settings.influx.url:
            self._threads.append(threading.Thread(target=self._export, name="telemetry-exporter", daemon=True))

    def start(self) -> None:
        """Begin where the cursors stand."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Let a write that is under way end."""
        self._stopping.set()
        self._awake.set()
        for thread in self._threads:
            if thread.ident is not None:
                thread.join()

    def problems(self) -> list[str]:
        """One sentence for each thing that is wrong."""
        if not self._settings.influx.url:
            return []
        after = self._cursor(EXPORTED)
        row = self._store.reader.execute("SELECT at FROM points WHERE seq>? ORDER BY seq LIMIT 1", (after,)).fetchone()
        if row is None or datetime.now(UTC) - when(row["at"]) < SPOOL_OLD or not self._trouble:
            return []
        return [
            f"telemetry has waited for over a day for its server ({self._trouble}); check influx.url and the server"
        ]

    def _cursor(self, name: str) -> int:
        row = self._store.reader.execute("SELECT seq FROM cursors WHERE name=?", (name,)).fetchone()
        return int(row["seq"]) if row else 0

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
            after = self._cursor(HOURLY)
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
            done = self._cursor(HOURLY)
            if self._settings.influx.url:
                done = min(done, self._cursor(EXPORTED))
            return db.execute(
                "DELETE FROM points WHERE seq IN (SELECT seq FROM points WHERE seq<=? ORDER BY seq LIMIT ?) AND at<?",
                (done, PRUNE_ROWS, before),
            ).rowcount

    # -- exporting ----------------------------------------------------------------------------------------------------

    def wake(self) -> None:
        """There are new points; never blocks."""
        self._awake.set()

    def _export(self) -> None:
        failures = 0
        with _client(self._settings.influx) as client, client.write_api(write_options=SYNCHRONOUS) as server:
            while not self._stopping.is_set():
                self._awake.clear()
                try:
                    pause = 0.0 if self._export_some(server) else LOOK_EVERY_S
                    failures, self._trouble = 0, ""
                except (ApiException, urllib3.exceptions.HTTPError, OSError, sqlite3.OperationalError) as error:
                    failures += 1
                    self._trouble = _said(error)
                    pause = self._backoff(failures)
                    if failures == 1:
                        _log.warning("telemetry_not_exported", error=self._trouble)
                    self._stopping.wait(pause)
                    continue
                self._awake.wait(pause)

    def _export_some(self, server: WriteApi) -> int:
        """Write a bounded number of points, then move the cursor; how many."""
        rows = self._store.reader.execute(
            "SELECT seq, device, metric, at, value FROM points WHERE seq>? ORDER BY seq LIMIT ?",
            (self._cursor(EXPORTED), EXPORT_ROWS),
        ).fetchall()
        if not rows:
            return 0
        written = lines((row["device"], row["metric"], row["at"], row["value"]) for row in rows)
        if written:
            self._write(server, written)
        with self._store.write() as db:
            db.execute("INSERT OR REPLACE INTO cursors(name, seq) VALUES (?,?)", (EXPORTED, rows[-1]["seq"]))
        return len(rows)

    def _write(self, server: WriteApi, written: list[str]) -> None:
        """Write, halving what the server calls wrong until the one bad point is found and left out."""
        try:
            server.write(bucket=self._settings.influx.bucket, record=written, write_precision=WritePrecision.US)
        except ApiException as error:
            if error.status not in _WRONG:
                raise
            if len(written) == 1:
                _log.warning("point_not_taken", status=error.status)
                return
            self._write(server, written[: len(written) // 2])
            self._write(server, written[len(written) // 2 :])


def _client(influx: Influx) -> InfluxDBClient:
    """A client that tries once: we try again ourselves, from the spool."""
    return InfluxDBClient(
        url=influx.url, token=influx.token, org=influx.org, timeout=TIMEOUT_MS, retries=False, enable_gzip=True
    )


def _said(error: Exception) -> str:
    return f"HTTP {error.status}" if isinstance(error, ApiException) and error.status else type(error).__name__
