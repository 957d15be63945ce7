"""A whole site at once, from a reviewed file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from fastapi import APIRouter
from fastapi.concurrency import run_in_threadpool

from api import schemas
from api.auth import SiteWrite
from api.engine import ask
from api.errors import ApiError
from api.facade import TheGateway
from devices.model import Device
from gateway.actions import ReloadDirectory
from gateway.hierarchy import Place
from gateway.site import Difference, Fault, FaultsError, Site, take_over
from gateway.vehicles import FieldError, Vehicle, checked, checked_plate, new_vehicle_id

router = APIRouter(prefix="/v1/site", tags=["places"])


@router.post("")
async def import_site(body: schemas.SiteBody, gateway: TheGateway, caller: SiteWrite) -> schemas.SiteView:
    """Bring places, devices and vehicles to what is given: all of it or nothing, and a second time changes nothing.
    What is wrong is told entry by entry in `errors`, counted from 0.
    """
    try:
        found = await run_in_threadpool(_take_over, body, gateway)
    except FaultsError as error:
        more = {"errors": [msgspec.to_builtins(fault) for fault in error.faults]}
        raise ApiError(422, str(error), more=more) from error
    if not body.dry_run:
        await ask(gateway, ReloadDirectory(by=caller.name), int)
    return schemas.SiteView.model_validate(msgspec.to_builtins(found))


def _take_over(body: schemas.SiteBody, gateway: TheGateway) -> dict[str, Difference]:
    site = Site(
        places=_all(Place, body.places),
        devices=_all(Device, body.devices),
        vehicles=None if body.vehicles is None else _vehicles(body.vehicles),
    )
    return take_over(gateway.directory, site, prune=body.prune, dry_run=body.dry_run)


def _all(kind: type[Place | Device], entries: Sequence[schemas.Shape] | None) -> Any:
    return None if entries is None else [kind(**entry.model_dump()) for entry in entries]


def _vehicles(entries: Sequence[schemas.SiteVehicle]) -> list[Vehicle]:
    """Checked, with ids that count only for new ones."""
    found, faults = [], []
    for index, entry in enumerate(entries):
        fields = entry.model_dump()
        try:
            plate = checked_plate(fields.pop("plate"))
            found.append(checked(Vehicle(plate=plate, id=new_vehicle_id(), **fields)))
        except FieldError as error:
            faults.append(Fault(section="vehicles", index=index, error=f"{error.column}: {error}"))
    if faults:
        raise FaultsError(faults)
    return found
