"""Forgetting a person in the database and on the disk, and the receipt for it."""

from __future__ import annotations

import secrets
from datetime import datetime
from sqlite3 import Connection

from msgspec import Struct

from gateway.actions import NotFoundError
from gateway.consents import end_consent
from gateway.passes import drop
from gateway.residents import Receipt
from gateway.shown import captures_of, uncapture
from gateway.store import Store, when
from gateway.templates import Photos

RECEIPT = "wdr_"


class Shown(Struct, frozen=True):
    """Pictures on which a person was seen, by the events up to `upto`."""

    captures: frozenset[str]
    upto: int


def seen_so_far(reader: Connection, person: str) -> Shown:
    """Months of events are searched outside the transaction, so that the engine does not wait for it."""
    upto = reader.execute("SELECT coalesce(max(seq), 0) AS seq FROM events").fetchone()["seq"]
    return Shown(frozenset(captures_of(reader, person, 0)), upto)


def forget(db: Connection, person: str, shown: Shown, now: datetime) -> Receipt:
    """Everything about a person goes, in the caller's transaction, and the files to be deleted after it are named
    (`delete_doomed`). Again gives the receipt of then, with `changed` false.

    :raises NotFoundError: no such resident, and never one who was forgotten.
    """
    if db.execute("DELETE FROM people WHERE id = ?", (person,)).rowcount == 0:
        return _forgotten(db, person)
    receipt = f"{RECEIPT}{secrets.token_hex(8)}"
    rows = db.execute("DELETE FROM templates WHERE person = ? RETURNING photo", (person,)).fetchall()
    captures = [key for key in shown.captures | captures_of(db, person, shown.upto) if uncapture(db, key)]
    db.execute("DELETE FROM not_them WHERE person = ?", (person,))
    drop(db, person)
    db.executemany("DELETE FROM sightings WHERE evidence = ?", [(key,) for key in captures])
    terminals = _holding(db, person)
    db.execute("DELETE FROM credentials WHERE person = ?", (person,))
    end_consent(db, person, receipt, now)
    files = [row["photo"] for row in rows] + captures
    db.executemany("INSERT OR IGNORE INTO doomed_files VALUES(?)", [(key,) for key in files])
    return Receipt(
        receipt=receipt,
        person=person,
        templates_deleted=len(rows),
        photos_deleted=len(files),
        at=now,
        terminals=terminals,
    )


def _forgotten(db: Connection, person: str) -> Receipt:
    """The receipt somebody was given before."""
    row = db.execute(
        "SELECT receipt FROM consents WHERE person = ? AND receipt LIKE ? ORDER BY withdrawn_at DESC LIMIT 1",
        (person, f"{RECEIPT}%"),
    ).fetchone()
    if row is None:
        raise NotFoundError(f"there is no resident {person}")
    return receipt_of(db, row["receipt"])


def delete_doomed(store: Store, photos: Photos) -> None:
    """Delete the files of the forgotten, those of before a crash among them. One that was captured anew meanwhile
    stays.
    """
    doomed = store.reader.execute("SELECT key FROM doomed_files").fetchall()
    for (key,) in doomed:
        with store.write() as db:
            if db.execute("SELECT 1 FROM captures WHERE key = ?", (key,)).fetchone() is None:
                photos.delete(key)
            db.execute("DELETE FROM doomed_files WHERE key = ?", (key,))
    # What was overwritten still stands in the write-ahead log until it is taken over; do that now, not some day.
    store.reader.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()


def receipt_of(db: Connection, receipt: str) -> Receipt:
    """A receipt as it stands now: which terminals have not confirmed yet. The counts were told when it was given.

    :raises NotFoundError: no such receipt.
    """
    row = db.execute("SELECT person, withdrawn_at FROM consents WHERE receipt = ?", (receipt,)).fetchone()
    if row is None or not receipt.startswith(RECEIPT):
        raise NotFoundError(f"there is no receipt {receipt}")
    return Receipt(
        receipt=receipt,
        person=row["person"],
        templates_deleted=0,
        photos_deleted=0,
        at=when(row["withdrawn_at"]),
        terminals=_holding(db, row["person"]),
        changed=False,
    )


def _holding(db: Connection, person: str) -> tuple[str, ...]:
    """Devices that may hold a copy."""
    rows = db.execute("SELECT device FROM list_entries WHERE what = 'persons' AND entry = ?", (person,))
    return tuple(row["device"] for row in rows)
