"""Access to devices that speak HTTP: secrets go in, and never come out."""

from __future__ import annotations

from pathlib import Path

import pytest

from devices.model import Device
from gateway.attached import StreamState
from tests.api.conftest import Estate

DOOR = Device(id="door-1", kind="face_gate", protocol="hik_access", address="HIK001")
PATH = "/v1/devices/door-1/access"
SECRET = {
    "url": "https://192.168.1.64",
    "username": "operator",
    "password": "s3cr3t-of-door",
    "fingerprint": "AB:" * 31 + "AB",
}


@pytest.fixture(autouse=True)
def door(estate: Estate) -> None:
    estate.directory.put_device(DOOR)


def test_the_push_token_is_shown_once(call, estate: Estate):
    admin = estate.token()
    first = call("PUT", PATH, admin, json=SECRET).json()
    assert len(first["push_token"]) == 16
    assert first["push_path"] == "/ingest/hik_access/HIK001"
    assert call("PUT", PATH, admin, json=SECRET).json()["push_token"] is None
    assert estate.access.of("door-1").push_token == first["push_token"]
    again = call("PUT", PATH, admin, json=SECRET | {"new_push_token": True}).json()
    assert again["push_token"] != first["push_token"]


def test_what_is_set_is_shown_without_its_secrets(call, estate: Estate):
    admin = estate.token()
    token = call("PUT", PATH, admin, json=SECRET).json()["push_token"]
    shown = call("GET", PATH, estate.token("devices:read"))
    assert shown.json() == {
        "url": "https://192.168.1.64",
        "username_set": True,
        "password_set": True,
        "fingerprint": "ab" * 32,
        "push_token_set": True,
        "attach": False,
        "push_path": "/ingest/hik_access/HIK001",
    }
    content = b"".join(path.read_bytes() for path in Path(estate.settings.data_dir).glob("linli.db*"))
    for secret in (SECRET["password"], token, SECRET["username"]):
        assert secret.encode() not in content


@pytest.mark.parametrize(
    "url",
    [
        "ftp://192.168.1.64",
        "http://",
        "http://user:pass@192.168.1.64",
        "http://192.168.1.64/cgi-bin",
        "http://192.168.1.64?x=1",
        "http://192.168.1.64:0",
        "http://192.168.1.64:99999",
        "http://a b",
        "file:///etc/passwd",
        "192.168.1.64",
        "http://[::1",
    ],
)
def test_a_url_is_a_scheme_a_host_and_a_port(call, estate: Estate, url: str):
    answer = call("PUT", PATH, estate.token(), json={"url": url})
    assert answer.status_code == 422
    assert answer.json()["detail"].startswith("door-1: url is http://host[:port]")


@pytest.mark.parametrize("url", ["http://192.168.1.64", "https://door.lan:8443/", "http://[fd00::1]:80"])
def test_a_name_an_address_and_a_port_are_taken(call, estate: Estate, url: str):
    assert call("PUT", PATH, estate.token(), json={"url": url}).status_code == 200


def test_a_fingerprint_that_is_none_is_refused(call, estate: Estate):
    admin = estate.token()
    for body in ({"url": "https://a", "fingerprint": "ab"}, {"url": "http://a", "fingerprint": "ab" * 32}):
        answer = call("PUT", PATH, admin, json=body)
        assert answer.status_code == 422
        assert "fingerprint" in answer.json()["detail"]


def test_a_stream_is_attached_to_where_there_is_one_and_its_url_is_known(call, estate: Estate):
    admin = estate.token()
    body = {"url": "http://192.168.1.64", "attach": True}
    assert call("PUT", PATH, admin, json=body).json()["attach"] is True
    assert estate.access.of("door-1").attach
    refused = call("PUT", PATH, admin, json={"attach": True})
    assert (refused.status_code, refused.json()["detail"][:31]) == (422, "door-1: attach needs the url of")
    refused = call("PUT", "/v1/devices/gate-3/access", admin, json=body)
    assert refused.status_code == 422
    wanted = "attach: testbed has no event stream to attach to; these have: dahua, hik_access, hik_anpr, hik_camera"
    assert refused.json()["detail"] == wanted


def test_a_device_shows_how_its_stream_stands(call, estate: Estate):
    admin = estate.token()
    assert call("GET", "/v1/devices/door-1", admin).json()["stream"] is None
    trouble = "door-1: it refused the username or the password of its access"
    estate.streams["door-1"] = StreamState(parts=3, trouble=trouble, mend=True)
    shown = call("GET", "/v1/devices/door-1", admin).json()
    assert (shown["stream"]["parts"], shown["stream"]["trouble"]) == (3, trouble)
    assert shown["warnings"] == [trouble]


def test_access_goes_with_its_device(call, estate: Estate):
    admin = estate.token()
    call("PUT", PATH, admin, json=SECRET)
    assert call("DELETE", "/v1/devices/door-1", admin).status_code == 204
    assert call("GET", PATH, admin).status_code == 404
    estate.directory.put_device(DOOR)
    assert call("GET", PATH, admin).json()["password_set"] is False


def test_access_needs_its_scope_and_its_device(call, estate: Estate):
    assert call("PUT", PATH, json=SECRET).status_code == 401
    assert call("PUT", PATH, estate.token("devices:read"), json=SECRET).status_code == 403
    assert call("PUT", "/v1/devices/none/access", estate.token(), json=SECRET).status_code == 404
