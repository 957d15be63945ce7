"""What a Vbar terminal can be told; `devices.protocols.vf` reads what it says."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from devices.effects import AnswerCredential, Command, OpenPassage, PersonEntry, Reboot, Speak, SyncPersons
from devices.errors import UnsupportedCommandError
from devices.model import Device, Outgoing
from devices.protocols.vf_wire import CARD, ERROR, OK, ROOT

COMMANDS: frozenset[type[Command]] = frozenset({OpenPassage, AnswerCredential, Reboot, Speak, SyncPersons})
_REBOOT, _OPEN, _PLAY = 0, 1, 5
_ALWAYS, _BETWEEN = 0, 1
_END_S = 4_102_444_800
"""2100: for a person without an end."""


def encode(command: Command, command_id: str, device: Device, now: datetime) -> Outgoing:
    """The message that carries `command`.

    Options: `version` (v1 by default, or v2), `prefix` as set on the terminal, with its / if it has one, and `uuid` =
    yes for DW200 firmware that obeys only what carries its own number. Param `open_ms`: how long a DW200 holds its
    relay, ms.

    :raises UnsupportedCommandError: the terminal has no message for this.
    """
    del now
    match command:
        case OpenPassage():
            extra = {"timeout": int(device.param("open_ms", 2000))}
            return _order(device, "control", command_id, {"command": _OPEN, "extra": extra})
        case Reboot():
            return _order(device, "control", command_id, {"command": _REBOOT, "extra": {}})
        case Speak(text=prompt) if prompt.endswith(".wav") and _version(device) == "v1":
            return _order(device, "control", command_id, {"command": _PLAY, "extra": {"wav": prompt}})
        case AnswerCredential(reply_to=reply_to, allowed=allowed):
            version, _, serial = reply_to.partition("/")
            body = {"serialNo": serial, "code": OK if allowed else ERROR}
            topic = f"{prefix(device)}{ROOT}/{version}/event/{device.address}/access_online_reply"
            return Outgoing(topic=topic, payload=msgspec.json.encode(body | _own(device)))
        case SyncPersons():
            return _sync(command, command_id, device)
        case _:
            raise UnsupportedCommandError(f"vf has no message for this {type(command).__name__}")


def _sync(command: SyncPersons, command_id: str, device: Device) -> Outgoing:
    """v1 keeps permissions: a card each. v2 keeps persons, permissions and credentials in three lists that are filled
    by three messages, so only removing, which is one, can be done there.
    """
    put, remove = command.put, list(command.remove)
    if put and remove:
        raise UnsupportedCommandError("vf adds and removes persons in different messages")
    if remove and _version(device) == "v2":
        return _order(device, "delUser", command_id, remove)
    if remove:
        return _order(device, "delPermission", command_id, remove)
    if _version(device) == "v2" or any(len(person.cards) != 1 for person in put):
        raise UnsupportedCommandError("vf takes persons of one card each, and by v1 only")
    return _order(device, "insertPermission", command_id, [_permission(person) for person in put])


def _permission(person: PersonEntry) -> dict[str, Any]:
    time: dict[str, Any] = {"type": _ALWAYS}
    if person.valid_from or person.valid_to:
        begin = int(person.valid_from.timestamp()) if person.valid_from else 0
        end = int(person.valid_to.timestamp()) if person.valid_to else _END_S
        time = {"type": _BETWEEN, "range": {"beginTime": begin, "endTime": end}}
    card = person.cards[0].lower()
    return {"id": person.id, "type": CARD, "code": card, "index": 0, "extra": {}, "time": time}


def _order(device: Device, order: str, command_id: str, data: Any) -> Outgoing:
    topic = f"{prefix(device)}{ROOT}/{_version(device)}/cmd/{device.address}/{order}"
    return Outgoing(topic=topic, payload=msgspec.json.encode({"serialNo": command_id, "data": data} | _own(device)))


def _own(device: Device) -> dict[str, str]:
    return {"uuid": device.address} if device.options.get("uuid") == "yes" else {}


def prefix(device: Device) -> str:
    """What stands before its topics, as it was set on the terminal."""
    return device.options.get("prefix", "")


def _version(device: Device) -> str:
    return "v2" if device.options.get("version") == "v2" else "v1"
