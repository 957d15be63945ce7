"""Communities, grids and buildings."""

from __future__ import annotations

import msgspec
from fastapi import APIRouter

from api import schemas
from api.auth import DevicesRead, PlacesWrite
from api.facade import TheGateway
from gateway.hierarchy import Place

router = APIRouter(prefix="/v1/places", tags=["places"])


@router.get("")
def list_places(gateway: TheGateway, _: DevicesRead) -> schemas.PlaceList:
    """Every place, by id."""
    return schemas.PlaceList(
        items=[schemas.PlaceBody.model_validate(msgspec.to_builtins(place)) for place in gateway.directory.places()]
    )


@router.put("")
def put_places(body: schemas.PlaceList, gateway: TheGateway, caller: PlacesWrite) -> schemas.PlacesDone:
    """These places, and no others; again changes nothing. Answers what changed, too."""
    moved = gateway.directory.put_places([Place(**place.model_dump()) for place in body.items])
    return schemas.PlacesDone(items=list_places(gateway, caller).items, **msgspec.structs.asdict(moved))
