"""What one batch changes: gathered while deciding, written in one transaction, then adopted and dispatched."""

from __future__ import annotations

from datetime import datetime
from typing import Any, NamedTuple

from msgspec import Struct

from devices import incidents
from devices.alerts import Alert
from devices.commands import CommandRecord
from devices.effects import IdentifyFace, ReadPlate, WatchScene
from devices.events import Event
from devices.kinds.link import Link
from devices.model import HttpCall, HttpReply, Outgoing
from gateway.replay import Sighting


class DeviceState(Struct, frozen=True):
    """All we hold of one device: its link and its kind's state."""

    link: Link
    kind: Any


class EventRow(Struct, frozen=True, gc=False):
    """A fact as it is journalled. `at` is what the device claimed; the event's own `at` is corrected."""

    id: bytes
    device: str
    event: Event
    at: datetime
    received_at: datetime
    late: bool


class AlertChange(NamedTuple):
    """One transition of an alert, as it then stood."""

    alert: Alert
    change: str
    actor: str
    reason: str
    at: datetime


class Job(NamedTuple):
    """A question to vision. Its id is derived from the event that asked."""

    id: str
    device: str
    question: IdentifyFace | ReadPlate | WatchScene


class Sending(NamedTuple):
    """A message to send once the batch is safe. `command` is "" for a protocol's own replies."""

    message: Outgoing | HttpCall | HttpReply
    device: str
    command: str
    not_after: datetime | None


class Quarantined(NamedTuple):
    """A message nobody could use."""

    at: datetime
    address: str
    topic: str
    reason: str
    payload: bytes


class Point(NamedTuple):
    """One telemetry value."""

    device: str
    metric: str
    at: datetime
    value: float


class Changes:
    """The changes of one message, or of a whole batch. Later ones override earlier ones by name."""

    __slots__ = (
        "alert_changes",
        "alerts",
        "announced",
        "captures",
        "commands",
        "current",
        "devices",
        "events",
        "forgotten",
        "ids",
        "incidents",
        "jobs",
        "jobs_done",
        "keys",
        "points",
        "policies",
        "quarantined",
        "scenes",
        "sendings",
        "sightings",
        "standing",
    )

    def __init__(self) -> None:
        self.events: list[EventRow] = []
        self.ids: set[bytes] = set()
        self.devices: dict[str, DeviceState] = {}
        self.forgotten: set[str] = set()
        self.policies: dict[tuple[str, str], Struct | None] = {}
        self.alerts: dict[str, Alert] = {}
        self.alert_changes: list[AlertChange] = []
        self.current: dict[str, Alert] = {}  # of `alerts`, the one that stands for its key
        self.announced: dict[str, datetime] = {}
        self.incidents: dict[incidents.Key, incidents.Stretch] = {}
        self.commands: dict[str, CommandRecord] = {}
        self.keys: dict[str, str] = {}
        self.jobs: dict[str, Job] = {}
        self.jobs_done: list[str] = []
        self.captures: dict[str, tuple[str, datetime, bytes]] = {}
        self.quarantined: list[Quarantined] = []
        self.points: list[Point] = []
        self.scenes: dict[str, bytes] = {}  # what is remembered of a camera's view
        self.sendings: list[Sending] = []
        self.sightings: list[Sighting] = []
        self.standing: dict[tuple[str, str], bytes] = {}  # device and topic: what was said there last

    def merge(self, other: Changes) -> None:
        """Take over what `other` changed after us."""
        self.events += other.events
        self.ids |= other.ids
        self.forgotten |= other.forgotten
        self.devices.update(other.devices)
        self.policies.update(other.policies)
        self.alerts.update(other.alerts)
        self.alert_changes += other.alert_changes
        self.current.update(other.current)
        self.announced.update(other.announced)
        self.incidents.update(other.incidents)
        self.commands.update(other.commands)
        self.keys.update(other.keys)
        self.jobs.update(other.jobs)
        self.jobs_done += other.jobs_done
        self.captures.update(other.captures)
        self.quarantined += other.quarantined
        self.points += other.points
        self.scenes.update(other.scenes)
        self.sendings += other.sendings
        self.sightings += other.sightings
        self.standing.update(other.standing)

    @property
    def worth_writing(self) -> bool:
        """Something must reach the disk."""
        return any(getattr(self, name) for name in self.__slots__ if name not in ("ids", "sendings", "keys"))
