"""Decide facts in their own time: the hub, its policies, the alerts and the register, without a broker, a journal or a
clock. `python -m gateway.rehearsal` reads one JSON line after another and prints every change of an alert.

The first line is a `Setup`, every further one a `Told`, in the order of receipt. Deadlines between two facts are told
at the moment they are due, so a month takes minutes. A guard who is never hurried closes what can be closed.
"""

from __future__ import annotations

import heapq
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import BinaryIO, Union

import msgspec
from msgspec import Struct

from devices import registry
from devices.alert_types import ALERT_TYPES
from devices.alerts import Alert, Condition, Disposition
from devices.events import EVENTS, INTERNAL
from devices.model import Decoded, Device, Reading
from gateway.actions import AcknowledgeAlert, DisposeAlert, MarkVehicle
from gateway.alertbook import AlertBook
from gateway.changes import AlertChange, Changes
from gateway.directory import Directory
from gateway.evidence import Evidence
from gateway.hub import Hub
from gateway.mqtt import Message
from gateway.policies import POLICIES
from gateway.policy import Policy
from gateway.presencebook import Inside
from gateway.reader import Read, event_id
from gateway.residents import Enrolment
from gateway.rounds import mark
from gateway.scenarios.vehicles import TURNED_AWAY
from gateway.schedule import Schedule
from gateway.settings import Settings
from gateway.store import Store
from gateway.vault import Vault
from gateway.vehicles import Vehicle
from vision.gallery import Gallery

AT_ONCE = 512
A_DAY = timedelta(days=1)
ROUND_FROM = timedelta(hours=10)
"""The first round, after the time of the setup."""


class Card(Struct, frozen=True, kw_only=True):
    """A resident with a card, in force until before `until` (UTC)."""

    id: str
    building: str
    card: str
    until: datetime


class Parked(Struct, frozen=True, kw_only=True):
    """A car truly stands on the estate: what the guard finds who looks for it. The engine is never told."""

    plate: str
    start: datetime
    end: datetime


class Setup(Struct, frozen=True, kw_only=True, tag="setup"):
    """What is registered, and by which settings it is decided. `guard_s`: the guard comes back to an alert this often,
    s; 0: nobody ever does. `round_h`: the guard takes the list of cars to look for along this often, h; 0: never.
    `parked`: what is there to be found.
    """

    now: datetime
    devices: tuple[Device, ...]
    vehicles: tuple[Vehicle, ...] = ()
    residents: tuple[Card, ...] = ()
    settings: Settings = msgspec.field(default_factory=Settings)
    guard_s: float = 1800
    round_h: float = 24
    parked: tuple[Parked, ...] = ()


class Told(Struct, frozen=True, kw_only=True, tag="told"):
    """One fact, received `at`. `record`: the device's name for it, so that it counts once. See `devices.model.Reading`
    for `timed` and `stored`. What the gateway finds out itself (a look at a picture) is in `devices.events.INTERNAL`.
    """

    at: datetime
    device: str
    record: str
    event: Union[tuple(EVENTS.values())]  # type: ignore[valid-type]  # noqa: UP007 - of a table
    timed: bool = True
    stored: bool = False


class Rounded(Struct, frozen=True, kw_only=True, tag="round", tag_field="line"):
    """A guard looked for a car, on a round or for an alert (`alert`), which gave it this `probability`; it was here or
    not.
    """

    at: datetime
    plate: str
    probability: float
    here: bool
    alert: bool


class TurnedAway(Struct, frozen=True, kw_only=True, tag="turned_away", tag_field="line"):
    """One was counted that came at `at` while the car park was full, and drove off."""

    at: datetime


class Changed(Struct, frozen=True, kw_only=True, tag="changed", tag_field="line"):
    """A change of an alert. `hidden`: it is behind its cause, so nobody was asked to look."""

    at: datetime
    change: str
    alert: str
    type: str
    device: str
    instance: str
    subject: str
    first_seen: datetime
    confidence: float
    hidden: bool


Line = Changed | Rounded | TurnedAway
_LOOKED_FOR = frozenset({"unknown_stays", "visitor_overstay", "vehicle_overstay"})
"""Alerts for which the guard looks for a car."""


class Rehearsal:
    """One run. `folder` takes the register and is the caller's to remove. `policies`: all of them, or fewer to find
    out what they cost.
    """

    def __init__(self, setup: Setup, folder: Path, *, policies: tuple[Policy, ...] = POLICIES) -> None:
        settings, self._guard = setup.settings, timedelta(seconds=setup.guard_s)
        vault = Vault.at(folder / "keys")
        self._store = Store(folder / "linli.db")
        self.directory = Directory(self._store, vault, Gallery(), zone=settings.zone, community=settings.community)
        evidence = Evidence(folder / "evidence", vault)
        for device in setup.devices:
            self.directory.put_device(device)
        for vehicle in setup.vehicles:
            self.directory.put_vehicle(vehicle)
        for one in setup.residents:
            new = Enrolment(
                id=one.id,
                name=one.id,
                building=one.building,
                scope="estate",
                until=one.until,
                recorded_by="rehearsal",
                cards=(one.card,),
            )
            self.directory.enrol(new, evidence, setup.now)
        self._protocols = registry.protocols()
        self._alerts: dict[str, Alert] = {}
        self._by_key: dict[str, Alert] = {}
        schedule = Schedule()
        alerts = AlertBook(
            [],
            self._alerts.get,
            self._by_key.get,
            lately=[],
            closed=[],
            ladders=settings.escalation.ladders,
            route=settings.escalation.route,
            roster=self.directory.roster,
            budget=settings.budget,
            delays=settings.delays,
            schedule=schedule,
        )
        self.hub = Hub(
            kinds=registry.kinds(),
            protocols=self._protocols,
            directory=self.directory,
            settings=settings,
            alerts=alerts,
            schedule=schedule,
            policies=policies,
        )
        self._seen: set[bytes] = set()
        self._visits: list[tuple[datetime, str, timedelta]] = []
        self._community = settings.community
        self._every = timedelta(hours=setup.round_h)
        self._round_at = setup.now + ROUND_FROM if setup.round_h else None
        self._parked: dict[str, list[Parked]] = defaultdict(list)
        for stay in setup.parked:
            self._parked[stay.plate].append(stay)

    def tell(self, told: Told) -> Iterator[Line]:
        """Every change that was due until this fact came, then those it makes."""
        yield from self.until(told.at)
        device = self.directory.device(told.device)
        if device is None:
            raise ValueError(f"there is no device {told.device}")
        turn = Changes()
        key = event_id(told.event.at, told.device.encode(), told.record.encode())
        if type(told.event) in INTERNAL:
            self.hub.fact(told.event, device, key, told.at, Changes(), turn)
        else:
            self.hub.message(self._read(told, device, key), self._seen, Changes(), turn)
        yield from self._safe(turn, told.at)

    def _read(self, told: Told, device: Device, key: bytes) -> Read:
        message = Message("", b"", 0, 1, False, 1, told.at)
        reading = Reading(event=told.event, record_id=told.record, timed=told.timed, stored=told.stored)
        said = Decoded(address=device.address, readings=(reading,))
        return Read(message, device, self._protocols[device.protocol], said, (key,))

    def until(self, end: datetime) -> Iterator[Line]:
        """Whatever time brings up to `end`: deadlines, and the guard's rounds."""
        schedule = self.hub.schedule
        while True:
            due, visit = schedule.next(), self._visits[0][0] if self._visits else None
            first = min((at for at in (due, visit, self._round_at) if at is not None), default=None)
            if first is None or first > end:
                return
            if first == self._round_at:
                self._round_at = first + self._every
                yield from self._round(first)
            elif first == visit and visit != due:
                _, alert, wait = heapq.heappop(self._visits)
                yield from self._look_after(alert, visit, wait)
            elif due is not None and due <= end:
                turn = Changes()
                for name in schedule.pop(due, AT_ONCE):
                    self.hub.tick(name, due, Changes(), turn)
                yield from self._safe(turn, due)

    def _round(self, now: datetime) -> Iterator[Line]:
        """The guard takes the list along."""
        for one in self.hub.presence.inside(self._community, now):
            if one.waits:
                yield from self._look_for(one, now, alert=False)

    def _look_for(self, one: Inside, now: datetime, *, alert: bool) -> Iterator[Line]:
        """Is the car there? The guard says so."""
        stay = one.stay
        here = any(parked.start <= now < parked.end for parked in self._parked.get(stay.plate, ()))
        yield Rounded(at=now, plate=stay.plate, probability=round(one.probability, 4), here=here, alert=alert)
        turn = Changes()
        if stay.entered_at is not None:
            action = MarkVehicle(
                by="guard", community=self._community, key=one.key, entered_at=stay.entered_at, here=here
            )
            mark(action, self.hub, self.directory, now, batch=Changes(), turn=turn)
        yield from self._safe(turn, now)

    def _safe(self, turn: Changes, now: datetime) -> list[Line]:
        self._seen |= turn.ids
        self._alerts.update(turn.alerts)
        self._by_key.update((alert.key, alert) for alert in turn.alerts.values())
        self.hub.adopt(turn, now)
        for change in turn.alert_changes:
            if change.change in ("raised", "reopened") and self._guard:
                heapq.heappush(self._visits, (now + self._guard, change.alert.id, self._guard))
        away = [TurnedAway(at=point.at) for point in turn.points if point.metric == TURNED_AWAY]
        return [*map(changed, turn.alert_changes), *away]

    def _look_after(self, alert_id: str, now: datetime, waited: timedelta) -> Iterator[Line]:
        """The guard acknowledges what stands, and closes what is over and what only a person can end. What stands for
        long is looked at ever more rarely, once a day at least. A car that is said to stay is looked for once.
        """
        alert = self._alerts[alert_id]
        if not alert.open:
            return
        if alert.type in _LOOKED_FOR and alert.acknowledged_at is None and alert.condition is Condition.ACTIVE:
            for one in self.hub.presence.inside(alert.community, now):
                if one.stay.plate == alert.subject and one.stay.marked_at is None:
                    yield from self._look_for(one, now, alert=True)
            alert = self._alerts[alert_id]
        turn = Changes()
        by_person = ALERT_TYPES[alert.type].latch or alert.late or alert.condition is Condition.CLEARED
        if by_person:
            done = DisposeAlert(alert=alert_id, by="guard", reason="seen to", disposition=Disposition.TRUE)
            self.hub.alerts.transition(done, now, batch=Changes(), turn=turn)
        else:
            seen = AcknowledgeAlert(alert=alert_id, by="guard", reason="seen")
            self.hub.alerts.transition(seen, now, batch=Changes(), turn=turn)
            wait = min(2 * waited, A_DAY)
            heapq.heappush(self._visits, (now + wait, alert_id, wait))
        yield from self._safe(turn, now)

    def close(self) -> None:
        """Let go of the register."""
        self._store.close()


def changed(change: AlertChange) -> Changed:
    """As it is printed."""
    alert = change.alert
    return Changed(
        at=change.at,
        change=change.change,
        alert=alert.id,
        type=alert.type,
        device=alert.device,
        instance=alert.instance,
        subject=alert.subject,
        first_seen=alert.first_seen,
        confidence=alert.confidence,
        hidden=bool(alert.suppressed_by),
    )


def rehearse(lines: BinaryIO, out: BinaryIO) -> None:
    """From lines to lines, see the top.

    :raises msgspec.ValidationError: a line is not what it should be.
    """
    encode, read = msgspec.json.Encoder().encode, msgspec.json.Decoder(Told).decode
    setup = msgspec.json.decode(lines.readline(), type=Setup)
    with tempfile.TemporaryDirectory(prefix="linli-rehearsal-") as folder:
        run = Rehearsal(setup, Path(folder))
        for line in lines:
            out.writelines(encode(said) + b"\n" for said in run.tell(read(line)))
        run.close()


if __name__ == "__main__":
    rehearse(sys.stdin.buffer, sys.stdout.buffer)
