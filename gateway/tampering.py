"""Tampering with a copy of a ledger, at random, to show that every tampering is found."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Callable
from functools import partial

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway.chain import Finding, Genuine, Row, findings, linked, sealed_message
from gateway.ledger import genuine, rows, seals

ROWS = 500
"""So many of the newest rows are copied."""


def self_test(source: sqlite3.Connection, key: Ed25519PrivateKey, *, times: int, seed: int) -> dict[str, int]:
    """Tamper with one row `times` times, each time on the untampered copy: how often, and how often the row was named.
    The copy is sealed at both ends with `key`, as only up to a seal is anything proved.
    """
    copy = _copied(source, key)
    genuine_here: Genuine = partial(genuine, key.public_key())
    chance = random.Random(seed)  # noqa: S311 - which row is hit hides nothing
    kept = [row.seq for row in rows(copy)]
    if len(kept) < 2 or findings(rows(copy), seals(copy), genuine_here):
        return {"tampered": 0, "found": 0}
    found = 0
    for n in range(times):
        copy.execute("BEGIN")
        hit = TAMPERINGS[n % len(TAMPERINGS)](copy, chance, kept)
        found += any(_names(finding, hit) for finding in findings(rows(copy), seals(copy), genuine_here))
        copy.execute("ROLLBACK")
    return {"tampered": times, "found": found}


def _copied(source: sqlite3.Connection, key: Ed25519PrivateKey) -> sqlite3.Connection:
    copy = sqlite3.connect(":memory:", isolation_level=None)
    copy.execute("CREATE TABLE ledger(seq INTEGER PRIMARY KEY, at, kind, body, hash)")
    copy.execute("CREATE TABLE ledger_seals(seq, hash, at, kind, signature)")
    newest = "SELECT seq, at, kind, body, hash FROM ledger ORDER BY seq DESC LIMIT ?"
    taken = [Row(*row) for row in source.execute(newest, (ROWS + 1,))]
    copy.executemany("INSERT INTO ledger VALUES (?,?,?,?,?)", taken[: max(1, len(taken) - 1)])
    for row, kind in ((taken[0], "checkpoint"), (taken[-1], "anchor")) if taken else ():
        signature = key.sign(sealed_message(kind, row.seq, row.at, row.hash))
        copy.execute("INSERT INTO ledger_seals VALUES (?,?,?,?,?)", (row.seq, row.hash, row.at, kind, signature))
    return copy


def _names(finding: Finding, hit: int) -> bool:
    return finding.first <= hit <= finding.last


def _edited(copy: sqlite3.Connection, chance: random.Random, kept: list[int]) -> int:
    """One byte of a row's body, its time or its kind."""
    seq = chance.choice(kept)
    at, kind, body = copy.execute("SELECT at, kind, body FROM ledger WHERE seq=?", (seq,)).fetchone()
    what = chance.randrange(3)
    place = chance.randrange(len(body))
    other = bytes([(body[place] + chance.randrange(1, 256)) % 256])
    copy.execute(
        "UPDATE ledger SET at=?, kind=?, body=? WHERE seq=?",
        (
            at + chance.choice((-1, 1)) if what == 0 else at,
            kind + "x" if what == 1 else kind,
            body[:place] + other + body[place + 1 :] if what == 2 else body,
            seq,
        ),
    )
    return seq


def _deleted(copy: sqlite3.Connection, chance: random.Random, kept: list[int]) -> int:
    seq = chance.choice(kept)
    copy.execute("DELETE FROM ledger WHERE seq=?", (seq,))
    return seq


def _swapped(copy: sqlite3.Connection, chance: random.Random, kept: list[int]) -> int:
    """Two rows change places, each whole with its hash."""
    one, two = chance.sample(kept, 2)
    copy.execute("UPDATE ledger SET seq=-1 WHERE seq=?", (one,))
    copy.execute("UPDATE ledger SET seq=? WHERE seq=?", (one, two))
    copy.execute("UPDATE ledger SET seq=? WHERE seq=-1", (two,))
    return one


def _inserted(copy: sqlite3.Connection, chance: random.Random, kept: list[int]) -> int:
    """A row of somebody else's, chained onto the one before it; those behind it move up."""
    seq = chance.choice(kept[1:])
    at, kind, before = copy.execute("SELECT at, kind, hash FROM ledger WHERE seq=?", (seq - 1,)).fetchone()
    body = b'{"forged":%d}' % chance.randrange(10**6)
    copy.execute("UPDATE ledger SET seq=-seq WHERE seq>=?", (seq,))
    copy.execute("UPDATE ledger SET seq=1-seq WHERE seq<0")
    copy.execute("INSERT INTO ledger VALUES (?,?,?,?,?)", (seq, at, kind, body, linked(before, seq, at, kind, body)))
    return seq


TAMPERINGS: tuple[Callable[[sqlite3.Connection, random.Random, list[int]], int], ...] = (
    _edited,
    _deleted,
    _swapped,
    _inserted,
)
