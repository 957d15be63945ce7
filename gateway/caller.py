"""Commands to devices that are called over HTTP: once, in time, one at a time for each device.

    Dispatch -> Caller.call -> a worker -> requests (digest) -> inbox: Called(status, body), or CommandUnsent(why)

A call that may have arrived is never made again and never told as failed: without a reply its command expires. The
address and the password are the registry's; nothing a device says (a redirect, a URL in an event) is ever followed.
"""

from __future__ import annotations

import ssl
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import requests
import structlog
import urllib3
from requests.adapters import HTTPAdapter
from requests.auth import HTTPDigestAuth

from devices.model import HttpCall
from gateway.access import Access, AccessBook, refusal
from gateway.inbox import Called, CommandUnsent, Inbox
from gateway.vault import VaultError

log = structlog.get_logger()

WORKERS = 8
MAX_REPLY = 4 * 1024 * 1024
"""Bytes of a reply: a snapshot."""
CONNECT_WITHIN_S = 2.0
REPLY_WITHIN_S = 10.0
REPLY_AFTER = timedelta(seconds=4)
"""A reply still counts so long after `not_after`; then the command expires (`devices.commands.ANSWER_WITHIN`)."""
WAITING_AT_MOST = 16
"""Calls that wait for one device; each is dropped anyway once its time is over."""


class _Job(NamedTuple):
    """One call to make."""

    call: HttpCall
    device: str
    command: str
    not_after: datetime


class _UnsentError(Exception):
    """The call has certainly not been carried out; the text says why, and names no secret."""


class _DigestInTime(HTTPDigestAuth):
    """Answers the device's challenge, unless `not_after` has passed meanwhile: the answer is what opens the door."""

    def __init__(self, access: Access, in_time: Callable[[], bool]) -> None:
        super().__init__(access.username, access.password)
        self._in_time = in_time

    def handle_401(self, r: requests.Response, **kwargs: Any) -> requests.Response:
        if not self._in_time():
            raise _UnsentError("not_after passed before the device had asked for the password")
        found: requests.Response = super().handle_401(r, **kwargs)  # type: ignore[no-untyped-call] # as requests has it
        return found


class _Pinned(HTTPAdapter):
    """Takes exactly one certificate, whoever has signed it."""

    def __init__(self, fingerprint: str) -> None:
        self._fingerprint = fingerprint
        super().__init__()

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs, assert_fingerprint=self._fingerprint)


class Caller:
    """Makes the calls. `call` never waits; `stop` lets the calls in hand end."""

    def __init__(
        self, book: AccessBook, inbox: Inbox, *, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._book = book
        self._inbox = inbox
        self._clock = clock
        self._workers = ThreadPoolExecutor(WORKERS, thread_name_prefix="caller")
        self._lock = threading.Lock()
        self._waiting: dict[str, deque[_Job]] = {}
        self._stopped = False

    def call(self, call: HttpCall, device: str, command: str, not_after: datetime) -> str:
        """Have a call made, after those its device has waiting; "" or why it cannot be."""
        job = _Job(call, device, command, not_after)
        with self._lock:
            others = self._waiting.get(device)
            if self._stopped:
                return "the gateway is stopping"
            if others is None:
                self._waiting[device] = deque()
                self._workers.submit(self._work, job)
                return ""
            if len(others) >= WAITING_AT_MOST:
                return "too many calls wait for this device"
            others.append(job)
            return ""

    def stop(self) -> None:
        """End; calls that have not begun are never made."""
        with self._lock:
            self._stopped = True
            for others in self._waiting.values():
                others.clear()
        self._workers.shutdown(wait=True, cancel_futures=True)

    def _work(self, job: _Job) -> None:
        """All calls of one device, one after another."""
        following: _Job | None = job
        while following is not None:
            self._one(following)
            with self._lock:
                others = self._waiting[job.device]
                following = others.popleft() if others else None
                if following is None:
                    del self._waiting[job.device]

    def _one(self, job: _Job) -> None:
        try:
            status, body = self._made(job)
        except _UnsentError as error:
            log.info("call_not_made", device=job.device, reason=str(error))
            reason = f"{job.device}: {error}"
            self._inbox.answer(CommandUnsent(command=job.command, device=job.device, reason=reason))
        except requests.RequestException as error:
            log.warning("call_without_reply", device=job.device, error=type(error).__name__)
        except Exception:  # the supervisor: an error of our own costs one call, not all that wait for the device
            log.exception("our_own_error", what="call")
        else:
            self._inbox.answer(Called(command=job.command, device=job.device, status=status, body=body))

    def _made(self, job: _Job) -> tuple[int, bytes]:
        """Status and body of the reply.

        :raises _UnsentError: it has certainly not been carried out.
        :raises requests.RequestException: nobody knows.
        """
        try:
            access = self._book.of(job.device)
        except VaultError as error:
            raise _UnsentError("what is set for calling it cannot be opened; set its access again") from error
        if not access.url:
            raise _UnsentError("the url of its access is not set")
        left_s = (job.not_after - self._clock()).total_seconds()
        if left_s <= 0:
            raise _UnsentError("not_after passed before it could be called")
        with requests.Session() as session:
            session.trust_env = False
            if access.fingerprint:
                session.mount("https://", _Pinned(access.fingerprint))
            try:
                reply = session.request(
                    job.call.method,
                    access.url.rstrip("/") + job.call.path,
                    data=job.call.payload or None,
                    headers={"Accept-Encoding": "identity", "Content-Type": job.call.media or None},
                    auth=_DigestInTime(access, lambda: self._clock() < job.not_after) if access.username else None,
                    timeout=(min(CONNECT_WITHIN_S, left_s), min(REPLY_WITHIN_S, left_s)),
                    verify=not access.fingerprint,
                    allow_redirects=False,
                    stream=True,
                )
            except requests.RequestException as error:
                raise _why(error) from error
            _check_taken(reply, access)
            return reply.status_code, self._body(reply, job.not_after + REPLY_AFTER)

    def _body(self, reply: requests.Response, until: datetime) -> bytes:
        """All of the reply.

        :raises requests.RequestException: it is too long, or dawdles.
        """
        body = bytearray()
        for piece in reply.iter_content(64 * 1024):
            body += piece
            if len(body) > MAX_REPLY:
                raise requests.exceptions.ContentDecodingError("reply too long")
            if self._clock() >= until:
                raise requests.exceptions.ReadTimeout("reply too slow")
        return bytes(body)


def _why(error: requests.RequestException) -> Exception:
    """`_UnsentError` where the request cannot have arrived, else the error itself."""
    reason = getattr(error.args[0], "reason", error.args[0]) if error.args else error
    if isinstance(reason, urllib3.exceptions.NewConnectionError | urllib3.exceptions.ConnectTimeoutError):
        return _UnsentError("it cannot be reached at the url of its access")
    if isinstance(reason, urllib3.exceptions.SSLError):
        cause = reason.args[0] if reason.args else None
        if isinstance(cause, ssl.SSLCertVerificationError) or "ingerprint" in str(cause):
            return _UnsentError("its certificate is not the one of its access; compare the fingerprint")
    return error


def _check_taken(reply: requests.Response, access: Access) -> None:
    """A refusal before anything was done.

    :raises _UnsentError: it was one.
    """
    if why := refusal(reply.status_code, [reply.headers.get("www-authenticate", "")], access):
        raise _UnsentError(why)
