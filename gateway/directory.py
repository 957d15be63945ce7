"""The register of what and who belongs to the estate: devices, residents, vehicles, places. One facade.

The engine asks it on the hot path: lookups read memory only and take microseconds. The API writes to it: each write is
in the database before memory shows it. All methods may be called from any thread.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from sqlite3 import Connection
from zoneinfo import ZoneInfo

from msgspec import Struct
from msgspec.structs import replace

from devices.events import DenyReason, Method
from devices.model import Device
from gateway import aside
from gateway.actions import NotFoundError
from gateway.garage import Garage
from gateway.hierarchy import Hierarchy, Place, check_whole
from gateway.passes import Pass
from gateway.people import People
from gateway.refusals import TakenError
from gateway.registration import check_device, read_device, write_devices
from gateway.residents import Enrolment, Receipt, Resident
from gateway.roster import Also, Roster, nothing
from gateway.store import Store
from gateway.templates import Photos
from gateway.vault import Vault
from gateway.vehicles import ImportReport, Vehicle, new_vehicle_id, normal_plate, read_csv
from vision.gallery import Gallery


class Moved(Struct, frozen=True, kw_only=True):
    """What replacing the places did: ids."""

    added: list[str]
    changed: list[str]
    removed: list[str]


class Directory:
    """Devices, residents, vehicles and places. `zone` and `community` are the defaults of a device that names none."""

    def __init__(self, store: Store, vault: Vault, gallery: Gallery, *, zone: str, community: str) -> None:
        self._store, self._vault = store, vault
        self._zone, self._community = zone, community
        self._lock = threading.RLock()
        self._devices: dict[str, Device] = {}
        self._addresses: dict[tuple[str, str], Device] = {}
        self.aside: frozenset[str] = frozenset()
        """Devices whose rows could not be read."""
        self._lanes: tuple[Device, ...] | None = None
        self._garage = Garage(vault)
        self._hierarchy = Hierarchy()
        self.residents = People(store, vault, gallery)
        self.listeners = self.residents.listeners
        """Called after whom or what devices should know of has changed."""
        self.roster = Roster(store, vault, zone=zone)

    def _tell(self) -> None:
        for listener in self.listeners:
            listener()

    @contextmanager
    def changing(self) -> Iterator[None]:
        """Nobody else changes devices, vehicles, places or staff meanwhile: what was compared is what is written."""
        with self._lock, self.roster.changing():
            yield

    def load(self) -> None:
        """Everything from the database into memory, templates into the gallery.

        :raises gateway.vault.VaultError: the master key is not the one the database was sealed with.
        """
        reader = self._store.reader
        devices: list[Device] = []
        stored = [(row["id"], row["body"]) for row in reader.execute("SELECT id, body FROM devices")]
        aside.readable(self._store, "devices", stored, lambda name, body: devices.append(read_device(name, body)))
        self.aside = aside.ids(self._store, "devices")
        places = reader.execute("SELECT id, kind, name, parent FROM places")
        hierarchy = Hierarchy(Place(id=r["id"], kind=r["kind"], name=r["name"], parent=r["parent"]) for r in places)
        with self._lock:
            self._garage.load(reader)
            self._devices = {device.id: device for device in devices}
            self._addresses = {(device.protocol, device.address): device for device in devices}
            self._lanes = None
            self._hierarchy = hierarchy
        self.residents.load()
        self.roster.load()

    # -- devices ---------------------------------------------

    def device(self, device_id: str) -> Device | None:
        """The device of this id."""
        return self._devices.get(device_id)

    def community_of(self, device_id: str) -> str:
        """Where a device belongs; the gateway's own community for one that is not known."""
        device = self._devices.get(device_id)
        return device.community if device else self._community

    def device_at(self, protocol: str, address: str) -> Device | None:
        """The device a protocol knows by this address."""
        return self._addresses.get((protocol, address))

    def lanes(self, community: str) -> tuple[Device, ...]:
        """Every vehicle lane of a community."""
        lanes = self._lanes
        if lanes is None:
            lanes = self._lanes = tuple(d for d in self._devices.copy().values() if d.kind == "barrier")
        return tuple(lane for lane in lanes if lane.community == community)

    def devices(self) -> list[Device]:
        """Every device, by id."""
        return sorted(self._devices.copy().values(), key=lambda device: device.id)

    def with_defaults(self, device: Device) -> Device:
        """The device with the estate's community and zone where it names none."""
        return replace(device, community=device.community or self._community, zone=device.zone or self._zone)

    def check_device(self, device: Device) -> None:
        """Is it acceptable in itself?

        :raises InvalidError: its id, kind, protocol, address or zone is not.
        """
        check_device(device)

    def put_device(self, device: Device, *, new: bool = False) -> bool:
        """Register or change a device; says whether it is a new one. `new`: it must be.

        :raises TakenError: another device has its address, or it is there already and must be new.
        :raises InvalidError: its id, kind, protocol, address or zone is not acceptable.
        """
        device = self.with_defaults(device)
        self.check_device(device)
        with self._lock:
            known = self._devices.get(device.id)
            if new and known:
                raise TakenError(f"there is a device {device.id} already")
            other = self._addresses.get((device.protocol, device.address))
            if other and other.id != device.id:
                raise TakenError(f"{device.protocol} {device.address} is the address of {other.id}")
            with self._store.write() as db:
                write_devices(db, [device])
            self._devices[device.id] = device
            self._lanes = None
            self._addresses[(device.protocol, device.address)] = device
            # An address that stays is never missing in between: the engine would take its messages for a stranger's.
            if known and (known.protocol, known.address) != (device.protocol, device.address):
                self._addresses.pop((known.protocol, known.address), None)
        self._tell()
        return known is None

    def remove_device(self, device_id: str) -> None:
        """Forget a device.

        :raises NotFoundError: there is none of this id.
        """
        with self._lock:
            device = self._devices.get(device_id)
            if device is None:
                raise NotFoundError(f"there is no device {device_id}")
            with self._store.write() as db:
                db.execute("DELETE FROM devices WHERE id = ?", (device_id,))
                db.execute("DELETE FROM device_access WHERE device = ?", (device_id,))
            del self._devices[device_id]
            self._lanes = None
            self._addresses.pop((device.protocol, device.address), None)

    # -- residents ---------------------------------------------

    def check_credential(
        self, method: Method, value: str, device: Device, now: datetime
    ) -> tuple[bool, str, DenyReason]:
        """Whether this card, PIN or code opens this device now: (allowed, person id or "", why not)."""
        return self.residents.check_credential(method, value, device, now)

    def may_pass(self, person: str, device: Device, now: datetime) -> tuple[bool, DenyReason]:
        """Whether the person's consent is active and covers the device; else why not."""
        return self.residents.may_pass(person, device, now)

    def may_match(self, device: Device, now: datetime) -> frozenset[str]:
        """Everybody whose face may be compared at this device now."""
        return self.residents.may_match(device, now)

    def enrol(self, new: Enrolment, photos: Photos, now: datetime) -> Resident:
        """Register a resident. Raises as `People.enrol`."""
        return self.residents.enrol(new, photos, now)

    def withdraw(self, person: str, photos: Photos, now: datetime) -> Receipt:
        """Forget a resident. Raises as `People.withdraw`."""
        return self.residents.withdraw(person, photos, now)

    def write_passes(self, written: Sequence[Pass], ended: Sequence[str], *, also: Also = nothing) -> None:
        """Checked passes (`gateway.passes`) in one transaction, with `also`; in force when it returns."""
        with self._store.write() as db:
            touched = self.residents.passes.write(db, written, ended)
            also(db)
        self.residents.passes.reload(touched)
        self._tell()

    def people(self) -> list[Resident]:
        """Every resident, newest first."""
        return self.residents.all()

    # -- vehicles ---------------------------------------------

    def near_plates(self, plate: str) -> list[Vehicle]:
        """Registered vehicles whose plates may have been misread as this one, in no order. `plate`: normal."""
        return self._garage.near(plate)

    def vehicle(self, plate: str) -> Vehicle | None:
        """The vehicle with this plate."""
        return self._garage.get(normal_plate(plate))

    def vehicles(self) -> list[Vehicle]:
        """Every vehicle, by plate."""
        return self._garage.all()

    def put_vehicle(self, vehicle: Vehicle) -> tuple[Vehicle, Vehicle | None]:
        """Register or change a checked vehicle (`gateway.vehicles.checked`): as it is now, and as it was before. One
        that is so already is not written again.
        """
        with self._lock:
            known = self._garage.get(vehicle.plate)
            kept = replace(vehicle, id=known.id if known else vehicle.id or new_vehicle_id())
            if kept != known:
                self._put_vehicles([kept])
        return kept, known

    def remove_vehicle(self, plate: str) -> bool:
        """Forget a vehicle; whether there was one with this plate."""
        normal = normal_plate(plate)
        with self._lock:
            if self._garage.get(normal) is None:
                return False
            with self._store.write() as db:
                self._garage.write(db, (), gone=(normal,))
            self._garage.take((), gone=(normal,))
        self._tell()
        return True

    def import_vehicles(self, text: str) -> ImportReport:
        """Take over a CSV file (`gateway.vehicles.read_csv`): good lines in one transaction, the others reported."""
        found, errors = read_csv(text, ZoneInfo(self._zone))
        with self._lock:
            kept = [replace(new, id=(self._garage.get(new.plate) or new).id) for new in found]
            changed = [vehicle for vehicle in kept if self._garage.get(vehicle.plate) != vehicle]
            self._put_vehicles(changed)
        return ImportReport(imported=len(changed), unchanged=len(kept) - len(changed), errors=errors)

    def _put_vehicles(self, vehicles: Sequence[Vehicle]) -> None:
        with self._store.write() as db:
            self._garage.write(db, vehicles)
        self._garage.take(vehicles)
        self._tell()

    # -- places ---------------------------------------------

    def place(self, place: str) -> Place | None:
        """The place of this id."""
        with self._lock:
            return self._hierarchy.get(place)

    def places(self) -> list[Place]:
        """Every place, by id."""
        with self._lock:
            return self._hierarchy.all()

    def put_places(self, places: Sequence[Place]) -> Moved:
        """These places, and no others; what that changed.

        :raises InvalidError: an id stands twice, a parent is not among them, or a place lies within itself.
        """
        check_whole(places)
        with self._lock:
            written, gone = self._hierarchy.becoming(places)
            added = [name for name in written if self._hierarchy.get(name) is None]
            self._change_places(written, gone)
        return Moved(added=sorted(added), changed=sorted(written.keys() - set(added)), removed=gone)

    def change_places(self, written: Mapping[str, Place], gone: Collection[str], *, also: Also = nothing) -> None:
        """Some places anew and some not any more, with `also` in one transaction; the others stay as they are. Takes
        as long as the change is large.

        :raises InvalidError: a place would lie in one that is not there, or not in a larger one.
        """
        with self._lock:
            self._hierarchy.check(written, gone)
            self._change_places(written, gone, also=also)

    def _change_places(self, written: Mapping[str, Place], gone: Collection[str], *, also: Also = nothing) -> None:
        with self._store.write() as db:
            _write_places(db, written.values(), gone)
            also(db)
        self._take_places(written, gone)

    def _take_places(self, written: Mapping[str, Place], gone: Collection[str]) -> None:
        """Into memory."""
        if written or gone:
            self._hierarchy.change(written, gone)
            self.roster.change_places({name: (place.kind, place.parent) for name, place in written.items()}, gone)

    def check_places(self, places: Sequence[Place]) -> None:
        """Do these places go together?

        :raises InvalidError: an id stands twice, a parent is not among them, or a place lies within itself.
        """
        check_whole(places)

    # -- a whole site at once ---------------------------------------------

    def apply(
        self,
        *,
        places: Sequence[Place] = (),
        gone_places: Sequence[str] = (),
        devices: Sequence[Device] = (),
        gone_devices: Sequence[str] = (),
        vehicles: Sequence[Vehicle] = (),
        gone_vehicles: Sequence[str] = (),
        also: Also = nothing,
    ) -> None:
        """Checked changes (`gateway.site`) in one transaction. `also`: what else belongs into it."""
        written = {place.id: place for place in places}
        with self._lock:
            with self._store.write() as db:
                _write_places(db, places, gone_places)
                write_devices(db, devices, gone=gone_devices)
                self._garage.write(db, vehicles, gone=gone_vehicles)
                also(db)
            if devices or gone_devices:
                gone = set(gone_devices)
                kept = {key: device for key, device in self._devices.items() if key not in gone}
                self._devices = kept | {device.id: device for device in devices}
                self._addresses = {(device.protocol, device.address): device for device in self._devices.values()}
                self._lanes = None
            self._garage.take(vehicles, gone=gone_vehicles)
            self._take_places(written, gone_places)
        self._tell()


def _write_places(db: Connection, written: Iterable[Place], gone: Iterable[str]) -> None:
    db.executemany("DELETE FROM places WHERE id = ?", [(place,) for place in gone])
    db.executemany(
        "INSERT OR REPLACE INTO places VALUES(?, ?, ?, ?)",
        [(place.id, place.kind, place.name, place.parent) for place in written],
    )
