"""The backend's books in one SQLite file: deliveries, cases, their history, and what the gateway is still to be told.

Everything that belongs together is one durable transaction, so that the process may be killed at any instant.
"""

from __future__ import annotations

import sqlite3
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from devices.alerts import Work
from simulators.backend.cases import Case, from_delivery, from_view, taken_in
from simulators.backend.events import Cloud, Kept

_TABLES = """
CREATE TABLE IF NOT EXISTS deliveries(n INTEGER PRIMARY KEY, webhook_id TEXT NOT NULL UNIQUE, received_at REAL NOT NULL,
  event TEXT NOT NULL, type TEXT NOT NULL, alert TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS seen(seq INTEGER PRIMARY KEY);
CREATE TABLE IF NOT EXISTS cases(alert TEXT PRIMARY KEY, open INTEGER NOT NULL, body BLOB NOT NULL);
CREATE INDEX IF NOT EXISTS cases_open ON cases(alert) WHERE open = 1;
CREATE TABLE IF NOT EXISTS history(n INTEGER PRIMARY KEY, alert TEXT NOT NULL, seq INTEGER UNIQUE, at TEXT NOT NULL,
  what TEXT NOT NULL, who TEXT NOT NULL, words TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS history_alert ON history(alert);
CREATE TABLE IF NOT EXISTS outbox(n INTEGER PRIMARY KEY, alert TEXT NOT NULL, work TEXT NOT NULL,
  assignee TEXT NOT NULL, reason TEXT NOT NULL, if_work TEXT);
CREATE TABLE IF NOT EXISTS facts(name TEXT PRIMARY KEY, value TEXT NOT NULL);
"""


class Step(Struct, frozen=True, kw_only=True):
    """One step the gateway is to be told of."""

    n: int
    alert: str
    work: Work
    assignee: str
    reason: str
    if_work: Work | None


class Account(Struct, frozen=True, kw_only=True):
    """Whether anything is missing: of the changes from `first` to `last`, `have` are here and `missing` are not (the
    first twenty of them).
    """

    first: int
    last: int
    have: int
    missing: list[int]


class Books:
    """The file, opened. May be used from any thread. `version` rises with every change; `changed` waits for that."""

    def __init__(self, path: Path) -> None:
        path.touch(mode=0o600)
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._db.row_factory = sqlite3.Row
        self._db.executescript(f"PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; {_TABLES}")
        self._lock = threading.Condition(threading.RLock())
        self.version = 1
        self.closed = False
        self.counts: Counter[str] = Counter()

    def close(self) -> None:
        """The last thing that is done with it."""
        with self._lock:
            self.closed = True
            self.version += 1
            self._lock.notify_all()
            self._db.close()

    @contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """One durable transaction."""
        with self._lock:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
                self._db.execute("COMMIT")
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self.version += 1
            self._lock.notify_all()

    def changed(self, since: int, within_s: float) -> int:
        """The version as soon as it is not `since` any more, or after `within_s`."""
        with self._lock:
            self._lock.wait_for(lambda: self.version != since, within_s)
            return self.version

    def _rows(self, sql: str, *values: Any) -> list[sqlite3.Row]:
        with self._lock:
            return self._db.execute(sql, values).fetchall()

    # -- what comes in ------------------------------------------------------------------------------------------------

    def deliver(self, kept: Kept, cloud: Cloud) -> bool:
        """One delivery and what it does to its case; whether it is new. On return it is on disk."""
        with self.write() as db:
            row = (kept.webhook_id, kept.received_at, kept.event, kept.type, kept.alert)
            done = db.execute(
                "INSERT OR IGNORE INTO deliveries(webhook_id, received_at, event, type, alert) VALUES(?, ?, ?, ?, ?)",
                row,
            )
            if not done.rowcount:
                self.counts["duplicates"] += 1
                return False
            if cloud.seq and "type" in cloud.data:
                self._take_in(db, kept.alert, cloud.seq, from_delivery(cloud.data))
                what = str(cloud.data.get("change", ""))
                db.execute(
                    "INSERT OR IGNORE INTO history(alert, seq, at, what, who, words) VALUES(?, ?, ?, ?, '', '')",
                    (kept.alert, cloud.seq, cloud.time, what),
                )
        return True

    def catch_up(self, items: list[dict[str, Any]], after: int) -> None:
        """One page of the feed, and where the next one begins."""
        with self.write() as db:
            for item in items:
                self._take_in(db, item["alert"]["id"], item["seq"], from_view(item["alert"]))
                row = (item["alert"]["id"], item["seq"], item["at"], item["change"], item["actor"], item["reason"])
                db.execute(
                    "INSERT INTO history(alert, seq, at, what, who, words) VALUES(?, ?, ?, ?, ?, ?) "
                    "ON CONFLICT(seq) DO UPDATE SET at=excluded.at, who=excluded.who, words=excluded.words",
                    row,
                )
            db.execute("INSERT OR REPLACE INTO facts VALUES('after', ?)", (str(after),))

    def _take_in(self, db: sqlite3.Connection, alert: str, seq: int, fields: dict[str, Any]) -> None:
        db.execute("INSERT OR IGNORE INTO seen VALUES(?)", (seq,))
        self._put(db, taken_in(self.case(alert), alert, seq, fields))

    def _put(self, db: sqlite3.Connection, case: Case) -> None:
        row = (case.alert, case.open, msgspec.json.encode(case))
        db.execute("INSERT OR REPLACE INTO cases VALUES(?, ?, ?)", row)

    # -- cases --------------------------------------------------------------------------------------------------------

    def case(self, alert: str) -> Case | None:
        """One case."""
        rows = self._rows("SELECT body FROM cases WHERE alert=?", alert)
        return msgspec.json.decode(rows[0]["body"], type=Case) if rows else None

    def cases(self, *, open_only: bool) -> list[Case]:
        """The gravest first, then the newest."""
        rows = self._rows("SELECT body FROM cases WHERE open >= ?", int(open_only))
        found = [msgspec.json.decode(row["body"], type=Case) for row in rows]
        return sorted(sorted(found, key=lambda c: c.raised_at, reverse=True), key=lambda c: c.severity)

    def history(self, alert: str) -> list[dict[str, Any]]:
        """What happened to a case, oldest first."""
        return [dict(row) for row in self._rows("SELECT * FROM history WHERE alert=? ORDER BY n", alert)]

    def change(self, alert: str, *, at: str = "", what: str = "", words: str = "", **fields: Any) -> None:
        """Fields of a case, and with `what` a line of its history."""
        with self.write() as db:
            case = self.case(alert)
            if case is not None:
                self._put(db, replace(case, **fields))
            if what:
                row = (alert, at, what, words)
                db.execute("INSERT INTO history(alert, at, what, who, words) VALUES(?, ?, ?, 'backend', ?)", row)

    # -- what goes out ------------------------------------------------------------------------------------------------

    def send(self, alert: str, work: Work, *, assignee: str, reason: str = "", if_work: Work | None = None) -> int:
        """A step that is to be told to the gateway, now or when it is back; gives its number."""
        with self.write() as db:
            row = (alert, work.value, assignee, reason, if_work.value if if_work else None)
            done = db.execute("INSERT INTO outbox(alert, work, assignee, reason, if_work) VALUES(?, ?, ?, ?, ?)", row)
            return int(done.lastrowid or 0)

    def waiting(self) -> list[Step]:
        """Steps that were not answered yet, in order."""
        return [msgspec.convert(dict(row), Step) for row in self._rows("SELECT * FROM outbox ORDER BY n")]

    def answered(self, step: Step, alert: dict[str, Any], told: str) -> None:
        """The gateway has taken or refused a step: the case stands as the gateway says, `told` says who was faster."""
        with self.write() as db:
            db.execute("DELETE FROM outbox WHERE n=?", (step.n,))
            case = self.case(step.alert)
            if case is not None:
                self._put(db, replace(case, **from_view(alert), told=told))

    def forget(self, step: Step) -> None:
        """There is no such alert any more."""
        with self.write() as db:
            db.execute("DELETE FROM outbox WHERE n=?", (step.n,))

    # -- the reckoning ------------------------------------------------------------------------------------------------

    def received(self) -> list[Kept]:
        """Every accepted delivery, in order."""
        return _kept(self._rows("SELECT * FROM deliveries ORDER BY n"))

    def account(self) -> Account:
        """Whether a change is missing: their numbers have no holes."""
        [row] = self._rows("SELECT min(seq) AS low, max(seq) AS high, count(*) AS have FROM seen")
        low, high = row["low"] or 0, row["high"] or 0
        missing: list[int] = []
        if row["have"] and row["have"] < high - low + 1:
            holes = self._rows(
                "SELECT seq + 1 AS hole FROM seen AS s WHERE seq < ? AND NOT EXISTS "
                "(SELECT 1 FROM seen WHERE seq = s.seq + 1) ORDER BY seq LIMIT 20",
                high,
            )
            missing = [hole["hole"] for hole in holes]
        return Account(first=low, last=high, have=row["have"], missing=missing)

    def fact(self, name: str) -> str:
        """Something the backend must remember; "" before it was set."""
        rows = self._rows("SELECT value FROM facts WHERE name=?", name)
        return str(rows[0]["value"]) if rows else ""

    def remember(self, name: str, value: str) -> None:
        """Set a fact."""
        with self.write() as db:
            db.execute("INSERT OR REPLACE INTO facts VALUES(?, ?)", (name, value))


def received(path: Path) -> list[Kept]:
    """The deliveries in a file of another process, in order; none where there is no file yet."""
    if not path.exists():
        return []
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=10)) as db:
        db.row_factory = sqlite3.Row
        return _kept(db.execute("SELECT * FROM deliveries ORDER BY n").fetchall())


def _kept(rows: list[sqlite3.Row]) -> list[Kept]:
    return [msgspec.convert({key: row[key] for key in row.keys() if key != "n"}, Kept) for row in rows]  # noqa: SIM118
