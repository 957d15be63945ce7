"""The whole way of a message: a device speaks, the gateway decides, the door opens, the alert arrives everywhere."""

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from simulators.backend import Backend
from tests.e2e.running import NativeDevice, RunningGateway, eventually

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def gate(running_gateway: RunningGateway) -> Iterator[NativeDevice]:
    running_gateway.put_device("gate-1", "face_gate", building="3", params={"forced_detection": 0})
    running_gateway.enrol("王小明", cards="CARD-0001")
    device = NativeDevice(running_gateway.broker, "gate-1")
    eventually(lambda: running_gateway.get("/v1/devices/gate-1")["online"])
    yield device
    device.close()


class Stream:
    """What /v1/stream says, read as a desk reads it."""

    def __init__(self, gateway: RunningGateway) -> None:
        self.changes: list[dict[str, Any]] = []
        self.devices: list[dict[str, Any]] = []
        self._open = threading.Event()
        self._gateway = gateway
        threading.Thread(target=self._read, daemon=True).start()
        assert self._open.wait(10)

    def _read(self) -> None:
        kind = ""
        timeout = httpx.Timeout(30)
        try:
            with self._gateway.api.stream("GET", "/v1/stream", timeout=timeout) as answer:
                for line in answer.iter_lines():
                    self._open.set()
                    if line.startswith("event: "):
                        kind = line.removeprefix("event: ")
                    elif line.startswith("data: "):
                        said = json.loads(line.removeprefix("data: "))
                        (self.changes if kind == "alert" else self.devices).append(said)
        except httpx.HTTPError:
            return  # the gateway has ended, and with it the stream

    def of(self, device: str, type_: str) -> list[str]:
        return [c["change"] for c in self.changes if (c["alert"]["device"], c["alert"]["type"]) == (device, type_)]


@pytest.fixture(scope="module")
def stream(running_gateway: RunningGateway) -> Stream:
    return Stream(running_gateway)


@pytest.fixture
def backend(running_gateway: RunningGateway, tmp_path: Path) -> Iterator[Backend]:
    """A backend that checks signatures, subscribed to everything from now on."""
    receiver = Backend(secret="", store=tmp_path / "backend.db")
    receiver.start()
    answer = running_gateway.api.post("/v1/subscriptions", json={"url": receiver.url})
    assert answer.status_code == 201, answer.text
    receiver.secrets.append(answer.json()["secret"])
    yield receiver
    running_gateway.api.delete(f"/v1/subscriptions/{answer.json()['id']}")
    receiver.stop()


def alerts(gateway: RunningGateway, device: str, type_: str) -> list[dict[str, Any]]:
    return list(gateway.get("/v1/alerts", device=device, type=type_)["items"])


def test_a_residents_card_opens_the_door_and_the_door_contact_proves_it(
    running_gateway: RunningGateway, gate: NativeDevice
) -> None:
    gate.event("credential_presented", method="card", value="CARD-0001")
    order = gate.command()
    assert order["command"] == {"type": "open_passage", "method": "card"}
    gate.answer(order["id"], "accepted")
    eventually(lambda: running_gateway.get(f"/v1/commands/{order['id']}")["status"] == "accepted")
    gate.event("door_changed", open=True)
    eventually(lambda: running_gateway.get(f"/v1/commands/{order['id']}")["status"] == "done")
    gate.event("door_changed", open=False)
    granted = running_gateway.events("gate-1", "access_granted")
    assert [event["method"] for event in granted] == ["card"]


def test_three_unknown_cards_raise_one_alert_that_reaches_list_feed_stream_and_backend(
    running_gateway: RunningGateway, gate: NativeDevice, stream: Stream, backend: Backend
) -> None:
    for _ in range(3):
        gate.event("credential_presented", method="card", value="FOUND-IN-THE-STREET")
    raised = eventually(lambda: alerts(running_gateway, "gate-1", "repeated_refusal"))
    assert len(raised) == 1
    alert = raised[0]
    assert (alert["open"], alert["condition"], alert["building"]) == (True, "active", "3")

    feed = running_gateway.get("/v1/alerts/changes", limit=500)["items"]
    assert [c["change"] for c in feed if c["alert"]["id"] == alert["id"]] == ["raised"]
    eventually(lambda: stream.of("gate-1", "repeated_refusal") == ["raised"])
    eventually(lambda: alert["id"] in backend.received()["alerts"], what="the delivery")
    received = backend.received()
    assert (received["bad_signatures"], received["not_cloudevents"]) == (0, 0)
    assert "cn.linli.alert.raised.v1" in received["types"]

    done = running_gateway.api.post(f"/v1/alerts/{alert['id']}/acknowledge", json={"reason": "已查看"})
    assert done.status_code == 200, done.text
    assert done.json()["acknowledged"]["by"] == "the admin"
    gate.event("credential_presented", method="card", value="CARD-0001")
    gate.command()
    eventually(lambda: alerts(running_gateway, "gate-1", "repeated_refusal")[0]["condition"] == "cleared")
    done = running_gateway.api.post(
        f"/v1/alerts/{alert['id']}/dispose", json={"disposition": "true", "reason": "捡到的卡"}
    )
    assert done.status_code == 200, done.text
    assert done.json()["open"] is False
    history = running_gateway.get(f"/v1/alerts/{alert['id']}")["history"]
    assert [entry["change"] for entry in history] == ["raised", "acknowledged", "cleared", "disposed"]
    eventually(lambda: len(stream.of("gate-1", "repeated_refusal")) == 4)
    eventually(lambda: backend.received()["count"] == 4)
    assert backend.received()["duplicates"] == 0


def test_the_same_idempotency_key_opens_the_door_once(running_gateway: RunningGateway, gate: NativeDevice) -> None:
    ask: dict[str, Any] = {"json": {"type": "open_passage"}, "headers": {"Idempotency-Key": "visitor-at-the-door"}}
    first = running_gateway.api.post("/v1/devices/gate-1/commands", **ask)
    again = running_gateway.api.post("/v1/devices/gate-1/commands", **ask)
    assert first.status_code == 202, first.text
    assert again.json()["id"] == first.json()["id"]
    assert gate.command()["id"] == first.json()["id"]
    other = running_gateway.api.post("/v1/devices/gate-1/commands", json={"type": "open_passage"})
    assert gate.command()["id"] == other.json()["id"] != first.json()["id"], "the second request was published too"
    gate.answer(first.json()["id"], "failed")
    gate.answer(other.json()["id"], "failed")


def test_a_command_to_a_device_that_was_never_heard_is_refused_and_not_queued(running_gateway: RunningGateway) -> None:
    running_gateway.put_device("gate-away", "face_gate")
    answer = running_gateway.api.post("/v1/devices/gate-away/commands", json={"type": "open_passage"})
    assert answer.status_code == 409
    assert answer.headers["content-type"] == "application/problem+json"
    assert "offline" in answer.json()["detail"]
    assert running_gateway.get("/v1/commands", device="gate-away")["items"] == []
    device = NativeDevice(running_gateway.broker, "gate-away")
    eventually(lambda: running_gateway.get("/v1/devices/gate-away")["online"])
    asked = running_gateway.api.post("/v1/devices/gate-away/commands", json={"type": "open_passage"})
    assert device.command()["id"] == asked.json()["id"], "it heard what was asked while it was away"
    device.close()


def test_a_last_will_takes_the_device_offline(running_gateway: RunningGateway, stream: Stream) -> None:
    running_gateway.put_device("gate-cut-off", "face_gate")
    device = NativeDevice(running_gateway.broker, "gate-cut-off")
    eventually(lambda: running_gateway.get("/v1/devices/gate-cut-off")["online"])
    device.vanish()
    eventually(lambda: running_gateway.get("/v1/devices/gate-cut-off")["online"] is False)
    said = running_gateway.events("gate-cut-off", "device_status_changed")[-1]
    assert (said["online"], said["reason"]) == (False, "last_will")
    eventually(lambda: {"id": "gate-cut-off", "online": False}.items() <= _last(stream.devices, "gate-cut-off").items())


def _last(devices: list[dict[str, Any]], device: str) -> dict[str, Any]:
    return next((said for said in reversed(devices) if said["id"] == device), {})


def test_a_lamp_is_dimmed_and_its_own_measurement_proves_it(running_gateway: RunningGateway) -> None:
    running_gateway.put_device("lamp-1", "light")
    lamp = NativeDevice(running_gateway.broker, "lamp-1")
    eventually(lambda: running_gateway.get("/v1/devices/lamp-1")["online"])
    asked = running_gateway.api.post("/v1/devices/lamp-1/commands", json={"type": "set_lamp", "level_pct": 40})
    assert asked.status_code == 202, asked.text
    order = lamp.command()
    assert order["command"] == {"type": "set_lamp", "level_pct": 40.0}
    lamp.answer(order["id"], "accepted")
    lamp.event("lamp_measured", level_pct=40.0, active_power_w=22.5)
    eventually(lambda: running_gateway.get(f"/v1/commands/{order['id']}")["status"] == "done")
    wrong = running_gateway.api.post("/v1/devices/lamp-1/commands", json={"type": "open_passage"})
    assert wrong.status_code == 409, "a lamp is no door"
    lamp.close()


def test_nothing_on_the_way_was_an_error_of_our_own(running_gateway: RunningGateway) -> None:
    assert running_gateway.bugs() == []
