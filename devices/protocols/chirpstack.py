"""ChirpStack v4 (and v3) as it publishes over MQTT: application/{application}/device/{DevEUI}/event/{event}.

Source: ChirpStack's documentation of its event types and MQTT integration. Protobuf JSON leaves out what is zero or
false: an absent fPort is 0, an absent `acknowledged` is a refusal. Times have nanoseconds. `deduplicationId` is the
same when the server sends a message again. A downlink's `id` of our choosing (a UUID) comes back as `queueItemId` in
txack (sent by a gateway) and ack (confirmed by the device). Version 3 has objectJSON, and its DevEUI in base64, so
only the one in the topic is taken.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from datetime import datetime, tzinfo
from typing import Any

import msgspec
from msgspec import Raw, Struct, field

from devices.codecs import Uplink
from devices.effects import Command
from devices.errors import DecodeError
from devices.events import (
    BatteryMeasured,
    CommandAnswered,
    CommandResult,
    DeviceStatusChanged,
    Heartbeat,
    VendorNotice,
)
from devices.model import Decoded, Device, Outgoing, Protocol
from devices.protocols import lorawan
from devices.protocols.lorawan import frame, heard, plain, said, stamp
from devices.protocols.wire import Scalar, address_of, integer, label, name, number, parse

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_HEX = re.compile(r"[0-9a-f]{32}")


class _Event(Struct, frozen=True):
    dedup: Scalar = field(name="deduplicationId", default=None)
    time: str | None = None
    published: str | None = field(name="publishedAt", default=None)
    port: Scalar = field(name="fPort", default=None)
    data: str | None = None
    object: Raw = Raw(b"null")
    object_json: str | None = field(name="objectJSON", default=None)
    battery: Scalar = field(name="batteryLevel", default=None)
    queue_item: Scalar = field(name="queueItemId", default=None)
    acknowledged: bool = False
    level: Scalar = None
    code: Scalar = None


_EVENT = msgspec.json.Decoder(_Event)

# -- up ---------------------------------------------


def decode(topic: str, payload: bytes, received_at: datetime, zone: tzinfo) -> Decoded:
    """One event of a device. Its times carry their zone.

    :raises DecodeError: the message is not one of this protocol.
    """
    del zone
    match topic.split("/"):
        case ["application", _, "device", eui, "event", leaf]:
            address = address_of(eui)
        case _:
            raise DecodeError("not a topic of this protocol")
    handler = _EVENTS.get(leaf)
    if handler is None:
        return Decoded(address=address, ignored="an event of the network server we do not know")
    event = parse(_EVENT, payload)
    return handler(address, event, stamp(event.time or event.published, received_at), received_at)


def _up(address: str, event: _Event, at: datetime, received_at: datetime) -> Decoded:
    port = integer(event.port) or 0
    if not 0 <= port < 256:
        raise DecodeError("payload does not fit the protocol")
    found = plain(event.object) if event.object_json is None else plain(Raw(event.object_json.encode()))
    uplink = Uplink(f_port=port, data=frame(event.data), decoded=found, at=at, received_at=received_at)
    return heard(address, uplink, name(event.dedup))


def _status(address: str, event: _Event, at: datetime, received_at: datetime) -> Decoded:
    """The battery as the device reports it to the server; absent with a mains supply."""
    del received_at
    level = number(event.battery)
    if level is None or not 0 <= level <= 100:
        return said(address, Heartbeat(at=at), name(event.dedup))
    return said(address, BatteryMeasured(at=at, level_pct=level), name(event.dedup))


def _join(address: str, event: _Event, at: datetime, received_at: datetime) -> Decoded:
    """A device joins when it starts, so each join is a boot."""
    del received_at
    record = name(event.dedup)
    return said(address, DeviceStatusChanged(at=at, online=True, boot_id=record), record)


def _ack(address: str, event: _Event, at: datetime, received_at: datetime) -> Decoded:
    """The device has the downlink, or has not: what it did about it, it reports itself."""
    command = _command_id(event)
    if not command:
        return Decoded(address=address, ignored="acknowledges a downlink without an id")
    del received_at
    result = CommandResult.ACCEPTED if event.acknowledged else CommandResult.FAILED
    reason = "" if event.acknowledged else "not acknowledged by the device"
    record = name(event.dedup)
    return said(address, CommandAnswered(at=at, command_id=command, result=result, reason=reason), record)


def _command_id(event: _Event) -> str:
    found = name(event.queue_item)
    return found.replace("-", "") if _UUID.fullmatch(found) else found


def _txack(address: str, event: _Event, at: datetime, received_at: datetime) -> Decoded:
    del event, at, received_at
    return Decoded(address=address, ignored="a gateway sent a downlink: the device's own answer counts")


def _log(address: str, event: _Event, at: datetime, received_at: datetime) -> Decoded:
    """The server's trouble with a device. Its description may hold anything, so only the code is kept."""
    del received_at
    notice = VendorNotice(at=at, name=f"chirpstack.{label(event.code) or 'log'}"[:128], code=label(event.level))
    return said(address, notice)


def _location(address: str, event: _Event, at: datetime, received_at: datetime) -> Decoded:
    del event, at, received_at
    return Decoded(address=address, ignored="where a device is, the registry says")


def _integration(address: str, event: _Event, at: datetime, received_at: datetime) -> Decoded:
    del event, at, received_at
    return Decoded(address=address, ignored="an event of another integration")


_EVENTS: dict[str, Callable[[str, _Event, datetime, datetime], Decoded]] = {
    "up": _up,
    "status": _status,
    "join": _join,
    "ack": _ack,
    "txack": _txack,
    "log": _log,
    "error": _log,
    "location": _location,
    "integration": _integration,
}

# -- down ---------------------------------------------


def encode(command: Command, command_id: str, device: Device, now: datetime) -> Outgoing:
    """A confirmed downlink, under the command's id. Reads the options `codec` and `application` (the application's id).

    :raises UnsupportedCommandError: the codec has no message for it, or the application is not known.
    """
    del now
    port, data = lorawan.downlink(command, device)
    dashed = "-".join((command_id[:8], command_id[8:12], command_id[12:16], command_id[16:20], command_id[20:]))
    body: dict[str, Any] = {
        "id": dashed if _HEX.fullmatch(command_id) else command_id,
        "devEui": device.address,
        "confirmed": True,
        "fPort": port,
        "data": base64.b64encode(data).decode(),
    }
    topic = f"application/{lorawan.application(device)}/device/{device.address}/command/down"
    return Outgoing(topic=topic, payload=msgspec.json.encode(body))


PROTOCOL = Protocol(
    name="chirpstack",
    topics=("application/+/device/+/event/+",),
    orders=("application/+/device/+/command/down",),
    decode=decode,
    encode=encode,
    commands=lorawan.COMMANDS,
    heartbeat_s=lorawan.HEARTBEAT_S,
    interpret=lorawan.interpret,
)
"""The network server speaks for its devices; `address` is the DevEUI, 16 hexadecimal digits."""
