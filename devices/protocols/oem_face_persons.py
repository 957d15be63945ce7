"""The person list of OEM face terminals: how it is changed, and what the terminal says of it.

One message carries one person (EditPerson, DelPerson) or a batch (EditPersonsNew: a list in `info`; DeletePersons: an
object with a list of ids). Times are the terminal's local ones. Error codes are the vendor's, sent as text, in `code`
or per person in `errcode`; two published tables differ, so their text is a hint for people and no decision rests on it
but one: who is to be deleted and is unknown (461) is gone.
"""

from __future__ import annotations

import base64
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Raw, Struct, field

from devices.effects import PersonEntry, SyncPersons
from devices.errors import DecodeError, UnsupportedCommandError
from devices.events import CommandAnswered, CommandResult, Event, ListAnswered, ListRefusal, ListReported
from devices.model import Device, ListLimits
from devices.protocols.wire import Scalar, integer, label, name, parse, text

LIMITS = ListLimits(put=50, remove=200, photo_bytes=720 * 1024)
"""DeletePersons takes 200 ids; a message over 1 MB is refused (460), and base64 adds a third."""
MOST = 2000
"""Entries of one answer; a terminal takes 1000 in one batch."""
_OK = frozenset({"", "0", "200"})
_UNKNOWN_PERSON = "461"
_ERRORS = {
    "410": "batch busy",
    "412": "no DataBegin",
    "413": "no DataEnd",
    "414": "no info",
    "415": "no PersonNum",
    "416": "PersonNum out of range",
    "417": "PersonNum differs from the list",
    "460": "message over 1 MB",
    "461": "customId missing or unknown",
    "462": "bad parameter",
    "463": "bad base64 or no picture",
    "464": "no features found",
    "465": "database or download failed",
    "466": "photo empty",
    "467": "store full or photo too large",
    "468": "photo too small or no features",
    "469": "too long",
    "470": "address not resolved",
    "471": "no connection",
    "472": "no picture",
    "474": "list full",
    "478": "too similar to another person",
}
_PERMANENT, _PERIOD = 0, 1
"""`tempCardType` (`tempValid` on cameras)."""

# -- up ---------------------------------------------


class _Person(Struct, frozen=True):
    id: Scalar = field(name="customId", default=None)
    code: Scalar = field(name="errcode", default=None)


class _Answer(Struct, frozen=True):
    id: Raw = field(name="customId", default=Raw(b"null"))
    result: Scalar = None
    added: Raw = field(name="AddSucInfo", default=Raw(b"null"))
    not_added: Raw = field(name="AddErrInfo", default=Raw(b"null"))
    edited: Raw = field(name="EditSucInfo", default=Raw(b"null"))
    not_edited: Raw = field(name="EditErrInfo", default=Raw(b"null"))
    deleted: Raw = field(name="DelSucInfo", default=Raw(b"null"))
    not_deleted: Raw = field(name="DelErrInfo", default=Raw(b"null"))
    errors_added: Scalar = field(name="AddErrNum", default=None)
    errors_edited: Scalar = field(name="EditErrNum", default=None)
    errors_deleted: Scalar = field(name="DelErrNum", default=None)
    total: Scalar = field(name="TotalPersonNum", default=None)
    found: Scalar = field(name="QueryPersonNum", default=None)

    @property
    def errors(self) -> int:
        return sum(integer(count) or 0 for count in (self.errors_added, self.errors_edited, self.errors_deleted))


_ANSWER = msgspec.json.Decoder(_Answer)
_PERSONS = msgspec.json.Decoder(list[_Person | Scalar] | _Person | Scalar)
_IDS = msgspec.json.Decoder(list[Scalar] | Scalar)


def failure(code: Scalar, result: Scalar) -> str:
    """Why a command failed, "" where it did not."""
    number, word = label(code), text(result).lower()
    if number in _OK and word in ("", "ok", "success"):
        return ""
    number = "" if number in _OK else number
    return reason(number) or label(result) or "refused"


def reason(code: str) -> str:
    """A code with the vendor's word for it."""
    return f"{code} {_ERRORS[code]}" if code in _ERRORS else code


def answered(operator: str, command_id: str, code: Scalar, info: Raw, at: datetime) -> Event:
    """What an Ack of one person or of a batch says of each of them; of the whole command where it names nobody. One
    that only counts errors leaves open whose they are.
    """
    answer = parse(_ANSWER, info)
    deletes = operator.startswith("Del")
    took = [*_persons(answer.added), *_persons(answer.edited), *_persons(answer.deleted)]
    not_taken = [*_persons(answer.not_added), *_persons(answer.not_edited), *_persons(answer.not_deleted)]
    failed = failure(code, answer.result)
    if not took and not not_taken:
        own = [_Person(id=one) for one in _ids(answer.id)]
        took, not_taken = ([], [msgspec.structs.replace(p, code=code) for p in own]) if failed else (own, [])
    if not took and not not_taken:
        if not failed and not answer.errors:
            return ListAnswered(at=at, command_id=command_id, rest=True)
        result = CommandResult.FAILED if failed else CommandResult.ACCEPTED
        return CommandAnswered(at=at, command_id=command_id, result=result, reason=failed)
    gone = [p for p in not_taken if deletes and text(p.code) == _UNKNOWN_PERSON]
    refused = [p for p in not_taken if p not in gone]
    return ListAnswered(
        at=at,
        command_id=command_id,
        took=tuple(name(p.id) for p in (*took, *gone)),
        refused=tuple(
            ListRefusal(entry=name(p.id), reason=reason(label(p.code)) or failed or "refused") for p in refused
        ),
    )


def reported(info: Raw, at: datetime) -> ListReported:
    """QueryPerson-Ack: how many the terminal holds, and their ids in one text with commas (or a list)."""
    answer = parse(_ANSWER, info)
    ids = tuple(name(one) for one in _ids(answer.id))
    total = integer(answer.total)
    count = total if total is not None else integer(answer.found)
    return ListReported(at=at, what="persons", count=max(0, len(ids) if count is None else count), entries=ids)


def _persons(raw: Raw) -> list[_Person]:
    """A list of objects, one object, or plain ids."""
    found = parse(_PERSONS, raw)
    several = found if isinstance(found, list) else [found]
    if len(several) > MOST:
        raise DecodeError("too many entries")
    persons = [one if isinstance(one, _Person) else _Person(id=one) for one in several]
    return [person for person in persons if name(person.id)]


def _ids(raw: Raw) -> list[str]:
    found = parse(_IDS, raw)
    several = [text(one) for one in found] if isinstance(found, list) else text(found).split(",")
    if len(several) > MOST:
        raise DecodeError("too many entries")
    return [one for one in (each.strip() for each in several) if one]


# -- down ---------------------------------------------


def sync(command: SyncPersons, command_id: str, device: Device) -> dict[str, Any]:
    """The message that changes the list.

    :raises UnsupportedCommandError: it is to add and remove at once, for which there is no message.
    """
    put, remove = command.put, command.remove
    if put and remove:
        raise UnsupportedCommandError("oem_face adds and removes persons in different messages")
    match put, remove:
        case [one], []:
            return {"messageId": command_id, "operator": "EditPerson", "info": _person(one, device)}
        case [], [one]:
            return {"operator": "DelPerson", "messageId": command_id, "info": {"customId": one}}
        case _, []:
            return _batch("EditPersonsNew", command_id, len(put), [_person(one, device) for one in put])
        case _:
            return _batch("DeletePersons", command_id, len(remove), {"customId": list(remove)})


def _batch(operator: str, command_id: str, count: int, info: Any) -> dict[str, Any]:
    return {
        "messageId": command_id,
        "DataBegin": "BeginFlag",
        "operator": operator,
        "PersonNum": str(count),
        "info": info,
        "DataEnd": "EndFlag",
    }


def _person(person: PersonEntry, device: Device) -> dict[str, Any]:
    """What we hold of a person, and no more: no gender, birthday, address or telephone is made up. A terminal takes one
    card, and wants a name (32 characters), for which the id stands in.
    """
    fields: dict[str, Any] = {"customId": person.id, "name": (person.name or person.id)[:32], "personType": 0}
    fields |= _validity(person, device)
    if person.cards:
        fields |= {"cardType2": 0, "cardNum2": person.cards[0]}
    if person.photo:
        fields["pic"] = "data:image/jpeg;base64," + base64.b64encode(person.photo).decode()
    return fields


_FIRST, _LAST = "2000-01-01 00:00:00", "2099-12-31 23:59:59"


def _validity(person: PersonEntry, device: Device) -> dict[str, Any]:
    """Option `family` = "camera": the IP cameras of the family have other names for the same."""
    zone = ZoneInfo(device.zone)
    ends = person.valid_from is not None or person.valid_to is not None
    kind = _PERIOD if ends else _PERMANENT
    begin = person.valid_from.astimezone(zone).strftime("%Y-%m-%d %H:%M:%S") if person.valid_from else _FIRST
    end = person.valid_to.astimezone(zone).strftime("%Y-%m-%d %H:%M:%S") if person.valid_to else _LAST
    camera = device.options.get("family") == "camera"
    names = ("tempValid", "validBegin", "validEnd") if camera else ("tempCardType", "cardValidBegin", "cardValidEnd")
    return dict(zip(names, (kind, begin, end), strict=True)) if ends else {names[0]: kind}
