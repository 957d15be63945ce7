"""The peer: thingsboard-gateway, a Python MQTT gateway of the same kind, in a virtual environment of its own.

It gets what it is made for: the same messages from the same kind of broker, its JSON converter, its SQLite storage, and
upstream a broker at which we stand in for ThingsBoard and count. Its shipped settings are kept, but for its rate limits
(we answer, as an own server does, that there are none).
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
import psutil
from paho.mqtt.enums import CallbackAPIVersion

from benchmarks import ground, ingest, latency
from benchmarks.publisher import DEVICES
from simulators.gateway_process import free_port

VERSION = "3.8.5"
HOME = Path(__file__).parent / ".peer"
KEYS = {
    "id": ("string", "${id}"),
    "at": ("string", "${event.at}"),
    "type": ("string", "${event.type}"),
    "method": ("string", "${event.method}"),
    "person": ("string", "${event.person}"),
    "similarity": ("double", "${event.similarity}"),
    "direction": ("string", "${event.direction}"),
    "stored": ("boolean", "${stored}"),
    "firmware": ("string", "${firmware}"),
}
NO_LIMITS = b'{"maxPayloadSize":65536,"maxInflightMessages":100,"rateLimits":{},"gatewayRateLimits":{}}'
STORAGE = {
    "type": "sqlite",
    "messages_ttl_check_in_hours": 1,
    "messages_ttl_in_days": 7,
    "max_read_records_count": 1000,
    "size_limit": 1024,
    "max_db_amount": 10,
    "oversize_check_period": 1,
    "writing_batch_size": 1000,
}


class Upstream:
    """Stands where ThingsBoard would: when each event came, by device and the event's own time."""

    def __init__(self, port: int) -> None:
        self.arrived: dict[tuple[str, str], int] = {}
        self.devices: set[str] = set()
        client = paho.Client(CallbackAPIVersion.VERSION2, client_id="upstream", protocol=paho.MQTTv311)
        client.on_socket_open = ground.at_once
        client.on_connect = lambda c, *_: c.subscribe("v1/#", qos=1)
        client.on_message = self._on_message
        client.connect("127.0.0.1", port)
        client.loop_start()
        self.client = client

    def _on_message(self, client: paho.Client, _user: Any, message: paho.MQTTMessage) -> None:
        now = time.monotonic_ns()
        if message.topic.startswith("v1/devices/me/rpc/request/") and b"getSessionLimits" in message.payload:
            client.publish(message.topic.replace("/request/", "/response/"), NO_LIMITS, qos=1)
        if message.topic != "v1/gateway/telemetry":
            return
        for device, rows in json.loads(message.payload).items():
            for row in rows:
                if at := row.get("values", {}).get("at"):  # else it is the peer's own statistics
                    self.devices.add(device)
                    self.arrived.setdefault((device, at), now)

    def settle(self, wanted: int, seconds: float) -> None:
        """Wait for so many arrivals, or until nothing has come for 10 s."""
        give_up, before, quiet_at = time.monotonic() + seconds, -1, time.monotonic()
        while len(self.arrived) < wanted and time.monotonic() < give_up:
            if len(self.arrived) != before:
                before, quiet_at = len(self.arrived), time.monotonic()
            elif time.monotonic() - quiet_at > 10:
                return
            time.sleep(0.1)


@contextlib.contextmanager
def mosquitto(folder: Path) -> Iterator[int]:
    """The broker upstream: the peer speaks MQTT 5 there, which NATS does not."""
    program = shutil.which("mosquitto", path=f"{os.environ['PATH']}:/usr/sbin")
    if program is None:
        raise SystemExit("mosquitto is needed for the peer: apt-get install mosquitto")
    folder.mkdir()
    port = free_port()
    config = folder / "mosquitto.conf"
    config.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\nmax_queued_messages 0\n")
    with (folder / "log").open("wb") as log:
        child = subprocess.Popen([program, "-c", str(config)], stdout=log, stderr=log)
    try:
        ground.wait_for(lambda: ground.listens(port), 10, "mosquitto")
        yield port
    finally:
        ground.end(child)


def install() -> Path:
    """Its interpreter; made on first use, which needs a package index and uv."""
    python = HOME / "venv" / "bin" / "python"
    package = f"thingsboard-gateway=={VERSION}"
    uv = shutil.which("uv")
    if uv is None:
        raise SystemExit("uv is needed to install the peer")
    if not python.exists():
        subprocess.run([uv, "venv", "-q", "--python", "3.11", str(HOME / "venv")], check=True)
    if subprocess.run([uv, "pip", "install", "-q", "--python", str(python), package], check=False).returncode:
        raise SystemExit(f"{package} could not be installed, so there is no peer to compare with")
    return python


def configure(python: Path, folder: Path, port: int, upstream: int) -> Path:
    """Its configuration directory."""
    shipped = next((python.parent.parent / "lib").glob("python*/site-packages/thingsboard_gateway/config"))
    config = folder / "config"
    for needed in (config, folder / "logs", folder / "data"):
        needed.mkdir(parents=True)
    for name in ("logs.json", "list.json"):
        shutil.copy(shipped / name, config)
    main = json.loads((shipped / "tb_gateway.json").read_text())
    main["thingsboard"] |= {
        "host": "127.0.0.1",
        "port": upstream,
        "remoteConfiguration": False,
        "security": {"type": "accessToken", "accessToken": "bench"},
    }
    main["storage"] = STORAGE | {"data_file_path": f"{folder}/data/"}
    name = "11111111-2222-3333-4444-555555555555"
    main["connectors"] = [{"name": "gates", "type": "mqtt", "configuration": "mqtt.json", "id": name}]
    (config / "tb_gateway.json").write_text(json.dumps(main))
    (config / "mqtt.json").write_text(json.dumps({"id": name, **_connector(port)}))
    return config


def _connector(port: int) -> dict[str, Any]:
    converter = {
        "type": "json",
        "deviceInfo": {
            "deviceNameExpressionSource": "topic",
            "deviceNameExpression": "(?<=linli/v1/)(.*?)(?=/event)",
            "deviceProfileExpressionSource": "constant",
            "deviceProfileExpression": "face_gate",
        },
        "sendDataOnlyOnChange": False,
        "timeout": 60000,
        "attributes": [],
        "timeseries": [{"type": kind, "key": key, "value": value} for key, (kind, value) in KEYS.items()],
    }
    return {
        "broker": {
            "host": "127.0.0.1",
            "port": port,
            "clientId": "peer",
            "version": 4,
            "maxMessageNumberPerWorker": 10,
            "maxNumberOfWorkers": 100,
            "security": {"type": "anonymous"},
        },
        "mapping": [{"topicFilter": "linli/v1/+/event", "subscriptionQos": 1, "converter": converter}],
        "requestsMapping": {
            "connectRequests": [],
            "disconnectRequests": [],
            "attributeRequests": [],
            "attributeUpdates": [],
            "serverSideRpc": [],
        },
    }


@contextlib.contextmanager
def running(python: Path, folder: Path, port: int, upstream: Upstream, upstream_port: int) -> Iterator[psutil.Process]:
    """The peer as a process, ready: it has forwarded something of every device."""
    config = configure(python, folder, port, upstream_port)
    with (folder / "log").open("wb") as log:
        child = subprocess.Popen(
            [str(python), "-m", "thingsboard_gateway.tb_gateway"],
            stdout=log,
            stderr=log,
            cwd=folder,
            env=os.environ | {"TB_GW_CONFIG_DIR": f"{config}/"},
        )
    try:
        give_up = time.monotonic() + 90
        while len(upstream.devices) < DEVICES:
            if time.monotonic() > give_up or child.poll() is not None:
                raise SystemExit(f"the peer forwarded nothing: {(folder / 'log').read_text()[-2000:]}")
            ingest.publish(port, DEVICES, 0)
            time.sleep(1)
        yield psutil.Process(child.pid)
    finally:
        ground.end(child)


def run(messages: int, seconds: float, rounds: int) -> dict[str, Any]:
    """Its throughput, and both latencies at 500/s: publish to the far side's MQTT subscriber. The median round each."""
    python = install()
    rates, cpu, theirs, ours = [], [], [], []
    for n in range(rounds):
        ground.say(f"peer, round {n + 1} of {rounds}")
        with tempfile.TemporaryDirectory(prefix="linli-bench-") as name:
            folder = Path(name)
            rate, cpu_us, took = _theirs(python, folder, messages, seconds)
            rates.append(rate)
            cpu.append(cpu_us)
            theirs.append(took)
            with ground.broker(folder / "ours") as port:
                ours.append(latency.commands(folder / "ours", port, (500,), seconds)["500"])
    return {
        "peer_per_s": sorted(rates)[rounds // 2],
        "peer_cpu_us_per_message": sorted(cpu)[rounds // 2],
        "peer_latency_ms": latency.middle(theirs),
        "ours_latency_ms": latency.middle(ours),
    }


def _theirs(python: Path, folder: Path, messages: int, seconds: float) -> tuple[int, float, dict[str, Any]]:
    with ground.broker(folder / "a") as port, mosquitto(folder / "b") as upstream_port:
        upstream = Upstream(upstream_port)
        with running(python, folder / "peer", port, upstream, upstream_port) as process:
            before = sum(process.cpu_times()[:2])
            rate = _throughput(port, upstream, messages)
            cpu_us = (sum(process.cpu_times()[:2]) - before) / messages * 1e6
            upstream.arrived.clear()
            sent = latency.publish(port, 500, seconds, "records")
            upstream.settle(len(sent), 15)
            took = latency.matched(sent, upstream.arrived, "record")
        upstream.client.disconnect()
        upstream.client.loop_stop()
    return rate, round(cpu_us, 1), took


def _throughput(port: int, upstream: Upstream, messages: int) -> int:
    upstream.arrived.clear()
    publishing = threading.Thread(target=ingest.publish, args=(port, messages, DEVICES))
    publishing.start()
    upstream.settle(messages, 60 + messages / 100)
    publishing.join()
    times = sorted(upstream.arrived.values())
    if len(times) < messages * 0.9:
        raise SystemExit(f"the peer forwarded only {len(times)} of {messages} messages")
    low, high = len(times) // 10, len(times) * 9 // 10
    return round((high - low) / (times[high] - times[low]) * 1e9)
