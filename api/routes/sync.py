"""Synchronisation from the governance backend: the hierarchy, who looks after it, passes and vehicles."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Query, Response, status
from msgspec import Struct

from api import sync_schemas as shapes
from api.auth import Caller, SyncWrite
from api.errors import ApiError
from api.facade import Gateway, TheGateway
from gateway.directory import Place
from gateway.passes import Pass
from gateway.roster import Worker
from gateway.site import FaultsError
from gateway.sync import OutOfStepError, Page, RefusedRevisionError
from gateway.syncbook import State
from gateway.vehicles import Vehicle, normal_plate

router = APIRouter(prefix="/v1/sync", tags=["sync"])
_TAKEN: dict[int | str, dict[str, Any]] = {
    202: {"model": shapes.SyncAnswer, "description": "The page is kept; `next_page` is wanted."}
}


@router.get("")
def get_sync_state(gateway: TheGateway, _: SyncWrite) -> shapes.SyncStates:
    """What is here of the backend, section by section: where to go on after an absence."""
    return shapes.SyncStates(sections=[_state(state) for state in gateway.sync.states()])


@router.get("/{section}/items")
def list_sync_items(
    section: shapes.SectionName,
    gateway: TheGateway,
    _: SyncWrite,
    after: Annotated[str, Query(max_length=64, description="`next` of the page before.")] = "",
    limit: Annotated[int, Query(ge=1, le=5000)] = 1000,
) -> shapes.SyncItems:
    """Every entry the backend gave and has not taken back, and whether it still stands as given."""
    found = gateway.sync.standing(section, after=after, limit=limit)
    items = [shapes.SyncItem.model_validate({"id": name, "standing": how}) for name, how in found.items()]
    return shapes.SyncItems(items=items, next=items[-1].id if len(items) == limit else None)


@router.put("/places", responses=_TAKEN)
def sync_places(
    body: shapes.SyncPlaces, gateway: TheGateway, caller: SyncWrite, response: Response
) -> shapes.SyncAnswer:
    """Places: all of the revision or nothing. No device moves, and alerts of the past keep the grid they had."""
    items = [Place(**item.model_dump()) for item in body.items]
    return _take("places", body, items, gateway, caller, response)


@router.put("/staff", responses=_TAKEN)
def sync_staff(body: shapes.SyncStaff, gateway: TheGateway, caller: SyncWrite, response: Response) -> shapes.SyncAnswer:
    """Staff with contacts, shifts and substitutes: all of the revision or nothing."""
    items = msgspec.convert([item.model_dump(mode="json") for item in body.items], list[Worker])
    return _take("staff", body, items, gateway, caller, response)


@router.put("/vehicles", responses=_TAKEN)
def sync_vehicles(
    body: shapes.SyncVehicles, gateway: TheGateway, caller: SyncWrite, response: Response
) -> shapes.SyncAnswer:
    """Vehicles, one by one: what is refused is named, and the others are taken."""
    items = [Vehicle(id="", **item.model_dump()) for item in body.items]
    plates = body.model_copy(
        update={"gone": list(map(normal_plate, body.gone)), "overrule": list(map(normal_plate, body.overrule))}
    )
    return _take("vehicles", plates, items, gateway, caller, response)


@router.put("/passes", responses=_TAKEN)
def sync_passes(
    body: shapes.SyncPasses, gateway: TheGateway, caller: SyncWrite, response: Response
) -> shapes.SyncAnswer:
    """Passes, one by one. They open nothing without consent and enrolment. Who has ever been given one passes only with
    one in force: taking it back keeps them out.
    """
    items = [Pass(**item.model_dump()) for item in body.items]
    return _take("passes", body, items, gateway, caller, response)


def _take(
    section: str,
    body: shapes.Revision,
    items: Sequence[Struct],
    gateway: Gateway,
    caller: Caller,
    response: Response,
) -> shapes.SyncAnswer:
    page = Page(items=items, **body.model_dump(exclude={"items"}))
    try:
        answer = gateway.sync.take(section, page, by=caller.name, now=datetime.now(UTC))
    except OutOfStepError as error:
        raise ApiError(409, str(error), more={"state": _state(error.state).model_dump(mode="json")}) from error
    except RefusedRevisionError as error:
        more = {"refused": msgspec.to_builtins(error.refused)}
        raise ApiError(409, str(error), more=more) from error
    except FaultsError as error:
        raise ApiError(422, str(error), more={"errors": msgspec.to_builtins(error.faults)}) from error
    response.status_code = status.HTTP_200_OK if answer.complete else status.HTTP_202_ACCEPTED
    return shapes.SyncAnswer.model_validate(msgspec.to_builtins(answer))


def _state(state: State) -> shapes.SyncState:
    pending = state.pending
    return shapes.SyncState.model_validate(
        {
            "section": state.section,
            "revision": state.revision,
            "at": state.at,
            "by": state.by,
            "items": state.items,
            "pending": pending
            and {"revision": pending.revision, "pages": pending.pages, "next_page": pending.next_page},
        }
    )
