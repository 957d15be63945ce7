"""The tables of the terminals' lists: what each device may hold, and what is known of the device itself.

Whoever writes gives the connection of their transaction.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from sqlite3 import Connection
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from devices.commands import CommandStatus
from devices.events import ListAnswered, ListReported
from devices.kinds.link import Link
from gateway.listplan import Entry, EntryState, RowChanges, backoff
from gateway.store import Store, us, when

CURSOR = "lists"
"""How far in the journal the answers of devices have been taken in."""
LOOK_AT = 20_000
"""Rows of the journal looked at in one go, ..."""
LOOK_AGAIN_AT = 1_000
"""...and so many without news at most are looked at twice, so that not every look writes to the disk."""
_news = msgspec.json.Decoder(ListAnswered | ListReported)


class ListDevice(Struct, frozen=True, kw_only=True):
    """A device that may hold a list. `identity`, `boot_id`: as it was; `doubted_at`: since when it may have forgotten
    everything; `failures`: batches in a row without a full answer, and it is left alone until `not_before`.
    """

    identity: str
    boot_id: str = ""
    doubted_at: datetime | None = None
    failures: int = 0
    not_before: datetime | None = None

    def doubting(self, since: datetime | None) -> ListDevice:
        return replace(self, doubted_at=since)

    def known_as(self, identity: str, boot_id: str) -> ListDevice:
        return replace(self, identity=identity, boot_id=boot_id)


class ListBook:
    """Reads and writes them."""

    def __init__(self, store: Store) -> None:
        self._store = store

    # -- entries ---------------------------------------------

    def rows(self, db: Connection, device: str, what: str) -> dict[str, Entry]:
        """What a device may hold, by entry."""
        found = db.execute("SELECT * FROM list_entries WHERE device = ? AND what = ?", (device, what))
        return {row["entry"]: _entry(row) for row in found}

    def batch(self, db: Connection, device: str, what: str, command: str) -> dict[str, Entry]:
        """Those whose last batch was `command`."""
        found = db.execute(
            "SELECT * FROM list_entries WHERE device = ? AND what = ? AND command = ?", (device, what, command)
        )
        return {row["entry"]: _entry(row) for row in found}

    def waits(self, device: str) -> bool:
        """Whether a batch to this device has no outcome yet."""
        found = self._store.reader.execute(
            "SELECT 1 FROM list_entries WHERE waiting = 1 AND device = ? LIMIT 1", (device,)
        )
        return found.fetchone() is not None

    def change(self, db: Connection, device: str, what: str, changes: RowChanges) -> None:
        """Write down what became of some of it."""
        gone = [(device, what, entry) for entry, row in changes.items() if row is None]
        db.executemany("DELETE FROM list_entries WHERE device = ? AND what = ? AND entry = ?", gone)
        db.executemany(
            "INSERT OR REPLACE INTO list_entries VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [
                (
                    device,
                    what,
                    row.entry,
                    row.revision,
                    row.state.value,
                    row.reason,
                    row.command,
                    row.waiting,
                    us(row.at),
                    us(row.not_before) if row.not_before else None,
                )
                for row in changes.values()
                if row is not None
            ],
        )

    def sorts(self) -> dict[str, list[str]]:
        """Device -> the sorts of entries it may hold (persons, plates)."""
        found: dict[str, list[str]] = {}
        for row in self._store.reader.execute("SELECT DISTINCT device, what FROM list_entries"):
            found.setdefault(row["device"], []).append(row["what"])
        return found

    def sorts_of(self, db: Connection, device: str) -> list[str]:
        """The same of one device."""
        return [row["what"] for row in db.execute("SELECT DISTINCT what FROM list_entries WHERE device = ?", (device,))]

    # -- batches ---------------------------------------------

    def under_way(self, db: Connection) -> list[tuple[str, str, str]]:
        """Device, sort and command of every batch with entries that are not answered for."""
        found = db.execute("SELECT DISTINCT device, what, command FROM list_entries WHERE waiting = 1")
        return [(row["device"], row["what"], row["command"]) for row in found]

    def fate(self, db: Connection, command: str) -> CommandStatus | None:
        """The status of a command; None when there is none of this id."""
        row = db.execute("SELECT status FROM commands WHERE id = ?", (command,)).fetchone()
        return CommandStatus(row["status"]) if row else None

    def waits_for(self, db: Connection, device: str, command: str) -> bool:
        """Whether entries of this batch are not answered for."""
        found = db.execute(
            "SELECT 1 FROM list_entries WHERE waiting = 1 AND device = ? AND command = ? LIMIT 1", (device, command)
        )
        return found.fetchone() is not None

    def sent_at(self, db: Connection, device: str, command: str) -> datetime:
        """When its batch was written down."""
        row = db.execute(
            "SELECT max(at) AS at FROM list_entries WHERE device = ? AND command = ?", (device, command)
        ).fetchone()
        return when(row["at"])

    def news(self, db: Connection) -> Iterator[tuple[str, ListAnswered | ListReported]]:
        """What devices said of their lists since the last time. Where nothing is on record nothing is looked at."""
        newest = db.execute("SELECT coalesce(max(seq), 0) AS seq FROM events").fetchone()["seq"]
        cursor = db.execute("SELECT seq FROM cursors WHERE name = ?", (CURSOR,)).fetchone()
        after = cursor["seq"] if cursor else newest
        if db.execute("SELECT 1 FROM list_entries LIMIT 1").fetchone() is None:
            after = max(after, newest)
        upto = min(newest, after + LOOK_AT)
        found = db.execute(
            "SELECT device, body FROM events WHERE seq > ? AND seq <= ? AND type IN ('list_answered', 'list_reported') "
            "ORDER BY seq",
            (after, upto),
        ).fetchall()
        if cursor is None or found or upto - cursor["seq"] >= LOOK_AGAIN_AT:
            db.execute("INSERT OR REPLACE INTO cursors VALUES(?, ?)", (CURSOR, upto))
        for row in found:
            yield row["device"], _news.decode(row["body"])

    # -- devices ---------------------------------------------

    def device(self, device: str) -> ListDevice | None:
        """What is known of one device."""
        row = self._store.reader.execute("SELECT * FROM list_devices WHERE device = ?", (device,)).fetchone()
        return _device(row) if row else None

    def devices(self, db: Connection) -> dict[str, ListDevice]:
        """What is known of every device that holds, or held, a list."""
        return {row["device"]: _device(row) for row in db.execute("SELECT * FROM list_devices")}

    def keep(self, db: Connection, device: str, state: ListDevice) -> None:
        """Write down what is known now."""
        before = self.devices(db).get(device)
        if before != state:
            db.execute(
                "INSERT OR REPLACE INTO list_devices VALUES(?, ?, ?, ?, ?, ?)",
                (
                    device,
                    state.identity,
                    state.boot_id,
                    us(state.doubted_at) if state.doubted_at else None,
                    state.failures,
                    us(state.not_before) if state.not_before else None,
                ),
            )

    def known(self, db: Connection, device: str, identity: str, *, link: Link | None) -> None:
        """The device is about to be sent its first batch, or another one."""
        if device not in self.devices(db):
            self.keep(db, device, ListDevice(identity=identity, boot_id=link.boot_id if link else ""))

    def certain(self, db: Connection, device: str) -> None:
        """It is known again what the device holds."""
        self._put(db, device, doubted_at=None)

    def succeeded(self, db: Connection, device: str) -> None:
        """A batch was answered in full."""
        self._put(db, device, failures=0, not_before=None)

    def _put(self, db: Connection, device: str, **changes: Any) -> None:
        state = self.devices(db).get(device)
        if state is not None:
            self.keep(db, device, replace(state, **changes))

    def failed(self, db: Connection, device: str, now: datetime) -> None:
        """A batch came to its end without a full answer."""
        state = self.devices(db).get(device)
        if state is not None:
            failures = state.failures + 1
            self.keep(db, device, replace(state, failures=failures, not_before=now + backoff(failures)))


def _entry(row: Any) -> Entry:
    return Entry(
        entry=row["entry"],
        revision=row["revision"],
        state=EntryState(row["state"]),
        reason=row["reason"],
        command=row["command"],
        waiting=bool(row["waiting"]),
        at=when(row["at"]),
        not_before=when(row["not_before"]) if row["not_before"] is not None else None,
    )


def _device(row: Any) -> ListDevice:
    return ListDevice(
        identity=row["identity"],
        boot_id=row["boot_id"],
        doubted_at=when(row["doubted_at"]) if row["doubted_at"] is not None else None,
        failures=row["failures"],
        not_before=when(row["not_before"]) if row["not_before"] is not None else None,
    )
