"""The live feed as server-sent events. Clients are only woken; each reads the database after its own cursor, so nothing
is lost, doubled or piled up, however slow a client is.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import time
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime

from fastapi.concurrency import run_in_threadpool

from api.auth import Caller, authenticate
from api.facade import Gateway
from api.views import change_view

HEARTBEAT_S = 10.0
PAGE = 200
READ_EVERY_S = 0.02
"""The database is read at most this often per client."""
DEVICES_EVERY_S = 1.0
"""Devices are compared at most this often per client."""


class Feed:
    """Wakes the clients of one application when the engine has written something."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._loop: asyncio.AbstractEventLoop | None = None
        self._clients: set[asyncio.Event] = set()
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


def _changes_after(gateway: Gateway, caller: Caller, cursor: int) -> list[tuple[int, str]]:
    rows = gateway.store.reader.execute(
        "SELECT * FROM alert_changes WHERE seq > ? ORDER BY seq LIMIT ?", (cursor, PAGE)
    ).fetchall()
    return [(row["seq"], change_view(row, gateway, caller).model_dump_json(exclude_unset=True)) for row in rows]


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
    yield "retry: 2000\n: linli\n\n"
    compared = checked = time.monotonic()
    read = compared - READ_EVERY_S
    unseen = True  # something was written since the devices were compared
    with feed.client() as woken:
        while not feed.closing:
            await asyncio.sleep(read + READ_EVERY_S - time.monotonic())  # under a flood, not at every wake
            woken.clear()
            read = time.monotonic()
            changes = await run_in_threadpool(_changes_after, gateway, caller, cursor)
            for seq, data in changes:
                cursor = seq
                yield f"id: {seq}\nevent: alert\ndata: {data}\n\n"
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
