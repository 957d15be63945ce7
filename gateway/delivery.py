"""One signed POST to one receiver: over kept connections, to the checked address only, without redirects."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple
from urllib.parse import quote

import urllib3

from gateway.connection import Answer, Connection, UnusedError, opened
from gateway.webhooks import BlockedError, Network, Target, resolve_allowed

RETRY_AFTER_AT_MOST_S = 3600.0
TRUST_S = 60.0
"""A resolved name is used so long before it is asked again."""
_AS_THEY_ARE = "/?&=%:;+,@!$'()*~[]"


class Kind(StrEnum):
    """What became of a POST."""

    TAKEN = "delivered"
    GONE = "gone"
    REFUSED = "refused"
    UNAVAILABLE = "unavailable"


class Outcome(NamedTuple):
    """`reason`: short, without the body. `retry_after_s`: what the receiver asked for, 0 if nothing."""

    kind: Kind
    reason: str = ""
    retry_after_s: float = 0.0


class Endpoint:
    """One receiver, on one event loop. `now` in `post`: seconds of a clock that only goes forward."""

    def __init__(self, url: str, *, allow: Sequence[Network], timeout_s: float, connections: int) -> None:
        self._url = url
        self._allow = tuple(allow)
        self._timeout_s = timeout_s
        self._connections = connections
        self._context = ssl.create_default_context()
        self._looking = asyncio.Lock()
        self._target: Target | None = None
        self._checked_at = 0.0
        self._kept: list[Connection] = []

    async def post(self, body: bytes, headers: dict[str, str], now: float) -> Outcome:
        """Send it once. What the network or the receiver does wrong is an outcome, never an error."""
        try:
            target = await self._checked(now)
        except BlockedError as error:
            return Outcome(Kind.UNAVAILABLE, str(error))  # for the operator to mend; nothing is given up for it
        except OSError:
            return Outcome(Kind.UNAVAILABLE, "its name cannot be resolved")
        try:
            answer = await self._asked(target, _request(target, body, headers))
        except OSError as error:
            self._target = None  # it may have moved: ask for its name again
            return Outcome(Kind.UNAVAILABLE, type(error).__name__)
        return _judged(answer.status, answer.retry_after)

    async def _checked(self, now: float) -> Target:
        async with self._looking:
            if self._target is None or now - self._checked_at > TRUST_S:
                self._target = await asyncio.to_thread(resolve_allowed, self._url, self._allow)
                self._checked_at = now
            return self._target

    async def _asked(self, target: Target, request: bytes) -> Answer:
        kept = self._take(target)
        if kept is not None:
            try:
                return await self._ask(kept, request)
            except UnusedError:
                pass  # closed while nobody used it, which is the receiver's right: a new one is opened
        return await self._ask(await opened(target, timeout_s=self._timeout_s, context=self._context), request)

    async def _ask(self, connection: Connection, request: bytes) -> Answer:
        try:
            return await connection.ask(request)
        finally:
            self._put_back(connection)

    def _take(self, target: Target) -> Connection | None:
        """A kept connection to where the name leads now; those to elsewhere are closed."""
        while self._kept:
            connection = self._kept.pop()
            if connection.target == target:
                return connection
            connection.close()
        return None

    def _put_back(self, connection: Connection) -> None:
        if connection.usable and len(self._kept) < self._connections:
            self._kept.append(connection)
        else:
            connection.close()

    def close(self) -> None:
        """Close the kept connections."""
        for connection in self._kept:
            connection.close()
        self._kept.clear()


def _request(target: Target, body: bytes, headers: dict[str, str]) -> bytes:
    named = f"[{target.host}]" if ":" in target.host else target.host
    usual = target.port == (443 if target.secure else 80)
    lines = [
        f"POST {quote(target.path, safe=_AS_THEY_ARE)} HTTP/1.1",
        f"Host: {named if usual else f'{named}:{target.port}'}",
        "User-Agent: linli-gateway",
        "Content-Type: application/cloudevents+json; charset=utf-8",
        f"Content-Length: {len(body)}",
        *(f"{name}: {value}" for name, value in headers.items()),
    ]
    return "\r\n".join(lines).encode("ascii") + b"\r\n\r\n" + body


def _judged(status: int, retry_after: str) -> Outcome:
    if 200 <= status < 300:
        return Outcome(Kind.TAKEN)
    if status == 410:
        return Outcome(Kind.GONE, "410 Gone")
    if status in (408, 425, 429) or status >= 500:
        try:
            seconds = urllib3.Retry().parse_retry_after(retry_after) if retry_after else 0.0
        except urllib3.exceptions.InvalidHeader:
            seconds = 0.0
        return Outcome(Kind.UNAVAILABLE, f"HTTP {status}", min(seconds, RETRY_AFTER_AT_MOST_S))
    return Outcome(Kind.REFUSED, f"HTTP {status}")
