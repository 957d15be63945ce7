"""The one SQLite file: its tables and how it is opened.

Times are INTEGER microseconds since 1970 UTC (`us`, `when`). Everything the way of a message writes goes into one
transaction (`journal.py`); the registry (devices, people, vehicles, subscriptions, tokens) is written by the API
through `Store.write`. Readers never wait: WAL.
"""

from __future__ import annotations

import sqlite3
import threading
import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from gateway.latest import Latest
from gateway.schema import MIGRATIONS

EXPORTED = "influx"
"""The cursor of the telemetry server: the last point it has."""
THINGSBOARD = "points_thingsboard"
"""The cursor of ThingsBoard: the last point it has."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def us(moment: datetime) -> int:
    """A time as stored: microseconds since 1970 UTC."""
    since = moment - _EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def when(stored: int) -> datetime:
    """A stored time as an aware UTC datetime."""
    return _EPOCH + timedelta(microseconds=stored)


def insert_many(db: sqlite3.Connection, into: str, rows: Sequence[Sequence[Any]], otherwise: str = "") -> None:
    """Insert rows of equal length, `into` being all before VALUES and `otherwise` what follows, in as few statements as
    there are ones in the binary number of rows: each gives up the interpreter's lock and has to win it back, and those
    of a power of two stay prepared.
    """
    start = 0
    while left := len(rows) - start:
        count = min(64, 1 << (left.bit_length() - 1))
        row = f"({','.join('?' * len(rows[start]))})"
        values = [value for one in rows[start : start + count] for value in one]
        db.execute(f"{into} VALUES {','.join([row] * count)} {otherwise}", values)
        start += count


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
    """Opens the database: one connection a thread for reading, one writer at a time. `latest`: the alert changes in it.

    :raises StoreError: the file is of a newer version, or not a database.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._local = threading.local()
        self._open: weakref.WeakSet[_Connection] = weakref.WeakSet()  # a thread that ends closes its own
        self._writing = threading.Lock()
        self.latest = Latest(lambda: self.reader)
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        _make_private(path)
        self._migrate()

    def _migrate(self) -> None:
        connection = self.connect()
        try:
            version = connection.execute("PRAGMA user_version").fetchone()[0]
            if version > len(MIGRATIONS):
                raise StoreError(f"{self.path} was written by a newer version ({version}); upgrade this one")
            for n in range(version, len(MIGRATIONS)):
                connection.executescript(f"BEGIN IMMEDIATE; {MIGRATIONS[n]} PRAGMA user_version={n + 1}; COMMIT;")
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
