import csv
import json
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner, Result

from gateway.face_commands import faces
from simulators.plate_drawing import draw_car
from tests.vision import drawn
from vision import commands
from vision.calibration import Calibration, operating_point
from vision.engines import choose
from vision.evaluate import equal_error_rate
from vision.evaluate_plates import edit_distance
from vision.labels import LabelsError, read_labels
from vision.report_plates import aligned

pytestmark = pytest.mark.models
short = st.text("AB1", max_size=6)


def run(what: str, labels: Path) -> Result:
    return CliRunner().invoke(getattr(commands, what), ["evaluate", str(labels)])


def labelled(folder: Path, column: str, images: dict[str, tuple[str, bytes]]) -> Path:
    path = folder / "labels.csv"
    with path.open("w", encoding="utf-8", newline="") as out:
        writer = csv.writer(out)
        writer.writerow(["file", column])
        for name, (label, data) in images.items():
            (folder / name).write_bytes(data)
            writer.writerow([name, label])
    return path


def test_faces_are_measured_and_the_last_line_is_the_figures(tmp_path: Path) -> None:
    images = {
        f"{seed}-{turn}.jpg": (f"person-{seed}", drawn.jpeg(drawn.face(seed, turn=turn)))
        for seed in (1, 4)
        for turn in (0, 1)
    }
    images["wall.png"] = ("person-1", drawn.png(np.full((99, 99, 3), 99, np.uint8)))
    result = run("faces", labelled(tmp_path, "person", images))
    assert result.exit_code == 0, result.output
    figures = json.loads(result.stdout.splitlines()[-1])
    assert figures.pop("ms_p50") > 0
    degraded = figures.pop("degraded")
    assert figures == {
        "images": 5, "detected": 4, "genuine": 2, "impostor": 4, "rank1": 0.8, "eer": 0.0,
        "threshold": 0.45, "far": 0.0, "frr": 0.0, "engine": choose("auto"), "open_set": {},
    }  # fmt: skip
    assert list(degraded) == ["dark", "small", "noisy", "jpeg45"]
    assert [one["detected"] for one in degraded.values()] == [4] * 4
    assert [one["impostor"] for one in degraded.values()] == [8] * 4


def test_a_report_shows_curves_and_pictures_and_loads_nothing(tmp_path: Path) -> None:
    images = {
        f"{seed}-{turn}.jpg": (f"<b>person-{seed}", drawn.jpeg(drawn.face(seed, turn=turn)))
        for seed in (1, 4)
        for turn in (0, 1)
    }
    page = tmp_path / "faces.html"
    arguments = ["evaluate", str(labelled(tmp_path, "person", images)), "--clean", "--html", str(page)]
    result = CliRunner().invoke(commands.faces, arguments)
    assert result.exit_code == 0, result.output
    text = page.read_text(encoding="utf-8")
    assert text.count('src="data:image/jpeg;base64,') == 2 * (2 + 4)
    assert "<b>person" not in text.split("<h2>One person", 1)[1]
    assert "<script src" not in text
    assert json.loads(result.stdout.splitlines()[-1])["degraded"] == {}


def test_a_report_of_plates_shows_kinds_conditions_and_what_was_misread_and_loads_nothing(tmp_path: Path) -> None:
    cars = {f"{n}.jpg": (plate, draw_car(plate, seed=n)) for n, plate in enumerate(("川A12345", "京B67890"))}
    cars["misread.jpg"] = ("川A12346", draw_car("川A12345", seed=3))
    page = tmp_path / "plates.html"
    arguments = ["evaluate", str(labelled(tmp_path, "plate", cars)), "--html", str(page)]
    result = CliRunner().invoke(commands.plates, arguments)
    assert result.exit_code == 0, result.output
    text = page.read_text(encoding="utf-8")
    shown = text.split("<h2>Read wrongly</h2>")[1]
    assert "川A12346 read as 川A12345, sure" in shown
    assert shown.count('src="data:image/jpeg;base64,') == 1
    for condition in ("clean", "dark", "small", "noisy", "jpeg45"):
        assert f"<td>{condition}</td><td>3</td>" in text
    assert "<script src" not in text
    assert json.loads(result.stdout.splitlines()[-1])["images"] == 3


@given(st.text("AB1", max_size=6), st.text("AB1", max_size=6))
def test_characters_are_aligned_by_the_fewest_edits(truth: str, text: str) -> None:
    pairs = aligned(truth, text)
    assert "".join(a for a, _ in pairs) == truth
    assert "".join(b for _, b in pairs) == text
    assert sum(a != b for a, b in pairs) == edit_distance(truth, text)


def test_labelled_faces_are_calibrated_and_the_calibration_kept(tmp_path: Path) -> None:
    images = {
        f"{seed}-{turn}.jpg": (f"person-{seed}", drawn.jpeg(drawn.face(seed, turn=turn)))
        for seed in range(1, 9)
        for turn in (0, 1)
    }
    kept = tmp_path / "calibration.json"
    labels = str(labelled(tmp_path, "person", images))
    result = CliRunner().invoke(faces, ["calibrate", labels, "--far", "0.2", "--gallery", "1", "--out", str(kept)])
    # Drawn people are nearer to each other than real ones, so what real ones need cannot be had.
    refused = CliRunner().invoke(faces, ["calibrate", labels, "--far", "1e-9"])
    assert result.exit_code == 0, result.output
    figures = json.loads(result.stdout.splitlines()[-1])
    assert (figures["images"], figures["calibration"]["impostor_pairs"]) == (16, 112)
    held = msgspec.json.decode(kept.read_bytes(), type=Calibration)
    assert operating_point(held, far=0.2, gallery=1).threshold == figures["point"]["threshold"]
    assert figures["false_accepts_per_day"] <= 0.2 * figures["strangers_per_day"] + 1e-9
    assert (refused.exit_code, refused.stdout) == (1, "")
    assert "search a building instead of the estate" in refused.stderr


def test_too_few_people_to_calibrate_with_are_a_message(tmp_path: Path) -> None:
    labels = labelled(tmp_path, "person", {"a.jpg": ("ann", drawn.jpeg(drawn.face(1)))})
    result = CliRunner().invoke(faces, ["calibrate", str(labels)])
    assert result.exit_code == 1
    assert "too few" in result.stderr


def test_an_engine_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    result = CliRunner().invoke(commands.faces, ["evaluate", "labels.csv", "--engine", "crystal-ball"])
    assert result.exit_code == 2
    assert "no face engine crystal-ball" in result.stderr


def test_plates_are_measured_and_the_last_line_is_the_figures(tmp_path: Path) -> None:
    plate = drawn.jpeg(drawn.letters_plate("AB1234"))
    images = {"a.jpg": ("AB·1234", plate), "b.jpg": ("沪AB1234", plate), "c.jpg": ("沪B12345", b"nothing")}
    result = run("plates", labelled(tmp_path, "plate", images))
    assert result.exit_code == 0, result.output
    figures = json.loads(result.stdout.splitlines()[-1])
    assert list(figures) == ["images", "exact", "char", "ms_p50", "read", "read_wrong", "among"]
    assert (figures["read"], figures["read_wrong"], figures["among"]) == (0, 0, pytest.approx(1 / 3))
    assert (figures["images"], figures["exact"]) == (3, pytest.approx(1 / 3))
    assert figures["char"] == pytest.approx(12 / 20)


def test_nothing_detected_gives_no_rates_instead_of_an_error(tmp_path: Path) -> None:
    result = run("faces", labelled(tmp_path, "person", {"a.jpg": ("ann", b""), "b.jpg": ("ann", b"")}))
    assert result.exit_code == 0, result.output
    figures = json.loads(result.stdout.splitlines()[-1])
    assert (figures["detected"], figures["rank1"], figures["eer"], figures["far"]) == (0, 0.0, None, None)


@pytest.mark.parametrize("what", ["faces", "plates"])
@pytest.mark.parametrize("spoil", [Path.unlink, lambda path: path.write_text("a,b\n1,2\n")])
def test_labels_that_are_missing_or_wrong_end_with_a_message(
    tmp_path: Path, what: str, spoil: Callable[[Path], object]
) -> None:
    labels = labelled(tmp_path, "person", {})
    spoil(labels)
    result = run(what, labels)
    assert result.exit_code == 1
    assert "labels.csv" in result.stderr
    assert result.stdout == ""


def test_a_missing_image_is_named(tmp_path: Path) -> None:
    labels = labelled(tmp_path, "plate", {"a.jpg": ("x", b""), "b.jpg": ("x", b"")})
    (tmp_path / "b.jpg").unlink()
    with pytest.raises(LabelsError, match=r"1 images are missing, the first is .*b\.jpg"):
        read_labels(labels, "plate")


@given(short, short, short)
def test_edit_distance_is_a_distance(a: str, b: str, c: str) -> None:
    assert edit_distance(a, b) == edit_distance(b, a)
    assert (edit_distance(a, b) == 0) == (a == b)
    assert edit_distance(a, c) <= edit_distance(a, b) + edit_distance(b, c)
    assert abs(len(a) - len(b)) <= edit_distance(a, b) <= max(len(a), len(b))


@pytest.mark.parametrize(
    ("genuine", "impostor", "rate"),
    [([0.1, 0.2], [0.6, 0.7], 0.0), ([0.1, 0.6], [0.2, 0.7], 0.5), ([], [0.5], None)],
)
def test_the_equal_error_rate_is_where_both_errors_meet(
    genuine: list[float], impostor: list[float], rate: float | None
) -> None:
    assert equal_error_rate(np.array(genuine), np.array(impostor)) == rate
