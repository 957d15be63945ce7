"""The one place where everything is built, started and stopped."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
import uuid
from concurrent.futures import Future
from datetime import UTC, datetime
from typing import Any

import structlog

from devices import registry
from devices.kinds.link import Link
from devices.model import Device
from gateway import announce, aside, listening, metrics, parts
from gateway.access import AccessBook
from gateway.actions import Action
from gateway.announce import Announcer
from gateway.attached import StreamState
from gateway.attacher import Attacher
from gateway.broker import Broker
from gateway.caller import Caller
from gateway.courier import Courier
from gateway.directory import Directory
from gateway.discovery import Discovered, Discovery
from gateway.dispatch import Dispatch
from gateway.engine import Engine
from gateway.evidence import Evidence
from gateway.face_report import FaceReport, report
from gateway.face_sight import FaceSight
from gateway.health import Health, disk_problems, way_problems
from gateway.hub import Hub
from gateway.inbox import Inbox, Item, PostAnswer, Posted, StreamLost
from gateway.journal import Journal
from gateway.lists import Lists
from gateway.reader import Reader
from gateway.rights import device_rights, reader_rights
from gateway.routes import own_topics
from gateway.settings import Settings
from gateway.store import Store
from gateway.sync import Sync
from gateway.telemetry import Telemetry
from gateway.thingsboard import ThingsBoard
from gateway.thresholds import Thresholds
from gateway.vault import Vault
from vision.gallery import Gallery

log = structlog.get_logger()

PRUNE_EVIDENCE_EVERY_S = 300.0


class Gateway:
    """Everything that runs, put together. Build it, `start()` it in the main thread, `stop()` it.

    :raises SettingsError, StoreError, BrokerError: as their names say; the text tells what to do.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        settings.data.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._lock = parts.only_one(settings.data / "lock")
        self.vault = Vault.at(settings.data / "keys")
        self.store = Store(settings.database)
        self.gallery = Gallery()
        self.directory = Directory(
            self.store, self.vault, self.gallery, zone=settings.zone, community=settings.community
        )
        self.directory.load()
        self.thresholds = Thresholds(self.store, settings.faces)
        self.thresholds.load()
        self.evidence = Evidence(settings.data / "evidence", self.vault)
        self.directory.residents.delete_doomed(self.evidence)
        self._protocols = registry.protocols()
        rights = device_rights(self._protocols.values(), self.directory.devices())
        shown = (f"{settings.home_assistant.prefix}/#", f"{announce.ROOT}/+")
        reader = {announce.USER: reader_rights(shown, (f"{settings.home_assistant.prefix}/status",))}
        guests = reader if settings.home_assistant.enabled else {}
        folder = settings.data / "broker"
        topics = {topic for protocol in self._protocols.values() for topic in protocol.topics}
        own = {t for d in self.directory.devices() for t in self._own_topics(d)}
        self.broker = (
            None
            if settings.mqtt.url
            else Broker(settings.mqtt, folder, rights=rights, guests=guests, filters=len(topics | own))
        )
        self._address = parts.broker_address(settings, self.broker)
        self._mqtt = parts.mqtt(settings, self.broker, self._address, self._protocols.values())
        self._discovery = Discovery(self._protocols)
        if self.broker is not None:
            # The embedded broker lets devices publish only where a protocol listens, so only its log tells of others.
            self.broker.on_forbidden = lambda topic: self._discovery.unheard(topic, b"", datetime.now(UTC))
        faces = settings.faces
        self.pool = parts.pool(faces) if faces.workers else None
        self.inbox = Inbox()
        self.access = AccessBook(self.store, self.vault)
        self.sync = Sync(self.store, self.vault, self.directory)
        self._caller = Caller(self.access, self.inbox)
        self.engine, self._hub = self._build_engine()
        metrics.DEVICES_ONLINE.set_function(self._devices_online)
        self.courier = Courier(self.store, self.vault, settings)
        self.telemetry = Telemetry(self.store, settings)
        self._outlets = self._build_outlets()
        self.listeners = self.engine.listeners
        self.lists = Lists(
            store=self.store,
            directory=self.directory,
            photos=self.evidence,
            protocols=self._protocols,
            link=self._link,
            submit=self.submit,
        )
        self.directory.listeners.append(self.lists.wake)
        self._attacher = Attacher(
            directory=self.directory,
            book=self.access,
            protocols=self._protocols,
            post=self.post,
            lost=self._stream_lost,
            link=self._link,
        )
        self.access.listeners.append(self._attacher.wake)
        wakes = [outlet.wake for outlet in self._outlets if isinstance(outlet, Announcer)]
        self.listeners += [self.courier.tell, self.lists.heard, *wakes]
        self.engine.reloaded += wakes
        self._here: set[str] = set()
        self.engine.reloaded += [self._listen, self._attacher.wake]
        self._listen()
        self._stopping = threading.Event()
        self._keeper = threading.Thread(target=self._keep_evidence, name="evidence-keeper", daemon=True)

    def _build_engine(self) -> tuple[Engine, Hub]:
        settings = self.settings
        kinds, protocols = registry.kinds(), self._protocols
        journal = Journal(
            self.store,
            self.vault,
            retention=settings.retention,
            limits=settings.limits,
            community_of=self.directory.community_of,
        )
        journal.begin_ledger(datetime.now(UTC), zone=settings.zone, companies=settings.companies)
        hub = parts.restored_hub(kinds, protocols, self.directory, settings, journal, datetime.now(UTC))
        engine = Engine(
            settings=settings,
            mqtt=self._mqtt,
            inbox=self.inbox,
            reader=Reader(
                protocols,
                self.directory,
                limits=settings.limits,
                zone=settings.zone,
                discovery=self._discovery,
                standing=journal.standing(),
            ),
            hub=hub,
            journal=journal,
            dispatch=Dispatch(
                mqtt=self._mqtt,
                caller=self._caller,
                pool=self.pool,
                evidence=self.evidence,
                inbox=self.inbox,
                memory_of=journal.scene,
            ),
            evidence=self.evidence,
            directory=self.directory,
            face_sight=FaceSight(
                gallery=self.gallery, directory=self.directory, thresholds=self.thresholds, settings=settings.faces
            ),
        )
        return engine, hub

    def _build_outlets(self) -> list[Announcer | ThingsBoard]:
        """Whom we tell besides: a Home Assistant on our broker, a ThingsBoard elsewhere."""
        settings, states = self.settings, self._hub.states.devices
        found: list[Announcer | ThingsBoard] = []
        suffix = f"-{self.broker.client_id_suffix}" if self.broker else ""
        if settings.home_assistant.enabled:
            found.append(
                Announcer(
                    settings.home_assistant,
                    self._address,
                    store=self.store,
                    directory=self.directory,
                    states=states,
                    client_id=f"{settings.mqtt.client_id}-announcer{suffix}",
                )
            )
        if settings.thingsboard.url:
            found.append(
                ThingsBoard(settings, store=self.store, directory=self.directory, states=states, submit=self.submit)
            )
        return found

    def _own_topics(self, device: Device) -> tuple[str, ...]:
        protocol = self._protocols.get(device.protocol)
        return own_topics(protocol, device) if protocol else ()

    def _listen(self) -> None:
        """Follow the directory: let its devices speak where they are registered to, and listen there. A newcomer's
        retained messages were passed over until now, so they are asked for once more.
        """
        devices = [device for device in self.directory.devices() if device.protocol in self._protocols]
        if self.broker is not None:
            self.broker.allow(device_rights(self._protocols.values(), devices))
        own = {device.id: self._own_topics(device) for device in devices}
        spoken = [self._protocols[d.protocol] for d in devices if d.id not in self._here]
        again = {topic for p in spoken for topic in (p.topics if "#" in p.retained else p.retained)}
        again.update(topic for device in devices if device.id not in self._here for topic in own[device.id])
        self._here = set(own)
        topics = {topic for held in own.values() for topic in held}
        shared = {topic for protocol in self._protocols.values() for topic in protocol.topics}
        self._mqtt.listen(topics - shared, again=again & (topics | shared))

    # -- life -------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start the broker, then everything that needs it."""
        if self.broker is not None:
            self.broker.start()
        self.engine.start()
        self.courier.start()
        self.telemetry.start()
        self.lists.start()
        self._attacher.start()
        for outlet in self._outlets:
            outlet.start()
        self._keeper.start()

    def watch(self) -> None:
        """Call about once a second from the main thread."""
        with contextlib.suppress(sqlite3.Error):  # `health` says so; the thresholds stay as they are
            self.thresholds.load()
        if self.broker is not None:
            self.broker.watch()

    def stop(self) -> None:
        """Stop in the order of the way of a message."""
        self._stopping.set()
        self._caller.stop()
        self._attacher.stop()
        self.lists.stop()
        self.engine.stop()
        self.courier.stop()
        self.telemetry.stop()
        for outlet in self._outlets:
            outlet.stop()
        if self.pool is not None:
            self.pool.close()
        if self.broker is not None:
            self.broker.stop()
        self.store.close()
        self._lock.close()

    def _keep_evidence(self) -> None:
        pause = PRUNE_EVIDENCE_EVERY_S
        while not self._stopping.wait(pause):
            try:
                gone = self.evidence.prune(self.store, datetime.now(UTC))
            except (OSError, sqlite3.Error) as error:
                log.warning("evidence_not_pruned", trouble=str(error))
                gone = 0
            pause = 1.0 if gone else PRUNE_EVIDENCE_EVERY_S

    # -- for the API --------------------------------------------------------------------------------------------------

    def submit(self, action: Action) -> Future[Any]:
        """Have the engine carry out `action`; the future gives what its docstring says.

        :raises RefusedError: the gateway is stopping or too busy.
        """
        future: Future[Any] = Future()
        future.set_running_or_notify_cancel()  # from here on it is answered, whoever stops waiting
        self.inbox.put(Item(action, future))
        return future

    def post(self, post: Posted) -> Future[PostAnswer]:
        """Have the engine take what a device posted; see `gateway.inbox.Posted` for what the future gives.

        :raises RefusedError: the gateway is stopping or too busy; it never waits.
        """
        future: Future[PostAnswer] = Future()
        future.set_running_or_notify_cancel()
        self.inbox.put(Item(post, future), timeout=0)
        return future

    def stream(self, device: str) -> StreamState | None:
        """How a device's event stream stands; None: it is not attached to."""
        return self._attacher.state(device)

    def _stream_lost(self, device: str, since: datetime) -> None:
        self.inbox.put(Item(StreamLost(device=device, since=since)), timeout=0)

    def _link(self, device: str) -> Link | None:
        state = self._hub.states.devices.get(device)
        return state.link if state else None

    def online(self, device: str) -> bool | None:
        """Whether a device is there; None until it is first heard."""
        state = self._hub.states.devices.get(device)
        return state.link.online if state else None

    def discovered(self) -> list[Discovered]:
        """Who speaks and is not registered, last heard first."""
        return self._discovery.found((device.protocol, device.address) for device in self.directory.devices())

    def listen(self, seconds: float) -> None:
        """Listen to the whole broker for so long, so that `discovered` knows of topics no protocol listens on.

        :raises RefusedError: the broker does not let us.
        """
        ours = [topic for protocol in self._protocols.values() for topic in (*protocol.topics, *protocol.orders)]
        name = f"{self.settings.mqtt.client_id}-discover-{uuid.uuid4().hex[:8]}"
        listening.listen(
            self._address, self._discovery, client_id=name, ours=ours, seconds=seconds, stop=self._stopping
        )

    @property
    def connected(self) -> bool:
        """Devices can be heard."""
        return self.engine.alive and self._mqtt.connected

    def _devices_online(self) -> int:
        return sum(1 for state in list(self._hub.states.devices.values()) if state.link.online)

    def last_seen(self, device: str) -> datetime | None:
        """When a device was last heard."""
        state = self._hub.states.devices.get(device)
        return state.link.last_seen if state else None

    def face_report(self) -> FaceReport:
        """How the estate's faces stand."""
        far, now = self.settings.faces.far, datetime.now(UTC)
        return report(self.store, self.directory, self.gallery, self.thresholds, far=far, now=now)

    def health(self) -> Health:
        """What is wrong, in words."""
        problems = disk_problems(str(self.settings.data))
        problems += way_problems(self.engine, self._mqtt, self.broker)
        if self.lists.bugs:
            problems.append(f"the terminals' lists met an error of our own {self.lists.bugs} times; see the log")
        if self.thresholds.trouble:
            problems.append(f"faces.threshold is used: {self.thresholds.trouble}")
        problems += self._attacher.problems() + self.courier.problems() + self.telemetry.problems()
        problems += [problem for outlet in self._outlets for problem in outlet.problems()]
        alerts_open = -1
        try:
            (alerts_open,) = self.store.reader.execute("SELECT count(*) FROM alerts WHERE open=1").fetchone()
            problems += aside.problems(self.store)
        except sqlite3.Error as error:
            problems.append(f"the database cannot be read: {error}")
        details = {
            "devices": len(self._hub.states.devices),
            "devices_online": self._devices_online(),
            "alerts_open": alerts_open,
            "broker_epoch": self._mqtt.epoch,
            "vision_workers": self.settings.faces.workers,
        }
        return Health(ok=not problems, problems=problems, details=details)
