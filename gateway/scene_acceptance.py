"""A person says that a camera's view is as it should be: it is learnt anew, and what was told against it ends."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from datetime import datetime

from devices.alerts import Alert, Condition, Disposition
from devices.events import SceneAccepted
from devices.kinds import scene
from devices.kinds.camera import Camera
from gateway.actions import AcceptScene, DisposeAlert, NotFoundError, RefusedError, SceneAcceptance
from gateway.changes import Changes, Job
from gateway.directory import Directory
from gateway.hub import Hub
from gateway.reader import event_id

_END = Disposition.NO_ACTION
"""Whatever it was, nothing is left to be done: the view is as it should be."""


def accept(
    action: AcceptScene,
    hub: Hub,
    directory: Directory,
    unanswered: Iterable[Job],
    now: datetime,
    *,
    batch: Changes,
    turn: Changes,
) -> SceneAcceptance:
    """Forget what was learnt, end the alerts, and record who says so. `unanswered`: questions about the view that are
    with vision; their answers would bring back what is to be forgotten.

    :raises NotFoundError: there is no such device.
    :raises RefusedError: it is no camera, or there is nothing to learn from.
    """
    device = directory.device(action.device)
    if device is None:
        raise NotFoundError(f"there is no device {action.device}")
    held = hub.states.device(device, batch, turn).kind if hub.states.knows(device) else None
    if not isinstance(held, Camera):
        raise RefusedError(f"{device.id} is no camera whose pictures are watched but a {device.kind}")
    if held.watch.last is None:
        raise RefusedError(f"{device.id} has sent no picture yet: its first ones are learnt from anyway")
    unseeing = next((code for code, _ in held.watch.raised if code in scene.UNSEEING), "")
    if unseeing:
        raise RefusedError(
            f"{device.id}: nothing can be learnt from its pictures while {unseeing} holds; mend that first"
        )
    turn.scenes[device.id] = b""
    turn.jobs_done += [job.id for job in unanswered]
    ended = []
    for alert in _told_against(device.id, hub, batch):
        end = DisposeAlert(by=action.by, alert=alert.id, disposition=_END, reason=action.reason)
        ended.append(hub.alerts.transition(end, now, batch=batch, turn=turn).alert.id)
    fact = SceneAccepted(at=now, by=action.by[:128], reason=action.reason)
    hub.fact(fact, device, event_id(now, b"scene_accepted", uuid.uuid4().bytes), now, batch, turn)
    return SceneAcceptance(device=device.id, at=now, by=action.by, ended=tuple(ended))


def _told_against(device: str, hub: Hub, batch: Changes) -> list[Alert]:
    """The alerts that rest on the view as it was learnt, or on the camera's own idea of it, and hold."""
    latest = {alert.id: alert for alert in hub.alerts.open} | batch.alerts
    return [
        alert
        for alert in latest.values()
        if alert.device == device and alert.type in scene.RELATIVE and alert.condition is Condition.ACTIVE
    ]
