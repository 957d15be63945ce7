"""Posts of devices over a real server: who is let in, what is read, and how each case is answered."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from typing import Any

import pytest
import requests
import uvicorn
from requests.auth import HTTPDigestAuth

from api import bodies
from api.app import create_app
from devices.model import Device
from gateway import webserver
from gateway.actions import RefusedError
from gateway.inbox import PostAnswer
from gateway.metrics import REGISTRY
from tests.api.conftest import Estate

DOOR = Device(id="door-1", kind="face_gate", protocol="hik_access", address="HIK001", building="3")
CAMERA = Device(id="cam-1", kind="camera", protocol="hik_camera", address="CAM1")
URL = "/ingest/hik_access/HIK001"
JPEG = b"\xff\xd8\xff\xe0an invented picture\r\n--not the boundary\xff\xd9"
LAUGHS = b"""<?xml version="1.0"?><!DOCTYPE l [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">]>
<EventNotificationAlert><eventType>&b;</eventType></EventNotificationAlert>"""


def passed(serial: int = 7) -> dict[str, Any]:
    event = {"majorEventType": 5, "subEventType": 75, "serialNo": serial, "employeeNoString": "0042"}
    return {"eventType": "AccessControllerEvent", "eventState": "active", "AccessControllerEvent": event}


@pytest.fixture
def token(estate: Estate, call: Any) -> str:
    for device in (DOOR, CAMERA):
        estate.directory.put_device(device)
    set_ = call("PUT", "/v1/devices/door-1/access", estate.token(), json={})
    return set_.json()["push_token"]


def events(estate: Estate) -> list[tuple[str, str]]:
    return [tuple(row) for row in estate.store.reader.execute("SELECT device, type FROM events ORDER BY seq")]


def quarantined(estate: Estate) -> list[str]:
    return [row["reason"] for row in estate.store.reader.execute("SELECT reason FROM quarantine ORDER BY seq")]


def test_what_is_posted_is_stored_before_it_is_answered_and_once(call, estate: Estate, token: str):
    for _ in range(2):
        assert call("POST", URL, json=passed(), headers={"X-Push-Token": token}).status_code == 200
    assert events(estate).count(("door-1", "access_granted")) == 1


@pytest.mark.parametrize("how", ["query", "header", "bearer", "basic by id", "basic by address", "digest", "PUT"])
def test_a_device_shows_its_token_as_well_as_it_can(call, address: str, estate: Estate, token: str, how: str):
    session = requests.Session()
    session.trust_env = False
    given: dict[str, Any] = {
        "query": {"params": {"token": token}},
        "header": {"headers": {"X-Push-Token": token}},
        "bearer": {"headers": {"Authorization": f"Bearer {token}"}},
        "basic by id": {"auth": ("door-1", token)},
        "basic by address": {"auth": ("HIK001", token)},
        "digest": {"auth": HTTPDigestAuth("door-1", token)},
        "PUT": {"params": {"token": token}},
    }[how]
    answer = session.request("PUT" if how == "PUT" else "POST", address + URL, json=passed(), timeout=10, **given)
    assert answer.status_code == 200
    assert ("door-1", "access_granted") in events(estate)


def test_a_digest_that_was_recorded_is_not_taken_again(address: str, estate: Estate, token: str):
    session = requests.Session()
    session.trust_env = False
    first = session.post(address + URL, json=passed(), auth=HTTPDigestAuth("door-1", token), timeout=10)
    recorded = first.request.headers["Authorization"]
    again = session.post(address + URL, json=passed(8), headers={"Authorization": recorded}, timeout=10)
    assert again.status_code == 401
    assert "stale=true" in again.headers["WWW-Authenticate"]
    assert events(estate).count(("door-1", "access_granted")) == 1


def test_nobody_else_gets_in_and_strangers_learn_nothing(call, estate: Estate, token: str):
    other = call("PUT", "/v1/devices/cam-1/access", estate.token(), json={}).json()["push_token"]
    shown = {"Authorization": f"Bearer {next(iter(estate.token().values())).removeprefix('Bearer ')}"}
    refusals = [
        call("POST", URL, json=passed()),
        call("POST", URL, json=passed(), headers={"X-Push-Token": "wrong"}),
        call("POST", URL, json=passed(), headers={"X-Push-Token": other}),
        call("POST", f"{URL}?token=", json=passed()),
        call("POST", URL, json=passed(), headers=shown),
        call("POST", "/ingest/hik_access/NOBODY", json=passed(), headers={"X-Push-Token": token}),
        call("POST", "/ingest/hik_camera/HIK001", json=passed(), headers={"X-Push-Token": token}),
    ]
    assert {answer.status_code for answer in refusals} == {401}
    assert len({answer.json()["detail"] for answer in refusals}) == 1
    assert len(refusals[0].headers.get_list("www-authenticate")) == 2
    assert events(estate) == []
    assert quarantined(estate) == []


@pytest.mark.parametrize(
    "path",
    [
        "/ingest/nonsense/HIK001",
        "/ingest/native/HIK001",
        f"{URL}/..%2f..%2fetc",
        f"{URL}/a//b",
        f"{URL}/{'a' * 70}",
        f"{URL}/%00",
        f"{URL}/a%0d%0ab",
    ],
)
def test_a_path_that_is_none_is_refused(call, token: str, path: str):
    assert call("POST", path, json=passed(), headers={"X-Push-Token": token}).status_code in (401, 404)


def multipart(*parts: tuple[str, str, bytes], end: bytes = b"--\r\n") -> dict[str, Any]:
    body = b"".join(
        b'--MIME_b\r\nContent-Disposition: form-data; name="%b"\r\nContent-Type: %b\r\n\r\n%b\r\n'
        % (name.encode(), media.encode(), content)
        for name, media, content in parts
    )
    return {
        "content": body + b"--MIME_b" + end,
        "headers": {"Content-Type": 'multipart/form-data; boundary="MIME_b"'},
    }


def test_a_picture_in_a_part_is_kept_as_evidence(call, estate: Estate, token: str):
    parts = multipart(("event_log", "application/json", json.dumps(passed()).encode()), ("Picture", "image/jpeg", JPEG))
    parts["headers"]["X-Push-Token"] = token
    assert call("POST", URL, **parts).status_code == 200
    (row,) = estate.store.reader.execute("SELECT size, device FROM captures").fetchall()
    assert tuple(row) == (len(JPEG), "door-1")


def test_pieces_without_an_end_are_taken(call, estate: Estate, token: str):
    parts = multipart(("", "application/json", json.dumps(passed()).encode()), end=b"")
    parts["content"] = parts["content"].removesuffix(b"--MIME_b")
    parts["headers"] = {"Content-Type": "multipart/x-mixed-replace; boundary=MIME_b", "X-Push-Token": token}
    assert call("POST", URL, **parts).status_code == 200
    assert ("door-1", "access_granted") in events(estate)


def test_poison_is_refused_once_and_kept_with_its_reason(call, estate: Estate, token: str):
    shown = {"X-Push-Token": token}
    for content in (b"", b"{", b"<a>", LAUGHS, b"<a>" * 50_000, b"\xff" * 1000):
        assert call("POST", URL, content=content, headers=shown).status_code == 422
    reasons = quarantined(estate)
    assert len(reasons) == 6
    assert "XML with a document type or entities" in reasons


def test_a_thousand_parts_are_refused(call, estate: Estate, token: str):
    parts = multipart(*[("a", "text/plain", b"x")] * 1000)
    parts["headers"]["X-Push-Token"] = token
    assert call("POST", URL, **parts).status_code == 413
    assert events(estate) == []


def test_what_is_too_long_is_refused_before_it_is_held(call, estate: Estate, token: str, monkeypatch):
    shown = {"X-Push-Token": token}
    most = estate.settings.limits.max_payload
    assert call("POST", URL, content=b" " * (most + 1), headers=shown).status_code == 413
    endless = (b" " * 65536 for _ in range(most // 65536 + 2))
    assert call("POST", URL, content=endless, headers=shown).status_code == 413
    monkeypatch.setattr(bodies, "MAX_PART", 1000)
    parts = multipart(("Picture", "image/jpeg", b"x" * 1001))
    parts["headers"]["X-Push-Token"] = token
    assert call("POST", URL, **parts).status_code == 413


@pytest.mark.parametrize(
    ("headers", "content", "status"),
    [
        ({"Content-Encoding": "gzip"}, b"\x1f\x8b", 415),
        ({"Content-Type": "multipart/form-data"}, b"x", 400),
        ({"Content-Type": "multipart/form-data; boundary=b"}, b"no part of it", 400),
        ({"Content-Type": "multipart/form-data; boundary=" + "b" * 1000}, b"x", 400),
        ({"Content-Type": "multipart/form-data; boundary=b"}, b"--b\r\n" + b"x" * 9000, 400),
    ],
)
def test_a_body_that_is_not_what_it_says_is_refused(call, token: str, headers: dict, content: bytes, status: int):
    assert call("POST", URL, content=content, headers={**headers, "X-Push-Token": token}).status_code == status


def test_all_posts_together_have_a_bound_and_give_it_back(call, estate: Estate, token: str, monkeypatch):
    shown = {"X-Push-Token": token}
    monkeypatch.setattr(bodies, "HELD_AT_MOST", 1000)
    refused = call("POST", URL, content=b" " * 1001, headers=shown)
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "5")
    for serial in range(8):
        assert call("POST", URL, json=passed(serial), headers=shown).status_code == 200


def test_a_device_that_floods_is_told_to_wait_and_somebody_is_told_of_it(call, estate: Estate, token: str):
    estate.intake._reader._limits = type(estate.settings.limits)(device_rate=0.001, device_burst=2)
    answers = [call("POST", URL, json=passed(n), headers={"X-Push-Token": token}) for n in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert quarantined(estate) == ["flood"]
    assert [alert.type for alert in estate.alerts.open] == ["device_flooding"]


def test_what_cannot_be_written_down_is_to_be_sent_again(call, estate: Estate, token: str, monkeypatch):
    shown = {"X-Push-Token": token}
    estate.journal._db.execute("PRAGMA query_only=ON")
    refused = call("POST", URL, json=passed(), headers=shown)
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "5")
    estate.busy = True
    assert call("POST", URL, json=passed(), headers=shown).status_code == 503
    estate.busy = False
    stopping: Future[PostAnswer] = Future()
    stopping.set_exception(RefusedError("the gateway is stopping"))
    with monkeypatch.context() as patch:
        patch.setattr(estate, "post", lambda _: stopping)
        assert call("POST", URL, json=passed(), headers=shown).status_code == 503
    estate.journal._db.execute("PRAGMA query_only=OFF")
    assert call("POST", URL, json=passed(), headers=shown).status_code == 200
    assert events(estate).count(("door-1", "access_granted")) == 1


def test_an_error_of_ours_is_answered_as_that_and_its_message_kept(call, estate: Estate, token: str, monkeypatch):
    monkeypatch.setattr(estate.hub, "message", lambda *_: 1 / 0)
    assert call("POST", URL, json=passed(), headers={"X-Push-Token": token}).status_code == 500
    assert quarantined(estate) == ["our own error"]
    assert estate.intake.bugs == 1


def test_posts_are_counted_by_their_answer(call, token: str):
    def counted(status: str) -> float:
        return REGISTRY.get_sample_value("linli_posts_total", {"status": status}) or 0.0

    before = counted("401"), counted("200")
    call("POST", URL, json=passed())
    call("POST", URL, json=passed(), headers={"X-Push-Token": token})
    assert (counted("401"), counted("200")) == (before[0] + 1, before[1] + 1)


@pytest.fixture
def impatient(estate: Estate, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, int]]:
    """The server as it really runs, with less patience."""
    monkeypatch.setattr(webserver.Impatient, "request_within_s", 0.3)
    app = create_app(estate)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = uvicorn.Server(webserver.config(app))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        yield "127.0.0.1", listening.getsockname()[1]
        app.state.feed.close()
        server.should_exit = True
        thread.join(10)


def test_a_body_that_dawdles_is_hung_up_on(impatient: tuple[str, int], estate: Estate, token: str):
    with socket.create_connection(impatient, 10) as slow:
        head = f"POST {URL}?token={token} HTTP/1.1\r\nHost: x\r\nContent-Length: 500\r\n\r\n"
        slow.sendall(head.encode() + b"{")
        assert slow.recv(4096) == b""
    assert events(estate) == []


def test_a_body_is_never_logged_nor_a_token(call, estate: Estate, token: str, capfd: pytest.CaptureFixture[str]):
    call("POST", f"{URL}?token={token}", content=b'{"name": "somebody"', headers={})
    call("POST", f"{URL}?token={token}x", json=passed())
    written = capfd.readouterr()
    assert token not in written.out + written.err
    assert "somebody" not in written.out + written.err
