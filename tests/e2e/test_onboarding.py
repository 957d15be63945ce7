"""An installer's way over the real broker: discover a box that speaks, register it, check it from end to end."""

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from devices.model import Device
from simulators.estate import Estate, Happening, What
from tests.e2e.running import Peer, RunningGateway, linli, running
from tests.e2e.test_lists import Player

pytestmark = pytest.mark.e2e


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[RunningGateway]:
    with running(tmp_path) as found:
        yield found


def said(gateway: RunningGateway, *arguments: str) -> tuple[int, str, dict[str, object]]:
    """A command of the operator's: its exit code, what it printed, and its last line."""
    token = str(gateway.api.headers["Authorization"]).removeprefix("Bearer ")
    ended = linli(*arguments, "--url", str(gateway.api.base_url), "--token", token)
    lines = ended.out.splitlines()
    return ended.code, ended.out + ended.err, json.loads(lines[-1]) if lines and lines[-1].startswith("{") else {}


def test_a_box_is_discovered_registered_and_checked(gateway: RunningGateway) -> None:
    estate = Estate(1)
    box = Player(gateway.broker, Device(id="cam-1", kind="camera", protocol="native", address="CAM-1"), estate)
    stranger = Peer(gateway.broker, "stranger")
    ended = threading.Event()

    def go_on() -> None:
        number = 0
        while not ended.wait(0.5):
            now = datetime.now(UTC)
            number += 1
            what = What.OBJECT_SEEN if number % 2 else What.OBJECT_GONE
            box._speak(box.player.beat(now))
            box._speak(box.player.happen(Happening(at=now, what=what, device="cam-1", number=number), now))
            stranger.client.publish("linli/v1/odd/one.out", '{"name": "王小明", "level": 40}')

    life = threading.Thread(target=go_on)
    life.start()
    try:
        code, printed, last = said(gateway, "devices", "discover", "--seconds", "3")
        assert code == 0, printed
        assert "native  CAM-1  camera" in printed
        assert "unknown  -  ?" in printed
        assert "linli/v1/odd/one.out" in printed, "a topic nobody listens on, which the broker refuses"
        assert "王小明" not in printed
        assert last["found"] == 2
        code, printed, _ = said(gateway, "devices", "add", "--from-discovered", "CAM-1", "--id", "cam-1")
        assert code == 0, printed
        code, printed, last = said(gateway, "devices", "check", "cam-1", "--seconds", "15")
        assert code == 0, printed
        assert last == {
            "device": "cam-1",
            "ok": True,
            "checks": dict.fromkeys(("registered", "heartbeat", "clock", "event", "command"), "pass"),
        }
        assert "command: sync_time: done" in printed
        taken = gateway.api.post("/v1/devices/cam-1/commands", json={"type": "take_snapshot"}, params={"wait": 10})
        assert taken.json()["status"] == "done", taken.text
    finally:
        ended.set()
        life.join()
        box.close()
        stranger.close()
    assert gateway.bugs() == []
