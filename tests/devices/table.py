"""Tables of events for the kinds: times in seconds from a fixed start, deadlines served as the hub would."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from devices.effects import ClearAlert, Effect, RaiseAlert
from devices.events import Event, Ticked
from devices.model import Device, DeviceKind

START = datetime(2026, 3, 2, 4, 0, tzinfo=UTC)
"""Noon in Shanghai."""


def at(seconds: float) -> datetime:
    """So many seconds after the start."""
    return START + timedelta(seconds=seconds)


def device(kind: str, *, direction: str = "", **params: float) -> Device:
    """A device of this kind with these limits."""
    return Device(id=f"{kind}-1", kind=kind, protocol="native", address="a1", direction=direction, params=params)


class Run:
    """One device's life: feed it events, read what it asked for. The state goes through JSON at every step."""

    def __init__(self, kind: DeviceKind[Any], *, direction: str = "", **params: float) -> None:
        self.kind = kind
        self.device = device(kind.name, direction=direction, **params)
        self.state = kind.initial
        self.effects: list[Effect] = []

    def say(self, *events: Event) -> list[Effect]:
        """Decide these events in turn; what they asked for."""
        asked: list[Effect] = []
        for event in events:
            state, effects = self.kind.decide(self.state, event, self.device)
            self.state = msgspec.json.decode(msgspec.json.encode(state), type=type(state))
            assert self.state == state
            asked += effects
        self.effects += asked
        return asked

    @property
    def due(self) -> datetime | None:
        return self.kind.deadline(self.state, self.device)

    def until(self, seconds: float) -> list[Effect]:
        """Let time pass, serving every deadline on the way."""
        asked: list[Effect] = []
        while (due := self.due) is not None and due <= at(seconds):
            asked += self.say(Ticked(at=due))
        return asked


def changes(effects: list[Effect]) -> list[str]:
    """The alerts in a list of effects: `+code` raised, `-code` cleared."""
    return [
        ("+" if isinstance(e, RaiseAlert) else "-") + e.code for e in effects if isinstance(e, RaiseAlert | ClearAlert)
    ]


def of(kind: type[Effect], effects: list[Effect]) -> list[Any]:
    """The effects of one type."""
    return [e for e in effects if isinstance(e, kind)]
