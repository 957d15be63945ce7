"""On which captured pictures somebody was seen, by what the journal says. Only SQL and what its rows mean."""

from __future__ import annotations

from sqlite3 import Connection

import msgspec
from msgspec import Struct

_OF_PEOPLE = "(type = 'face_identified' OR type = 'access_granted' OR type = 'access_denied')"
"""Also the condition of the index `events_of_people`, word for word: else SQLite does not use it."""


class _Shown(Struct, frozen=True):
    person: str = ""
    evidence: str = ""


def captures_of(db: Connection, person: str, after: int) -> set[str]:
    """Keys of the pictures on which events after `after` say the person was seen."""
    rows = db.execute(
        f"SELECT body FROM events WHERE seq > ? AND {_OF_PEOPLE} AND instr(CAST(body AS TEXT), ?)",  # noqa: S608 - ours
        (after, person),
    )
    shown = [msgspec.json.decode(row["body"], type=_Shown) for row in rows]
    return {event.evidence for event in shown if event.person == person and event.evidence}


def uncapture(db: Connection, key: str) -> bool:
    """Whether there was such a capture: a device may have named any key."""
    return db.execute("DELETE FROM captures WHERE key = ?", (key,)).rowcount == 1


def shown_on(db: Connection, person: str, evidence: str) -> bool:
    """Whether an event says that this person was on this captured picture."""
    taken = db.execute("SELECT at FROM captures WHERE key = ?", (evidence,)).fetchone()
    if taken is None:
        return False
    rows = db.execute(
        f"SELECT body FROM events WHERE {_OF_PEOPLE} AND received_at >= ? AND instr(CAST(body AS TEXT), ?)",  # noqa: S608
        (taken["at"], evidence),
    )
    shown = (msgspec.json.decode(row["body"], type=_Shown) for row in rows)
    return any(event.person == person and event.evidence == evidence for event in shown)
