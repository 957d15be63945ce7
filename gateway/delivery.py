"""One signed POST to one receiver: over kept connections, to the checked address only, without redirects. urllib3."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple

import urllib3

from gateway.webhooks import BlockedError, Network, Target, resolve_allowed

ANSWER_AT_MOST = 64 * 1024
"""So much of an answer is read to keep its connection; a longer one costs the receiver the connection."""
RETRY_AFTER_AT_MOST_S = 3600.0
TRUST_S = 60.0
"""A resolved name is used so long before it is asked again."""


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
    """One receiver. Safe to use from several threads. `now` in `post`: seconds of a clock that only goes forward."""

    def __init__(self, url: str, *, allow: Sequence[Network], timeout_s: float, connections: int) -> None:
        self._url = url
        self._allow = tuple(allow)
        self._timeout = urllib3.Timeout(connect=timeout_s, read=timeout_s)
        self._connections = connections
        self._lock = threading.Lock()
        self._target: Target | None = None
        self._checked_at = 0.0
        self._pool: urllib3.HTTPConnectionPool | None = None

    def post(self, body: bytes, headers: dict[str, str], now: float) -> Outcome:
        """Send it once. What the network or the receiver does wrong is an outcome, never an error."""
        try:
            pool, target = self._connected(now)
        except BlockedError as error:
            return Outcome(Kind.UNAVAILABLE, str(error))  # for the operator to mend; nothing is given up for it
        except OSError:
            return Outcome(Kind.UNAVAILABLE, "its name cannot be resolved")
        named = f"[{target.host}]" if ":" in target.host else target.host
        usual = target.port == (443 if target.secure else 80)
        host = named if usual else f"{named}:{target.port}"
        try:
            answer = pool.urlopen(
                "POST",
                target.path,
                body=body,
                headers={"Host": host, "Content-Type": "application/cloudevents+json; charset=utf-8", **headers},
                retries=False,
                redirect=False,
                preload_content=False,
                decode_content=False,
                assert_same_host=False,
            )
            longer = len(answer.read(ANSWER_AT_MOST)) == ANSWER_AT_MOST
            if longer:
                answer.close()
            answer.release_conn()
        except urllib3.exceptions.HTTPError as error:
            with self._lock:
                self._target = None  # it may have moved: ask for its name again
            return Outcome(Kind.UNAVAILABLE, type(error).__name__)
        return _judged(answer.status, answer.headers.get("Retry-After", ""))

    def _connected(self, now: float) -> tuple[urllib3.HTTPConnectionPool, Target]:
        with self._lock:
            if self._target is None or self._pool is None or now - self._checked_at > TRUST_S:
                target = resolve_allowed(self._url, self._allow)
                if self._pool is None or self._pool.host.strip("[]") != target.ip:
                    self._pool = self._new_pool(target)
                self._target, self._checked_at = target, now
            return self._pool, self._target

    def _new_pool(self, target: Target) -> urllib3.HTTPConnectionPool:
        if not target.secure:
            return urllib3.HTTPConnectionPool(
                target.ip, target.port, timeout=self._timeout, maxsize=self._connections, block=False
            )
        return urllib3.HTTPSConnectionPool(
            target.ip,
            target.port,
            timeout=self._timeout,
            maxsize=self._connections,
            block=False,
            assert_hostname=target.host,
            server_hostname=target.host,
        )

    def close(self) -> None:
        """Close the kept connections."""
        if self._pool is not None:
            self._pool.close()


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
