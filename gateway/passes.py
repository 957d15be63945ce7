"""Passes as the governance backend grants them: who may pass, where, from when until when. A pass opens nothing.

Consent and enrolment decide first (`gateway.people`); a pass can only narrow what they allow. Somebody for whom a pass
has ever been given passes with a pass in force and not without: ending it keeps them out, it does not set them free.
Who has never had one passes by consent alone, as before. Lookups are reads of memory and may come from any thread.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from sqlite3 import Connection, Row

from msgspec import Struct
from msgspec.structs import replace

from devices.events import DenyReason
from devices.model import Device
from gateway.listplan import Candidate
from gateway.refusals import InvalidError
from gateway.residents import ESTATE, check_scope, covers
from gateway.store import Store, us, when

_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")


class PassKind(StrEnum):
    """Whom a pass is for; `temporary`: a registered temporary resident (流动人口)."""

    RESIDENT = "resident"
    TEMPORARY = "temporary"
    STAFF = "staff"


class Pass(Struct, frozen=True, kw_only=True):
    """One pass. `person`: id of the resident, enrolled here or not yet. `scope`: "estate", or "building:<building>".
    In force from `valid_from` until before `valid_to` (UTC; None: no limit).
    """

    id: str
    person: str
    kind: PassKind
    scope: str
    valid_from: datetime | None = None
    valid_to: datetime | None = None


def check_pass(given: Pass) -> None:
    """Is it acceptable in itself?

    :raises InvalidError: it is not; the text says what to change.
    """
    if not _ID.fullmatch(given.person):
        raise InvalidError("person: a resident's id has 1 to 64 letters, digits, - and _")
    check_scope(given.scope)
    if given.kind is PassKind.TEMPORARY and given.valid_to is None:
        raise InvalidError("valid_to: a temporary pass has an end")
    if given.valid_from and given.valid_to and given.valid_from >= given.valid_to:
        raise InvalidError("valid_to: it ends before it begins")


def in_force(held: Pass, now: datetime) -> bool:
    """Whether it counts now."""
    return (held.valid_from is None or held.valid_from <= now) and (held.valid_to is None or now < held.valid_to)


def refusal(passes: Sequence[Pass], device: Device, now: datetime) -> DenyReason | None:
    """Why these passes of one person do not let them through this device now; None: one of them does."""
    here = [held for held in passes if covers(held.scope, device)]
    if any(in_force(held, now) for held in here):
        return None
    if not passes:
        return DenyReason.CREDENTIAL_NOT_ENABLED
    if not here:
        return DenyReason.UNAUTHORIZED
    early = any(held.valid_from is not None and now < held.valid_from for held in here)
    return DenyReason.CREDENTIAL_NOT_ACTIVE if early else DenyReason.CREDENTIAL_EXPIRED


class Passes:
    """The passes in memory and in the database. An ended one keeps its row, without a pass in force."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._by_person: Mapping[str, tuple[Pass, ...]] = {}
        self._by_id: dict[str, Pass] = {}

    def load(self) -> None:
        """Everything from the database into memory."""
        with self._lock:
            rows = self._store.reader.execute("SELECT * FROM passes ORDER BY id").fetchall()
            self._by_person, self._by_id = {}, {}
            self._take({row["person"] for row in rows}, rows)

    def reload(self, persons: Collection[str]) -> None:
        """The passes of these persons were written; takes as long as they are many."""
        reader = self._store.reader
        with self._lock:
            rows = []
            for person in persons:
                rows += reader.execute("SELECT * FROM passes WHERE person = ? ORDER BY id", (person,)).fetchall()
            self._take(persons, rows)

    def _take(self, persons: Collection[str], rows: Iterable[Row]) -> None:
        found: dict[str, list[Pass]] = {}
        for row in rows:
            mine = found.setdefault(row["person"], [])
            if not row["ended"]:
                mine.append(_pass(row))
        before = [one.id for person in persons for one in self._by_person.get(person, ())]
        for name in before:
            self._by_id.pop(name, None)
        self._by_id |= {one.id: one for mine in found.values() for one in mine}
        self._by_person = {**self._by_person, **{person: tuple(mine) for person, mine in found.items()}}

    def get(self, name: str) -> Pass | None:
        """The pass of this id, unless it has been ended."""
        return self._by_id.get(name)

    def all(self) -> list[Pass]:
        """Every pass that has not been ended, by id."""
        return sorted(self._by_id.copy().values(), key=lambda one: one.id)

    def refusal(self, person: str, device: Device, now: datetime) -> DenyReason | None:
        """Why their passes keep this person out here and now; None: they do not, or there never were any."""
        mine = self._by_person.get(person)
        return None if mine is None else refusal(mine, device, now)

    def narrowed(self, candidates: Iterable[Candidate], device: Device, now: datetime) -> Iterator[Candidate]:
        """Who of these may lie on a terminal's own list as far as their passes go, and until when."""
        for candidate in candidates:
            mine = self._by_person.get(candidate.person)
            if mine is None:
                yield candidate
                continue
            building = f"building:{device.building}" if device.building else ESTATE
            held = next((one for one in mine if in_force(one, now) and one.scope in (ESTATE, building)), None)
            if held is not None:
                begins = max(candidate.granted_at, held.valid_from or candidate.granted_at)
                yield replace(
                    candidate, granted_at=begins, until=min(candidate.until, held.valid_to or candidate.until)
                )

    def write(self, db: Connection, written: Iterable[Pass], ended: Iterable[str]) -> set[str]:
        """Checked passes into a transaction; gives whom they are about, for `reload` when it is committed. A pass given
        to somebody else keeps out whom it was given to before.
        """
        touched: set[str] = set()
        for one in written:
            times = [us(moment) if moment else None for moment in (one.valid_from, one.valid_to)]
            before = db.execute("SELECT person FROM passes WHERE id = ?", (one.id,)).fetchone()
            if before is not None and before["person"] != one.person:
                ended_id = f"{one.id}/{before['person']}"
                db.execute("UPDATE OR REPLACE passes SET id = ?, ended = 1 WHERE id = ?", (ended_id, one.id))
                touched.add(before["person"])
            db.execute(
                "INSERT OR REPLACE INTO passes VALUES(?, ?, ?, ?, ?, ?, 0)",
                (one.id, one.person, one.kind.value, one.scope, *times),
            )
            touched.add(one.person)
        for name in ended:
            row = db.execute("UPDATE passes SET ended = 1 WHERE id = ? RETURNING person", (name,)).fetchone()
            touched |= {row["person"]} if row else set()
        return touched

    def forget(self, person: str) -> None:
        """A person was forgotten, their rows with them (`drop`)."""
        with self._lock:
            for one in self._by_person.get(person, ()):
                self._by_id.pop(one.id, None)
            self._by_person = {who: mine for who, mine in self._by_person.items() if who != person}


def _pass(row: Row) -> Pass:
    return Pass(
        id=row["id"],
        person=row["person"],
        kind=PassKind(row["kind"]),
        scope=row["scope"],
        valid_from=when(row["valid_from"]) if row["valid_from"] is not None else None,
        valid_to=when(row["valid_to"]) if row["valid_to"] is not None else None,
    )


def drop(db: Connection, person: str) -> None:
    """Everything of a person, within the transaction that forgets them."""
    db.execute("DELETE FROM passes WHERE person = ?", (person,))
