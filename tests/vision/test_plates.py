import csv
from pathlib import Path

import numpy as np
import pytest

from tests.vision import drawn
from vision.plates import PlateEngine
from vision.types import NoPlate, PlateFound, PlateUnsure, Unreadable

SHARED = Path(__file__).resolve().parents[3] / "shared" / "plates"


@pytest.fixture(scope="module")
def engine() -> PlateEngine:
    return PlateEngine()


@pytest.mark.models
def test_a_plate_of_letters_alone_is_seen_but_never_counts_as_read(engine: PlateEngine) -> None:
    look = engine.look(drawn.jpeg(drawn.letters_plate("AB1234")))
    assert isinstance(look, PlateUnsure)
    assert look.reading.plate == "AB1234"
    assert not look.reading.valid
    assert len(look.reading.char_confidences) == 6
    assert look.reading.confidence == pytest.approx(np.mean(look.reading.char_confidences))
    expected = [(224, 304), (416, 304), (416, 360), (224, 360)]
    assert np.abs(np.array(look.reading.quad) - expected).max() < 20


@pytest.mark.models
def test_a_quad_is_in_the_pixels_of_the_image_sent(engine: PlateEngine) -> None:
    scene = drawn.letters_plate("AB1234")
    large = engine.look(drawn.jpeg(np.repeat(np.repeat(scene, 4, axis=0), 4, axis=1)))
    assert isinstance(large, PlateUnsure)
    expected = np.array([(224, 304), (416, 304), (416, 360), (224, 360)]) * 4
    assert np.abs(np.array(large.reading.quad) - expected).max() < 80


@pytest.mark.models
@pytest.mark.parametrize("shape", [(300, 400, 3), (1, 1, 3), (1, 3000, 3), (3000, 1, 3)])
def test_a_wall_of_any_shape_has_no_plate(engine: PlateEngine, shape: tuple[int, int, int]) -> None:
    assert engine.look(drawn.png(np.full(shape, 120, np.uint8))) == NoPlate()


@pytest.mark.models
def test_hostile_bytes_are_unreadable(engine: PlateEngine) -> None:
    for name, data in drawn.hostile().items():
        assert isinstance(engine.look(data), Unreadable), name


@pytest.mark.models
@pytest.mark.shared
@pytest.mark.skipif(not SHARED.is_dir(), reason="no labelled plates beside the checkout")
def test_most_plates_in_the_street_are_read(engine: PlateEngine) -> None:
    with (SHARED / "scenes.csv").open(encoding="utf-8-sig", newline="") as lines:
        rows = list(csv.DictReader(lines))[:20]
    looks = [(row["plate"], engine.look((SHARED / row["file"]).read_bytes())) for row in rows]
    assert sum(isinstance(look, PlateFound) and look.reading.plate == truth for truth, look in looks) >= 17
