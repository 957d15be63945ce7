"""Registered vehicles, the CSV files property offices keep them in, and who is inside."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Query, Request, Response, status
from fastapi.concurrency import run_in_threadpool

from api import schemas, views
from api.auth import VehiclesMark, VehiclesRead, VehiclesWrite
from api.engine import ask
from api.facade import TheGateway
from gateway.actions import MarkVehicle, VehicleMark
from gateway.site import differing
from gateway.vehicles import Vehicle, checked, checked_plate, decoded, new_vehicle_id, normal_plate

router = APIRouter(prefix="/v1/vehicles", tags=["vehicles"])
_CSV: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": "UTF-8, UTF-16 or GBK. The first line names the columns: plate (车牌), listing (名单), "
        "owner (车主), valid_from (生效), valid_to (失效), note (备注); only plate is needed.",
        "content": {
            "text/csv": {"schema": {"type": "string"}, "example": "plate,listing,owner\n粤B12345,allow,Resident 12\n"}
        },
    }
}


@router.get("")
def list_vehicles(gateway: TheGateway, _: VehiclesRead) -> schemas.VehicleList:
    """Every vehicle, by plate."""
    return schemas.VehicleList(items=[views.vehicle_view(vehicle) for vehicle in gateway.directory.vehicles()])


@router.get("/inside")
def list_inside(
    gateway: TheGateway,
    _: VehiclesRead,
    community: Annotated[str, Query(max_length=64, description="The gateway's own where left out.")] = "",
    to_look_for: Annotated[bool, Query(description="Only those to take along on a round.")] = False,
) -> schemas.InsideList:
    """Who is thought to be inside, since when and how likely: what was read at the lanes, tolerant of plates that were
    misread or not read. Those that stay too long come first. Plates are in clear.
    """
    place, now = community or gateway.settings.community, datetime.now(UTC)
    inside = gateway.inside(place, now)
    items = [views.inside_view(one, now) for one in inside if one.waits or not to_look_for]
    waiting = sum(one.waits for one in inside)
    return schemas.InsideList(items=items, to_look_for=waiting, lot=views.lot_view(gateway.lot(place)))


@router.post(
    "/inside/{key}",
    responses={
        404: {"description": "No such vehicle is thought to be inside (any more), or its lane is registered no more."},
        409: {"description": "It has come in again since `entered_at`: look at the list anew."},
    },
)
async def mark_inside(key: str, body: schemas.MarkBody, gateway: TheGateway, caller: VehiclesMark) -> schemas.MarkView:
    """Somebody looked for this vehicle on a round. Gone: its stay ends, and its alerts with it. Here: that is certain
    now, and where it stays too long an alert follows at once. Journalled, and in the ledger under a pseudonym.
    """
    action = MarkVehicle(
        by=caller.name,
        community=body.community or gateway.settings.community,
        key=key,
        entered_at=body.entered_at,
        here=body.here,
        reason=body.reason,
    )
    done = await ask(gateway, action, VehicleMark)
    return schemas.MarkView(key=done.key, here=done.here, at=done.at, by=done.by, overdue=done.overdue)


@router.put("/{plate}", responses={201: {"model": schemas.VehicleDone, "description": "It is new."}})
def put_vehicle(
    plate: str, body: schemas.VehicleBody, gateway: TheGateway, _: VehiclesWrite, response: Response
) -> schemas.VehicleDone:
    """Register or change a vehicle; again changes nothing. Answers what changed, too."""
    vehicle = checked(Vehicle(plate=checked_plate(plate), id=new_vehicle_id(), **body.model_dump()))
    kept, before = gateway.directory.put_vehicle(vehicle)
    if before is None:
        response.status_code = status.HTTP_201_CREATED
    view = views.vehicle_view(kept)
    changed = differing(before, kept) if before else [*body.model_fields_set]
    return schemas.VehicleDone(**view.model_dump(), changed=changed)


@router.delete("/{plate}")
def remove_vehicle(plate: str, gateway: TheGateway, _: VehiclesWrite) -> schemas.VehicleRemoved:
    """Forget a vehicle; again changes nothing."""
    return schemas.VehicleRemoved(plate=normal_plate(plate), removed=gateway.directory.remove_vehicle(plate))


@router.post("/import", openapi_extra=_CSV)
async def import_vehicles(request: Request, gateway: TheGateway, _: VehiclesWrite) -> schemas.ImportView:
    """Take over a CSV file. Good lines are registered; a line with a fault is left out whole and reported."""
    text = decoded(await request.body())
    report = await run_in_threadpool(gateway.directory.import_vehicles, text)
    return schemas.ImportView(**msgspec.to_builtins(report))
