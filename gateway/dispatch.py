"""Outlets: what leaves the gateway once a batch is safe. Commands are published once, in time, or not at all."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from datetime import datetime

import structlog

from devices.effects import Effect, IdentifyFace, ReadPlate, WatchScene
from devices.model import HttpCall, HttpReply
from gateway import metrics
from gateway.caller import Caller
from gateway.changes import Changes, Job, Sending
from gateway.evidence import Evidence
from gateway.inbox import CommandUnsent, Inbox, VisionAnswer
from gateway.mqtt import Mqtt
from vision.pool import Pool
from vision.types import Kind, Look, SceneTask, Unreadable, encode, outcome

log = structlog.get_logger()

_KINDS: dict[type[Effect], Kind] = {IdentifyFace: "face", ReadPlate: "plate", WatchScene: "scene"}
NO_VISION = Unreadable(reason="vision is switched off")


class Dispatch:
    """Publishes commands and replies, has devices called, and gives pictures to vision. `memory_of`: what is known of
    a camera's view.
    """

    def __init__(
        self,
        *,
        mqtt: Mqtt,
        caller: Caller,
        pool: Pool | None,
        evidence: Evidence,
        inbox: Inbox,
        memory_of: Callable[[str], bytes],
    ) -> None:
        self._mqtt = mqtt
        self._caller = caller
        self._pool = pool
        self._evidence = evidence
        self._inbox = inbox
        self._memory_of = memory_of
        self._unsent: list[CommandUnsent] = []

    def send(self, batch: Changes, clock: Callable[[], datetime]) -> list[CommandUnsent]:
        """Everything the batch asks for. Returns the commands that could not be handed over."""
        self._unsent = []
        for sending in batch.sendings:
            self._publish(sending, clock())
        for job in batch.jobs.values():
            held = batch.captures.get(job.question.evidence)
            self.look(job, clock(), image=held[2] if held else None)
        return self._unsent

    def _publish(self, sending: Sending, now: datetime) -> None:
        message = sending.message
        if sending.not_after is not None and now >= sending.not_after:
            trouble = "not_after passed before it could be published"
        elif isinstance(message, HttpReply):
            trouble = "this device is only told something in the answer to what it posts"
        elif isinstance(message, HttpCall):
            trouble = self._caller.call(message, sending.device, sending.command, sending.not_after or now)
        elif self._mqtt.publish(message.topic, message.payload, message.qos):
            return
        else:
            trouble = "no connection to the broker"
        if sending.command and trouble:
            self._unsent.append(CommandUnsent(command=sending.command, device=sending.device, reason=trouble))

    def look(self, job: Job, now: datetime, *, image: bytes | None = None) -> None:
        """Give a picture to vision; its answer comes back through the inbox, whatever happens."""
        question = job.question
        kind = _KINDS[type(question)]
        left = (job.question.not_after - now).total_seconds()
        picture = image if image is not None else self._picture(job.question.evidence)

        def answer(look: Look) -> None:
            metrics.VISION_JOBS.labels(kind, outcome(look)).inc()
            self._inbox.answer(VisionAnswer(job=job.id, look=look))

        def done(future: Future[Look]) -> None:
            answer(future.result())

        if left <= 0:
            answer(Unreadable(reason="too late to matter"))
        elif picture is None:
            answer(Unreadable(reason="the picture is gone"))
        elif self._pool is None:
            answer(NO_VISION)
        else:
            context = self._scene(question, job.device) if isinstance(question, WatchScene) else b""
            self._pool.submit(kind, picture, deadline_s=left, context=context).add_done_callback(done)

    def _scene(self, question: WatchScene, device: str) -> bytes:
        zones = {zone.name: zone.polygon for zone in question.zones}
        at = question.captured_at.timestamp()
        return encode(SceneTask(at=at, change_s=question.change_s, zones=zones, memory=self._memory_of(device)))

    def _picture(self, key: str) -> bytes | None:
        try:
            return self._evidence.read(key)
        except (OSError, ValueError) as error:  # a bad sector, or a plug-in's idea of a key: one picture is lost
            log.warning("picture_unreadable", trouble=str(error))
            return None
