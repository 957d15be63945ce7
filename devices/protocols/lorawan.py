"""What the LoRaWAN network servers have in common: an envelope around a payload whose meaning is the codec's.

`decode` of ChirpStack and The Things Stack reads the envelope; which codec the payload needs is known only of a
registered device (option `codec`), so `interpret` reads the rest. Nothing about gateways is kept: where a radio was
heard is nobody's business here.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Mapping
from datetime import datetime
from functools import cache
from typing import Any

import msgspec
from msgspec import Raw
from msgspec.structs import replace

from devices.codecs import CODECS, Codec, Uplink
from devices.effects import Command
from devices.errors import DecodeError, UnsupportedCommandError
from devices.events import Event, Heartbeat
from devices.model import Decoded, Device, Reading
from devices.plugins import with_plugins
from devices.protocols.fit import fit_all
from devices.protocols.wire import MAX_NAME, parse, utc

NO_CODEC = "no codec: set the device's option codec"
UNKNOWN_CODEC = "unknown codec in the device's options"
MAX_FRAME = 256
"""Bytes: a LoRaWAN payload has at most 242."""
_FRACTION = re.compile(r"(\.\d{1,6})\d*")
_OBJECT = msgspec.json.Decoder(Any)


@cache
def _codecs() -> Mapping[str, Codec]:
    return with_plugins("linli.codecs", CODECS)


def stamp(written: str | None, received_at: datetime) -> datetime:
    """RFC 3339 with nanoseconds, in UTC; `received_at` where there is none.

    :raises DecodeError: it is not a time.
    """
    if not written:
        return received_at
    try:
        at = datetime.fromisoformat(_FRACTION.sub(r"\1", written, count=1))
    except ValueError as error:
        raise DecodeError("bad time") from error
    if at.tzinfo is None:
        raise DecodeError("bad time")
    return utc(at)


def frame(encoded: str | None) -> bytes:
    """The payload's bytes from base64; b"" where there are none.

    :raises DecodeError: it is no base64, or too long for the air.
    """
    try:
        data = binascii.a2b_base64(encoded or "", strict_mode=True)
    except ValueError as error:
        raise DecodeError("payload is no base64") from error
    if len(data) > MAX_FRAME:
        raise DecodeError("payload too large")
    return data


def plain(raw: Raw) -> Any:
    """The decoded object as plain values; None where there is none."""
    return parse(_OBJECT, raw)


def heard(address: str, uplink: Uplink, record: str) -> Decoded:
    """An uplink whose meaning is not known yet: a sign of life, which `interpret` replaces by what it says."""
    reading = Reading(event=Heartbeat(at=uplink.at), record_id=record)
    return Decoded(address=address, readings=(reading,), raw=uplink)


def interpret(decoded: Decoded, device: Device) -> Decoded:
    """The message with what the device's codec makes of it. Without a codec: ignored, and why.

    :raises DecodeError: the payload is none of this codec.
    """
    uplink = decoded.raw
    if not isinstance(uplink, Uplink):
        return decoded
    name = device.options.get("codec", "")
    codec = _codecs().get(name)
    if codec is None:
        return replace(decoded, readings=(), ignored=UNKNOWN_CODEC if name else NO_CODEC, raw=None)
    alive = decoded.readings[0]
    readings = fit_all(codec.decode(replace(uplink, options=device.options)), device)
    if not readings:
        return replace(decoded, raw=None)
    numbered = tuple(
        replace(reading, record_id=_numbered(alive.record_id, n), timed=alive.timed or reading.stored)
        for n, reading in enumerate(readings)
    )
    return replace(decoded, readings=numbered, raw=None)


def _numbered(record: str, n: int) -> str:
    """One message says several things, and each is a record of its own."""
    return f"{record}:{n}"[-MAX_NAME:] if record else ""


def application(device: Device) -> str:
    """The application a device belongs to at its network server: part of the topic its downlinks go to.

    :raises UnsupportedCommandError: the registration does not say.
    """
    found = device.options.get("application", "")
    if not found:
        raise UnsupportedCommandError("no application: set the device's option application")
    return found


def said(address: str, event: Event, record: str = "", *, timed: bool = True) -> Decoded:
    """A message of the network server itself."""
    return Decoded(address=address, readings=(Reading(event=event, record_id=record, timed=timed),))


def downlink(command: Command, device: Device) -> tuple[int, bytes]:
    """The port and the bytes of a command, by the device's codec.

    :raises UnsupportedCommandError: there is no codec, or it has no message for this command.
    """
    codec = _codecs().get(device.options.get("codec", ""))
    if codec is None:
        raise UnsupportedCommandError(NO_CODEC)
    return codec.encode(command, device)


COMMANDS: frozenset[type[Command]] = frozenset().union(*(codec.commands for codec in CODECS.values()))
"""What some codec can do; one that cannot refuses when asked."""
HEARTBEAT_S = 28_800.0
"""Battery nodes report every few minutes to every few hours; of one that is heard more often, `heartbeat_s` says so."""
