"""Draws a yard between two houses as a camera on a pole sees it, by day and night, in rain, with what may go wrong.

Everything follows from the seed, the number of the frame and the weather: the same call gives the same JPEG. A sensor's
noise is another in every frame, so that only a camera that hangs sends the same picture twice.
"""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from simulators.image import encode_jpeg

WIDTH, HEIGHT = 320, 180
"""Of the picture, px."""
LANE = ((0.52, 0.62), (0.98, 0.62), (0.98, 0.98), (0.52, 0.98))
"""The fire lane, as corners in fractions of the picture: what a zone of the camera is set to."""
_MARGIN = 96
"""So much more of the yard is there on each side, for a camera that is turned."""
_HORIZON = _MARGIN + 84
_LANE_TOP, _LANE_RIGHT = _MARGIN + round(0.62 * HEIGHT), _MARGIN + WIDTH

Floats = NDArray[np.float32]


class View(Struct, frozen=True, kw_only=True):
    """What is before the camera. `night`, `rain`: 0..1; `headlights`: where a car's lights shine, 0..1 from the left,
    None: none; `shed`: how high one stands in the fire lane, 0..1; `turned`: by so many pixels to the right; `blurred`:
    sigma, px; `covered`: by a hand or a bag.
    """

    night: float = 0.0
    rain: float = 0.0
    headlights: float | None = None
    shed: float = 0.0
    turned: int = 0
    blurred: float = 0.0
    covered: bool = False


def draw_scene(number: int, view: View | None = None, *, seed: int = 1) -> bytes:
    """A JPEG (320 x 180) of frame `number` of the camera `seed`."""
    view = view or View()
    rng = np.random.default_rng([seed, number])
    scene = _covered(rng) if view.covered else _open(view, seed, rng)
    noise = 2.5 + 3.5 * view.night
    return encode_jpeg(np.clip(scene + rng.normal(0, noise, scene.shape), 0, 255).astype(np.uint8))


def _open(view: View, seed: int, rng: np.random.Generator) -> Floats:
    scene = _yard(seed).copy()
    if view.shed:
        _build(scene, view.shed)
    scene = _lit(scene, view.night, seed)
    if view.headlights is not None:
        scene = _beams(scene, view.headlights)
    left = _MARGIN + view.turned
    scene = np.ascontiguousarray(scene[_MARGIN : _MARGIN + HEIGHT, left : left + WIDTH])
    if view.rain:
        scene = _rained_on(scene, view.rain, rng)
    return cv2.GaussianBlur(scene, (0, 0), view.blurred) if view.blurred else scene


def _covered(rng: np.random.Generator) -> Floats:
    """Cloth before the lens: nearly plain, a little light at one side."""
    slope = np.linspace(0, 18, WIDTH, dtype=np.float32)[None, :, None]
    return np.full((HEIGHT, WIDTH, 3), rng.uniform(52, 56), np.float32) + slope


@lru_cache(maxsize=8)
def _yard(seed: int) -> Floats:
    """Houses with windows and doors, trees, a paved yard, and the lane, by day: float32[height, width, 3], BGR."""
    rng = np.random.default_rng(seed)
    height, width = HEIGHT + 2 * _MARGIN, WIDTH + 2 * _MARGIN
    scene = np.empty((height, width, 3), np.float32)
    scene[:_HORIZON] = np.linspace((215, 190, 165), (230, 220, 210), _HORIZON)[:, None]
    scene[_HORIZON:] = (118, 122, 124)
    for left in range(-10, width, 86):
        top, shade = int(rng.integers(_MARGIN - 60, _MARGIN + 14)), rng.uniform(95, 185)
        cv2.rectangle(scene, (left, top), (left + 74, _HORIZON + 6), (shade * 0.86, shade * 0.93, shade), -1)
        for x, y, lit in _windows(left, top, rng):
            cv2.rectangle(scene, (x, y), (x + 8, y + 9), (62, 55, 48) if lit < 0.7 else (96, 84, 70), -1)
        cv2.rectangle(scene, (left + 32, _HORIZON - 14), (left + 43, _HORIZON + 6), (40, 46, 58), -1)
    for y in range(_HORIZON + 8, height, 11):
        cv2.line(scene, (0, y), (width, y), (96, 99, 101), 1)
    for x in range(-150, width + 150, 24):
        cv2.line(scene, (x - 40, height), (x + 30, _HORIZON + 6), (100, 103, 105), 1)
    for _ in range(260):
        at = int(rng.integers(_MARGIN - 40, _MARGIN + 46)), int(rng.integers(_HORIZON - 46, _HORIZON + 18))
        green = rng.uniform(50, 130)
        cv2.circle(scene, at, int(rng.integers(2, 6)), (green * 0.5, green, green * 0.6), -1)
    cv2.line(scene, (_LANE_RIGHT - 160, height), (_LANE_RIGHT - 140, _LANE_TOP), (60, 190, 220), 3)
    return np.asarray(cv2.GaussianBlur(scene, (0, 0), 0.6), dtype=np.float32)


def _windows(left: int, top: int, rng: np.random.Generator) -> list[tuple[int, int, float]]:
    """Corners, and a number each: those above 0.7 have light behind them at night."""
    return [
        (x, y, float(rng.uniform())) for x in range(left + 6, left + 62, 14) for y in range(top + 6, _HORIZON - 20, 17)
    ]


def _build(scene: Floats, grown: float) -> None:
    """A shed of sheet metal in the fire lane, so far grown."""
    right, bottom = _LANE_RIGHT - 8, _MARGIN + HEIGHT - 6
    left, top = right - 118, bottom - round(62 * grown)
    cv2.rectangle(scene, (left, top), (right, bottom), (168, 132, 92), -1)
    for x in range(left + 4, right, 8):
        cv2.line(scene, (x, top), (x, bottom), (82, 64, 44), 2)


def _lit(scene: Floats, night: float, seed: int) -> Floats:
    """The sun goes, lamps and windows come."""
    if not night:
        return scene
    lit = scene * (1 - 0.86 * night) + _lamplight(seed) * (0.25 + scene / 255) * night
    return np.asarray(lit, dtype=np.float32)


@lru_cache(maxsize=8)
def _lamplight(seed: int) -> Floats:
    """What two street lamps and the lit windows give."""
    rng = np.random.default_rng([seed, 7])
    glow = np.zeros((HEIGHT + 2 * _MARGIN, WIDTH + 2 * _MARGIN, 3), np.float32)
    for x in (_MARGIN + 70, _MARGIN + 250):
        cv2.circle(glow, (x, _HORIZON + 40), 56, (70, 105, 125), -1)
    glow = np.asarray(cv2.GaussianBlur(glow, (0, 0), 34), dtype=np.float32) + 14
    for _ in range(14):
        x, y = int(rng.integers(_MARGIN, _MARGIN + WIDTH)), int(rng.integers(_MARGIN, _HORIZON - 24))
        cv2.rectangle(glow, (x, y), (x + 8, y + 9), (110, 190, 230), -1)
    return glow


def _beams(scene: Floats, place: float) -> Floats:
    """A car turns in: two cones on the ground, and glare."""
    light = np.zeros_like(scene)
    x, y = _MARGIN + round(place * WIDTH), _HORIZON + 34
    for side in (-9, 9):
        cone = np.array([[x + side, y], [x + side * 9, y + 74], [x + side * 9 + 60, y + 74]], np.int32)
        cv2.fillPoly(light, [cone], (150, 165, 170))
        cv2.circle(light, (x + side, y), 7, (420, 430, 430), -1)
    return scene + np.asarray(cv2.GaussianBlur(light, (0, 0), 6), dtype=np.float32)


def _rained_on(scene: Floats, rain: float, rng: np.random.Generator) -> Floats:
    """Less contrast, and streaks that are elsewhere in every frame."""
    scene = scene * (1 - 0.25 * rain) + 26 * rain
    for x, y, length in rng.integers((0, -20, 7), (WIDTH, HEIGHT, 24), (round(150 * rain), 3)).tolist():
        cv2.line(scene, (x, y), (x + 3, y + length), (205, 205, 205), 1)
    return scene
