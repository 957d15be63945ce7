"""The one SQLite file: its tables and how it is opened.

Times are INTEGER microseconds since 1970 UTC (`us`, `when`). Everything the way of a message writes goes into one
transaction (`journal.py`); the registry (devices, people, vehicles, subscriptions, tokens) is written by the API
through `Store.write`. Readers never wait: WAL.
"""

from __future__ import annotations

import sqlite3
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

SCHEMA_VERSION = 1
EXPORTED = "influx"
"""The cursor of the telemetry server: the last point it has."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_US = timedelta(microseconds=1)

SCHEMA = """
CREATE TABLE events(seq INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE, device TEXT NOT NULL, type TEXT NOT NULL,
  at INTEGER NOT NULL, received_at INTEGER NOT NULL, late INTEGER NOT NULL, body BLOB NOT NULL);
CREATE TABLE states(name TEXT PRIMARY KEY, body BLOB NOT NULL) WITHOUT ROWID;

CREATE TABLE alerts(id TEXT PRIMARY KEY, key TEXT NOT NULL, open INTEGER NOT NULL, type TEXT NOT NULL,
  severity INTEGER NOT NULL, condition TEXT NOT NULL, community TEXT NOT NULL, building TEXT NOT NULL,
  device TEXT NOT NULL, raised_at INTEGER NOT NULL, seq INTEGER NOT NULL, body BLOB NOT NULL) WITHOUT ROWID;
CREATE UNIQUE INDEX alerts_open ON alerts(key) WHERE open = 1;
CREATE INDEX alerts_seq ON alerts(seq);
CREATE INDEX alerts_raised ON alerts(raised_at, id);
CREATE INDEX alerts_key ON alerts(key, raised_at);
CREATE TABLE alert_changes(seq INTEGER PRIMARY KEY AUTOINCREMENT, alert TEXT NOT NULL, change TEXT NOT NULL,
  actor TEXT NOT NULL, reason TEXT NOT NULL, at INTEGER NOT NULL, body BLOB NOT NULL);
CREATE INDEX alert_changes_alert ON alert_changes(alert, seq);

CREATE TABLE commands(id TEXT PRIMARY KEY, idempotency_key TEXT UNIQUE, device TEXT NOT NULL, type TEXT NOT NULL,
  body BLOB NOT NULL, requested_by TEXT NOT NULL, requested_at INTEGER NOT NULL, not_after INTEGER NOT NULL,
  status TEXT NOT NULL, reason TEXT NOT NULL, updated_at INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX commands_device ON commands(device, requested_at);
CREATE INDEX commands_unfinished ON commands(status) WHERE status IN ('sent', 'accepted');

CREATE TABLE jobs(id TEXT PRIMARY KEY, kind TEXT NOT NULL, device TEXT NOT NULL, body BLOB NOT NULL,
  not_after INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE captures(key TEXT PRIMARY KEY, device TEXT NOT NULL, at INTEGER NOT NULL, size INTEGER NOT NULL,
  media TEXT NOT NULL, expires INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX captures_expires ON captures(expires);
CREATE TABLE quarantine(seq INTEGER PRIMARY KEY AUTOINCREMENT, at INTEGER NOT NULL, address TEXT NOT NULL,
  topic TEXT NOT NULL, reason TEXT NOT NULL, size INTEGER NOT NULL, payload BLOB NOT NULL);
CREATE TABLE points(seq INTEGER PRIMARY KEY AUTOINCREMENT, device TEXT NOT NULL, metric TEXT NOT NULL,
  at INTEGER NOT NULL, value REAL NOT NULL);
CREATE TABLE points_hourly(device TEXT NOT NULL, metric TEXT NOT NULL, hour INTEGER NOT NULL, count INTEGER NOT NULL,
  low REAL NOT NULL, high REAL NOT NULL, total REAL NOT NULL, PRIMARY KEY(device, metric, hour)) WITHOUT ROWID;
CREATE TABLE cursors(name TEXT PRIMARY KEY, seq INTEGER NOT NULL) WITHOUT ROWID;

CREATE TABLE devices(id TEXT PRIMARY KEY, protocol TEXT NOT NULL, address TEXT NOT NULL, body BLOB NOT NULL,
  UNIQUE(protocol, address)) WITHOUT ROWID;
CREATE TABLE places(id TEXT PRIMARY KEY, kind TEXT NOT NULL, name TEXT NOT NULL, parent TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE people(id TEXT PRIMARY KEY, key BLOB NOT NULL, body BLOB NOT NULL, created_at INTEGER NOT NULL)
  WITHOUT ROWID;
CREATE TABLE consents(id TEXT PRIMARY KEY, person TEXT NOT NULL, scope TEXT NOT NULL, granted_at INTEGER NOT NULL,
  until INTEGER NOT NULL, recorded_by TEXT NOT NULL, withdrawn_at INTEGER, receipt TEXT) WITHOUT ROWID;
CREATE INDEX consents_person ON consents(person);
CREATE TABLE templates(id TEXT PRIMARY KEY, person TEXT NOT NULL, model TEXT NOT NULL, vector BLOB NOT NULL,
  photo TEXT NOT NULL, created_at INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX templates_person ON templates(person);
CREATE TABLE credentials(hash BLOB PRIMARY KEY, method TEXT NOT NULL, person TEXT NOT NULL) WITHOUT ROWID;
CREATE INDEX credentials_person ON credentials(person);
CREATE TABLE vehicles(plate TEXT PRIMARY KEY, id TEXT NOT NULL UNIQUE, listing TEXT NOT NULL, owner TEXT NOT NULL,
  valid_from INTEGER, valid_to INTEGER, note TEXT NOT NULL) WITHOUT ROWID;

CREATE TABLE subscriptions(id TEXT PRIMARY KEY, url TEXT NOT NULL, secret BLOB NOT NULL, types TEXT NOT NULL,
  max_severity INTEGER NOT NULL, communities TEXT NOT NULL, cursor INTEGER NOT NULL, created_at INTEGER NOT NULL,
  disabled TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE dead_letters(seq INTEGER PRIMARY KEY AUTOINCREMENT, subscription TEXT NOT NULL, change INTEGER NOT NULL,
  at INTEGER NOT NULL, reason TEXT NOT NULL, attempts INTEGER NOT NULL);
CREATE TABLE tokens(id TEXT PRIMARY KEY, hash BLOB NOT NULL UNIQUE, name TEXT NOT NULL, scopes TEXT NOT NULL,
  created_at INTEGER NOT NULL, expires_at INTEGER, revoked_at INTEGER) WITHOUT ROWID;
"""


def us(moment: datetime) -> int:
    """A time as stored: microseconds since 1970 UTC."""
    return (moment - _EPOCH) // _US


def when(stored: int) -> datetime:
    """A stored time as an aware UTC datetime."""
    return _EPOCH + timedelta(microseconds=stored)


class StoreError(RuntimeError):
    """The database cannot be used; the text says what to do."""


def _make_private(path: Path) -> None:
    """Its owner's only, also in a directory open to all. SQLite gives the files beside it (-wal, -shm) the same."""
    try:
        path.touch(mode=0o600)
        path.chmod(0o600)
    except OSError as error:
        raise StoreError(f"{path} cannot be used: {error.strerror}; it must belong to the gateway's user") from error


class _Connection(sqlite3.Connection):
    """A connection that a WeakSet can hold."""


class Store:
    """Opens the database: one connection a thread for reading, one writer at a time.

    :raises StoreError: the file is of a newer version, or not a database.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._local = threading.local()
        self._open: weakref.WeakSet[_Connection] = weakref.WeakSet()  # a thread that ends closes its own
        self._writing = threading.Lock()
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        _make_private(path)
        self._migrate()

    def _migrate(self) -> None:
        connection = self.connect()
        try:
            version = connection.execute("PRAGMA user_version").fetchone()[0]
            if version > SCHEMA_VERSION:
                raise StoreError(f"{self.path} was written by a newer version ({version}); upgrade this one")
            if version == 0:
                connection.executescript(f"BEGIN IMMEDIATE; {SCHEMA} PRAGMA user_version={SCHEMA_VERSION}; COMMIT;")
        except sqlite3.DatabaseError as error:
            raise StoreError(f"{self.path} cannot be used: {error}; move it away or restore a backup") from error
        finally:
            connection.close()

    def connect(self) -> _Connection:
        """A new connection in autocommit mode, durable to the disk (WAL, synchronous=FULL)."""
        connection = sqlite3.connect(
            self.path, isolation_level=None, timeout=10, check_same_thread=False, factory=_Connection
        )
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA secure_delete=ON")
        return connection

    @property
    def reader(self) -> _Connection:
        """The connection of the calling thread, for reading."""
        connection: _Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._local.connection = self.connect()
            connection.row_factory = sqlite3.Row
            self._open.add(connection)
        return connection

    @contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """One durable transaction on this thread's connection: committed at the end, undone if an error leaves it."""
        connection = self.reader
        with self._writing:
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

    def cursor(self, name: str) -> int:
        """How far the reader of this name has come; 0 before it began."""
        row = self.reader.execute("SELECT seq FROM cursors WHERE name=?", (name,)).fetchone()
        return int(row["seq"]) if row else 0

    def close(self) -> None:
        """Close every connection this store opened for a thread."""
        for connection in list(self._open):
            connection.close()
