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


def alive(image: bytes, frame: int) -> bytes:
    """A JPEG of what `image` shows as the next frame of a camera would have it: moved by up to 8 percent, turned by up
    to two degrees, with noise of its own. `frame` tells frames apart.

    :raises ValueError: it is no image.
    """
    rng = np.random.default_rng(frame)
    picture = cv2.imdecode(np.frombuffer(image, np.uint8), cv2.IMREAD_COLOR)
    if picture is None:
        raise ValueError("not an image")
    height, width = picture.shape[:2]
    across, down = rng.uniform(-0.08, 0.08, 2)
    move = cv2.getRotationMatrix2D((width / 2, height / 2), rng.uniform(-2, 2), rng.uniform(0.97, 1.03))
    move[:, 2] += (across * width, down * height)
    moved = cv2.warpAffine(picture, move, (width, height), borderMode=cv2.BORDER_REPLICATE)
    return encode_jpeg(noisy(np.asarray(moved, dtype=np.uint8), rng, light=float(rng.uniform(0.95, 1.05)), sigma=3.0))
