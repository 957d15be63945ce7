"""Homie 5 (homieiot.github.io/specification): homie/5/{device}/{node}/{property}, everything retained, text only.

Homie 4 has no 5 in its topics and tells its shape on many; its states and values are the same, so they are understood
(option `homie` = "4" for commands).

A device tells its state ($state, `lost` as its will), its shape ($description) and its values; what a value means is an
option of the registration (`devices.protocols.values`, names are `node/property`). Commands go to {property}/set. A
target ($target) is where a value is going; that it arrived, only the value says. What a controller says to all
($broadcast) is none of a device's. An empty text is sent as one zero byte.
"""

from __future__ import annotations

from datetime import datetime, tzinfo
from typing import Any

import msgspec

from devices.effects import CloseBarrier, Command, OpenPassage, SetLamp
from devices.errors import DecodeError, UnsupportedCommandError
from devices.events import DeviceStatusChanged, Event, OfflineReason, VendorNotice
from devices.model import Decoded, Device, Offer, Outgoing, Protocol, Reading
from devices.protocols import values
from devices.protocols.values import Value
from devices.protocols.wire import address_of, label, number, parse

ROOT = "homie/5"
COMMANDS: frozenset[type[Command]] = frozenset({OpenPassage, CloseBarrier, SetLamp})
_STATES: dict[str, tuple[bool, OfflineReason]] = {
    "init": (True, OfflineReason.NONE),
    "ready": (True, OfflineReason.NONE),
    "sleeping": (True, OfflineReason.NONE),
    "disconnected": (False, OfflineReason.GOODBYE),
    "lost": (False, OfflineReason.WILL),
}
"""Homie 5, "Device Lifecycle"."""
_SWITCHES = {"true": True, "false": False}
_DESCRIPTION = msgspec.json.Decoder(dict[str, Any])


def decode(topic: str, payload: bytes, received_at: datetime, zone: tzinfo) -> Decoded:  # noqa: C901, PLR0911 - one table
    """One message of a device. Homie has no times, so each is of now.

    :raises DecodeError: the message is not one of this protocol.
    """
    del zone
    values.check_size(payload)
    root, *levels = topic.split("/")
    if levels[:1] == ["5"]:
        levels = levels[1:]
    if root != "homie" or not 2 <= len(levels) <= 4:
        raise DecodeError("not a topic of this protocol")
    if levels[0] == "$broadcast":
        return Decoded(address="$broadcast", ignored="said to all devices")
    address = address_of(levels[0])
    match levels[1:]:
        case ["$state"]:
            return _one(address, _state(payload, received_at))
        case ["$description"]:
            version = label(parse(_DESCRIPTION, payload).get("version") if payload else "")
            return _one(address, VendorNotice(at=received_at, name="$description", code=version))
        case ["$alert", name]:
            # Its text is free, so it is not kept; an empty one takes the alert back.
            return _one(
                address, VendorNotice(at=received_at, name=f"$alert/{name}"[:128], code="on" if payload else "")
            )
        case ["$log", level]:
            return _one(address, VendorNotice(at=received_at, name="$log", code=label(level)))
        case [node, name] if not node.startswith("$") and not name.startswith("$"):
            return _property(address, f"{node}/{name}", payload, received_at)
        case [node, name, "$target"]:
            target = _text(payload)
            code = target if _scalar(target) is not target else ""
            return _one(address, VendorNotice(at=received_at, name=f"{node}/{name}/$target"[:128], code=code[:128]))
        case [_, _, "set"]:
            return Decoded(address=address, ignored="told by a controller")
        case [*_, attribute] if attribute.startswith("$"):
            return Decoded(address=address, ignored="an attribute of Homie 4")
    raise DecodeError("not a topic of this protocol")


def _one(address: str, event: Event) -> Decoded:
    return Decoded(address=address, readings=(Reading(event=event, timed=False),))


def _text(payload: bytes) -> str:
    try:
        return "" if payload == b"\x00" else payload.decode()
    except UnicodeDecodeError as error:
        raise DecodeError("payload is not text") from error


def _state(payload: bytes, at: datetime) -> Event:
    state = _text(payload)
    if state not in _STATES:
        return VendorNotice(at=at, name="$state", code=label(state)[:32])
    online, reason = _STATES[state]
    return DeviceStatusChanged(at=at, online=online, reason=reason)


def _scalar(told: str) -> values.Scalar:
    """A value's text: a switch, a number, or itself. Which of them it was meant as, only $description says."""
    if told in _SWITCHES:
        return _SWITCHES[told]
    figure = number(told) if len(told) <= 64 else None
    return told if figure is None else figure


def _property(address: str, name: str, payload: bytes, at: datetime) -> Decoded:
    value = Value(name, _scalar(_text(payload)), at, timed=False)
    found = values.readings([value], {})
    return Decoded(address=address, readings=found, ignored="" if found else "a text", raw=(value,))


def interpret(decoded: Decoded, device: Device) -> Decoded:
    """A value as the registration says it is meant."""
    if decoded.raw is None:
        return decoded
    found = values.readings(decoded.raw, device.options)
    return Decoded(address=decoded.address, readings=found, ignored="" if found else "a text")


def offers(topic: str, payload: bytes) -> tuple[Offer, ...]:
    """Who describes itself with $description could be registered like this: a light that can be set, or a sensor.

    :raises DecodeError: it is no description.
    """
    levels = topic.split("/")
    if levels[:2] != ["homie", "5"] or levels[3:] != ["$description"] or not payload:
        return ()
    options: dict[str, str] = {}
    for node, about in _members(parse(_DESCRIPTION, payload).get("nodes")):
        for name, described in _members(about.get("properties")):
            _offer(options, f"{node}/{name}", described)
    kind = "light" if "set_on" in options or "set_level_pct" in options else "cover"
    return (Offer(address=address_of(levels[2]), kind=kind, options=options),)


def _members(held: Any) -> list[tuple[str, dict[str, Any]]]:
    if not isinstance(held, dict):
        return []
    return [(key, about) for key, about in held.items() if isinstance(about, dict) and "/" not in key]


def _offer(options: dict[str, str], name: str, described: dict[str, Any]) -> None:
    leaf, datatype = name.rpartition("/")[2], described.get("datatype")
    if described.get("settable") and datatype == "boolean" and leaf in ("power", "on", "switch"):
        options.update(lamp_on=name, set_on=name)
    elif described.get("settable") and leaf in ("brightness", "level", "dimmer"):
        options.update(level_pct=name, set_level_pct=name)
    elif leaf in ("open", "contact"):
        options["cover_open"] = name
    elif leaf == "battery":
        options["battery_pct"] = name


def encode(command: Command, command_id: str, device: Device, now: datetime) -> Outgoing:
    """The message that carries `command`; the device answers with the value itself, so ids do not travel.

    :raises UnsupportedCommandError: the command is none of `PROTOCOL.commands`, or no option says what to write.
    """
    del command_id, now
    if type(command) not in COMMANDS:
        raise UnsupportedCommandError(f"homie has no message for {type(command).__name__}")
    # Brightness alone: a device of Homie goes on when it is told how bright to be.
    name, value = next(iter(values.written(command, device).items()))
    told = str(value).lower()
    root = "homie" if device.options.get("homie") == "4" else ROOT
    return Outgoing(topic=f"{root}/{device.address}/{name}/set", payload=told.encode(), qos=1)


PROTOCOL = Protocol(
    name="homie",
    topics=("homie/+/+", "homie/+/+/+", f"{ROOT}/+/+/+", f"{ROOT}/+/+/+/$target"),
    orders=(f"{ROOT}/+/+/+/set", f"{ROOT}/$broadcast/#", "homie/+/+/+/set", "homie/$broadcast/#"),
    decode=decode,
    encode=encode,
    commands=COMMANDS,
    heartbeat_s=0,
    interpret=interpret,
    retained=("#",),
    offers=offers,
)
"""Homie has no heartbeat: the broker's will tells that a device is lost."""
