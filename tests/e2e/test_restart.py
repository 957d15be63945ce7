"""Killed, without its broker, started twice or wrongly: the gateway loses and doubles nothing, and says what is wrong.

The broker's PUBACK is the promise: what was acknowledged is in the journal once, what was not is the publisher's.
"""

import os
import signal
import socket
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from simulators.gateway_process import free_port
from tests.e2e.running import Address, Ended, RunningGateway, eventually, linli, running

pytestmark = pytest.mark.e2e
TOPIC = "linli/v1/counter/event"


class Numbers:
    """A device that sends uniquely numbered events, and sends again what the broker has not acknowledged."""

    def __init__(self, broker: Address) -> None:
        self.sent = 0
        self.acknowledged: list[int] = []
        self._from = datetime.now(UTC)
        self._client = paho.Client(CallbackAPIVersion.VERSION2, client_id="counter", clean_session=False)
        self._client.username_pw_set(broker.user, broker.password)
        self._client.reconnect_delay_set(min_delay=1, max_delay=1)
        self._client.max_inflight_messages_set(10)
        self._client.on_publish = lambda _c, _u, mid, *_: self.acknowledged.append(mid)
        self._client.connect("127.0.0.1", broker.port)
        self._client.loop_start()

    def send(self, count: int) -> None:
        """Hand over `count` more; they go out as the broker takes them."""
        for _ in range(count):
            self.sent += 1
            at = self._from + timedelta(microseconds=self.sent)
            event = {"type": "vendor_notice", "at": at, "name": f"n-{self.sent}"}
            body = msgspec.json.encode({"id": str(self.sent), "event": event})
            self._client.publish(TOPIC, body, qos=1)

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


def stored(gateway: RunningGateway) -> Counter[int]:
    """How often each number is in the journal."""
    return Counter(int(event["name"][2:]) for event in gateway.events("counter", "vendor_notice"))


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[RunningGateway]:
    with running(tmp_path) as found:
        found.put_device("counter", "camera")
        yield found


def test_two_thousand_events_are_stored_once_each_over_three_kills(gateway: RunningGateway) -> None:
    numbers = Numbers(gateway.broker)
    for _ in range(3):
        numbers.send(300)
        eventually(lambda: len(numbers.acknowledged) >= numbers.sent - 200)
        gateway.kill()
        numbers.send(300)  # the stream does not stop for the dead
        assert len(numbers.acknowledged) < numbers.sent
        gateway.begin()
    numbers.send(200)
    eventually(lambda: len(numbers.acknowledged) == 2000)
    eventually(lambda: len(stored(gateway)) == 2000, within=30)  # what was not acknowledged comes again after 10 s
    assert stored(gateway) == Counter(range(1, 2001))
    assert gateway.starts == 4
    assert gateway.bugs() == []
    numbers.close()


def test_a_killed_broker_is_started_again_and_nothing_acknowledged_is_lost(gateway: RunningGateway) -> None:
    numbers = Numbers(gateway.broker)
    numbers.send(1000)
    eventually(lambda: len(numbers.acknowledged) >= 200)
    killed = gateway.broker_pid
    os.kill(killed, signal.SIGKILL)
    eventually(lambda: gateway.broker_pid not in (0, killed))
    eventually(lambda: len(numbers.acknowledged) == 1000)
    eventually(lambda: len(stored(gateway)) == 1000, within=30)
    assert stored(gateway) == Counter(range(1, 1001))
    assert gateway.exit_code is None, "the gateway itself went on"
    eventually(lambda: gateway.api.get("/health").json()["ok"])
    numbers.close()


def test_a_polite_end_takes_less_than_ten_seconds_and_exits_with_nought(gateway: RunningGateway) -> None:
    numbers = Numbers(gateway.broker)
    numbers.send(300)
    eventually(lambda: len(numbers.acknowledged) >= 100)
    pid = gateway.pid
    assert pid is not None
    os.kill(pid, signal.SIGTERM)
    eventually(lambda: gateway.exit_code is not None, within=10)
    assert gateway.exit_code == 0
    numbers.close()


def test_a_broker_left_over_from_a_killed_gateway_does_not_keep_the_next_one_from_starting(
    gateway: RunningGateway, tmp_path: Path
) -> None:
    for _ in range(3):
        gateway.kill()
        gateway.begin()
        eventually(lambda: gateway.api.get("/health").json()["problems"] == [])
        assert alive(gateway.broker_pid)
    assert "broker_died" not in (tmp_path / "gateway.log").read_text(encoding="utf-8")


def alive(pid: int) -> bool:
    state = Path(f"/proc/{pid}/stat")
    return state.exists() and state.read_text().rsplit(")", 1)[1].split()[0] != "Z"


def test_a_second_gateway_on_the_same_data_is_refused_in_words(gateway: RunningGateway, tmp_path: Path) -> None:
    other = tmp_path / "other.toml"
    other.write_text(
        f'data_dir = "{gateway.data}"\n[mqtt]\nlisten = "127.0.0.1:{free_port()}"\n[http]\nport = {free_port()}\n'
    )
    ended = linli("run", "--config", str(other))
    assert ended.code == 2
    assert "is in use by another gateway" in ended.err
    assert str(gateway.pid) in ended.err
    assert "Traceback" not in ended.err
    assert gateway.api.get("/health").status_code == 200, "the first one was disturbed"


def test_a_taken_http_port_is_one_clear_line(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        ended = run(tmp_path, f'[mqtt]\nlisten = "127.0.0.1:{free_port()}"\n[http]\nport = {port}\n')
    assert ended.code == 2
    assert told(ended) == [
        f"linli: http: 127.0.0.1:{port} cannot be listened on: Address already in use; set http.port"
    ]


def test_a_taken_broker_port_is_one_clear_line(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        ended = run(tmp_path, f'[mqtt]\nlisten = "127.0.0.1:{port}"\n[http]\nport = 0\n[faces]\nworkers = 0\n')
    assert ended.code == 2
    assert len(told(ended)) == 1
    assert f"the broker does not start on 127.0.0.1:{port}" in told(ended)[0]
    assert "set mqtt.listen" in told(ended)[0]


@pytest.mark.parametrize(
    ("setting", "named"),
    [
        ("[mqtt]\nlisten_on = 'x'\n", "listen_on"),
        ("[colour]\nwall = 'red'\n", "colour"),
        ("[faces]\nthreshold = 7\n", "faces.threshold"),
        ("zone = 'Mars/Olympus'\n", "zone"),
        ("[mqtt]\nsync = 'sometimes'\n", "mqtt.sync"),
        ("this is not TOML", "TOML"),
    ],
)
def test_a_wrong_setting_is_named_in_one_line(tmp_path: Path, setting: str, named: str) -> None:
    ended = run(tmp_path, setting)
    assert ended.code == 2
    assert len(told(ended)) == 1
    assert named in told(ended)[0]


def run(folder: Path, settings: str) -> Ended:
    """`linli run` with settings that do not let it."""
    config = folder / "linli.toml"
    config.write_text(settings if "data_dir" in settings else f'data_dir = "{folder / "data"}"\n{settings}')
    ended = linli("run", "--config", str(config))
    assert ended.out == "", "it said it was ready"
    return ended


def told(ended: Ended) -> list[str]:
    """What it says to the operator: everything on stderr but the log, which is JSON."""
    return [line for line in ended.err.splitlines() if not line.startswith("{")]
