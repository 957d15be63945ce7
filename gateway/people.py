"""Residents: their consent, their face templates and their cards; enrolled with consent, forgotten on withdrawal.

Everything personal is sealed with a key of the person's own; withdrawal forgets that key, so that nothing sealed with
it can be read again, but for backups of the database made before. Lookups are reads of memory and may come from any
thread.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import datetime
from sqlite3 import Connection

from devices.events import DenyReason, Method
from devices.model import Device
from gateway.actions import NotFoundError
from gateway.consents import Consents, end_consent, read_consent, write_consent
from gateway.enrolment import Known
from gateway.listplan import Candidate
from gateway.passes import Passes
from gateway.refusals import InvalidError, TakenError
from gateway.residentrows import Body, candidates, residents
from gateway.residents import Consent, Enrolment, Face, Receipt, Resident, check, check_consent
from gateway.store import Store, us
from gateway.templates import Photos, new_templates, refuse_more, write_templates
from gateway.vault import Vault
from gateway.withdrawal import delete_doomed, forget, receipt_of, seen_so_far
from vision.gallery import Gallery, Rule


class People:
    """The register of residents over the store; templates live in the gallery."""

    def __init__(self, store: Store, vault: Vault, gallery: Gallery) -> None:
        self._store, self._vault, self._gallery = store, vault, gallery
        self._lock = threading.Lock()
        self._consents = Consents()
        self._cards: dict[bytes, str] = {}
        self.listeners: list[Callable[[], None]] = []
        self.passes = Passes(store)

    def _tell(self) -> None:
        for listener in self.listeners:
            listener()

    def load(self) -> None:
        """Everything into memory.

        :raises gateway.vault.VaultError: the master key is not the one the database was sealed with.
        """
        reader = self._store.reader
        rows = reader.execute("SELECT * FROM consents WHERE withdrawn_at IS NULL ORDER BY until").fetchall()
        people = reader.execute("SELECT id, key, body FROM people").fetchall()
        vaults = {row["id"]: self._vault.person(row["key"], row["id"]) for row in people}
        templates = [
            (row["person"], row["id"], vaults[row["person"]].open(row["vector"], f"template:{row['id']}"))
            for row in reader.execute("SELECT id, person, vector FROM templates")
        ]
        self._gallery.load(templates)
        for row in reader.execute("SELECT person, evidence, vector FROM not_them"):
            wrong = vaults[row["person"]].open(row["vector"], f"not_them:{row['evidence']}")
            self._gallery.refuse(row["person"], wrong)
        homes = {row["id"]: Body.open(vaults[row["id"]], row["body"], row["id"]).building for row in people}
        self._consents.load({row["person"]: read_consent(row) for row in rows}, homes)
        self._cards = {row["hash"]: row["person"] for row in reader.execute("SELECT hash, person FROM credentials")}
        self.passes.load()

    def check_credential(
        self, method: Method, value: str, device: Device, now: datetime
    ) -> tuple[bool, str, DenyReason]:
        """Whether this card, PIN or code opens this device now: (allowed, person id or "", why not)."""
        person = self._cards.get(self._digest(method, value))
        if person is None:
            return False, "", DenyReason.UNKNOWN_CREDENTIAL
        allowed, reason = self.may_pass(person, device, now)
        return allowed, person, reason

    def may_pass(self, person: str, device: Device, now: datetime) -> tuple[bool, DenyReason]:
        """Whether the person's consent is active and covers the device, and no pass keeps them out; else why not."""
        refused = self._consents.refusal(person, device, now)
        if refused is not None:
            return False, refused
        kept_out = self.passes.refusal(person, device, now)
        return kept_out is None, kept_out or DenyReason.OTHER

    def enrolled(self, person: str) -> bool:
        """Whether there is a resident of this id."""
        return self._consents.enrolled(person)

    def may_match(self, device: Device, now: datetime) -> frozenset[str]:
        """Everybody whose face may be compared at this device now."""
        return self._consents.circles(device, now).everybody

    def neighbours(self, device: Device, now: datetime) -> frozenset[str]:
        """Those of `may_match` who live in the device's building; nobody where it has none."""
        return self._consents.circles(device, now).neighbours

    def homes(self, people: Collection[str]) -> dict[str, frozenset[str]]:
        """`people` by the building they live in, "" for those of whom it is not known."""
        return self._consents.homes(people)

    def known(self, rule: Rule, *, person: str = "", checked: bool = False) -> Known:
        """What a new photo of a resident (`person`, "" for a new one) is compared with; see `Known`."""
        threshold = rule(len(self._gallery)).distance
        return Known(self._gallery, threshold=threshold, person=person, checked=checked)

    def enrol(self, new: Enrolment, photos: Photos, now: datetime) -> Resident:
        """Register a resident with consent, templates and cards; in force when it returns.

        :raises InvalidError: something of it is missing or wrong; the text says what.
        :raises TakenError: the id or a card is somebody else's.
        """
        check(new, now)
        person = new.id or f"res_{secrets.token_hex(8)}"
        key = self._vault.new_person_key(person)
        own = self._vault.person(key, person)
        templates = new_templates(new.faces, own, photos)
        consent = Consent(
            id=f"con_{secrets.token_hex(8)}",
            scope=new.scope,
            granted_at=now,
            until=new.until,
            recorded_by=new.recorded_by,
            terminals=new.terminals,
        )
        cards = {self._digest(Method.CARD, card) for card in new.cards}
        body = Body(new.name, new.building).seal(own, person)
        try:
            with self._lock:
                with self._store.write() as db:
                    _refuse_taken(db, person, cards)
                    db.execute("INSERT INTO people VALUES(?, ?, ?, ?)", (person, key, body, us(now)))
                    write_consent(db, person, consent)
                    write_templates(db, person, templates, own, now)
                    db.executemany("INSERT INTO credentials VALUES(?, 'card', ?)", [(card, person) for card in cards])
                self._gallery.load([(person, new.id, new.face.embedding) for new in templates])
                self._consents.put(person, consent, new.building)
                self._cards |= dict.fromkeys(cards, person)
            self._tell()
        except TakenError:
            for template in templates:
                photos.delete(template.photo)
            raise
        return Resident(
            id=person,
            name=new.name,
            building=new.building,
            consent=consent,
            templates=len(templates),
            cards=len(cards),
            created_at=now,
        )

    def add_faces(self, person: str, faces: Sequence[Face], photos: Photos, now: datetime) -> Resident:
        """More templates for a resident; searched when it returns.

        :raises NotFoundError: no such resident.
        :raises InvalidError: they would have more than `MAX_TEMPLATES`.
        """
        own = self._own_vault(person)
        templates = new_templates(faces, own, photos)
        try:
            with self._lock:
                with self._store.write() as db:
                    refuse_more(db, person, len(templates))
                    write_templates(db, person, templates, own, now)
                self._gallery.load([(person, new.id, new.face.embedding) for new in templates])
        except (NotFoundError, InvalidError):
            for template in templates:
                photos.delete(template.photo)
            raise
        return self.get(person)

    def not_them(self, person: str, evidence: str, embedding: bytes, *, recorded_by: str, now: datetime) -> None:
        """The face on this picture is not this person's: from the next frame on nobody who looks at least as much like
        it is called by their name. Doing it twice changes nothing.

        :raises NotFoundError: no such resident.
        """
        sealed = self._own_vault(person).seal(embedding, f"not_them:{evidence}")
        with self._lock:
            with self._store.write() as db:
                if db.execute("SELECT 1 FROM people WHERE id = ?", (person,)).fetchone() is None:
                    raise NotFoundError(f"there is no resident {person}")
                done = db.execute(
                    "INSERT OR IGNORE INTO not_them VALUES(?, ?, ?, ?, ?)",
                    (person, evidence, sealed, recorded_by, us(now)),
                )
            if done.rowcount:
                self._gallery.refuse(person, embedding)

    def _own_vault(self, person: str) -> Vault:
        row = self._store.reader.execute("SELECT key FROM people WHERE id = ?", (person,)).fetchone()
        if row is None:
            raise NotFoundError(f"there is no resident {person}")
        return self._vault.person(row["key"], person)

    def renew(
        self, person: str, *, scope: str, until: datetime, recorded_by: str, now: datetime, terminals: bool = False
    ) -> Resident:
        """A new consent in place of the old one; the very same again changes nothing.

        :raises NotFoundError: no such resident.
        :raises InvalidError: the consent is not complete.
        """
        check_consent(scope, until, recorded_by, now)
        held = self._consents.get(person)
        if held and (held.scope, held.until, held.recorded_by, held.terminals) == (
            scope,
            until,
            recorded_by,
            terminals,
        ):
            return self.get(person)
        consent = Consent(
            id=f"con_{secrets.token_hex(8)}",
            scope=scope,
            granted_at=now,
            until=until,
            recorded_by=recorded_by,
            terminals=terminals,
        )
        with self._lock:
            with self._store.write() as db:
                if db.execute("SELECT 1 FROM people WHERE id = ?", (person,)).fetchone() is None:
                    raise NotFoundError(f"there is no resident {person}")
                end_consent(db, person, f"replaced by {consent.id}", now)
                write_consent(db, person, consent)
            self._consents.put(person, consent)
        self._tell()
        return self.get(person)

    def withdraw(self, person: str, photos: Photos, now: datetime) -> Receipt:
        """Forget a person: templates, photos, captures that showed them, cards, name and key, before it returns. Again
        gives the receipt of then. Files that a crash left are named in the database and deleted at the next start.

        :raises NotFoundError: no such resident, and never one who was forgotten.
        """
        shown = seen_so_far(self._store.reader, person)
        with self._lock:
            with self._store.write() as db:
                receipt = forget(db, person, shown, now)
            if not receipt.changed:
                return receipt
            self._consents.drop(person)
            self.passes.forget(person)
            self._cards = {card: owner for card, owner in self._cards.items() if owner != person}
            self._gallery.remove(person)
        self._tell()
        self.delete_doomed(photos)
        return receipt

    def delete_doomed(self, photos: Photos) -> None:
        """Delete the files of the forgotten, those of before a crash among them. One that was captured anew meanwhile
        stays.
        """
        delete_doomed(self._store, photos)

    def receipt(self, receipt: str) -> Receipt:
        """A receipt as it stands now: which terminals have not confirmed yet. The counts were told when it was given.

        :raises NotFoundError: no such receipt.
        """
        return receipt_of(self._store.reader, receipt)

    def candidates(self, persons: Iterable[str] | None = None) -> list[Candidate]:
        """Everybody with a consent (or those of them), as far as terminals are concerned; read from the database, so
        within its transaction what is withdrawn is not there.
        """
        return candidates(self._store.reader, persons)

    def get(self, person: str) -> Resident:
        """One resident.

        :raises NotFoundError: no such resident.
        """
        found = residents(self._store.reader, self._vault, person)
        if not found:
            raise NotFoundError(f"there is no resident {person}")
        return found[0]

    def all(self) -> list[Resident]:
        """Every resident, newest first."""
        return residents(self._store.reader, self._vault)

    def photo(self, person: str, photos: Photos) -> bytes | None:
        """The first photo of a resident, None when there is none."""
        row = self._store.reader.execute(
            "SELECT people.key, templates.photo FROM people JOIN templates ON templates.person = people.id "
            "WHERE people.id = ? ORDER BY templates.created_at, templates.id LIMIT 1",
            (person,),
        ).fetchone()
        sealed = photos.read(row["photo"]) if row else None
        if sealed is None:
            return None
        return self._vault.person(row["key"], person).open(sealed, f"photo:{row['photo']}")

    def _digest(self, method: Method, value: str) -> bytes:
        """A card's number is hexadecimal in some readers, and they do not agree on the case of its letters."""
        return self._vault.digest(f"{method.value}:{value.strip().upper()}")


def _refuse_taken(db: Connection, person: str, cards: set[bytes]) -> None:
    if db.execute("SELECT 1 FROM people WHERE id = ?", (person,)).fetchone():
        raise TakenError(f"there is a resident {person} already")
    for card in cards:
        if db.execute("SELECT 1 FROM credentials WHERE hash = ?", (card,)).fetchone():
            raise TakenError("one of the cards belongs to another resident")
