"""Whose consent is in force, where, and who may be compared at which gate: reads of memory, from any thread."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from sqlite3 import Connection, Row

from msgspec import Struct

from devices.events import DenyReason
from devices.model import Device
from gateway.residents import Consent, covers
from gateway.store import us, when

FAR = datetime.max.replace(tzinfo=UTC)


class Circles(Struct, frozen=True, eq=False):
    """Who may be compared at the gates of one building from `since` until before `until`, by consents of `version`.
    `neighbours`: those of `everybody` who live in that building; nobody where there is none.
    """

    version: int
    since: datetime
    until: datetime
    everybody: frozenset[str]
    neighbours: frozenset[str]


class Consents:
    """The consents in force and where each person lives. One thread at a time writes."""

    def __init__(self) -> None:
        self._consents: dict[str, Consent] = {}
        self._buildings: dict[str, str] = {}
        """Of each person, where they live."""
        self._version = 0
        """One more with every change."""
        self._matching: dict[str, Circles] = {}
        """By the building of a gate."""

    def load(self, consents: Mapping[str, Consent], buildings: Mapping[str, str]) -> None:
        """All of them, by person."""
        self._buildings, self._consents = dict(buildings), dict(consents)
        self._version += 1

    def put(self, person: str, consent: Consent, building: str | None = None) -> None:
        """A person's consent from now on. `building`: where they live, None as before."""
        if building is not None:
            self._buildings[person] = building
        self._consents[person] = consent
        self._version += 1

    def drop(self, person: str) -> None:
        """A person is forgotten."""
        self._consents.pop(person, None)
        self._buildings.pop(person, None)
        self._version += 1

    def get(self, person: str) -> Consent | None:
        """The consent of a person, also one that is not yet or no longer in force; None for nobody."""
        return self._consents.get(person)

    def enrolled(self, person: str) -> bool:
        """Whether there is a resident of this id."""
        return person in self._buildings

    def refusal(self, person: str, device: Device, now: datetime) -> DenyReason | None:
        """Why the person's consent does not let them through at the device; None when it does."""
        consent = self._consents.get(person)
        if consent is None:
            return DenyReason.CREDENTIAL_NOT_ENABLED
        if now < consent.granted_at:
            return DenyReason.CREDENTIAL_NOT_ACTIVE
        if now >= consent.until:
            return DenyReason.CREDENTIAL_EXPIRED
        return None if covers(consent.scope, device) else DenyReason.UNAUTHORIZED

    def circles(self, device: Device, now: datetime) -> Circles:
        """Made anew when a consent changed, began or ended, and not while somebody stands at a gate."""
        held = self._matching.get(device.building)
        if held is not None and held.version == self._version and held.since <= now < held.until:
            return held
        version, consents, homes = self._version, self._consents.copy(), self._buildings.copy()
        covered = {person: c for person, c in consents.items() if covers(c.scope, device) and now < c.until}
        everybody = frozenset(person for person, consent in covered.items() if consent.granted_at <= now)
        at_home = (person for person in everybody if homes.get(person) == device.building)
        made = self._matching[device.building] = Circles(
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


def read_consent(row: Row, consent_id: str | None = None) -> Consent:
    """A consent from its row. `consent_id`: where the row's `id` is somebody else's."""
    return Consent(
        id=consent_id or row["id"],
        scope=row["scope"],
        granted_at=when(row["granted_at"]),
        until=when(row["until"]),
        recorded_by=row["recorded_by"],
        terminals=bool(row["terminals"]),
    )


def write_consent(db: Connection, person: str, consent: Consent) -> None:
    """A new row, in the caller's transaction."""
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


def end_consent(db: Connection, person: str, receipt: str, now: datetime) -> None:
    """The person's consent is over, in the caller's transaction. `receipt`: what ended it."""
    db.execute(
        "UPDATE consents SET withdrawn_at = ?, receipt = ? WHERE person = ? AND withdrawn_at IS NULL",
        (us(now), receipt, person),
    )
