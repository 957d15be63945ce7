"""The ledger: every alert transition, command transition and access decision, what was done to tokens, subscriptions,
consents and by retention, and every revision of a backend, hash-chained and signed. SQLite, a key.

The journal appends within its own transaction, so a crash cannot part a batch from its rows. A checkpoint is signed
every `SEAL_ROWS` rows or `SEAL_EVERY`, and at stop: what was cut off or rewritten behind the last one is not found.
"""

from __future__ import annotations

import json
import os
import re
import sqlite3
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from gateway.chain import NOTHING, UNSEALED_AT_MOST, Row, Seal, linked, sealed_message
from gateway.entries import Entry, entry
from gateway.store import insert_many, us

HEAD = "ledger.head"
"""The file beside the key that says where the ledger was sealed last."""
SEAL_ROWS = UNSEALED_AT_MOST
SEAL_EVERY = timedelta(minutes=1)
_HEAD = re.compile(r"\d{1,18}:[0-9a-f]{64}", re.ASCII)
_LAST = "SELECT seq, hash FROM ledger ORDER BY seq DESC LIMIT 1"


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


def kept_head(folder: Path) -> str:
    """What `folder/ledger.head` says (`Ledger.head`), "" if nothing that can be read."""
    try:
        said = (folder / HEAD).read_text(encoding="ascii", errors="replace").strip()
    except FileNotFoundError:
        return ""
    return said if _HEAD.fullmatch(said) else ""


def keep_head(folder: Path, head: str) -> None:
    """Write it there, whole or not at all.

    :raises OSError: it cannot be written.
    """
    fresh = folder / f"{HEAD}.new"
    fresh.write_text(head + "\n", encoding="ascii")
    fresh.replace(folder / HEAD)


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
    """Appends and seals on the journal's connection; used by its thread alone, inside its transactions."""

    def __init__(self, db: sqlite3.Connection, key: Ed25519PrivateKey) -> None:
        self._db = db
        self._key = key
        self._seq, self._hash = 0, NOTHING
        self._sealed, self._sealed_at, self._sealed_hash = 0, 0, NOTHING
        self.take_up()

    @property
    def head(self) -> str:
        """Its last row, as `ROW:HASH`: who keeps it can tell later whether it is still that row."""
        return f"{self._seq}:{self._hash.hex()}"

    @property
    def sealed_head(self) -> str:
        """The row that was sealed last, as `head` says it."""
        return f"{self._sealed}:{self._sealed_hash.hex()}"

    def take_up(self) -> None:
        """Go on where the database stands: at the start, and after a transaction was undone."""
        last = self._db.execute(_LAST).fetchone()
        sealed = self._db.execute(
            "SELECT seq, hash, at FROM ledger_seals ORDER BY seq DESC, at DESC LIMIT 1"
        ).fetchone()
        self._sealed, self._sealed_hash, self._sealed_at = sealed or (0, NOTHING, 0)
        # Behind a seal whose rows are gone the count goes on: a new row must not take the place of a lost one.
        self._seq, self._hash = max((last or (0, NOTHING)), (sealed[:2] if sealed else (0, NOTHING)))

    def begin(self, facts: Entry, now: datetime) -> None:
        """State once, and again when it has changed, what the rows are to be read with (companies, zone). The first
        row of all says what the database held before there was a ledger.
        """
        if self._seq == 0:
            held = {
                table: self._db.execute(f"SELECT coalesce(max({column}), 0) FROM {table}").fetchone()[0]  # noqa: S608 - ours
                for table, column in (("events", "seq"), ("alert_changes", "seq"))
            }
            self.append([entry(us(now), "began", held)], now)
        known = self._db.execute("SELECT body FROM ledger WHERE kind='estate' ORDER BY seq DESC LIMIT 1")
        if (known.fetchone() or (None,))[0] != facts.body:
            self.append([facts], now)
        if noted := self.noted(now):
            self.append(noted, now)

    def append(self, said: list[Entry], now: datetime) -> None:
        """Chain rows onto the ledger, and seal it when it is time."""
        if said:
            chained = []
            for row in said:
                self._seq += 1
                self._hash = linked(self._hash, self._seq, row.at, row.kind, row.body)
                chained.append((self._seq, row.at, row.kind, row.body, self._hash))
            insert_many(self._db, "INSERT INTO ledger(seq, at, kind, body, hash)", chained)
        waited = us(now) - self._sealed_at >= SEAL_EVERY // timedelta(microseconds=1)
        if self._seq - self._sealed >= SEAL_ROWS or (waited and self._seq > self._sealed):
            self.seal(now)

    def noted(self, now: datetime) -> list[Entry]:
        """What others have left in `ledger_notes`, taken out of there: to be chained in the same transaction."""
        notes = self._db.execute("SELECT seq, kind, body FROM ledger_notes ORDER BY seq").fetchall()
        if notes:
            self._db.execute("DELETE FROM ledger_notes WHERE seq <= ?", (notes[-1][0],))
        return [entry(us(now), kind, json.loads(body)) for _, kind, body in notes]

    def missing(self, known: str) -> dict[str, int] | None:
        """Which rows are lost, if the database is not the one whose head was `known` (see `head`)."""
        row, _, told = known.partition(":")
        if not known or int(row) == 0:
            return None
        held = self._db.execute("SELECT hash FROM ledger WHERE seq=?", (int(row),)).fetchone()
        first = self._db.execute("SELECT coalesce(min(seq), 0) FROM ledger").fetchone()[0]
        if int(row) < first or (held is not None and held[0].hex() == told):
            return None
        return {"known_up_to": int(row), "set_back_to": min(self._seq, int(row))}

    def seal(self, now: datetime) -> None:
        """Sign where the ledger ends, unless that is signed already."""
        if self._seq > self._sealed:
            self._sign(self._seq, self._hash, "checkpoint", now)
            self._sealed, self._sealed_hash, self._sealed_at = self._seq, self._hash, us(now)

    def _sign(self, seq: int, row_hash: bytes, kind: str, now: datetime) -> None:
        signature = self._key.sign(sealed_message(kind, seq, us(now), row_hash))
        self._db.execute(
            "INSERT INTO ledger_seals(seq, hash, at, kind, signature) VALUES (?,?,?,?,?)",
            (seq, row_hash, us(now), kind, signature),
        )

    def prune(self, before: datetime, now: datetime, limit: int) -> int:
        """Drop at most `limit` rows from the front that are older than `before`, and put a signed anchor in their
        place; how many. The last row stays; what the rows are read with is said again where it would go.
        """
        front = self._db.execute("SELECT seq, at, hash FROM ledger ORDER BY seq LIMIT ?", (limit + 1,)).fetchall()
        cut = None
        for seq, at, row_hash in front[:-1]:
            if at >= us(before):
                break
            cut = (seq, row_hash)
        if cut is None:
            return 0
        facts = self._db.execute(
            "SELECT seq, body FROM ledger WHERE kind='estate' ORDER BY seq DESC LIMIT 1"
        ).fetchone()
        if facts is not None and facts[0] <= cut[0]:
            self.append([Entry(us(now), "estate", facts[1])], now)
        self._sign(*cut, "anchor", now)
        self._db.execute("DELETE FROM ledger_seals WHERE seq < ? OR (seq = ? AND kind='checkpoint')", (cut[0], cut[0]))
        return self._db.execute("DELETE FROM ledger WHERE seq <= ?", (cut[0],)).rowcount


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
