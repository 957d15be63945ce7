"""A stream of pieces (multipart/x-mixed-replace and its like) taken apart where the HTTP server could not: a camera's
event stream pasted whole into one body, boundary lines and all.

Content-Length inside such streams is often wrong, so only the boundary counts.
"""

from __future__ import annotations

import re

from devices.errors import DecodeError
from devices.model import HttpPart, HttpPush
from devices.protocols.wire import MAX_NAME

MAX_PIECES = 64
_BLANK_LINE = re.compile(rb"\r?\n\r?\n")


def parts_of(push: HttpPush) -> tuple[HttpPart, ...]:
    """The parts of what was posted; a whole body that is itself a stream of pieces is taken apart.

    :raises DecodeError: it has too many pieces.
    """
    if len(push.parts) == 1 and push.parts[0].body.lstrip()[:2] == b"--":
        return split(push.parts[0].body)
    return push.parts


def split(body: bytes) -> tuple[HttpPart, ...]:
    """The pieces of a body that begins with its boundary line.

    :raises DecodeError: there are too many of them.
    """
    body = body.lstrip()
    boundary = body.partition(b"\n")[0].strip()
    pieces = (b"\n" + body).split(b"\n" + boundary, MAX_PIECES + 1)[1:]
    if len(pieces) > MAX_PIECES:
        raise DecodeError("too many pieces")
    return tuple(piece_of(piece) for piece in pieces if piece.strip() not in (b"", b"--"))


def piece_of(piece: bytes) -> HttpPart:
    """One piece as a part. Without headers, or without the blank line behind them, all of it is body."""
    headers, body = headers_of(piece) or ({}, piece.lstrip(b"\r\n"))
    _, named, rest = headers.get("content-disposition", "").partition('name="')
    name = rest.partition('"')[0][:MAX_NAME] if named else ""
    return HttpPart(name=name, media=headers.get("content-type", "")[:MAX_NAME], body=body.removesuffix(b"\r"))


def headers_of(piece: bytes) -> tuple[dict[str, str], bytes] | None:
    """The headers of a piece, their names in small letters, and its body; None where it has none."""
    blank = _BLANK_LINE.search(piece)
    head = piece[: blank.start()] if blank else b""
    if blank is None or b":" not in head.partition(b";")[0]:
        return None
    lines = (line.partition(":") for line in head.decode("latin-1").split("\n"))
    return {key.strip().lower(): value.strip() for key, _, value in lines}, piece[blank.end() :]


def is_picture(part: HttpPart) -> bool:
    """By what it says of itself, or by how it begins."""
    return part.media.lower().startswith("image/") or part.body.startswith((b"\xff\xd8\xff", b"\x89PNG"))
