"""What an attacker, or a careless client, sends."""

from __future__ import annotations

import stat
from pathlib import Path
from tempfile import SpooledTemporaryFile

import pytest

from api import web
from tests.api.conftest import Estate, Eyes
from tests.api.test_residents import face, form, photo

END_OF_TIME = "9999-12-31T23:59:59-14:00"
BEGINNING = "0001-01-01T00:00:00+14:00"
JSON = {"content-type": "application/json"}


@pytest.mark.parametrize(
    "path", ["/v1/alerts?after=" + "9" * 30, "/v1/alerts?before=--5_x", "/v1/alerts?before=" + "9" * 40 + "_x"]
)
def test_a_cursor_that_is_none_is_refused(call, estate: Estate, path: str):
    assert call("GET", path, estate.token()).status_code == 422


def test_a_time_at_the_end_of_time_does_not_make_the_register_unreadable(call, estate: Estate):
    admin = estate.token()
    assert call("POST", "/v1/residents", admin, data=form(consent_until=END_OF_TIME)).status_code == 422
    person = call("POST", "/v1/residents", admin, data=form()).json()["id"]
    consent = {"scope": "estate", "until": END_OF_TIME}
    assert call("PUT", f"/v1/residents/{person}/consent", admin, json=consent).status_code == 422
    for wrong in ({"valid_to": END_OF_TIME}, {"valid_from": BEGINNING}):
        assert call("PUT", "/v1/vehicles/粤B12345", admin, json=wrong).status_code == 422
    assert len(call("GET", "/v1/residents", admin).json()["items"]) == 1


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_a_parameter_that_is_no_number_does_not_keep_the_gateway_from_starting(call, estate: Estate, number: str):
    body = f'{{"kind": "light", "protocol": "native", "address": "a", "params": {{"x_w": {number}}}}}'
    answer = call("PUT", "/v1/devices/lamp-9", estate.token(), content=body, headers=JSON)
    assert answer.status_code == 422
    again = Estate(Path(estate.settings.data_dir))
    assert again.directory.device("lamp-9") is None
    again.store.close()


@pytest.mark.parametrize("named", ["+", "#", "G1/command", "a\u0000b"])
def test_a_device_cannot_be_registered_as_all_others(call, estate: Estate, named: str):
    body = {"kind": "light", "protocol": "native", "address": named}
    assert call("PUT", "/v1/devices/lamp-9", estate.token(), json=body).status_code == 422


def test_what_is_noted_of_a_vehicle_is_nowhere_in_the_clear_on_the_disk(call, estate: Estate):
    vehicle = {"owner": "车主张三丰", "note": "电话 13900000000"}
    assert call("PUT", "/v1/vehicles/粤B12345", estate.token(), json=vehicle).status_code == 201
    content = b"".join(path.read_bytes() for path in Path(estate.settings.data_dir).glob("linli.db*"))
    assert "张三丰".encode() not in content
    assert b"13900000000" not in content
    again = Estate(Path(estate.settings.data_dir))
    kept = again.directory.vehicle("粤B12345")
    assert kept is not None
    assert (kept.owner, kept.note) == (vehicle["owner"], vehicle["note"])
    again.store.close()


def test_nobody_else_on_the_machine_reads_the_database(estate: Estate):
    estate.token()
    folder = Path(estate.settings.data_dir)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.rglob("*") if path.is_file()}
    assert {"linli.db", "linli.db-wal", "linli.db-shm", "master.key"} <= modes.keys()
    assert set(modes.values()) == {0o600}


@pytest.mark.parametrize("path", ["/v1/residents", "/v1/subscriptions", "/v1/vehicles/import"])
@pytest.mark.parametrize("named", [None, {"Authorization": f"Bearer linli_{'0' * 12}_{'0' * 64}"}])
def test_a_stranger_cannot_make_the_gateway_read_a_long_body(
    call, estate: Estate, path: str, named: dict[str, str] | None, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(web, "STRANGERS_BODY", 1000)
    head = b'--x\r\nContent-Disposition: form-data; name="name"\r\n\r\n'
    for body in (head + b"x" * 1500, iter([head + b"x" * 800, b"x" * 700])):
        answer = call("POST", path, named, content=body, headers={"content-type": "multipart/form-data; boundary=x"})
        assert (answer.status_code, answer.headers["content-type"]) == (401, "application/problem+json")
        assert answer.headers["x-content-type-options"] == "nosniff"


def test_who_has_a_token_may_send_a_long_body(call, estate: Estate, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(web, "STRANGERS_BODY", 10)
    for body in (b"plate\n" * 100, iter([b"plate\n"] * 100)):
        assert call("POST", "/v1/vehicles/import", estate.token(), content=body).status_code == 200


def test_a_residents_photo_is_never_written_to_a_temporary_file(call, estate: Estate, monkeypatch: pytest.MonkeyPatch):
    written: list[object] = []
    monkeypatch.setattr(SpooledTemporaryFile, "rollover", written.append)
    large = photo("large") + bytes(3 * 1024 * 1024)
    estate.pool = Eyes()
    estate.pool.looks[large] = face(1)
    sent = [("photos", ("a.jpg", large, "image/jpeg"))]
    answer = call("POST", "/v1/residents", estate.token(), data=form(), files=sent)
    assert (answer.status_code, answer.json()["templates"]) == (201, 1)
    assert written == []


def test_after_withdrawal_not_a_byte_of_the_persons_key_template_or_card_is_left(call, estate: Estate):
    estate.pool = Eyes()
    estate.pool.looks[photo("good")] = face(1)
    sent = [("photos", ("a.jpg", photo("good"), "image/jpeg"))]
    person = call("POST", "/v1/residents", estate.token(), data=form(), files=sent).json()["id"]
    folder = Path(estate.settings.data_dir)
    row = estate.store.reader.execute(
        "SELECT people.key, people.body, vector, hash, photo "
        "FROM people JOIN templates ON templates.person = people.id JOIN credentials ON credentials.person = people.id"
    ).fetchone()
    kept = [bytes(row[name]) for name in ("key", "body", "vector", "hash")] + [row["photo"].encode()]
    pictures = [path for path in (folder / "evidence").rglob("*") if path.is_file()]
    assert all(part in everything(folder) for part in kept)
    assert len(pictures) == 1
    assert call("DELETE", f"/v1/residents/{person}", estate.token()).status_code == 200
    assert not any(part in everything(folder) for part in kept)
    assert not pictures[0].exists()


def everything(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())
