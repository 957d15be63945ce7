"""The copy of telemetry in InfluxDB 2/3 or VictoriaMetrics: synchronous writes from the spool behind a durable cursor.

influxdb-client's own batching drops what the server does not take in time; here the cursor moves after its yes.
Imported only where a server is set: the client is large.
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

from gateway.settings import Influx
from gateway.store import EXPORTED, Store, when

EXPORT_ROWS = 5_000
TIMEOUT_MS = 10_000
LOOK_EVERY_S = 1.0
"""How long a point may wait for its export; a message's own transaction writes it and wakes nobody."""
SPOOL_OLD = timedelta(days=1)

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


class Exporter:
    """One thread that copies the points, in order. `backoff(attempt)` gives the seconds to wait after a failure."""

    def __init__(self, store: Store, influx: Influx, *, backoff: Callable[[int], float]) -> None:
        self._store = store
        self._influx = influx
        self._backoff = backoff
        self._stopping = threading.Event()
        self._awake = threading.Event()
        self._trouble = ""
        self._thread = threading.Thread(target=self._export, name="telemetry-exporter", daemon=True)

    def start(self) -> None:
        """Begin where the cursor stands."""
        self._thread.start()

    def stop(self) -> None:
        """Let a write that is under way end."""
        self._stopping.set()
        self._awake.set()
        if self._thread.ident is not None:
            self._thread.join()

    def problems(self) -> list[str]:
        """One sentence for each thing that is wrong."""
        after = self._store.cursor(EXPORTED)
        row = self._store.reader.execute("SELECT at FROM points WHERE seq>? ORDER BY seq LIMIT 1", (after,)).fetchone()
        if row is None or datetime.now(UTC) - when(row["at"]) < SPOOL_OLD or not self._trouble:
            return []
        return [
            f"telemetry has waited for over a day for its server ({self._trouble}); check influx.url and the server"
        ]

    def wake(self) -> None:
        """There are new points; never blocks."""
        self._awake.set()

    def _export(self) -> None:
        failures = 0
        with _client(self._influx) as client, client.write_api(write_options=SYNCHRONOUS) as server:
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
            (self._store.cursor(EXPORTED), EXPORT_ROWS),
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
            server.write(bucket=self._influx.bucket, record=written, write_precision=WritePrecision.US)
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
