"""One kept HTTP/1.1 connection to a checked address, over a plain or a TLS socket.

Our own, because the engine shares its process: a POST through urllib3 takes 376 us of its time, the socket alone 44.
Nothing is followed, unpacked or remembered; of an answer the status and Retry-After count, and the rest is read off, up
to a bound, so that the connection can be used again.
"""

from __future__ import annotations

import io
import re
import socket
import ssl
import time
from typing import Any, NamedTuple

from gateway.webhooks import Target

ANSWER_AT_MOST = 64 * 1024
"""So much of an answer is read to keep its connection; a longer one costs the receiver the connection."""
LINE_AT_MOST = 8 * 1024
LINES_AT_MOST = 100
PATIENCE = 3
"""An answer that drips in has so many times the timeout to be whole."""

_STATUS = re.compile(rb"HTTP/1\.[01] (\d{3})(?: |$)")
_LENGTH = re.compile(r"\d{1,9}", re.ASCII)
_CHUNK = re.compile(rb"\s*([0-9a-fA-F]{1,8})\s*(?:;|$)")


class AnswerError(OSError):
    """What came back is no HTTP answer, or takes too long or too much to be one."""


class UnusedError(OSError):
    """The other side had closed the connection before it said anything to this request."""


class Answer(NamedTuple):
    """What the receiver said. `retry_after`: that header, "" if none."""

    status: int
    retry_after: str


class _InTime(io.RawIOBase):
    """What a socket receives, until the time for it is over: a byte now and then does not prolong it."""

    def __init__(self, sock: socket.socket, timeout_s: float) -> None:
        self._socket, self._timeout_s = sock, timeout_s
        self.until = 0.0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        left_s = self.until - time.monotonic()
        if left_s <= 0:
            raise AnswerError("too slow")
        self._socket.settimeout(min(self._timeout_s, left_s))
        return self._socket.recv_into(buffer)


class Connection:
    """Open from the start. `usable`: it can carry another request.

    :raises OSError: it cannot be opened.
    """

    def __init__(self, target: Target, *, timeout_s: float, context: ssl.SSLContext) -> None:
        self.target = target
        self.usable = True
        self._timeout_s = timeout_s
        plain = socket.create_connection((target.ip, target.port), timeout_s)
        try:
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._socket = context.wrap_socket(plain, server_hostname=target.host) if target.secure else plain
        except BaseException:
            plain.close()
            raise
        self._received = _InTime(self._socket, timeout_s)
        self._file = io.BufferedReader(self._received)

    def ask(self, request: bytes) -> Answer:
        """Send a whole request and take its answer.

        :raises UnusedError: nothing came back, as on a connection that was closed while it was kept.
        :raises OSError: anything else that goes wrong with it, TLS and `AnswerError` included.
        """
        self.usable = False
        self._received.until = time.monotonic() + PATIENCE * self._timeout_s
        try:
            self._socket.settimeout(self._timeout_s)
            self._socket.sendall(request)
            first = self._file.readline(LINE_AT_MOST)
        except ConnectionError as error:
            raise UnusedError(str(error)) from error
        if not first:
            raise UnusedError("closed")
        status, headers = self._head(first.rstrip(b"\r\n"))
        for _ in range(LINES_AT_MOST):
            if status >= 200 or status == 101:
                break
            status, headers = self._head(self._line())  # 1xx: the answer itself is still to come
        if status < 200:
            raise AnswerError("never came to an answer")
        ends = headers.get("connection", "").lower() == "close" or first.startswith(b"HTTP/1.0")
        self.usable = self._read_off(status, headers) and not ends
        return Answer(status, headers.get("retry-after", ""))

    def close(self) -> None:
        """Close it."""
        self._file.close()
        self._socket.close()

    def _head(self, first: bytes) -> tuple[int, dict[str, str]]:
        found = _STATUS.match(first)
        if not found:
            raise AnswerError("no HTTP")
        headers: dict[str, str] = {}
        for _ in range(LINES_AT_MOST):
            line = self._line()
            if not line:
                return int(found[1]), headers
            name, _, value = line.decode("latin-1").partition(":")
            headers[name.lower()] = value.strip()
        raise AnswerError("too many headers")

    def _line(self) -> bytes:
        line = self._file.readline(LINE_AT_MOST)
        if not line.endswith(b"\n"):
            raise AnswerError("ends within a line, or in none")
        return line.rstrip(b"\r\n")

    def _read_off(self, status: int, headers: dict[str, str]) -> bool:
        """Read the body, which says nothing to us; False: it is too long, or does not say where it ends."""
        if status in (204, 304):
            return True
        if "transfer-encoding" in headers:
            return headers["transfer-encoding"].lower() == "chunked" and self._read_chunks()
        length = headers.get("content-length", "")
        if not _LENGTH.fullmatch(length) or int(length) > ANSWER_AT_MOST:
            return False
        return len(self._file.read(int(length))) == int(length)

    def _read_chunks(self) -> bool:
        left = ANSWER_AT_MOST
        while True:
            found = _CHUNK.match(self._line())
            if not found:
                raise AnswerError("no chunk")
            size = int(found[1], 16)
            if size == 0:
                break
            left -= size + 2
            if left < 0:
                return False
            self._file.read(size + 2)
        return any(not self._line() for _ in range(LINES_AT_MOST))  # what trails the chunks, to the empty line
