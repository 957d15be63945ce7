"""Ebyte (亿佰特) CE31/C01 4G switches and breakers of lighting circuits: yibaite/{id}-post up, yibaite/{id}-set down.

Source: the maker's articles on its MQTT interface. No time and no answer: the state is posted again. `electric_read` is
in A, `voltage_read` in V. Further channels are ch2, ch3. The SIM's number (ICCID) is left out.
"""

from __future__ import annotations

from datetime import datetime, tzinfo
from typing import Any

import msgspec
from msgspec import Raw, Struct

from devices.effects import Command, SetLamp
from devices.errors import DecodeError
from devices.events import Event, Heartbeat, LampMeasured, VendorNotice
from devices.model import Decoded, Device, Outgoing, Protocol, Reading
from devices.protocols.roots import no_message, one_channel
from devices.protocols.wire import address_of, integer, label, leftover, number, parse

_CHANNELS = {"1": "powerstate", "2": "ch2", "3": "ch3"}
_TROUBLE = ("alarm", "fault", "error", "warn", "trip")
_KNOWN = frozenset((*_CHANNELS.values(), "electric_read", "voltage_read", "power_read", "csq", "ICCID"))

Fields = dict[str, Any]


class _Post(Struct, frozen=True):
    method: str = ""
    params: Raw = Raw(b"{}")


_POST = msgspec.json.Decoder(_Post)
_FIELDS = msgspec.json.Decoder(Fields)

# -- up ---------------------------------------------


def decode(topic: str, payload: bytes, received_at: datetime, zone: tzinfo) -> Decoded:
    """The state of a switch: each channel, and the meter of the first.

    :raises DecodeError: the message is not one of this protocol.
    """
    del zone
    match topic.split("/"):
        case ["yibaite", own] if own.endswith(("-post", "-set")):
            address, _, leaf = own.rpartition("-")
            address = address_of(address)
        case _:
            raise DecodeError("not a topic of this protocol")
    if leaf == "set":
        return Decoded(address=address, ignored="a message to the device")
    post = parse(_POST, payload)
    if post.method != "thing.event.property.post":
        return Decoded(address=address, ignored="a method of the thing model we do not know")
    fields = parse(_FIELDS, post.params)
    said = [*_channels(fields, received_at), *_troubles(fields, received_at)]
    event, *_ = (event for _, event in said) if said else (Heartbeat(at=received_at),)
    extra = leftover(post.params, _KNOWN)
    first = msgspec.structs.replace(event, vendor=extra) if extra else event
    events = [first, *(event for _, event in said[1:])]
    readings = tuple(Reading(event=event, timed=False) for event in events)
    return Decoded(address=address, readings=readings, raw=tuple(c for c, _ in said) or ("",))


def _channels(fields: Fields, at: datetime) -> list[tuple[str, Event]]:
    found: list[tuple[str, Event]] = []
    for channel, key in _CHANNELS.items():
        state = _scalar(fields.get(key))
        meter: dict[str, Any] = _meter(fields) if channel == "1" else {}
        if state is not None or meter:
            level = None if state is None else 100.0 if state else 0.0
            found.append((channel, LampMeasured(at=at, level_pct=level, **meter)))
    return found


def _meter(fields: Fields) -> dict[str, Any]:
    names = {"supply_current_a": "electric_read", "supply_voltage_v": "voltage_read", "active_power_w": "power_read"}
    values = ((ours, fields.get(theirs)) for ours, theirs in names.items())
    return {ours: v for ours, held in values if isinstance(held, int | float | str) and (v := number(held)) is not None}


def _scalar(value: Any) -> int | None:
    found = integer(value) if isinstance(value, int | float | str) else None
    return found if found in (0, 1) else None


def _troubles(fields: Fields, at: datetime) -> list[tuple[str, Event]]:
    """Whatever the breaker calls a fault, by its own name: the maker's list of them is not public."""
    names = (key for key in fields if any(word in key.lower() for word in _TROUBLE))
    found = ((key, fields[key]) for key in names if isinstance(fields[key], int | float | str))
    return [
        ("", VendorNotice(at=at, name=f"ebyte.{key}"[:128], code=label(value)))
        for key, value in found
        if label(value) not in ("", "0")
    ]


def interpret(decoded: Decoded, device: Device) -> Decoded:
    """The channel that is registered (option `channel`, 1 without it)."""
    return one_channel(decoded, device, "1")


# -- down ---------------------------------------------


def encode(command: Command, command_id: str, device: Device, now: datetime) -> Outgoing:
    """A channel on or off: a switch takes 0 or more than 0. Reads the option `channel` (1, 2 or 3).

    :raises UnsupportedCommandError: the command is not SetLamp.
    """
    del now
    key = _CHANNELS.get(device.options.get("channel", "1"))
    if not isinstance(command, SetLamp) or key is None:
        raise no_message("ebyte", command)
    body = {"method": "thing.service.property.set", "id": command_id, "params": {key: int(command.level_pct > 0)}}
    return Outgoing(topic=f"yibaite/{device.address}-set", payload=msgspec.json.encode(body))


PROTOCOL = Protocol(
    name="ebyte",
    topics=("yibaite/+",),
    orders=("yibaite/+",),
    decode=decode,
    encode=encode,
    commands=frozenset({SetLamp}),
    heartbeat_s=600.0,
    interpret=interpret,
)
"""`address` is the id from the factory."""
