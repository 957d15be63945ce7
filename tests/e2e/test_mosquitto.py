"""The same path with somebody else's broker: Mosquitto, by mqtt.url."""

import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from simulators.gateway_process import free_port
from tests.e2e.running import NativeDevice, RunningGateway, eventually, running

BINARY = shutil.which("mosquitto") or shutil.which("/usr/sbin/mosquitto")
pytestmark = [pytest.mark.e2e, pytest.mark.skipif(BINARY is None, reason="mosquitto is not installed")]


class Mosquitto:
    """Mosquitto on a port that stays the same, with its sessions and messages on disk."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self._config = folder / "mosquitto.conf"
        # Started by root it would become another user, who may not write here; else the line means nothing.
        self._config.write_text(
            f"user root\nlistener {self.port} 127.0.0.1\nallow_anonymous true\n"
            f"persistence true\npersistence_location {folder}/\nautosave_interval 1\n"
        )
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        assert BINARY is not None
        self._process = subprocess.Popen(
            [BINARY, "-c", str(self._config)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        eventually(self._listens, what="mosquitto")

    def stop(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)
            self._process.wait(10)

    def _listens(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
        except OSError:
            return False
        return True


@pytest.fixture(scope="module")
def mosquitto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mosquitto]:
    broker = Mosquitto(tmp_path_factory.mktemp("mosquitto"))
    broker.start()
    yield broker
    broker.stop()


@pytest.fixture(scope="module")
def gateway(mosquitto: Mosquitto, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGateway]:
    with running(tmp_path_factory.mktemp("gateway"), mqtt_port=mosquitto.port) as found:
        found.put_device("gate-1", "face_gate")
        found.enrol("李小红", cards="CARD-0002")
        yield found


@pytest.fixture
def gate(gateway: RunningGateway) -> Iterator[NativeDevice]:
    device = NativeDevice(gateway.broker, "gate-1")
    eventually(lambda: gateway.get("/v1/devices/gate-1")["online"])
    yield device
    device.close()


def test_a_card_opens_the_door_through_mosquitto(gateway: RunningGateway, gate: NativeDevice) -> None:
    gate.event("credential_presented", method="card", value="CARD-0002")
    order = gate.command()
    gate.answer(order["id"], "accepted")
    gate.event("door_changed", open=True)
    eventually(lambda: gateway.get(f"/v1/commands/{order['id']}")["status"] == "done")
    assert not (gateway.data / "broker").exists(), "our own broker was started all the same"
    assert gateway.bugs() == []


def test_three_unknown_cards_raise_the_alert_through_mosquitto(gateway: RunningGateway, gate: NativeDevice) -> None:
    for _ in range(3):
        gate.event("credential_presented", method="card", value="UNKNOWN")
    raised = eventually(lambda: gateway.get("/v1/alerts", type="repeated_refusal")["items"])
    assert [alert["device"] for alert in raised] == ["gate-1"]


def test_what_mosquitto_kept_while_the_gateway_was_killed_is_stored_once(
    gateway: RunningGateway, gate: NativeDevice
) -> None:
    gateway.kill()
    for n in range(50):
        gate.event("vendor_notice", name=f"meanwhile-{n}")
    gateway.begin()
    eventually(lambda: len(gateway.events("gate-1", "vendor_notice")) >= 50)
    names = [event["name"] for event in gateway.events("gate-1", "vendor_notice")]
    assert sorted(names) == sorted(f"meanwhile-{n}" for n in range(50))


def test_a_restarted_mosquitto_is_found_again(
    gateway: RunningGateway, gate: NativeDevice, mosquitto: Mosquitto
) -> None:
    mosquitto.stop()
    eventually(lambda: "no device can be heard" in str(gateway.api.get("/health").json()["problems"]))
    mosquitto.start()
    eventually(lambda: gateway.api.get("/health").json()["ok"])
    gate.event("vendor_notice", name="after the restart")
    eventually(lambda: gateway.events("gate-1", "vendor_notice")[-1]["name"] == "after the restart")
