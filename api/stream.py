"""The live feed as server-sent events. Clients are only woken; each goes on from its own cursor, so nothing is lost,
doubled or piled up, however slow a client is. What is new is read and worded once for all who may see the same, and
kept for a while; who is further behind reads the database.
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
from itertools import islice

from fastapi.concurrency import run_in_threadpool

from api.auth import Caller, authenticate
from api.errors import ApiError
from api.facade import Gateway
from api.views import change_view
from gateway.feed import Bounds, BrokenError, check

HEARTBEAT_S = 10.0
PAGE = 200
READ_EVERY_S = 0.02
"""A client is served at most this often, ..."""
FOR_EACH_CLIENT_S = 0.0003
"""...and so much less often for each client there is: 200 desks are served twelve times a second."""
KEPT = 2000
"""Changes kept as worded, of each view of them."""
DEVICES_EVERY_S = 1.0
"""Devices are compared at most this often per client."""


class Feed:
    """Wakes the clients of one application when the engine has written something."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._loop: asyncio.AbstractEventLoop | None = None
        self._clients: set[asyncio.Event] = set()
        self._worded: dict[bool, _Worded] = {}
        self.closing = False

    def open(self) -> None:
        """Start listening to the engine; on the loop the clients live on."""
        self._loop = asyncio.get_running_loop()
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
                self._loop.call_soon_threadsafe(self._wake_all)

    def _wake_all(self) -> None:
        for client in self._clients:
            client.set()

    @property
    def every_s(self) -> float:
        """How often a client is served at most."""
        return READ_EVERY_S + FOR_EACH_CLIENT_S * len(self._clients)

    async def changes_after(self, caller: Caller, cursor: int) -> list[tuple[int, str]]:
        """At most `PAGE` changes after the cursor, each with its number, as this caller may see them."""
        worded = self._worded.setdefault(caller.may("people:read"), _Worded(self._gateway))
        return await worded.after(caller, cursor)

    @contextlib.contextmanager
    def client(self) -> Iterator[asyncio.Event]:
        """An event that is set at each wake."""
        woken = asyncio.Event()
        self._clients.add(woken)
        try:
            yield woken
        finally:
            self._clients.discard(woken)


def newest(gateway: Gateway) -> int:
    """The last change there is, 0 before the first."""
    row = gateway.store.reader.execute("SELECT coalesce(max(seq), 0) AS seq FROM alert_changes").fetchone()
    return int(row["seq"])


def resumable(gateway: Gateway, after: int, known: str = "") -> Bounds:
    """How far the feed reaches, if somebody who has everything up to `after` can go on without a gap.

    :raises ApiError: 410, retention dropped what follows; 409, this is not the feed they had.
    """
    try:
        return check(gateway.store.reader, after, known)
    except BrokenError as error:
        status = 410 if error.gone else 409
        raise ApiError(status, str(error), more=error.bounds._asdict()) from error


def _changes_after(gateway: Gateway, caller: Caller, cursor: int) -> list[tuple[int, str]]:
    rows = gateway.store.latest.after(cursor, PAGE)
    return [(row["seq"], change_view(row, gateway, caller).model_dump_json(exclude_unset=True)) for row in rows]


class _Worded:
    """The latest changes without a gap, as those of one right see them."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._kept: deque[tuple[int, str]] = deque(maxlen=KEPT)
        self._last = -1
        self._reading = asyncio.Lock()

    async def after(self, caller: Caller, cursor: int) -> list[tuple[int, str]]:
        async with self._reading:
            if cursor > self._last:  # the first client, or one that came after a time without any
                self._kept.clear()
                self._last = cursor
            if cursor == self._last:
                for change in await run_in_threadpool(_changes_after, self._gateway, caller, self._last):
                    self._kept.append(change)
                    self._last = change[0]
        if cursor >= self._last:
            return []
        if self._kept and self._kept[0][0] <= cursor + 1:
            return list(islice((change for change in self._kept if change[0] > cursor), PAGE))
        return await run_in_threadpool(_changes_after, self._gateway, caller, cursor)


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


async def lines(gateway: Gateway, feed: Feed, caller: Caller, cursor: int, *, devices: bool) -> AsyncIterator[str]:
    """The stream of one client from `cursor` on, until it goes, its token ends, or the feed closes."""
    online = await run_in_threadpool(_online, gateway) if devices else {}
    # The number is said before there is any event: who is cut off until then goes on from here, not from "now".
    yield f"retry: 2000\nid: {cursor}\n: linli\n\n"
    compared = checked = time.monotonic()
    read = compared - feed.every_s
    unseen = True  # something was written since the devices were compared
    with feed.client() as woken:
        while not feed.closing:
            await asyncio.sleep(read + feed.every_s - time.monotonic())  # under a flood, not at every wake
            woken.clear()
            read = time.monotonic()
            changes = await feed.changes_after(caller, cursor)
            if changes:
                cursor = changes[-1][0]
                yield "".join(f"id: {seq}\nevent: alert\ndata: {data}\n\n" for seq, data in changes)
            if devices and unseen and time.monotonic() >= compared + DEVICES_EVERY_S:
                before, online = online, await run_in_threadpool(_online, gateway)
                compared, unseen = time.monotonic(), False
                if told := _device_lines(gateway, before, online):
                    yield told
            if time.monotonic() >= checked + HEARTBEAT_S:
                if not await run_in_threadpool(_still_valid, gateway, caller):
                    return
                checked, unseen = time.monotonic(), True
                yield ": still here\n\n"
            if len(changes) < PAGE:
                due = min(checked + HEARTBEAT_S, compared + DEVICES_EVERY_S if devices and unseen else math.inf)
                unseen |= await _woken_before(due, woken)


async def _woken_before(due: float, woken: asyncio.Event) -> bool:
    """Wait until woken (True) or until `due` on the monotonic clock."""
    with contextlib.suppress(TimeoutError):
        return await asyncio.wait_for(woken.wait(), max(0.0, due - time.monotonic()))
    return False
