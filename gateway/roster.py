"""Who looks after which place, and who of them is on duty when: grid workers, building heads, community and
sub-district staff, the desk. Names and contact routes are sealed; the engine asks for ids only, from memory.

A device says which building or grid it is in; which grid a building belongs to, and who is responsible there, is said
here alone. Drawing grids anew changes this register and nothing else: no device moves, no alert of the past changes.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import date, datetime, time, timedelta
from enum import StrEnum
from sqlite3 import Connection
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Struct

from devices.alerts import Alert
from devices.escalation import Level
from devices.model import Device
from gateway.refusals import InvalidError
from gateway.store import Store
from gateway.vault import Vault

PLACE_KINDS = ("district", "sub_district", "community", "grid", "building", "unit")
"""From the largest to the smallest; a place lies in one of a larger kind."""


Also = Callable[[Connection], None]
"""What else belongs into a transaction."""


def nothing(_: Connection) -> None:
    """Nothing else does."""


class StaffRole(StrEnum):
    """What somebody is called; whom an alert climbs to is decided by `Worker.level` and `Worker.places` alone."""

    NONE = ""
    DESK = "desk"
    PROPERTY_COMPANY = "property_company"
    BUILDING_HEAD = "building_head"
    GRID_WORKER = "grid_worker"
    COMMUNITY = "community"
    SUB_DISTRICT = "sub_district"


class Shift(Struct, frozen=True, kw_only=True):
    """Hours of duty, local: on `days` (1 Monday to 7 Sunday) from `start` until before `end`; an `end` that is not
    after `start` is on the next day. From `first` to `last`, both included, where they are given.
    """

    days: tuple[int, ...] = (1, 2, 3, 4, 5, 6, 7)
    start: time = time(0)
    end: time = time(0)
    first: date | None = None
    last: date | None = None


class Absence(Struct, frozen=True, kw_only=True):
    """Away from the first day to the last, both included, with the nights that begin on them; `substitute`, a worker's
    id, stands in for the time.
    """

    first: date
    last: date
    substitute: str = ""


class Worker(Struct, frozen=True, kw_only=True):
    """Somebody with a duty: at which level, for which places (ids). No `shifts`: always on duty. `contact`: how to
    reach them, as a URI (tel:, mailto:, ...); name and contact never leave through alerts.
    """

    id: str
    name: str
    level: Level
    places: tuple[str, ...]
    contact: str = ""
    shifts: tuple[Shift, ...] = ()
    absences: tuple[Absence, ...] = ()
    role: StaffRole = StaffRole.NONE


class StaffChange(Struct, frozen=True, kw_only=True):
    """What replacing the staff did: ids."""

    added: tuple[str, ...]
    changed: tuple[str, ...]
    removed: tuple[str, ...]


class Roster:
    """Staff and places in memory. `zone`: of the shifts' hours. All methods may be called from any thread."""

    def __init__(self, store: Store, vault: Vault, *, zone: str) -> None:
        self._store, self._vault, self._zone = store, vault, ZoneInfo(zone)
        self._lock = threading.RLock()
        self._staff: Mapping[str, Worker] = {}
        self._serving: Mapping[tuple[Level, str], tuple[Worker, ...]] = {}
        self._parents: Mapping[str, str] = {}
        self._grids: frozenset[str] = frozenset()

    def load(self) -> None:
        """Everything from the database into memory."""
        rows = self._store.reader.execute("SELECT id, body FROM staff").fetchall()
        staff = [self._opened(row["id"], row["body"]) for row in rows]
        self._take_staff({worker.id: worker for worker in staff})
        self.load_places()

    def load_places(self) -> None:
        """The places as the database has them."""
        rows = self._store.reader.execute("SELECT id, kind, parent FROM places").fetchall()
        self._parents, self._grids = {}, frozenset()
        self.change_places({row["id"]: (row["kind"], row["parent"]) for row in rows}, ())

    def change_places(self, written: Mapping[str, tuple[str, str]], gone: Collection[str]) -> None:
        """Some places (kind and parent, by id) are new or other, some are gone. Who asks meanwhile sees the old or the
        new ones, never half of both.
        """
        parents = dict(self._parents)
        for place in gone:
            parents.pop(place, None)
        parents.update((name, parent) for name, (_, parent) in written.items())
        grids = self._grids.difference(gone, written) | {n for n, (kind, _) in written.items() if kind == "grid"}
        self._parents, self._grids = parents, grids

    @contextmanager
    def changing(self) -> Iterator[None]:
        """Nobody else changes the staff meanwhile."""
        with self._lock:
            yield

    def worker(self, worker: str) -> Worker | None:
        """The worker of this id."""
        return self._staff.get(worker)

    def staff(self) -> list[Worker]:
        """Everybody, by id."""
        return [self._staff[worker] for worker in sorted(self._staff)]

    def put_staff(self, staff: Iterable[Worker], *, also: Also = nothing) -> StaffChange:
        """These workers, and no others; doing it twice changes nothing. `also`: what else belongs into the transaction.

        :raises InvalidError: an id stands twice, a substitute is nobody, a shift has no days.
        """
        new = list(staff)
        wanted = {worker.id: worker for worker in new}
        _check(new, wanted)
        with self._lock:
            before = self._staff
            change = StaffChange(
                added=tuple(sorted(wanted.keys() - before.keys())),
                changed=tuple(sorted(w for w in wanted.keys() & before.keys() if wanted[w] != before[w])),
                removed=tuple(sorted(before.keys() - wanted.keys())),
            )
            with self._store.write() as db:
                db.executemany("DELETE FROM staff WHERE id = ?", [(worker,) for worker in change.removed])
                db.executemany(
                    "INSERT OR REPLACE INTO staff VALUES(?, ?)",
                    [(w, self._sealed(wanted[w])) for w in (*change.added, *change.changed)],
                )
                also(db)
            self._take_staff(wanted)
        return change

    def _take_staff(self, staff: Mapping[str, Worker]) -> None:
        serving: dict[tuple[Level, str], tuple[Worker, ...]] = {}
        for worker in staff.values():
            for place in worker.places:
                key = (worker.level, place)
                serving[key] = (*serving.get(key, ()), worker)
        self._staff, self._serving = staff, serving

    # -- what the engine asks ------------------------------------------------------------------------------------------

    def grid_of(self, device: Device) -> str:
        """The grid a device lies in today: its own, or its building's."""
        return device.grid or next((place for place in self._upwards(device.building) if place in self._grids), "")

    def on_duty(self, level: Level, alert: Alert, now: datetime) -> tuple[str, ...]:
        """Who is on duty at a level for the place of an alert; see `serving`."""
        return self.serving(level, (alert.building, alert.grid, alert.community), now)

    def serving(self, level: Level, places: Iterable[str], now: datetime) -> tuple[str, ...]:
        """Who is on duty at a level for these places or those they lie in, the first that has anybody. Without any
        staff registered, the level itself: then the backend knows who that is. A desk that nobody is registered for
        is there all the same, whoever sits at its page.
        """
        if not self._staff:
            return (level.value,)
        registered = False
        for place in self._around(places):
            serving = self._serving.get((level, place), ())
            registered = registered or bool(serving)
            found = {one for worker in serving for one in self._standing_in(worker, now)}
            if found:
                return tuple(sorted(found))
        return (level.value,) if level is Level.DESK and not registered else ()

    def _around(self, places: Iterable[str]) -> Iterator[str]:
        """These places, each with those it lies in; each once."""
        seen: set[str] = set()
        for start in places:
            for place in self._upwards(start):
                if place not in seen:
                    seen.add(place)
                    yield place

    def _upwards(self, place: str) -> Iterator[str]:
        while place:
            yield place
            place = self._parents.get(place, "")

    def _standing_in(self, worker: Worker, now: datetime) -> tuple[str, ...]:
        """The worker, or who stands in for them, if it is their time."""
        local = now.astimezone(self._zone)
        began = [day for shift in worker.shifts if (day := began_on(shift, local)) is not None]
        days = began if worker.shifts else [local.date()]
        return next((found for day in days if (found := self._there(worker, day))), ())

    def _there(self, worker: Worker, day: date) -> tuple[str, ...]:
        """Who does the worker's duty of a day: themselves or, while they are away, their substitute, and so on."""
        asked: Worker | None = worker
        passed: set[str] = set()
        while asked is not None and asked.id not in passed:
            passed.add(asked.id)
            away = next((absence for absence in asked.absences if absence.first <= day <= absence.last), None)
            if away is None:
                return (asked.id,)
            asked = self._staff.get(away.substitute)
        return ()

    # -- sealed --------------------------------------------------------------------------------------------------------

    def _sealed(self, worker: Worker) -> bytes:
        return self._vault.seal(msgspec.json.encode(worker), f"staff:{worker.id}")

    def _opened(self, worker: str, body: bytes) -> Worker:
        return msgspec.json.decode(self._vault.open(body, f"staff:{worker}"), type=Worker)


def began_on(shift: Shift, local: datetime) -> date | None:
    """The day on which the shift began that a local time lies in, the hours after midnight too; None: in none."""
    overnight = shift.end <= shift.start
    began = local.date()
    if overnight and local.time() < shift.end:
        began -= timedelta(days=1)
    inside = shift.start <= local.time() < shift.end
    if overnight:
        inside = local.time() >= shift.start or local.time() < shift.end
    in_force = (shift.first is None or shift.first <= began) and (shift.last is None or began <= shift.last)
    return began if inside and in_force and began.isoweekday() in shift.days else None


def _check(staff: list[Worker], by_id: Mapping[str, Worker]) -> None:
    if len(by_id) != len(staff):
        raise InvalidError("an id stands twice among the staff")
    for worker in staff:
        if not worker.places:
            raise InvalidError(f"{worker.id}: a worker looks after at least one place")
        if any(not shift.days or not set(shift.days) <= set(range(1, 8)) for shift in worker.shifts):
            raise InvalidError(f"{worker.id}: a shift has days from 1 (Monday) to 7 (Sunday)")
        for absence in worker.absences:
            if absence.substitute and absence.substitute not in by_id:
                raise InvalidError(f"{worker.id}: the substitute {absence.substitute} is not among the staff")
            if absence.last < absence.first:
                raise InvalidError(f"{worker.id}: an absence ends before it begins")
