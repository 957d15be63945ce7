"""The native stream of a chaos run: devices that keep what is not confirmed and send it again; doors that obey blindly.

Nothing here protects the gateway: messages are doubled, held back and sent out of order on purpose, a door opens for
every command it gets, however late or repeated, and writes down what it did.
"""

from __future__ import annotations

import heapq
import itertools
import time
from datetime import UTC, datetime, timedelta
from queue import Empty, SimpleQueue
from random import Random
from typing import Any

import msgspec

from devices.events import (
    BayChanged,
    CommandResult,
    CoverMoved,
    CredentialPresented,
    DoorChanged,
    Event,
    LampMeasured,
    Method,
    WaterMeasured,
)
from devices.model import Device
from simulators.chaos_ledger import Key, Opening
from simulators.chaos_line import Connection
from simulators.device import CommandMessage
from simulators.link import Broker

COMMUNITY = "chaos"
BEAT_S = 5.0
CARD_EVERY_S = 1.0
DOUBLED, HELD_BACK = 0.05, 0.05
"""Shares of messages sent twice, and sent up to `HELD_BACK_S` seconds late."""
HELD_BACK_S = 4.0
CONNECTIONS, IN_FLIGHT = 4, 20
WAITING_AT_MOST = 2000
"""While so much is not confirmed nothing new is said: a slow disk makes the run smaller, not endless."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_US = timedelta(microseconds=1)


def fleet() -> list[Device]:
    """The native devices: lamps for the mass, bays and covers whose position is checked, sumps and gates."""
    kinds = {"light": ("light", 16), "bay": ("bay", 6), "cover": ("cover", 4), "sump": ("cover", 4)}
    kinds["gate"] = ("face_gate", 4)
    return [
        Device(id=f"{name}-{n}", kind=kind, protocol="native", address=f"{name}-{n}", community=COMMUNITY)
        for name, (kind, many) in kinds.items()
        for n in range(1, many + 1)
    ]


class Stream:
    """`rate` messages a second over all its devices. `sent`: when each event was first handed over, seconds since 1970;
    `positions`: where each said last that it stands. Call `step` often, from one thread.
    """

    def __init__(self, broker: Broker, devices: list[Device], *, rate: float, seed: int, card: str) -> None:
        self.sent: dict[Key, float] = {}
        self.positions: dict[str, bool] = {}
        self.presented: list[tuple[str, datetime]] = []
        self.openings: list[Opening] = []
        self.published = 0
        self._devices = devices
        self._lamps = [d for d in devices if d.id.startswith("light")]
        self._gates = [d for d in devices if d.kind == "face_gate"]
        self._others = [d for d in devices if d not in self._lamps and d not in self._gates]
        self._rate = rate
        self._card = card
        self._random = Random(f"stream {seed}")
        self._order = itertools.count()
        self._later: list[tuple[float, int, Device, bytes, Key]] = []
        self._told: SimpleQueue[tuple[Device, str]] = SimpleQueue()
        self._last_at = datetime.min.replace(tzinfo=UTC)
        self._connections = [
            Connection(
                broker,
                f"chaos-{seed}-{n}",
                [self._topic(d, "command") for d in self._share(n)],
                self._heard,
                in_flight=IN_FLIGHT,
            )
            for n in range(CONNECTIONS)
        ]
        self._of = {d.id: self._connections[n] for n in range(CONNECTIONS) for d in self._share(n)}
        self._start = self._next_card = self._next_beat = time.monotonic()
        self._due = 0

    def _share(self, n: int) -> list[Device]:
        return self._devices[n::CONNECTIONS]

    def await_ready(self, seconds: float) -> bool:
        """Whether every connection stands within so many seconds; then the clock of the stream starts."""
        ready = all(connection.await_ready(seconds) for connection in self._connections)
        self._start = self._next_card = self._next_beat = time.monotonic()
        return ready

    # -- saying -----------------------------------------------------------------------------------------------------

    def step(self) -> None:
        """Publish what is due by now."""
        now = time.monotonic()
        wanted = int((now - self._start) * self._rate)
        if self.settle() > WAITING_AT_MOST:
            self._due = wanted
        for _ in range(min(wanted - self._due, 1000)):
            self._due += 1
            self._say_something()
        if now >= self._next_card:
            self._next_card = now + CARD_EVERY_S
            self._show_card(self._random.choice(self._gates))
        if now >= self._next_beat:
            self._next_beat = now + BEAT_S
            for device in self._devices:
                self._of[device.id].publish(self._topic(device, "heartbeat"), b"{}", None, qos=0)
        self.step_later()

    def step_later(self) -> None:
        """Publish what was held back until now, and tell what the doors did; nothing new."""
        while self._later and self._later[0][0] <= time.monotonic():
            _, _, device, payload, key = heapq.heappop(self._later)
            self._hand_over(device, payload, key)
        self._obey()
        for connection in self._connections:
            connection.settle()

    def _say_something(self) -> None:
        draw = self._random
        if draw.random() < 0.9:
            self._say(draw.choice(self._lamps), LampMeasured, level_pct=50.0, operating_hours_h=float(self._due))
            return
        device = draw.choice(self._others)
        yes = draw.random() < 0.5
        if device.kind == "bay":
            self._say(device, BayChanged, occupied=yes)
        elif device.id.startswith("cover"):
            self._say(device, CoverMoved, open=yes)
        else:
            self._say(device, WaterMeasured, below_cover_cm=20.0 if yes else 200.0)

    def _show_card(self, gate: Device) -> None:
        at = self._say(gate, CredentialPresented, method=Method.CARD, value=self._card)
        self.presented.append((gate.id, at))

    def _say(self, device: Device, kind: type[Event], *, calm: bool = False, **fields: Any) -> datetime:
        at = max(datetime.now(UTC), self._last_at + _US)
        self._last_at = at
        key, payload = self._worded(device, kind(at=at, **fields))
        late = 0.0 if calm or self._random.random() >= HELD_BACK else self._random.uniform(0, HELD_BACK_S)
        copies = 1 + (self._random.random() < DOUBLED)
        for n in range(copies):
            if late or n:
                due = time.monotonic() + late + n * self._random.uniform(0, 2)
                heapq.heappush(self._later, (due, next(self._order), device, payload, key))
            else:
                self._hand_over(device, payload, key)
        return at

    def _worded(self, device: Device, event: Event) -> tuple[Key, bytes]:
        key = Key(device.id, str(event.__struct_config__.tag), (event.at - _EPOCH) // _US)
        return key, msgspec.json.encode({"id": f"{device.id}-{key.mark}", "stored": False, "event": event})

    def _hand_over(self, device: Device, payload: bytes, key: Key) -> None:
        self.sent.setdefault(key, time.time())
        self.published += 1
        self._of[device.id].publish(self._topic(device, "event"), payload, key)

    def _topic(self, device: Device, leaf: str) -> str:
        return f"linli/v1/{device.address}/{leaf}"

    # -- obeying ----------------------------------------------------------------------------------------------------

    def _heard(self, topic: str, payload: bytes) -> None:
        """A command arrives (in a thread of the connection): the door opens at once."""
        at = datetime.now(UTC)
        command = msgspec.json.decode(payload, type=CommandMessage)
        gate = next(d for d in self._gates if self._topic(d, "command") == topic)
        self.openings.append(Opening(device=gate.id, command=command.id, at=at, not_after=command.not_after))
        self._told.put((gate, command.id))

    def _obey(self) -> None:
        """Tell what the doors did."""
        while True:
            try:
                gate, command = self._told.get_nowait()
            except Empty:
                return
            for result in (CommandResult.ACCEPTED, CommandResult.DONE):
                answer = msgspec.json.encode({"command_id": command, "result": result, "at": datetime.now(UTC)})
                self._of[gate.id].publish(self._topic(gate, "answer"), answer, None)
            self._say(gate, DoorChanged, calm=True, open=True)
            self._say(gate, DoorChanged, calm=True, open=False)

    # -- the end ----------------------------------------------------------------------------------------------------

    def last_words(self) -> None:
        """Send what was held back; then each cover and bay says where it stands, and after that something older."""
        for _, _, device, payload, key in sorted(self._later):
            self._hand_over(device, payload, key)
        self._later.clear()
        for device in self._others:
            if device.id.startswith("sump"):
                continue
            kind: type[Event] = BayChanged if device.kind == "bay" else CoverMoved
            field = "occupied" if device.kind == "bay" else "open"
            yes = self._random.random() < 0.5
            at = self._say(device, kind, calm=True, **{field: yes})
            self.positions[device.id] = yes
            older: dict[str, Any] = {"at": at - timedelta(seconds=1), field: not yes}
            key, payload = self._worded(device, kind(**older))
            self._hand_over(device, payload, key)

    def settle(self) -> int:
        """How much no broker has confirmed yet, and how much waits here."""
        return len(self._later) + sum(connection.settle() for connection in self._connections)

    def acked(self) -> set[Key]:
        """Every event the broker has confirmed."""
        return set[Key]().union(*(connection.acked for connection in self._connections))

    def storm(self) -> None:
        """Every connection is cut at once."""
        for connection in self._connections:
            connection.tear()

    def close(self) -> None:
        """Leave."""
        for connection in self._connections:
            connection.close()
