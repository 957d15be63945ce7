"""Face templates as they are kept: the vector sealed in the database, the photo sealed in a file."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from datetime import datetime
from sqlite3 import Connection
from typing import Protocol

from msgspec import Struct

from gateway.actions import NotFoundError
from gateway.enrolment import MAX_TEMPLATES
from gateway.refusals import InvalidError
from gateway.residents import Face
from gateway.store import us
from gateway.vault import Vault
from vision.types import MODEL


class Photos(Protocol):
    """Where photo files lie (the evidence store)."""

    def write(self, key: str, image: bytes) -> None: ...
    def read(self, key: str) -> bytes | None: ...
    def delete(self, key: str) -> object: ...


class NewTemplate(Struct, frozen=True):
    """A template to be. `photo`: the key its photo, sealed with the person's own key, is written under."""

    id: str
    photo: str
    face: Face


def new_templates(faces: Sequence[Face], own: Vault, photos: Photos) -> list[NewTemplate]:
    """Photos first: a crash in between leaves a sealed file that nothing names, never a template without its photo."""
    made = [NewTemplate(f"tpl_{secrets.token_hex(8)}", secrets.token_hex(32), face) for face in faces]
    for new in made:
        photos.write(new.photo, own.seal(new.face.image, f"photo:{new.photo}"))
    return made


def write_templates(db: Connection, person: str, made: Sequence[NewTemplate], own: Vault, now: datetime) -> None:
    """The rows, in the caller's transaction."""
    db.executemany(
        "INSERT INTO templates VALUES(?, ?, ?, ?, ?, ?)",
        [
            (new.id, person, MODEL, own.seal(new.face.embedding, f"template:{new.id}"), new.photo, us(now))
            for new in made
        ],
    )


def refuse_more(db: Connection, person: str, more: int) -> None:
    """Asked in the transaction that writes them: withdrawn meanwhile, or with too many by now?

    :raises NotFoundError: there is no such resident.
    :raises InvalidError: they would have more than `MAX_TEMPLATES`.
    """
    row = db.execute(
        "SELECT (SELECT count(*) FROM templates WHERE person = people.id) AS held FROM people WHERE id = ?", (person,)
    ).fetchone()
    if row is None:
        raise NotFoundError(f"there is no resident {person}")
    if row["held"] + more > MAX_TEMPLATES:
        raise InvalidError(f"a resident has at most {MAX_TEMPLATES} photos, this one has {row['held']}")
