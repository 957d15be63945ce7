"""Measures of one grey picture against another of the same view. Pure: arrays in, numbers out, no state and no clock.

Everything is measured on a small picture (`WORKING_SIDE`) and on structure, not on brightness: dusk, lamps and clouds
change how bright a wall is, seldom where its edges are. Pictures are float32[height, width], 0..255.
"""

from __future__ import annotations

import cv2
import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

Grey = NDArray[np.uint8]
Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]

WORKING_SIDE = 192
"""Longest side of the picture that is measured, px."""
BLOCK = 12
"""Side of the blocks that texture and change are counted in, px."""
TEXTURE = 4.0
"""Standard deviation of the grey values of a block that has something on it."""
_NOISE = 6.0
"""Contrast below this, in grey values, is not amplified."""


class Shift(Struct, frozen=True):
    """How far the view moved, as a fraction of the longest side, and how well it fits then (correlation)."""

    distance: float
    fit: float


def small(grey: Grey) -> Grey:
    """The picture at working size, at least a block a side."""
    scale = min(1.0, WORKING_SIDE / max(grey.shape))
    height, width = (max(BLOCK, round(side * scale)) for side in grey.shape)
    if (height, width) == grey.shape:
        return grey
    return np.asarray(cv2.resize(grey, (width, height), interpolation=cv2.INTER_AREA), dtype=np.uint8)


def structure(picture: Floats) -> Floats:
    """The picture with light and contrast evened out: about 0 in the mean and 1 in deviation everywhere."""
    soft = cv2.GaussianBlur(picture, (0, 0), 1.0)
    mean = cv2.GaussianBlur(soft, (0, 0), 8.0)
    spread = np.sqrt(np.maximum(0, cv2.GaussianBlur((soft - mean) ** 2, (0, 0), 8.0)))
    return np.asarray((soft - mean) / (spread + _NOISE), dtype=np.float32)


def blocks(picture: Floats) -> Floats:
    """float32[rows, columns, BLOCK * BLOCK]: the picture cut up; what is left at the right and below is dropped."""
    rows, columns = (side // BLOCK for side in picture.shape)
    cut = picture[: rows * BLOCK, : columns * BLOCK].reshape(rows, BLOCK, columns, BLOCK)
    return np.asarray(cut.transpose(0, 2, 1, 3).reshape(rows, columns, BLOCK * BLOCK), dtype=np.float32)


def textured(picture: Floats) -> Mask:
    """Per block: is there anything on it?"""
    return np.asarray(blocks(cv2.GaussianBlur(picture, (0, 0), 1.0)).std(axis=2) >= TEXTURE, dtype=np.bool_)


def correlation(a: Floats, b: Floats) -> float:
    """-1..1; 0 where one of them is flat."""
    x, y = a - a.mean(), b - b.mean()
    norm = float(np.sqrt((x * x).sum() * (y * y).sum()))
    return float((x * y).sum()) / norm if norm > 1e-6 else 0.0


def coarse(picture: Floats) -> Floats:
    """What is left of the picture when it is badly out of focus."""
    return np.asarray(cv2.GaussianBlur(picture, (0, 0), 4.0), dtype=np.float32)


def detail(picture: Floats) -> float:
    """Fine detail relative to the contrast of the whole: falls when the picture gets out of focus, not at dusk."""
    soft = cv2.GaussianBlur(picture, (0, 0), 0.8)
    return float(np.abs(cv2.Laplacian(soft, cv2.CV_32F)).mean() / (coarse(picture).std() + 1.0))


def moved(before: Floats, now: Floats) -> Shift:
    """The shift between two structures that fits best (phase correlation; Kuglin and Hines 1975)."""
    height, width = before.shape
    window = cv2.createHanningWindow((width, height), cv2.CV_32F)
    # Copies: OpenCV multiplies its inputs by the window in place.
    (x, y), _ = cv2.phaseCorrelate(before.copy(), now.copy(), window)
    dx, dy = round(x), round(y)
    if abs(dx) > width // 2 or abs(dy) > height // 2:
        return Shift(0.0, 0.0)
    ours = before[max(0, -dy) : height - max(0, dy), max(0, -dx) : width - max(0, dx)]
    theirs = now[max(0, dy) : height + min(0, dy), max(0, dx) : width + min(0, dx)]
    return Shift(float(np.hypot(x, y)) / max(height, width), correlation(ours, theirs))


def changed(before: Floats, now: Floats, busy: Mask) -> Mask:
    """Per block: does it show something else? From two structures; `busy`: blocks with texture in either picture."""
    a, b = blocks(before), blocks(now)
    a, b = a - a.mean(axis=2, keepdims=True), b - b.mean(axis=2, keepdims=True)
    alike = (a * b).sum(axis=2) / np.sqrt((a * a).sum(axis=2) * (b * b).sum(axis=2) + 1e-6)
    return np.asarray((alike < 0.4) & busy, dtype=np.bool_)


def zone_blocks(corners: tuple[tuple[float, float], ...], shape: tuple[int, int]) -> Mask:
    """The blocks of a zone: those at least half inside. `corners`: of a polygon, x and y as fractions of the picture;
    `shape`: height and width at working size.
    """
    height, width = shape
    mask = np.zeros((height, width), dtype=np.uint8)
    points = np.array([[round(x * width), round(y * height)] for x, y in corners], dtype=np.int32)
    cv2.fillPoly(mask, [points], 1)
    return np.asarray(blocks(mask.astype(np.float32)).mean(axis=2) >= 0.5, dtype=np.bool_)
