"""Rows of the database that cannot be read: taken out of the way whole, named in the log and in `health`, kept until a
person has dealt with them (`linli aside`). The rest works on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Literal, TypeVar

import msgspec
import structlog
from msgspec import Struct

from gateway.store import Store, us, when

log = structlog.get_logger()

Table = Literal["alerts", "commands", "devices", "jobs"]
"""Tables whose rows have an `id`."""
T = TypeVar("T")
_NAMED = 3


class SetAside(Struct, frozen=True, kw_only=True):
    """One row. `source`: its table; `name`: its id there; `reason`: why it cannot be read."""

    seq: int
    at: datetime
    source: str
    name: str
    reason: str


class UnreadableError(ValueError):
    """A row is not what its table holds."""


UNREADABLE = (msgspec.MsgspecError, UnreadableError, UnicodeDecodeError, TypeError)
"""What decoding a damaged row may raise."""


def readable(store: Store, table: Table, rows: Iterable[tuple[str, T]], decode: Callable[[str, T], object]) -> None:
    """Decode each row (its id and what is left of it); those that cannot be are set aside."""
    for name, row in list(rows):
        try:
            decode(name, row)
        except UNREADABLE as error:
            set_aside(store, table, name, str(error))


def set_aside(store: Store, table: Table, name: str, reason: str) -> None:
    """Move a row out of the way of everybody who reads its table."""
    with store.write() as db:
        cursor = db.execute(f"SELECT * FROM {table} WHERE id = ?", (name,))  # noqa: S608 - a table of ours
        row = cursor.fetchone()
        if row is None:
            return
        body = msgspec.msgpack.encode({column[0]: value for column, value in zip(cursor.description, row, strict=True)})
        db.execute(
            "INSERT INTO set_aside(at, source, name, reason, row) VALUES (?,?,?,?,?)",
            (us(datetime.now(UTC)), table, name, reason, body),
        )
        db.execute(f"DELETE FROM {table} WHERE id = ?", (name,))  # noqa: S608 - a table of ours
    log.error("row_set_aside", table=table, id=name, reason=reason)


def rows(store: Store) -> list[SetAside]:
    """What was set aside and not dealt with yet, oldest first."""
    found = store.reader.execute("SELECT seq, at, source, name, reason FROM set_aside ORDER BY seq").fetchall()
    return [SetAside(seq=row[0], at=when(row[1]), source=row[2], name=row[3], reason=row[4]) for row in found]


def ids(store: Store, table: Table) -> frozenset[str]:
    """The ids of a table's rows that were set aside."""
    return frozenset(row.name for row in rows(store) if row.source == table)


def forget(store: Store, seq: int) -> bool:
    """Dealt with: drop it for good. False: there is none of this number."""
    with store.write() as db:
        return db.execute("DELETE FROM set_aside WHERE seq = ?", (seq,)).rowcount > 0


def problems(store: Store) -> list[str]:
    """One sentence for each table that lost rows."""
    by_table: dict[str, list[str]] = {}
    for row in rows(store):
        by_table.setdefault(row.source, []).append(row.name)
    return [
        f"{len(names)} rows of {table} cannot be read and were set aside ({', '.join(names[:_NAMED])}"
        f"{', ...' if len(names) > _NAMED else ''}); `linli aside list` shows them"
        for table, names in by_table.items()
    ]
