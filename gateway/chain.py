"""The chain of the ledger, pure: how a row is hashed, what a seal signs, and which rows were touched.

A row's hash is SHA-256(hash of the row before || seq, at, kind, each with a line feed, and the body's bytes); before
the first row stand 32 zero bytes. A seal is an Ed25519 signature over the hash of one row: a `checkpoint` vouches for
everything up to it, an `anchor` for everything before the first row that is still kept.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

UNSEALED_AT_MOST = 1_000
"""So many rows are written before a seal is; more without one means that seals are gone."""
NOTHING = bytes(32)
"""What stands before the first row."""


class Row(NamedTuple):
    """One row of the ledger. `at`: microseconds since 1970 UTC; `body`: canonical JSON (sorted names, no spaces)."""

    seq: int
    at: int
    kind: str
    body: bytes
    hash: bytes


class Seal(NamedTuple):
    """A signature over the row `seq`. `kind`: checkpoint or anchor; `at`: when it was made, as in a row."""

    seq: int
    hash: bytes
    at: int
    kind: str
    signature: bytes


class Finding(NamedTuple):
    """Something wrong, and the rows it can lie in: a row rewritten together with its hash shows at the next one."""

    first: int
    last: int
    what: str


TOLD_OTHERWISE = "not the row that others were told of: rewritten, or set back to a backup"
Genuine = Callable[[bytes, bytes], bool]
"""Whether a signature (first) fits a message (second)."""


def linked(before: bytes, seq: int, at: int, kind: str, body: bytes) -> bytes:
    """The hash of a row that follows the row with hash `before`."""
    return hashlib.sha256(b"%b%d\n%d\n%b\n%b" % (before, seq, at, kind.encode(), body)).digest()


def sealed_message(kind: str, seq: int, at: int, row_hash: bytes) -> bytes:
    """What a seal signs."""
    return b"linli-ledger-v1\n%b\n%d\n%d\n%b" % (kind.encode(), seq, at, row_hash.hex().encode())


def findings(
    rows: Iterable[Row], seals: Iterable[Seal], genuine: Genuine, anchors: Mapping[int, bytes] | None = None
) -> list[Finding]:
    """Everything wrong with a ledger; empty if nothing is. `rows` by `seq`. `anchors`: the hashes of rows as somebody
    else was told them.

    What it cannot see: rows after the last seal and the last anchor that were cut off, or rewritten to the end.
    """
    anchors = anchors or {}
    signed, found = _genuine_seals(seals, genuine)
    good = {seal.seq: seal for seal in signed}
    start = max((seal for seal in signed if seal.kind == "anchor"), default=Seal(0, NOTHING, 0, "anchor", b""))
    found += _otherwise(start.seq, start.hash, {}, anchors)
    seq, before = start.seq, start.hash
    for row in rows:
        if row.seq <= start.seq:
            found.append(Finding(row.seq, row.seq, "the row stands before the anchor"))
            continue
        if row.seq != seq + 1:
            found.append(Finding(seq + 1, row.seq - 1, "deleted"))
        elif row.hash != linked(before, row.seq, row.at, row.kind, row.body):
            found.append(Finding(max(row.seq - 1, start.seq + 1), row.seq, "edited or moved"))
        found += _otherwise(row.seq, row.hash, good, anchors)
        seq, before = row.seq, row.hash
    sealed = max(good, default=0)
    last = max(sealed, *anchors, 0)
    if seq < last:
        found.append(Finding(seq + 1, last, "deleted from the end"))
    if seq and (not good or seq - sealed >= UNSEALED_AT_MOST):
        found.append(Finding(sealed + 1, seq, "not sealed, as they should be"))
    return found


def _genuine_seals(seals: Iterable[Seal], genuine: Genuine) -> tuple[list[Seal], list[Finding]]:
    """The seals of this key, and what is wrong with the others."""
    good, found = [], []
    for seal in seals:
        if genuine(seal.signature, sealed_message(seal.kind, seal.seq, seal.at, seal.hash)):
            good.append(seal)
        else:
            found.append(Finding(seal.seq, seal.seq, f"the {seal.kind} was not signed with this key"))
    return good, found


def _otherwise(seq: int, row_hash: bytes, sealed: Mapping[int, Seal], anchors: Mapping[int, bytes]) -> list[Finding]:
    """A row that a seal or somebody outside knows with another hash."""
    found = []
    if seq in sealed and sealed[seq].hash != row_hash:
        found.append(Finding(seq, seq, "not the row that was sealed"))
    if anchors.get(seq, row_hash) != row_hash:
        found.append(Finding(seq, seq, TOLD_OTHERWISE))
    return found


def out_of_turn(rows: Iterable[Row]) -> list[Finding]:
    """Revisions of backends (`sync`) that do not rise, each source and section for itself."""
    found: list[Finding] = []
    last: dict[tuple[str, str], int] = {}
    for row in rows:
        if row.kind != "sync":
            continue
        try:
            said = json.loads(row.body)
            line, number = (str(said["source"]), str(said["section"])), int(said["revision"])
        except (ValueError, KeyError, TypeError):
            found.append(Finding(row.seq, row.seq, "not a revision"))
            continue
        if number <= last.get(line, 0):
            what = f"revision {number} of {'/'.join(line)} comes after revision {last[line]}"
            found.append(Finding(row.seq, row.seq, what))
        last[line] = number
    return found
