"""The backend's books in one SQLite file: deliveries, cases, their history, and what the gateway is still to be told.

Everything that belongs together is one durable transaction, so that the process may be killed at any instant.
"""

from __future__ import annotations

import sqlite3
import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from devices.alerts import Work
from simulators.backend.cases import Case, answered, from_delivery, from_view, taken_in
from simulators.backend.events import Cloud, Kept

_TABLES = """
CREATE TABLE IF NOT EXISTS deliveries(n INTEGER PRIMARY KEY, webhook_id TEXT NOT NULL UNIQUE, received_at REAL NOT NULL,
  event TEXT NOT NULL, type TEXT NOT NULL, alert TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS runs(first INTEGER PRIMARY KEY, last INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS cases(alert TEXT PRIMARY KEY, open INTEGER NOT NULL, body BLOB NOT NULL);
CREATE INDEX IF NOT EXISTS cases_open ON cases(alert) WHERE open = 1;
CREATE TABLE IF NOT EXISTS history(n INTEGER PRIMARY KEY, alert TEXT NOT NULL, seq INTEGER UNIQUE, at TEXT NOT NULL,
  what TEXT NOT NULL, who TEXT NOT NULL, words TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS history_alert ON history(alert);
CREATE TABLE IF NOT EXISTS outbox(n INTEGER PRIMARY KEY AUTOINCREMENT, alert TEXT NOT NULL, work TEXT NOT NULL,
  assignee TEXT NOT NULL, reason TEXT NOT NULL, if_work TEXT, operator TEXT NOT NULL DEFAULT '');
CREATE TABLE IF NOT EXISTS facts(name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS operators(name TEXT PRIMARY KEY, salt BLOB NOT NULL, hash BLOB NOT NULL, n INTEGER NOT NULL,
  r INTEGER NOT NULL, p INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS sessions(token BLOB PRIMARY KEY, operator TEXT NOT NULL, made_at REAL NOT NULL);
CREATE TABLE IF NOT EXISTS attempts(n INTEGER PRIMARY KEY, who TEXT NOT NULL, at REAL NOT NULL);
"""
_FROM_BEFORE = """
INSERT OR IGNORE INTO runs SELECT min(seq), max(seq) FROM
  (SELECT seq, seq - row_number() OVER (ORDER BY seq) AS island FROM seen WHERE seq > 0) GROUP BY island;
DROP TABLE seen;
"""
_OUTBOX_FROM_BEFORE = """
INSERT INTO outbox(n, alert, work, assignee, reason, if_work) SELECT * FROM old_outbox;
DROP TABLE old_outbox;
"""
DELIVERIES_S = 30 * 86_400.0
"""So long a delivery is known again; the gateway tries for three days, and a signature is good for five minutes."""
CASES_S = 400 * 86_400.0
"""So long a closed case is kept."""
PRUNE_EVERY = 500
SHOWN_AT_MOST = 1_000
HISTORY_AT_MOST = 500


class Step(Struct, frozen=True, kw_only=True):
    """One step the gateway is to be told of. `n`: its number, 0 while it has none; `operator`: who took it, "" where
    the backend did by itself.
    """

    n: int = 0
    alert: str
    work: Work
    assignee: str = ""
    reason: str = ""
    if_work: Work | None = None
    operator: str = ""


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
        path.chmod(0o600)  # it holds secrets
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._db.row_factory = sqlite3.Row
        self._db.executescript(f"PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; {_TABLES}")
        self._bring_up_to_date()
        self._lock = threading.Condition(threading.RLock())
        self.version = 1
        self.closed = False
        self.counts: Counter[str] = Counter()

    def _bring_up_to_date(self) -> None:
        """A file of an earlier version."""
        if self._db.execute("SELECT 1 FROM sqlite_master WHERE name='seen'").fetchone():
            self._db.executescript(f"BEGIN IMMEDIATE; {_FROM_BEFORE} COMMIT;")
        if "operator" not in {row["name"] for row in self._db.execute("PRAGMA table_info(outbox)")}:
            rename = "ALTER TABLE outbox RENAME TO old_outbox;"
            self._db.executescript(f"BEGIN IMMEDIATE; {rename} {_TABLES} {_OUTBOX_FROM_BEFORE} COMMIT;")
        self._db.execute("INSERT OR IGNORE INTO facts VALUES('books', lower(hex(randomblob(8))))")

    def close(self) -> None:
        """The last thing that is done with it."""
        with self._lock:
            self.closed = True
            self.version += 1
            self._lock.notify_all()
            self._db.close()

    @contextmanager
    def write(self, *, quietly: bool = False) -> Iterator[sqlite3.Connection]:
        """One durable transaction. `quietly`: nothing the page shows."""
        with self._lock:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise
            if not quietly:
                self.stir()

    def changed(self, since: int, within_s: float) -> int:
        """The version as soon as it is not `since` any more, or after `within_s`."""
        with self._lock:
            self._lock.wait_for(lambda: self.version != since, within_s)
            return self.version

    def stir(self) -> None:
        """Something the page shows has changed that is not in the file."""
        with self._lock:
            self.version += 1
            self._lock.notify_all()

    def rows(self, sql: str, *values: Any) -> list[sqlite3.Row]:
        """What a query finds."""
        with self._lock:
            return self._db.execute(sql, values).fetchall()

    # -- what comes in ------------------------------------------------------------------------------------------------

    def deliver(self, kept: Kept, cloud: Cloud) -> bool:
        """One delivery and what it does to its case; whether it is new. On return it is on disk.

        :raises msgspec.ValidationError: its data are not those of an alert; nothing of it is kept.
        """
        fields = from_delivery(cloud.data) if cloud.seq and "type" in cloud.data else None
        with self.write() as db:
            row = (kept.webhook_id, kept.received_at, kept.event, kept.type, kept.alert)
            done = db.execute(
                "INSERT OR IGNORE INTO deliveries(webhook_id, received_at, event, type, alert) VALUES(?, ?, ?, ?, ?)",
                row,
            )
            if not done.rowcount:
                self.counts["duplicates"] += 1
                return False
            if int(done.lastrowid or 0) % PRUNE_EVERY == 0:
                _prune(db, kept.received_at)
            if fields is not None:
                self._take_in(db, kept.alert, cloud.seq, fields)
                what = str(cloud.data.get("change", ""))
                db.execute(
                    "INSERT OR IGNORE INTO history(alert, seq, at, what, who, words) VALUES(?, ?, ?, ?, '', '')",
                    (kept.alert, cloud.seq, cloud.time, what),
                )
        return True

    def catch_up(self, items: list[dict[str, Any]], after: int, forgotten: int = 0) -> None:
        """One page of the feed, and where the next one begins. `forgotten`: where a first one has holes up to, which
        are not counted as missing.

        :raises msgspec.ValidationError: an alert in it is not of the shape the gateway sends.
        """
        with self.write() as db:
            if forgotten:
                db.execute("INSERT OR REPLACE INTO facts VALUES('counted_from', ?)", (str(forgotten),))
                db.execute("DELETE FROM runs WHERE first <= ?", (forgotten,))
            for item in items:
                self._take_in(db, item["alert"]["id"], item["seq"], from_view(item["alert"]))
                row = (item["alert"]["id"], item["seq"], item["at"], item["change"], item["actor"], item["reason"])
                db.execute(
                    "INSERT INTO history(alert, seq, at, what, who, words) VALUES(?, ?, ?, ?, ?, ?) "
                    "ON CONFLICT(seq) DO UPDATE SET at=excluded.at, who=excluded.who, words=excluded.words",
                    row,
                )
            facts = {"after": str(after), "after_hash": str(items[-1].get("hash", "")) if items else ""}
            db.executemany("INSERT OR REPLACE INTO facts VALUES(?, ?)", list(facts.items()))

    def _take_in(self, db: sqlite3.Connection, alert: str, seq: int, fields: dict[str, Any]) -> None:
        if seq > int(self.fact("counted_from") or 0):
            _see(db, seq)
        self.put(db, taken_in(self.case(alert), alert, seq, fields))

    def put(self, db: sqlite3.Connection, case: Case) -> None:
        """Write a case down, within the transaction that is open."""
        row = (case.alert, case.open, msgspec.json.encode(case))
        db.execute("INSERT OR REPLACE INTO cases VALUES(?, ?, ?)", row)

    # -- cases --------------------------------------------------------------------------------------------------------

    def case(self, alert: str) -> Case | None:
        """One case."""
        rows = self.rows("SELECT body FROM cases WHERE alert=?", alert)
        return msgspec.json.decode(rows[0]["body"], type=Case) if rows else None

    def cases(self, *, open_only: bool) -> list[Case]:
        """The gravest first, then the newest; of all, only those that changed last."""
        query = "SELECT body FROM cases WHERE open >= ? ORDER BY open DESC, rowid DESC LIMIT ?"
        rows = self.rows(query, int(open_only), -1 if open_only else SHOWN_AT_MOST)
        found = [msgspec.json.decode(row["body"], type=Case) for row in rows]
        return sorted(sorted(found, key=lambda c: c.raised_at, reverse=True), key=lambda c: c.severity)

    def history(self, alert: str) -> list[dict[str, Any]]:
        """What happened to a case lately, oldest first."""
        rows = self.rows("SELECT * FROM history WHERE alert=? ORDER BY n DESC LIMIT ?", alert, HISTORY_AT_MOST)
        return [dict(row) for row in reversed(rows)]

    # -- what goes out ------------------------------------------------------------------------------------------------

    def dispatch(self, case: Case, steps: Sequence[Step], *, at: str, what: str, words: str, **fields: Any) -> None:
        """Fields of a case, a line of its history, and the steps the gateway is to be told: all of it, or nothing."""
        with self.write() as db:
            now = self.case(case.alert) or case
            self.put(db, replace(now, **fields))
            row = (case.alert, at, what, words)
            db.execute("INSERT INTO history(alert, at, what, who, words) VALUES(?, ?, ?, 'backend', ?)", row)
            for step in steps:
                _send(db, step)

    def send(self, step: Step, **fields: Any) -> int:
        """A step somebody took, to be told to the gateway now or when it is back; gives its number."""
        with self.write() as db:
            case = self.case(step.alert)
            if case is not None:
                did = case.did | {step.work.value: step.operator} if step.operator else case.did
                self.put(db, replace(case, did=did, **fields))
            return _send(db, step)

    def waiting(self) -> list[Step]:
        """Steps that were not answered yet, in order."""
        return [msgspec.convert(dict(row), Step) for row in self.rows("SELECT * FROM outbox ORDER BY n")]

    def answered(self, step: Step, alert: dict[str, Any], refusal: Mapping[str, str]) -> None:
        """The gateway has taken or refused a step: the case stands as the gateway says, `refusal` says why not."""
        with self.write() as db:
            db.execute("DELETE FROM outbox WHERE n=?", (step.n,))
            case = self.case(step.alert)
            if case is None:
                return
            if refusal and step.operator and case.did.get(step.work.value) == step.operator:
                case = replace(case, did={work: who for work, who in case.did.items() if work != step.work.value})
            self.put(db, answered(case, from_view(alert), refusal))

    # -- the reckoning ------------------------------------------------------------------------------------------------

    def received(self) -> list[Kept]:
        """Every accepted delivery, in order."""
        return _kept(self.rows("SELECT * FROM deliveries ORDER BY n"))

    def account(self) -> Account:
        """Whether a change is missing: their numbers have no holes."""
        runs = self.rows("SELECT first, last FROM runs ORDER BY first")
        if not runs:
            return Account(first=0, last=0, have=0, missing=[])
        have = sum(run["last"] - run["first"] + 1 for run in runs)
        missing = [run["last"] + 1 for run in runs[:-1]][:20]
        return Account(first=runs[0]["first"], last=runs[-1]["last"], have=have, missing=missing)

    def fact(self, name: str) -> str:
        """Something the backend must remember; "" before it was set."""
        rows = self.rows("SELECT value FROM facts WHERE name=?", name)
        return str(rows[0]["value"]) if rows else ""

    def remember(self, name: str, value: str) -> None:
        """Set a fact."""
        self.remember_all({name: value})

    def remember_all(self, facts: Mapping[str, str]) -> None:
        """Set several at once."""
        with self.write() as db:
            db.executemany("INSERT OR REPLACE INTO facts VALUES(?, ?)", list(facts.items()))


def _send(db: sqlite3.Connection, step: Step) -> int:
    row = (step.alert, step.work.value, step.assignee, step.reason, step.if_work and step.if_work.value, step.operator)
    done = db.execute(
        "INSERT INTO outbox(alert, work, assignee, reason, if_work, operator) VALUES(?, ?, ?, ?, ?, ?)", row
    )
    return int(done.lastrowid or 0)


def _see(db: sqlite3.Connection, seq: int) -> None:
    """One number more: into the run it lies in or touches, so that there are as many rows as there are gaps."""
    before = db.execute("SELECT first, last FROM runs WHERE first<=? ORDER BY first DESC LIMIT 1", (seq,)).fetchone()
    if before is not None and seq <= before["last"]:
        return
    after = db.execute("SELECT first, last FROM runs WHERE first=?", (seq + 1,)).fetchone()
    first = before["first"] if before is not None and before["last"] == seq - 1 else seq
    if after is not None:
        db.execute("DELETE FROM runs WHERE first=?", (after["first"],))
    db.execute("INSERT OR REPLACE INTO runs VALUES(?, ?)", (first, after["last"] if after is not None else seq))


def _prune(db: sqlite3.Connection, now: float) -> None:
    """What is long over: deliveries nobody repeats, closed cases with their history."""
    db.execute("DELETE FROM deliveries WHERE received_at<?", (now - DELIVERIES_S,))
    old = datetime.fromtimestamp(now - CASES_S, UTC).isoformat()
    db.execute(
        "DELETE FROM cases WHERE open=0 AND json_extract(CAST(body AS TEXT), '$.raised_at') < ?"
        " AND alert NOT IN (SELECT alert FROM outbox)",
        (old,),
    )
    db.execute("DELETE FROM history WHERE alert NOT IN (SELECT alert FROM cases)")


def received(path: Path) -> list[Kept]:
    """The deliveries in a file of another process, in order; none where there is no file yet."""
    if not path.exists():
        return []
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=10)) as db:
        db.row_factory = sqlite3.Row
        return _kept(db.execute("SELECT * FROM deliveries ORDER BY n").fetchall())


def _kept(rows: list[sqlite3.Row]) -> list[Kept]:
    return [msgspec.convert({key: row[key] for key in row.keys() if key != "n"}, Kept) for row in rows]  # noqa: SIM118
