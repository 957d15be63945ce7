"""What every device has, whatever it is: is it there, does it restart, is its clock right, is a message late. Pure.

unknown --heard--> online --silent for three heartbeats, or it (or its last will) says so--> offline --heard--> online

A message that waited somewhere looks just like one from a slow clock: its time lies behind. So a clock counts as slow
only when two measurements some seconds apart agree (a backlog comes in a burst and does not), and a clock that is
ahead at once (no delay can make it so). Otherwise a face an hour old would be taken for one of now, and open a door.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from msgspec import Struct
from msgspec.structs import replace

from devices.effects import ClearAlert, Effect, RaiseAlert, RecordPoint, Report
from devices.events import INTERNAL, DeviceStatusChanged, Event, Heartbeat, OfflineReason, Ticked
from devices.model import Device, Step

MISSED_HEARTBEATS = 3
CLOCK_WRONG_S = 30.0
CLOCK_TOLERANCE_S = 2.0
"""Clocks this close count as right; network delay and whole-second timestamps are of this size."""
CONFIRM_AFTER_S = 5.0
LATE_AFTER = timedelta(seconds=60)
PLAUSIBLE_FROM = datetime(2020, 1, 1, tzinfo=UTC)
_NOTHING = timedelta()

PARAMS = {"heartbeat_s": (0.0, "how often this device is heard at least, s; 0: what its protocol says")}


class Link(Struct, frozen=True, kw_only=True):
    """`online`: None until first heard. `since`: of that. `high_water`: the latest time of a fact that was not late.

    `clock_offset_s`: the device's clock minus ours, None until measured; `slow_s` and `slow_at`: a lower offset that
    waits for its confirmation, and when it was first measured.
    """

    online: bool | None = None
    since: datetime | None = None
    last_seen: datetime | None = None
    boot_id: str = ""
    reboots: int = 0
    clock_offset_s: float | None = None
    slow_s: float | None = None
    slow_at: datetime | None = None
    clock_wrong: bool = False
    high_water: datetime | None = None


def heard(link: Link, received_at: datetime, *, live: bool) -> Link:
    """Something came from the device. `live`: it was sent just now, so the device is there; else nothing changes."""
    if not live or (link.last_seen is not None and received_at <= link.last_seen):
        return link
    return replace(link, last_seen=received_at)


def resumed(link: Link, at: datetime) -> Link:
    """We were away ourselves until `at` and heard nobody: what was online has three heartbeats to say something."""
    return replace(link, last_seen=at) if link.online else link


def interval(device: Device, heartbeat_s: float) -> float:
    """The heartbeat interval to use for a device, s: its own `heartbeat_s`, or its protocol's."""
    return device.param("heartbeat_s", 0.0) or heartbeat_s


def deadline(link: Link, heartbeat_s: float) -> datetime | None:
    """When the device counts as silent; None while it is not online. `heartbeat_s` of 0: never."""
    if not link.online or link.last_seen is None or heartbeat_s <= 0:
        return None
    return link.last_seen + timedelta(seconds=MISSED_HEARTBEATS * heartbeat_s)


def corrected(link: Link, at: datetime, received_at: datetime, *, timed: bool, stored: bool) -> tuple[datetime, bool]:
    """When it really happened, and whether that is late. `at` as the device said it.

    A time that cannot be (before 2020, ahead of ours) is worth nothing: the time of receipt stands in.
    """
    if not timed:
        return received_at, stored
    ahead = at - received_at
    offset = link.clock_offset_s or 0.0
    if abs(offset) > CLOCK_TOLERANCE_S:
        ahead -= timedelta(seconds=offset)
    if not PLAUSIBLE_FROM - received_at <= ahead <= _NOTHING:
        return received_at, stored
    at = received_at + ahead
    behind = link.high_water is not None and at < link.high_water <= received_at
    return at, stored or behind or ahead < -LATE_AFTER


def advance(link: Link, at: datetime, received_at: datetime) -> Link:
    """A fact of (corrected) time `at` was taken in order. For the device's own timed facts only: our own times mixed in
    would make a device that rounds to whole seconds look late. A mark in the future was made before our own clock was
    set back.
    """
    behind = link.high_water is not None and at <= link.high_water <= received_at
    return link if behind else replace(link, high_water=at)


def decide(
    link: Link, event: Event, device: Device, *, received_at: datetime, timed: bool, heartbeat_s: float
) -> Step[Link]:
    """One live message of the device itself, with its own uncorrected time in `event.at`; or `Ticked`.

    Not for late or stored messages, nor for facts we reported ourselves.
    """
    if isinstance(event, Ticked):
        due = deadline(link, interval(device, heartbeat_s))
        if due is None or event.at < due:
            return link, []
        silent = DeviceStatusChanged(at=event.at, online=False, reason=OfflineReason.SILENT)
        return replace(link, online=False, since=event.at), [Report(event=silent)]
    if type(event) in INTERNAL:
        return link, []
    if isinstance(event, DeviceStatusChanged) and not event.online:
        return (link if link.online is False else replace(link, online=False, since=received_at)), []
    effects: list[Effect] = []
    link = heard(link, received_at, live=True)
    if not link.online:
        link = replace(link, online=True, since=received_at)
        if not isinstance(event, DeviceStatusChanged):
            effects.append(Report(event=DeviceStatusChanged(at=received_at, online=True)))
    if isinstance(event, (Heartbeat, DeviceStatusChanged)):
        link, more = _booted(link, event.boot_id, received_at)
        effects += more
        if timed:
            link, more = _clocked(link, (event.at - received_at).total_seconds(), received_at)
            effects += more
    return link, effects


def _booted(link: Link, boot_id: str, at: datetime) -> Step[Link]:
    if boot_id in ("", link.boot_id):
        return link, []
    if not link.boot_id:
        return replace(link, boot_id=boot_id), []
    link = replace(link, boot_id=boot_id, reboots=link.reboots + 1)
    return link, [RecordPoint(metric="reboots", value=float(link.reboots), at=at)]


def _clocked(link: Link, offset: float, at: datetime) -> Step[Link]:
    """Take a measurement of the clock, or keep it until another one confirms it."""
    known = link.clock_offset_s or 0.0
    if offset < known - CLOCK_TOLERANCE_S:
        if link.slow_s is None or link.slow_at is None or abs(offset - link.slow_s) > CLOCK_TOLERANCE_S:
            return replace(link, slow_s=offset, slow_at=at), []
        if (at - link.slow_at).total_seconds() < CONFIRM_AFTER_S:
            return link, []
    # Within the tolerance the old figure stays: one that trembles would put facts in the wrong order.
    steady = link.clock_offset_s is not None and abs(offset - known) <= CLOCK_TOLERANCE_S
    link = replace(link, clock_offset_s=link.clock_offset_s if steady else offset, slow_s=None, slow_at=None)
    wrong = abs(offset) > CLOCK_WRONG_S
    if wrong == link.clock_wrong:
        return link, []
    link = replace(link, clock_wrong=wrong)
    if wrong:
        return link, [RaiseAlert(code="clock_wrong", at=at, detail={"offset_s": round(offset, 1)})]
    return link, [ClearAlert(code="clock_wrong", at=at)]
