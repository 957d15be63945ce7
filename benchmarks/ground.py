"""The ground every benchmark stands on: a broker, a gateway process and a publisher, each a process of its own."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import psutil

from devices import registry
from devices.model import Device
from gateway.broker import in_flight
from gateway.journal import Journal
from gateway.settings import Settings, load
from gateway.store import Store
from gateway.vault import Vault
from simulators.gateway_process import free_port

CONFIG = """\
server_name: bench
listen: "127.0.0.1:-1"
max_payload: 9437184
jetstream {{ store_dir: {store}, sync_interval: {sync} }}
mqtt {{ listen: "127.0.0.1:{port}", ack_wait: "60s", max_ack_pending: {in_flight} }}
"""


def at_once(_client: object, _user: object, sock: Any) -> None:
    """For paho's `on_socket_open`: send each message when it is there, as fifty devices on fifty sockets would."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def say(text: str) -> None:
    print(f"   {text}", file=sys.stderr, flush=True)


def end(process: subprocess.Popen[bytes] | subprocess.Popen[str]) -> None:
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextlib.contextmanager
def broker(folder: Path, *, sync: str = "2m") -> Iterator[int]:
    """A NATS server of its own; `sync` "always" or an interval. Yields the MQTT port."""
    port = free_port()
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "nats.conf"
    quoted = sync if sync == "always" else json.dumps(sync)
    filters = sum(len(protocol.topics) for protocol in registry.protocols().values())
    text = CONFIG.format(store=json.dumps(str(folder / "js")), sync=quoted, port=port, in_flight=in_flight(filters))
    config.write_text(text)
    server = Path(sys.executable).with_name("nats-server")
    with (folder / "log").open("wb") as log:
        child = subprocess.Popen([str(server), "-c", str(config)], stdout=log, stderr=log)
    try:
        wait_for(lambda: listens(port), 10, "the broker")
        yield port
    finally:
        end(child)


def listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 0.5).close()
    except OSError:
        return False
    return True


def wait_for(true: object, seconds: float, what: str, *, every: float = 0.05) -> None:
    give_up = time.monotonic() + seconds
    while not true():  # type: ignore[operator]
        if time.monotonic() > give_up:
            raise SystemExit(f"{what} did not come within {seconds:g} s")
        time.sleep(every)


def journal(store: Store, vault: Vault, settings: Settings) -> Journal:
    """A journal of one community, without a directory."""
    return Journal(
        store,
        vault,
        retention=settings.retention,
        limits=settings.limits,
        community_of=lambda _: settings.community,
    )


def settings_file(folder: Path, port: int, **sections: dict[str, object]) -> Path:
    """A settings file for a gateway on the broker at `port`, without vision unless a section says so."""
    folder.mkdir(parents=True, exist_ok=True)
    merged: dict[str, dict[str, object]] = {
        "mqtt": {"url": f"mqtt://127.0.0.1:{port}"},
        "http": {"port": 0},
        "faces": {"workers": 0},
        "webhooks": {"allow": ["127.0.0.0/8"]},
        "limits": {"device_rate": 1e9, "device_burst": 1e9},
    }
    for name, values in sections.items():
        merged[name] = {**merged.get(name, {}), **values}
    lines = [f"data_dir = {json.dumps(str(folder / 'data'))}", 'log_level = "WARNING"']
    for name, values in merged.items():
        lines += [f"[{name}]", *(f"{key} = {json.dumps(value)}" for key, value in values.items())]
    path = folder / "linli.toml"
    path.write_text("\n".join(lines) + "\n")
    return path


def register(config: Path, devices: list[Device]) -> None:
    """Put devices straight into the database, before the gateway starts."""
    store = Store(load(config).database)
    with store.write() as db:
        db.executemany(
            "INSERT OR REPLACE INTO devices(id, protocol, address, body) VALUES (?,?,?,?)",
            [(d.id, d.protocol, d.address, msgspec.json.encode(d)) for d in devices],
        )
    store.close()


class GatewayProcess:
    """`linli run` as a child. `url` is its HTTP address; `ready_s` how long it took to be ready."""

    def __init__(self, config: Path) -> None:
        self.config = config
        started = time.monotonic()
        command = [sys.executable, "-m", "api.cli", "run", "--config", str(config)]
        self.child = subprocess.Popen(
            command, stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONUNBUFFERED": "1"}
        )
        assert self.child.stdout is not None
        line = self.child.stdout.readline()
        if not line.startswith("ready "):
            raise SystemExit("the gateway did not start; see its log above")
        self.ready_s = time.monotonic() - started
        self.url = line.split()[1]
        self.process = psutil.Process(self.child.pid)

    def rss_mb(self) -> float:
        return self.process.memory_info().rss / 1e6

    def cpu_s(self) -> float:
        times = self.process.cpu_times()
        return times.user + times.system

    def stop(self) -> None:
        end(self.child)


def count(config: Path, table: str = "events") -> int:
    """How many rows a table of the gateway holds now."""
    path = load(config).database
    with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=10)) as db:
        found: int = db.execute(f"SELECT coalesce(max(seq), 0) FROM {table}").fetchone()[0]
        return found


def percentile(values: list[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else float("nan")
