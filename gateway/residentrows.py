"""Residents as they stand in the database: name and building sealed with the person's own key. Only reads."""

from __future__ import annotations

from collections.abc import Iterable
from sqlite3 import Connection, Row

import msgspec
from msgspec import Struct

from gateway.consents import read_consent
from gateway.listplan import Candidate
from gateway.residents import Resident
from gateway.store import when
from gateway.vault import Vault


class Body(Struct, frozen=True):
    """What is sealed in a person's row."""

    name: str
    building: str

    def seal(self, own: Vault, person: str) -> bytes:
        """With the person's own vault."""
        return own.seal(msgspec.json.encode(self), f"body:{person}")

    @classmethod
    def open(cls, own: Vault, sealed: bytes, person: str) -> Body:
        """What `seal` made."""
        return msgspec.json.decode(own.open(sealed, f"body:{person}"), type=cls)


def residents(reader: Connection, vault: Vault, person: str | None = None) -> list[Resident]:
    """Every resident, newest first; with `person` only that one, if there is such."""
    rows = reader.execute(
        "SELECT people.id, people.key, people.body, people.created_at, "  # noqa: S608 - the condition is ours
        "consents.id AS consent, consents.scope, consents.granted_at, consents.until, "
        "consents.recorded_by, consents.terminals, "
        "(SELECT count(*) FROM templates WHERE templates.person = people.id) AS templates, "
        "(SELECT count(*) FROM credentials WHERE credentials.person = people.id) AS cards "
        "FROM people JOIN consents ON consents.person = people.id AND consents.withdrawn_at IS NULL "
        f"{'' if person is None else 'WHERE people.id = ?'} ORDER BY people.created_at DESC, people.id",
        () if person is None else (person,),
    ).fetchall()
    return [_resident(row, vault.person(row["key"], row["id"])) for row in rows]


def _resident(row: Row, own: Vault) -> Resident:
    body = Body.open(own, row["body"], row["id"])
    return Resident(
        id=row["id"],
        name=body.name,
        building=body.building,
        consent=read_consent(row, row["consent"]),
        templates=row["templates"],
        cards=row["cards"],
        created_at=when(row["created_at"]),
    )


def candidates(reader: Connection, persons: Iterable[str] | None) -> list[Candidate]:
    """Everybody with a consent (or those of them), as far as terminals are concerned."""
    wanted = None if persons is None else set(persons)
    rows = reader.execute(
        "SELECT consents.person, scope, terminals, granted_at, until, (SELECT photo FROM templates "
        "WHERE templates.person = consents.person ORDER BY created_at, id LIMIT 1) AS photo "
        "FROM consents JOIN people ON people.id = consents.person WHERE withdrawn_at IS NULL"
    )
    return [
        Candidate(
            person=row["person"],
            scope=row["scope"],
            terminals=bool(row["terminals"]),
            granted_at=when(row["granted_at"]),
            until=when(row["until"]),
            photo=row["photo"] or "",
        )
        for row in rows
        if wanted is None or row["person"] in wanted
    ]
