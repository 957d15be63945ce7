import contextlib

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.vision import drawn
from vision.image import ImageError, bounded, decode, dimensions

PORTRAIT = drawn.jpeg(drawn.face(1))
SMALL_JPEG, SMALL_PNG = (pack(cv2.resize(drawn.face(1), (40, 30))) for pack in (drawn.jpeg, drawn.png))
HOSTILE = drawn.hostile()


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_bytes_are_an_image_error(name: str) -> None:
    with pytest.raises(ImageError):
        decode(HOSTILE[name])


@pytest.mark.parametrize("pack", [drawn.jpeg, drawn.png])
def test_the_header_says_what_the_decoder_finds(pack) -> None:
    data = pack(np.zeros((30, 50, 3), np.uint8))
    assert dimensions(data) == (50, 30)
    assert decode(data).shape == (30, 50, 3)


def test_a_progressive_jpeg_is_read() -> None:
    data = bytes(cv2.imencode(".jpg", drawn.face(1), [cv2.IMWRITE_JPEG_PROGRESSIVE, 1])[1])
    assert decode(data).shape == (256, 256, 3)


def test_a_grey_sixteen_bit_png_becomes_colour_bytes() -> None:
    pixels = decode(drawn.png(np.full((4, 5), 60_000, np.uint16)))
    assert (pixels.shape, pixels.dtype) == ((4, 5, 3), np.uint8)


def test_the_pixel_cap_counts_before_decoding() -> None:
    data = drawn.png(np.zeros((10, 11, 3), np.uint8))
    assert decode(data, max_pixels=110).shape == (10, 11, 3)
    with pytest.raises(ImageError, match="more than 109 pixels"):
        decode(data, max_pixels=109)


@given(st.integers(0, len(PORTRAIT) - 1))
def test_a_jpeg_cut_anywhere_is_refused(length: int) -> None:
    if PORTRAIT[:length].endswith(b"\xff\xd9"):
        return
    with pytest.raises(ImageError):
        decode(PORTRAIT[:length])


@settings(deadline=None)
@given(st.booleans(), st.data())
def test_damage_gives_pixels_or_an_image_error_and_nothing_else(as_png: bool, data: st.DataObject) -> None:
    whole = SMALL_PNG if as_png else SMALL_JPEG
    at = data.draw(st.integers(0, min(600, len(whole) - 9)))
    damaged = whole[:at] + data.draw(st.binary(min_size=1, max_size=8)) + whole[at + 8 :]
    with contextlib.suppress(ImageError):
        height, width, _ = decode(damaged, max_pixels=100_000).shape
        assert height * width <= 100_000


@given(st.binary(max_size=300))
def test_any_bytes_give_an_image_error(data: bytes) -> None:
    for start in (b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"):
        with pytest.raises(ImageError):
            decode(start + data)


def test_a_bounded_image_keeps_its_shape_and_is_never_enlarged() -> None:
    small, scale = bounded(np.zeros((1000, 500, 3), np.uint8), 800)
    assert (small.shape, scale) == ((800, 400, 3), 0.8)
    assert bounded(small, 800) == (small, 1.0)
