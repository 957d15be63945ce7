"""From hostile bytes to pixels. The header is read by our own few lines before any decoder allocates for it.

A cap on bytes alone is no protection: a PNG of a few kilobytes can claim, and inflate to, gigabytes.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

cv2.utils.logging.setLogLevel(
    cv2.utils.logging.LOG_LEVEL_ERROR
)  # errors only: a damaged image is an answer, not a line in our log

Image = NDArray[np.uint8]
"""BGR, uint8[height, width, 3]."""

MAX_BYTES = 8 * 1024 * 1024
MAX_PIXELS = 25_000_000

_PNG = b"\x89PNG\r\n\x1a\n"
_JPEG = b"\xff\xd8\xff"
_END_OF_JPEG = b"\xff\xd9"
_START_OF_SCAN = 0xDA
_BARE_MARKERS = {0x01, *range(0xD0, 0xD8)}
"""Markers without a length: TEM, RST0..7."""
_FRAME_MARKERS = set(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
"""SOF0..15: C4 is a table, C8 reserved, CC arithmetic conditioning (ITU-T T.81, table B.1)."""


class ImageError(Exception):
    """The bytes are not an image we accept; the message says why and quotes nothing from them."""


def _png_size(data: bytes) -> tuple[int, int]:
    if len(data) < 24 or data[12:16] != b"IHDR":
        raise ImageError("PNG without a header")
    return int.from_bytes(data[16:20]), int.from_bytes(data[20:24])


def _jpeg_size(data: bytes) -> tuple[int, int]:
    """Walks the segments up to the first scan. A file cut short has no end marker after that point: inside a scan 0xFF
    is always stuffed, so the end marker cannot occur by chance.
    """
    size: tuple[int, int] | None = None
    at = 2
    while at + 4 <= len(data):
        if data[at] != 0xFF:
            raise ImageError("JPEG with a broken header")
        marker = data[at + 1]
        if marker == 0xFF or marker in _BARE_MARKERS:
            at += 1 if marker == 0xFF else 2
            continue
        if marker in _FRAME_MARKERS and at + 9 <= len(data):
            size = int.from_bytes(data[at + 7 : at + 9]), int.from_bytes(data[at + 5 : at + 7])
        if marker == _START_OF_SCAN:
            if size is None:
                raise ImageError("JPEG without dimensions")
            if data.find(_END_OF_JPEG, at) < 0:
                raise ImageError("JPEG cut short")
            return size
        at += 2 + max(2, int.from_bytes(data[at + 2 : at + 4]))
    raise ImageError("JPEG cut short")


def dimensions(data: bytes) -> tuple[int, int]:
    """Width and height in pixels that the header claims. Raises ImageError when it is neither JPEG nor PNG."""
    if data.startswith(_PNG):
        return _png_size(data)
    if data.startswith(_JPEG):
        return _jpeg_size(data)
    raise ImageError("neither JPEG nor PNG" if data else "empty")


def decode(data: bytes, max_bytes: int = MAX_BYTES, max_pixels: int = MAX_PIXELS) -> Image:
    """JPEG or PNG as BGR pixels, turned upright by its EXIF orientation. Raises ImageError."""
    if len(data) > max_bytes:
        raise ImageError(f"more than {max_bytes} bytes")
    width, height = dimensions(data)
    if not width or not height:
        raise ImageError("no pixels")
    if width * height > max_pixels:
        raise ImageError(f"more than {max_pixels} pixels")
    try:
        pixels = cv2.imdecode(np.frombuffer(data, dtype=np.uint8), cv2.IMREAD_COLOR)
    except cv2.error as error:
        raise ImageError("damaged image") from error
    if pixels is None:
        raise ImageError("damaged image")
    return np.ascontiguousarray(pixels, dtype=np.uint8)


def bounded(pixels: Image, longest: int) -> tuple[Image, float]:
    """The image with its longest side at most `longest` px, and the scale: small = original * scale, at most 1."""
    scale = longest / max(pixels.shape[:2])
    if scale >= 1:
        return pixels, 1.0
    return scaled(pixels, scale), scale


def scaled(pixels: Image, scale: float) -> Image:
    """The image scaled by a factor, at least one pixel a side."""
    height, width = pixels.shape[:2]
    size = max(1, round(width * scale)), max(1, round(height * scale))
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(pixels, size, interpolation=how), dtype=np.uint8)
