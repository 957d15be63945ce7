"""DAS (达实) thing model V1.0: sys/{product}/{device}/thing/heart and .../ntp, each answered on .../response.

Only the heartbeat and the clock are published; records and the opening are not. Times are milliseconds since 1970. A
device takes the answer to ntp for its clock: when it sent, when we received and when we sent. A decoder has no clock,
so we say that we sent when we received; what the answer takes to be safe on the disk is an error of milliseconds.
"""

from __future__ import annotations

from datetime import datetime, timedelta, tzinfo
from typing import Any

import msgspec
from msgspec import Struct, field

from devices.effects import Command
from devices.errors import DecodeError, UnsupportedCommandError
from devices.events import Heartbeat
from devices.model import Decoded, Device, Outgoing, Protocol
from devices.protocols.wire import Scalar, address_of, epoch_time, integer, name, only, parse

_SHORTEST_S, _LONGEST_S = 30, 1200
_EPOCH = datetime.fromisoformat("1970-01-01T00:00:00+00:00")


class _Message(Struct, frozen=True):
    id: Scalar = None
    time: Scalar = None
    interval: Scalar = None
    sent: Scalar = field(name="deviceSendTime", default=None)


_MESSAGE = msgspec.json.Decoder(_Message)


def decode(topic: str, payload: bytes, received_at: datetime, zone: tzinfo) -> Decoded:
    """One message of a device. Its times count from 1970, so the site's zone is not asked.

    :raises DecodeError: the message is not one of this protocol.
    """
    del zone
    match topic.split("/"):
        case ["sys", product, owner, "thing", leaf] if leaf in ("heart", "ntp"):
            address_of(product)
            address = address_of(owner)
        case _:
            raise DecodeError("not a topic of this protocol")
    message = parse(_MESSAGE, payload)
    sent = message.time if leaf == "heart" else message.sent
    at = epoch_time(sent)
    decoded = only(address, Heartbeat(at=at or received_at), timed=at is not None)
    answer = _heart(message, received_at) if leaf == "heart" else _ntp(message, received_at)
    reply = Outgoing(topic=f"{topic}/response", payload=msgspec.json.encode(answer))
    return msgspec.structs.replace(decoded, replies=(reply,))


def _milliseconds(at: datetime) -> int:
    return (at - _EPOCH) // timedelta(milliseconds=1)


def _heart(message: _Message, received_at: datetime) -> dict[str, Any]:
    """The interval, where the device names one, is left as it is."""
    interval = integer(message.interval)
    kept = {"interval": interval} if interval is not None and _SHORTEST_S <= interval <= _LONGEST_S else {}
    return {"id": name(message.id), "time": _milliseconds(received_at), **kept}


def _ntp(message: _Message, received_at: datetime) -> dict[str, Any]:
    now = _milliseconds(received_at)
    sent = integer(message.sent)
    return {"id": name(message.id), "deviceSendTime": sent or 0, "serverRecvTime": now, "serverSendTime": now}


def encode(command: Command, command_id: str, device: Device, now: datetime) -> Outgoing:
    """Nothing can be said to these devices: their services are not published.

    :raises UnsupportedCommandError: always.
    """
    del command_id, device, now
    raise UnsupportedCommandError(f"das has no message for {type(command).__name__}")


PROTOCOL = Protocol(
    name="das",
    topics=("sys/+/+/thing/heart", "sys/+/+/thing/ntp"),
    orders=("sys/+/+/thing/heart/response", "sys/+/+/thing/ntp/response"),
    decode=decode,
    encode=encode,
    commands=frozenset(),
    heartbeat_s=30.0,
)
"""Devices that send heart every 30 s; up to 1200 s can be set, and then the device's `heartbeat_s` is too."""
