"""`linli faces enrol` against a real server; what vision would say of a photo is laid ready."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from api.commands.faces import app
from api.tokens import tokens
from gateway.store import Store
from tests.api.conftest import Estate, Eyes
from tests.api.test_residents import face, photo
from vision.types import LowQuality, NoFace


@pytest.fixture
def folder(estate: Estate, tmp_path: Path) -> Path:
    """Ann in building 3 with two photos, Bo with one, Chen looks away, and there is a list of something else."""
    estate.pool = Eyes()
    estate.pool.looks = {
        photo("ann-1"): face(1),
        photo("ann-2"): face(1),
        photo("bo"): face(2),
        photo("chen"): LowQuality(reason="turned away", box=face(1).box),
        photo("wall"): NoFace(),
        photo("ann again"): face(1),
    }
    made = tmp_path / "photos"
    (made / "3_王安").mkdir(parents=True)
    (made / "3_王安" / "1.jpg").write_bytes(photo("ann-1"))
    (made / "3_王安" / "2.jpg").write_bytes(photo("ann-2"))
    (made / "李波.jpg").write_bytes(photo("bo"))
    (made / "4_陈.jpeg").write_bytes(photo("chen"))
    (made / "notes.txt").write_text("not a photo", encoding="utf-8")
    return made


@pytest.fixture
def enrol(estate: Estate, address: str, folder: Path, tmp_path: Path) -> Any:
    config = tmp_path / "linli.toml"
    config.write_text(f'data_dir = "{estate.settings.data_dir}"\n', encoding="utf-8")

    def do(*more: str, scope: str = "estate", until: str = "2099-12-31") -> Result:
        consent = ["--scope", scope, "--until", until, "--recorded-by", "office"]
        return CliRunner().invoke(
            app, ["enrol", str(folder), "--config", str(config), "--url", address, *consent, *more]
        )

    return do


def report(result: Result) -> dict[str, Any]:
    return dict(json.loads(result.stdout.splitlines()[-1]))


def test_a_folder_is_enrolled_and_a_second_run_says_who_is_there_already(enrol: Any, estate: Estate) -> None:
    first = enrol("--building", "9")
    told = report(first)
    assert first.exit_code == 1, "somebody was not enrolled"
    assert (told["people"], told["enrolled"], told["already"], told["failed"], told["photos"]) == (3, 2, 0, 1, 3)
    (refused,) = told["refused"]
    assert (refused["name"], refused["file"].endswith("4_陈.jpeg")) == ("陈", True)
    assert "look straight into the camera" in refused["reason"]
    assert "请正视镜头" in refused["reason_zh"]
    people = {one.name: one for one in estate.directory.people()}
    assert {name: (one.building, one.templates) for name, one in people.items()} == {"王安": ("3", 2), "李波": ("9", 1)}
    assert people["王安"].consent.until.isoformat() == "2099-12-31T15:59:59.999999+00:00"
    estate.pool.looks[photo("chen")] = face(3)
    again = enrol("--building", "9")
    assert again.exit_code == 0, again.output
    assert {k: report(again)[k] for k in ("people", "enrolled", "already", "failed")} == {
        "people": 3, "enrolled": 1, "already": 2, "failed": 0,
    }  # fmt: skip


def test_a_manifest_names_people_by_ids_and_gathers_their_photos(enrol: Any, estate: Estate, folder: Path) -> None:
    lines = ["person,name,building,file", "r-1,王安,3,3_王安/1.jpg", "r-1,王安,3,3_王安/2.jpg", "r-2,李波,4,李波.jpg"]
    manifest = folder / "people.csv"
    manifest.write_text("\n".join(lines), encoding="utf-8")
    done = enrol("--manifest", str(manifest))
    assert done.exit_code == 0, done.output
    assert {one.id: one.templates for one in estate.directory.people()} == {"r-1": 2, "r-2": 1}
    assert report(enrol("--manifest", str(manifest)))["already"] == 2
    for wrong in ("r-1,王安,3,missing.jpg", "r-1,别人,3,李波.jpg", "r-9,,3,李波.jpg"):
        manifest.write_text("\n".join([*lines, wrong]), encoding="utf-8")
        refused = enrol("--manifest", str(manifest))
        assert (refused.exit_code, "line 5" in refused.stderr) == (1, True)


def test_somebody_who_looks_like_a_resident_is_not_enrolled_under_another_name(enrol: Any, folder: Path) -> None:
    assert report(enrol())["enrolled"] == 2
    (folder / "冒名.jpg").write_bytes(photo("ann again"))
    told = report(enrol())
    reasons = {refused["name"]: refused["reason"] for refused in told["refused"]}
    assert "enrolled already" in reasons["冒名"]


@pytest.mark.parametrize(
    ("wrong", "word"),
    [({"scope": "world"}, "scope"), ({"until": "2001-01-01"}, "ends before it begins")],
)
def test_a_consent_that_is_not_complete_is_refused_before_anything_is_sent(
    enrol: Any, estate: Estate, wrong: dict[str, str], word: str
) -> None:
    refused = enrol(**wrong)
    assert (refused.exit_code, word in refused.stderr) == (1, True)
    assert estate.directory.people() == []


def test_the_token_of_a_run_ends_with_it_and_ones_own_is_used_where_there_is_one(
    enrol: Any, estate: Estate, monkeypatch: pytest.MonkeyPatch
) -> None:
    enrol()
    (made,) = tokens(estate.store)
    assert (made.name, made.revoked_at is not None) == ("linli faces enrol", True)
    monkeypatch.setenv("LINLI_TOKEN", estate.token("people:read")["Authorization"].removeprefix("Bearer "))
    refused = enrol()
    assert (refused.exit_code, "lacks the scope people:write" in refused.stderr) == (1, True)
    assert len(tokens(estate.store)) == 2


def test_without_a_gateway_nothing_is_made_and_the_operator_told(folder: Path, tmp_path: Path) -> None:
    config = tmp_path / "linli.toml"
    config.write_text(f'data_dir = "{tmp_path / "none"}"\n[http]\nport = 9\n', encoding="utf-8")
    consent = ["--scope", "estate", "--until", "2099-12-31", "--recorded-by", "office", "--config", str(config)]
    missing = CliRunner().invoke(app, ["enrol", str(folder), *consent])
    assert (missing.exit_code, "no gateway's database" in missing.stderr) == (1, True)
    assert not (tmp_path / "none").exists()
    Store(tmp_path / "none" / "linli.db").close()
    silent = CliRunner().invoke(app, ["enrol", str(folder), *consent])
    assert (silent.exit_code, "start it with `linli run`" in silent.stderr) == (1, True)
