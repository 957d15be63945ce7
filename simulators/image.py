"""What both kinds of drawing share: the picture type, noise and JPEG."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]
"""Height x width x 3, BGR, 0-255."""


def noisy(picture: Picture, rng: np.random.Generator, *, light: float, sigma: float) -> Picture:
    """The picture under `light` (1 is as drawn) with Gaussian sensor noise of `sigma` grey levels."""
    bright = picture.astype(np.float32) * light + rng.normal(0, sigma, picture.shape)
    return np.clip(bright, 0, 255).astype(np.uint8)


def encode_jpeg(picture: Picture, quality: int = 88) -> bytes:
    """The picture as JPEG."""
    ok, data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not ok:
        raise ValueError(f"cannot encode a picture of shape {picture.shape}")
    return data.tobytes()
