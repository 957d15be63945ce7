"""Devices that speak HTTP, against the gateway as operators run it: an event becomes an alert, a command an answer, and
a gateway killed between a post and its answer stores it once.
"""

import json
import socket
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from simulators.http_door import HttpDoor
from simulators.http_terminal import HttpTerminal
from tests.devices.posts import body
from tests.e2e.running import RunningGateway, eventually

pytestmark = pytest.mark.e2e


@pytest.fixture
def gateway(running_gateway: RunningGateway) -> RunningGateway:
    """One for all of them: each test has devices of its own."""
    return running_gateway


@pytest.fixture
def door() -> Iterator[HttpDoor]:
    made = HttpDoor()
    yield made
    made.close()


def access(gateway: RunningGateway, device: str, **body: Any) -> tuple[str, str]:
    """Where the device posts, and with what."""
    answer = gateway.api.put(f"/v1/devices/{device}/access", json=body)
    assert answer.status_code == 200, answer.text
    found = answer.json()
    return f"{str(gateway.api.base_url).rstrip('/')}{found['push_path']}", found["push_token"]


def now() -> datetime:
    return datetime.now(UTC)


def test_a_terminal_s_event_becomes_an_alert_and_a_command_opens_its_door(
    gateway: RunningGateway, door: HttpDoor
) -> None:
    gateway.put_device("door-1", "face_gate", "hik_access", address="HIK001")
    calls = {"url": door.url, "username": door.username, "password": door.password}
    terminal = HttpTerminal(*access(gateway, "door-1", **calls), username="door-1")
    assert terminal.heartbeat(now()) == 200
    assert terminal.access(5, 27, now()) == 200

    def forced() -> list[dict[str, Any]]:
        return [a for a in gateway.get("/v1/alerts")["items"] if (a["device"], a["type"]) == ("door-1", "door_forced")]

    (alert,) = eventually(forced, what="the alert")
    assert alert["severity"] == 1

    sent = gateway.api.post("/v1/devices/door-1/commands", json={"type": "open_passage"}).json()
    eventually(lambda: gateway.get(f"/v1/commands/{sent['id']}")["status"] == "accepted", what="the door's answer")
    assert terminal.access(5, 25, now()) == 200
    assert gateway.get(f"/v1/commands/{sent['id']}")["status"] == "done"
    assert [told.path for told in door.told] == ["/ISAPI/AccessControl/RemoteControl/door/1"]
    assert gateway.bugs() == []
    terminal.close()


def test_a_camera_opens_its_barrier_on_the_answer_to_a_plate(gateway: RunningGateway) -> None:
    gateway.put_device("lane-1", "barrier", "vzenith_push", address="aa-01", options={"transport": "http"})
    assert gateway.api.put("/v1/vehicles/粤B12345", json={"listing": "allow"}).status_code == 201
    camera = HttpTerminal(*access(gateway, "lane-1"))
    answers = []
    for number, plate in ((1, "粤B12345"), (2, "粤B99999")):
        result = {"license": plate, "plateid": number, "timeStamp": {"Timeval": {"sec": int(now().timestamp())}}}
        answer = camera.post({"AlarmInfoPlate": {"serialno": "aa-01", "result": {"PlateResult": result}}})
        answers.append(answer.json()["Response_AlarmInfoPlate"]["info"])
    assert answers == ["ok", "no"]
    camera.close()


AS_RECORDED = {  # what in a recorded post tells the time -> the same of now
    b"2026-03-02T07:15:09+08:00": lambda at: at.isoformat(timespec="seconds"),
    b"2026-03-02 07:15:09": lambda at: at.astimezone(ZoneInfo("Asia/Shanghai")).strftime("%Y-%m-%d %H:%M:%S"),
    b"2026-03-02T07:15:09.250+08:00": lambda at: at.isoformat(timespec="milliseconds"),
    b"1772406909": lambda at: str(int(at.timestamp())),
}
DIALECTS = [
    ("hik_access", "face_gate", "D1", "door-forced", "door_forced"),
    ("hik_anpr", "barrier", "D1", "plate", "blocklisted_plate"),
    ("hik_camera", "camera", "D1", "video-lost", "camera_signal_lost"),
    ("dahua", "camera", "D1", "two-pieces-and-a-heartbeat", "camera_occluded"),
    ("vzenith_push", "barrier", "0badcafe-01020304", "plate", "blocklisted_plate"),
    ("claa", "cover", "004a770000000001", "cover-open", "cover_open"),
]


def test_a_post_of_every_dialect_becomes_an_alert(gateway: RunningGateway) -> None:
    assert gateway.api.put("/v1/vehicles/沪A12345", json={"listing": "block"}).status_code == 201
    for protocol, kind, address, name, alert in DIALECTS:
        device = f"{protocol}-1"
        gateway.put_device(device, kind, protocol, address=address)
        terminal = HttpTerminal(*access(gateway, device), username=device if protocol.startswith("hik") else "")
        content = body(protocol, name)
        for recorded, written in AS_RECORDED.items():
            content = content.replace(recorded, written(now()).encode())
        assert terminal.say(content, "application/octet-stream").status_code == 200
        alerts = gateway.get("/v1/alerts")["items"]
        assert [a["late"] for a in alerts if (a["device"], a["type"]) == (device, alert)] == [False], (device, alerts)
        terminal.close()
    assert gateway.bugs() == []


def test_a_barrier_is_closed_by_a_call(gateway: RunningGateway, door: HttpDoor) -> None:
    gateway.put_device("lane-2", "barrier", "hik_anpr", address="D2", options={"barrier": "parking"})
    calls = {"url": door.url, "username": door.username, "password": door.password}
    camera = HttpTerminal(*access(gateway, "lane-2", **calls))
    assert camera.heartbeat(now()) == 200
    sent = gateway.api.post("/v1/devices/lane-2/commands", json={"type": "close_barrier"}).json()
    eventually(lambda: gateway.get(f"/v1/commands/{sent['id']}")["status"] == "accepted", what="the barrier's answer")
    wanted = b"<BarrierGate><ctrlMode>close</ctrlMode></BarrierGate>"
    assert [(told.path, told.body) for told in door.told] == [("/ISAPI/Parking/channels/1/barrierGate", wanted)]
    camera.close()


@pytest.mark.parametrize(("moment", "device"), [("at once", "door-2"), ("after the commit", "door-3")])
def test_a_gateway_killed_before_it_answers_stores_the_post_once(
    gateway: RunningGateway, moment: str, device: str
) -> None:
    gateway.put_device(device, "face_gate", "hik_access")
    url, token = access(gateway, device)
    event = {"majorEventType": 5, "subEventType": 75, "serialNo": 41, "employeeNoString": "7"}
    at = (now() - timedelta(seconds=1)).isoformat()
    alert = {"eventType": "AccessControllerEvent", "dateTime": at, "AccessControllerEvent": event}
    content = json.dumps(alert).encode()
    head = f"POST {url.partition(str(gateway.http_port))[2]}?token={token} HTTP/1.1\r\nHost: x\r\n"
    with socket.create_connection(("127.0.0.1", gateway.http_port), 10) as line:
        line.sendall(head.encode() + f"Content-Length: {len(content)}\r\n\r\n".encode() + content)
        if moment == "after the commit":
            eventually(lambda: gateway.events(device, "access_granted"), what="the commit")
        gateway.kill()
    gateway.start()
    gateway.await_ready()
    terminal = HttpTerminal(url, token)
    for _ in range(2):
        assert eventually(lambda: terminal.post(alert).status_code) == 200
    assert len(gateway.events(device, "access_granted")) == 1
    terminal.close()
