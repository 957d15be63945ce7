"""The engine with a hand-driven wire and clock: everything else (SQLite, journal, hub, directory) is the real thing."""

from __future__ import annotations

from concurrent.futures import Future
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec

from devices import registry
from devices.model import Device
from gateway.access import AccessBook
from gateway.actions import Action
from gateway.caller import Caller
from gateway.directory import Directory
from gateway.discovery import Discovery
from gateway.dispatch import Dispatch
from gateway.engine import Engine
from gateway.evidence import Evidence
from gateway.face_sight import FaceSight
from gateway.inbox import Inbox, Item
from gateway.journal import Journal
from gateway.mqtt import Message
from gateway.parts import restored_hub
from gateway.reader import Reader
from gateway.settings import Faces, Policies, Settings
from gateway.store import Store
from gateway.thresholds import Thresholds
from gateway.vault import Vault
from vision.gallery import Gallery

START = datetime(2026, 11, 23, 2, 0, tzinfo=UTC)
GATE = Device(id="gate-1", kind="face_gate", protocol="native", address="G1", community="c1", building="b1")
BARRIER = Device(id="lane-1", kind="barrier", protocol="native", address="L1", community="c1", direction="in")
LAMP = Device(id="lamp-1", kind="light", protocol="native", address="P1", community="c1")
DEVICES = (GATE, BARRIER, LAMP)


class Wire:
    """Stands for the broker: what was acknowledged and published is on record."""

    def __init__(self) -> None:
        self.connected = True
        self.epoch = 1
        self.trouble = ""
        self.acked: list[Message] = []
        self.published: list[tuple[str, dict[str, Any]]] = []

    def ack(self, message: Message) -> None:
        self.acked.append(message)

    def publish(self, topic: str, payload: bytes, _qos: int) -> bool:
        if self.connected:
            self.published.append((topic, msgspec.json.decode(payload)))
        return self.connected

    def flush(self) -> None:
        return

    def disconnect(self) -> None:
        self.connected = False


class Shell:
    """One run of the gateway on the data of `folder`; make another on the same folder to restart."""

    def __init__(
        self,
        folder: Path,
        now: datetime = START,
        devices: tuple[Device, ...] = DEVICES,
        *,
        faces: Faces | None = None,
        pool: Any = None,
    ) -> None:
        self.now = now
        limits = Policies(offline_wait_s=10)
        self.settings = Settings(data_dir=str(folder), community="c1", faces=faces or Faces(), policies=limits)
        self.vault = Vault.at(folder / "keys")
        self.store = Store(self.settings.database)
        self.gallery = Gallery()
        self.directory = Directory(self.store, self.vault, self.gallery, zone="Asia/Shanghai", community="c1")
        self.directory.load()
        for device in devices:
            self.directory.put_device(device)
        self.thresholds = Thresholds(self.store, self.settings.faces)
        self.thresholds.load()
        self.wire = Wire()
        self.inbox = Inbox()
        self.discovery = Discovery(registry.protocols())
        kinds, protocols = registry.kinds(), registry.protocols()
        limits = self.settings.limits
        self.journal = Journal(
            self.store,
            self.vault,
            retention=self.settings.retention,
            limits=limits,
            community_of=self.directory.community_of,
        )
        self.journal.begin_ledger(now, zone=self.settings.zone, companies=self.settings.companies)
        self.hub = restored_hub(kinds, protocols, self.directory, self.settings, self.journal, now)
        self.evidence = evidence = Evidence(folder / "evidence", self.vault)
        self.access = AccessBook(self.store, self.vault)
        self.caller = Caller(self.access, self.inbox, clock=lambda: self.now)
        wire: Any = self.wire
        self.engine = Engine(
            settings=self.settings,
            mqtt=wire,
            inbox=self.inbox,
            reader=Reader(
                protocols,
                self.directory,
                limits=limits,
                zone="Asia/Shanghai",
                discovery=self.discovery,
                standing=self.journal.standing(),
            ),
            hub=self.hub,
            journal=self.journal,
            dispatch=Dispatch(
                mqtt=wire,
                caller=self.caller,
                pool=pool,
                evidence=evidence,
                inbox=self.inbox,
                memory_of=self.journal.scene,
            ),
            evidence=evidence,
            directory=self.directory,
            face_sight=FaceSight(
                gallery=self.gallery,
                directory=self.directory,
                thresholds=self.thresholds,
                settings=self.settings.faces,
            ),
            clock=lambda: self.now,
        )

    # -- driving it --------------------------------------------------------------------------------------------------

    def message(self, topic: str, body: Any, *, retained: bool = False, dup: bool = False, epoch: int = 1) -> Message:
        payload = body if isinstance(body, bytes) else msgspec.json.encode(body)
        return Message(topic, payload, 1, 1, retained, epoch, self.now, dup)

    def event(
        self, device: Device, kind: str, *, at: datetime | None = None, record: str = "", **fields: Any
    ) -> Message:
        body = {"id": record, "event": {"type": kind, "at": (at or self.now).isoformat(), **fields}}
        return self.message(f"linli/v1/{device.address}/event", body)

    def take(self, *messages: Message) -> None:
        """One batch, and what follows from it inside."""
        self.engine._round(list(messages), [])
        self.settle()

    def say(self, device: Device, kind: str, **fields: Any) -> None:
        self.take(self.event(device, kind, **fields))

    def settle(self) -> None:
        while items := self.engine._retry + self.inbox.take():
            self.engine._retry = []
            self.engine._round([], items)

    def pass_time(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)
        self.engine._round([], [])
        self.settle()

    def ask(self, action: Action) -> Any:
        future: Future[Any] = Future()
        self.engine._round([], [Item(action, future)])
        self.settle()
        return future.result(0)

    # -- looking at it -----------------------------------------------------------------------------------------------

    def rows(self, query: str) -> list[Any]:
        return [tuple(row) for row in self.store.reader.execute(query)]

    def events(self) -> list[str]:
        return [kind for (kind,) in self.rows("SELECT type FROM events ORDER BY seq")]

    def alerts(self) -> list[tuple[str, str, int]]:
        """Type, condition and count of every open alert."""
        return sorted((a.type, str(a.condition), a.count) for a in self.hub.alerts.open)

    def close(self) -> None:
        self.caller.stop()
        self.journal.close()
        self.store.close()
