"""Devices made for Home Assistant's MQTT discovery, without Home Assistant.

They introduce themselves (`home_assistant_config`); where they speak and listen is kept in the registration's `options`
and never taken from a message. A light is told its level, a lock is opened, a cover (a barrier) opened and closed; what
came of it says their state. What a state means depends on the component, its device class and what the device is here.
Keys and defaults: https://www.home-assistant.io/integrations/mqtt/ and the pages of each component.
"""

from __future__ import annotations

from datetime import datetime, tzinfo
from typing import Any, NamedTuple

import msgspec

from devices.effects import CloseBarrier, Command, OpenPassage, SetLamp
from devices.errors import UnsupportedCommandError
from devices.events import (
    DeviceStatusChanged,
    Event,
    OfflineReason,
    VendorNotice,
)
from devices.model import Decoded, Device, Outgoing, Protocol, Reading
from devices.protocols.home_assistant_config import PREFIX, introduced, named, offers
from devices.protocols.home_assistant_state import events_of, text, valued
from devices.protocols.values import check_size
from devices.protocols.wire import label, number

OWN = "linli_"
"""How the names begin under which our own devices are announced to Home Assistant."""
COMMANDS: frozenset[type[Command]] = frozenset({OpenPassage, CloseBarrier, SetLamp})


class _Said(NamedTuple):
    """A message of a state or availability topic."""

    topic: str
    payload: bytes
    at: datetime


# -- up ---------------------------------------------


def decode(topic: str, payload: bytes, received_at: datetime, zone: tzinfo) -> Decoded:
    """An introduction, or a state. Who says a state on a topic of their own, the registration knows (address "").

    :raises DecodeError: the message is not one of this protocol.
    """
    del zone
    check_size(payload)
    component, address, leaf = "", "", ""
    if topic == f"{PREFIX}/status":
        return Decoded(address="status", ignored="whether Home Assistant is there")
    if topic.startswith(f"{PREFIX}/"):
        component, address = named(topic)
        leaf = topic.rpartition("/")[2]
    if address.startswith(f"device.{OWN}"):
        return Decoded(address=address, ignored="announced by ourselves")
    if leaf == "config":
        return _introduction(topic, payload, address, received_at)
    said = _Said(topic, payload, received_at)
    return _state(said, {"component": component}, "", address)


def _introduction(topic: str, payload: bytes, address: str, at: datetime) -> Decoded:
    notices = [
        Decoded(address=who, readings=_once(VendorNotice(at=at, name="announced", code=label(options["component"]))))
        for who, options in introduced(topic, payload).items()
    ]
    if not notices:
        return Decoded(address=address, readings=_once(VendorNotice(at=at, name="withdrawn")))
    return msgspec.structs.replace(notices[0], others=tuple(notices[1:]))


def _once(event: Event) -> tuple[Reading, ...]:
    return (Reading(event=event, timed=False),)


def interpret(decoded: Decoded, device: Device) -> Decoded:
    """A state as the registration says it is meant.

    :raises DecodeError: it is not what was announced.
    """
    if not isinstance(decoded.raw, _Said):
        return decoded
    options = device.options
    if decoded.raw.topic == options.get("availability_topic"):
        told = text(decoded.raw.payload)
        if told == options.get("payload_available", "online"):
            return _only(device.address, DeviceStatusChanged(at=decoded.raw.at, online=True))
        if told == options.get("payload_not_available", "offline"):
            gone = DeviceStatusChanged(at=decoded.raw.at, online=False, reason=OfflineReason.WILL)
            return _only(device.address, gone)
    component = options.get("component") or decoded.address.partition(".")[0]
    return _state(decoded.raw, {**options, "component": component}, device.kind, device.address)


def _only(address: str, *events: Event) -> Decoded:
    return Decoded(address=address, readings=tuple(Reading(event=event, timed=False) for event in events))


def _state(said: _Said, options: dict[str, str], kind: str, address: str) -> Decoded:
    value = valued(said.payload, options.get("value_template", ""))
    decoded = _only(address, *events_of(value, options, kind, said.at))
    if not decoded.readings:
        decoded = Decoded(address=address, ignored="a state without a meaning here")
    return msgspec.structs.replace(decoded, raw=said)


def topics_of(device: Device) -> tuple[str, ...]:
    """Where the device speaks: its state and its availability."""
    found = {device.options.get("state_topic", ""), device.options.get("availability_topic", "")}
    return tuple(sorted(found - {""}))


def orders_of(device: Device) -> tuple[str, ...]:
    """Where the device listens."""
    topic = device.options.get("command_topic", "")
    return (topic,) if topic else ()


# -- down ---------------------------------------------


def encode(command: Command, command_id: str, device: Device, now: datetime) -> Outgoing:
    """The message that carries `command` to the device's command topic; it answers with its state.

    :raises UnsupportedCommandError: the command is none of `PROTOCOL.commands`, or its component cannot do it.
    """
    del command_id, now
    topic, component = device.options.get("command_topic", ""), device.options.get("component", "")
    payload = _order(command, component, device.options) if topic else None
    if payload is None:
        raise UnsupportedCommandError(f"a {component or 'device'} of home_assistant has no {type(command).__name__}")
    return Outgoing(topic=topic, payload=payload.encode(), qos=1)


def _order(command: Command, component: str, options: dict[str, str]) -> str | None:  # noqa: PLR0911 - one table
    match command, component:
        case SetLamp(level_pct=level), "light" if options.get("schema") == "json":
            body: dict[str, Any] = {"state": options.get("payload_on", "ON") if level > 0 else "OFF"}
            if level > 0 and options.get("brightness") == "true":
                body["brightness"] = round(level / 100 * (number(options.get("brightness_scale", "255")) or 255))
            return msgspec.json.encode(body).decode()
        case SetLamp(level_pct=level), ("light" | "switch"):
            return options.get("payload_on", "ON") if level > 0 else options.get("payload_off", "OFF")
        case OpenPassage(), "lock":
            return options.get("payload_open") or options.get("payload_unlock", "UNLOCK")
        case OpenPassage(), "cover":
            return options.get("payload_open", "OPEN")
        case CloseBarrier(), "cover":
            return options.get("payload_close", "CLOSE")
        case OpenPassage(), "switch":
            return options.get("payload_on", "ON")
        case OpenPassage(), "button":
            return options.get("payload_press", "PRESS")
    return None


PROTOCOL = Protocol(
    name="home_assistant",
    topics=tuple(f"{PREFIX}/{names}/{leaf}" for names in ("+/+", "+/+/+") for leaf in ("config", "state")),
    orders=(f"{PREFIX}/status",),
    decode=decode,
    encode=encode,
    commands=COMMANDS,
    heartbeat_s=0,
    interpret=interpret,
    retained=("#",),
    topics_of=topics_of,
    orders_of=orders_of,
    offers=offers,
)
"""No heartbeat: the availability topic tells, where there is one."""
