"""A site as a reviewed file describes it, brought into the register as one idempotent change: all of it, or nothing.

A section that is not given stays as it is. What is there and not in a section stays, too, unless pruning is asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from msgspec import Struct, structs
from msgspec.structs import replace

from devices.model import Device
from gateway.directory import Directory
from gateway.hierarchy import Place
from gateway.refusals import InvalidError
from gateway.vehicles import Vehicle

T = TypeVar("T", bound=Struct)


class Site(Struct, frozen=True, kw_only=True):
    """What there is to be. None: nothing is said of it."""

    places: Sequence[Place] | None = None
    devices: Sequence[Device] | None = None
    vehicles: Sequence[Vehicle] | None = None


class Fault(Struct, frozen=True, kw_only=True):
    """What is wrong with one entry of a section, counted from 0; -1: with the section as a whole."""

    section: str
    index: int
    error: str


class FaultsError(InvalidError):
    """The site cannot be taken over; nothing of it was."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        super().__init__("; ".join(f"{fault.section}[{fault.index}]: {fault.error}" for fault in faults[:5]))
        self.faults = list(faults)


class Change(Struct, frozen=True, kw_only=True):
    """An entry that is there already and differs in these fields."""

    id: str
    fields: list[str]


class Difference(Struct, frozen=True, kw_only=True):
    """What becomes of one section, by id (vehicles: by plate)."""

    added: list[str] = []
    changed: list[Change] = []
    removed: list[str] = []
    unchanged: int = 0


def difference(before: Mapping[str, T], wanted: Mapping[str, T], *, prune: bool) -> Difference:
    """How `before` becomes `wanted`; what is only in `before` is removed where `prune` says so."""
    changed = [
        Change(id=key, fields=fields)
        for key, entry in wanted.items()
        if key in before and (fields := differing(before[key], entry))
    ]
    return Difference(
        added=[key for key in wanted if key not in before],
        changed=changed,
        removed=sorted(before.keys() - wanted.keys()) if prune else [],
        unchanged=sum(1 for key in wanted if key in before) - len(changed),
    )


def differing(before: T, after: T) -> list[str]:
    """The fields in which they differ."""
    if before == after:
        return []
    one, other = structs.asdict(before), structs.asdict(after)
    return [name for name, value in other.items() if one[name] != value]


def take_over(directory: Directory, site: Site, *, prune: bool, dry_run: bool) -> dict[str, Difference]:
    """The difference by section; carried out in one transaction, unless it is a dry run.

    :raises FaultsError: an entry is not acceptable, or two do not go together.
    """
    with directory.changing():
        return _take_over(directory, site, prune=prune, dry_run=dry_run)


def _take_over(directory: Directory, site: Site, *, prune: bool, dry_run: bool) -> dict[str, Difference]:
    faults: list[Fault] = []
    places = {place.id: place for place in directory.places()}
    devices = {device.id: device for device in directory.devices()}
    vehicles = {vehicle.plate: vehicle for vehicle in directory.vehicles()}
    new_places = _section("places", site.places, lambda place: place.id, faults)
    new_devices = _section(
        "devices", [directory.with_defaults(device) for device in site.devices or ()], lambda device: device.id, faults
    )
    kept = [
        replace(vehicle, id=vehicles[vehicle.plate].id) if vehicle.plate in vehicles else vehicle
        for vehicle in site.vehicles or ()
    ]
    new_vehicles = _section("vehicles", kept, lambda vehicle: vehicle.plate, faults)
    found = {
        "places": difference(places, new_places, prune=prune and site.places is not None),
        "devices": difference(devices, new_devices, prune=prune and site.devices is not None),
        "vehicles": difference(vehicles, new_vehicles, prune=prune and site.vehicles is not None),
    }
    after = {key: device for key, device in devices.items() if key not in found["devices"].removed} | new_devices
    faults += _device_faults(directory, site.devices or (), new_devices, after)
    all_places = {key: place for key, place in places.items() if key not in found["places"].removed} | new_places
    try:
        directory.check_places(list(all_places.values()))
    except InvalidError as error:
        faults.append(Fault(section="places", index=-1, error=str(error)))
    if faults:
        raise FaultsError(faults)
    if not dry_run:
        directory.apply(
            places=[new_places[key] for key in _written(found["places"])],
            gone_places=found["places"].removed,
            devices=[new_devices[key] for key in _written(found["devices"])],
            gone_devices=found["devices"].removed,
            vehicles=[new_vehicles[key] for key in _written(found["vehicles"])],
            gone_vehicles=found["vehicles"].removed,
        )
    return found


def _section(name: str, entries: Sequence[T] | None, key: Callable[[T], str], faults: list[Fault]) -> dict[str, T]:
    by_key: dict[str, T] = {}
    for index, entry in enumerate(entries or ()):
        if key(entry) in by_key:
            faults.append(Fault(section=name, index=index, error="it stands twice; keep one"))
        by_key.setdefault(key(entry), entry)
    return by_key


def _device_faults(
    directory: Directory, given: Sequence[Device], new: Mapping[str, Device], after: Mapping[str, Device]
) -> list[Fault]:
    faults = []
    owners: dict[tuple[str, str], str] = {}
    for device in after.values():
        owners.setdefault((device.protocol, device.address), device.id)
    for index, device in enumerate(given):
        try:
            directory.check_device(new[device.id])
        except InvalidError as error:
            faults.append(Fault(section="devices", index=index, error=str(error)))
            continue
        owner = owners[device.protocol, device.address]
        if owner != device.id:
            why = f"{device.protocol} {device.address} is the address of {owner}"
            faults.append(Fault(section="devices", index=index, error=why))
    return faults


def _written(found: Difference) -> list[str]:
    return [*found.added, *(change.id for change in found.changed)]
