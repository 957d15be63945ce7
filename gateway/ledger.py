"""The ledger: every alert transition, command transition, access decision and revision of a backend, hash-chained and
signed. SQLite, a key.

Who appends does so within their own transaction, so a crash cannot part what happened from its rows. A checkpoint is
signed every `SEAL_ROWS` rows or `SEAL_EVERY`, and at stop: what was cut off or rewritten behind it is not found.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from gateway.chain import NOTHING, Row, Seal, linked, sealed_message
from gateway.entries import Entry, entry
from gateway.store import us

SEAL_ROWS = 1_000
SEAL_EVERY = timedelta(minutes=1)


def signing_key(folder: Path) -> Ed25519PrivateKey:
    """The key in `folder/ledger.key`, made on first use with mode 0600."""
    path = folder / "ledger.key"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return Ed25519PrivateKey.from_private_bytes(bytes.fromhex(path.read_text(encoding="ascii").strip()))
    key = Ed25519PrivateKey.generate()
    with os.fdopen(handle, "w", encoding="ascii") as file:
        file.write(key.private_bytes_raw().hex() + "\n")
        file.flush()
        os.fsync(file.fileno())
    return key


def genuine(key: Ed25519PublicKey, signature: bytes, message: bytes) -> bool:
    """Whether `signature` over `message` was made with the private half of `key`."""
    try:
        key.verify(signature, message)
    except InvalidSignature:
        return False
    return True


def rows(db: sqlite3.Connection) -> Iterator[Row]:
    """Every row that is kept, in order. Whatever somebody put there is read as the types it should have."""
    columns = "seq, CAST(at AS INTEGER), CAST(kind AS TEXT), CAST(body AS BLOB), CAST(hash AS BLOB)"
    return (Row(*row) for row in db.execute(f"SELECT {columns} FROM ledger ORDER BY seq"))  # noqa: S608 - ours


def seals(db: sqlite3.Connection) -> list[Seal]:
    """Every seal, in order."""
    return [
        Seal(*row)
        for row in db.execute("SELECT seq, hash, at, kind, signature FROM ledger_seals ORDER BY seq, kind, at")
    ]


class Ledger:
    """Appends and seals, within the transaction that is open on `db`: where the ledger ends is read there each time, so
    that the journal and the synchronisation never fork the chain.
    """

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key

    def begin(self, db: sqlite3.Connection, facts: Entry, now: datetime) -> None:
        """State once, and again when it has changed, what the rows are to be read with (companies, zone). The first
        row of all says what the database held before there was a ledger.
        """
        if _end(db).seq == 0:
            held = {
                table: db.execute(f"SELECT coalesce(max({column}), 0) FROM {table}").fetchone()[0]  # noqa: S608 - ours
                for table, column in (("events", "seq"), ("alert_changes", "seq"))
            }
            self.append(db, [entry(us(now), "began", held)], now)
        known = db.execute("SELECT body FROM ledger WHERE kind='estate' ORDER BY seq DESC LIMIT 1").fetchone()
        if (known[0] if known else None) != facts.body:
            self.append(db, [facts], now)

    def append(self, db: sqlite3.Connection, said: list[Entry], now: datetime) -> None:
        """Chain rows onto the ledger, and seal it when it is time."""
        end = _end(db)
        if said:
            chained = []
            seq, row_hash = end.seq, end.hash
            for at, kind, body in said:
                seq += 1
                row_hash = linked(row_hash, seq, at, kind, body)
                chained.append((seq, at, kind, body, row_hash))
            db.executemany("INSERT INTO ledger(seq, at, kind, body, hash) VALUES (?,?,?,?,?)", chained)
            end = end._replace(seq=seq, hash=row_hash)
        waited = us(now) - end.sealed_at >= SEAL_EVERY // timedelta(microseconds=1)
        if end.seq - end.sealed >= SEAL_ROWS or waited:
            self._seal(db, end, now)

    def seal(self, db: sqlite3.Connection, now: datetime) -> None:
        """Sign where the ledger ends, unless that is signed already."""
        self._seal(db, _end(db), now)

    def _seal(self, db: sqlite3.Connection, end: _End, now: datetime) -> None:
        if end.seq > end.sealed:
            self._sign(db, end.seq, end.hash, "checkpoint", now)

    def _sign(self, db: sqlite3.Connection, seq: int, row_hash: bytes, kind: str, now: datetime) -> None:
        signature = self._key.sign(sealed_message(kind, seq, us(now), row_hash))
        db.execute(
            "INSERT INTO ledger_seals(seq, hash, at, kind, signature) VALUES (?,?,?,?,?)",
            (seq, row_hash, us(now), kind, signature),
        )

    def prune(self, db: sqlite3.Connection, before: datetime, now: datetime, limit: int) -> int:
        """Drop at most `limit` rows from the front that are older than `before`, and put a signed anchor in their
        place; how many. The last row stays; what the rows are read with is said again where it would go.
        """
        front = db.execute("SELECT seq, at, hash FROM ledger ORDER BY seq LIMIT ?", (limit + 1,)).fetchall()
        cut = None
        for seq, at, row_hash in front[:-1]:
            if at >= us(before):
                break
            cut = (seq, row_hash)
        if cut is None:
            return 0
        facts = db.execute("SELECT seq, body FROM ledger WHERE kind='estate' ORDER BY seq DESC LIMIT 1").fetchone()
        if facts is not None and facts[0] <= cut[0]:
            self.append(db, [Entry(us(now), "estate", facts[1])], now)
        self._sign(db, *cut, "anchor", now)
        db.execute("DELETE FROM ledger_seals WHERE seq < ? OR (seq = ? AND kind='checkpoint')", (cut[0], cut[0]))
        return db.execute("DELETE FROM ledger WHERE seq <= ?", (cut[0],)).rowcount


class _End(NamedTuple):
    """Where the ledger ends, and up to which row it is sealed since when."""

    seq: int
    hash: bytes
    sealed: int
    sealed_at: int


def _end(db: sqlite3.Connection) -> _End:
    last = db.execute("SELECT seq, hash FROM ledger ORDER BY seq DESC LIMIT 1").fetchone() or (0, NOTHING)
    sealed = db.execute("SELECT seq, hash, at FROM ledger_seals ORDER BY seq DESC, at DESC LIMIT 1").fetchone()
    sealed = sealed or (0, NOTHING, 0)
    # Behind a seal whose rows are gone the count goes on: a new row must not take the place of a lost one.
    seq, row_hash = max((last[0], last[1]), (sealed[0], sealed[1]))
    return _End(seq, row_hash, sealed[0], sealed[2])


def exported(db: sqlite3.Connection, key: Ed25519PublicKey) -> Iterator[str]:
    """The ledger as JSON lines for somebody else to check: the public key, the rows, the seals. One snapshot."""
    db.execute("BEGIN")
    try:
        yield json.dumps({"public_key": key.public_bytes_raw().hex()}) + "\n"
        for row in rows(db):
            said = row._asdict() | {"body": row.body.decode(errors="backslashreplace"), "hash": row.hash.hex()}
            yield json.dumps(said, ensure_ascii=False) + "\n"
        for seal in seals(db):
            said = {"seal": seal.kind, "seq": seal.seq, "at": seal.at, "hash": seal.hash.hex()}
            yield json.dumps(said | {"signature": seal.signature.hex()}) + "\n"
    finally:
        db.execute("ROLLBACK")
