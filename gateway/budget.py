"""How many alerts a desk is asked to look at, by the measures of ISA-18.2: when they come faster than anybody can read,
maintenance waits behind one alert that says so.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from datetime import datetime, timedelta

from gateway.changes import AlertChange, Changes
from gateway.settings import Budget

FLOOD = "alarm_flood"
_NEW = frozenset({"raised", "reopened"})


def asks(change: AlertChange) -> bool:
    """Somebody is asked to look at something they had not been asked about."""
    alert = change.alert
    quiet = alert.suppressed_by or alert.shelved_until is not None or alert.type == FLOOD
    return change.change in _NEW and not quiet


class Load:
    """What each community's desk was asked lately, from what was raised before we began (`lately`) on."""

    def __init__(self, limits: Budget, lately: Iterable[AlertChange] = ()) -> None:
        self._limits = limits
        self._window = timedelta(seconds=limits.window_s)
        self._asked: dict[str, deque[datetime]] = {}
        for change in lately:
            self._count(change, change.at)

    def floods(self, community: str, now: datetime, batch: Changes, turn: Changes) -> bool:
        """More than a desk can take in, this batch included."""
        if not self._limits.flood:
            return False
        left = self._limits.flood - self._recent(community, now)
        return left < 0 or left < _in(batch.alert_changes, community) + _in(turn.alert_changes, community)

    def over_at(self, community: str) -> datetime | None:
        """When a flood is over if nothing more comes: the last moments of the window hold fewer than `over`."""
        asked = self._asked.get(community, ())
        if len(asked) < max(1, self._limits.over):
            return None
        return asked[-max(1, self._limits.over)] + self._window

    def _recent(self, community: str, now: datetime) -> int:
        return sum(1 for at in self._asked.get(community, ()) if now - at <= self._window)

    def adopt(self, batch: Changes, now: datetime) -> None:
        """The batch is safe."""
        for change in batch.alert_changes:
            self._count(change, now)

    def _count(self, change: AlertChange, at: datetime) -> None:
        if asks(change):
            asked = self._asked.setdefault(change.alert.community, deque(maxlen=self._limits.flood + 1))
            asked.append(at)

    def clock_set(self, by: timedelta) -> None:
        """Our own clock was set by so much."""
        for community, asked in self._asked.items():
            self._asked[community] = deque((at + by for at in asked), maxlen=asked.maxlen)


def _in(changes: Iterable[AlertChange], community: str) -> int:
    return sum(1 for change in changes if asks(change) and change.alert.community == community)
