"""Residents: their consent, their face templates and their cards; enrolled with consent, forgotten on withdrawal.

Everything personal is sealed with a key of the person's own; withdrawal forgets that key, so that nothing sealed with
it can be read again, but for backups of the database made before. Lookups are reads of memory and may come from any
thread.
"""

from __future__ import annotations

import secrets
import threading
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import UTC, datetime
from sqlite3 import Connection, Row

import msgspec
from msgspec import Struct

from devices.events import DenyReason, Method
from devices.model import Device
from gateway.actions import NotFoundError
from gateway.enrolment import Known
from gateway.listplan import Candidate
from gateway.passes import Passes, drop
from gateway.refusals import InvalidError, TakenError
from gateway.residents import Consent, Enrolment, Face, Receipt, Resident, check, check_consent, covers
from gateway.shown import captures_of, uncapture
from gateway.store import Store, us, when
from gateway.templates import Photos, new_templates, refuse_more, write_templates
from gateway.vault import Vault
from vision.gallery import Gallery, Rule

FAR = datetime.max.replace(tzinfo=UTC)
RECEIPT = "wdr_"


class _Circles(Struct, frozen=True, eq=False):
    """Who may be compared at the gates of one building from `since` until before `until`, by consents of `version`."""

    version: int
    since: datetime
    until: datetime
    everybody: frozenset[str]
    neighbours: frozenset[str]


class _Body(Struct, frozen=True):
    name: str
    building: str


class People:
    """The register of residents over the store; templates live in the gallery."""

    def __init__(self, store: Store, vault: Vault, gallery: Gallery) -> None:
        self._store, self._vault, self._gallery = store, vault, gallery
        self._lock = threading.Lock()
        self._consents: dict[str, Consent] = {}
        self._cards: dict[bytes, str] = {}
        self._buildings: dict[str, str] = {}
        """Of each person, where they live."""
        self._version = 0
        """Of the consents: one more with every change."""
        self._matching: dict[str, _Circles] = {}
        """By the building of a gate."""
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
        self._buildings = {row["id"]: _body(vaults[row["id"]], row["body"], row["id"]).building for row in people}
        self._consents = {row["person"]: _consent(row) for row in rows}
        self._version += 1
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
        consent = self._consents.get(person)
        if consent is None:
            return False, DenyReason.CREDENTIAL_NOT_ENABLED
        if now < consent.granted_at:
            return False, DenyReason.CREDENTIAL_NOT_ACTIVE
        if now >= consent.until:
            return False, DenyReason.CREDENTIAL_EXPIRED
        if not covers(consent.scope, device):
            return False, DenyReason.UNAUTHORIZED
        kept_out = self.passes.refusal(person, device, now)
        return kept_out is None, kept_out or DenyReason.OTHER

    def enrolled(self, person: str) -> bool:
        """Whether there is a resident of this id."""
        return person in self._buildings

    def may_match(self, device: Device, now: datetime) -> frozenset[str]:
        """Everybody whose face may be compared at this device now."""
        return self._circles(device, now).everybody

    def neighbours(self, device: Device, now: datetime) -> frozenset[str]:
        """Those of `may_match` who live in the device's building; nobody where it has none."""
        return self._circles(device, now).neighbours

    def _circles(self, device: Device, now: datetime) -> _Circles:
        """Made anew when a consent changed, began or ended, and not while somebody stands at a gate."""
        held = self._matching.get(device.building)
        if held is not None and held.version == self._version and held.since <= now < held.until:
            return held
        version, consents, homes = self._version, self._consents.copy(), self._buildings.copy()
        covered = {person: c for person, c in consents.items() if covers(c.scope, device) and now < c.until}
        everybody = frozenset(person for person, consent in covered.items() if consent.granted_at <= now)
        at_home = (person for person in everybody if homes.get(person) == device.building)
        made = self._matching[device.building] = _Circles(
            version=version,
            since=now,
            until=min((c.granted_at if c.granted_at > now else c.until for c in covered.values()), default=FAR),
            everybody=everybody,
            neighbours=frozenset(at_home) if device.building else frozenset(),
        )
        return made

    def homes(self, people: Collection[str]) -> dict[str, frozenset[str]]:
        """`people` by the building they live in, "" for those of whom it is not known."""
        found: defaultdict[str, set[str]] = defaultdict(set)
        for person in people:
            found[self._buildings.get(person, "")].add(person)
        return {building: frozenset(those) for building, those in found.items()}

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
        body = own.seal(msgspec.json.encode(_Body(new.name, new.building)), f"body:{person}")
        try:
            with self._lock:
                with self._store.write() as db:
                    self._refuse_taken(db, person, cards)
                    db.execute("INSERT INTO people VALUES(?, ?, ?, ?)", (person, key, body, us(now)))
                    _write_consent(db, person, consent)
                    write_templates(db, person, templates, own, now)
                    db.executemany("INSERT INTO credentials VALUES(?, 'card', ?)", [(card, person) for card in cards])
                self._gallery.load([(person, new.id, new.face.embedding) for new in templates])
                self._buildings[person] = new.building
                self._consents[person] = consent
                self._version += 1
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
                db.execute(
                    "UPDATE consents SET withdrawn_at = ?, receipt = ? WHERE person = ? AND withdrawn_at IS NULL",
                    (us(now), f"replaced by {consent.id}", person),
                )
                _write_consent(db, person, consent)
            self._consents[person] = consent
            self._version += 1
        self._tell()
        return self.get(person)

    def withdraw(self, person: str, photos: Photos, now: datetime) -> Receipt:
        """Forget a person: templates, photos, captures that showed them, cards, name and key, before it returns. Again
        gives the receipt of then. Files that a crash left are named in the database and deleted at the next start.

        :raises NotFoundError: no such resident, and never one who was forgotten.
        """
        receipt = f"{RECEIPT}{secrets.token_hex(8)}"
        # Months of events are searched outside the transaction, so that the engine does not wait for it.
        upto = self._store.reader.execute("SELECT coalesce(max(seq), 0) AS seq FROM events").fetchone()["seq"]
        shown = captures_of(self._store.reader, person, 0)
        with self._lock:
            with self._store.write() as db:
                if db.execute("DELETE FROM people WHERE id = ?", (person,)).rowcount == 0:
                    return self._forgotten(db, person)
                rows = db.execute("DELETE FROM templates WHERE person = ? RETURNING photo", (person,)).fetchall()
                captures = [key for key in shown | captures_of(db, person, upto) if uncapture(db, key)]
                db.execute("DELETE FROM not_them WHERE person = ?", (person,))
                drop(db, person)
                db.executemany("DELETE FROM sightings WHERE evidence = ?", [(key,) for key in captures])
                held = db.execute("SELECT device FROM list_entries WHERE what = 'persons' AND entry = ?", (person,))
                terminals = tuple(row["device"] for row in held.fetchall())
                db.execute("DELETE FROM credentials WHERE person = ?", (person,))
                db.execute(
                    "UPDATE consents SET withdrawn_at = ?, receipt = ? WHERE person = ? AND withdrawn_at IS NULL",
                    (us(now), receipt, person),
                )
                files = [row["photo"] for row in rows] + captures
                db.executemany("INSERT OR IGNORE INTO doomed_files VALUES(?)", [(key,) for key in files])
            self._consents.pop(person, None)
            self._buildings.pop(person, None)
            self.passes.forget(person)
            self._version += 1
            self._cards = {card: owner for card, owner in self._cards.items() if owner != person}
            self._gallery.remove(person)
        self._tell()
        self.delete_doomed(photos)
        return Receipt(
            receipt=receipt,
            person=person,
            templates_deleted=len(rows),
            photos_deleted=len(files),
            at=now,
            terminals=terminals,
        )

    def delete_doomed(self, photos: Photos) -> None:
        """Delete the files of the forgotten, those of before a crash among them. One that was captured anew meanwhile
        stays.
        """
        doomed = self._store.reader.execute("SELECT key FROM doomed_files").fetchall()
        for (key,) in doomed:
            with self._store.write() as db:
                if db.execute("SELECT 1 FROM captures WHERE key = ?", (key,)).fetchone() is None:
                    photos.delete(key)
                db.execute("DELETE FROM doomed_files WHERE key = ?", (key,))
        # What was overwritten still stands in the write-ahead log until it is taken over; do that now, not some day.
        self._store.reader.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def _forgotten(self, db: Connection, person: str) -> Receipt:
        """The receipt somebody was given before."""
        row = db.execute(
            "SELECT receipt FROM consents WHERE person = ? AND receipt LIKE ? ORDER BY withdrawn_at DESC LIMIT 1",
            (person, f"{RECEIPT}%"),
        ).fetchone()
        if row is None:
            raise NotFoundError(f"there is no resident {person}")
        return self.receipt(row["receipt"])

    def receipt(self, receipt: str) -> Receipt:
        """A receipt as it stands now: which terminals have not confirmed yet. The counts were told when it was given.

        :raises NotFoundError: no such receipt.
        """
        row = self._store.reader.execute(
            "SELECT person, withdrawn_at FROM consents WHERE receipt = ?", (receipt,)
        ).fetchone()
        if row is None or not receipt.startswith(RECEIPT):
            raise NotFoundError(f"there is no receipt {receipt}")
        held = self._store.reader.execute(
            "SELECT device FROM list_entries WHERE what = 'persons' AND entry = ?", (row["person"],)
        )
        return Receipt(
            receipt=receipt,
            person=row["person"],
            templates_deleted=0,
            photos_deleted=0,
            at=when(row["withdrawn_at"]),
            terminals=tuple(found["device"] for found in held),
            changed=False,
        )

    def candidates(self, persons: Iterable[str] | None = None) -> list[Candidate]:
        """Everybody with a consent (or those of them), as far as terminals are concerned; read from the database, so
        within its transaction what is withdrawn is not there.
        """
        wanted = None if persons is None else set(persons)
        rows = self._store.reader.execute(
            "SELECT consents.person, scope, terminals, granted_at, until, (SELECT photo FROM templates "
            "WHERE templates.person = consents.person ORDER BY created_at, id LIMIT 1) AS photo "
            "FROM consents JOIN people ON people.id = consents.person WHERE withdrawn_at IS NULL"
        )
        return [
            Candidate(
                person=row["person"],
                scope=row["scope"],
                terminals=bool(row["terminals"]),
                granted_at=when(row["granted_at"]),
                until=when(row["until"]),
                photo=row["photo"] or "",
            )
            for row in rows
            if wanted is None or row["person"] in wanted
        ]

    def get(self, person: str) -> Resident:
        """One resident.

        :raises NotFoundError: no such resident.
        """
        found = self._read("WHERE people.id = ?", (person,))
        if not found:
            raise NotFoundError(f"there is no resident {person}")
        return found[0]

    def all(self) -> list[Resident]:
        """Every resident, newest first."""
        return self._read("", ())

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

    def _read(self, where: str, values: tuple[str, ...]) -> list[Resident]:
        rows = self._store.reader.execute(
            "SELECT people.id, people.key, people.body, people.created_at, "  # noqa: S608 - `where` is ours
            "consents.id AS consent, consents.scope, consents.granted_at, consents.until, "
            "consents.recorded_by, consents.terminals, "
            "(SELECT count(*) FROM templates WHERE templates.person = people.id) AS templates, "
            "(SELECT count(*) FROM credentials WHERE credentials.person = people.id) AS cards "
            "FROM people JOIN consents ON consents.person = people.id AND consents.withdrawn_at IS NULL "
            f"{where} ORDER BY people.created_at DESC, people.id",
            values,
        ).fetchall()
        return [self._resident(row) for row in rows]

    def _resident(self, row: Row) -> Resident:
        own = self._vault.person(row["key"], row["id"])
        body = _body(own, row["body"], row["id"])
        return Resident(
            id=row["id"],
            name=body.name,
            building=body.building,
            consent=_consent(row, row["consent"]),
            templates=row["templates"],
            cards=row["cards"],
            created_at=when(row["created_at"]),
        )

    def _digest(self, method: Method, value: str) -> bytes:
        """A card's number is hexadecimal in some readers, and they do not agree on the case of its letters."""
        return self._vault.digest(f"{method.value}:{value.strip().upper()}")

    def _refuse_taken(self, db: Connection, person: str, cards: set[bytes]) -> None:
        if db.execute("SELECT 1 FROM people WHERE id = ?", (person,)).fetchone():
            raise TakenError(f"there is a resident {person} already")
        for card in cards:
            if db.execute("SELECT 1 FROM credentials WHERE hash = ?", (card,)).fetchone():
                raise TakenError("one of the cards belongs to another resident")


def _body(own: Vault, sealed: bytes, person: str) -> _Body:
    return msgspec.json.decode(own.open(sealed, f"body:{person}"), type=_Body)


def _consent(row: Row, consent_id: str | None = None) -> Consent:
    return Consent(
        id=consent_id or row["id"],
        scope=row["scope"],
        granted_at=when(row["granted_at"]),
        until=when(row["until"]),
        recorded_by=row["recorded_by"],
        terminals=bool(row["terminals"]),
    )


def _write_consent(db: Connection, person: str, consent: Consent) -> None:
    db.execute(
        "INSERT INTO consents(id, person, scope, granted_at, until, recorded_by, terminals) "
        "VALUES(?, ?, ?, ?, ?, ?, ?)",
        (
            consent.id,
            person,
            consent.scope,
            us(consent.granted_at),
            us(consent.until),
            consent.recorded_by,
            consent.terminals,
        ),
    )
