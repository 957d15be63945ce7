"""One kept HTTP/1.1 connection to a checked address, over a plain or a TLS socket: asyncio carries, llhttp reads.

Nothing is followed, unpacked or remembered; of an answer the status and Retry-After count, and the rest is read off, up
to a bound, so that the connection can be used again. No client library: the engine shares its process, and through
urllib3 or h11 a POST takes several times as much of its time.
"""

from __future__ import annotations

import asyncio
import ssl
from typing import NamedTuple, cast

import httptools

from gateway.webhooks import Target

ANSWER_AT_MOST = 64 * 1024
"""So much of an answer is read to keep its connection; a longer one costs the receiver the connection."""
HEAD_AT_MOST = 64 * 1024
PATIENCE = 3
"""An answer that drips in has so many times the timeout to be whole."""


class AnswerError(OSError):
    """What came back is no HTTP answer, or takes too long or too much to be one."""


class UnusedError(OSError):
    """The other side had closed the connection before it said anything to this request."""


class Answer(NamedTuple):
    """What the receiver said. `retry_after`: that header, "" if none."""

    status: int
    retry_after: str


class _Reading:
    """One answer as it comes in. `answer`: it, as soon as nothing more is wanted of it. `reusable`: it was read to its
    end, nothing came after it, and the connection stays open.
    """

    def __init__(self) -> None:
        self.answer: Answer | None = None
        self.reusable = False
        self._parser = httptools.HttpResponseParser(self)
        self._headers: dict[bytes, bytes] = {}
        self._left = HEAD_AT_MOST + ANSWER_AT_MOST
        self._body_left = ANSWER_AT_MOST

    def feed(self, data: bytes) -> None:
        """Take the next bytes.

        :raises AnswerError: this is no answer, or too much of one.
        """
        self._left -= len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self.reusable = False
            if self.answer is None:
                raise AnswerError(f"no answer in HTTP: {error}") from error
        if self._left < 0 and self.answer is None:
            raise AnswerError("too long to be an answer")

    # called by the parser

    def on_message_begin(self) -> None:
        self.reusable = False
        self._headers.clear()

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.lower()] = value

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        if status >= 200 and not self._ends_soon(status):
            self._done(status)

    def on_body(self, body: bytes) -> None:
        self._body_left -= len(body)
        if self._body_left < 0 and self.answer is None:
            self._done(self._parser.get_status_code())

    def on_message_complete(self) -> None:
        status = self._parser.get_status_code()
        if status >= 200 and self.answer is None:  # below 200: a hint, the answer itself is still to come
            self._done(status)
            self.reusable = self._parser.should_keep_alive()

    def _ends_soon(self, status: int) -> bool:
        """Whether the body says where it ends, and that is not too far off."""
        length = int(self._headers.get(b"content-length", ANSWER_AT_MOST + 1))
        return b"transfer-encoding" in self._headers or status in (204, 304) or length <= ANSWER_AT_MOST

    def _done(self, status: int) -> None:
        self.answer = Answer(status, self._headers.get(b"retry-after", b"").decode("latin-1"))


class Connection(asyncio.Protocol):
    """Made by `opened`. `usable`: it can carry another request."""

    _transport: asyncio.Transport
    _limit: asyncio.Timeout

    def __init__(self, target: Target, timeout_s: float) -> None:
        self.target = target
        self.usable = True
        self._timeout_s = timeout_s
        self._until = 0.0
        self._silent = True
        self._reading = _Reading()
        self._loop = asyncio.get_running_loop()
        self._answer: asyncio.Future[Answer] = self._loop.create_future()

    async def ask(self, request: bytes) -> Answer:
        """Send a whole request and take its answer.

        :raises UnusedError: nothing came back, as on a connection that was closed while it was kept.
        :raises OSError: anything else that goes wrong with it, TLS and `AnswerError` included.
        """
        self.usable, self._silent = False, True
        self._reading, self._answer = _Reading(), self._loop.create_future()
        self._until = self._loop.time() + PATIENCE * self._timeout_s
        self._transport.write(request)
        async with asyncio.timeout(self._timeout_s) as self._limit:
            answer = await self._answer
        self.usable = self._reading.reusable and not self._transport.is_closing()
        return answer

    def close(self) -> None:
        """Close it, at once."""
        self._transport.abort()

    # called by the event loop

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._silent = False
        if self._answer.done():  # said without being asked
            self.usable = False
            return
        try:
            self._reading.feed(data)
        except AnswerError as error:
            self._answer.set_exception(error)
            return
        if self._reading.answer is not None:
            self._answer.set_result(self._reading.answer)
        else:
            self._limit.reschedule(min(self._loop.time() + self._timeout_s, self._until))

    def connection_lost(self, error: Exception | None) -> None:
        self.usable = False
        if not self._answer.done():
            lost = UnusedError("closed") if self._silent else AnswerError("ends within an answer")
            lost.__cause__ = error
            self._answer.set_exception(lost)


async def opened(target: Target, *, timeout_s: float, context: ssl.SSLContext) -> Connection:
    """A connection to the address of `target` and to no other.

    :raises OSError: it cannot be opened, or nobody vouches for who answers there.
    """
    tls = (context, target.host) if target.secure else (None, None)
    async with asyncio.timeout(timeout_s):
        _, connection = await asyncio.get_running_loop().create_connection(
            lambda: Connection(target, timeout_s), target.ip, target.port, ssl=tls[0], server_hostname=tls[1]
        )
    return connection
