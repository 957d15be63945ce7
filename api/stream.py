"""The live feed as server-sent events. What is new is read and worded once for all who may see the same; clients are
woken, and each goes on from its own cursor, so nothing is lost, doubled or piled up, however slow a client is. Who is
further behind than what is kept reads the database.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import time
from collections import deque
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from itertools import takewhile
from typing import NamedTuple

import structlog
from fastapi.concurrency import run_in_threadpool

from api.auth import Caller
from api.errors import ApiError
from api.facade import Gateway
from api.tokens import authenticate
from api.views import change_fields, json_of
from gateway.feed import Bounds, BrokenError, bounds, check

HEARTBEAT_S = 10.0
PAGE = 200
READ_EVERY_S = 0.02
"""What is new is read at most this often, ..."""
FOR_EACH_CLIENT_S = 0.0002
"""...and so much less often for each client there is: 200 desks are served 16 times a second."""
AGAIN_S = 1.0
"""After what is new could not be read."""
KEPT = 2000
"""Changes kept as worded, of each view of them."""
DEVICES_EVERY_S = 1.0
"""Devices are compared at most this often per client."""

_log = structlog.get_logger(__name__)


class Feed:
    """Reads what the engine has written, and wakes the clients of one application."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._loop: asyncio.AbstractEventLoop | None = None
        self._written = asyncio.Event()
        self._reading: asyncio.Task[None] | None = None
        self._clients: set[asyncio.Event] = set()
        self._views: dict[str, _View] = {}
        self.closing = False

    def open(self) -> None:
        """Start listening to the engine; on the loop the clients live on."""
        self._loop = asyncio.get_running_loop()
        self._reading = self._loop.create_task(self._read())
        self._gateway.listeners.append(self.wake)

    def close(self) -> None:
        """End every stream, so that the server can stop. From any thread."""
        self.closing = True
        self.wake()
        with contextlib.suppress(ValueError):  # closed twice
            self._gateway.listeners.remove(self.wake)

    def wake(self) -> None:
        """Something was written. From any thread; never blocks."""
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop has closed meanwhile, and with it every client
                self._loop.call_soon_threadsafe(self._written.set)

    @contextlib.contextmanager
    def client(self, caller: Caller) -> Iterator[tuple[asyncio.Event, _View]]:
        """An event that is set when there may be something new, and where it is then to be found."""
        # Who may see people sees the same; of the others each sees the words that were typed in their own name.
        view = self._views.setdefault("" if caller.may("people:read") else caller.name, _View(self._gateway))
        woken = asyncio.Event()
        self._clients.add(woken)
        try:
            with view.followed(caller):
                yield woken, view
        finally:
            self._clients.discard(woken)

    async def _read(self) -> None:
        while not self.closing:
            await self._written.wait()
            self._written.clear()
            pause = READ_EVERY_S + FOR_EACH_CLIENT_S * len(self._clients)
            try:
                for view in list(self._views.values()):
                    await view.go_on()
            except Exception:  # noqa: BLE001 - the supervisor of every stream: said, and tried again
                _log.exception("stream_cannot_read")
                self._written.set()
                pause = AGAIN_S
            self._wake_clients()
            await asyncio.sleep(pause)
        self._wake_clients()

    def _wake_clients(self) -> None:
        for client in self._clients:
            client.set()


class _Page(NamedTuple):
    """Changes as events of the stream. `last`: the number of the last. `full`: there may be more at once."""

    events: bytes
    last: int
    full: bool


class _View:
    """The latest changes without a gap, as those who may see the same are told of them."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._followers: list[Caller] = []
        self._kept: deque[tuple[int, bytes]] = deque(maxlen=KEPT)
        self._last = 0
        self._page = _Page(b"", 0, full=False)
        self._page_after = 0

    @contextlib.contextmanager
    def followed(self, caller: Caller) -> Iterator[None]:
        """While somebody follows it, it is kept up."""
        if not self._followers:
            self._last = newest(self._gateway)
        self._followers.append(caller)
        try:
            yield
        finally:
            self._followers.remove(caller)
            if not self._followers:
                self._kept.clear()

    async def go_on(self) -> None:
        """Read and word what is new."""
        while self._followers:
            new = await run_in_threadpool(_worded, self._gateway, self._followers[0], self._last)
            self._kept.extend(new)
            self._last = new[-1][0] if new else self._last
            if len(new) < PAGE:
                return

    async def after(self, caller: Caller, cursor: int) -> _Page:
        """What comes behind the cursor, no events if there is nothing yet."""
        if cursor >= self._last:
            return _Page(b"", cursor, full=False)
        if not self._kept or self._kept[0][0] > cursor + 1:
            return _paged(await run_in_threadpool(_worded, self._gateway, caller, cursor), cursor)
        if self._page_after != cursor or self._page.last != self._last:
            newer = list(takewhile(lambda change: change[0] > cursor, reversed(self._kept)))
            self._page, self._page_after = _paged(newer[: -PAGE - 1 : -1], cursor), cursor
        return self._page


def _worded(gateway: Gateway, caller: Caller, cursor: int) -> list[tuple[int, bytes]]:
    """At most `PAGE` changes after the cursor, each with its number."""
    found = []
    for row in gateway.store.latest.after(cursor, PAGE):
        said = json_of(change_fields(row, gateway, caller))
        found.append((row["seq"], b"id: %d\nevent: alert\ndata: %b\n\n" % (row["seq"], said)))
    return found


def _paged(worded: list[tuple[int, bytes]], cursor: int) -> _Page:
    last = worded[-1][0] if worded else cursor
    return _Page(b"".join(event for _, event in worded), last, full=len(worded) == PAGE)


def newest(gateway: Gateway) -> int:
    """The last change there is, 0 before the first."""
    return bounds(gateway.store.reader).newest


def resumable(gateway: Gateway, after: int, known: str = "") -> Bounds:
    """How far the feed reaches, if somebody who has everything up to `after` can go on without a gap.

    :raises ApiError: 410, retention dropped what follows; 409, this is not the feed they had.
    """
    try:
        return check(gateway.store.reader, after, known)
    except BrokenError as error:
        status = 410 if error.gone else 409
        raise ApiError(status, str(error), more=error.bounds._asdict()) from error


def _online(gateway: Gateway) -> dict[str, bool | None]:
    return {device.id: gateway.online(device.id) for device in gateway.directory.devices()}


def _device_lines(gateway: Gateway, before: dict[str, bool | None], after: dict[str, bool | None]) -> str:
    lines = []
    for device, online in after.items():
        if device not in before or before[device] != online:
            seen = gateway.last_seen(device)
            data = {"id": device, "online": online, "last_seen": seen.isoformat() if seen else None}
            lines.append(f"event: device\ndata: {json.dumps(data)}\n\n")
    return "".join(lines)


def _still_valid(gateway: Gateway, caller: Caller) -> bool:
    return authenticate(gateway.store, caller.text, datetime.now(UTC)) is not None


async def lines(gateway: Gateway, feed: Feed, caller: Caller, cursor: int, *, devices: bool) -> AsyncIterator[bytes]:
    """The stream of one client from `cursor` on, until it goes, its token ends, or the feed closes."""
    online = await run_in_threadpool(_online, gateway) if devices else {}
    # The number is said before there is any event: who is cut off until then goes on from here, not from "now".
    yield f"retry: 2000\nid: {cursor}\n: linli\n\n".encode()
    compared = checked = time.monotonic()
    unseen = True  # something was written since the devices were compared
    with feed.client(caller) as (woken, view):
        while not feed.closing:
            woken.clear()
            page = await view.after(caller, cursor)
            if page.events:
                cursor = page.last
                yield page.events
            if devices and unseen and time.monotonic() >= compared + DEVICES_EVERY_S:
                before, online = online, await run_in_threadpool(_online, gateway)
                compared, unseen = time.monotonic(), False
                if told := _device_lines(gateway, before, online):
                    yield told.encode()
            if time.monotonic() >= checked + HEARTBEAT_S:
                if not await run_in_threadpool(_still_valid, gateway, caller):
                    return
                checked, unseen = time.monotonic(), True
                yield b": still here\n\n"
            if not page.full:
                due = min(checked + HEARTBEAT_S, compared + DEVICES_EVERY_S if devices and unseen else math.inf)
                unseen |= await _woken_before(due, woken)


async def _woken_before(due: float, woken: asyncio.Event) -> bool:
    """Wait until woken (True) or until `due` on the monotonic clock."""
    with contextlib.suppress(TimeoutError):
        return await asyncio.wait_for(woken.wait(), max(0.0, due - time.monotonic()))
    return False
