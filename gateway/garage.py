"""The registered vehicles: rows with owner and note sealed, and in memory by plate, with an index of plates alike."""

from __future__ import annotations

import base64
from collections.abc import Collection, Sequence
from sqlite3 import Connection, Row

from devices.events import Listing
from gateway.store import us, when
from gateway.vault import Vault
from gateway.vehicles import Vehicle
from vision.plate_index import GrowingIndex
from vision.registry_match import WORTH_ASKING


class Garage:
    """What is asked is read from memory, by any thread; one thread at a time writes. Every plate is a normal one."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault
        self._vehicles: dict[str, Vehicle] = {}
        self._plates = GrowingIndex(())

    def load(self, reader: Connection) -> None:
        """Everything from the database into memory."""
        vehicles = [self._vehicle(row) for row in reader.execute("SELECT * FROM vehicles")]
        self._vehicles = {vehicle.plate: vehicle for vehicle in vehicles}
        self._plates = GrowingIndex(self._vehicles)

    def near(self, plate: str) -> list[Vehicle]:
        """Vehicles whose plates may have been misread as this one, in no order."""
        found = (self._vehicles.get(near) for near in self._plates.near(plate, WORTH_ASKING))
        return [vehicle for vehicle in found if vehicle is not None]

    def get(self, plate: str) -> Vehicle | None:
        """The vehicle with this plate."""
        return self._vehicles.get(plate)

    def all(self) -> list[Vehicle]:
        """Every vehicle, by plate."""
        return sorted(self._vehicles.copy().values(), key=lambda vehicle: vehicle.plate)

    def take(self, vehicles: Sequence[Vehicle], *, gone: Collection[str] = ()) -> None:
        """What was written, into memory; the index too: by who changes the register, not by the engine that asks it."""
        for plate in gone:
            self._vehicles.pop(plate, None)
        new = [vehicle.plate for vehicle in vehicles if vehicle.plate not in self._vehicles]
        self._vehicles |= {vehicle.plate: vehicle for vehicle in vehicles}
        if new:
            self._plates.add(new, self._vehicles)

    def write(self, db: Connection, vehicles: Sequence[Vehicle], *, gone: Collection[str] = ()) -> None:
        """The rows of `vehicles`, and none of the plates `gone`, in the caller's transaction."""
        db.executemany("DELETE FROM vehicles WHERE plate = ?", [(plate,) for plate in gone])
        db.executemany("INSERT OR REPLACE INTO vehicles VALUES(?, ?, ?, ?, ?, ?, ?)", map(self._row, vehicles))

    def _row(self, vehicle: Vehicle) -> tuple[str | int | None, ...]:
        return (
            vehicle.plate,
            vehicle.id,
            vehicle.listing.value,
            self._sealed(vehicle.owner, f"owner:{vehicle.id}"),
            us(vehicle.valid_from) if vehicle.valid_from else None,
            us(vehicle.valid_to) if vehicle.valid_to else None,
            self._sealed(vehicle.note, f"note:{vehicle.id}"),
        )

    def _vehicle(self, row: Row) -> Vehicle:
        return Vehicle(
            plate=row["plate"],
            id=row["id"],
            listing=Listing(row["listing"]),
            owner=self._opened(row["owner"], f"owner:{row['id']}"),
            valid_from=when(row["valid_from"]) if row["valid_from"] is not None else None,
            valid_to=when(row["valid_to"]) if row["valid_to"] is not None else None,
            note=self._opened(row["note"], f"note:{row['id']}"),
        )

    def _sealed(self, text: str, about: str) -> str:
        return base64.b64encode(self._vault.seal(text.encode(), about)).decode() if text else ""

    def _opened(self, sealed: str, about: str) -> str:
        return self._vault.open(base64.b64decode(sealed), about).decode() if sealed else ""
