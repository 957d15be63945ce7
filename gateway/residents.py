"""What is known of a resident: shapes and what they must obey. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime

from msgspec import Struct

from devices.model import Device
from gateway.refusals import InvalidError

ESTATE = "estate"
_SCOPE = re.compile(r"^(estate|building:.{1,64})$")
_ID = re.compile(r"^[A-Za-z0-9_-]{1,64}$")


class Face(Struct, frozen=True, kw_only=True):
    """One good picture of a face: the image as it came and its embedding, 128 little-endian float32."""

    image: bytes
    embedding: bytes


class Enrolment(Struct, frozen=True, kw_only=True):
    """A resident to be. `scope`: "estate", or "building:<building>". `recorded_by`: who took the consent down.
    `terminals`: the consent allows a copy of the photograph on terminals that decide by themselves.
    """

    name: str
    building: str
    scope: str
    until: datetime
    recorded_by: str
    faces: Sequence[Face] = ()
    cards: Sequence[str] = ()
    id: str = ""
    terminals: bool = False


class Consent(Struct, frozen=True, kw_only=True):
    """What a resident agreed to: `scope` from `granted_at` until before `until`, UTC; and whether a copy of the
    photograph may lie on terminals within the scope (`terminals`).
    """

    id: str
    scope: str
    granted_at: datetime
    until: datetime
    recorded_by: str
    terminals: bool = False


class Resident(Struct, frozen=True, kw_only=True):
    """One resident, opened for a reader who may. `templates` and `cards` are numbers."""

    id: str
    name: str
    building: str
    consent: Consent
    templates: int
    cards: int
    created_at: datetime


class Receipt(Struct, frozen=True, kw_only=True):
    """Proof that a person was forgotten. `photos_deleted` counts enrolled photos and captures that showed them;
    `terminals` are the devices that may still hold a copy: each is told to remove it, and counts until it confirms. Not
    `changed`: they were forgotten before, and the counts were told then.
    """

    receipt: str
    person: str
    templates_deleted: int
    photos_deleted: int
    at: datetime
    terminals: tuple[str, ...] = ()
    changed: bool = True


def covers(scope: str, device: Device) -> bool:
    """Whether a consent's scope holds at a device. One without a building is an estate gate, open to every resident."""
    return scope == ESTATE or not device.building or scope == f"building:{device.building}"


def check(new: Enrolment, now: datetime) -> None:
    """Is the enrolment complete?

    :raises InvalidError: it is not; the text says what to change.
    """
    if not new.name.strip():
        raise InvalidError("a resident needs a name")
    if new.id and not _ID.match(new.id):
        raise InvalidError("an id has 1 to 64 letters, digits, - and _")
    if not new.faces and not any(card.strip() for card in new.cards):
        raise InvalidError("a resident needs a good photo or a card")
    if any(not card.strip() for card in new.cards):
        raise InvalidError("a card has a number")
    check_consent(new.scope, new.until, new.recorded_by, now)


def check_scope(scope: str) -> None:
    """Does it say where something holds?

    :raises InvalidError: it does not.
    """
    if not _SCOPE.match(scope):
        raise InvalidError('a scope is "estate" or "building:<building>"')


def check_consent(scope: str, until: datetime, recorded_by: str, now: datetime) -> None:
    """Is the consent complete?

    :raises InvalidError: it is not; the text says what to change.
    """
    check_scope(scope)
    if until <= now:
        raise InvalidError("the consent ends before it begins")
    if not recorded_by.strip():
        raise InvalidError("somebody must have recorded the consent")
