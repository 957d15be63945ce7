"""What each source (a governance backend, a property company's system) has given so far: revisions, entries of its own,
pages to be completed. SQLite.

Pages and the last answer of a section are sealed: they hold owners' names and contacts. An entry has one owner among
the sources, by a unique index; others who gave the same stand beside it (`shared`), the first of them its heir.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from itertools import groupby
from sqlite3 import Connection, Row
from typing import Any

import msgspec
from msgspec import Struct

from gateway.schema import FIRST_SOURCE
from gateway.site import Change
from gateway.store import Store, us, when
from gateway.syncplan import Hold, Plan, Refusal, Shared
from gateway.vault import Vault

REVISIONS_KEPT = 1_000
"""Of each source and section; what was done and by whom, in numbers."""
FORGOTTEN_AFTER_US = 30 * 86_400 * 1_000_000
"""So long after its first page a revision that never came in whole is given up."""


class Answer(Struct, frozen=True, kw_only=True):
    """What a revision did, by id (vehicles: by plate). `replayed`: it had been taken before, and nothing was done now.
    Not `complete`: this page is kept, and nothing changes until the last one is here; send `next_page`. `shared`: what
    stands because another source gives it, too. `waiting`: ids of people of this revision who have a pass and are not
    enrolled; it opens nothing until they are. `digest`, `nonce`: what stands in the ledger, and what proves it (hex).
    """

    section: str
    revision: int
    base: int | None
    complete: bool
    replayed: bool = False
    next_page: int | None = None
    added: list[str] = []
    changed: list[Change] = []
    removed: list[str] = []
    unchanged: int = 0
    refused: list[Refusal] = []
    shared: list[Shared] = []
    waiting: list[str] = []
    digest: str = ""
    nonce: str = ""


def committed(bodies: Iterable[str]) -> tuple[str, str]:
    """Digest and nonce for a revision whose pages have these SHA-256 (hex, in order): SHA-256 over the nonce's 16 bytes
    and those of each page. Who has the pages and the nonce can show that the ledger means them; the ledger alone tells
    nothing, not even to who tries every plate there is.
    """
    nonce = secrets.token_bytes(16)
    return hashlib.sha256(nonce + b"".join(map(bytes.fromhex, bodies))).hexdigest(), nonce.hex()


class Pending(Struct, frozen=True, kw_only=True):
    """A revision that has not come in whole. `digests`: of what the pages that are here say, from the first; `bodies`:
    SHA-256 of them as they were sent.
    """

    revision: int
    pages: int
    digests: list[str]
    bodies: list[str]

    @property
    def next_page(self) -> int:
        """What is to be sent."""
        return len(self.digests) + 1


class State(Struct, frozen=True, kw_only=True):
    """How far a source's section has come. `revision` 0: nothing was ever given."""

    source: str
    section: str
    revision: int = 0
    at: datetime | None = None
    by: str = ""
    pages: list[str] = []
    items: int = 0
    pending: Pending | None = None


class SyncBook:
    """Reads and writes the tables; what is written belongs into the transaction of what it is about."""

    def __init__(self, store: Store, vault: Vault) -> None:
        self._store, self._vault = store, vault

    def state(self, source: str, section: str) -> State:
        """How far a section has come."""
        reader = self._store.reader
        last = reader.execute(
            "SELECT revision, at, by, pages FROM sync_revisions WHERE source=? AND section=?"
            " ORDER BY revision DESC LIMIT 1",
            (source, section),
        ).fetchone()
        items = reader.execute(
            "SELECT count(*) FROM sync_items WHERE source=? AND section=?", (source, section)
        ).fetchone()[0]
        pending = self._pending(source, section)
        if last is None:
            return State(source=source, section=section, items=items, pending=pending)
        return State(
            source=source,
            section=section,
            revision=last["revision"],
            at=when(last["at"]),
            by=last["by"],
            pages=json.loads(last["pages"]),
            items=items,
            pending=pending,
        )

    def _pending(self, source: str, section: str) -> Pending | None:
        rows = self._store.reader.execute(
            "SELECT revision, pages, digest, sent FROM sync_pages WHERE source=? AND section=? ORDER BY page",
            (source, section),
        ).fetchall()
        if not rows:
            return None
        return Pending(
            revision=rows[0]["revision"],
            pages=rows[0]["pages"],
            digests=[row["digest"] for row in rows],
            bodies=[row["sent"] for row in rows],
        )

    def given(self, source: str, section: str, *, after: str, limit: int) -> dict[str, tuple[bytes, bool]]:
        """Fingerprints of what a source gave, by id, those behind `after`; and whether another one owns it."""
        rows = self._store.reader.execute(
            "SELECT id, given, shared FROM sync_items WHERE source=? AND section=? AND id>? ORDER BY id LIMIT ?",
            (source, section, after, limit),
        )
        return {row["id"]: (row["given"], bool(row["shared"])) for row in rows}

    def holds(self, source: str, section: str, names: Collection[str], *, everything: bool) -> dict[str, Hold]:
        """Whose these entries are, as a source sees it; `everything`: and all others of the section."""
        reader = self._store.reader
        columns = "SELECT id, source, given, shared FROM sync_items WHERE section=?"
        if everything:
            rows = reader.execute(f"{columns} ORDER BY id, source", (section,))
            return {name: _hold(source, those) for name, those in groupby(rows, key=lambda row: row["id"])}
        one = f"{columns} AND id=? ORDER BY source"
        found = ((name, reader.execute(one, (section, name)).fetchall()) for name in dict.fromkeys(names))
        return {name: _hold(source, those) for name, those in found if those}

    def answer(self, source: str, section: str, revision: int) -> Answer:
        """What was answered to the last revision."""
        row = self._store.reader.execute(
            "SELECT answer FROM sync_revisions WHERE source=? AND section=? AND revision=?", (source, section, revision)
        ).fetchone()
        return msgspec.json.decode(
            self._vault.open(row["answer"], _about("sync", source, section, revision)), type=Answer
        )

    def pages(self, source: str, section: str) -> list[bytes]:
        """The pages that are here, in order, as they were kept."""
        rows = self._store.reader.execute(
            "SELECT page, body FROM sync_pages WHERE source=? AND section=? ORDER BY page", (source, section)
        ).fetchall()
        return [self._vault.open(row["body"], _about("page", source, section, row["page"])) for row in rows]

    def keep(
        self,
        source: str,
        section: str,
        page: int,
        *,
        revision: int,
        pages: int,
        digest: str,
        sent: str,
        body: bytes,
        now: datetime,
    ) -> None:
        """One page, until the others are here; durable on return. The first one drops those of an earlier revision."""
        sealed = self._vault.seal(body, _about("page", source, section, page))
        with self._store.write() as db:
            if page == 1:
                _drop_pages(db, source, section)
            row = (source, section, page, revision, pages, digest, sealed, sent, us(now))
            db.execute("INSERT INTO sync_pages VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?)", row)

    def discard(self, source: str, section: str) -> None:
        """The revision that was coming in is refused: nothing of it stays."""
        with self._store.write() as db:
            _drop_pages(db, source, section)

    def give_up(self, now: datetime) -> None:
        """Forget revisions that began long ago and never came in whole: nobody's pages stay for ever."""
        old = us(now) - FORGOTTEN_AFTER_US
        stale = self._store.reader.execute(
            "SELECT source, section FROM sync_pages WHERE page=1 AND at<?", (old,)
        ).fetchall()
        for row in stale:
            self.discard(row["source"], row["section"])

    def record(
        self,
        db: Connection,
        source: str,
        answer: Answer,
        found: Plan[Any],
        *,
        pages: Sequence[str],
        by: str,
        now: datetime,
    ) -> None:
        """A revision is done, within the transaction that does it."""
        section, revision = answer.section, answer.revision
        _drop_pages(db, source, section)
        _write_holds(db, source, section, found)
        db.execute(
            "UPDATE sync_revisions SET answer=NULL WHERE source=? AND section=? AND answer IS NOT NULL",
            (source, section),
        )
        counts = tuple(len(part) for part in (answer.added, answer.changed, answer.removed, answer.refused))
        sealed = self._vault.seal(msgspec.json.encode(answer), _about("sync", source, section, revision))
        row = (source, section, revision, answer.base, us(now), by, json.dumps(list(pages)), *counts, sealed)
        db.execute("INSERT INTO sync_revisions VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", row)
        db.execute(
            "DELETE FROM sync_revisions WHERE source=? AND section=? AND revision NOT IN (SELECT revision FROM"
            " sync_revisions WHERE source=? AND section=? ORDER BY revision DESC LIMIT ?)",
            (source, section, source, section, REVISIONS_KEPT),
        )


def _hold(source: str, rows: Iterable[Row]) -> Hold:
    owned = claimed = None
    owner = heir = ""
    for row in rows:
        if row["source"] == source:
            owned, claimed = (None, row["given"]) if row["shared"] else (row["given"], None)
        elif not row["shared"]:
            owner = row["source"]
        else:
            heir = heir or row["source"]
    return Hold(owned=owned, claimed=claimed, owner=owner, heir=heir)


def _write_holds(db: Connection, source: str, section: str, found: Plan[Any]) -> None:
    """Who owns what from now on. An entry with two owners would break the unique index, and so undo the revision."""
    db.executemany(
        "DELETE FROM sync_items WHERE source=? AND section=? AND id=?",
        [(source, section, name) for name in found.dropped],
    )
    db.executemany(
        "UPDATE sync_items SET shared=0 WHERE source=? AND section=? AND id=?",
        [(heir, section, name) for name, heir in found.dropped.items() if heir],
    )
    db.executemany(
        "INSERT INTO sync_items(source, section, id, given, shared) VALUES(?, ?, ?, ?, ?)"
        " ON CONFLICT(section, id, source) DO UPDATE SET given=excluded.given, shared=excluded.shared"
        " WHERE given<>excluded.given OR shared<>excluded.shared",
        [
            (source, section, name, print_, shared)
            for shared, prints in ((0, found.owned), (1, found.claimed))
            for name, print_ in prints.items()
        ],
    )


def _drop_pages(db: Connection, source: str, section: str) -> None:
    db.execute("DELETE FROM sync_pages WHERE source=? AND section=?", (source, section))


def _about(what: str, source: str, section: str, number: int) -> str:
    """What something sealed is; the first source's from before there were others."""
    return f"{what}:{section}:{number}" if source == FIRST_SOURCE else f"{what}@{source}:{section}:{number}"
