"""From a resident's photos to faces good enough to be compared, or the reason in words for the resident."""

from __future__ import annotations

from concurrent.futures import Future
from typing import Protocol

import numpy as np

from gateway.actions import RefusedError
from gateway.residents import Face
from vision.gallery import Gallery
from vision.quality import LOOKS_LIKE_ANOTHER, Advice, advice
from vision.types import FaceFound, Kind, Look, NoPlate, PlateFound, PlateUnsure, SceneSeen, outcome

DEADLINE_S = 20.0
"""How long one photo may wait for its look, seconds."""
SAME_PERSON = 0.6
"""L2 distance up to which two photos show one person (dlib's verification threshold)."""
MAX_PHOTO = 8 * 1024 * 1024
MAX_PHOTOS = 5
MAX_TEMPLATES = 10
"""So many of one resident; more help no gate and slow every search."""
SOMEBODY_ELSE = Advice("shows somebody else than the first photo", "与第一张照片不是同一个人")
_JPEG, _PNG = b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"


class Looker(Protocol):
    """What looks at photos (`vision.pool.Pool`)."""

    def submit(self, kind: Kind, image: bytes, *, deadline_s: float) -> Future[Look]: ...


def media(image: bytes) -> str:
    """The media type of an image by its first bytes; "" when it is neither JPEG nor PNG."""
    if image.startswith(_JPEG):
        return "image/jpeg"
    return "image/png" if image.startswith(_PNG) else ""


def refusal_of_file(image: bytes) -> Advice | None:
    """Why a file is not even looked at; None when it is."""
    if not media(image):
        return Advice("not a JPEG or PNG photo", "不是 JPEG 或 PNG 照片")
    return Advice("larger than 8 MB", "文件超过 8 MB") if len(image) > MAX_PHOTO else None


def look(pool: Looker, image: bytes, kind: Kind = "enrol") -> Future[Look]:
    """Start looking for the one good face."""
    return pool.submit(kind, image, deadline_s=DEADLINE_S)


def embedding_of(seen: Look) -> bytes:
    """The face of a captured picture.

    :raises RefusedError: there is none that could be compared.
    """
    if not isinstance(seen, FaceFound):
        raise RefusedError(f"no face could be seen on the picture any more: {outcome(seen)}")
    return seen.embedding


def face_or_reason(seen: Look, image: bytes, known: Known) -> Face | Advice:
    """The face of a photo, or why it cannot be used."""
    if isinstance(seen, PlateFound | PlateUnsure | NoPlate | SceneSeen):
        raise TypeError("something else was looked for instead of a face")
    if told := advice(seen):
        return told
    face = Face(image=image, embedding=embedding_of(seen))
    if (apart := known.apart(face)) is not None and apart > SAME_PERSON:
        return SOMEBODY_ELSE
    return LOOKS_LIKE_ANOTHER if known.like_another(face) else face


class Known:
    """What a new photo of a resident is compared with. `person`: who is to get it, "" for somebody new. `checked`:
    the office knows that the photo looks like somebody else who is enrolled (a twin), and that it is not them.
    """

    def __init__(self, gallery: Gallery, *, threshold: float, person: str = "", checked: bool = False) -> None:
        self._gallery, self._threshold, self._person, self._checked = gallery, threshold, person, checked
        self.first: Face | None = None
        """The first good photo of those sent together."""

    def apart(self, face: Face) -> float | None:
        """How far the face is from this resident's others, L2; None when there are none."""
        if self.first is not None:
            return _distance(self.first, face)
        if not self._person:
            return None
        return self._gallery.identify(face.embedding, threshold=SAME_PERSON, among=[self._person]).distance

    def like_another(self, face: Face) -> bool:
        """Whether a gate could take the face for that of another resident."""
        if self._checked:
            return False
        other = self._gallery.nearest(face.embedding, excluding=self._person or None)
        return other is not None and other.distance < self._threshold


def _distance(one: Face, other: Face) -> float:
    a, b = (np.frombuffer(face.embedding, dtype="<f4") for face in (one, other))
    return float(np.linalg.norm(a - b))
