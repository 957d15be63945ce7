"""What every answer carries and every request is held to: security headers by path, a bound on the body."""

from __future__ import annotations

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MAX_BODY = 42 * 1024 * 1024
"""Five photos of 8 MB and the form around them."""

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
    if path.startswith("/v1/") or path in ("/health", "/metrics", "/openapi.json"):
        return always | {"Content-Security-Policy": _DATA_CSP, "Cache-Control": "no-store"}
    return always | {
        "Content-Security-Policy": _DESK_CSP,
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cache-Control": "no-cache",
    }


class _TooLargeError(Exception):
    """The body is longer than we take."""


class Guard:
    """Puts the headers on every answer and refuses bodies over `MAX_BODY` before they are read whole."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        extra = _headers(scope["path"])
        started = False
        taken = 0

        async def guarded_send(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                MutableHeaders(scope=message).update(extra)
            await send(message)

        async def guarded_receive() -> Message:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > MAX_BODY:
                raise _TooLargeError
            return message

        declared = dict(scope["headers"]).get(b"content-length", b"0")
        if declared.isdigit() and int(declared) > MAX_BODY:
            await _refuse(guarded_send)
            return
        try:
            await self._app(scope, guarded_receive, guarded_send)
        except _TooLargeError:
            if not started:
                await _refuse(guarded_send)


async def _refuse(send: Send) -> None:
    body = (
        f'{{"type":"about:blank","title":"Content Too Large","status":413,'
        f'"detail":"the request is longer than {MAX_BODY // 1024 // 1024} MB"}}'
    ).encode()
    headers = [(b"content-type", b"application/problem+json"), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": 413, "headers": headers})
    await send({"type": "http.response.body", "body": body})
