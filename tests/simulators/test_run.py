"""A simulated estate against a real broker: nats-server, the one the gateway brings along."""

import json
import shutil
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from simulators.estate import Estate
from simulators.faults import Faults
from simulators.gateway_process import free_port
from simulators.run import Run

pytestmark = pytest.mark.e2e


@pytest.fixture
def broker(tmp_path):
    binary = shutil.which("nats-server", path=str(Path(sys.executable).parent)) or shutil.which("nats-server")
    if binary is None:
        pytest.skip("nats-server is not installed")
    port = free_port()
    config = tmp_path / "nats.conf"
    config.write_text(
        f'server_name: t\nlisten: "127.0.0.1:{free_port()}"\nmax_payload: 8388608\n'
        f'jetstream {{ store_dir: "{tmp_path / "js"}" }}\nmqtt {{ listen: "127.0.0.1:{port}" }}\n'
    )
    with subprocess.Popen([binary, "-c", config], stderr=subprocess.PIPE, text=True) as server:
        for line in server.stderr:
            if "Server is ready" in line:
                break
        threading.Thread(target=server.stderr.read, daemon=True).start()
        yield f"mqtt://127.0.0.1:{port}"
        server.terminate()


class Opener:
    """Opens the native gate for each face it shows, as a gateway would."""

    def __init__(self, broker):
        self.opened = threading.Event()
        self.subscribed = threading.Event()
        self.client = mqtt.Client(CallbackAPIVersion.VERSION2)
        self.client.on_message = self.message
        self.client.on_subscribe = lambda *_: self.subscribed.set()
        self.client.connect("127.0.0.1", int(broker.rpartition(":")[2]))
        self.client.subscribe("linli/v1/+/event", 1)
        self.client.loop_start()
        assert self.subscribed.wait(10)

    def message(self, client, _data, message):
        body = json.loads(message.payload)
        if body["event"]["type"] == "door_changed" and body["event"]["open"]:
            self.opened.set()
        if body["event"]["type"] == "face_captured":
            not_after = (datetime.now(UTC) + timedelta(seconds=5)).isoformat()
            command = {"id": body["id"], "not_after": not_after, "command": {"type": "open_passage"}}
            client.publish(message.topic.replace("/event", "/command"), json.dumps(command), qos=1)

    def close(self):
        self.client.disconnect()
        self.client.loop_stop()


def test_a_gate_opens_when_told_and_every_record_is_confirmed(broker):
    opener = Opener(broker)
    with Run(Estate(1), broker=broker, seconds=120, rate=20, speed=2) as run:
        assert opener.opened.wait(30)
    opener.close()
    summary = run.summary()
    assert summary.openings > 0
    assert summary.sent == summary.acked > 0
    assert (summary.double_openings, summary.stray_openings) == (0, 0)


def test_a_reconnect_storm_loses_no_record(broker):
    run = Run(Estate(2), broker=broker, seconds=6, rate=30, faults=Faults(storm_s=1.0, duplicate=0.1, reorder=0.1))
    run.start()
    assert run.wait(60)
    run.stop()
    summary = run.summary()
    assert summary.connects > len(run.estate.devices()) / 3
    assert summary.sent == summary.acked > 100


def test_a_broker_that_is_not_there_is_named(monkeypatch):
    monkeypatch.setattr("simulators.run.CONNECT_WITHIN_S", 0.2)
    with pytest.raises(ConnectionError, match="did not take"):
        Run(Estate(1), broker=f"mqtt://127.0.0.1:{free_port()}").start()
