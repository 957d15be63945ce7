"""The register kept like the governance backend's: places, staff, vehicles and passes, by numbered revisions.

A revision is a snapshot (all the backend has) or, with a `base`, what has changed since that revision. It may come in
pages, which are kept until the last one is here; then all of it happens in one transaction together with its record. So
it is idempotent (the same revision again is answered from the record), resumable (`state` says what is here and which
page is wanted) and never half done. Places and staff are taken whole or not at all: half a hierarchy would send alerts
to the wrong people. Vehicles and passes are taken one by one: a plate somebody mistyped must not keep the others out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from hashlib import blake2b
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from gateway.directory import Directory, Place
from gateway.passes import Pass, check_pass
from gateway.refusals import InvalidError
from gateway.roster import Also, Worker
from gateway.site import Site, difference, take_over
from gateway.store import Store
from gateway.syncbook import Answer, State, SyncBook
from gateway.syncplan import Given, Plan, Refusal, fingerprint, plan
from gateway.vault import Vault
from gateway.vehicles import Vehicle, checked, checked_plate, new_vehicle_id, normal_plate

SHRINKS_AT_MOST = 0.5
"""A snapshot that takes back a greater part of what was given must say so (`shrink`): most likely it is half of one."""
FEW = 10
"""So many may always go."""


class OutOfStepError(InvalidError):
    """The revision does not follow on what is here; `state` says what does."""

    def __init__(self, why: str, state: State) -> None:
        super().__init__(why)
        self.state = state


class RefusedRevisionError(InvalidError):
    """The revision was refused as a whole, and nothing of it is kept; `refused` names the entries."""

    def __init__(self, why: str, refused: Sequence[Refusal] = ()) -> None:
        super().__init__(why)
        self.refused = list(refused)


class Page(Struct, frozen=True, kw_only=True):
    """One page of a revision, counted from 1. `base` None: a snapshot."""

    revision: int
    base: int | None = None
    page: int = 1
    pages: int = 1
    items: Sequence[Struct] = ()
    gone: Sequence[str] = ()
    overrule: Sequence[str] = ()
    shrink: bool = False


class Section(Struct, frozen=True, kw_only=True):
    """What one section is made of. `whole`: all of a revision or nothing."""

    kind: type[Any]
    key: Callable[[Any], str]
    whole: bool
    checked: Callable[[Any], Any]
    current: Callable[[Directory], dict[str, Any]]
    write: Callable[[Directory, Mapping[str, Any], Plan[Any], Also], None]


def _same(entry: Any) -> Any:
    return entry


def _vehicle(raw: Vehicle) -> Vehicle:
    return checked(replace(raw, plate=checked_plate(raw.plate), id=new_vehicle_id()))


def _pass(given: Pass) -> Pass:
    check_pass(given)
    return given


def _write_places(directory: Directory, _before: Mapping[str, Place], found: Plan[Place], also: Also) -> None:
    take_over(directory, Site(places=list(found.after.values())), prune=True, dry_run=False, also=also)


def _write_vehicles(directory: Directory, _before: Mapping[str, Vehicle], found: Plan[Vehicle], also: Also) -> None:
    take_over(directory, Site(vehicles=list(found.after.values())), prune=True, dry_run=False, also=also)


def _write_staff(directory: Directory, _before: Mapping[str, Worker], found: Plan[Worker], also: Also) -> None:
    directory.roster.put_staff(found.after.values(), also=also)


def _write_passes(directory: Directory, before: Mapping[str, Pass], found: Plan[Pass], also: Also) -> None:
    written = [one for name, one in found.after.items() if before.get(name) != one]
    directory.write_passes(written, found.leaving, also=also)


SECTIONS: Mapping[str, Section] = {
    "places": Section(
        kind=Place,
        key=lambda place: place.id,
        whole=True,
        checked=_same,
        current=lambda directory: {place.id: place for place in directory.places()},
        write=_write_places,
    ),
    "staff": Section(
        kind=Worker,
        key=lambda worker: worker.id,
        whole=True,
        checked=_same,
        current=lambda directory: {worker.id: worker for worker in directory.roster.staff()},
        write=_write_staff,
    ),
    "vehicles": Section(
        kind=Vehicle,
        key=lambda vehicle: normal_plate(vehicle.plate),
        whole=False,
        checked=_vehicle,
        current=lambda directory: {vehicle.plate: vehicle for vehicle in directory.vehicles()},
        write=_write_vehicles,
    ),
    "passes": Section(
        kind=Pass,
        key=lambda one: one.id,
        whole=False,
        checked=_pass,
        current=lambda directory: {one.id: one for one in directory.residents.passes.all()},
        write=_write_passes,
    ),
}
"""Every section, in the order in which a backend gives them: who looks after a place comes after the place."""


class Sync:
    """Takes revisions. All methods may be called from any thread; two revisions never meet."""

    def __init__(self, store: Store, vault: Vault, directory: Directory) -> None:
        self._directory = directory
        self.book = SyncBook(store, vault)

    def states(self) -> list[State]:
        """How far every section has come."""
        return [self.book.state(section) for section in SECTIONS]

    def standing(self, section: str, *, after: str, limit: int) -> dict[str, str]:
        """What the backend gave and has not taken back, by id: "as_given", "changed_here" or "removed_here"."""
        with self._directory.changing():
            current = SECTIONS[section].current(self._directory)
            given = self.book.given(section, after=after, limit=limit)
        return {name: _standing(current.get(name), print_) for name, print_ in given.items()}

    def take(self, section: str, page: Page, *, by: str, now: datetime) -> Answer:
        """One page of a revision.

        :raises OutOfStepError: it does not follow on what is here.
        :raises RefusedRevisionError, InvalidError: something in it is refused, and with it the whole.
        """
        if page.page > page.pages:
            raise InvalidError(f"page {page.page} of {page.pages} cannot be")
        if page.base is None and page.gone:
            raise InvalidError("gone belongs to a revision with a base; a snapshot leaves out what is gone")
        with self._directory.changing():
            state = self.book.state(section)
            if page.revision == state.revision:
                return self._again(section, page, state)
            _in_step(page, state)
            if page.page < page.pages:
                return self._keep(section, page, state)
            try:
                return self._carry_out(section, page, state, by=by, now=now)
            except InvalidError:
                self.book.discard(section)
                raise

    def _again(self, section: str, page: Page, state: State) -> Answer:
        """The same revision once more: its answer once more."""
        if len(state.pages) != page.pages or state.pages[page.page - 1] != _digest(page):
            raise OutOfStepError(f"revision {page.revision} was something else before; give this a new number", state)
        return replace(self.book.answer(section, page.revision), replayed=True)

    def _keep(self, section: str, page: Page, state: State) -> Answer:
        digest = _digest(page)
        pending = state.pending
        here = pending.digests if pending and pending.revision == page.revision else []
        known = page.page <= len(here)
        if not known:
            self.book.keep(
                section,
                page.page,
                revision=page.revision,
                pages=page.pages,
                digest=digest,
                body=msgspec.json.encode(page),
            )
        return Answer(
            section=section,
            revision=page.revision,
            base=page.base,
            complete=False,
            replayed=known,
            next_page=len(here) + (not known) + 1,
        )

    def _carry_out(self, section: str, page: Page, state: State, *, by: str, now: datetime) -> Answer:
        made = SECTIONS[section]
        before = self.book.given(section)
        current = made.current(self._directory)
        whole = self._merged(section, page) if page.pages > 1 else page
        given = Given(items=whole.items, gone=whole.gone, overrule=whole.overrule, snapshot=page.base is None)
        found = plan(current, before, given, key=made.key, checked=made.checked)
        if found.refused and made.whole:
            named = ", ".join(f"{one.id} ({one.why})" for one in found.refused[:5])
            raise RefusedRevisionError(f"nothing was changed: {len(found.refused)} refused: {named}", found.refused)
        if page.base is None and not page.shrink and len(found.leaving) > max(FEW, SHRINKS_AT_MOST * len(before)):
            why = (
                f"nothing was changed: {len(found.leaving)} of {len(before)} would go; send it with shrink if so meant"
            )
            raise RefusedRevisionError(why)
        answer = self._answer(section, page, current, found)
        digests = [*(state.pending.digests if state.pending and page.pages > 1 else ()), _digest(page)]

        def also(db: Any) -> None:
            self.book.record(db, answer, before, found.given, pages=digests, by=by, now=now)

        made.write(self._directory, current, found, also)
        return answer

    def _answer(self, section: str, page: Page, current: Mapping[str, Any], found: Plan[Any]) -> Answer:
        done = difference(current, {n: e for n, e in found.after.items() if n in found.given}, prune=False)
        waiting: list[str] = []
        if section == "passes":
            people = {one.person for one in found.after.values()}
            waiting = sorted(person for person in people if not self._directory.residents.enrolled(person))
        return Answer(
            section=section,
            revision=page.revision,
            base=page.base,
            complete=True,
            added=done.added,
            changed=[replace(c, fields=[f for f in c.fields if f != "id"]) for c in done.changed if c.fields != ["id"]],
            removed=sorted(found.leaving),
            unchanged=done.unchanged,
            refused=found.refused,
            waiting=waiting,
        )

    def _merged(self, section: str, last: Page) -> Page:
        """The pages that are here and the last one, as one."""
        kind = SECTIONS[section].kind
        read = msgspec.json.Decoder(type=_typed(kind))
        pages = [read.decode(body) for body in self.book.pages(section)]
        return replace(
            last,
            items=[item for page in (*pages, last) for item in page.items],
            gone=[one for page in (*pages, last) for one in page.gone],
            overrule=[one for page in (*pages, last) for one in page.overrule],
        )


def _typed(kind: type[Struct]) -> type[Any]:
    """A page whose entries are of a section's kind."""
    fields = [("items", Sequence[kind]), ("gone", Sequence[str]), ("overrule", Sequence[str])]  # type: ignore[valid-type]
    return msgspec.defstruct("TypedPage", fields)


def _in_step(page: Page, state: State) -> None:
    """Does it follow on what is here?"""
    if page.revision < state.revision:
        raise OutOfStepError(f"revision {page.revision} is older than {state.revision}, which is here", state)
    if page.base is not None and page.base != state.revision:
        raise OutOfStepError(f"it builds on revision {page.base}, and {state.revision} is here", state)
    pending = state.pending
    if pending is not None and page.revision < pending.revision:
        raise OutOfStepError(f"revision {pending.revision}, a newer one, is coming in", state)
    here = pending if pending is not None and pending.revision == page.revision else None
    expected = here.next_page if here else 1
    if here is not None and (page.pages != here.pages or _other(page, here.digests)):
        raise OutOfStepError(f"revision {page.revision} has other pages here; give this a new number", state)
    if page.page > expected:
        raise OutOfStepError(f"page {expected} of revision {page.revision} comes first", state)


def _other(page: Page, digests: Sequence[str]) -> bool:
    return page.page <= len(digests) and digests[page.page - 1] != _digest(page)


def _digest(page: Page) -> str:
    """Of what a page says, for recognising it."""
    return blake2b(msgspec.json.encode(page), digest_size=16).hexdigest()


def _standing(now: Struct | None, given: bytes) -> str:
    if now is None:
        return "removed_here"
    return "as_given" if fingerprint(now) == given else "changed_here"
