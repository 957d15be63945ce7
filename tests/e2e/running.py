"""The gateway as operators run it: a child process with its own broker, spoken to over MQTT and HTTP, and killed."""

import json
import queue
import sqlite3
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import httpx
import msgspec
import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from api.tokens import ROLES, create_token
from devices.alert_types import ALERT_TYPES
from gateway.broker import DEVICE_USER
from gateway.store import Store
from simulators.gateway_process import LINLI, Child, free_port

T = TypeVar("T")
WITHIN_S = 15.0
"""How long anything is waited for. A deadline, never a pause."""


def eventually(look: Callable[[], T], *, within: float = WITHIN_S, what: str = "it") -> T:
    """Look until something is there (not None, not False, not empty) and give it; fail at the deadline."""
    pause, end = threading.Event(), time.monotonic() + within
    while not (found := look()):
        assert time.monotonic() < end, f"{what} did not come within {within} s"
        pause.wait(0.02)
    return found


class Address(NamedTuple):
    """Where the broker is, and as whom a device speaks there."""

    port: int
    user: str = ""
    password: str = ""


IMPATIENT = "[policies]\noffline_wait_s = 10\n[delays.on_s]\n" + "".join(
    f"{code} = 0\n" for code, kind in ALERT_TYPES.items() if kind.delay_on_s
)
"""What would only make a test wait."""


class RunningGateway(Child):
    """`linli run` with data and settings below `folder`, on free ports that stay the same over restarts.

    `mqtt_port`: of a broker that runs already; 0: the embedded one. `settings`: further sections of the settings file,
    as TOML.
    """

    def __init__(
        self, folder: Path, *, workers: int = 0, mqtt_port: int = 0, sync: str = "always", settings: str = ""
    ) -> None:
        self.data, self.config = folder / "data", folder / "linli.toml"
        self.embedded = mqtt_port == 0
        self.http_port, self.mqtt_port = free_port(), mqtt_port or free_port()
        listen = f'listen = "127.0.0.1:{self.mqtt_port}"\nsync = "{sync}"'
        broker = listen if self.embedded else f'url = "mqtt://127.0.0.1:{mqtt_port}"'
        self.config.write_text(
            f"data_dir = {json.dumps(str(self.data))}\n[mqtt]\n{broker}\n"
            f"[http]\nport = {self.http_port}\n[faces]\nworkers = {workers}\n"
            f'[webhooks]\nallow = ["127.0.0.0/8"]\n{IMPATIENT}{settings}\n',
            encoding="utf-8",
        )
        super().__init__([*LINLI, "run", "--config", str(self.config)], folder / "gateway.log")
        self.api = httpx.Client(base_url=f"http://127.0.0.1:{self.http_port}", timeout=15)

    def begin(self) -> None:
        """Start it, wait until it is ready, and be its administrator."""
        self.start()
        self.await_ready()
        if "Authorization" not in self.api.headers:
            self.api.headers["Authorization"] = f"Bearer {self.token('admin')}"

    @property
    def exit_code(self) -> int | None:
        """None while it runs."""
        return self._process.poll() if self._process else None

    def token(self, role: str) -> str:
        """A new token, made by what `linli token create` calls, as that does beside a running gateway."""
        with closing(Store(self.data / "linli.db")) as store:
            _, text = create_token(store, name=f"the {role}", scopes=ROLES[role], now=datetime.now(UTC))
        return text

    @property
    def broker(self) -> Address:
        """Where devices speak."""
        if not self.embedded:
            return Address(self.mqtt_port)
        passwords = json.loads((self.data / "broker" / "passwords.json").read_text(encoding="utf-8"))
        return Address(self.mqtt_port, DEVICE_USER, passwords[DEVICE_USER])

    @property
    def broker_pid(self) -> int:
        """The embedded broker's process id; 0 in the moment when it is being written."""
        return int((self.data / "broker" / "pid").read_text(encoding="ascii") or 0)

    def rows(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        """What the database holds, read by another process as an auditor would."""
        with closing(sqlite3.connect(f"file:{self.data / 'linli.db'}?mode=ro", uri=True, timeout=10)) as db:
            return db.execute(sql, values).fetchall()

    def events(self, device: str, type_: str) -> list[dict[str, Any]]:
        """The journalled events of a device, oldest first, each with whether it was `late`."""
        found = self.rows("SELECT body, late FROM events WHERE device=? AND type=? ORDER BY seq", device, type_)
        return [{**json.loads(body), "late": bool(late)} for body, late in found]

    def get(self, path: str, **params: Any) -> Any:
        """The API's answer to GET."""
        answer = self.api.get(path, params=params)
        answer.raise_for_status()
        return answer.json()

    def put_device(self, id_: str, kind: str, protocol: str = "native", *, address: str = "", **more: Any) -> None:
        """Register a device."""
        body = {"kind": kind, "protocol": protocol, "address": address or id_, **more}
        answer = self.api.put(f"/v1/devices/{id_}", json=body)
        assert answer.status_code in (200, 201), answer.text

    def enrol(self, name: str, *, photos: Sequence[bytes] = (), **form: Any) -> dict[str, Any]:
        """Enrol a resident who may pass anywhere on the estate."""
        data = {"name": name, "consent_scope": "estate", "consent_until": "2098-01-01T00:00:00Z", **form}
        files = [("photos", (f"{n}.jpg", photo, "image/jpeg")) for n, photo in enumerate(photos)]
        answer = self.api.post("/v1/residents", data=data, files=files or None, timeout=60)
        assert answer.status_code == 201, answer.text
        enrolled: dict[str, Any] = answer.json()
        return enrolled

    def bugs(self) -> list[str]:
        """What /health and the journal say of errors of our own."""
        health = self.api.get("/health").json()
        told = [problem for problem in health["problems"] if "our own" in problem]
        return told + [row[0] for row in self.rows("SELECT topic FROM quarantine WHERE reason='our own error'")]

    def counted(self, metric: str, label: str) -> float:
        """A counter of /metrics by its only label."""
        wanted = f'{metric}_total{{reason="{label}"}} '
        lines = self.api.get("/metrics").text.splitlines()
        return sum(float(line.removeprefix(wanted)) for line in lines if line.startswith(wanted))


class Ended(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str


def linli(*arguments: str) -> Ended:
    """Run `linli` to its end."""
    done = subprocess.run([*LINLI, *arguments], capture_output=True, text=True, check=False, timeout=60)
    return Ended(done.returncode, done.stdout.strip(), done.stderr.strip())


@contextmanager
def running(folder: Path, **options: Any) -> Iterator[RunningGateway]:
    """A gateway that runs, until the end of the block. The options are those of `RunningGateway`."""
    gateway = RunningGateway(folder, **options)
    try:
        gateway.begin()
        yield gateway
    finally:
        gateway.stop()
        gateway.api.close()


class Peer:
    """A device's end of MQTT: says things and waits for the PUBACK, keeps what it hears."""

    def __init__(self, broker: Address, name: str, *, hears: Sequence[str] = (), will: tuple[str, Any] | None = None):
        self.heard: queue.SimpleQueue[tuple[str, Any]] = queue.SimpleQueue()
        self.client = paho.Client(CallbackAPIVersion.VERSION2, client_id=name, clean_session=True)
        if broker.user:
            self.client.username_pw_set(broker.user, broker.password)
        if will:
            self.client.will_set(will[0], _bytes(will[1]), qos=1)
        self.client.reconnect_delay_set(min_delay=1, max_delay=1)
        self.there = threading.Event()
        self.client.on_connect = lambda client, *_: self._connected(client, hears)
        self.client.on_subscribe = lambda *_: self.there.set()
        self.client.on_message = lambda _c, _u, m: self.heard.put((m.topic, json.loads(m.payload)))
        self.client.connect("127.0.0.1", broker.port)
        self.client.loop_start()
        assert self.there.wait(WITHIN_S), f"{name} cannot connect"

    def _connected(self, client: paho.Client, hears: Sequence[str]) -> None:
        if hears:
            client.subscribe([(topic, 1) for topic in hears])
        else:
            self.there.set()

    def say(self, topic: str, body: Any, *, qos: int = 1, retain: bool = False) -> None:
        """Publish, and wait until the broker has it (QoS 0: until it is sent)."""
        eventually(self.client.is_connected, what="the connection")
        sent = self.client.publish(topic, _bytes(body), qos=qos, retain=retain)
        sent.wait_for_publish(WITHIN_S)
        assert sent.is_published(), f"the broker did not take what was said on {topic}"

    def next(self, within: float = WITHIN_S) -> tuple[str, Any]:
        """The next message heard."""
        return self.heard.get(timeout=within)

    def vanish(self) -> None:
        """Lose the connection without a goodbye: the broker publishes the last will."""
        sock: Any = self.client.socket()
        self.client.loop_stop()
        sock.close()

    def close(self) -> None:
        """Leave properly."""
        self.client.disconnect()
        self.client.loop_stop()


class NativeDevice(Peer):
    """A device that speaks our own protocol, with its last will."""

    def __init__(self, broker: Address, address: str) -> None:
        self.base = f"linli/v1/{address}"
        will = (f"{self.base}/status", {"online": False, "reason": "last_will"})
        super().__init__(broker, f"device-{address}", hears=[f"{self.base}/command"], will=will)
        self.number = 0
        self.say(f"{self.base}/status", {"online": True, "boot_id": "boot-1", "at": now()})

    def event(self, type_: str, **fields: Any) -> None:
        """Something happened."""
        self.number += 1
        event = {"type": type_, "at": now(), **fields}
        self.say(f"{self.base}/event", {"id": f"{self.client._client_id!r}-{self.number}", "event": event})

    def command(self) -> dict[str, Any]:
        """The next command."""
        topic, body = self.next()
        assert topic == f"{self.base}/command"
        found: dict[str, Any] = body
        return found

    def answer(self, command_id: str, result: str) -> None:
        """What became of a command."""
        self.say(f"{self.base}/answer", {"command_id": command_id, "result": result, "at": now()})


def now() -> str:
    """The time, as a device writes it."""
    return datetime.now(UTC).isoformat()


def _bytes(body: Any) -> bytes:
    return body if isinstance(body, bytes) else msgspec.json.encode(body)
