"""What a codec is: the meaning of one maker's LoRaWAN payloads, whichever network server carries them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from msgspec import Struct

from devices.effects import Command
from devices.events import Event
from devices.model import Device, Reading


class Uplink(Struct, frozen=True, kw_only=True):
    """One message of a node. `data`: its bytes, b"" where the network server sent none; `decoded`: the object that the
    server's own codec made of them, None without one. `at`: when it was received on the air, UTC. `options`: those of
    the registered device.
    """

    f_port: int
    data: bytes
    decoded: Any = None
    at: datetime
    received_at: datetime
    options: Mapping[str, str] = {}

    def says(self, *events: Event) -> tuple[Reading, ...]:
        """These events as readings of this message. They are told apart by the envelope, not here."""
        return tuple(Reading(event=event) for event in events)


class Codec(Struct, frozen=True, kw_only=True):
    """One maker's payloads. A third party adds one by the entry-point group `linli.codecs`.

    `decode(uplink)` prefers the bytes where it knows them and takes the decoded object otherwise; it raises only
    `DecodeError`. No readings: there is nothing in it for us. `encode(command, device)` gives the port and the bytes of
    a downlink; it raises `UnsupportedCommandError` for types outside `commands` and for what this device cannot do.
    """

    name: str
    decode: Callable[[Uplink], tuple[Reading, ...]]
    encode: Callable[[Command, Device], tuple[int, bytes]]
    commands: frozenset[type[Command]] = frozenset()
