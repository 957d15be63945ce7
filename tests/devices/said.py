"""Reads a recorded message of a vendor, and writes what came of it as one line for each event, without the time."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import msgspec

from devices.model import Decoded, Device, Protocol
from tests.devices.hostile import NOW, ZONE, fixture

AT = datetime(2026, 3, 1, 23, 15, 9, 250_000, tzinfo=UTC)
"""When every recorded message says it was sent, where it says so."""


def wire(payload: Any) -> bytes:
    """A text as it is, everything else as JSON."""
    return payload.encode() if isinstance(payload, str) else json.dumps(payload).encode()


def say(protocol: Protocol, name: str) -> Decoded:
    """One recorded message, decoded."""
    topic, payload = fixture(protocol.name, name)
    return protocol.decode(topic, wire(payload), NOW, ZONE)


def told(decoded: Decoded) -> list[str]:
    """Each event as "type field=value ...": its fields that are not their default."""
    lines = []
    for reading in decoded.readings:
        fields = msgspec.to_builtins(reading.event)
        kind = fields.pop("type")
        fields.pop("at")
        lines.append(" ".join([kind, *(f"{name}={value}" for name, value in fields.items())]))
    return lines


def registered(protocol: str, kind: str = "light", address: str = "lamp-1", **options: str) -> Device:
    """A device of this protocol with these options."""
    return Device(id="d-1", kind=kind, protocol=protocol, address=address, options=options)
