"""Finds number plates and reads them.

    pixels -> looks at 640, then 1280, then 320 px -> corners -> flattened line, or two rows side by side
           -> probabilities per step -> what the reader says / the likeliest plate (vision.ctc) -> readings, ranked

A look stops where something sure was read. What the reader says by itself stands where it is a plate and no character
of it is doubtful; else the likeliest plate is searched among its probabilities, and the difference is told.
"""

from __future__ import annotations

import cv2
import numpy as np

from vision import ctc
from vision.grammar import grammar_of, is_plate
from vision.image import Image, ImageError, bounded, decode, scaled
from vision.plate_models import Detector, Floats, Reader
from vision.repair import trail
from vision.types import NoPlate, PlateFound, PlateLook, PlateReading, PlateUnsure, Quad, Unreadable

LONGEST_SIDE = 1280
"""Working size of the image, px: characters are read from it."""
SEARCH_SIDE = 640
"""Plates are looked for at this size, px, first. Exact on 131 street photographs, by this look alone: 640: 0.863, 720:
0.885, 1280: 0.931; followed by one at 1280 where nothing sure was read: 480 and 560: 0.924, 640 and 720: 0.931. A
look for plates took 20 ms at 480, 26 at 560, 32 at 640, 39 at 720, 72 at 960 and 148 at 1280. So the small look first,
and the large one for the few images that need it.
"""
SECOND_LOOKS = (2.0, 0.5)
"""Scales of `SEARCH_SIDE` at which to look again when nothing sure was read: a plate far away, one too close."""
CONFIDENT = 0.8
"""Smallest mean character confidence of a plate that counts as read."""
WEAKEST = 0.8
"""And smallest of any one character. On 131 street photographs, 0.5 read 0.939 right and 0.046 surely wrong, 0.8 reads
0.954 and 0.031: a character in doubt is worth a second look, or a person.
"""
LIKELY = 0.5
"""Smallest mean confidence of a guess worth ranking before a larger plate that spells nothing."""
DOUBTFUL = 0.9
"""A reading with a character below this is decoded again among the texts plates can have."""
INVENTED = 0.001
"""A character less likely than this was not seen but made up: then what the reader said stands, and is no plate. Above
it and below `WEAKEST` it is a guess, for a person to check.
"""
TALL = 2.6
"""Plates narrower than this, width by height, may have two rows (2 for lorries' rear plates, 1.6 for motorcycles; one
row has 3.1, new energy 3.4, and less when seen from the side)."""
UPPER_ROW, LOWER_ROW = (0.0, 0.42), (0.36, 1.0)
"""Where the rows are, fractions of the height (GA 36-2018, figures 2 and 5). They overlap a little."""
ROW_ABOVE = 0.7
"""Height of the upper row and what is between, by that of the lower one."""
WHOLE = (1.2, 6.0)
"""Images of such proportions, width by height, may be nothing but a plate: some cameras cut it out themselves."""


def flatten(pixels: Image, corners: Floats, height: int = 80) -> Image:
    """The plate seen from the front, 240 px wide, with a little of its surroundings."""
    width = 240
    x, y = 0.02 * width, 0.06 * height
    target = np.array([[x, y], [width - x, y], [width - x, height - y], [x, height - y]], dtype=np.float32)
    how = cv2.getPerspectiveTransform(corners, target)
    flat = cv2.warpPerspective(pixels, how, (width, height), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(flat, dtype=np.uint8)


def _side_by_side(plate: Image) -> Image:
    """Two rows as one line, upper row first, at equal heights."""
    height = plate.shape[0]
    rows = [plate[round(a * height) : round(b * height)] for a, b in (UPPER_ROW, LOWER_ROW)]
    return np.asarray(
        np.hstack([cv2.resize(row, (max(1, round(row.shape[1] * 48 / row.shape[0])), 48)) for row in rows]),
        dtype=np.uint8,
    )


def _with_row_above(corners: Floats) -> Floats:
    """The whole plate, where the corners are those of the lower of two rows."""
    a, b, c, d = corners
    return np.array([a + (a - d) * ROW_ABOVE, b + (b - c) * ROW_ABOVE, c, d], dtype=np.float32)


def _proportion(corners: Floats) -> float:
    """Width by height, of the mean of opposite sides."""
    a, b, c, d = corners
    width = np.linalg.norm(b - a) + np.linalg.norm(c - d)
    height = np.linalg.norm(d - a) + np.linalg.norm(c - b)
    return float(width) / max(1e-6, float(height))


def _quad(corners: Floats) -> Quad:
    a, b, c, d = ((float(x), float(y)) for x, y in corners)
    return a, b, c, d


def sure(reading: PlateReading) -> bool:
    """Confident enough, as a whole and in every character, to be looked up."""
    return reading.valid and reading.confidence >= CONFIDENT and min(reading.char_confidences) >= WEAKEST


def _rank(reading: PlateReading) -> tuple[bool, bool, float]:
    """Of several plates in one image: one that is sure, then a likely valid one, then the largest: the nearest car's.
    A plate that had to be guessed counts no more than what the reader said.
    """
    area = cv2.contourArea(np.array(reading.quad, dtype=np.float32))
    return sure(reading), reading.valid and reading.confidence >= LIKELY, float(area)


def _same_place(a: PlateReading, b: PlateReading) -> bool:
    """Does the middle of one lie in the other?"""
    middle = np.mean(np.array(b.quad), axis=0)
    inside = cv2.pointPolygonTest(np.array(a.quad, dtype=np.float32), (float(middle[0]), float(middle[1])), False)
    return bool(inside >= 0)


def _look_of(readings: list[PlateReading]) -> PlateLook:
    """The best reading, and the best one of every other place."""
    kept: list[PlateReading] = []
    for reading in sorted(readings, key=_rank, reverse=True):
        if not any(_same_place(other, reading) or other.plate == reading.plate for other in kept):
            kept.append(reading)
    if not kept:
        return NoPlate()
    best, *others = kept
    return (PlateFound if sure(best) else PlateUnsure)(reading=best, others=tuple(others))


class PlateEngine:
    """Looks for plates. Not for use by several threads at once."""

    def __init__(self, search_side: int = SEARCH_SIDE) -> None:
        self._search_side = search_side
        self._detector = Detector()
        self._reader = Reader()

    def look(self, data: bytes) -> PlateLook:
        """JPEG or PNG bytes in, one of the `PlateLook` outcomes out; never raises for anything the bytes hold."""
        try:
            pixels = decode(data)
        except ImageError as error:
            return Unreadable(reason=str(error))
        return self.look_at(pixels)

    def look_at(self, pixels: Image) -> PlateLook:
        """As `look`, for decoded pixels."""
        working, scale = bounded(pixels, LONGEST_SIDE)
        readings: list[PlateReading] = []
        for factor in (1.0, *SECOND_LOOKS):
            readings += self._search(working, round(self._search_side * factor), scale)
            if any(sure(reading) for reading in readings):
                return _look_of(readings)
        if not any(reading.valid for reading in readings):
            readings += self._whole(working, scale)
        return _look_of(readings)

    def _search(self, working: Image, side: int, scale: float) -> list[PlateReading]:
        """What is read when plates are searched at `side` px. `scale`: working px per px of the original."""
        resize = side / max(working.shape[:2])
        sightings = self._detector.find(scaled(working, resize) if resize != 1 else working)
        found = (self._read(working, sighting.corners / np.float32(resize), scale) for sighting in sightings)
        return [reading for reading in found if reading]

    def _whole(self, working: Image, scale: float) -> list[PlateReading]:
        """The image read as if it were a plate from edge to edge: kept only where that gives a likely plate."""
        height, width = working.shape[:2]
        if not WHOLE[0] <= width / height <= WHOLE[1]:
            return []
        corners = np.array([[0, 0], [width, 0], [width, height], [0, height]], dtype=np.float32)
        reading = self._read(working, corners, scale)
        return [reading] if reading and reading.valid and reading.confidence >= LIKELY else []

    def _read(self, working: Image, corners: Floats, scale: float) -> PlateReading | None:
        """One row where that is sure; else also as two, and with the row above where only the lower one was found."""
        reading = self._line(flatten(working, corners), _quad(corners / np.float32(scale)), rows=1)
        if reading and sure(reading):
            return reading
        tries = [corners] if _proportion(corners) < TALL else []
        tries += [] if reading and reading.valid else [_with_row_above(corners)]
        for around in tries:
            line = _side_by_side(flatten(working, around, height=120))
            stacked = self._line(line, _quad(around / np.float32(scale)), rows=2)
            if stacked and stacked.valid and (not reading or stacked.confidence > reading.confidence * reading.valid):
                reading = stacked
        return reading

    def _line(self, line: Image, quad: Quad, rows: int) -> PlateReading | None:
        """One line's reading; None when there is nothing on it."""
        steps, characters = self._reader.read(line), self._reader.characters
        said = ctc.greedy(steps, characters)
        if not said.text:
            return None
        best = said
        if not is_plate(said.text) or min(said.confidences) < DOUBTFUL:
            likeliest = ctc.plate(steps, characters)
            best = likeliest if likeliest and min(likeliest.confidences) >= INVENTED else said
        grammar = grammar_of(best.text)
        return PlateReading(
            plate=best.text,
            confidence=float(np.mean(best.confidences)),
            char_confidences=best.confidences,
            quad=quad,
            valid=grammar is not None,
            grammar=grammar.name if grammar else "",
            alternatives=ctc.alternatives(steps, characters, best),
            repairs=trail(said.text, best.text) if best is not said else (),
            rows=rows,
        )
