"""The world of the score: what truly happens, and what devices say of it before anything gets lost on the way.

Nothing here knows a policy, a limit or a setting of the gateway. Every scenario has its own random numbers, so that a
change of one leaves the others as they were.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from random import Random

from msgspec import Struct

from devices.events import Event
from devices.model import Device

COMMUNITY = "score"
MIDNIGHT = datetime(2026, 6, 30, 16, tzinfo=UTC)
"""Of the first day that counts, at the estate (UTC+8)."""
LEAD_IN_DAYS = 31
"""So long before it cars come and go already, so that some have stood there for weeks."""


class Incident(Struct, frozen=True, kw_only=True):
    """Something that truly happened and that somebody should be told of, from `start` to `end`.

    An alert of one of `codes` at one of `devices` (empty: at any), about `subject` ("": about anybody), until
    `within_s` after the end, tells it. Alerts of the types `explains` at these devices are what follows from it:
    neither right nor wrong. Without `codes` it is nothing to be told of and only explains.
    """

    scenario: str
    start: datetime
    end: datetime
    codes: frozenset[str] = frozenset()
    devices: frozenset[str] = frozenset()
    subject: str = ""
    within_s: float = 900
    explains: frozenset[str] = frozenset()


class Said(Struct, frozen=True, kw_only=True):
    """What a device says at `at` (true time). `inside`: what the gateway finds out itself, so it crosses no wire."""

    at: datetime
    device: str
    event: Event
    inside: bool = False


class Parked(Struct, frozen=True, kw_only=True):
    """A car truly stands on the estate from `start` until `end`. What a guard who looks for it finds."""

    plate: str
    start: datetime
    end: datetime


class Away(Struct, frozen=True, kw_only=True):
    """A device is not heard from `start` until `end`; `stored`: it keeps what happens and tells it afterwards."""

    device: str
    start: datetime
    end: datetime
    stored: bool = False


class Clock(Struct, frozen=True, kw_only=True):
    """A device's clock is `offset_s` ahead from `start` until `end`."""

    device: str
    start: datetime
    end: datetime
    offset_s: float


class World:
    """Everything that happens within `days` from `MIDNIGHT`, gathered by the scenarios."""

    def __init__(self, devices: list[Device], *, seed: int, days: int) -> None:
        self.seed, self.days = seed, days
        self.devices = {device.id: device for device in devices}
        self.start, self.end = MIDNIGHT, MIDNIGHT + timedelta(days=days)
        self.said: list[Said] = []
        self.incidents: list[Incident] = []
        self.away: list[Away] = []
        self.clocks: list[Clock] = []
        self.turned_away: list[datetime] = []
        self._inside: dict[str, datetime] = {}
        self._parked: list[Parked] = []

    def random(self, scenario: str) -> Random:
        """Random numbers of this scenario alone."""
        return Random(f"{self.seed} {scenario}")

    def of(self, kind: str) -> list[Device]:
        """Every device of a kind."""
        return [device for device in self.devices.values() if device.kind == kind]

    def say(self, device: str, event: Event, *, inside: bool = False) -> None:
        """The device says so, at the event's own time."""
        self.said.append(Said(at=event.at, device=device, event=event, inside=inside))

    def happened(
        self,
        scenario: str,
        start: datetime,
        end: datetime,
        *codes: str,
        devices: tuple[str, ...] = (),
        subject: str = "",
        within_s: float = 900,
        explains: tuple[str, ...] = (),
    ) -> None:
        """Write down the truth. What began before the month was told before it, so it only explains."""
        told_before = start < self.start
        if start < self.end:
            self.incidents.append(
                Incident(
                    scenario=scenario,
                    start=start,
                    end=min(end, self.end),
                    codes=frozenset() if told_before else frozenset(codes),
                    devices=frozenset(devices),
                    subject=subject,
                    within_s=within_s,
                    explains=frozenset((*explains, *codes) if told_before else explains),
                )
            )

    def drives(self, plate: str, at: datetime, *, inward: bool) -> None:
        """A car truly came in or left; of one car in the order of time."""
        if inward:
            self._inside[plate] = at
        elif plate in self._inside:
            self._parked.append(Parked(plate=plate, start=self._inside.pop(plate), end=at))

    def parked(self) -> list[Parked]:
        """Every stay that began within the time told of, to its end or the month's."""
        still = [Parked(plate=plate, start=at, end=self.end) for plate, at in self._inside.items()]
        return self._parked + still

    def times(self, random: Random, a_month: float, *, hours: tuple[float, float] = (0, 24)) -> Iterator[datetime]:
        """Moments at this rate (per 30 days), each within these local hours; in no order. A rate that does not come to
        one in so few days is still one, so that a short run has everything.
        """
        for _ in range(max(1, round(a_month * self.days / 30))):
            day = random.randrange(self.days)
            yield self.start + timedelta(days=day, hours=random.uniform(*hours))


def seconds(amount: float) -> timedelta:
    """As a length of time."""
    return timedelta(seconds=amount)


def minutes(amount: float) -> timedelta:
    """As a length of time."""
    return timedelta(minutes=amount)


def hours(amount: float) -> timedelta:
    """As a length of time."""
    return timedelta(hours=amount)
