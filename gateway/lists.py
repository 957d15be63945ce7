"""Lists flow down: residents' photographs and vehicles' plates to the terminals that decide by themselves.

What a device should hold follows from the register, the consents and the device; what it may hold is a table; one
thread brings the two together, a batch at a time (`gateway.listplan` has the rules). It sends through the ordinary
command path and learns the outcome from the journal, so it may be killed anywhere: a batch is written down before it
leaves, and one whose outcome nobody knows is sent again.

A photograph is opened for its batch and for nothing else: none is stored, logged or kept in memory after.
"""

from __future__ import annotations

import sqlite3
import threading
import uuid
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NoAnswerError
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog
from msgspec import Struct

from devices.effects import Command, PersonEntry, ReportLists, SyncPersons, SyncPlates
from devices.events import ListAnswered, ListReported
from devices.kinds.link import Link
from devices.model import Device, Protocol
from gateway import listplan
from gateway.actions import Action, SendCommand
from gateway.directory import Directory
from gateway.listbook import ListBook, ListDevice
from gateway.listplan import Batch, EntryState
from gateway.listsource import ListSource
from gateway.store import Store
from gateway.templates import Photos

log = structlog.get_logger()

NOT_AFTER = timedelta(seconds=30)
LOST_AFTER = timedelta(minutes=2)
"""A batch written down whose command nobody has heard of after this never left."""
REPORT_WITHIN = timedelta(seconds=15)
"""After a restart a device may say what it holds; if it does not, everything is asserted again."""
BUSY_S, IDLE_S, AT_ONCE_S = 0.5, 30.0, 0.2
"""Seconds to the next look: while something is waited for, while nothing is, and between two looks at the least."""
QUIET_FOR = timedelta(seconds=30)
"""A device with nothing to do is looked at again after this, or when the register changes: consents come to an end."""
ASKED_EVERY = timedelta(hours=6)
"""A device that can be asked what it holds is asked this often, first when it has all that it should hold."""
SUBMIT_WITHIN_S = 10.0
BY = "lists"
"""Who asked for these commands, in the record."""


class ListView(Struct, frozen=True, kw_only=True):
    """How far a device's list has come. `counts`: entries by state; `wanted` are those still to be sent, or sent again.
    `refused`: entry and reason.
    """

    what: str
    counts: dict[str, int]
    refused: list[tuple[str, str]]
    doubted: bool
    failures: int


class Lists:
    """Keeps the terminals' lists. `link(device id)` is what is known of its connection; `submit` hands the engine an
    action. `round` does the work and is driven by the thread, or by a test.
    """

    def __init__(
        self,
        *,
        store: Store,
        directory: Directory,
        photos: Photos,
        protocols: Mapping[str, Protocol],
        link: Callable[[str], Link | None],
        submit: Callable[[Action], Future[Any]],
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._book = ListBook(store)
        self._store = store
        self._directory = directory
        self._source = ListSource(directory, photos, protocols)
        self._link = link
        self._submit = submit
        self._clock = clock
        self._awake = threading.Event()
        self._began_at = clock()
        self._quiet: dict[tuple[str, str], datetime] = {}
        self._asked: dict[str, datetime] = {}
        self._changed = False
        self._holding = False
        self.bugs = 0
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="lists", daemon=True)

    # -- life ---------------------------------------------

    def start(self) -> None:
        """Begin where the table stands."""
        self._thread.start()

    def stop(self) -> None:
        """End after the batch in hand."""
        self._stopping.set()
        self._awake.set()
        if self._thread.ident is not None:
            self._thread.join(SUBMIT_WITHIN_S + 1)

    def wake(self) -> None:
        """The register changed. Never blocks."""
        self._changed = True
        self._awake.set()

    def heard(self) -> None:
        """The engine committed something: an answer perhaps, or a device that has come back. Never blocks."""
        if self._holding:
            self._awake.set()

    def _run(self) -> None:
        while not self._stopping.wait(AT_ONCE_S):  # a flood of changes is looked at together
            self._awake.clear()
            try:
                busy = self.round(self._clock())
            except sqlite3.OperationalError as error:
                log.warning("lists_wait_for_the_database", trouble=str(error))
                busy = True
            except Exception:  # the supervisor: our own bug must not end the lists of every terminal
                self.bugs += 1
                log.exception("our_own_error", what="lists", bugs=self.bugs)
                busy = False
            self._awake.wait(BUSY_S if busy else IDLE_S)

    # -- one look at everything ---------------------------------------------

    def round(self, now: datetime) -> bool:
        """Take in what devices answered, then give each that is there its next batch. Says whether to look again
        soon.
        """
        if self._changed:
            self._changed = False
            self._quiet.clear()
        sorts = self._book.sorts()
        due = [
            (device, what)
            for device in self._directory.devices()
            for what in {*sorts.get(device.id, ()), self._source.what(device)}
            if what is not None
        ]
        self._holding = bool(due)
        if not due:
            return False
        with self._store.write() as db:
            self._learn(db, now)
        waiting = [self._supply(device, what, now) for device, what in due]
        return any(waiting)

    def _learn(self, db: sqlite3.Connection, now: datetime) -> None:
        """In one transaction, so that an answer and the end of its command are seen together."""
        for device_id, state in self._book.devices(db).items():
            self._look_at(db, device_id, state, now)
        for device_id, event in self._book.news(db):
            for what in self._book.sorts_of(db, device_id):
                match event:
                    case ListAnswered():
                        rows = self._book.batch(db, device_id, what, event.command_id)
                        self._change(db, device_id, what, listplan.answered(rows, event, now))
                        if not self._book.waits_for(db, device_id, event.command_id):
                            self._book.succeeded(db, device_id)
                    case ListReported() if event.what == what:
                        rows = self._book.rows(db, device_id, what)
                        self._change(db, device_id, what, listplan.reported(rows, event, now))
                        self._book.certain(db, device_id)
        for device_id, what, command in self._book.under_way(db):
            self._end(db, device_id, what, command, now)

    def _change(self, db: sqlite3.Connection, device_id: str, what: str, changes: listplan.RowChanges) -> None:
        self._book.change(db, device_id, what, changes)
        self._quiet.pop((device_id, what), None)

    def _look_at(self, db: sqlite3.Connection, device_id: str, state: ListDevice, now: datetime) -> None:
        """Was the device replaced, or did it restart?"""
        device, link = self._directory.device(device_id), self._link(device_id)
        if device is None:
            return
        boot_id = (link.boot_id if link else "") or state.boot_id
        if _identity(device) != state.identity:
            self._doubt(db, device_id, now)
        elif boot_id != state.boot_id and state.boot_id and state.doubted_at is None:
            state = state.doubting(now)
        elif state.doubted_at is not None and now >= state.doubted_at + REPORT_WITHIN:
            self._doubt(db, device_id, now)
            state = state.doubting(None)
        self._book.keep(db, device_id, state.known_as(_identity(device), boot_id))

    def _doubt(self, db: sqlite3.Connection, device_id: str, now: datetime) -> None:
        for what in self._book.sorts_of(db, device_id):
            self._change(db, device_id, what, listplan.doubted(self._book.rows(db, device_id, what), now))

    def _end(self, db: sqlite3.Connection, device_id: str, what: str, command: str, now: datetime) -> None:
        """A batch with entries unanswered for: has its command come to an end? One written down before we stopped, of
        which the engine has no record, never left.
        """
        status, at = self._book.fate(db, command), self._book.sent_at(db, device_id, command)
        over = at < self._began_at or now >= at + LOST_AFTER if status is None else status.final
        if over:
            rows = self._book.batch(db, device_id, what, command)
            self._change(db, device_id, what, listplan.unanswered(rows, command, now))
            if status is not None:
                self._book.failed(db, device_id, now)

    # -- one device ---------------------------------------------

    def _supply(self, device: Device, what: str, now: datetime) -> bool:
        """Its next batch, if there is one and the device is there. Says whether to look again soon."""
        if now < self._quiet.get((device.id, what), now):
            return False
        state = self._book.device(device.id)
        if state is not None and (state.doubted_at is not None or self._book.waits(device.id)):
            return True
        link = self._link(device.id)
        if link is None or not link.online:
            return False
        if state is not None and state.not_before is not None and now < state.not_before:
            return True
        wanted = self._source.wanted(device, what, now)
        rows = self._book.rows(self._store.reader, device.id, what)
        size = listplan.batch_size(what, state.failures if state else 0)
        planned = listplan.plan(wanted, rows, now, at_most=size)
        batch = self._source.within(device, planned) if planned else None
        if batch is None:
            self._quiet[device.id, what] = now + QUIET_FOR
            self._ask(device, now)
            return False
        self._send(device, what, batch, now)
        return True

    def _ask(self, device: Device, now: datetime) -> None:
        """Let the device say what it holds, where it can be asked: that shows what it has lost without a restart."""
        if now < self._asked.get(device.id, now) or not self._source.reports(device):
            return
        self._asked[device.id] = now + ASKED_EVERY
        question = ReportLists(not_after=now + NOT_AFTER, device=device.id)
        try:
            self._submit(SendCommand(by=BY, command=question)).result(SUBMIT_WITHIN_S)
        except Exception as error:  # noqa: BLE001 - as in `_hand_over`; it is asked again in its turn
            log.info("list_not_asked", device=device.id, trouble=type(error).__name__)

    def _send(self, device: Device, what: str, batch: Batch, now: datetime) -> None:
        """Write the batch down, then let it leave."""
        command_id = uuid.uuid4().hex
        photos, unfit = self._source.photographs(device, batch.put) if what == "persons" else ({}, {})
        with self._store.write() as db:
            # Asked again within the transaction: who withdrew while the photographs were opened is not sent.
            wanted, entries = self._source.entries(device, what, batch.put, photos, now)
            batch = Batch(
                put=tuple(entry.id if isinstance(entry, PersonEntry) else entry.plate for entry in entries),
                remove=batch.remove,
            )
            rows = self._book.rows(db, device.id, what)
            self._book.known(db, device.id, _identity(device), link=self._link(device.id))
            self._book.change(db, device.id, what, listplan.sent(batch, wanted, rows, command_id, now))
            self._book.change(db, device.id, what, listplan.unfit(unfit, wanted, now))
        if not entries and not batch.remove:
            return
        kind = SyncPersons if what == "persons" else SyncPlates
        command = kind(not_after=now + NOT_AFTER, device=device.id, put=entries, remove=batch.remove)
        self._hand_over(device, what, command, command_id, now)

    def _hand_over(self, device: Device, what: str, command: Command, command_id: str, now: datetime) -> None:
        """To the engine; what it refuses has not been sent and is wanted still."""
        try:
            self._submit(SendCommand(by=BY, command=command, command_id=command_id)).result(SUBMIT_WITHIN_S)
        except NoAnswerError:
            log.warning("list_in_doubt", device=device.id)  # it may be sent yet; its command tells, or nobody ever does
        except Exception as error:  # noqa: BLE001 - refused, or a bug the engine has told of: this device waits, not all
            log.info("list_not_sent", device=device.id, trouble=type(error).__name__)
            with self._store.write() as db:
                rows = self._book.batch(db, device.id, what, command_id)
                self._change(db, device.id, what, listplan.unanswered(rows, command_id, now))
                self._book.failed(db, device.id, now)

    # -- for people ---------------------------------------------

    def view(self, device: Device, now: datetime) -> ListView:
        """How far this device's list has come."""
        what = self._source.what(device) or next(iter(self._book.sorts().get(device.id, ())), "")
        rows = self._book.rows(self._store.reader, device.id, what)
        wanted = self._source.wanted(device, what, now) if what else {}
        counts = dict.fromkeys((state.value for state in EntryState), 0)
        counts["wanted"] += sum(1 for entry in wanted if entry not in rows)
        for row in rows.values():
            gone = row.entry not in wanted
            stale = row.state is EntryState.HELD and not gone and wanted[row.entry] != row.revision
            counts["removing" if gone else "wanted" if stale else row.state.value] += 1
        state = self._book.device(device.id)
        return ListView(
            what=what,
            counts=counts,
            refused=sorted((row.entry, row.reason) for row in rows.values() if row.reason),
            doubted=state is not None and state.doubted_at is not None,
            failures=state.failures if state else 0,
        )

    def resync(self, device: Device, now: datetime) -> None:
        """The device may have lost its list (a reset, a replacement): assert all of it again."""
        with self._store.write() as db:
            self._doubt(db, device.id, now)
            self._book.certain(db, device.id)
            self._book.succeeded(db, device.id)
        self.wake()


def _identity(device: Device) -> str:
    return f"{device.kind}/{device.protocol}/{device.address}"
