"""A terminal with a list of its own on the hand-driven wire: it takes what it is sent, refuses some, and can forget."""

from __future__ import annotations

from concurrent.futures import Future
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from devices import registry
from devices.model import Device
from gateway.actions import Action
from gateway.inbox import Item
from gateway.lists import Lists
from gateway.residents import Enrolment, Face
from tests.gateway.shell import START, Shell

TERMINAL = Device(
    id="term-1",
    kind="face_gate",
    protocol="native",
    address="T1",
    community="c1",
    building="b1",
    params={"holds_list": 1, "heartbeat_s": 100_000},
)
LANE = Device(
    id="lane-1",
    kind="barrier",
    protocol="native",
    address="L1",
    community="c1",
    params={"holds_list": 1, "heartbeat_s": 100_000},
)


class Estate(Shell):
    """The shell with the lists' worker, driven by hand."""

    def __init__(self, folder: Path, now: datetime = START, devices: tuple[Device, ...] = (TERMINAL,)) -> None:
        super().__init__(folder, now, devices)
        self.lists = Lists(
            store=self.store,
            directory=self.directory,
            photos=self.evidence,
            protocols=registry.protocols(),
            link=lambda device: state.link if (state := self.hub.states.devices.get(device)) else None,
            submit=self.submit,
            clock=lambda: self.now,
        )
        self.directory.listeners.append(self.lists.wake)

    def submit(self, action: Action) -> Future[Any]:
        future: Future[Any] = Future()
        self.engine._round([], [Item(action, future)])
        self.settle()
        return future

    def work(self, seconds: float = 1.0) -> None:
        self.pass_time(seconds)
        self.lists.round(self.now)

    def enrol(
        self, person: str, *, scope: str = "estate", terminals: bool = True, size: int = 100, days: float = 30
    ) -> None:
        photo = b"\xff\xd8" + person.encode() * (size // len(person) + 1)
        new = Enrolment(
            name=f"Name of {person}",
            building="b1",
            scope=scope,
            until=self.now + timedelta(days=days),
            recorded_by="desk",
            faces=[Face(image=photo[:size], embedding=bytes(512))],
            id=person,
            terminals=terminals,
        )
        self.directory.enrol(new, self.evidence, self.now)

    def withdraw(self, person: str) -> tuple[str, ...]:
        return self.directory.withdraw(person, self.evidence, self.now).terminals

    def counts(self, device: Device = TERMINAL) -> dict[str, int]:
        return {name: n for name, n in self.lists.view(device, self.now).counts.items() if n}


class Terminal:
    """The far end of the wire: hears the commands of its device and answers when asked to."""

    def __init__(self, device: Device = TERMINAL) -> None:
        self.device = device
        self.held: dict[str, dict[str, Any]] = {}
        self.refuses: set[str] = set()
        self.boot = 1
        self.heard: list[dict[str, Any]] = []
        self._record = 0

    def hello(self, estate: Estate) -> None:
        body = {"online": True, "boot_id": f"boot-{self.boot}", "at": estate.now.isoformat()}
        estate.take(estate.message(f"linli/v1/{self.device.address}/status", body))

    def vanish(self, estate: Estate) -> None:
        estate.take(estate.message(f"linli/v1/{self.device.address}/status", {"online": False, "reason": "last_will"}))

    def forget(self, estate: Estate) -> None:
        """Lose power, and with it the list."""
        self.boot += 1
        self.held.clear()
        self.hello(estate)

    def hear(self, estate: Estate) -> list[dict[str, Any]]:
        """Take the commands from the wire, without doing anything about them."""
        mine = [body for topic, body in estate.wire.published if topic == f"linli/v1/{self.device.address}/command"]
        estate.wire.published.clear()
        self.heard += mine
        return mine

    def obey(self, order: dict[str, Any]) -> dict[str, Any]:
        """Do it; the event to answer with."""
        command = order["command"]
        took, refused = [], []
        for entry in command["put"]:
            name = entry.get("id") or entry["plate"]
            if name in self.refuses:
                refused.append({"entry": name, "reason": "no face found"})
            else:
                self.held[name] = entry
                took.append(name)
        for name in command["remove"]:
            self.held.pop(name, None)
            took.append(name)
        return {"command_id": order["id"], "took": took, "refused": refused}

    def say(self, estate: Estate, kind: str, **fields: Any) -> None:
        self._record += 1
        estate.take(estate.event(self.device, kind, record=f"{self.boot}-{self._record}", **fields))

    def serve(self, estate: Estate) -> int:
        """Obey and answer everything that is on the wire; how many commands."""
        orders = self.hear(estate)
        for order in orders:
            self.say(estate, "list_answered", **self.obey(order))
        return len(orders)


def bring_together(estate: Estate, terminal: Terminal, *, rounds: int = 30, seconds: float = 1.0) -> None:
    """Let both work until nothing is left to say."""
    for _ in range(rounds):
        estate.work(seconds)
        if not terminal.serve(estate):
            estate.work(seconds)
            if not terminal.serve(estate):
                return
    raise AssertionError("they never come to an end")
