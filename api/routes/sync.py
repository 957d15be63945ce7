"""Synchronisation from governance backends: the hierarchy, who looks after it, passes and vehicles."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from hashlib import sha256
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Depends, Query, Request, Response, status
from msgspec import Struct

from api.auth import SyncWrite
from api.errors import ApiError
from api.facade import Gateway, TheGateway
from api.schemas import sync as shapes
from gateway.hierarchy import Place
from gateway.passes import Pass
from gateway.roster import Worker
from gateway.sync import OutOfStepError, Page, RefusedRevisionError, Sender
from gateway.syncbook import State
from gateway.vehicles import Vehicle, normal_plate

router = APIRouter(prefix="/v1/sync", tags=["sync"])
_TAKEN: dict[int | str, dict[str, Any]] = {
    202: {"model": shapes.SyncAnswer, "description": "The page is kept; `next_page` is wanted."},
    409: {"description": "It builds on what is not here (`state` says what is), or was `refused` as a whole, and why."},
}


async def _sent(request: Request) -> str:
    """SHA-256 of a body as it came, for the digest in the ledger. It has been read already."""
    return sha256(await request.body()).hexdigest()


Sent = Annotated[str, Depends(_sent)]


@router.get("")
def get_sync_state(gateway: TheGateway, caller: SyncWrite) -> shapes.SyncStates:
    """What is here of the caller's source, section by section: where to go on after an absence."""
    source = caller.token.source
    return shapes.SyncStates(source=source, sections=[_state(state) for state in gateway.sync.states(source)])


@router.get("/{section}/items")
def list_sync_items(
    section: shapes.SectionName,
    gateway: TheGateway,
    caller: SyncWrite,
    after: Annotated[str, Query(max_length=64, description="`next` of the page before.")] = "",
    limit: Annotated[int, Query(ge=1, le=5000)] = 1000,
) -> shapes.SyncItems:
    """Every entry the caller's source gave and has not taken back, and whether it still stands as given."""
    found = gateway.sync.standing(caller.token.source, section, after=after, limit=limit)
    items = [shapes.SyncItem.model_validate({"id": name, "standing": how}) for name, how in found.items()]
    return shapes.SyncItems(items=items, next=items[-1].id if len(items) == limit else None)


@router.put("/places", responses=_TAKEN)
def sync_places(
    body: shapes.SyncPlaces, gateway: TheGateway, caller: SyncWrite, sent: Sent, response: Response
) -> shapes.SyncAnswer:
    """Places: all of the revision or nothing. No device moves, and alerts of the past keep the grid they had."""
    items = [Place(**item.model_dump()) for item in body.items]
    return _take(
        "places", body, items, gateway, Sender(source=caller.token.source, by=caller.name, sent=sent), response
    )


@router.put("/staff", responses=_TAKEN)
def sync_staff(
    body: shapes.SyncStaff, gateway: TheGateway, caller: SyncWrite, sent: Sent, response: Response
) -> shapes.SyncAnswer:
    """Staff with contacts, shifts and substitutes: all of the revision or nothing."""
    items = msgspec.convert([item.model_dump(mode="json") for item in body.items], list[Worker])
    return _take("staff", body, items, gateway, Sender(source=caller.token.source, by=caller.name, sent=sent), response)


@router.put("/vehicles", responses=_TAKEN)
def sync_vehicles(
    body: shapes.SyncVehicles, gateway: TheGateway, caller: SyncWrite, sent: Sent, response: Response
) -> shapes.SyncAnswer:
    """Vehicles, one by one: what is refused is named, and the others are taken."""
    items = [Vehicle(id="", **item.model_dump()) for item in body.items]
    plates = body.model_copy(
        update={"gone": list(map(normal_plate, body.gone)), "overrule": list(map(normal_plate, body.overrule))}
    )
    return _take(
        "vehicles", plates, items, gateway, Sender(source=caller.token.source, by=caller.name, sent=sent), response
    )


@router.put("/passes", responses=_TAKEN)
def sync_passes(
    body: shapes.SyncPasses, gateway: TheGateway, caller: SyncWrite, sent: Sent, response: Response
) -> shapes.SyncAnswer:
    """Passes, one by one. They open nothing without consent and enrolment. Who has ever been given one passes only with
    one in force: taking it back keeps them out.
    """
    items = [Pass(**item.model_dump()) for item in body.items]
    return _take(
        "passes", body, items, gateway, Sender(source=caller.token.source, by=caller.name, sent=sent), response
    )


def _take(
    section: str,
    body: shapes.Revision,
    items: Sequence[Struct],
    gateway: Gateway,
    sender: Sender,
    response: Response,
) -> shapes.SyncAnswer:
    page = Page(items=items, **body.model_dump(exclude={"items"}))
    try:
        answer = gateway.sync.take(section, page, sender, now=datetime.now(UTC))
    except OutOfStepError as error:
        raise ApiError(409, str(error), more={"state": _state(error.state).model_dump(mode="json")}) from error
    except RefusedRevisionError as error:
        more = {"refused": msgspec.to_builtins(error.refused)}
        raise ApiError(409, str(error), more=more) from error
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
