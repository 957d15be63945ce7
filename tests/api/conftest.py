"""A gateway small enough for the API's tests: real store, vault, directory, evidence, alert book, command book and
journal; only the loop around them (broker, inbox) is replaced by doing each action at once under a lock.
"""

from __future__ import annotations

import socket
import threading
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from msgspec import Struct

from api.app import create_app
from api.routes import devices as device_routes
from api.tokens import ROLES, create_token
from devices import registry
from devices.commands import answered
from devices.effects import ClearAlert, OpenPassage, RaiseAlert
from devices.events import CommandAnswered, CommandResult
from devices.kinds.link import Link
from devices.model import Decoded, Device, Outgoing, Protocol
from devices.protocols import PROTOCOLS
from gateway.access import AccessBook
from gateway.actions import AcceptScene, Action, MarkVehicle, RefusedError, ReloadDirectory, SendCommand
from gateway.attached import StreamState
from gateway.changes import Changes, DeviceState
from gateway.courier import Courier
from gateway.directory import Directory
from gateway.discovery import Discovered, Discovery
from gateway.evidence import Evidence
from gateway.face_report import FaceReport, report
from gateway.health import Health
from gateway.inbox import PostAnswer, Posted
from gateway.intake import Intake
from gateway.journal import CommitError, Journal
from gateway.lists import Lists
from gateway.parts import restored_hub
from gateway.presencebook import Inside
from gateway.reader import Reader
from gateway.registration import known_names
from gateway.rounds import mark
from gateway.scenarios.vehicles import PARKING_FULL, Lot
from gateway.scene_acceptance import accept
from gateway.schema import FIRST_SOURCE
from gateway.settings import Settings
from gateway.store import Store
from gateway.sync import Sync
from gateway.thresholds import Thresholds
from gateway.vault import Vault
from vision.gallery import Gallery
from vision.types import Look

TESTBED = Protocol(
    name="testbed",
    topics=("testbed/#",),
    decode=lambda *_: Decoded(address="", ignored="never sent"),
    encode=lambda _command, command_id, device, _now: Outgoing(
        topic=f"testbed/{device.address}", payload=command_id.encode()
    ),
    commands=frozenset({OpenPassage}),
    heartbeat_s=60,
)
GATE = Device(id="gate-3", kind="face_gate", protocol="testbed", address="G3", name="Gate 3", building="3")


class Eyes:
    """Answers each photo with what the test laid ready for it: what a pool of workers would say."""

    def __init__(self) -> None:
        self.looks: dict[bytes, Look] = {}

    def submit(self, kind: str, image: bytes, *, deadline_s: float, context: bytes = b"") -> Future[Look]:
        assert kind in ("enrol", "face")
        future: Future[Look] = Future()
        future.set_result(self.looks[image])
        return future


class Estate:
    """The gateway of the tests."""

    def __init__(self, folder: Path) -> None:
        self.settings = Settings(data_dir=str(folder))
        self.store = Store(self.settings.database)
        self.vault = Vault.at(folder / "keys")
        self.gallery = Gallery()
        self.directory = Directory(self.store, self.vault, self.gallery, zone="Asia/Shanghai", community="c-1")
        self.directory.load()
        self.evidence = Evidence(folder / "evidence", self.vault)
        self.thresholds = Thresholds(self.store, self.settings.faces)
        self.thresholds.load()
        self.pool: Eyes | None = None
        self.listeners: list[Callable[[], None]] = []
        self.problems: list[str] = []
        self.streams: dict[str, StreamState] = {}
        self.courier = Courier(self.store, self.vault, self.settings)
        self.journal = Journal(
            self.store,
            self.vault,
            retention=self.settings.retention,
            limits=self.settings.limits,
            community_of=self.directory.community_of,
        )
        now = datetime.now(UTC)
        self.hub = restored_hub(
            registry.kinds(), registry.protocols(), self.directory, self.settings, self.journal, now
        )
        self.alerts = self.hub.alerts
        self.access = AccessBook(self.store, self.vault)
        self.sync = Sync(self.store, self.vault, self.directory)
        reader = Reader(registry.protocols(), self.directory, limits=self.settings.limits, zone="Asia/Shanghai")
        self.intake = Intake(reader=reader, hub=self.hub, journal=self.journal)
        self.busy = False
        self._lock = threading.Lock()
        self.published = 0
        self.listened = 0.0
        self.discovery = Discovery(registry.protocols())
        self.lists = Lists(
            store=self.store,
            directory=self.directory,
            photos=self.evidence,
            protocols=registry.protocols(),
            link=lambda device: state.link if (state := self.hub.states.devices.get(device)) else None,
            submit=self.submit,
        )

    def change(self, work: Callable[[datetime, Changes], Any]) -> Any:
        now = datetime.now(UTC)
        turn = Changes()
        with self._lock:
            value = work(now, turn)
            if turn.worth_writing:
                self.journal.commit(turn, now)
            self.hub.adopt(turn, now)
            self.published += len(turn.sendings)
        for listener in self.listeners:
            listener()
        return value

    def submit(self, action: Action) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(self.change(lambda now, turn: self._carry_out(action, now, turn)))
        except (LookupError, ValueError) as error:
            future.set_exception(error)
        return future

    def _carry_out(self, action: Action, now: datetime, turn: Changes) -> Any:
        match action:
            case ReloadDirectory():
                return len(self.directory.devices())
            case SendCommand(idempotency_key=key):
                known = self.journal.kept.command_of_key(key) if key else None
                return known or self.hub.request(action, uuid.uuid4().hex, now, Changes(), turn)
            case AcceptScene():
                return accept(action, self.hub, self.directory, (), now, batch=Changes(), turn=turn)
            case MarkVehicle():
                return mark(action, self.hub, self.directory, now, batch=Changes(), turn=turn)
            case _:
                return self.alerts.transition(action, now, batch=Changes(), turn=turn)

    def face_report(self) -> FaceReport:
        far, now = self.settings.faces.far, datetime.now(UTC)
        return report(self.store, self.directory, self.gallery, self.thresholds, far=far, now=now)

    def post(self, post: Posted) -> Future[PostAnswer]:
        if self.busy:
            raise RefusedError("the gateway is too busy to take this now; try again")
        future: Future[PostAnswer] = Future()
        batch = Changes()
        try:
            with self._lock:
                answer = self.intake.post(post, batch)
                self.journal.commit(batch, post.received_at)
                self.hub.adopt(batch, post.received_at)
            future.set_result(answer)
        except CommitError as error:
            future.set_exception(error)
        return future

    def health(self) -> Health:
        return Health(ok=not self.problems, problems=self.problems, details={})

    def online(self, device_id: str) -> bool | None:
        state = self.hub.states.devices.get(device_id)
        return state.link.online if state else None

    def stream(self, device_id: str) -> StreamState | None:
        return self.streams.get(device_id)

    def discovered(self) -> list[Discovered]:
        return self.discovery.found((device.protocol, device.address) for device in self.directory.devices())

    def listen(self, seconds: float) -> None:
        self.listened = seconds

    def inside(self, community: str, now: datetime) -> list[Inside]:
        return self.hub.presence.inside(community, now)

    def lot(self, community: str) -> Lot:
        held = self.hub.states.policies.get((PARKING_FULL.name, community))
        return held if isinstance(held, Lot) else Lot()

    def last_seen(self, device_id: str) -> datetime | None:
        state = self.hub.states.devices.get(device_id)
        return state.link.last_seen if state else None

    # -- what devices do in the tests ---------------------------------------------

    def connect(self, device: Device, *, online: bool = True, kind: Struct | None = None) -> None:
        def work(now: datetime, turn: Changes) -> None:
            state = kind or registry.kinds()[device.kind].initial
            turn.devices[device.id] = DeviceState(Link(online=online, last_seen=now), state)

        self.change(work)

    def raise_alert(
        self, code: str = "door_forced", *, at: str = "", instance: str = "", subject: str = "", **more: Any
    ) -> str:
        device = self.directory.device(at) or GATE

        def work(now: datetime, turn: Changes) -> str:
            effect = RaiseAlert(code=code, at=now, instance=instance, subject=subject, **more)
            self.alerts.raise_(effect, device, uuid.uuid4().bytes, now, late=False, batch=Changes(), turn=turn)
            return next(iter(turn.alerts))

        return self.change(work)

    def raise_alerts(self, count: int, code: str, *, first: int) -> None:
        """That many in one transaction, one instance each."""

        def work(now: datetime, turn: Changes) -> None:
            for n in range(first, first + count):
                effect = RaiseAlert(code=code, at=now, instance=str(n))
                self.alerts.raise_(effect, GATE, uuid.uuid4().bytes, now, late=False, batch=Changes(), turn=turn)

        self.change(work)

    def clear_alert(self, code: str) -> None:
        self.change(
            lambda now, turn: self.alerts.clear(ClearAlert(code=code, at=now), GATE, now, batch=Changes(), turn=turn)
        )

    def answer_command(self, command_id: str, result: CommandResult) -> None:
        def work(now: datetime, turn: Changes) -> None:
            record = next(r for r in self.journal.kept.unfinished_commands() if r.id == command_id)
            turn.commands[command_id] = answered(record, CommandAnswered(at=now, command_id=command_id, result=result))

        self.change(work)

    def close(self) -> None:
        self.journal.close()
        self.store.close()

    def token(
        self, *scopes: str, role: str = "", days: float | None = None, source: str = FIRST_SOURCE
    ) -> dict[str, str]:
        wanted, now = scopes or ROLES[role or "admin"], datetime.now(UTC)
        _, text = create_token(self.store, name="desk 1", scopes=wanted, now=now, days=days, source=source)
        return {"Authorization": f"Bearer {text}"}


@pytest.fixture
def estate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Estate]:
    monkeypatch.setitem(PROTOCOLS, "testbed", TESTBED)
    known_names.cache_clear()
    device_routes._protocols.cache_clear()
    estate = Estate(tmp_path)
    estate.directory.put_device(GATE)
    yield estate
    estate.close()
    known_names.cache_clear()
    device_routes._protocols.cache_clear()


@pytest.fixture
def address(estate: Estate) -> Iterator[str]:
    """A real server on a free port."""
    listening = socket.create_server(("127.0.0.1", 0))
    app = create_app(estate)
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=5))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    app.state.feed.close()
    server.should_exit = True
    thread.join(10)
    listening.close()
    assert not thread.is_alive()


@pytest.fixture
def call(address: str) -> Iterator[Callable[..., httpx.Response]]:
    """Call the API: call(method, path, token headers, **httpx)."""
    with httpx.Client(base_url=address, timeout=20, trust_env=False) as client:

        def do(method: str, path: str, token: dict[str, str] | None = None, **more: Any) -> httpx.Response:
            headers = {**(token or {}), **more.pop("headers", {})}
            return client.request(method, path, headers=headers, **more)

        yield do


def in_hours(hours: float) -> str:
    return (datetime.now(UTC) + timedelta(hours=hours)).isoformat()
