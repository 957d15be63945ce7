"""Faces and plates drawn from a seed: nobody's, good enough for the detectors, different enough to be told apart."""

from __future__ import annotations

import random
from dataclasses import dataclass

import cv2
import numpy as np

SIDE = 256
Colour = tuple[int, int, int]


@dataclass(frozen=True)
class Look:
    """What makes a drawn person: proportions as fractions of the half width or half height of the head."""

    skin: Colour
    hair: Colour
    iris: Colour
    half_width: float
    half_height: float
    squareness: float
    jaw: float
    hairline: float
    eye_distance: float
    eye_height: float
    eye_width: float
    eye_open: float
    brow: float
    nose_length: float
    nose_width: float
    mouth_below: float
    mouth_width: float
    lip: float


def person(seed: int) -> Look:
    draw = random.Random(seed)
    u = draw.uniform
    return Look(
        skin=(draw.randint(60, 150), draw.randint(100, 180), draw.randint(150, 235)),
        hair=(draw.randint(5, 50), draw.randint(5, 60), draw.randint(10, 80)),
        iris=(draw.randint(10, 90), draw.randint(20, 70), draw.randint(20, 60)),
        half_width=u(0.26, 0.34) * SIDE,
        half_height=u(0.36, 0.44) * SIDE,
        squareness=u(1.9, 2.6),
        jaw=u(0.75, 1.0),
        hairline=u(0.55, 0.72),
        eye_distance=u(0.38, 0.48),
        eye_height=u(0.08, 0.2),
        eye_width=u(0.17, 0.25),
        eye_open=u(0.4, 0.6),
        brow=u(2.0, 2.8),
        nose_length=u(0.3, 0.42),
        nose_width=u(0.14, 0.24),
        mouth_below=u(0.2, 0.28),
        mouth_width=u(0.34, 0.5),
        lip=u(0.03, 0.07),
    )


def _tint(colour: Colour, by: float) -> Colour:
    b, g, r = (min(255, int(c * by)) for c in colour)
    return b, g, r


def _head(look: Look, cx: float, cy: float) -> np.ndarray:
    """Background, hair and a head that is darker towards its edges."""
    y, x = np.mgrid[0:SIDE, 0:SIDE].astype(float)
    canvas = np.full((SIDE, SIDE, 3), (205.0, 200.0, 190.0))
    across, down = (x - cx) / look.half_width, (y - cy) / look.half_height
    canvas[(across / 1.13) ** 2 + ((down + 0.12) / 1.08) ** 2 < 1] = look.hair
    narrowing = 1 - (1 - look.jaw) * np.clip(down, 0, 1)
    head = np.abs(across / narrowing) ** look.squareness + np.abs(down) ** look.squareness < 1
    shade = 1 - 0.35 * np.clip(np.abs(across), 0, 1) ** 2 - 0.15 * np.clip(down, -1, 1)
    canvas[head] = np.array(look.skin) * shade[head][:, None]
    canvas[head & (down < -look.hairline)] = look.hair
    return np.clip(canvas, 0, 255).astype(np.uint8)


def _eye(canvas: np.ndarray, look: Look, at: tuple[int, int], side: int) -> None:
    width = int(look.half_width * look.eye_width)
    height = max(3, int(width * look.eye_open))
    socket = canvas.copy()
    cv2.ellipse(
        socket, (at[0], at[1] - height // 2), (width * 3 // 2, height * 2), 0, 0, 360, _tint(look.skin, 0.7), -1
    )
    cv2.addWeighted(socket, 0.5, canvas, 0.5, 0, dst=canvas)
    cv2.ellipse(canvas, at, (width, height), 0, 0, 360, (235, 235, 235), -1)
    cv2.circle(canvas, at, int(height * 0.9), look.iris, -1)
    cv2.circle(canvas, at, max(1, int(height * 0.45)), (5, 5, 5), -1)
    cv2.ellipse(canvas, at, (width, height), 0, 180, 360, (20, 20, 20), 2)
    brow = at[0], int(at[1] - height * look.brow)
    cv2.ellipse(canvas, brow, (int(width * 1.25), int(height * 0.7)), side * 5, 190, 350, look.hair, 4)


def _nose_and_mouth(canvas: np.ndarray, look: Look, cx: int, eyes: int, turn: float) -> None:
    x = int(cx + turn * 6)
    y = int(eyes + look.half_height * look.nose_length)
    half = int(look.half_width * look.nose_width)
    cv2.line(canvas, (x - half // 3, eyes), (x - half // 2, y - 4), _tint(look.skin, 0.78), 3)
    cv2.ellipse(canvas, (x, y), (half, int(half * 0.55)), 0, 0, 180, _tint(look.skin, 0.6), 3)
    for side in (-1, 1):
        cv2.ellipse(canvas, (x + side * half // 2, y + 2), (3, 2), 0, 0, 360, _tint(look.skin, 0.35), -1)
    mouth = int(cx + turn * 4), int(y + look.half_height * look.mouth_below)
    wide, thick = int(look.half_width * look.mouth_width), max(2, int(look.half_height * look.lip))
    b, g, r = look.skin
    lips = int(b * 0.65), int(g * 0.55), int(r * 0.85)
    cv2.ellipse(canvas, mouth, (wide, int(thick * 1.6)), 0, 0, 180, lips, -1)
    cv2.ellipse(canvas, mouth, (wide, thick), 0, 180, 360, lips, -1)
    cv2.line(canvas, (mouth[0] - wide, mouth[1]), (mouth[0] + wide, mouth[1]), _tint(look.skin, 0.35), 2)


def face(seed: int, *, turn: float = 0.0, light: float = 1.0) -> np.ndarray:
    """A person's portrait, BGR uint8[256, 256, 3]. `turn`: -1..1, a little to the side; `light`: factor."""
    look = person(seed)
    cx, cy = SIDE * 0.5 + turn * 8, SIDE * 0.52
    canvas = _head(look, cx, cy)
    eyes = int(cy - look.half_height * look.eye_height)
    for side in (-1, 1):
        _eye(canvas, look, (int(cx + side * look.half_width * look.eye_distance + turn * 4), eyes), side)
    _nose_and_mouth(canvas, look, int(cx), eyes, turn)
    noise = np.random.default_rng([seed, int((turn + 2) * 10)]).normal(0, 5, canvas.shape)
    lit = cv2.GaussianBlur(canvas, (5, 5), 1.4) * light + noise * min(1.0, light)
    return np.clip(lit, 0, 255).astype(np.uint8)


def letters_plate(text: str) -> np.ndarray:
    """A car's front with a blue plate of Latin letters and digits, which is no Chinese plate."""
    scene = np.full((480, 640, 3), (90, 90, 95), np.uint8)
    cv2.rectangle(scene, (120, 120), (520, 420), (60, 60, 160), -1)
    cv2.rectangle(scene, (220, 300), (420, 364), (160, 70, 20), -1)
    cv2.rectangle(scene, (224, 304), (416, 360), (245, 245, 245), 2)
    cv2.putText(scene, text, (232, 348), cv2.FONT_HERSHEY_SIMPLEX, 1.25, (250, 250, 250), 3, cv2.LINE_AA)
    return scene


def jpeg(pixels: np.ndarray) -> bytes:
    return bytes(cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, 92])[1])


def png(pixels: np.ndarray) -> bytes:
    return bytes(cv2.imencode(".png", pixels)[1])


def hostile() -> dict[str, bytes]:
    """Bytes that claim, pretend or lie; none is an image to be looked at."""
    portrait = jpeg(face(1))
    huge = bytearray(png(np.zeros((8, 8, 3), np.uint8)))
    huge[16:24] = (60_000).to_bytes(4) * 2
    liar = bytearray(portrait)
    frame = liar.index(b"\xff\xc0")
    liar[frame + 5 : frame + 9] = b"\xff\xff\xff\xff"
    return {
        "nothing": b"",
        "random": random.Random(7).randbytes(5000),
        "jpeg_cut_short": portrait[: len(portrait) // 2],
        "jpeg_of_its_first_bytes": portrait[:3],
        "jpeg_that_claims_4_gigapixels": bytes(liar),
        "jpeg_with_a_random_scan": portrait[:20] + random.Random(8).randbytes(3000) + b"\xff\xd9",
        "png_that_claims_3600_megapixels": bytes(huge),
        "png_cut_short": png(face(1))[:4000],
        "png_without_a_header": b"\x89PNG\r\n\x1a\n",
        "gif": b"GIF89a\x01\x00\x01\x00\x80\x00\x00"
        + bytes(3)
        + b"\xff\xff\xff,\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00;",
        "ten_megabytes": portrait + bytes(10 * 1024 * 1024),
    }
