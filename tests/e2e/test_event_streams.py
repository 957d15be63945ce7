"""Cameras whose events are fetched, against the gateway as operators run it: attach, restart, garbage, a wrong
password, a gateway killed, and a stream slower than it promised.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from simulators.event_camera import BOUNDARY, DAHUA, EventCamera, alert
from tests.e2e.running import RunningGateway, eventually

pytestmark = pytest.mark.e2e

JPEG = b"\xff\xd8\xff\xe0a drawn scene\xff\xd9"


@pytest.fixture
def gateway(running_gateway: RunningGateway) -> RunningGateway:
    """One for all of them: each test has devices of its own."""
    return running_gateway


@pytest.fixture
def camera() -> Iterator[EventCamera]:
    made = EventCamera()
    yield made
    made.close()


def now() -> datetime:
    return datetime.now(UTC)


def attach(gateway: RunningGateway, device: str, camera: EventCamera, *, password: str = "") -> None:
    body = {"url": camera.url, "username": camera.username, "password": password or camera.password, "attach": True}
    answer = gateway.api.put(f"/v1/devices/{device}/access", json=body)
    assert answer.status_code == 200, answer.text


def stream(gateway: RunningGateway, device: str) -> dict[str, Any]:
    found: dict[str, Any] = gateway.get(f"/v1/devices/{device}")["stream"]
    return found


def attached(gateway: RunningGateway, device: str) -> None:
    eventually(lambda: (stream(gateway, device) or {}).get("attached_since"), what=f"the stream of {device}")


def alerts(gateway: RunningGateway, device: str) -> list[str]:
    return [one["type"] for one in gateway.get("/v1/alerts")["items"] if one["device"] == device]


def test_an_event_of_each_maker_becomes_an_alert_and_its_picture_is_kept(
    gateway: RunningGateway, camera: EventCamera
) -> None:
    dahua = EventCamera(DAHUA)
    gateway.put_device("cam-1", "camera", "hik_camera")
    gateway.put_device("cam-2", "camera", "dahua")
    attach(gateway, "cam-1", camera)
    attach(gateway, "cam-2", dahua)
    attached(gateway, "cam-1")
    attached(gateway, "cam-2")
    assert camera.alert("shelteralarm", now(), picture=JPEG)
    assert dahua.say(b"Heartbeat", "text/plain")
    assert dahua.say(b"Code=VideoLoss;action=Start;index=0", "text/plain")
    eventually(lambda: "camera_occluded" in alerts(gateway, "cam-1"), what="the alert of cam-1")
    eventually(lambda: "camera_signal_lost" in alerts(gateway, "cam-2"), what="the alert of cam-2")
    assert gateway.rows("SELECT count(*) FROM captures WHERE device='cam-1'") == [(1,)]
    assert [gateway.get(f"/v1/devices/{name}")["online"] for name in ("cam-1", "cam-2")] == [True, True]
    assert gateway.bugs() == []
    dahua.close()


def test_a_camera_that_restarts_within_a_part_and_one_that_sends_garbage_are_heard_on(
    gateway: RunningGateway, camera: EventCamera
) -> None:
    gateway.put_device("cam-3", "camera", "hik_camera")
    attach(gateway, "cam-3", camera)
    attached(gateway, "cam-3")
    head = f"--{BOUNDARY}\r\nContent-Type: application/xml\r\nContent-Length: 400\r\n\r\n".encode()
    camera.send(head + alert("videoloss", now())[:120])
    camera.close()
    eventually(lambda: "cannot be reached" in stream(gateway, "cam-3")["trouble"], what="the trouble")
    camera.restart()
    attached(gateway, "cam-3")
    camera.send(f"--{BOUNDARY}\r\n\x00\x01 garbage \x7f\r\n".encode())
    camera.alert("shelteralarm", now())
    eventually(lambda: "camera_occluded" in alerts(gateway, "cam-3"), what="the alert")
    assert camera.streams == 2
    reasons = gateway.rows("SELECT reason FROM quarantine WHERE topic = '/ingest/hik_camera/cam-3/'")
    assert reasons == [("payload is not JSON",)]
    assert gateway.counted("linli_quarantined", "payload is not JSON") == 1
    assert gateway.bugs() == []


def test_a_wrong_password_is_tried_once_and_told_until_it_is_set_anew(
    gateway: RunningGateway, camera: EventCamera
) -> None:
    gateway.put_device("cam-4", "camera", "hik_camera")
    attach(gateway, "cam-4", camera, password="wrong")

    def problems() -> list[str]:
        found: list[str] = gateway.api.get("/health").json()["problems"]
        return [one for one in found if "cam-4" in one]

    (problem,) = eventually(problems, what="the problem")
    assert "refused the username or the password" in problem
    assert stream(gateway, "cam-4")["trouble"] in problem
    assert camera.refused == 1
    attach(gateway, "cam-4", camera)
    attached(gateway, "cam-4")
    assert (problems(), camera.refused) == ([], 1)


def test_a_gateway_that_is_killed_attaches_again_and_fetches_what_a_terminal_saw_meanwhile(
    gateway: RunningGateway, camera: EventCamera
) -> None:
    gateway.put_device("door-1", "face_gate", "hik_access")
    attach(gateway, "door-1", camera)
    attached(gateway, "door-1")
    began = now() - timedelta(seconds=30)

    def happened(serial: int, minor: int, *, live: bool) -> None:
        at = (began + timedelta(seconds=serial)).isoformat(timespec="seconds")
        camera.kept.append({"major": 5, "minor": minor, "time": at, "serialNo": serial})
        event = f'{{"majorEventType": 5, "subEventType": {minor}, "serialNo": {serial}}}'
        body = f'{{"eventType": "AccessControllerEvent", "dateTime": "{at}", "AccessControllerEvent": {event}}}'
        assert camera.say(body.encode(), "application/json") or not live

    def granted() -> list[dict[str, Any]]:
        return gateway.events("door-1", "access_granted")

    happened(1, 75, live=True)
    eventually(granted, what="the first event")
    gateway.kill()
    eventually(lambda: not camera.say(b"{}", "application/json"), what="the end of the line")
    for serial in range(2, 6):
        happened(serial, 75, live=False)
    happened(6, 27, live=False)
    gateway.start()
    gateway.await_ready()
    attached(gateway, "door-1")
    eventually(lambda: len(granted()) == 5, what="what it saw meanwhile")
    eventually(lambda: "door_forced" in alerts(gateway, "door-1"), what="the alert")
    happened(7, 75, live=True)
    eventually(lambda: len(granted()) == 6, what="the next event")
    assert [event["late"] for event in granted()] == [False, True, True, True, True, False]
    assert stream(gateway, "door-1")["history"] == ""
    assert gateway.bugs() == []


def test_a_stream_slower_than_its_heartbeat_is_attached_to_anew(gateway: RunningGateway, camera: EventCamera) -> None:
    gateway.put_device("cam-5", "camera", "hik_camera", params={"heartbeat_s": 0.5})
    attach(gateway, "cam-5", camera)
    eventually(lambda: camera.streams >= 3, what="the third stream")
    eventually(
        lambda: camera.alert("shelteralarm", now()) and "camera_occluded" in alerts(gateway, "cam-5"), what="the alert"
    )
    assert gateway.bugs() == []
