"""Telemetry into a real time-series server that goes away and comes back: nothing is lost."""

import json
import shutil
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from gateway.settings import Influx, Settings
from gateway.store import Store, us
from gateway.telemetry import Telemetry
from simulators.gateway_process import free_port

BINARY = shutil.which("victoria-metrics")
pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(BINARY is None, reason="victoria-metrics (Debian package) is not installed"),
]
WAIT_S = 60.0


def eventually(true: Callable[[], bool]) -> None:
    """Poll until it is true; fail when the time is over."""
    pause, end = threading.Event(), time.monotonic() + WAIT_S
    while not true():
        assert time.monotonic() < end, "did not become true in time"
        pause.wait(0.05)


class Server:
    """victoria-metrics on a free port of this machine, with its data kept over restarts."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        assert BINARY is not None
        arguments = [
            BINARY,
            f"-storageDataPath={self._folder}",
            f"-httpListenAddr=127.0.0.1:{self.port}",
            "-retentionPeriod=100y",
            "-memory.allowedBytes=64MB",
        ]
        self._process = subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        eventually(self._healthy)

    def _healthy(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/health", timeout=5) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def end(self) -> None:
        """End it so that it keeps what it acknowledged (it holds seconds of it in memory): its own loss is not ours."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(30)
            self._process = None

    def points(self) -> list[tuple[int, float]]:
        """Every stored point: time in milliseconds, value."""
        with urllib.request.urlopen(f"{self.url}/internal/force_flush", timeout=5):
            pass
        match = "match%5B%5D=%7B__name__%3D%22linli_value%22%7D"
        with urllib.request.urlopen(f"{self.url}/api/v1/export?{match}", timeout=10) as answer:
            series = [json.loads(line) for line in answer.read().splitlines()]
        return [pair for one in series for pair in zip(one["timestamps"], one["values"], strict=True)]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    server = Server(tmp_path / "server")
    yield server
    server.end()


def test_points_written_while_the_server_is_away_are_all_there_when_it_is_back(tmp_path: Path, server: Server) -> None:
    store = Store(tmp_path / "linli.db")
    start = datetime.now(UTC) - timedelta(hours=1)
    written = 0

    def write(count: int) -> None:
        nonlocal written
        with store.write() as db:
            db.executemany(
                "INSERT INTO points(device, metric, at, value) VALUES (?,?,?,?)",
                [
                    (f"lamp {n % 5}", "active_power_w", us(start + timedelta(milliseconds=n)), float(n))
                    for n in range(written, written + count)
                ],
            )
        written += count

    server.start()
    failed = threading.Event()

    def backoff(_: int) -> float:
        failed.set()
        return 0.1

    settings = Settings(influx=Influx(url=server.url, token="unused"))
    telemetry = Telemetry(store, settings, backoff=backoff)
    telemetry.start()
    write(2_000)
    eventually(lambda: len(server.points()) == 2_000)
    server.end()
    write(6_000)
    assert failed.wait(WAIT_S)
    write(6_000)
    server.start()
    eventually(lambda: len(server.points()) >= written)
    telemetry.stop()
    values = sorted(value for _, value in server.points())
    assert values == [float(n) for n in range(14_000)]
    store.close()
