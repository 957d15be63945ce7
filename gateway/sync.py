"""The register kept like the governance backends': places, staff, vehicles and passes, by numbered revisions.

A revision is a snapshot (all the source has) or, with a `base`, what has changed since that revision. It may come in
pages, which are kept until the last one is here; then all of it happens in one transaction together with its record
and the note that becomes its row in the ledger. So it is idempotent (the same revision again is answered from the
record), resumable (`state` says what is here and which page is wanted) and never half done. Each source counts its own
revisions. Places and staff are taken whole or not at all: half a hierarchy would send alerts to the wrong people.
Vehicles and passes are taken one by one: a plate somebody mistyped must not keep the others out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from hashlib import blake2b, sha256
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from gateway.directory import Directory
from gateway.entries import revision as ledger_row
from gateway.hierarchy import Place
from gateway.passes import Pass, check_pass
from gateway.refusals import InvalidError
from gateway.roster import Also, Worker
from gateway.store import Store
from gateway.syncbook import Answer, State, SyncBook, committed
from gateway.syncplan import Given, Hold, Plan, Refusal, fingerprint, plan
from gateway.vault import Vault
from gateway.vehicles import Vehicle, checked, checked_plate, new_vehicle_id, normal_plate

SHRINKS_AT_MOST = 0.5
"""A snapshot that takes back a greater part of what was given must say so (`shrink`): most likely it is half of one."""
FEW = 10
"""So many may always go."""
NOT_SENT = sha256(b"").hexdigest()


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


class Sender(Struct, frozen=True, kw_only=True):
    """Who sends a page. `source`: whose entries these are; `by`: the name of the token; `sent`: SHA-256 (hex) of the
    page as it came.
    """

    source: str
    by: str
    sent: str = NOT_SENT


class Section(Struct, frozen=True, kw_only=True):
    """What one section is made of. `whole`: all of a revision or nothing. `find`: what there is of these ids."""

    kind: type[Any]
    key: Callable[[Any], str]
    whole: bool
    checked: Callable[[Any], Any]
    find: Callable[[Directory, str], Any]
    write: Callable[[Directory, Plan[Any], Also], None]


def _same(entry: Any) -> Any:
    return entry


def _vehicle(raw: Vehicle) -> Vehicle:
    return checked(replace(raw, plate=checked_plate(raw.plate), id=new_vehicle_id()))


def _pass(given: Pass) -> Pass:
    check_pass(given)
    return given


def _write_places(directory: Directory, found: Plan[Place], also: Also) -> None:
    directory.change_places(found.written, found.leaving, also=also)


def _write_vehicles(directory: Directory, found: Plan[Vehicle], also: Also) -> None:
    known = {plate: directory.vehicle(plate) for plate in found.written}
    written = [replace(v, id=k.id) if (k := known[plate]) else v for plate, v in found.written.items()]
    directory.apply(vehicles=written, gone_vehicles=found.leaving, also=also)


def _write_staff(directory: Directory, found: Plan[Worker], also: Also) -> None:
    """A district has some thousand of them, and who stands in for whom concerns all."""
    gone = set(found.leaving)
    staff = {worker.id: worker for worker in directory.roster.staff() if worker.id not in gone}
    directory.roster.put_staff((staff | found.written).values(), also=also)


def _write_passes(directory: Directory, found: Plan[Pass], also: Also) -> None:
    directory.write_passes(list(found.written.values()), found.leaving, also=also)


SECTIONS: Mapping[str, Section] = {
    "places": Section(
        kind=Place,
        key=lambda place: place.id,
        whole=True,
        checked=_same,
        find=lambda directory, name: directory.place(name),
        write=_write_places,
    ),
    "staff": Section(
        kind=Worker,
        key=lambda worker: worker.id,
        whole=True,
        checked=_same,
        find=lambda directory, name: directory.roster.worker(name),
        write=_write_staff,
    ),
    "vehicles": Section(
        kind=Vehicle,
        key=lambda vehicle: normal_plate(vehicle.plate),
        whole=False,
        checked=_vehicle,
        find=lambda directory, name: directory.vehicle(name),
        write=_write_vehicles,
    ),
    "passes": Section(
        kind=Pass,
        key=lambda one: one.id,
        whole=False,
        checked=_pass,
        find=lambda directory, name: directory.residents.passes.get(name),
        write=_write_passes,
    ),
}
"""Every section, in the order in which a backend gives them: who looks after a place comes after the place."""


class Sync:
    """Takes revisions. All methods may be called from any thread; two revisions never meet."""

    def __init__(self, store: Store, vault: Vault, directory: Directory) -> None:
        self._directory = directory
        self.book = SyncBook(store, vault)

    def states(self, source: str) -> list[State]:
        """How far every section of a source has come."""
        return [self.book.state(source, section) for section in SECTIONS]

    def standing(self, source: str, section: str, *, after: str, limit: int) -> dict[str, str]:
        """What the source gave and has not taken back, by id: "as_given", "changed_here", "removed_here", or
        "given_by_other": another one owns it, and it stands otherwise than this one gave it.
        """
        with self._directory.changing():
            given = self.book.given(source, section, after=after, limit=limit)
            current = self._current(section, given)
        return {name: _standing(current.get(name), print_, shared) for name, (print_, shared) in given.items()}

    def take(self, section: str, page: Page, sender: Sender, *, now: datetime) -> Answer:
        """One page of a revision.

        :raises OutOfStepError: it does not follow on what is here.
        :raises RefusedRevisionError, InvalidError: something in it is refused, and with it the whole.
        """
        if page.page > page.pages:
            raise InvalidError(f"page {page.page} of {page.pages} cannot be")
        if page.base is None and page.gone:
            raise InvalidError("gone belongs to a revision with a base; a snapshot leaves out what is gone")
        self.book.give_up(now)
        with self._directory.changing():
            state = self.book.state(sender.source, section)
            if page.revision == state.revision:
                return self._again(section, page, state)
            _in_step(page, state)
            if page.page < page.pages:
                return self._keep(section, page, state, sender, now)
            try:
                return self._carry_out(section, page, state, sender, now=now)
            except InvalidError:
                self.book.discard(sender.source, section)
                raise

    def _again(self, section: str, page: Page, state: State) -> Answer:
        """The same revision once more: its answer once more."""
        if len(state.pages) != page.pages or state.pages[page.page - 1] != _digest(page):
            raise OutOfStepError(f"revision {page.revision} was something else before; give this a new number", state)
        return replace(self.book.answer(state.source, section, page.revision), replayed=True)

    def _keep(self, section: str, page: Page, state: State, sender: Sender, now: datetime) -> Answer:
        pending = state.pending
        here = pending.digests if pending and pending.revision == page.revision else []
        known = page.page <= len(here)
        if not known:
            self.book.keep(
                sender.source,
                section,
                page.page,
                revision=page.revision,
                pages=page.pages,
                digest=_digest(page),
                sent=sender.sent,
                body=msgspec.json.encode(page),
                now=now,
            )
        return Answer(
            section=section,
            revision=page.revision,
            base=page.base,
            complete=False,
            replayed=known,
            next_page=len(here) + (not known) + 1,
        )

    def _carry_out(self, section: str, page: Page, state: State, sender: Sender, *, now: datetime) -> Answer:
        made = SECTIONS[section]
        given = self._given(section, page, sender.source)
        names = [*map(made.key, given.items), *given.gone]
        holds = self.book.holds(sender.source, section, names, everything=given.snapshot)
        current = self._current(section, [*names, *(name for name, hold in holds.items() if hold.mine)])
        found = plan(current, holds, given, key=made.key, checked=made.checked)
        if found.refused and made.whole:
            named = ", ".join(f"{one.id} ({one.why})" for one in found.refused[:5])
            raise RefusedRevisionError(f"nothing was changed: {len(found.refused)} refused: {named}", found.refused)
        _refuse_shrinking(page, found, holds)
        pending = state.pending if page.pages > 1 else None
        digests = [*(pending.digests if pending else ()), _digest(page)]
        digest, nonce = committed([*(pending.bodies if pending else ()), sender.sent])
        answer = replace(self._answer(section, page, found), digest=digest, nonce=nonce)

        def also(db: Any) -> None:
            self.book.record(db, sender.source, answer, found, pages=digests, by=sender.by, now=now)
            said = msgspec.json.encode(ledger_row(now, sender.source, answer)).decode()
            db.execute("INSERT INTO ledger_notes(kind, body) VALUES('sync', ?)", (said,))

        made.write(self._directory, found, also)
        return answer

    def _current(self, section: str, names: Iterable[str]) -> dict[str, Any]:
        """What the register has of these."""
        find = SECTIONS[section].find
        found = ((name, find(self._directory, name)) for name in dict.fromkeys(names))
        return {name: entry for name, entry in found if entry is not None}

    def _answer(self, section: str, page: Page, found: Plan[Any]) -> Answer:
        waiting: list[str] = []
        if section == "passes":
            people = {one.person for one in found.written.values()}
            waiting = sorted(person for person in people if not self._directory.residents.enrolled(person))
        return Answer(
            section=section,
            revision=page.revision,
            base=page.base,
            complete=True,
            added=found.added,
            changed=found.changed,
            removed=sorted(found.leaving),
            unchanged=found.unchanged,
            refused=found.refused,
            shared=found.shared,
            waiting=waiting,
        )

    def _given(self, section: str, last: Page, source: str) -> Given:
        """What the pages that are here and the last one say together."""
        pages: list[Any] = [last]
        if last.pages > 1:
            read = msgspec.json.Decoder(type=_typed(SECTIONS[section].kind))
            pages = [*map(read.decode, self.book.pages(source, section)), last]
        if any(page.base != last.base for page in pages):
            raise InvalidError("base: the same in every page of a revision")
        return Given(
            items=[item for page in pages for item in page.items],
            gone=[one for page in pages for one in page.gone],
            overrule=[one for page in pages for one in page.overrule],
            snapshot=last.base is None,
        )


def _typed(kind: type[Struct]) -> type[Any]:
    """A page whose entries are of a section's kind."""
    names = Sequence[str]
    items: Any = Sequence[kind]  # type: ignore[valid-type]
    fields = [("items", items), ("gone", names), ("overrule", names), ("base", int | None)]
    return msgspec.defstruct("TypedPage", fields)


def _refuse_shrinking(page: Page, found: Plan[Any], holds: Mapping[str, Hold]) -> None:
    """Most likely it is half of a snapshot."""
    if page.base is not None or page.shrink:
        return
    before = sum(1 for hold in holds.values() if hold.mine)
    going = len(found.dropped)
    if going > max(FEW, SHRINKS_AT_MOST * before):
        why = f"nothing was changed: {going} of {before} would go; send it with shrink if so meant"
        raise RefusedRevisionError(why)


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


def _standing(now: Struct | None, given: bytes, shared: bool) -> str:
    if now is None:
        return "removed_here"
    if fingerprint(now) == given:
        return "as_given"
    return "given_by_other" if shared else "changed_here"
