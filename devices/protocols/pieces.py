"""A stream of pieces (multipart/x-mixed-replace and its like) taken apart where the HTTP server could not: a camera's
event stream pasted whole into one body, boundary lines and all.

Content-Length inside such streams is often wrong, so only the boundary counts.
"""

from __future__ import annotations

from devices.errors import DecodeError
from devices.model import HttpPart, HttpPush
from devices.protocols.wire import MAX_NAME

MAX_PIECES = 64


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
    return tuple(_piece(piece) for piece in pieces if piece.strip() not in (b"", b"--"))


def _piece(piece: bytes) -> HttpPart:
    head, _, body = piece.partition(b"\r\n\r\n" if b"\r\n\r\n" in piece else b"\n\n")
    if b":" not in head.partition(b";")[0]:  # no headers at all
        head, body = b"", piece.lstrip(b"\r\n")
    headers = {
        key.strip().lower(): value.strip()
        for key, _, value in (line.partition(":") for line in head.decode("latin-1").split("\n"))
    }
    _, named, rest = headers.get("content-disposition", "").partition('name="')
    name = rest.partition('"')[0][:MAX_NAME] if named else ""
    return HttpPart(name=name, media=headers.get("content-type", "")[:MAX_NAME], body=body.removesuffix(b"\r"))
