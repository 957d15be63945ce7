"""`bench latency`: how long from a device's publish to the door's command, to the backend, to the desk.

In the same run, on the same machine: a bare paho client that only publishes the message back (the broker twice and
nothing else), and a one-row SQLite commit (the disk and nothing else). Publisher and receivers are processes of their
own, and compare CLOCK_MONOTONIC. The first second of each phase is not counted. Of several rounds the median counts.
"""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx

from api.tokens import create_token
from benchmarks import ground
from benchmarks.paced import CARDS, LANES, card, gate, lane
from benchmarks.publisher import DEVICES
from devices.model import Device
from gateway.directory import Directory
from gateway.evidence import Evidence
from gateway.residents import Enrolment
from gateway.settings import load
from gateway.store import Store
from gateway.vault import Vault
from simulators.gateway_process import free_port
from vision.gallery import Gallery

RATES = (100, 500, 1000)
ALERTS = {"100_all_alerts": (100, "plates"), "500_of_which_50_alerts": (500, "mixed")}
SETTLE_S = 2.0
"""After a phase, for what is still under way; what has not arrived by then counts as missing."""
Figures = dict[str, Any]


@dataclass(frozen=True)
class Sent:
    what: str
    address: str
    at: str
    ns: int


def run(seconds: float, syncs: list[str], rounds: int) -> Figures:
    figures: Figures = {"name": "latency", "seconds": seconds, "rounds": rounds}
    with tempfile.TemporaryDirectory(prefix="linli-bench-") as name:
        figures["commit_alone_ms"] = commit_alone(Path(name))
    for sync in syncs:
        found = [one_round(sync, seconds) for _ in range(rounds)]
        figures[f"sync_{sync}"] = {
            path: {point: middle([one[path][point] for one in found]) for point in found[0][path]} for path in found[0]
        }
    first = figures[f"sync_{syncs[0]}"]
    figures["ratio"] = round(first["command_ms"]["500"]["p99"] / first["bare_echo_ms"]["500"]["p99"], 2)
    return figures


def one_round(sync: str, seconds: float) -> Figures:
    """Everything once, on brokers of its own: what one path leaves behind is not the other's load."""
    ground.say(f"broker with sync {sync}")
    with tempfile.TemporaryDirectory(prefix="linli-bench-") as name:
        folder = Path(name)
        with ground.broker(folder / "bare", sync=sync) as port:
            bare = echoed(port, seconds)
        with ground.broker(folder / "broker", sync=sync) as port:
            return {"bare_echo_ms": bare} | through_gateway(folder, port, seconds)


def middle(rounds: list[Figures]) -> Figures:
    """The round whose p99 is the median: one round that met somebody else's load does not count."""
    return sorted(rounds, key=lambda one: float(one["p99"]))[len(rounds) // 2]


def commit_alone(folder: Path, commits: int = 1000) -> Figures:
    """A durable commit of one row, as the journal's settings have it, with nothing else going on."""
    took: list[float] = []
    with contextlib.closing(sqlite3.connect(folder / "alone.db", isolation_level=None)) as db:
        db.execute("PRAGMA journal_mode=WAL")
        db.execute("PRAGMA synchronous=FULL")
        db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, body BLOB)")
        for _ in range(commits):
            begin = time.monotonic()
            db.execute("INSERT INTO t(body) VALUES (?)", (b"x" * 225,))
            took.append((time.monotonic() - begin) * 1000)
    return spread(took)


def echoed(port: int, seconds: float) -> Figures:
    """What the broker alone takes for the way there and back."""
    with receiver("echo", str(port)):
        return asked(port, RATES, seconds)


def through_gateway(folder: Path, port: int, seconds: float) -> Figures:
    """Commands at each rate, then alerts at each mix, of one gateway."""
    figures: Figures = {}
    hook = free_port()
    with estate(folder, port) as (url, token):
        subscribe(url, token, f"http://127.0.0.1:{hook}/alerts")
        figures["command_ms"] = asked(port, RATES, seconds)
        with (
            receiver("webhook", str(hook)) as backend,
            receiver("stream", f"{url}/v1/stream", token=token) as desk,
        ):
            told = {name: publish(port, rate, seconds, mix) for name, (rate, mix) in ALERTS.items()}
            delivered, shown = backend.stop(), desk.stop()
    figures["alert_to_backend_ms"] = {name: matched(some, delivered, "plate") for name, some in told.items()}
    figures["alert_to_desk_ms"] = {name: matched(some, shown, "plate") for name, some in told.items()}
    return figures


def commands(folder: Path, port: int, rates: Sequence[int], seconds: float) -> Figures:
    """Commands of a gateway of its own."""
    with estate(folder, port):
        return asked(port, rates, seconds)


def asked(port: int, rates: Sequence[int], seconds: float) -> Figures:
    """From a card at a door to its command, at each rate; whoever answers."""
    with receiver("commands", str(port)) as arrivals:
        sent = {str(rate): publish(port, rate, seconds, "cards") for rate in rates}
        rows = arrivals.stop()
    return {rate: matched(some, rows, "card") for rate, some in sent.items()}


# -- the estate -------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def estate(folder: Path, port: int) -> Iterator[tuple[str, str]]:
    """A gateway with gates, lanes and residents with cards. Yields its address and a token."""
    config = ground.settings_file(folder, port)
    ground.register(config, devices())
    enrol(config)
    token = new_token(config)
    gateway = ground.GatewayProcess(config)
    try:
        yield gateway.url, token
    finally:
        gateway.stop()


def devices() -> list[Device]:
    kinds = [(gate(n), "face_gate") for n in range(DEVICES)] + [(lane(n), "barrier") for n in range(LANES)]
    return [Device(id=name, kind=kind, protocol="native", address=name, community="bench") for name, kind in kinds]


def enrol(config: Path) -> None:
    """Residents with a card each, straight into the register, before the gateway starts."""
    settings = load(config)
    vault, store = Vault.at(settings.data / "keys"), Store(settings.database)
    directory = Directory(store, vault, Gallery(), zone=settings.zone, community=settings.community)
    directory.load()
    now = datetime.now(UTC)
    for n in range(CARDS):
        resident = Enrolment(
            name=f"Resident {n}",
            building="1",
            scope="estate",
            until=now + timedelta(days=1),
            recorded_by="bench",
            cards=(card(n),),
        )
        directory.enrol(resident, Evidence(settings.data / "evidence", vault), now)
    store.close()


def new_token(config: Path) -> str:
    store = Store(load(config).database)
    scopes = {"alerts:read", "subscriptions:write"}
    _, text = create_token(store, name="bench", scopes=scopes, now=datetime.now(UTC))
    store.close()
    return text


def subscribe(url: str, token: str, hook: str) -> None:
    answer = httpx.post(f"{url}/v1/subscriptions", json={"url": hook}, headers={"Authorization": f"Bearer {token}"})
    answer.raise_for_status()


# -- the measuring ends -----------------------------------------------------------------------------------------------


class Receiver:
    """A `benchmarks.receive` process; `stop` ends it and gives its rows."""

    def __init__(self, what: str, where: str, token: str) -> None:
        command = [sys.executable, "-m", "benchmarks.receive", what, where]
        self._child = subprocess.Popen(
            command, stdout=subprocess.PIPE, text=True, env=os.environ | {"BENCH_TOKEN": token}
        )
        assert self._child.stdout is not None
        if self._child.stdout.readline() != "ready\n":
            raise SystemExit(f"the receiver of {what} did not start")
        self._rows: dict[tuple[str, str], int] | None = None

    def stop(self) -> dict[tuple[str, str], int]:
        """When each arrived first, by address and event time."""
        if self._rows is None:
            self._child.terminate()
            said, _ = self._child.communicate(timeout=30)
            self._rows = {}
            for line in said.splitlines():
                address, at, ns = json.loads(line)
                self._rows.setdefault((address, at), ns)
        return self._rows


@contextlib.contextmanager
def receiver(what: str, where: str, *, token: str = "") -> Iterator[Receiver]:
    held = Receiver(what, where, token)
    try:
        yield held
    finally:
        held.stop()


def publish(port: int, rate: int, seconds: float, mix: str) -> list[Sent]:
    """Send at a rate, without the first second."""
    ground.say(f"{mix} at {rate}/s for {seconds:g} s")
    command = [sys.executable, "-m", "benchmarks.paced", str(port), str(rate), str(seconds), mix]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    sent = [Sent(*json.loads(line)) for line in done.stdout.splitlines()]
    time.sleep(SETTLE_S)
    return [one for one in sent if one.ns >= sent[0].ns + 1_000_000_000]


def matched(sent: list[Sent], arrived: dict[tuple[str, str], int], what: str) -> Figures:
    wanted = [one for one in sent if one.what == what]
    took = [(arrived[key] - one.ns) / 1e6 for one in wanted if (key := (one.address, one.at)) in arrived]
    return spread(took) | {"missing": len(wanted) - len(took)}


def spread(took: list[float]) -> Figures:
    return {
        "p50": round(ground.percentile(took, 0.5), 2),
        "p99": round(ground.percentile(took, 0.99), 2),
        "max": round(max(took, default=float("nan")), 1),
        "n": len(took),
    }
