"""Reads what the gateway has written, from outside: SQLite, read only, beside the running gateway."""

from __future__ import annotations

import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec

from devices.events import BayChanged, CoverMoved, CredentialPresented, DoorChanged, LampMeasured, WaterMeasured
from simulators.chaos_ledger import Books, Key

STREAMED = tuple(
    str(kind.__struct_config__.tag)
    for kind in (LampMeasured, CoverMoved, WaterMeasured, BayChanged, CredentialPresented, DoorChanged)
)
"""The types of event the stream sends; only devices make them."""
_MARKS = ",".join("?" * len(STREAMED))


class _State(msgspec.Struct):
    kind: dict[str, Any]


def open_books(database: Path) -> sqlite3.Connection:
    """A connection that cannot write."""
    return sqlite3.connect(f"{database.resolve().as_uri()}?mode=ro", uri=True, timeout=10)


def read_books(database: Path) -> Books:
    """Everything the judge needs, as of one moment."""
    with closing(open_books(database)) as db:
        db.execute("BEGIN")
        return Books(
            events=_events(db),
            changes=[
                f"{seq}.{alert}" for seq, alert in db.execute("SELECT seq, alert FROM alert_changes ORDER BY seq")
            ],
            open_keys=[key for (key,) in db.execute("SELECT key FROM alerts WHERE open=1")],
            commands={i: (device, by) for i, device, by in db.execute("SELECT id, device, requested_by FROM commands")},
            newest=_newest(db),
            states=_states(db),
            alarmed=frozenset(device for (device,) in db.execute("SELECT DISTINCT device FROM alerts")),
            dangers=frozenset(
                device
                for (device,) in db.execute(
                    "SELECT DISTINCT device FROM events WHERE type='cover_moved' AND json_extract(body, '$.open')"
                )
            ),
        )


def _events(db: sqlite3.Connection) -> dict[Key, int]:
    query = f"SELECT device, type, at FROM events WHERE type IN ({_MARKS})"  # noqa: S608 - only question marks
    return Counter(Key(*row) for row in db.execute(query, STREAMED))


def _newest(db: sqlite3.Connection) -> dict[str, bool]:
    found = db.execute(
        "SELECT device, coalesce(json_extract(body, '$.open'), json_extract(body, '$.occupied')), max(at)"
        " FROM events WHERE type IN ('cover_moved', 'bay_changed') GROUP BY device"
    )
    return {device: bool(position) for device, position, _ in found}


def _states(db: sqlite3.Connection) -> dict[str, bool | None]:
    states: dict[str, bool | None] = {}
    for device, body in db.execute("SELECT substr(name, 8), body FROM states WHERE name LIKE 'device:%'"):
        kind = msgspec.json.decode(body, type=_State).kind
        if "occupied_at" in kind:
            states[device] = kind["occupied_at"] is not None
        elif "open" in kind:
            states[device] = kind["open"]
    return states
