"""The feed of alert changes as a chain that whoever reads it can check for themselves, and how far back it reaches.

The hash of a change is SHA-256 over ten lines, joined by line feeds, all of which stand in the change as it is told:
the hash before it ("" before the first), `ledger`, its number, time, alert, change, and of the alert then: type,
severity, condition, work. `ledger` is the last row of the ledger that was written before it, as `ROW:HASH`. So a gap, a
changed row and a database set back show to every reader, and each change a reader kept vouches for the ledger.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

import msgspec

from devices.alerts import Alert
from gateway.changes import AlertChange
from gateway.latest import Row
from gateway.store import insert_many, us, when

FORGOTTEN = "alert_changes_forgotten"
"""The cursor that says up to which change the feed has holes: what retention dropped."""
_OLD = """DELETE FROM alert_changes WHERE seq IN (SELECT seq FROM alert_changes WHERE seq < coalesce(
    (SELECT seq FROM alert_changes WHERE at >= ?2 ORDER BY seq LIMIT 1), (SELECT max(seq) FROM alert_changes))
  AND NOT EXISTS (SELECT 1 FROM alerts WHERE alerts.id = alert_changes.alert AND alerts.open = 1)
  ORDER BY seq LIMIT ?1) RETURNING seq"""
"""They stand in the order of their time, so it stops at the first that is young."""
_LAST = """SELECT coalesce((SELECT hash FROM alert_changes ORDER BY seq DESC LIMIT 1), ''),
  coalesce((SELECT seq FROM sqlite_sequence WHERE name='alert_changes'), 0)"""

_json = msgspec.json.Encoder()
_decode = msgspec.json.Decoder(Alert).decode


class Bounds(NamedTuple):
    """The feed gives everything after `forgotten` up to `newest`; of what is before, only changes of open alerts."""

    forgotten: int
    newest: int


class BrokenError(ValueError):
    """The feed cannot go on from there; the text says why and what to do. `gone`: retention dropped what follows."""

    def __init__(self, why: str, *, gone: bool, bounds: Bounds) -> None:
        super().__init__(why)
        self.gone, self.bounds = gone, bounds


def told_at(moment: datetime) -> str:
    """A time as the feed says it: RFC 3339, UTC, with a Z."""
    return moment.isoformat().replace("+00:00", "Z")


def linked(before: str, ledger: str, seq: int, change: AlertChange) -> str:
    """The hash of a change that follows the one with hash `before`, 64 hex digits."""
    alert = change.alert
    said = (
        before,
        ledger,
        str(seq),
        told_at(change.at),
        alert.id,
        change.change,
        alert.type,
        str(int(alert.severity)),
        alert.condition.value,
        alert.work.value,
    )
    return hashlib.sha256("\n".join(said).encode()).hexdigest()


def append(db: sqlite3.Connection, changes: Iterable[AlertChange], ledger: str) -> list[Row]:
    """Write changes behind those that are there, within the transaction that is open; the rows."""
    before, seq = db.execute(_LAST).fetchone()
    rows: list[Row] = []
    for change in changes:
        seq += 1
        before = linked(before, ledger, seq, change)
        rows.append(
            {
                "seq": seq,
                "alert": change.alert.id,
                "change": change.change,
                "actor": change.actor,
                "reason": change.reason,
                "at": us(change.at),
                "body": _json.encode(change.alert),
                "hash": before,
                "ledger": ledger,
            }
        )
    insert_many(
        db,
        "INSERT INTO alert_changes(seq, alert, change, actor, reason, at, body, hash, ledger)",
        [tuple(row.values()) for row in rows],
    )
    return rows


def forget(db: sqlite3.Connection, before: datetime, limit: int) -> int:
    """Drop at most `limit` changes that are older and whose alerts are over, and remember up to where there are holes
    now; how many. Within the transaction that is open. The last change stays: the chain goes on from it.
    """
    gone = [seq for (seq,) in db.execute(_OLD, (limit, us(before)))]
    if gone:
        db.execute(
            "INSERT INTO cursors(name, seq) VALUES (?1, ?2) ON CONFLICT(name) DO UPDATE SET seq=max(seq, ?2)",
            (FORGOTTEN, max(gone)),
        )
        db.execute("DELETE FROM dead_letters WHERE change NOT IN (SELECT seq FROM alert_changes)")
    return len(gone)


def edited(db: sqlite3.Connection) -> list[int]:
    """Changes that do not fit the one before, or are missing where retention has dropped nothing: their numbers."""
    found: list[int] = []
    forgotten, before, last = bounds(db).forgotten, None, 0
    for seq, name, actor, at, body, held, ledger in db.execute(
        "SELECT seq, change, actor, at, body, hash, ledger FROM alert_changes ORDER BY seq"
    ):
        if seq != last + 1:
            if last >= forgotten and last:
                found += range(last + 1, seq)
            before = None
        if held and before is not None:
            change = AlertChange(_decode(body), name, actor, "", when(at))
            if linked(before, ledger, seq, change) != held:
                found.append(seq)
        before, last = held, seq
    return found


def bounds(db: sqlite3.Connection) -> Bounds:
    """How far the feed reaches."""
    row = db.execute(
        "SELECT coalesce((SELECT seq FROM cursors WHERE name=?), 0), coalesce((SELECT max(seq) FROM alert_changes), 0)",
        (FORGOTTEN,),
    ).fetchone()
    return Bounds(row[0], row[1])


def check(db: sqlite3.Connection, after: int, known: str = "") -> Bounds:
    """Whether somebody who has everything up to `after` can go on without a gap. 0 asks for whatever there is. `known`:
    the hash they have of the change `after`, if they kept it.

    :raises BrokenError: not without a gap, or this is not the feed they had.
    """
    held = bounds(db)
    if after > held.newest:
        why = (
            f"there is no change {after} yet, the last is {held.newest}: this gateway was set back to a backup, or is "
            "another one; read the open alerts anew and go on from the last"
        )
        raise BrokenError(why, gone=False, bounds=held)
    if 0 < after < held.forgotten:
        why = (
            f"changes up to {held.forgotten} were dropped after retention.alerts_days; read the open alerts anew and "
            f"go on after {held.forgotten}"
        )
        raise BrokenError(why, gone=True, bounds=held)
    if known:
        row = db.execute("SELECT hash FROM alert_changes WHERE seq=?", (after,)).fetchone()
        if row is not None and row[0] != known:
            why = (
                f"change {after} is not the one you know: this gateway was set back to a backup, or its record was "
                "changed; read the open alerts anew, keep what you have as evidence"
            )
            raise BrokenError(why, gone=False, bounds=held)
    return held
