"""From a resident's photos to faces good enough to be compared, or the reason in words for the resident."""

from __future__ import annotations

from concurrent.futures import Future
from typing import Protocol

import numpy as np

from gateway.residents import Face
from vision.types import FaceFound, Kind, Look, LowQuality, ManyFaces, NoFace, Unreadable

DEADLINE_S = 20.0
"""How long one photo may wait for its look, seconds."""
SAME_PERSON = 0.6
"""L2 distance up to which two photos show one person (dlib's verification threshold)."""
MAX_PHOTO = 8 * 1024 * 1024
MAX_PHOTOS = 5
_JPEG, _PNG = b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"


class Looker(Protocol):
    """What looks at photos (`vision.pool.Pool`)."""

    def submit(self, kind: Kind, image: bytes, *, deadline_s: float) -> Future[Look]: ...


def media(image: bytes) -> str:
    """The media type of an image by its first bytes; "" when it is neither JPEG nor PNG."""
    if image.startswith(_JPEG):
        return "image/jpeg"
    return "image/png" if image.startswith(_PNG) else ""


def refusal_of_file(image: bytes) -> str:
    """Why a file is not even looked at; "" when it is."""
    if not media(image):
        return "not a JPEG or PNG photo"
    return "larger than 8 MB" if len(image) > MAX_PHOTO else ""


def look(pool: Looker, image: bytes) -> Future[Look]:
    """Start looking for the one good face."""
    return pool.submit("enrol", image, deadline_s=DEADLINE_S)


def face_or_reason(seen: Look, image: bytes, first: Face | None) -> Face | str:
    """The face of a photo, or why it cannot be used. `first`: the resident's first good photo, to compare with."""
    if not isinstance(seen, FaceFound):
        return _reason(seen)
    if seen.others:
        return "other people are in the photo; take one alone"
    face = Face(image=image, embedding=seen.embedding)
    if first is not None and _distance(first, face) > SAME_PERSON:
        return "shows somebody else than the first photo"
    return face


def _reason(seen: Look) -> str:
    match seen:
        case NoFace():
            return "no face was found; look straight into the camera, without mask or sunglasses"
        case ManyFaces():
            return "more than one face; take a photo alone"
        case LowQuality(reason=reason):
            return f"the face is not clear enough ({reason}); try again in better light, closer"
        case Unreadable(reason=reason):
            return f"the photo could not be looked at ({reason}); try again"
        case _:
            raise AssertionError("a plate was looked for instead of a face")


def _distance(one: Face, other: Face) -> float:
    a, b = (np.frombuffer(face.embedding, dtype="<f4") for face in (one, other))
    return float(np.linalg.norm(a - b))
