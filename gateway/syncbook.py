"""What the governance backend has given so far: revisions, entries of its own, pages to be completed. SQLite.

Pages and the last answer of a section are sealed: they hold owners' names and contacts.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from sqlite3 import Connection

import msgspec
from msgspec import Struct

from gateway.site import Change
from gateway.store import Store, us, when
from gateway.syncplan import Refusal
from gateway.vault import Vault

REVISIONS_KEPT = 1_000
"""Of each section; what was done and by whom, in numbers."""


class Answer(Struct, frozen=True, kw_only=True):
    """What a revision did, by id (vehicles: by plate). `replayed`: it had been taken before, and nothing was done now.
    Not `complete`: this page is kept, and nothing changes until the last one is here; send `next_page`. `waiting`: ids
    of people who have a pass and are not enrolled; it opens nothing until they are.
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
    waiting: list[str] = []


class Pending(Struct, frozen=True, kw_only=True):
    """A revision that has not come in whole. `digests`: of the pages that are here, from the first."""

    revision: int
    pages: int
    digests: list[str]

    @property
    def next_page(self) -> int:
        """What is to be sent."""
        return len(self.digests) + 1


class State(Struct, frozen=True, kw_only=True):
    """How far a section has come. `revision` 0: nothing was ever given."""

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

    def state(self, section: str) -> State:
        """How far a section has come."""
        reader = self._store.reader
        last = reader.execute(
            "SELECT revision, at, by, pages FROM sync_revisions WHERE section=? ORDER BY revision DESC LIMIT 1",
            (section,),
        ).fetchone()
        items = reader.execute("SELECT count(*) FROM sync_items WHERE section=?", (section,)).fetchone()[0]
        pending = self._pending(section)
        if last is None:
            return State(section=section, items=items, pending=pending)
        return State(
            section=section,
            revision=last["revision"],
            at=when(last["at"]),
            by=last["by"],
            pages=json.loads(last["pages"]),
            items=items,
            pending=pending,
        )

    def _pending(self, section: str) -> Pending | None:
        rows = self._store.reader.execute(
            "SELECT revision, pages, digest FROM sync_pages WHERE section=? ORDER BY page", (section,)
        ).fetchall()
        if not rows:
            return None
        return Pending(revision=rows[0]["revision"], pages=rows[0]["pages"], digests=[row["digest"] for row in rows])

    def given(self, section: str, *, after: str = "", limit: int = -1) -> dict[str, bytes]:
        """Fingerprints of what is the backend's, by id, those behind `after`."""
        rows = self._store.reader.execute(
            "SELECT id, given FROM sync_items WHERE section=? AND id>? ORDER BY id LIMIT ?", (section, after, limit)
        )
        return {row["id"]: row["given"] for row in rows}

    def answer(self, section: str, revision: int) -> Answer:
        """What was answered to the last revision."""
        row = self._store.reader.execute(
            "SELECT answer FROM sync_revisions WHERE section=? AND revision=?", (section, revision)
        ).fetchone()
        plain = self._vault.open(row["answer"], f"sync:{section}:{revision}")
        return msgspec.json.decode(plain, type=Answer)

    def pages(self, section: str) -> list[bytes]:
        """The bodies of the pages that are here, in order."""
        rows = self._store.reader.execute(
            "SELECT page, body FROM sync_pages WHERE section=? ORDER BY page", (section,)
        ).fetchall()
        return [self._vault.open(row["body"], f"page:{section}:{row['page']}") for row in rows]

    def keep(self, section: str, page: int, *, revision: int, pages: int, digest: str, body: bytes) -> None:
        """One page, until the others are here; durable on return. The first one drops those of an earlier revision."""
        sealed = self._vault.seal(body, f"page:{section}:{page}")
        with self._store.write() as db:
            if page == 1:
                db.execute("DELETE FROM sync_pages WHERE section=?", (section,))
            row = (section, page, revision, pages, digest, sealed)
            db.execute("INSERT INTO sync_pages VALUES(?, ?, ?, ?, ?, ?)", row)

    def discard(self, section: str) -> None:
        """The revision that was coming in is refused: nothing of it stays."""
        with self._store.write() as db:
            db.execute("DELETE FROM sync_pages WHERE section=?", (section,))

    def record(
        self,
        db: Connection,
        answer: Answer,
        before: Mapping[str, bytes],
        given: Mapping[str, bytes],
        *,
        pages: Sequence[str],
        by: str,
        now: datetime,
    ) -> None:
        """A revision is done, within the transaction that does it."""
        section, revision = answer.section, answer.revision
        db.execute("DELETE FROM sync_pages WHERE section=?", (section,))
        db.executemany(
            "DELETE FROM sync_items WHERE section=? AND id=?", [(section, one) for one in before if one not in given]
        )
        db.executemany(
            "INSERT OR REPLACE INTO sync_items VALUES(?, ?, ?)",
            [(section, one, digest) for one, digest in given.items() if before.get(one) != digest],
        )
        db.execute("UPDATE sync_revisions SET answer=NULL WHERE section=? AND answer IS NOT NULL", (section,))
        counts = tuple(len(part) for part in (answer.added, answer.changed, answer.removed, answer.refused))
        sealed = self._vault.seal(msgspec.json.encode(answer), f"sync:{section}:{revision}")
        row = (section, revision, answer.base, us(now), by, json.dumps(list(pages)), *counts, sealed)
        db.execute("INSERT INTO sync_revisions VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", row)
        db.execute(
            "DELETE FROM sync_revisions WHERE section=? AND revision NOT IN "
            "(SELECT revision FROM sync_revisions WHERE section=? ORDER BY revision DESC LIMIT ?)",
            (section, section, REVISIONS_KEPT),
        )
