"""Draws cars with Chinese blue plates in a street-like scene, as a lane camera sees them.

The province character is drawn from strokes kept here, so no CJK font is needed: the provinces are 川 京 吉 甘. Letters
and digits come from the font inside Pillow. Everything follows from the seed: the same call gives the same JPEG.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from simulators.image import Picture, encode_jpeg, noisy

PLATE_WIDTH, PLATE_HEIGHT = 440, 140
"""Pixels of the flat plate: one per millimetre of the real one (GA 36)."""

_GLYPH = (45, 90)
_SCENE = (540, 960)
_WHITE = (245, 245, 245)
_BLUE = (165, 75, 15)

Stroke = tuple[tuple[float, float], ...]

STROKES: dict[str, tuple[Stroke, ...]] = {
    "川": (
        ((0.16, 0.06), (0.16, 0.55), (0.12, 0.78), (0.02, 0.97)),
        ((0.50, 0.12), (0.50, 0.88)),
        ((0.86, 0.05), (0.86, 0.97)),
    ),
    "京": (
        ((0.50, 0.02), (0.50, 0.17)),
        ((0.04, 0.18), (0.96, 0.18)),
        ((0.24, 0.33), (0.24, 0.56), (0.78, 0.56), (0.78, 0.33), (0.24, 0.33)),
        ((0.51, 0.56), (0.51, 0.94), (0.38, 0.90)),
        ((0.28, 0.67), (0.08, 0.90)),
        ((0.74, 0.67), (0.94, 0.90)),
    ),
    "吉": (
        ((0.06, 0.18), (0.94, 0.18)),
        ((0.50, 0.02), (0.50, 0.40)),
        ((0.16, 0.41), (0.84, 0.41)),
        ((0.20, 0.58), (0.20, 0.93), (0.80, 0.93), (0.80, 0.58), (0.20, 0.58)),
    ),
    "甘": (
        ((0.03, 0.25), (0.97, 0.25)),
        ((0.25, 0.04), (0.25, 0.94)),
        ((0.75, 0.04), (0.75, 0.94)),
        ((0.25, 0.57), (0.75, 0.57)),
        ((0.25, 0.92), (0.75, 0.92)),
    ),
}
"""Province characters as strokes in a unit square, x to the right, y down."""


def draw_car(plate: str, *, seed: int, night: bool = False) -> bytes:
    """A JPEG (960 x 540) of a car that shows `plate`, such as 川A12345.

    :raises ValueError: the plate has no drawable province or is not seven characters long.
    """
    if len(plate) != 7 or plate[0] not in STROKES:
        raise ValueError(f"can draw seven characters beginning with one of {''.join(STROKES)}, not {plate!r}")
    rng = np.random.default_rng(seed)
    scene = _street(rng)
    left, right, bottom = _car(scene, rng)
    _mount(scene, _flat_plate(plate), (left + right) / 2, bottom, rng)
    light = rng.uniform(0.55, 0.7) if night else rng.uniform(0.85, 1.1)
    return encode_jpeg(noisy(cv2.GaussianBlur(scene, (3, 3), 0.6), rng, light=light, sigma=3.0))


def _flat_plate(plate: str) -> Picture:
    """The plate seen from straight ahead, 140 x 440, BGR."""
    flat = np.full((PLATE_HEIGHT, PLATE_WIDTH, 3), _BLUE, np.uint8)
    cv2.rectangle(flat, (5, 5), (PLATE_WIDTH - 6, PLATE_HEIGHT - 6), _WHITE, 3)
    lefts = [15.5, 72.5] + [151.5 + 57 * i for i in range(5)]
    for left, character in zip(lefts, plate, strict=True):
        mask = _province(character) if character in STROKES else _latin(character)
        x = round(left)
        flat[25 : 25 + _GLYPH[1], x : x + _GLYPH[0]][mask > 127] = _WHITE
    cv2.circle(flat, (135, 70), 6, _WHITE, -1, cv2.LINE_AA)
    return flat


def _province(character: str) -> NDArray[np.uint8]:
    mask = np.zeros((_GLYPH[1], _GLYPH[0]), np.uint8)
    scale = np.array([_GLYPH[0] - 9, _GLYPH[1] - 9])
    for stroke in STROKES[character]:
        points = (np.array(stroke) * scale + 4).round().astype(np.int32)
        cv2.polylines(mask, [points.reshape(-1, 1, 2)], False, 255, 7, cv2.LINE_AA)
    return mask


def _latin(character: str) -> NDArray[np.uint8]:
    font = ImageFont.load_default(110)
    canvas = Image.new("L", (160, 180), 0)
    ImageDraw.Draw(canvas).text((40, 20), character, fill=255, font=font, stroke_width=2)
    box = canvas.getbbox()
    if box is None:
        raise ValueError(f"the font has no {character!r}")
    glyph = np.asarray(canvas.crop(box))
    width = 22 if character in "1I" else _GLYPH[0]
    fitted = cv2.resize(glyph, (width, _GLYPH[1]), interpolation=cv2.INTER_AREA)
    side = _GLYPH[0] - width
    return np.pad(fitted, ((0, 0), (side // 2, side - side // 2))).astype(np.uint8)


def _street(rng: np.random.Generator) -> Picture:
    """Sky, a row of houses, asphalt with a lane line."""
    height, width = _SCENE
    scene = np.zeros((height, width, 3), np.uint8)
    scene[: height // 2] = (rng.integers(170, 230), rng.integers(170, 215), rng.integers(160, 210))
    scene[height // 2 :] = rng.integers(75, 115)
    for x in range(0, width, 160):
        tone = int(rng.integers(90, 170))
        cv2.rectangle(scene, (x, int(rng.integers(20, 110))), (x + 150, height // 2), (tone, tone, tone + 12), -1)
        for y in range(130, height // 2 - 20, 48):
            for w in range(x + 16, x + 130, 44):
                cv2.rectangle(scene, (w, y), (w + 22, y + 28), (80, 70, 60), -1)
    cv2.line(scene, (width - 120, height), (width // 2 + 90, height // 2), (215, 215, 215), 6)
    return scene


def _car(scene: Picture, rng: np.random.Generator) -> tuple[int, int, int]:
    """Draws a car's front; gives its left and right edge and the height where the plate hangs."""
    height, width = _SCENE
    center = int(width / 2 + rng.integers(-120, 60))
    half = int(rng.integers(190, 230))
    left, right, top, bottom = center - half, center + half, height // 2 - 60, height - 50
    paint = tuple(int(v) for v in rng.integers(25, 190, 3))
    dark = tuple(int(v * 0.6) for v in paint)
    cv2.ellipse(scene, (center, bottom + 8), (half + 20, 24), 0, 0, 360, (45, 45, 45), -1)
    roof = np.array([(left + 60, top - 90), (right - 60, top - 90), (right - 8, top + 30), (left + 8, top + 30)])
    cv2.fillPoly(scene, [roof.astype(np.int32)], paint, cv2.LINE_AA)
    glass = np.array([(left + 74, top - 76), (right - 74, top - 76), (right - 32, top + 14), (left + 32, top + 14)])
    cv2.fillPoly(scene, [glass.astype(np.int32)], (70, 60, 52), cv2.LINE_AA)
    cv2.rectangle(scene, (left, top + 30), (right, bottom - 22), paint, -1)
    cv2.rectangle(scene, (left + 90, top + 76), (right - 90, top + 122), (35, 35, 35), -1)
    for y in range(top + 84, top + 120, 12):
        cv2.line(scene, (left + 94, y), (right - 94, y), (120, 120, 120), 2)
    for x in (left + 48, right - 48):
        cv2.ellipse(scene, (x, top + 98), (34, 20), 0, 0, 360, (235, 238, 240), -1, cv2.LINE_AA)
        cv2.rectangle(scene, (x - 32, bottom - 30), (x + 32, bottom + 6), (25, 25, 25), -1)
    cv2.rectangle(scene, (left, bottom - 92), (right, bottom - 24), dark, -1)
    return left, right, bottom - 58


def _mount(scene: Picture, flat: Picture, x: float, y: float, rng: np.random.Generator) -> None:
    """Warps the flat plate onto the bumper, a little turned and tilted."""
    width = float(rng.uniform(165, 205))
    height = width * PLATE_HEIGHT / PLATE_WIDTH
    turn, tilt = rng.uniform(-0.05, 0.05), rng.uniform(-0.06, 0.06)
    half, rise = width / 2, height / 2
    corners = [
        (x - half, y - rise * (1 + turn) - half * tilt),
        (x + half, y - rise * (1 - turn) + half * tilt),
        (x + half, y + rise * (1 - turn) + half * tilt),
        (x - half, y + rise * (1 + turn) - half * tilt),
    ]
    source = np.array([(0, 0), (PLATE_WIDTH, 0), (PLATE_WIDTH, PLATE_HEIGHT), (0, PLATE_HEIGHT)], np.float32)
    matrix = cv2.getPerspectiveTransform(source, np.array(corners, np.float32))
    size = (scene.shape[1], scene.shape[0])
    warped = cv2.warpPerspective(flat, matrix, size, flags=cv2.INTER_AREA)
    mask = cv2.warpPerspective(np.full(flat.shape[:2], 255, np.uint8), matrix, size)
    scene[mask > 127] = warped[mask > 127]
