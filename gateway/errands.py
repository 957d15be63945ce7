"""What the engine is asked from inside: requests of the API, answers of vision, replies of devices that were called."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import datetime
from typing import Any

import structlog

from devices.effects import IdentifyFace, ReadPlate, WatchScene
from devices.errors import DecodeError
from devices.events import DeviceStatusChanged, OfflineReason, evidence_key
from devices.model import Decoded, Reading
from gateway.actions import (
    AcceptScene,
    AcknowledgeAlert,
    Action,
    DisposeAlert,
    MarkVehicle,
    ReloadDirectory,
    SendCommand,
    ShelveAlert,
    WorkOnAlert,
)
from gateway.changes import Changes, Job
from gateway.directory import Directory
from gateway.face_sight import FaceSight
from gateway.hub import Hub
from gateway.inbox import Called, CommandUnsent, StreamLost, VisionAnswer
from gateway.journal import Journal
from gateway.mqtt import Message
from gateway.reader import Read, event_id
from gateway.rounds import mark
from gateway.scene_acceptance import accept
from gateway.sight import plate_seen, scene_seen
from vision.types import SceneSeen

log = structlog.get_logger()


class Errands:
    """Carries them out, each into a turn of its own. `jobs`: questions vision has not answered, by id. `reloaded`: who
    is told when devices were added, changed or removed.
    """

    def __init__(self, *, hub: Hub, journal: Journal, directory: Directory, face_sight: FaceSight) -> None:
        self._hub = hub
        self._journal = journal
        self._directory = directory
        self._face_sight = face_sight
        self.jobs: dict[str, Job] = {}
        self.reloaded: list[Callable[[], None]] = []

    def carry_out(  # noqa: C901, PLR0911 - a table
        self,
        what: Action | VisionAnswer | CommandUnsent | Called | StreamLost,
        now: datetime,
        batch: Changes,
        turn: Changes,
    ) -> Any:
        """Do it, and give what its asker was promised. The error of one that cannot be done says why."""
        match what:
            case VisionAnswer():
                return self._seen(what, now, batch, turn)
            case CommandUnsent(command=command, reason=reason):
                return self._hub.commands.unsent(command, reason, now, batch=batch, turn=turn)
            case Called():
                return self._called(what, now, batch, turn)
            case StreamLost():
                return self._lost(what, now, batch, turn)
            case SendCommand(idempotency_key=key):
                known = self._command_of_key(key, batch) if key else None
                return known or self._hub.request(what, uuid.uuid4().hex, now, batch, turn)
            case ReloadDirectory():
                self._hub.registered(now, batch, turn)
                for reloaded in self.reloaded:
                    reloaded()
                return len(self._directory.devices())
            case AcceptScene():
                return accept(
                    what, self._hub, self._directory, self._unanswered(what.device, batch), now, batch=batch, turn=turn
                )
            case MarkVehicle():
                return mark(what, self._hub, self._directory, now, batch=batch, turn=turn)
            case AcknowledgeAlert() | DisposeAlert() | ShelveAlert() | WorkOnAlert():
                return self._hub.alerts.transition(what, now, batch=batch, turn=turn)
            case _:
                raise TypeError(f"nothing carries out {type(what).__name__}")

    def adopt(self, batch: Changes) -> None:
        """The batch is safe: what it changed is the truth now."""
        self.jobs.update(batch.jobs)
        for done in batch.jobs_done:
            self.jobs.pop(done, None)

    def _unanswered(self, device: str, batch: Changes) -> list[Job]:
        """The questions about a camera's view that are under way."""
        jobs = [*self.jobs.values(), *batch.jobs.values()]
        return [job for job in jobs if job.device == device and isinstance(job.question, WatchScene)]

    def _command_of_key(self, key: str, batch: Changes) -> Any:
        for command, held in batch.keys.items():
            if held == key:
                return batch.commands[command]
        return self._journal.kept.command_of_key(key)

    def _seen(self, answer: VisionAnswer, now: datetime, batch: Changes, turn: Changes) -> None:
        job = self.jobs.get(answer.job) or batch.jobs.get(answer.job)
        if job is None or job.id in batch.jobs_done:
            return
        turn.jobs_done.append(job.id)
        device = self._directory.device(job.device)
        if device is None:
            return
        match job.question:
            case IdentifyFace() as question:
                event: Any
                event, sighting = self._face_sight.seen(question, answer.look, device, now, batch.sightings)
                turn.sightings += [sighting] if sighting else []
            case ReadPlate() as question:
                event = plate_seen(question, answer.look, now)
            case WatchScene() as question:
                event = scene_seen(question, answer.look, now)
                if isinstance(answer.look, SceneSeen):
                    turn.scenes[device.id] = answer.look.memory
        self._hub.fact(
            event, device, bytes.fromhex(job.id)[:6] + b"look" + bytes.fromhex(job.id)[6:12], now, batch, turn
        )

    def _lost(self, lost: StreamLost, now: datetime, batch: Changes, turn: Changes) -> None:
        """A device whose stream is gone is offline, unless it was heard since by another way."""
        device = self._directory.device(lost.device)
        if device is None or not self._hub.states.knows(device):
            return
        link = self._hub.states.device(device, batch, turn).link
        if not link.online or (link.last_seen is not None and link.last_seen > lost.since):
            return
        gone = DeviceStatusChanged(at=now, online=False, reason=OfflineReason.SILENT)
        message = Message(f"/streams/{device.id}", b"", 0, 0, retained=False, epoch=0, received_at=now)
        decoded = Decoded(address=device.address, readings=(Reading(event=gone, timed=False),))
        key = event_id(now, b"stream lost", device.id.encode())
        read = Read(message, device, self._hub.states.protocols[device.protocol], decoded, (key,))
        self._hub.message(read, set(), batch, turn)

    def _called(self, called: Called, now: datetime, batch: Changes, turn: Changes) -> None:
        """What a device replied to a call. A reply nobody understands proves nothing: then the command expires, unless
        its status is a refusal.
        """
        device = self._directory.device(called.device)
        protocol = self._hub.states.protocols.get(device.protocol) if device else None
        if device is None or protocol is None or protocol.answered is None:
            return
        try:
            decoded = protocol.answered(called.command, called.status, called.body, now)
        except DecodeError as error:
            log.warning("reply_not_understood", device=device.id, status=called.status, reason=error.reason)
            if called.status >= 400:
                reason = f"the device answered HTTP {called.status}"
                self._hub.commands.unsent(called.command, reason, now, batch=batch, turn=turn)
            return
        for n, reading in enumerate(decoded.readings):
            key = event_id(now, b"called", called.command.encode(), bytes([n]))
            self._hub.fact(reading.event, device, key, now, batch, turn)
        for image in decoded.images:
            turn.captures[evidence_key(image)] = (device.id, now, image)
