"""What a revision of the backend does to a section of the register: whose entry is whose, and who wins. Pure.

What the backend gave is the backend's; what was registered or changed on the spot since is the estate's. The two do not
overwrite each other in silence: such an entry is refused by name, stays as it is, and is replaced only when the backend
names it in `overrule`. What is the same on both sides is simply the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from hashlib import blake2b
from typing import Generic, TypeVar

import msgspec
from msgspec import Struct
from msgspec.structs import asdict

from gateway.refusals import InvalidError
from gateway.site import differing
from gateway.vehicles import FieldError

T = TypeVar("T", bound=Struct)


class Why(StrEnum):
    """Why an entry was refused."""

    INVALID = "invalid"
    TWICE = "twice"
    REGISTERED_HERE = "registered_here"
    CHANGED_HERE = "changed_here"
    REMOVED_HERE = "removed_here"


_WORDS = {
    Why.TWICE: "it stands twice in this revision; the first was taken",
    Why.REGISTERED_HERE: "it was registered on the spot and differs; name it in overrule to replace it",
    Why.CHANGED_HERE: "it was changed on the spot since you gave it; name it in overrule to replace it",
    Why.REMOVED_HERE: "it was removed on the spot since you gave it; name it in overrule to have it again",
}


class Refusal(Struct, frozen=True, kw_only=True):
    """One entry that was left as it was. `fields`: in which it differs."""

    id: str
    why: Why
    error: str
    fields: list[str] = []


class Given(Struct, frozen=True, kw_only=True):
    """What the backend sends of a section. `snapshot`: these and no others of its own."""

    items: Sequence[Struct]
    gone: Sequence[str] = ()
    overrule: Sequence[str] = ()
    snapshot: bool


class Plan(Struct, Generic[T], kw_only=True):
    """What becomes of the section. `after`: the whole of it; `given`: what is the backend's afterwards, by id."""

    after: dict[str, T]
    given: dict[str, bytes]
    refused: list[Refusal]
    leaving: list[str]


def fingerprint(entry: Struct) -> bytes:
    """The same for the same content; an id of ours (vehicles) does not count."""
    fields = {
        name: value.astimezone(UTC) if isinstance(value, datetime) else value for name, value in asdict(entry).items()
    }
    if "plate" in fields:
        del fields["id"]
    return blake2b(msgspec.json.encode(fields, order="sorted"), digest_size=16).digest()


def plan(
    current: Mapping[str, T],
    held: Mapping[str, bytes],
    wanted: Given,
    *,
    key: Callable[[T], str],
    checked: Callable[[T], T],
) -> Plan[T]:
    """`current`: the register now. `held`: fingerprints of what the backend gave and has not taken back."""
    found: Plan[T] = Plan(after=dict(current), given=dict(held), refused=[], leaving=[])
    overrule = set(wanted.overrule)
    seen: set[str] = set()
    for raw in wanted.items:
        try:
            entry = checked(raw)  # type: ignore[arg-type] # the section's own type, by its table
        except (InvalidError, FieldError) as error:
            name = key(raw)  # type: ignore[arg-type]
            seen.add(name)
            found.refused.append(Refusal(id=name, why=Why.INVALID, error=str(error)))
            continue
        name = key(entry)
        if name in seen:
            found.refused.append(_refusal(name, Why.TWICE))
            continue
        seen.add(name)
        _take(found, name, entry, current.get(name), held.get(name), overruled=name in overrule)
    for name in list(held) if wanted.snapshot else wanted.gone:
        if name in seen:
            if not wanted.snapshot:
                found.refused.append(_refusal(name, Why.TWICE))
            continue
        _leave(found, name, current.get(name), held.get(name), overruled=name in overrule)
    return found


def _take(found: Plan[T], name: str, entry: T, now: T | None, given: bytes | None, *, overruled: bool) -> None:
    print_ = fingerprint(entry)
    same = now is not None and fingerprint(now) == print_
    if not (same or overruled):
        why = _conflict(now, given)
        if why is not None:
            fields = [field for field in differing(now, entry) if field != "id"] if now is not None else []
            found.refused.append(_refusal(name, why, fields))
            return
    found.given[name] = print_
    if not same:
        found.after[name] = entry


def _leave(found: Plan[T], name: str, now: T | None, given: bytes | None, *, overruled: bool) -> None:
    if now is not None and not overruled:
        why = _conflict(now, given)
        if why is not None:
            found.given.pop(name, None)  # from now on it is the estate's
            found.refused.append(_refusal(name, why))
            return
    found.given.pop(name, None)
    if found.after.pop(name, None) is not None:
        found.leaving.append(name)


def _conflict(now: Struct | None, given: bytes | None) -> Why | None:
    if given is None:
        return Why.REGISTERED_HERE if now is not None else None
    if now is None:
        return Why.REMOVED_HERE
    return Why.CHANGED_HERE if fingerprint(now) != given else None


def _refusal(name: str, why: Why, fields: Sequence[str] = ()) -> Refusal:
    return Refusal(id=name, why=why, error=_WORDS[why], fields=list(fields))
