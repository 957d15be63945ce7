"""The Things Stack v3 over MQTT: v3/{application}@{tenant}/devices/{device}/{event}.

Source: The Things Stack's documentation of its MQTT server. `received_at` has nanoseconds. A downlink's correlation
id of our choosing comes back in down/queued, sent, ack, nack and failed. There is no id that stays the same when a
message is sent again but the correlation id that begins with as:up.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from datetime import datetime, tzinfo
from typing import Any

import msgspec
from msgspec import Raw, Struct

from devices.codecs import Uplink
from devices.effects import Command
from devices.errors import DecodeError
from devices.events import CommandAnswered, CommandResult, DeviceStatusChanged
from devices.model import Decoded, Device, Outgoing, Protocol
from devices.protocols import lorawan
from devices.protocols.lorawan import frame, heard, plain, said, stamp
from devices.protocols.wire import MAX_NAME, Scalar, address_of, integer, label, parse, text

_OURS = "linli:"
"""What our correlation ids begin with: other integrations have theirs in the same list."""


class _Uplink(Struct, frozen=True):
    port: Scalar = msgspec.field(name="f_port", default=None)
    payload: str | None = msgspec.field(name="frm_payload", default=None)
    decoded: Raw = msgspec.field(name="decoded_payload", default=Raw(b"null"))
    received_at: str | None = None


class _Error(Struct, frozen=True):
    name: Scalar = None


class _Failure(Struct, frozen=True):
    error: _Error = _Error()


class _Message(Struct, frozen=True):
    correlation_ids: tuple[Scalar, ...] = ()
    received_at: str | None = None
    uplink: _Uplink | None = msgspec.field(name="uplink_message", default=None)
    failed: _Failure = msgspec.field(name="downlink_failed", default=_Failure())


_MESSAGE = msgspec.json.Decoder(_Message)

# -- up ---------------------------------------------


def decode(topic: str, payload: bytes, received_at: datetime, zone: tzinfo) -> Decoded:
    """One event of a device. Its times carry their zone.

    :raises DecodeError: the message is not one of this protocol.
    """
    del zone
    match topic.split("/"):
        case ["v3", _, "devices", device, *leaf] if leaf:
            address = address_of(device)
        case _:
            raise DecodeError("not a topic of this protocol")
    handler = _EVENTS.get("/".join(leaf))
    if handler is None:
        return Decoded(address=address, ignored="an event of the network server we do not know")
    message = parse(_MESSAGE, payload)
    return handler(address, message, received_at)


def _up(address: str, message: _Message, received_at: datetime) -> Decoded:
    up = message.uplink or _Uplink()
    port = integer(up.port) or 0
    if not 0 <= port < 256:
        raise DecodeError("payload does not fit the protocol")
    written = up.received_at or message.received_at
    at = stamp(written, received_at)
    uplink = Uplink(f_port=port, data=frame(up.payload), decoded=plain(up.decoded), at=at, received_at=received_at)
    found = heard(address, uplink, _record(message))
    return found if written else _untimed(found)


def _untimed(decoded: Decoded) -> Decoded:
    """Without its own time a message is of now, and that is no measure of anybody's clock."""
    readings = tuple(msgspec.structs.replace(reading, timed=False) for reading in decoded.readings)
    return msgspec.structs.replace(decoded, readings=readings)


def _record(message: _Message) -> str:
    found = (text(c) for c in message.correlation_ids)
    return next((c for c in found if c.startswith("as:up:") and len(c) < MAX_NAME), "")


def _join(address: str, message: _Message, received_at: datetime) -> Decoded:
    """A device joins when it starts, so each join is a boot."""
    at, record = stamp(message.received_at, received_at), _record(message)
    event = DeviceStatusChanged(at=at, online=True, boot_id=record)
    return said(address, event, record, timed=message.received_at is not None)


def _answer(result: CommandResult, reason: str = "") -> Callable[[str, _Message, datetime], Decoded]:
    """What became of a downlink. It is matched by the id we gave it; others' downlinks are not ours to follow."""

    def handle(address: str, message: _Message, received_at: datetime) -> Decoded:
        found = (text(c) for c in message.correlation_ids)
        command = next((c.removeprefix(_OURS) for c in found if c.startswith(_OURS)), "")
        if not command or len(command) > MAX_NAME:
            return Decoded(address=address, ignored="answers a downlink the gateway did not send")
        why = reason and (label(message.failed.error.name) or reason)
        event = CommandAnswered(at=received_at, command_id=command, result=result, reason=why)
        return said(address, event, timed=False)

    return handle


def _on_its_way(address: str, message: _Message, received_at: datetime) -> Decoded:
    del message, received_at
    return Decoded(address=address, ignored="a downlink is on its way: the device's own answer counts")


def _elsewhere(address: str, message: _Message, received_at: datetime) -> Decoded:
    del message, received_at
    return Decoded(address=address, ignored="where a device is, the registry says")


_EVENTS: dict[str, Callable[[str, _Message, datetime], Decoded]] = {
    "up": _up,
    "join": _join,
    "down/ack": _answer(CommandResult.ACCEPTED),
    "down/nack": _answer(CommandResult.FAILED, "not acknowledged by the device"),
    "down/failed": _answer(CommandResult.FAILED, "failed"),
    "down/queued": _on_its_way,
    "down/sent": _on_its_way,
    "location/solved": _elsewhere,
    "service/data": _elsewhere,
}

# -- down ---------------------------------------------


def encode(command: Command, command_id: str, device: Device, now: datetime) -> Outgoing:
    """A confirmed downlink, behind what waits already. Reads the options `codec` and `application`
    ({application id}@{tenant}; without a tenant on one's own server).

    :raises UnsupportedCommandError: the codec has no message for it, or the application is not known.
    """
    del now
    port, data = lorawan.downlink(command, device)
    body: dict[str, Any] = {
        "downlinks": [
            {
                "f_port": port,
                "frm_payload": base64.b64encode(data).decode(),
                "priority": "HIGH",
                "confirmed": True,
                "correlation_ids": [_OURS + command_id],
            }
        ]
    }
    topic = f"v3/{lorawan.application(device)}/devices/{device.address}/down/push"
    return Outgoing(topic=topic, payload=msgspec.json.encode(body))


PROTOCOL = Protocol(
    name="ttn",
    topics=(
        "v3/+/devices/+/up",
        "v3/+/devices/+/join",
        "v3/+/devices/+/down/ack",
        "v3/+/devices/+/down/nack",
        "v3/+/devices/+/down/failed",
        "v3/+/devices/+/down/queued",
        "v3/+/devices/+/down/sent",
        "v3/+/devices/+/location/solved",
        "v3/+/devices/+/service/data",
    ),
    orders=("v3/+/devices/+/down/push",),
    decode=decode,
    encode=encode,
    commands=lorawan.COMMANDS,
    heartbeat_s=lorawan.HEARTBEAT_S,
    interpret=lorawan.interpret,
)
"""The network server speaks for its devices; `address` is the device's id there."""
