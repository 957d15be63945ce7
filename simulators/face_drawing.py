"""Draws faces that belong to nobody, so that no real person's picture is ever needed.

A person is a number: it fixes the shape of head, eyes, nose, mouth and the colours. Each picture of that person varies
in pose, light and noise. dlib's HOG detector finds them and its embedding keeps most persons apart, which is what a
simulated estate needs; they say nothing about how well real faces are told apart.
"""

from __future__ import annotations

from pathlib import Path
from random import Random

import cv2
import numpy as np
from msgspec import Struct

from simulators.image import Picture, encode_jpeg, noisy

PHOTO_SUFFIXES = frozenset({".jpg", ".jpeg", ".png"})

DISTINCT = (
    *(343, 81, 331, 363, 154, 266, 312, 80, 98, 48, 364, 86, 89, 230, 52, 134, 45, 326),
    *(265, 149, 390, 271, 19, 264, 38, 358, 389, 225, 339, 369, 246, 392, 188, 24, 178, 68),
)
"""Person numbers that the detector finds in every one of their first four shots and whose embeddings lie far apart.

Chosen by measuring numbers 0-399: the nearest two of the first dozen are 0.45 apart, of all 36 some 0.36 (L2, 128-d),
while 95 of 100 pairs of shots of one person lie within 0.21.
"""

Color = tuple[float, float, float]


class Look(Struct, frozen=True, kw_only=True):
    """What does not change between two pictures of one person. Lengths are fractions of the picture's side."""

    skin: Color
    hair: Color
    iris: Color
    wall: Color
    half_width: float
    half_height: float
    roundness: float
    jaw: float
    hairline: float
    eye_apart: float
    eye_height: float
    eye_width: float
    eye_open: float
    eye_slant: float
    brow_height: float
    brow_weight: float
    brow_slant: float
    nose_length: float
    nose_width: float
    mouth_drop: float
    mouth_width: float
    mouth_height: float
    beard: float
    glasses: float


def look_of(person: int) -> Look:
    """The look of person number `person`; the same number always gives the same look."""
    r = Random(person)
    tone = r.uniform(0.4, 1.0)
    hair = r.choice((r.uniform(8, 40), r.uniform(40, 110), r.uniform(150, 210)))
    half_width, half_height = r.uniform(0.26, 0.33), r.uniform(0.36, 0.43)
    eye_width = half_width * r.uniform(0.18, 0.25)
    return Look(
        skin=(tone * r.uniform(110, 150), tone * r.uniform(150, 185), tone * r.uniform(205, 240)),
        hair=(hair, hair + r.uniform(0, 20), hair + r.uniform(0, 40)),
        iris=(r.uniform(10, 90), r.uniform(20, 70), r.uniform(20, 60)),
        wall=(r.uniform(170, 230), r.uniform(180, 215), r.uniform(175, 205)),
        half_width=half_width,
        half_height=half_height,
        roundness=r.uniform(1.9, 2.6),
        jaw=r.uniform(0.75, 1.0),
        hairline=half_height * r.uniform(0.55, 0.72),
        eye_apart=half_width * r.uniform(0.39, 0.48),
        eye_height=half_height * r.uniform(0.08, 0.2),
        eye_width=eye_width,
        eye_open=eye_width * r.uniform(0.36, 0.6),
        eye_slant=r.uniform(-8, 8),
        brow_height=r.uniform(2.0, 2.8),
        brow_weight=r.uniform(0.4, 0.8),
        brow_slant=r.uniform(0, 10),
        nose_length=half_height * r.uniform(0.3, 0.42),
        nose_width=half_width * r.uniform(0.14, 0.24),
        mouth_drop=half_height * r.uniform(0.2, 0.28),
        mouth_width=half_width * r.uniform(0.34, 0.5),
        mouth_height=half_height * r.uniform(0.03, 0.07),
        beard=r.choice((0.0, 0.0, 0.35, 0.7, 0.95)),
        glasses=r.choice((0.0, 0.0, 0.012, 0.022)),
    )


def draw_face(person: int, *, shot: int = 0, side: int = 320) -> bytes:
    """A square JPEG of person number `person`; `shot` tells pictures of one person apart. `side` in pixels."""
    look = look_of(person)
    rng = np.random.default_rng((person, shot))
    pose, light = float(rng.uniform(-1, 1)), float(rng.uniform(0.86, 1.1))
    picture = _head(look, side, pose)
    center = (side * 0.5 + pose * side * 0.03, side * 0.52)
    picture = _eyes(picture, look, center, pose)
    picture = _beard(picture, look, center)
    _nose_and_mouth(picture, look, center, pose)
    _glasses(picture, look, center, pose)
    return encode_jpeg(noisy(cv2.GaussianBlur(picture, (5, 5), 1.4), rng, light=light, sigma=4.0))


def faces_from(folder: Path) -> dict[str, list[bytes]]:
    """Photographs of real people who agreed to it: one sub-folder each, or one file each; name -> the files' bytes.

    :raises FileNotFoundError: the folder holds no JPEG or PNG.
    """
    found: dict[str, list[bytes]] = {}
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() in PHOTO_SUFFIXES:
            name = path.stem if path.parent == folder else path.relative_to(folder).parts[0]
            found.setdefault(name, []).append(path.read_bytes())
    if not found:
        raise FileNotFoundError(f"{folder} holds no {', '.join(sorted(PHOTO_SUFFIXES))}")
    return found


def _scaled(color: Color, *factors: float) -> Color:
    blue, green, red = factors if len(factors) == 3 else factors * 3
    return color[0] * blue, color[1] * green, color[2] * red


def _head(look: Look, side: int, pose: float) -> Picture:
    """Wall, hair and a shaded head."""
    width, height = look.half_width * side, look.half_height * side
    x0, y0 = side * 0.5 + pose * side * 0.03, side * 0.52
    yy, xx = np.mgrid[0:side, 0:side].astype(np.float64)
    picture = np.full((side, side, 3), look.wall, np.float64)
    picture[((xx - x0) / (width * 1.13)) ** 2 + ((yy - y0 + height * 0.12) / (height * 1.08)) ** 2 < 1] = look.hair
    narrowing = np.where(yy > y0, 1 - (1 - look.jaw) * np.clip((yy - y0) / height, 0, 1), 1)
    head = np.abs((xx - x0) / (width * narrowing)) ** look.roundness + np.abs((yy - y0) / height) ** look.roundness < 1
    shade = 1 - 0.35 * np.clip(np.abs((xx - x0) / width), 0, 1) ** 2 - 0.15 * np.clip((yy - y0) / height, -1, 1)
    picture[head] = np.array(look.skin)[None, :] * shade[head][:, None]
    picture[head & (yy < y0 - look.hairline * side)] = look.hair
    return np.clip(picture, 0, 255).astype(np.uint8)


def _eyes(picture: Picture, look: Look, center: tuple[float, float], pose: float) -> Picture:
    side = picture.shape[0]
    width, height = int(look.eye_width * side), max(2, int(look.eye_open * side))
    y = int(center[1] - look.eye_height * side)
    for hand in (-1, 1):
        x = int(center[0] + hand * look.eye_apart * side + pose * side * 0.016)
        socket = picture.copy()
        cv2.ellipse(
            socket, (x, y - int(height * 0.6)), (width * 3 // 2, height * 2), 0, 0, 360, _scaled(look.skin, 0.7), -1
        )
        picture = cv2.addWeighted(socket, 0.5, picture, 0.5, 0).astype(np.uint8)
        cv2.ellipse(picture, (x, y), (width, height), hand * look.eye_slant, 0, 360, (235, 235, 235), -1)
        cv2.circle(picture, (x, y), int(height * 0.9), look.iris, -1)
        cv2.circle(picture, (x, y), int(height * 0.45), (5, 5, 5), -1)
        cv2.ellipse(picture, (x, y), (width, height), 0, 180, 360, (20, 20, 20), 2)
        brow = (x, int(y - height * look.brow_height))
        weight = max(2, int(height * look.brow_weight))
        cv2.ellipse(
            picture, brow, (width * 5 // 4, int(height * 0.7)), hand * look.brow_slant, 190, 350, look.hair, weight
        )
    return picture


def _nose_and_mouth(picture: Picture, look: Look, center: tuple[float, float], pose: float) -> None:
    side = picture.shape[0]
    dark, lip = _scaled(look.skin, 0.35), _scaled(look.skin, 0.65, 0.55, 0.85)
    eye_y = int(center[1] - look.eye_height * side)
    x, y = int(center[0] + pose * side * 0.023), int(eye_y + look.nose_length * side)
    wide = look.nose_width * side
    cv2.line(picture, (int(x - wide * 0.3), eye_y), (int(x - wide * 0.5), y - 4), _scaled(look.skin, 0.78), 3)
    cv2.ellipse(picture, (x, y), (int(wide), int(wide * 0.55)), 0, 0, 180, _scaled(look.skin, 0.6), 3)
    for hand in (-1, 1):
        nostril = (int(x + hand * wide * 0.5), y + 2)
        cv2.ellipse(picture, nostril, (max(2, int(wide * 0.25)), max(2, int(wide * 0.16))), 0, 0, 360, dark, -1)
    x, y = int(center[0] + pose * side * 0.016), int(y + look.mouth_drop * side)
    wide, high = look.mouth_width * side, look.mouth_height * side
    cv2.ellipse(picture, (x, y), (int(wide), int(high * 1.6)), 0, 0, 180, lip, -1)
    cv2.ellipse(picture, (x, y), (int(wide), int(high)), 0, 180, 360, lip, -1)
    cv2.line(picture, (int(x - wide), y), (int(x + wide), y), dark, 2)
    chin = y + int(high * 3)
    cv2.line(picture, (x - 2, chin), (x + 2, chin), _scaled(look.skin, 0.75), 3)


def _beard(picture: Picture, look: Look, center: tuple[float, float]) -> Picture:
    """Hair over the lower part of the face, as thick as `beard` (0 none, 1 opaque)."""
    if not look.beard:
        return picture
    side = picture.shape[0]
    yy, xx = np.mgrid[0:side, 0:side].astype(np.float64)
    width, height = look.half_width * side, look.half_height * side
    inside = ((xx - center[0]) / (width * look.jaw)) ** 2 + ((yy - center[1]) / (height * 0.98)) ** 2 < 1
    low = inside & (yy > center[1] + height * 0.28)
    bearded = picture.astype(np.float64)
    bearded[low] = bearded[low] * (1 - look.beard) + np.array(look.hair) * look.beard
    return bearded.astype(np.uint8)


def _glasses(picture: Picture, look: Look, center: tuple[float, float], pose: float) -> None:
    if not look.glasses:
        return
    side = picture.shape[0]
    line = max(2, int(look.glasses * side))
    y = int(center[1] - look.eye_height * side)
    reach, x = int(look.eye_width * side * 1.5), center[0] + pose * side * 0.016
    lenses = [int(x + hand * look.eye_apart * side) for hand in (-1, 1)]
    for lens in lenses:
        cv2.ellipse(picture, (lens, y), (reach, int(reach * 0.8)), 0, 0, 360, (30, 25, 25), line, cv2.LINE_AA)
    cv2.line(picture, (lenses[0] + reach, y), (lenses[1] - reach, y), (30, 25, 25), line)
