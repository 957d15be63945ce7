"""Finds what simulated devices sent in the gateway's journal, by the identity both sides can work out. Pure.

An event id is 6 bytes of time and a BLAKE2b-80 of the device's id and the vendor's record id; the latter part is
enough, and does not depend on what the gateway made of the device's clock.
"""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from hashlib import blake2b

from devices.model import Device

Row = tuple[str, str, bytes]
"""Device id, event type, and the last 10 bytes of the event's id."""

UNNUMBERED = ("barrier_moved", "loop_changed")
"""What a lane camera says without a number of its own: such events can only be counted."""


def identity(device: str, record: str) -> bytes:
    """The part of an event's id that comes from who said it and under which number."""
    digest = blake2b(digest_size=10)
    for part in (device.encode(), record.encode()):
        digest.update(struct.pack("<I", len(part)) + part)
    return digest.digest()


def names(record: str, protocol: str) -> Sequence[str]:
    """What a simulated device's `record` may be called in its protocol."""
    match protocol:
        case "oem_face":
            return (f"Rec:{record}", f"Snap:{record}")
        case "vzenith":
            return (f"plate:{int(record, 16) - 1}",)
        case _:
            return (record,)


def lost_records(acked: Iterable[str], journal: Iterable[Row], by_address: Mapping[str, Device]) -> int:
    """How many of the confirmed records (`address/record`) are not in the journal."""
    rows = list(journal)
    known = {tail for _, _, tail in rows}
    counted = Counter(device for device, kind, _ in rows if kind in UNNUMBERED)
    missing: Counter[str] = Counter()
    for entry in acked:
        address, _, record = entry.partition("/")
        device = by_address[address]
        if not any(identity(device.id, name) in known for name in names(record, device.protocol)):
            missing[device.id] += 1
    for device in by_address.values():
        if device.protocol == "vzenith":
            missing[device.id] = max(0, missing[device.id] - counted[device.id])
    return sum(missing.values())


def repeated_records(journal: Iterable[Row]) -> int:
    """How many events stand in the journal again under another time."""
    many = Counter(tail for _, _, tail in journal)
    return sum(many.values()) - len(many)
