"""Where devices post: /ingest/{protocol}/{address}/{path}. Answered when what was posted is safe, and not before.

    200  it is safe (or was before); the body is what the vendor's device expects
    400  the body is not what its Content-Type says                        401  whose it is has not been shown
    404  no protocol of this name takes posts, or the path is none         413  too long, or too many parts
    415  compressed                                                        422  not understood: kept in quarantine
    429  more than a device may send: kept in quarantine                   500  an error of ours: kept in quarantine
    503  it could not be written down: send it again

Who posts is known before a byte of the body is read. The device is told nothing that a stranger could use.
"""

from __future__ import annotations

import asyncio
import binascii
import hmac
import re
import time
from concurrent.futures import Future
from datetime import UTC, datetime
from functools import cache
from typing import NamedTuple

import structlog
from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool
from msgspec.structs import replace

from api.bodies import Body, Held
from api.digest import Digests, Verdict
from api.errors import ApiError, problem
from api.facade import Gateway, TheGateway
from devices import registry
from devices.model import HttpPush, HttpReply
from gateway import metrics
from gateway.actions import RefusedError
from gateway.inbox import PostAnswer, Posted
from gateway.journal import CommitError
from gateway.vault import VaultError

log = structlog.get_logger()
router = APIRouter(prefix="/ingest", include_in_schema=False)

ANSWER_WITHIN_S = 10.0
RETRY_AFTER = {"Retry-After": "5"}
_PATH = re.compile(r"[A-Za-z0-9_.-]{1,64}(?:/[A-Za-z0-9_.-]{1,64}){0,7}/?")


class _Sender(NamedTuple):
    """What a device of this name may show: its id or its address as a user name, and its token."""

    names: set[str]
    token: str


@router.post("/{protocol}/{address}")
@router.put("/{protocol}/{address}")
@router.post("/{protocol}/{address}/{path:path}")
@router.put("/{protocol}/{address}/{path:path}")
async def ingest(request: Request, gateway: TheGateway, protocol: str, address: str, path: str = "") -> Response:
    """Take what a device posts."""
    if protocol not in _posting() or (path and not _PATH.fullmatch(path)) or ".." in path.split("/"):
        raise ApiError(404, "no device posts here")
    digests: Digests = request.app.state.digests
    sender = await run_in_threadpool(_sender, gateway, protocol, address)
    shown = _shown(request, sender, digests)
    if shown is not Verdict.GOOD:
        if "authorization" in request.headers or request.query_params:  # else it only asks for a challenge
            log.info("post_refused", protocol=protocol, reason=f"what was shown is {shown.value}")
        metrics.POSTS.labels("401").inc()
        return _who_are_you(request, digests.challenges(time.monotonic(), stale=shown is Verdict.STALE))
    try:
        answer = await _taken(request, gateway, HttpPush(address=address, path=path, parts=()), protocol)
    except ApiError as refusal:
        metrics.POSTS.labels(str(refusal.status)).inc()
        raise
    metrics.POSTS.labels(str(answer.status)).inc()
    return _told(request, answer)


async def _taken(request: Request, gateway: Gateway, push: HttpPush, protocol: str) -> PostAnswer:
    """Read the body, and have the engine take it.

    :raises ApiError: it could not be read, or not be written down.
    """
    held: Held = request.app.state.held
    body = Body(request, held, gateway.settings.limits.max_payload)
    coming: Future[PostAnswer] | None = None
    try:
        push = replace(push, parts=await body.parts())
        coming = gateway.post(Posted(protocol=protocol, push=push, received_at=datetime.now(UTC)))
        return await asyncio.wait_for(asyncio.shield(asyncio.wrap_future(coming)), ANSWER_WITHIN_S)
    except (CommitError, RefusedError, TimeoutError) as error:  # the disk is full; busy or stopping; or too slow
        raise ApiError(503, "it cannot be written down just now; send it again", headers=RETRY_AFTER) from error
    finally:
        _give_back(held, body.size, coming)


@cache
def _posting() -> frozenset[str]:
    return frozenset(name for name, protocol in registry.protocols().items() if protocol.receive is not None)


def _sender(gateway: Gateway, protocol: str, address: str) -> _Sender:
    device = gateway.directory.device_at(protocol, address)
    if device is None:
        return _Sender(set(), "")
    try:
        return _Sender({device.id, device.address}, gateway.access.of(device.id).push_token)
    except VaultError as error:
        log.error("access_unreadable", device=device.id, trouble=str(error))  # noqa: TRY400 - it says all there is to say
        return _Sender(set(), "")


# -- who posts ---------------------------------------------


def _shown(request: Request, sender: _Sender, digests: Digests) -> Verdict:
    """Whether the request shows the device's token: in the query, a header, as a password (Basic), or by digest."""
    if _same(request.query_params.get("token") or request.headers.get("x-push-token", ""), sender.token):
        return Verdict.GOOD
    good = False
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    match scheme.lower():
        case "digest":
            raw = request.scope["raw_path"].decode("latin-1")
            query = request.scope["query_string"].decode("latin-1")
            target = f"{raw}?{query}" if query else raw
            names = sender.names if sender.token else set()
            return digests.check(request.method, target, given.strip(), names, sender.token, time.monotonic())
        case "basic":
            name, _, secret = _decoded(given.strip()).partition(":")
            good = name in sender.names and _same(secret, sender.token)
        case "bearer":
            good = _same(given.strip(), sender.token)
    return Verdict.GOOD if good else Verdict.WRONG


def _decoded(given: str) -> str:
    try:
        return binascii.a2b_base64(given[:512], strict_mode=True).decode()
    except ValueError:
        return ""


def _same(given: str, token: str) -> bool:
    return bool(token) and hmac.compare_digest(given.encode(), token.encode())


def _who_are_you(request: Request, challenges: list[str]) -> Response:
    """One answer for all who cannot say who they are: whether there is such a device is nobody's business. A line for
    each challenge: many a camera reads no list.
    """
    response = problem(request, 401, "show the device's push token")
    for challenge in challenges:
        response.headers.append("WWW-Authenticate", challenge)
    return response


# -- to the engine and back ---------------------------------------------


def _give_back(held: Held, size: int, coming: Future[PostAnswer] | None) -> None:
    """The memory is free once the engine has done with it, however long its sender waits."""
    if coming is None:
        held.give_back(size)
    else:
        coming.add_done_callback(lambda _: held.give_back(size))


def _told(request: Request, answer: PostAnswer) -> Response:
    if answer.status != 200:
        headers = {"Retry-After": "1"} if answer.status == 429 else None
        return problem(request, answer.status, answer.reason, headers=headers)
    in_time = answer.not_after is None or datetime.now(UTC) < answer.not_after
    reply = (answer.order if in_time else None) or answer.reply or HttpReply(media="text/plain")
    return Response(reply.payload, media_type=reply.media)
