"""Reads what the gateway has written, from outside: SQLite, read only, beside the running gateway."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec

from devices.events import BayChanged, CoverMoved, CredentialPresented, DoorChanged, LampMeasured, WaterMeasured
from simulators.chaos_ledger import Books, Key
from simulators.chaos_words import Words

STREAMED = tuple(
    str(kind.__struct_config__.tag)
    for kind in (LampMeasured, CoverMoved, WaterMeasured, BayChanged, CredentialPresented, DoorChanged)
)
"""The types of event the native devices send; only devices make them."""


class _State(msgspec.Struct):
    kind: dict[str, Any]
    link: dict[str, Any] = {}


def open_books(database: Path) -> sqlite3.Connection:
    """A connection that cannot write."""
    return sqlite3.connect(f"{database.resolve().as_uri()}?mode=ro", uri=True, timeout=10)


def read_books(database: Path, spoken: Mapping[str, Words]) -> Books:
    """Everything the judge needs, as of one moment. `spoken`: of each device that is not native, what it speaks."""
    with closing(open_books(database)) as db:
        db.execute("BEGIN")
        states, online = _states(db)
        return Books(
            events=_events(db, spoken),
            changes=[
                f"{seq}.{alert}" for seq, alert in db.execute("SELECT seq, alert FROM alert_changes ORDER BY seq")
            ],
            open_keys=[key for (key,) in db.execute("SELECT key FROM alerts WHERE open=1")],
            commands={i: (device, by) for i, device, by in db.execute("SELECT id, device, requested_by FROM commands")},
            states=states,
            online=online,
            alarmed=frozenset(device for (device,) in db.execute("SELECT DISTINCT device FROM alerts")),
            dangers=frozenset(
                device
                for (device,) in db.execute(
                    "SELECT DISTINCT device FROM events WHERE type='cover_moved' AND json_extract(body, '$.open')"
                )
            ),
        )


def _events(db: sqlite3.Connection, spoken: Mapping[str, Words]) -> dict[Key, int]:
    """How often each stands there. What carries no mark (a state told at a birth) is no event of the account."""
    types = tuple({*STREAMED, *(words.event for words in spoken.values())})
    query = f"SELECT device, type, at, body FROM events WHERE type IN ({','.join('?' * len(types))})"  # noqa: S608 - only question marks
    found: Counter[Key] = Counter()
    for device, kind, at, body in db.execute(query, types):
        words = spoken.get(device)
        if words is None:
            found[Key(device, kind, at)] += kind in STREAMED
        elif kind == words.event and (mark := words.found(msgspec.json.decode(body) | {"at": at})) is not None:
            found[Key(device, kind, mark)] += 1
    return +found


def set_aside(database: Path) -> dict[str, int]:
    """Whose messages were set aside and why, as `address: reason`."""
    with closing(open_books(database)) as db:
        rows = db.execute("SELECT address, reason, count(*) FROM quarantine GROUP BY address, reason")
        return {f"{address}: {reason}": count for address, reason, count in rows}


def _states(db: sqlite3.Connection) -> tuple[dict[str, bool | None], frozenset[str]]:
    """The positions believed, and who is believed to be there."""
    positions: dict[str, bool | None] = {}
    online = set()
    for device, body in db.execute("SELECT substr(name, 8), body FROM states WHERE name LIKE 'device:%'"):
        state = msgspec.json.decode(body, type=_State)
        if state.link.get("online"):
            online.add(device)
        if "occupied_at" in state.kind:
            positions[device] = state.kind["occupied_at"] is not None
        elif "open" in state.kind:
            positions[device] = state.kind["open"]
    return positions, frozenset(online)
