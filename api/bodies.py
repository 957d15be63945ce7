"""The body of a post, taken apart as it arrives: every bound is checked before another byte is kept.

Multipart of any kind (form-data, mixed, x-mixed-replace) becomes its parts, everything else is one part.
"""

from __future__ import annotations

import threading
from typing import Any

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import ClientDisconnect, Request

from api.errors import ApiError
from devices.model import HttpPart

MAX_PARTS = 16
"""A plate has three: what was read, the scene, the cut-out."""
MAX_PART = 4 * 1024 * 1024
HELD_AT_MOST = 64 * 1024 * 1024
"""Bytes of all posts in hand together; more are asked to come again."""
_NAME = 128


class Held:
    """Counts the bytes of posts in hand. May be used from any thread."""

    def __init__(self) -> None:
        self._bytes = 0
        self._lock = threading.Lock()

    def take(self, size: int) -> None:
        """Hold so many more.

        :raises ApiError: 503, there is no room.
        """
        with self._lock:
            if self._bytes + size > HELD_AT_MOST:
                raise ApiError(503, "too many posts at once; send again", headers={"Retry-After": "5"})
            self._bytes += size

    def give_back(self, size: int) -> None:
        """So many are gone."""
        with self._lock:
            self._bytes -= size


class Body:
    """One body. `size`: bytes of it held so far, to be given back to `held` by whoever made it."""

    def __init__(self, request: Request, held: Held, most: int) -> None:
        self._request, self._held, self._most = request, held, most
        self.size = 0

    async def parts(self) -> tuple[HttpPart, ...]:
        """All of it.

        :raises ApiError: 400 not what its Content-Type says, 413 too long or of too many parts, 415 compressed, 503 no
            room.
        """
        headers = self._request.headers
        if headers.get("content-encoding", "identity").lower() != "identity":
            raise ApiError(415, "send it without Content-Encoding")
        declared = headers.get("content-length", "")
        if declared.isdecimal() and int(declared) > self._most:
            raise self._too_long()
        media, options = parse_options_header(headers.get("content-type", ""))
        into = _Multipart(options.get(b"boundary", b"")) if media.startswith(b"multipart/") else _Whole(media)
        try:
            async for chunk in self._request.stream():
                self._take(len(chunk))
                into.write(chunk)
        except ClientDisconnect as error:
            raise ApiError(400, "the connection was lost") from error
        return into.done()

    def _take(self, size: int) -> None:
        if self.size + size > self._most:
            raise self._too_long()
        self._held.take(size)
        self.size += size

    def _too_long(self) -> ApiError:
        return ApiError(413, f"a post is at most {self._most} bytes")


class _Whole:
    def __init__(self, media: bytes) -> None:
        self._media, self._body = media, bytearray()

    def write(self, chunk: bytes) -> None:
        self._body += chunk

    def done(self) -> tuple[HttpPart, ...]:
        return (HttpPart(media=_text(self._media), body=bytes(self._body)),)


class _Multipart:
    """python-multipart, with bounds on the parts."""

    def __init__(self, boundary: bytes) -> None:
        self._parts: list[HttpPart] = []
        self._header = bytearray()
        self._value = bytearray()
        self._headers: dict[bytes, bytes] = {}
        self._body: bytearray | None = None
        callbacks: Any = {
            "on_part_begin": self._begin,
            "on_header_field": lambda data, start, end: self._header.extend(data[start:end]),
            "on_header_value": lambda data, start, end: self._value.extend(data[start:end]),
            "on_header_end": self._header_end,
            "on_part_data": self._data,
            "on_part_end": self._end,
        }
        if not boundary:
            raise ApiError(400, "a multipart body needs a boundary in its Content-Type")
        try:
            self._parser = MultipartParser(boundary, callbacks)
        except FormParserError as error:
            raise ApiError(400, "the boundary is too long") from error

    def write(self, chunk: bytes) -> None:
        try:
            self._parser.write(chunk)
        except FormParserError as error:
            raise ApiError(400, "the body is not the multipart its Content-Type says") from error

    def done(self) -> tuple[HttpPart, ...]:
        if self._body is not None:  # a stream of pieces has no end; its last one is whole all the same
            self._end()
        if not self._parts:
            raise ApiError(400, "a multipart body without parts")
        return tuple(self._parts)

    def _begin(self) -> None:
        if len(self._parts) >= MAX_PARTS:
            raise ApiError(413, f"a post has at most {MAX_PARTS} parts")
        self._headers, self._body = {}, bytearray()

    def _header_end(self) -> None:
        self._headers[bytes(self._header).lower()] = bytes(self._value)
        self._header.clear()
        self._value.clear()

    def _data(self, data: bytes, start: int, end: int) -> None:
        if self._body is None or len(self._body) + end - start > MAX_PART:
            raise ApiError(413, f"a part is at most {MAX_PART} bytes")
        self._body += data[start:end]

    def _end(self) -> None:
        _, options = parse_options_header(self._headers.get(b"content-disposition", b""))
        name = options.get(b"name") or options.get(b"filename", b"")
        media = self._headers.get(b"content-type", b"")
        self._parts.append(HttpPart(name=_text(name), media=_text(media), body=bytes(self._body or b"")))
        self._body = None


def _text(raw: bytes) -> str:
    return raw.decode("latin-1")[:_NAME]
