"""One HTTP request to a device under asyncio, its answer read piece by piece: h11 on a plain connection, with digest.

The address and the password are those of the registered device's access; a redirect is an answer like any other, never
followed. The password is never sent, only what digest makes of it, and never twice for one nonce.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
import ssl
from functools import cache
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import h11

from devices.model import HttpCall
from gateway.access import Access, refusal
from gateway.digest import Challenge, authorization, challenge_of

CONNECT_WITHIN_S = 5.0
ANSWER_WITHIN_S = 10.0
CHUNK = 32 * 1024
"""Bytes read at once. asyncio holds twice as many for each connection, then the device has to wait."""


class UnansweredError(Exception):
    """There is no answer to be had just now; the text says why, and names no secret."""


class NotOursError(Exception):
    """Asking again changes nothing until somebody has changed something; the text says what. `locks`: asking again may
    lock the account on the device.
    """

    def __init__(self, why: str, *, locks: bool = False) -> None:
        super().__init__(why)
        self.locks = locks


class Answer:
    """A device's answer: its status and headers, then its body as it comes. An `async with` hangs up at its end."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._http = h11.Connection(h11.CLIENT, max_incomplete_event_size=CHUNK)
        self.status = 0
        self.headers: list[tuple[str, str]] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Hang up at once."""
        self._writer.transport.abort()

    def header(self, name: str) -> str:
        """A header's first value, "" for none."""
        return next(iter(self.all(name)), "")

    def all(self, name: str) -> list[str]:
        """All values of a header."""
        return [value for key, value in self.headers if key == name]

    async def begin(self, call: HttpCall, host: str, shown: str) -> None:
        """Send the request and read the head of its answer.

        :raises UnansweredError: there is none.
        """
        headers = [("Host", host), ("Accept", "*/*"), ("Accept-Encoding", "identity")]
        headers += [("Content-Type", call.media), ("Content-Length", str(len(call.payload)))] if call.payload else []
        headers += [("Authorization", shown)] if shown else []
        request = h11.Request(method=call.method, target=call.path, headers=headers)
        sent = [self._http.send(request), self._http.send(h11.Data(data=call.payload)) if call.payload else b""]
        self._writer.write(b"".join(part for part in (*sent, self._http.send(h11.EndOfMessage())) if part))
        event = await self._next()
        while isinstance(event, h11.InformationalResponse):
            event = await self._next()
        if not isinstance(event, h11.Response):
            raise UnansweredError("it hung up without an answer")
        self.status = event.status_code
        self.headers = [(key.decode("latin-1"), value.decode("latin-1")) for key, value in event.headers]

    async def more(self) -> bytes:
        """The next piece of the body; b"" at its end. May be given up and called again: nothing is lost.

        :raises UnansweredError: the line broke, or it is not HTTP.
        """
        event = await self._next()
        return bytes(event.data) if isinstance(event, h11.Data) else b""

    async def whole(self, most: int) -> bytes:
        """All of the body.

        :raises UnansweredError: the line broke, or there are more than `most` bytes.
        """
        body = bytearray()
        while piece := await self.more():
            body += piece
            if len(body) > most:
                raise UnansweredError(f"its answer has more than {most} bytes")
        return bytes(body)

    async def _next(self) -> Any:
        try:
            while (event := self._http.next_event()) is h11.NEED_DATA:
                self._http.receive_data(await self._reader.read(CHUNK))
        except h11.RemoteProtocolError as error:
            raise UnansweredError("the line broke, or what it says is not HTTP") from error
        except OSError as error:
            raise UnansweredError("the line broke") from error
        return event


async def ask(access: Access, call: HttpCall) -> Answer:
    """Make a request, with what the device asks for to be shown.

    :raises UnansweredError: it cannot be reached, or gave no answer in time.
    :raises NotOursError: it refuses what its access holds, or is not the device its access names.
    """
    challenge: Challenge | None = None
    while True:
        answer = await _once(access, call, challenge)
        offered = challenge_of(answer.all("www-authenticate")) if answer.status == 401 else None
        again = offered is not None and access.username and (challenge is None or offered.stale)
        fresh = challenge is None or offered is None or offered.nonce != challenge.nonce
        if not (again and fresh) or (challenge is not None and challenge.stale):
            break
        answer.close()
        challenge = offered
    if why := refusal(answer.status, answer.all("www-authenticate"), access):
        answer.close()
        raise NotOursError(why, locks=challenge is not None and answer.status == 401)
    return answer


async def _once(access: Access, call: HttpCall, challenge: Challenge | None) -> Answer:
    answer = Answer(*await _connected(access))
    shown = ""
    if challenge is not None:
        shown = authorization(
            challenge,
            username=access.username,
            password=access.password,
            method=call.method,
            target=call.path,
            cnonce=secrets.token_hex(8),
        )
    try:
        async with asyncio.timeout(ANSWER_WITHIN_S):
            await answer.begin(call, urlsplit(access.url).netloc, shown)
    except TimeoutError as error:
        answer.close()
        raise UnansweredError(f"it gave no answer within {ANSWER_WITHIN_S:g} s") from error
    except BaseException:
        answer.close()
        raise
    return answer


async def _connected(access: Access) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    url = urlsplit(access.url)
    tls = _tls(pinned=bool(access.fingerprint)) if url.scheme == "https" else None
    port = url.port or (443 if tls else 80)
    try:
        async with asyncio.timeout(CONNECT_WITHIN_S):
            reader, writer = await asyncio.open_connection(url.hostname, port, ssl=tls, limit=CHUNK)
    except ssl.SSLCertVerificationError as error:
        raise NotOursError("its certificate is signed by nobody known; give its fingerprint in its access") from error
    except (OSError, TimeoutError, UnicodeError) as error:
        raise UnansweredError("it cannot be reached at the url of its access") from error
    if access.fingerprint and not _is_pinned(writer, access.fingerprint):
        writer.transport.abort()
        raise NotOursError("its certificate is not the one of its access; compare the fingerprint")
    return reader, writer


def _is_pinned(writer: asyncio.StreamWriter, fingerprint: str) -> bool:
    shown = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    return hashlib.sha256(shown).hexdigest() == fingerprint


@cache
def _tls(*, pinned: bool) -> ssl.SSLContext:
    """`pinned`: one certificate is taken, whoever has signed it; it is compared before anything is sent."""
    context = ssl.create_default_context()
    if pinned:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
