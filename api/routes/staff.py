"""Who is responsible where, and who is on duty."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import msgspec
from fastapi import APIRouter, Query
from fastapi.concurrency import run_in_threadpool

from api import schemas
from api.auth import PlacesWrite
from api.facade import TheGateway
from devices.escalation import LEVELS
from gateway.roster import Worker

router = APIRouter(prefix="/v1", tags=["places"])


@router.get("/staff")
def list_staff(gateway: TheGateway, _: PlacesWrite) -> schemas.StaffList:
    """Everybody with a duty, by id."""
    found = gateway.directory.roster.staff()
    return schemas.StaffList(items=[schemas.WorkerBody.model_validate(msgspec.to_builtins(w)) for w in found])


@router.put("/staff")
def put_staff(body: schemas.StaffList, gateway: TheGateway, _: PlacesWrite) -> schemas.StaffChangeView:
    """These, and no others; again changes nothing. Answers what changed."""
    staff = [msgspec.convert(worker.model_dump(mode="json"), Worker) for worker in body.items]
    return schemas.StaffChangeView(**msgspec.structs.asdict(gateway.directory.roster.put_staff(staff)))


@router.get("/duty")
async def list_duty(
    gateway: TheGateway,
    _: PlacesWrite,
    place: Annotated[str, Query(max_length=64, description="Id of a building, grid or community.")],
    at: Annotated[schemas.Moment | None, Query(description="Now, if left out.")] = None,
) -> schemas.DutyView:
    """Who would be told of an alert at this place, level by level; an empty level is skipped."""
    when = at or datetime.now(UTC)
    roster = gateway.directory.roster
    found = {level: await run_in_threadpool(roster.serving, level, (place,), when) for level in LEVELS}
    return schemas.DutyView(place=place, at=when, levels={level.value: list(ids) for level, ids in found.items()})
