"""A Vbar terminal at the real broker: it asks, is answered, is told to open, and three refusals are an alert."""

import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.running import Peer, RunningGateway, eventually, running

pytestmark = pytest.mark.e2e
SN = "VF000042"
UP = "access_device/v1"


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGateway]:
    with running(tmp_path_factory.mktemp("vf")) as found:
        found.put_device("door", "face_gate", "vf", address=SN)
        yield found


@pytest.fixture
def terminal(gateway: RunningGateway) -> Iterator[Peer]:
    peer = Peer(gateway.broker, "vf", hears=[f"{UP}/cmd/{SN}/+", f"{UP}/event/{SN}/+"])
    peer.say(f"{UP}/event/connect", message("hello", {"appVersion": "vf_1.0"}))
    assert peer.next() == (f"{UP}/event/{SN}/connect_reply", {"serialNo": "hello", "code": "000000"})
    yield peer
    peer.close()


def message(serial: str, data: Any) -> dict[str, Any]:
    return {"serialNo": serial, "uuid": SN, "sign": "", "code": "000000", "time": int(time.time()), "data": data}


def ask(terminal: Peer, serial: str, card: str) -> Any:
    """Show a card; what the terminal is answered."""
    terminal.say(f"{UP}/event/access_online", message(serial, {"type": 200, "code": card}))
    topic, body = terminal.next()
    assert topic == f"{UP}/event/{SN}/access_online_reply"
    return body


def test_a_residents_card_is_allowed_and_three_unknown_ones_are_refused_and_an_alert(
    gateway: RunningGateway, terminal: Peer
) -> None:
    gateway.enrol("试验人", cards="C0FFEE01")
    assert ask(terminal, "q-1", "c0ffee01") == {"serialNo": "q-1", "code": "000000"}
    for number in range(2, 5):
        assert ask(terminal, f"q-{number}", "DEAD0001") == {"serialNo": f"q-{number}", "code": "100000"}
    found = eventually(lambda: gateway.get("/v1/alerts", device="door", type="repeated_refusal")["items"])
    assert len(found) == 1
    assert [event["method"] for event in gateway.events("door", "access_granted")] == ["card"]
    kept = gateway.rows("SELECT body FROM events")
    assert not any(b"c0ffee01" in body.lower() or b"DEAD0001" in body for (body,) in kept), "a card's number was kept"


def test_a_command_to_open_is_answered_and_proved_by_the_door(gateway: RunningGateway, terminal: Peer) -> None:
    answer = gateway.api.post("/v1/devices/door/commands", json={"type": "open_passage"})
    assert answer.status_code in (200, 201, 202), answer.text
    command = answer.json()["id"]
    topic, body = terminal.next()
    assert (topic, body["data"]["command"]) == (f"{UP}/cmd/{SN}/control", 1)
    terminal.say(f"{UP}/cmd/control_reply", message(body["serialNo"], {}))
    eventually(lambda: gateway.get(f"/v1/commands/{command}")["status"] == "accepted")
    terminal.say(f"{UP}/event/alarm", message("door-1", {"type": 256, "value": 0}))
    eventually(lambda: gateway.get(f"/v1/commands/{command}")["status"] == "done")
    assert gateway.bugs() == []
