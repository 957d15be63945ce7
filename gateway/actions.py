"""What people and backends ask of the running gateway, through the API. Carried out by the engine, in its own
transaction, so that a decision and its record are never apart.
"""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct

from devices.alerts import Alert, Disposition, Work
from devices.effects import Command


class Action(Struct, frozen=True, kw_only=True):
    """Base of all requests. `by`: who asks (a token's name)."""

    by: str


class AcknowledgeAlert(Action, frozen=True, kw_only=True):
    """Answered with `Transitioned`."""

    alert: str
    reason: str


class DisposeAlert(Action, frozen=True, kw_only=True):
    """Answered with `Transitioned`."""

    alert: str
    disposition: Disposition
    reason: str


class ShelveAlert(Action, frozen=True, kw_only=True):
    """Answered with `Transitioned`."""

    alert: str
    until: datetime
    reason: str


class WorkOnAlert(Action, frozen=True, kw_only=True):
    """The governance backend tells where it stands, with its own id of this `step`. Answered with `Transitioned`."""

    alert: str
    work: Work
    assignee: str = ""
    reason: str = ""
    if_work: Work | None = None
    step: str = ""


class Transitioned(Struct, frozen=True, kw_only=True):
    """The alert as it then stands, and which of its fields that changed; none where it stood so already."""

    alert: Alert
    changed: tuple[str, ...]


class SendCommand(Action, frozen=True, kw_only=True):
    """Publish `command` (its `device` names the target) once. Answered with the `CommandRecord`; the same
    `idempotency_key` again is answered with the first one's record and publishes nothing. `command_id`: chosen by who
    asks, where it must be written down before; "" for a new one.
    """

    command: Command
    idempotency_key: str = ""
    command_id: str = ""


class AcceptScene(Action, frozen=True, kw_only=True):
    """The view of the camera `device` is as it should be. Answered with the `SceneAcceptance`."""

    device: str
    reason: str


class SceneAcceptance(Struct, frozen=True, kw_only=True):
    """`ended`: ids of the alerts that ended by it."""

    device: str
    at: datetime
    by: str
    ended: tuple[str, ...] = ()


class ReloadDirectory(Action, frozen=True, kw_only=True):
    """Devices were added, changed or removed. Answered with their number."""


class NotFoundError(LookupError):
    """There is no such alert or device; the text names it."""


class RefusedError(ValueError):
    """It cannot be done as things stand; the text says why."""
