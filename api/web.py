"""What every answer carries and every request is held to: security headers by path, a bound on the body."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from http import HTTPStatus

from fastapi.concurrency import run_in_threadpool
from starlette.datastructures import Headers, MutableHeaders
from starlette.formparsers import MultiPartParser
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.facade import Gateway
from api.tokens import authenticate

MAX_BODY = 42 * 1024 * 1024
"""Five photos of 8 MB and the form around them."""
INGEST = "/ingest/"
"""Devices post here; the route bounds their bodies itself, after it has seen whose they are."""
STRANGERS_BODY = 1024 * 1024
"""What is read of a request without a valid token."""

MultiPartParser.spool_max_size = MAX_BODY  # residents' photos stay in memory: no trace of them below /tmp

_DESK_CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; "
    "font-src 'self'; base-uri 'none'; frame-ancestors 'none'; form-action 'none'"
)
_DOCS_CSP = (  # Swagger UI writes style attributes and shows icons as data:
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; frame-ancestors 'none'; form-action 'none'"
)
_DATA_CSP = "default-src 'none'; frame-ancestors 'none'; sandbox"


def _headers(path: str) -> dict[str, str]:
    always = {
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cross-Origin-Resource-Policy": "same-origin",
    }
    if path == "/docs" or path.startswith("/docs/"):
        return always | {"Content-Security-Policy": _DOCS_CSP}
    if path.startswith(("/v1/", INGEST)) or path in ("/health", "/metrics", "/openapi.json"):
        return always | {"Content-Security-Policy": _DATA_CSP, "Cache-Control": "no-store"}
    return always | {
        "Content-Security-Policy": _DESK_CSP,
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cache-Control": "no-cache",
    }


class _RefusedError(Exception):
    """The body is longer than its sender may send."""


class _Meter:
    """Counts the body of one request, and stops it at what its sender may send."""

    def __init__(self, scope: Scope, receive: Receive) -> None:
        self._scope = scope
        self._receive = receive
        self._taken = 0
        self._allowed = min(STRANGERS_BODY, MAX_BODY)
        self.refusal: tuple[int, str] | None = None

    async def receive(self) -> Message:
        message = await self._receive()
        self._taken += len(message.get("body", b""))
        await self.check(self._taken)
        return message

    async def check(self, size: int) -> None:
        """Whether so many bytes may come; a token is only looked at where it matters.

        :raises _RefusedError: they may not; `refusal` says why.
        """
        if size <= self._allowed:
            return
        if size <= MAX_BODY and await run_in_threadpool(_known, self._scope):
            self._allowed = MAX_BODY
            return
        if size <= MAX_BODY:
            self.refusal = 401, "send a token: Authorization: Bearer linli_..."
        else:
            self.refusal = 413, f"the request is longer than {MAX_BODY // 1024 // 1024} MB"
        raise _RefusedError


def _known(scope: Scope) -> bool:
    kind, _, text = Headers(scope=scope).get("authorization", "").partition(" ")
    gateway: Gateway = scope["app"].state.gateway
    return kind.lower() == "bearer" and authenticate(gateway.store, text.strip(), datetime.now(UTC)) is not None


class Guard:
    """Puts the headers on every answer and refuses bodies that are too long before they are read whole: the framework
    reads a body before it asks whose it is.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        extra = _headers(scope["path"])
        meter = _Meter(scope, receive)
        started = False

        async def guarded_send(message: Message) -> None:
            nonlocal started
            if meter.refusal and not started:
                return  # what the framework makes of a body that was cut off; the refusal follows
            if message["type"] == "http.response.start":
                started = True
                MutableHeaders(scope=message).update(extra)
            await send(message)

        if scope["path"].startswith(INGEST):
            await self._app(scope, receive, guarded_send)
            return
        declared = Headers(scope=scope).get("content-length", "")
        try:
            await meter.check(int(declared) if declared.isdecimal() else 0)
            await self._app(scope, meter.receive, guarded_send)
        except _RefusedError:
            pass
        if meter.refusal and not started:
            await _refuse(send, extra, *meter.refusal)


async def _refuse(send: Send, extra: dict[str, str], status: int, detail: str) -> None:
    problem = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": detail}
    headers = MutableHeaders(raw=[(b"content-type", b"application/problem+json"), (b"connection", b"close")])
    headers.update(extra)
    await send({"type": "http.response.start", "status": status, "headers": headers.raw})
    await send({"type": "http.response.body", "body": json.dumps(problem).encode()})
