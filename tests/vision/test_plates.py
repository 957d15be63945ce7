import csv
from pathlib import Path

import cv2
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


def forces_plate(rows: tuple[str, ...], height: int) -> np.ndarray:
    """A van's back with a white plate of the forces, in one row or two: Latin characters, so drawable by anybody."""
    scene = np.full((480, 640, 3), (92, 96, 90), np.uint8)
    cv2.rectangle(scene, (100, 60), (540, 440), (60, 110, 60), -1)
    cv2.rectangle(scene, (220, 260), (420, 260 + height), (245, 245, 245), -1)
    cv2.rectangle(scene, (223, 263), (417, 257 + height), (20, 20, 20), 2)
    for number, text in enumerate(rows):
        tall = (height - 24) / len(rows) * (1.0 if len(rows) == 1 else (0.7, 1.15)[number])
        size = tall / 24
        (wide, _), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, size, 4)
        base = 260 + height - 14 if number == len(rows) - 1 else 260 + 12 + round(tall * 0.85)
        cv2.putText(scene, text, (320 - wide // 2, base), cv2.FONT_HERSHEY_SIMPLEX, size, (15, 15, 15), 4, cv2.LINE_AA)
    return scene


@pytest.mark.models
def test_two_rows_are_read_as_one_plate(engine: PlateEngine) -> None:
    look = engine.look(drawn.png(forces_plate(("VA", "12345"), 100)))
    assert isinstance(look, PlateFound | PlateUnsure)
    assert (look.reading.plate, look.reading.grammar, look.reading.rows) == ("VA12345", "military", 2)


@pytest.mark.models
def test_an_image_that_is_all_plate_is_read_from_edge_to_edge(engine: PlateEngine) -> None:
    whole = forces_plate(("VA12345",), 60)[256:324, 216:424]
    look = engine.look(drawn.png(whole))
    assert isinstance(look, PlateFound | PlateUnsure)
    assert (look.reading.plate, look.reading.valid) == ("VA12345", True)


@pytest.mark.models
def test_every_plate_in_the_image_is_told(engine: PlateEngine) -> None:
    two = np.hstack([forces_plate(("VA12345",), 64), forces_plate(("KB67890",), 64)])
    look = engine.look(drawn.png(two))
    assert isinstance(look, PlateFound | PlateUnsure)
    assert {r.plate for r in (look.reading, *look.others)} == {"VA12345", "KB67890"}


@pytest.mark.models
@pytest.mark.shared
@pytest.mark.skipif(not SHARED.is_dir(), reason="no labelled plates beside the checkout")
def test_plates_cut_out_by_the_camera_are_read(engine: PlateEngine) -> None:
    with (SHARED / "crops.csv").open(encoding="utf-8-sig", newline="") as lines:
        rows = list(csv.DictReader(lines))[:20]
    looks = [(row["plate"], engine.look((SHARED / row["file"]).read_bytes())) for row in rows]
    assert sum(isinstance(look, PlateFound) and look.reading.plate == truth for truth, look in looks) >= 19
