"""The list a terminal decides by itself with: what it should hold, what it may hold, what to tell it next. Pure.

    (none) -> sent -> held                 the device took it
                   -> refused(reason)      it did not; not tried again until the entry changes
                   -> wanted               no answer came: it may be there or not, so it is sent again
    any of them -> removing -> (none)      not wanted any more; gone only when the device says so

An entry is a person's registry id or a plate. What is not on record here was never sent: a copy we cannot account for
does not exist. A batch is idempotent, so it is sent again whenever its answer is in doubt.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from hashlib import blake2b

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from devices.effects import PlateEntry, SyncPersons, SyncPlates
from devices.events import ListAnswered, Listing, ListReported
from devices.model import Device, Protocol
from gateway.residents import ESTATE
from gateway.vehicles import Vehicle

HOLDS = "holds_list"
"""The limit of a kind that says that the device decides by itself (`devices.kinds.common.HOLDS_LIST`)."""
REFUSED_REMOVAL = timedelta(minutes=10)
"""A removal the device refused is tried again after this."""
BACKOFF_FROM, BACKOFF_TO = timedelta(seconds=5), timedelta(hours=1)
ENTRIES_AT_MOST = {"persons": 50, "plates": 500}
"""Entries of one batch; photographs are bounded by their bytes besides (`gateway.lists`)."""

_LISTS: Mapping[str, type[SyncPersons | SyncPlates]] = {"face_gate": SyncPersons, "barrier": SyncPlates}
_WHAT: Mapping[type[SyncPersons | SyncPlates], str] = {SyncPersons: "persons", SyncPlates: "plates"}


def list_of(device: Device, protocol: Protocol) -> str | None:
    """Which list the device could hold: "persons", "plates", or None where its kind or protocol has none, or none that
    we could keep: nobody is put onto a terminal that cannot be told to forget, and of cards we have hashes only.
    """
    command, limits = _LISTS.get(device.kind), protocol.lists
    if command is None or command not in protocol.commands or not limits.remove:
        return None
    return None if command is SyncPersons and not limits.photo_bytes else _WHAT[command]


# -- what a device should hold ---------------------------------------------


class Candidate(Struct, frozen=True, kw_only=True):
    """A person as far as a terminal is concerned. `terminals`: the consent allows copies on terminals. `photo`: the key
    of the enrolled photograph, which never changes what it names; "" for none.
    """

    person: str
    scope: str
    terminals: bool
    granted_at: datetime
    until: datetime
    photo: str


def may_copy(candidate: Candidate, device: Device, now: datetime) -> bool:
    """Whether the person's photograph may lie on this device now. Stricter than opening: a consent for one building
    never sends a photograph to a gate of the whole estate.
    """
    here = candidate.scope == ESTATE or (bool(device.building) and candidate.scope == f"building:{device.building}")
    return candidate.terminals and here and candidate.granted_at <= now < candidate.until


def wanted_persons(candidates: Iterable[Candidate], device: Device, now: datetime) -> dict[str, str]:
    """Person id -> revision of everybody the terminal should hold. Who has no photograph has nothing to send: card
    numbers are not kept.
    """
    return {
        found.person: _revision(found.photo, found.granted_at, found.until)
        for found in candidates
        if found.photo and may_copy(found, device, now)
    }


def plate_entries(vehicles: Iterable[Vehicle], now: datetime) -> dict[str, PlateEntry]:
    """The vehicles a barrier should hold: in force now or later. What is over is not known any more."""
    return {
        vehicle.plate: PlateEntry(
            plate=vehicle.plate,
            blocked=vehicle.listing is Listing.BLOCK,
            valid_from=vehicle.valid_from,
            valid_to=vehicle.valid_to,
        )
        for vehicle in vehicles
        if vehicle.valid_to is None or now < vehicle.valid_to
    }


def wanted_plates(entries: Mapping[str, PlateEntry]) -> dict[str, str]:
    """Plate -> revision."""
    return {plate: _revision(entry.blocked, entry.valid_from, entry.valid_to) for plate, entry in entries.items()}


def _revision(*content: object) -> str:
    return blake2b(msgspec.json.encode(content), digest_size=8).hexdigest()


# -- what a device may hold ---------------------------------------------


class EntryState(StrEnum):
    """Where one entry stands at one device."""

    WANTED = "wanted"
    SENT = "sent"
    HELD = "held"
    REFUSED = "refused"
    REMOVING = "removing"


class Entry(Struct, frozen=True, kw_only=True):
    """One entry at one device. `command`: the last batch it was in; `waiting`: that batch has no outcome yet. `at`:
    when it last changed. `not_before`: when a refused removal is tried again.
    """

    entry: str
    revision: str
    state: EntryState
    reason: str = ""
    command: str = ""
    waiting: bool = False
    at: datetime
    not_before: datetime | None = None


Rows = Mapping[str, Entry]
"""What a device may hold, by entry."""

RowChanges = dict[str, Entry | None]
"""What becomes of some of it; None: it is gone."""


class Batch(Struct, frozen=True, kw_only=True):
    """What to tell a device next: removals alone, or additions and changes."""

    put: tuple[str, ...] = ()
    remove: tuple[str, ...] = ()


def plan(wanted: Mapping[str, str], rows: Rows, now: datetime, *, at_most: int) -> Batch | None:
    """The next batch; None where nothing is to be done now, or an answer is waited for. `wanted`: entry -> revision.

    Who must go goes first. What was tried longest ago comes first after that, so that an entry a device chokes on does
    not keep the others from it.
    """
    if any(row.waiting for row in rows.values()):
        return None
    gone = [row for entry, row in rows.items() if entry not in wanted and (row.not_before or now) <= now]
    if gone:
        return Batch(remove=tuple(row.entry for row in sorted(gone, key=_age)[:at_most]))
    new = sorted(entry for entry in wanted if entry not in rows)
    again = sorted((row for entry, row in rows.items() if entry in wanted and _stale(row, wanted[entry])), key=_age)
    put = (*new, *(row.entry for row in again))[:at_most]
    return Batch(put=put) if put else None


def _stale(row: Entry, revision: str) -> bool:
    return row.state in (EntryState.WANTED, EntryState.REMOVING) or row.revision != revision


def _age(row: Entry) -> tuple[datetime, str]:
    return row.at, row.entry


def sent(batch: Batch, wanted: Mapping[str, str], rows: Rows, command: str, now: datetime) -> RowChanges:
    """The batch is about to leave as `command`: written down before it does."""
    changes: RowChanges = {
        entry: Entry(entry=entry, revision=wanted[entry], state=EntryState.SENT, command=command, waiting=True, at=now)
        for entry in batch.put
    }
    for entry in batch.remove:
        changes[entry] = replace(
            rows[entry], state=EntryState.REMOVING, command=command, waiting=True, at=now, not_before=None
        )
    return changes


def unfit(reasons: Mapping[str, str], wanted: Mapping[str, str], now: datetime) -> RowChanges:
    """What we do not send at all, and why; it stands as refused until it changes. Who is not wanted is not named."""
    return {
        entry: Entry(entry=entry, revision=wanted[entry], state=EntryState.REFUSED, reason=why, at=now)
        for entry, why in reasons.items()
        if entry in wanted
    }


def answered(rows: Rows, event: ListAnswered, now: datetime) -> RowChanges:
    """The device's answer, perhaps in parts, perhaps late: only for what is still in that batch."""
    changes: RowChanges = {}
    refused = {refusal.entry for refusal in event.refused}
    took = rows.keys() - refused if event.rest else event.took
    for entry in took:
        row = rows.get(entry)
        if row is None or row.command != event.command_id:
            continue
        if row.state is EntryState.REMOVING:
            changes[entry] = None
        elif row.state in (EntryState.SENT, EntryState.WANTED):
            changes[entry] = replace(row, state=EntryState.HELD, reason="", waiting=False, at=now)
    for refusal in event.refused:
        row = rows.get(refusal.entry)
        if row is None or row.command != event.command_id or refusal.entry in changes:
            continue
        told = replace(row, reason=refusal.reason, waiting=False, at=now)
        if row.state is EntryState.REMOVING:
            changes[row.entry] = replace(told, not_before=now + REFUSED_REMOVAL)
        elif row.state in (EntryState.SENT, EntryState.WANTED):
            changes[row.entry] = replace(told, state=EntryState.REFUSED)
    return changes


def unanswered(rows: Rows, command: str, now: datetime) -> RowChanges:
    """The batch `command` came to its end: what it was not answered for may or may not be there."""
    return {
        entry: replace(
            row, state=EntryState.WANTED if row.state is EntryState.SENT else row.state, waiting=False, at=now
        )
        for entry, row in rows.items()
        if row.waiting and row.command == command
    }


def doubted(rows: Rows, now: datetime) -> RowChanges:
    """The device may have forgotten everything (it was replaced or reset, or somebody asks): assert all of it again.
    An answer that is still on its way says nothing of the device as it is now.
    """
    return {
        entry: replace(
            row,
            state=row.state if row.state is EntryState.REMOVING else EntryState.WANTED,
            reason="",
            command="",
            waiting=False,
            at=now,
            not_before=None,
        )
        for entry, row in rows.items()
    }


def reported(rows: Rows, event: ListReported, now: datetime) -> RowChanges:
    """What the device says it holds. Where it names all of it, what it lacks is sent again, and what is to be removed
    and is not there counts as removed; where it only counts, fewer than it took puts everything in doubt.
    """
    held = [row for row in rows.values() if row.state is EntryState.HELD]
    if len(event.entries) != event.count:
        return doubted(rows, now) if event.count < len(held) else {}
    named = set(event.entries)
    changes: RowChanges = {
        row.entry: replace(row, state=EntryState.WANTED, command="", at=now) for row in held if row.entry not in named
    }
    for row in rows.values():
        # One made before the row last changed may be older than the copy that is to go.
        newer = event.at > row.at
        if row.state is EntryState.REMOVING and not row.waiting and row.entry not in named and newer:
            changes[row.entry] = None
    return changes


def backoff(failures: int) -> timedelta:
    """How long to leave a device alone after so many batches in a row without a full answer."""
    return min(BACKOFF_TO, BACKOFF_FROM * 2 ** min(failures - 1, 12)) if failures > 0 else timedelta(0)


def batch_size(what: str, failures: int) -> int:
    """Smaller after each failure, down to one: an entry a device chokes on ends up in a batch of its own."""
    return max(1, ENTRIES_AT_MOST[what] >> failures)
