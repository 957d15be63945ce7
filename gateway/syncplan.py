"""What a revision of a backend does to a section of the register: whose entry is whose, and who wins. Pure.

What a source gave is the source's; what was registered or changed on the spot since is the estate's. They do not
overwrite each other in silence: such an entry is refused by name, stays as it is, and is replaced only when the source
names it in `overrule`. Of two sources the first who gave an entry owns it; no `overrule` takes it away. Another source
that gives the very same claims it too: it is unchanged, named in `shared`, and becomes the other's when the owner takes
it back. Everything here takes as long as the revision is long, not the register.
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
from gateway.site import Change, differing
from gateway.vehicles import FieldError

T = TypeVar("T", bound=Struct)


class Why(StrEnum):
    """Why an entry was refused."""

    INVALID = "invalid"
    TWICE = "twice"
    REGISTERED_HERE = "registered_here"
    CHANGED_HERE = "changed_here"
    REMOVED_HERE = "removed_here"
    GIVEN_BY_OTHER = "given_by_other"


_WORDS = {
    Why.TWICE: "it stands twice in this revision; the first was taken",
    Why.REGISTERED_HERE: "it was registered on the spot and differs; name it in overrule to replace it",
    Why.CHANGED_HERE: "it was changed on the spot since you gave it; name it in overrule to replace it",
    Why.REMOVED_HERE: "it was removed on the spot since you gave it; name it in overrule to have it again",
}


class Refusal(Struct, frozen=True, kw_only=True):
    """One entry that was left as it was. `fields`: in which it differs; `source`: whose it is, "" for the estate's."""

    id: str
    why: Why
    error: str
    fields: list[str] = []
    source: str = ""


class Shared(Struct, frozen=True, kw_only=True):
    """An entry that is there because `source` gives it, too."""

    id: str
    source: str


class Given(Struct, frozen=True, kw_only=True):
    """What the backend sends of a section. `snapshot`: these and no others of its own."""

    items: Sequence[Struct]
    gone: Sequence[str] = ()
    overrule: Sequence[str] = ()
    snapshot: bool


class Hold(Struct, frozen=True, kw_only=True):
    """Whose an entry is, as one source sees it. `owned`: fingerprint of what this source gave and owns; `claimed`: of
    what it gave and another owns. `owner`: the other source that owns it; `heir`: who would own it next.
    """

    owned: bytes | None = None
    claimed: bytes | None = None
    owner: str = ""
    heir: str = ""

    @property
    def mine(self) -> bool:
        """Whether this source has given it and not taken it back."""
        return self.owned is not None or self.claimed is not None


NOBODYS = Hold()


class Plan(Struct, Generic[T], kw_only=True):
    """What becomes of the section. `written`, `leaving`: of the register; `owned`, `claimed`: fingerprints of what is
    this source's, where they are new; `dropped`: what is its own no more, with who owns it from now on, "" for none.
    """

    written: dict[str, T] = {}
    leaving: list[str] = []
    owned: dict[str, bytes] = {}
    claimed: dict[str, bytes] = {}
    dropped: dict[str, str] = {}
    added: list[str] = []
    changed: list[Change] = []
    unchanged: int = 0
    refused: list[Refusal] = []
    shared: list[Shared] = []


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
    holds: Mapping[str, Hold],
    wanted: Given,
    *,
    key: Callable[[T], str],
    checked: Callable[[T], T],
) -> Plan[T]:
    """`current`: the register now; `holds`: whose each entry is. Of both what `wanted` names, and for a snapshot all
    that is the source's.
    """
    found: Plan[T] = Plan()
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
        _take(found, name, entry, current.get(name), holds.get(name, NOBODYS), overruled=name in overrule)
    leaving = [name for name, hold in holds.items() if hold.mine] if wanted.snapshot else dict.fromkeys(wanted.gone)
    for name in leaving:
        if name not in seen:
            _leave(found, name, current.get(name), holds.get(name, NOBODYS), overruled=name in overrule)
        elif not wanted.snapshot:
            found.refused.append(_refusal(name, Why.TWICE))
    return found


def _take(found: Plan[T], name: str, entry: T, now: T | None, hold: Hold, *, overruled: bool) -> None:
    print_ = fingerprint(entry)
    same = now is not None and fingerprint(now) == print_
    fields = [field for field in differing(now, entry) if field != "id"] if now is not None and not same else []
    if hold.owner:
        if not same:
            found.refused.append(_of_another(name, hold.owner, fields))
            return
        if hold.claimed != print_:
            found.claimed[name] = print_
        found.shared.append(Shared(id=name, source=hold.owner))
        found.unchanged += 1
        return
    why = None if same or overruled else _conflict(now, hold.owned)
    if why is not None:
        found.refused.append(_refusal(name, why, fields))
        return
    if hold.owned != print_:
        found.owned[name] = print_
    if same:
        found.unchanged += 1
        return
    found.written[name] = entry
    if now is None:
        found.added.append(name)
    else:
        found.changed.append(Change(id=name, fields=fields))


def _leave(found: Plan[T], name: str, now: T | None, hold: Hold, *, overruled: bool) -> None:
    if hold.claimed is not None:
        found.dropped[name] = ""
        found.shared.append(Shared(id=name, source=hold.owner))
        return
    if hold.owner:
        found.refused.append(_of_another(name, hold.owner))
        return
    if now is not None and not overruled:
        why = _conflict(now, hold.owned)
        if why is not None:
            if hold.owned is not None:
                found.dropped[name] = hold.heir  # without an heir it is the estate's from now on
            found.refused.append(_refusal(name, why))
            return
    if hold.owned is not None:
        found.dropped[name] = hold.heir
    if hold.heir:
        found.shared.append(Shared(id=name, source=hold.heir))
    elif now is not None:
        found.leaving.append(name)


def _conflict(now: Struct | None, given: bytes | None) -> Why | None:
    if given is None:
        return Why.REGISTERED_HERE if now is not None else None
    if now is None:
        return Why.REMOVED_HERE
    return Why.CHANGED_HERE if fingerprint(now) != given else None


def _refusal(name: str, why: Why, fields: Sequence[str] = ()) -> Refusal:
    return Refusal(id=name, why=why, error=_WORDS[why], fields=list(fields))


def _of_another(name: str, owner: str, fields: Sequence[str] = ()) -> Refusal:
    error = f"{owner} gave it first and it is theirs; settle it between you, overrule does not help here"
    return Refusal(id=name, why=Why.GIVEN_BY_OTHER, error=error, fields=list(fields), source=owner)
