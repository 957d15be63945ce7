"""A camera's event stream (multipart/mixed, multipart/x-mixed-replace) taken apart as it arrives: parts, and the
pictures that belong to the part before them. No clock, no socket; bounded.

Only the boundary ends a part: Content-Length inside such streams is often wrong. It is used for one thing: the last
part has no boundary behind it until the next one comes, which may be a heartbeat later. So once the line is quiet a
part that has its whole Content-Length counts as whole (`settle`); one that has none waits for the boundary.

Whatever stands between two boundaries and is not blank is a part: garbage is the decoder's to refuse, so that it is
counted and kept in quarantine. Cameras name their boundary with and without the dashes before it.
"""

from __future__ import annotations

import re

from devices.errors import DecodeError
from devices.model import HttpPart
from devices.protocols.pieces import headers_of, is_picture, piece_of

_BOUNDARY_AT_MOST = 70
"""RFC 2046."""
_DELIMITER_AT_MOST = _BOUNDARY_AT_MOST + 32
PICTURES_AT_MOST = 8
"""With one event; a plate has three."""


class Splitter:
    """Parts of one stream. `most`: bytes of one part."""

    def __init__(self, boundary: bytes, most: int) -> None:
        """:raises DecodeError: it is no boundary."""
        core = boundary.lstrip(b"-")
        if not 0 < len(core) <= _BOUNDARY_AT_MOST:
            raise DecodeError("no boundary")
        self._delimiter = re.compile(rb"\n-{2,8}" + re.escape(core) + rb"-{0,2}[ \t]{0,8}\r?\n")
        self._most = most
        self._held = bytearray(b"\n")  # the line end before whatever comes
        self._from = 0

    @property
    def held(self) -> int:
        """Bytes of the part that is not whole yet; 0: none has begun."""
        return 0 if self.blank else len(self._held) - 1

    @property
    def blank(self) -> bool:
        """No part has begun."""
        return len(self._held) <= _DELIMITER_AT_MOST and not self._held.strip()

    def write(self, chunk: bytes) -> None:
        """More of the stream. Call `next` until it gives None before writing again."""
        self._held += chunk

    def next(self) -> HttpPart | None:
        """The next whole part; None: write more.

        :raises DecodeError: it is too long. The stream cannot be read any further.
        """
        while (end := self._delimiter.search(self._held, self._from)) is not None:
            piece = bytes(self._held[1 : max(1, end.start())])
            del self._held[: end.end() - 1]
            self._from = 0
            if len(piece) > self._most:
                raise DecodeError("a part too long")
            if piece.strip():
                return piece_of(piece)
        if len(self._held) > self._most + _DELIMITER_AT_MOST:
            raise DecodeError("a part too long")
        self._from = max(0, len(self._held) - _DELIMITER_AT_MOST)
        return None

    def settle(self) -> HttpPart | None:
        """Nothing has come for a while: the part in hand, if it is whole by its own Content-Length."""
        piece = bytes(self._held[1:])
        found = headers_of(piece)
        if found is None:
            return None
        headers, body = found
        declared = headers.get("content-length", "")
        if not (declared.isascii() and declared.isdecimal() and len(declared) < 12) or len(body) < int(declared):
            return None
        self._held, self._from = bytearray(b"\n"), 0
        beyond = len(body) - int(declared)
        line_end = body[int(declared) :] in (b"\r\n", b"\n")  # of the boundary that is not here yet
        return piece_of(piece[: len(piece) - beyond] if line_end else piece)


class EventStream:
    """Events of one stream, each with the pictures that follow it, as a post would hold them."""

    def __init__(self, boundary: bytes, most: int) -> None:
        """:raises DecodeError: it is no boundary."""
        self._splitter = Splitter(boundary, most)
        self._most = most
        self._event: list[HttpPart] = []

    @property
    def held(self) -> int:
        """Bytes in hand."""
        return self._splitter.held + sum(len(part.body) for part in self._event)

    @property
    def waits(self) -> bool:
        """Something is in hand that may be whole once the line is quiet."""
        return bool(self._event) or not self._splitter.blank

    def write(self, chunk: bytes) -> None:
        """More of the stream. Call `next` until it gives None before writing again."""
        self._splitter.write(chunk)

    def next(self) -> tuple[HttpPart, ...] | None:
        """The next whole event; None: write more.

        :raises DecodeError: a part is too long. The stream cannot be read any further.
        """
        while (part := self._splitter.next()) is not None:
            if event := self._after(part):
                return event
        return None

    def settle(self) -> list[tuple[HttpPart, ...]]:
        """Nothing has come for a while: what is whole."""
        part = self._splitter.settle()
        found = [self._after(part)] if part is not None else []
        return [event for event in (*found, self._taken() if self._splitter.blank else ()) if event]

    def end(self) -> list[tuple[HttpPart, ...]]:
        """The stream has ended: what is whole. What `held` says then is half a part, and lost."""
        return [event for event in (*self.settle(), self._taken()) if event]

    def _after(self, part: HttpPart) -> tuple[HttpPart, ...]:
        """Take one part; the event before it where that is whole now. A picture without an event stands alone."""
        if self._event and is_picture(part) and self._fits(part):
            self._event.append(part)
            return ()
        done, self._event = self._taken(), [part]
        return done

    def _fits(self, part: HttpPart) -> bool:
        size = sum(len(held.body) for held in self._event) + len(part.body)
        return len(self._event) <= PICTURES_AT_MOST and size <= self._most

    def _taken(self) -> tuple[HttpPart, ...]:
        event, self._event = tuple(self._event), []
        return event
