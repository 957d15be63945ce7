"""A device that speaks somebody else's dialect: what all of them share. Each dialect is a record of functions."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import msgspec
from msgspec import Struct

from devices.model import Device, Outgoing
from simulators.device import Later, World
from simulators.estate import Happening


class Order(Struct, frozen=True, kw_only=True):
    """What a device was told: its lamp's level in percent, and the id to answer under ("" where there is none)."""

    level_pct: float
    id: str = ""


class Scene(Struct, frozen=True, kw_only=True):
    """Who speaks, in which state, at what time by its own clock. `number` is new for each message."""

    device: Device
    level_pct: float
    now: datetime
    number: int


def nothing(scene: Scene, happening: Happening) -> list[Outgoing]:
    """Of a device that says nothing of what happens to it."""
    del scene, happening
    return []


class Words(Struct, frozen=True, kw_only=True):
    """A dialect. `alive`: that it is there; `tells`: of a happening; `understands`: an order, None if it is none;
    `answers`: to an order that has been carried out. `hears`: topics it takes orders from.
    """

    alive: Callable[[Scene], list[Outgoing]]
    tells: Callable[[Scene, Happening], list[Outgoing]] = nothing
    hears: Callable[[Device], tuple[str, ...]] = lambda device: ()  # noqa: ARG005 - hears nothing
    understands: Callable[[bytes], Order | None] = lambda payload: None  # noqa: ARG005 - and understands nothing
    answers: Callable[[Scene, Order], list[Outgoing]] = lambda scene, order: []  # noqa: ARG005


class Spoken:
    """Plays a device by its dialect's words; remembers how bright its lamp is."""

    beat_s = 10.0
    will = None

    def __init__(self, device: Device, world: World, clock: timedelta, words: Words) -> None:
        self.device = device
        self.level_pct = 0.0
        self._world = world
        self._clock = clock
        self._words = words
        self._number = world.first_record

    @property
    def hears(self) -> tuple[str, ...]:
        return self._words.hears(self.device)

    def hello(self, now: datetime) -> list[Later]:
        return self._later(self._words.alive(self._scene(now)), record=False)

    def beat(self, now: datetime) -> list[Later]:
        return self.hello(now)

    def bye(self, now: datetime) -> list[Later]:
        del now
        return []

    def happen(self, happening: Happening, now: datetime) -> list[Later]:
        return self._later(self._words.tells(self._scene(now), happening), record=True)

    def told(self, topic: str, payload: bytes, now: datetime) -> list[Later]:
        """Obeys what it understands; counts what it does not."""
        del topic
        ledger = self._world.ledger
        order = self._words.understands(payload)
        if order is None:
            ledger.commands_unreadable += 1
            return []
        ledger.commands_received += 1
        ledger.lamps_set += 1
        self.level_pct = order.level_pct
        return self._later(self._words.answers(self._scene(now), order), record=False)

    def _scene(self, now: datetime) -> Scene:
        self._number += 1
        return Scene(device=self.device, level_pct=self.level_pct, now=now + self._clock, number=self._number)

    def _later(self, messages: list[Outgoing], *, record: bool) -> list[Later]:
        name = f"{self.device.address}-{self._world.boot}-{self._number}"
        return [Later(message=m, record=f"{name}-{n}" if record else "") for n, m in enumerate(messages)]


def say(topic: str, body: Any) -> Outgoing:
    """A message: a text as it is, everything else as JSON."""
    return Outgoing(topic=topic, payload=body.encode() if isinstance(body, str) else msgspec.json.encode(body), qos=1)


def read(payload: bytes) -> dict[str, Any]:
    """An order's JSON object; empty where it is none."""
    try:
        found = msgspec.json.decode(payload)
    except msgspec.DecodeError:
        return {}
    return found if isinstance(found, dict) else {}
