import json
import math
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from gzip import decompress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import SimpleQueue

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.influx import lines
from gateway.settings import Influx, Settings
from gateway.store import Store, us
from gateway.telemetry import Telemetry

NOW = datetime(2024, 5, 1, 8, 30, tzinfo=UTC)
DAY = timedelta(days=1)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path / "linli.db")
    yield store
    store.close()


def put(store: Store, *points: tuple[datetime, float], device: str = "lamp-1", metric: str = "active_power_w") -> None:
    with store.write() as db:
        db.executemany(
            "INSERT INTO points(device, metric, at, value) VALUES (?,?,?,?)",
            [(device, metric, us(moment), value) for moment, value in points],
        )


def hours(store: Store) -> list[tuple[object, ...]]:
    rows = store.reader.execute("SELECT hour, count, low, high, total FROM points_hourly ORDER BY device, hour")
    return [tuple(row) for row in rows]


def left(store: Store) -> int:
    return int(store.reader.execute("SELECT count(*) FROM points").fetchone()[0])


def test_points_are_summed_up_by_the_hour_once(store: Store) -> None:
    put(store, (NOW, 4.0), (NOW + timedelta(minutes=5), 6.0), (NOW + timedelta(hours=1), 1.0))
    telemetry = Telemetry(store, Settings())
    assert telemetry.sum_up() == 3
    assert telemetry.sum_up() == 0
    start = us(NOW.replace(minute=0))
    assert hours(store) == [(start, 2, 4.0, 6.0, 10.0), (start + 3_600_000_000, 1, 1.0, 1.0, 1.0)]


def test_a_point_that_comes_late_is_added_to_its_hour_after_a_restart(store: Store) -> None:
    put(store, (NOW, 4.0))
    Telemetry(store, Settings()).sum_up()
    put(store, (NOW - timedelta(minutes=10), 2.0))
    Telemetry(store, Settings()).sum_up()
    assert hours(store) == [(us(NOW.replace(minute=0)), 2, 2.0, 4.0, 6.0)]


def test_old_points_go_only_once_they_are_summed_up(store: Store) -> None:
    put(store, (NOW - 31 * DAY, 1.0), (NOW, 2.0))
    telemetry = Telemetry(store, Settings())
    assert telemetry.prune(NOW) == 0
    telemetry.sum_up()
    assert telemetry.prune(NOW) == 1
    assert left(store) == 1


def test_old_points_stay_until_the_server_has_them(store: Store) -> None:
    put(store, (NOW - 31 * DAY, 1.0))
    telemetry = Telemetry(store, Settings(influx=Influx(url="http://127.0.0.1:1")))
    telemetry.sum_up()
    assert telemetry.prune(NOW) == 0
    assert left(store) == 1


def test_line_protocol_escapes_what_has_a_meaning() -> None:
    assert lines([("a b,c=d", "battery_pct", 17, 1.5)]) == [r"linli,device=a\ b\,c\=d,metric=battery_pct value=1.5 17"]


@given(st.text(), st.text(), st.integers(0, 10**16), st.floats())
def test_any_point_is_one_line_or_none(device: str, metric: str, moment: int, value: float) -> None:
    written = lines([(device, metric, moment, value)])
    assert len(written) == bool(device and metric and math.isfinite(value))
    assert all("\n" not in line and "\r" not in line for line in written)


class Server:
    """A server for line protocol. `answers`: the statuses of the next writes, then 204. Refuses lines with `bad`."""

    def __init__(self) -> None:
        outer = self
        self.answers: list[int] = []
        self.asked: SimpleQueue[int] = SimpleQueue()
        self.taken: list[str] = []
        self.enough = threading.Event()
        self.wanted = 0

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers.get("Content-Encoding") == "gzip":
                    body = decompress(body)
                got = body.decode().splitlines()
                status = outer.answers.pop(0) if outer.answers else 204
                if status == 204 and any("device=bad" in line for line in got):
                    status = 400
                if status == 204:
                    outer.taken += got
                    if len(outer.taken) >= outer.wanted:
                        outer.enough.set()
                outer.asked.put(status)
                content = b"" if status == 204 else json.dumps({"message": "no"}).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *args: object) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    @property
    def settings(self) -> Settings:
        return Settings(influx=Influx(url=f"http://127.0.0.1:{self.http.server_port}", token="t"))


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.http.shutdown()
    server.http.server_close()


def test_everything_reaches_a_server_that_refuses_at_first(store: Store, server: Server) -> None:
    put(store, *((NOW + timedelta(seconds=n), float(n)) for n in range(10)))
    server.answers, server.wanted = [503, 500, 429], 10
    telemetry = Telemetry(store, server.settings, backoff=lambda _: 0.0)
    telemetry.start()
    assert server.enough.wait(30)
    telemetry.stop()
    assert [server.asked.get() for _ in range(4)] == [503, 500, 429, 204]
    assert len(server.taken) == len(set(server.taken)) == 10
    assert store.cursor("influx") == 10


def test_one_point_the_server_will_never_take_holds_up_no_other(store: Store, server: Server) -> None:
    for device in ("a", "b", "bad", "c", "d"):
        put(store, (NOW, 1.0), device=device)
    server.wanted = 4
    telemetry = Telemetry(store, server.settings, backoff=lambda _: 0.0)
    telemetry.start()
    assert server.enough.wait(30)
    telemetry.stop()
    assert sorted(line.split(",")[1] for line in server.taken) == ["device=a", "device=b", "device=c", "device=d"]
    assert store.cursor("influx") == 5


def test_the_next_process_goes_on_where_the_last_one_stopped(store: Store, server: Server) -> None:
    put(store, (NOW, 1.0))
    for wanted in (1, 2):
        server.enough.clear()
        server.wanted = wanted
        telemetry = Telemetry(store, server.settings)
        telemetry.start()
        assert server.enough.wait(30)
        telemetry.stop()
        put(store, (NOW + timedelta(seconds=wanted), 1.0))
    assert len(server.taken) == len(set(server.taken)) == 2


def test_a_spool_older_than_a_day_is_told_with_its_reason(store: Store) -> None:
    gone = msgspec.structs.replace(Settings(), influx=Influx(url="http://127.0.0.1:1"))
    tried = threading.Event()

    def backoff(_: int) -> float:
        tried.set()
        return 60.0

    telemetry = Telemetry(store, gone, backoff=backoff)
    put(store, (datetime.now(UTC) - timedelta(hours=25), 1.0))
    telemetry.start()
    assert tried.wait(30)
    assert "over a day" in telemetry.problems()[0]
    telemetry.stop()
