"""What enters the engine from inside the gateway: requests of the API, posts of HTTP devices, answers of vision.

Bounded, and it wakes the engine. MQTT messages do not come this way: the engine reads them from the socket, so that the
broker is the queue and an unread message costs no memory here (docs/decisions.md).
"""

from __future__ import annotations

import socket
import threading
from collections import deque
from concurrent.futures import Future
from datetime import datetime
from typing import Any

from msgspec import Struct

from devices.model import HttpPush, HttpReply
from gateway.actions import Action, RefusedError


class VisionAnswer(Struct, frozen=True, kw_only=True):
    """What vision made of job `job`."""

    job: str
    look: Any


class CommandUnsent(Struct, frozen=True, kw_only=True):
    """A command could not be handed to the broker."""

    command: str
    device: str
    reason: str


class Called(Struct, frozen=True, kw_only=True):
    """A device's reply to the HTTP call that carried `command`."""

    command: str
    device: str
    status: int
    body: bytes


class StreamLost(Struct, frozen=True, kw_only=True):
    """Nothing came over the event stream of a device since then."""

    device: str
    since: datetime


class Posted(Struct, frozen=True, kw_only=True):
    """What a device posted over HTTP, its sender known for certain. Answered with a `PostAnswer` once it is safe, with
    `gateway.journal.CommitError` where it cannot be made safe: then nothing has happened.
    """

    protocol: str
    push: HttpPush
    received_at: datetime


class PostAnswer(Struct, frozen=True, kw_only=True):
    """What the device is to be told. `reason`: why it was not taken, "" when it was. `order`: what else to tell it
    instead of `reply`, before `not_after` or not at all.
    """

    status: int = 200
    reason: str = ""
    reply: HttpReply | None = None
    order: HttpReply | None = None
    not_after: datetime | None = None


class Item(Struct, frozen=True):
    """One entry: a request and where its answer goes, or an answer nobody waits for."""

    what: Action | VisionAnswer | CommandUnsent | Called | StreamLost | Posted
    answer: Future[Any] | None = None


class Inbox:
    """A bounded queue with a socket that becomes readable when something is in it."""

    def __init__(self, limit: int = 4096) -> None:
        self._limit = limit
        self._items: deque[Item] = deque()
        self._room = threading.Condition()
        self._reader, self._writer = socket.socketpair()
        self._reader.setblocking(False)
        self._writer.setblocking(False)
        self._closed = False

    def fileno(self) -> int:
        """For `select`."""
        return self._reader.fileno()

    def __len__(self) -> int:
        return len(self._items)

    def put(self, item: Item, *, timeout: float = 5) -> None:
        """Add one; waits for room.

        :raises RefusedError: there was none in time, or the gateway is stopping.
        """
        with self._room:
            if not self._room.wait_for(lambda: self._closed or len(self._items) < self._limit, timeout):
                raise RefusedError("the gateway is too busy to take this now; try again")
            if self._closed:
                raise RefusedError("the gateway is stopping")
            self._items.append(item)
        self.wake()

    def answer(self, what: VisionAnswer | Called | CommandUnsent) -> None:
        """Add an answer the engine itself asked for. It never waits: only as many can come as were asked, and the
        engine, which is to take them, may be the one that adds it.
        """
        with self._room:
            self._items.append(Item(what))
        self.wake()

    def wake(self) -> None:
        """Make the engine look up."""
        try:
            self._writer.send(b"\0")
        except (BlockingIOError, OSError):
            return  # full: it is awake already; closed: nobody is left to wake

    def take(self) -> list[Item]:
        """Everything that is in it."""
        try:
            while self._reader.recv(4096):
                pass
        except BlockingIOError:
            pass
        with self._room:
            items = list(self._items)
            self._items.clear()
            self._room.notify_all()
        return items

    def close(self) -> None:
        """Refuse what comes from now on, and answer what waits."""
        with self._room:
            self._closed = True
            self._room.notify_all()
        for item in self.take():
            if item.answer is not None:
                item.answer.set_exception(RefusedError("the gateway is stopping"))
