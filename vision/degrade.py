"""What gates do to a picture: dark, far away, noisy, squeezed. Deterministic, for measuring only."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import cv2
import numpy as np

from vision.image import Image, bounded

DARKNESS = 0.25
SMALL_PX = 200
NOISE = 25.0
QUALITY = 45


def dark(pixels: Image) -> Image:
    """A quarter of the light, with the noise of a small sensor."""
    grain = np.random.default_rng(1).normal(0, 3, pixels.shape)
    return np.clip(pixels * DARKNESS + grain, 0, 255).astype(np.uint8)


def small(pixels: Image) -> Image:
    """At most 200 px on the longest side."""
    return bounded(pixels, SMALL_PX)[0]


def noisy(pixels: Image) -> Image:
    """Gaussian noise of 25 of 255."""
    return np.clip(pixels + np.random.default_rng(2).normal(0, NOISE, pixels.shape), 0, 255).astype(np.uint8)


def jpeg45(pixels: Image) -> Image:
    """Through a JPEG of quality 45."""
    squeezed = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1]
    return np.asarray(cv2.imdecode(squeezed, cv2.IMREAD_COLOR), dtype=np.uint8)


DEGRADATIONS: Mapping[str, Callable[[Image], Image]] = {"dark": dark, "small": small, "noisy": noisy, "jpeg45": jpeg45}
