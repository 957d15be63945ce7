"""Who am I, how is the gateway, its metrics, its pictures, and the live stream."""

from __future__ import annotations

import ipaddress
from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Header, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import StreamingResponse
from fastapi.security import HTTPAuthorizationCredentials, SecurityScopes
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from api import schemas
from api.auth import AlertsRead, AnyToken, EvidenceRead, authorize, bearer
from api.errors import ApiError
from api.facade import Gateway, TheGateway
from api.stream import Feed, lines, newest, resumable
from gateway.actions import NotFoundError
from gateway.enrolment import media
from gateway.evidencelinks import LinkError, followed
from gateway.metrics import REGISTRY

router = APIRouter(tags=["system"])


@router.get("/v1/me")
def get_me(caller: AnyToken) -> schemas.Me:
    """What the token may do."""
    return schemas.Me(name=caller.name, scopes=sorted(caller.token.scopes))


@router.get("/health", responses={503: {"model": schemas.HealthView, "description": "Something is wrong."}})
def get_health(gateway: TheGateway, response: Response) -> schemas.HealthView:
    """Whether all is well, and what is to be done if not. No token needed, nothing personal told."""
    health = gateway.health()
    response.status_code = 200 if health.ok else 503
    return schemas.HealthView(ok=health.ok, problems=list(health.problems))


def _may_measure(
    request: Request, gateway: TheGateway, given: Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)]
) -> None:
    """Whoever is on this machine itself (not behind a proxy on it), or has the scope."""
    host = request.client.host if request.client else ""
    forwarded = {"forwarded", "x-forwarded-for"} & set(request.headers)
    if given is None and not forwarded and host and ipaddress.ip_address(host).is_loopback:
        return
    authorize(SecurityScopes(["metrics:read"]), gateway, given)


@router.get(
    "/metrics",
    dependencies=[Depends(_may_measure)],
    response_class=Response,
    responses={200: {"content": {"text/plain": {}}, "description": "Prometheus text format."}},
)
def get_metrics() -> Response:
    """Counters for Prometheus."""
    return Response(generate_latest(REGISTRY), media_type=CONTENT_TYPE_LATEST)


@router.get(
    "/v1/evidence/{key}",
    response_class=Response,
    responses={200: {"content": {"image/jpeg": {}, "image/png": {}}, "description": "The picture."}},
    tags=["alerts"],
)
def get_evidence(key: str, gateway: TheGateway, _: EvidenceRead) -> Response:
    """A captured picture, as long as it is kept."""
    return _picture(key, gateway)


def _picture(key: str, gateway: Gateway) -> Response:
    row = gateway.store.reader.execute("SELECT 1 FROM captures WHERE key = ?", (key,)).fetchone()
    image = gateway.evidence.read(key) if row else None
    if image is None:
        raise NotFoundError("there is no such picture, or not any more")
    return Response(image, media_type=media(image) or "application/octet-stream")


@router.get(
    "/v1/evidence-links/{link}",
    response_class=Response,
    responses={
        200: {"content": {"image/jpeg": {}, "image/png": {}}, "description": "The picture."},
        410: {"description": "The link is not good any more, or never was."},
    },
    tags=["alerts"],
)
def follow_evidence_link(link: str, gateway: TheGateway) -> Response:
    """The one picture a delivered alert links to. No token: the link itself is the right to it, for its time, its
    receiver and a number of looks, which are counted.
    """
    try:
        key = followed(gateway.store, gateway.vault, link, datetime.now(UTC))
    except LinkError as error:
        raise ApiError(410, str(error)) from error
    return _picture(key, gateway)


@router.get(
    "/v1/stream",
    response_class=StreamingResponse,
    responses={
        200: {"content": {"text/event-stream": {}}, "description": "`alert` and `device` events."},
        409: {"description": "The number is not here (yet), or not with this `hash`: set back to a backup."},
        410: {"description": "What follows the number was dropped by retention; `forgotten` says up to where."},
    },
    tags=["alerts"],
)
async def stream(
    request: Request,
    gateway: TheGateway,
    caller: AlertsRead,
    after: Annotated[int | None, Query(ge=0, le=2**62, description="Resume after this sequence number.")] = None,
    last_event_id: Annotated[str | None, Header(max_length=20, description="The same; wins over `after`.")] = None,
    known: Annotated[
        str | None, Query(alias="hash", max_length=64, description="The `hash` you have of that change.")
    ] = None,
) -> StreamingResponse:
    """Changes of alerts as they happen, each with its sequence number as id, and devices coming and going (with the
    scope devices:read). Without a number to resume after, from now on.
    """
    cursor = after
    if last_event_id:
        if not (last_event_id.isascii() and last_event_id.isdigit()) or int(last_event_id) > 2**62:
            raise ApiError(422, "Last-Event-ID: not an id of this stream")
        cursor = int(last_event_id)
    if cursor is None:
        cursor = await run_in_threadpool(newest, gateway)
    else:
        await run_in_threadpool(resumable, gateway, cursor, known or "")
    feed: Feed = request.app.state.feed
    body = lines(gateway, feed, caller, cursor, devices=caller.may("devices:read"))
    return StreamingResponse(body, media_type="text/event-stream", headers={"X-Accel-Buffering": "no"})
