"""The journal: one durable transaction for all that a batch of messages changes. Nothing is acknowledged before it."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import msgspec
import structlog

from devices.kinds.link import Link
from devices.model import DeviceKind
from gateway import feed
from gateway.changes import Changes, DeviceState
from gateway.entries import Entry, entries, entry
from gateway.kept import Kept, write_alerts
from gateway.latest import Row
from gateway.ledger import Ledger, keep_head, kept_head, signing_key
from gateway.pseudonyms import Pseudonyms
from gateway.replay import REMEMBERED, Sighting
from gateway.rows import SavedState, set_aside, write_facts, write_pictures, write_work
from gateway.settings import Limits, Retention
from gateway.store import Store, us, when
from gateway.vault import Vault

log = structlog.get_logger()

PRUNE_ROWS = 5_000
_OLD_EVENTS = "DELETE FROM events WHERE seq IN (SELECT seq FROM events ORDER BY seq LIMIT ?) AND received_at < ?"

_OLD_COMMANDS = "DELETE FROM commands WHERE status NOT IN ('sent', 'accepted') AND requested_at < ?"


class CommitError(RuntimeError):
    """The batch could not be made durable (disk full, I/O error); nothing of it has happened."""


def _of_the_disk(error: BaseException) -> bool:
    """Full, failing, locked or damaged: not the fault of what was to be written."""
    return isinstance(error, sqlite3.OperationalError) or type(error) is sqlite3.DatabaseError


S = TypeVar("S", bound=msgspec.Struct)
T = TypeVar("T")


def _restored(body: bytes | msgspec.Raw, shape: type[S], name: str) -> S | None:
    """A saved state, or None where its shape has changed since: better to begin anew than not to begin."""
    try:
        return msgspec.json.decode(body, type=shape)
    except (msgspec.DecodeError, ValueError) as error:
        log.warning("state_not_taken_up", name=name, trouble=str(error))
        return None


class Journal:
    """Writes batches. Used by the engine's thread alone. `community_of`: a device's."""

    def __init__(
        self,
        store: Store,
        vault: Vault,
        *,
        retention: Retention,
        limits: Limits,
        community_of: Callable[[str], str],
    ) -> None:
        self._closed = False
        self._db = store.connect()
        self._latest = store.latest
        self._vault = vault
        self._retention = retention
        self._limits = limits
        self._community_of = community_of
        self._pseudonyms = Pseudonyms(vault)
        self._keys = store.path.parent / "keys"
        self._ledger = Ledger(self._db, signing_key(self._keys))
        self._remembered = ""
        self._dropped: Counter[str] = Counter()
        self.kept = Kept(store, self._db)

    def begin_ledger(self, now: datetime, *, zone: str, companies: Mapping[str, tuple[str, ...]]) -> None:
        """State in the ledger what its rows are to be read with, where that is new.

        :raises CommitError: it could not be written.
        """
        facts = entry(us(now), "estate", {"companies": companies, "zone": zone})
        lost = self._ledger.missing(kept_head(self._keys))
        if lost:
            log.error("database_set_back", **lost)
        said = [entry(us(now), "restored", lost)] if lost else []

        def begin() -> None:
            self._ledger.begin(facts, now)
            self._ledger.append(said, now)

        self._in_one(begin)

    # -- writing ----------------------------------------------------------------------------------------------------

    def commit(self, batch: Changes, now: datetime) -> None:
        """Make the batch durable: all of it, or nothing.

        :raises CommitError: it could not be written.
        """
        said = self._said(batch)
        self._latest.add(self._in_one(lambda: self._write(batch, said, now)))

    def _said(self, batch: Changes) -> list[Entry]:
        """What the ledger will say of it. A community's first pseudonym makes its key, outside of the transaction."""
        try:
            return entries(batch, self._community_of, lambda c, value: self._pseudonyms.of(self._db, c, value))
        except sqlite3.Error as error:
            raise CommitError(f"the database cannot be written: {error}") from error

    def _write(self, batch: Changes, said: list[Entry], now: datetime) -> list[Row]:
        write_facts(self._db, batch)
        changes = feed.append(self._db, batch.alert_changes, self._ledger.head) if batch.alert_changes else []
        write_alerts(self._db, batch.alerts.values(), changes)
        if batch.alerts or batch.policies:
            self._db.execute("INSERT OR REPLACE INTO cursors(name, seq) VALUES ('clock', ?)", (us(now),))
        write_work(self._db, batch)
        write_pictures(self._db, batch, self._vault, now + timedelta(days=self._retention.evidence_days))
        set_aside(self._db, batch.quarantined, self._vault, self._limits.quarantine_rows)
        self._ledger.append(self._ledger.noted(now) + said, now)
        return changes

    def _in_one(self, write: Callable[[], T]) -> T:
        """One durable transaction; an error undoes it, and the ledger goes on from what is there."""
        db = self._db
        try:
            db.execute("BEGIN IMMEDIATE")
            done = write()
            db.execute("COMMIT")
        except BaseException as error:
            if db.in_transaction:
                db.execute("ROLLBACK")
            try:
                self._ledger.take_up()
            except sqlite3.Error as worse:
                raise CommitError(f"the database cannot be read: {worse}") from error
            if _of_the_disk(error):
                raise CommitError(f"the database cannot be written: {error}") from error
            raise
        self._remember_head()
        return done

    def _remember_head(self) -> None:
        """Keep the sealed head beside the key, where a backup of the database alone does not reach."""
        if self._ledger.sealed_head == self._remembered:
            return
        self._remembered = self._ledger.sealed_head
        try:
            keep_head(self._keys, self._remembered)
        except OSError as error:
            log.warning("ledger_head_not_kept", trouble=str(error))

    def prune(self, now: datetime) -> int:
        """Drop a bounded number of rows past their time; returns how many, so that the caller may come again.

        :raises CommitError: they could not be dropped.
        """
        events = us(now - timedelta(days=self._retention.events_days))
        quarantine = us(now - timedelta(days=self._retention.quarantine_days))
        alerts = us(now - timedelta(days=self._retention.alerts_days))
        ledger = now - timedelta(days=self._retention.ledger_days)

        def from_the_ledger() -> int:
            self._ledger.append(self._ledger.noted(now), now)  # a ledger at rest is sealed here
            return self._ledger.prune(ledger, now, PRUNE_ROWS)

        dropped = Counter(ledger=self._in_one(from_the_ledger))
        dropped["alert_changes"] = self._in_one(lambda: feed.forget(self._db, when(alerts), PRUNE_ROWS))
        try:
            for table, statement, values in (
                ("events", _OLD_EVENTS, (PRUNE_ROWS, events)),
                ("quarantine", "DELETE FROM quarantine WHERE at < ?", (quarantine,)),
                ("sightings", "DELETE FROM sightings WHERE at < ?", (us(now - REMEMBERED),)),
                ("alerts", "DELETE FROM alerts WHERE open=0 AND raised_at < ?", (alerts,)),
                ("commands", _OLD_COMMANDS, (alerts,)),
            ):
                dropped[table] = self._db.execute(statement, values).rowcount
        except sqlite3.Error as error:
            raise CommitError(f"the database cannot be written: {error}") from error
        finally:
            self._dropped += dropped
        if not dropped.total() and self._dropped:  # the end of a run: one row for all of it
            said = [entry(us(now), "retention", dict(self._dropped))]
            self._in_one(lambda: self._ledger.append(said, now))
            self._dropped.clear()
        return dropped.total()

    # -- reading ----------------------------------------------------------------------------------------------------

    def seen(self, ids: list[bytes]) -> set[bytes]:
        """Which of these event ids are journalled already.

        :raises CommitError: the database cannot be read.
        """
        found: set[bytes] = set()
        try:
            for start in range(0, len(ids), 500):
                part = ids[start : start + 500]
                marks = ",".join("?" * len(part))
                found.update(row[0] for row in self._db.execute(f"SELECT id FROM events WHERE id IN ({marks})", part))  # noqa: S608 - only question marks
        except sqlite3.Error as error:
            raise CommitError(f"the database cannot be read: {error}") from error
        return found

    def device_states(self, kinds: Iterable[tuple[str, DeviceKind[Any]]]) -> dict[str, DeviceState]:
        """The saved states of these devices (id and kind)."""
        rows = dict(
            self._db.execute("SELECT substr(name, 8), body FROM states WHERE name >= 'device:' AND name < 'device;'")
        )
        states = {}
        for device, kind in kinds:
            body = rows.get(device)
            raw = _restored(body, SavedState, device) if body is not None else None
            if raw is not None:
                link = _restored(raw.link, Link, device) or Link()
                shape = type(kind.initial)
                same = raw.of in ("", shape.__qualname__)
                states[device] = DeviceState(
                    link, (_restored(raw.kind, shape, device) if same else None) or kind.initial
                )
        return states

    def policy_states(self, shapes: Mapping[str, type[msgspec.Struct]]) -> list[tuple[str, str, msgspec.Struct]]:
        """The saved states of policies of these shapes (by policy): policy, scope, state."""
        found = []
        for name, body in self._db.execute(
            "SELECT name, body FROM states WHERE name >= 'policy:' AND name < 'policy;'"
        ):
            _, policy, scope = name.split(":", 2)
            state = _restored(body, shapes[policy], name) if policy in shapes else None
            if state is not None:
                found.append((policy, scope, state))
        return found

    def standing(self) -> dict[tuple[str, str], bytes]:
        """What each device said last on each topic whose messages are retained, as hashes."""
        return {(device, topic): said for device, topic, said in self._db.execute("SELECT * FROM standing")}

    def sightings(self, now: datetime) -> list[Sighting]:
        """The faces seen lately, oldest first."""
        rows = self._db.execute("SELECT * FROM sightings WHERE at >= ? ORDER BY at", (us(now - REMEMBERED),))
        return [Sighting(device, when(at), evidence, print_) for device, at, evidence, print_ in rows]

    def scene(self, device: str) -> bytes:
        """What is remembered of a camera's view; b"" when nothing is."""
        row = self._db.execute("SELECT memory FROM scenes WHERE device = ?", (device,)).fetchone()
        return self._vault.open(row[0], f"scene:{device}") if row else b""

    def newest(self) -> datetime | None:
        """When the last fact was journalled."""
        row = self._db.execute("SELECT received_at FROM events ORDER BY seq DESC LIMIT 1").fetchone()
        return when(row[0]) if row else None

    def clock(self) -> datetime | None:
        """What our clock showed when anything that is timed was written last."""
        row = self._db.execute("SELECT seq FROM cursors WHERE name='clock'").fetchone()
        return when(row[0]) if row else None

    def close(self) -> None:
        """Seal the ledger and close the connection. Again changes nothing."""
        if self._closed:
            return
        self._closed = True
        try:
            self._in_one(lambda: self._ledger.seal(datetime.now(UTC)))
        except CommitError as error:
            log.warning("ledger_not_sealed", trouble=str(error))
        self._db.close()
