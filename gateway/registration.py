"""What a device must obey to be registered, and its row."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from functools import cache
from sqlite3 import Connection, IntegrityError
from zoneinfo import ZoneInfo

import msgspec

from devices import registry
from devices.kinds import scene
from devices.model import Device, Protocol
from gateway import aside
from gateway.refusals import InvalidError, TakenError
from gateway.routes import FilterError, check_own

_ID = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._:-]{0,63}$")
_NO_ADDRESS = re.compile(r"[/+#\x00-\x1f\x7f]")
"""What would make one address the topic of another device, or of all."""


@cache
def known_names() -> tuple[frozenset[str], dict[str, Protocol]]:
    """Kinds and protocols. Plug-ins are looked for on the disk, so once is enough for thousands of devices."""
    return frozenset(registry.kinds()), registry.protocols()


def check_device(device: Device) -> None:
    """Is it acceptable in itself?

    :raises InvalidError: its id, kind, protocol, address or zone is not.
    """
    if not _ID.match(device.id):
        raise InvalidError("a device id has 1 to 64 letters, digits, . _ : and -, first a letter or digit")
    kinds, protocols = known_names()
    for what, name, known in (("kind", device.kind, kinds), ("protocol", device.protocol, protocols)):
        if name not in known:
            raise InvalidError(f"there is no {what} {name!r}; there are {', '.join(sorted(known))}")
    if not device.address or _NO_ADDRESS.search(device.address):
        raise InvalidError("a device has an address in its protocol, without /, +, # and control characters")
    try:
        check_own(device, protocols)
    except FilterError as error:
        raise InvalidError(f"options: {error}") from error
    try:
        scene.zones(device)
    except ValueError as error:
        raise InvalidError(str(error)) from error
    try:
        ZoneInfo(device.zone)
    except (LookupError, ValueError, OSError) as error:
        raise InvalidError(f"{device.zone!r} is not an IANA time zone") from error


def read_device(name: str, body: bytes) -> Device:
    """A device from its row.

    :raises UnreadableError: the row is that of another device.
    """
    device = msgspec.json.decode(body, type=Device)
    if device.id != name:
        raise aside.UnreadableError(f"it says that it is {device.id}")
    return device


def write_devices(db: Connection, devices: Sequence[Device], *, gone: Collection[str] = ()) -> None:
    """The rows of `devices`, and none of the ids `gone`, in the caller's transaction.

    :raises TakenError: an address is that of another device.
    """
    # Not "or replace": the address of somebody else must fail loudly, not delete them.
    db.executemany("DELETE FROM devices WHERE id = ?", [*((id_,) for id_ in gone), *((d.id,) for d in devices)])
    try:
        db.executemany(
            "INSERT INTO devices VALUES(?, ?, ?, ?)",
            [(device.id, device.protocol, device.address, msgspec.json.encode(device)) for device in devices],
        )
    except IntegrityError as error:
        raise TakenError("an address was given to another device meanwhile; look at it again") from error
