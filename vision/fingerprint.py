"""Is this the same photograph again? A perceptual hash of the whole picture, for telling a replay from a live frame.

pHash (the signs of the low frequencies of a discrete cosine transform, http://hackerfactor.com, "Looks Like It"), with
16 x 16 frequencies instead of 8 x 8: 64 bits do not tell a photograph compressed again (0 to 2 bits) from a person who
moved by half a percent of the picture (from 0 bits); of 256 bits the first changes 0 to 4, the second 8 and more
(tests/vision/test_fingerprint.py measures it). The picture and not the face is hashed: where somebody stands is what
never repeats.
"""

from __future__ import annotations

import cv2
import numpy as np

from vision.image import Image

SIDE = 16
"""Frequencies kept in each direction."""
SAMPLED_PX = SIDE * 4


def fingerprint(pixels: Image) -> bytes:
    """256 bits of a picture, BGR uint8[height, width, 3]."""
    grey = cv2.resize(cv2.cvtColor(pixels, cv2.COLOR_BGR2GRAY), (SAMPLED_PX, SAMPLED_PX), interpolation=cv2.INTER_AREA)
    low = np.asarray(cv2.dct(grey.astype(np.float32)))[:SIDE, :SIDE].ravel()
    return np.packbits(low > np.median(low[1:])).tobytes()  # the first is the brightness, which says nothing
