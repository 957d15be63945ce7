"""All devices whose event stream is attached to: one thread with one asyncio loop, a task for each.

Which they are is read from the registry: a device whose protocol has such a stream and whose access says `attach`.
Nothing a device says adds one. After a change of device or access its stream begins anew with what is set now.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from datetime import datetime
from typing import NamedTuple

import structlog

from devices.kinds.link import Link
from devices.model import Attachment, Device, Protocol
from gateway import metrics
from gateway.access import Access, AccessBook
from gateway.attached import Shared, Stream, StreamState
from gateway.directory import Directory
from gateway.inbox import PostAnswer, Posted
from gateway.vault import VaultError

log = structlog.get_logger()

CONNECTING_AT_ONCE = 32
LARGE_AT_ONCE = 8
"""Streams that hold a large part, of 4 MB at most."""
LOOK_AGAIN_S = 5.0
TOLD_AT_MOST = 5
"""So many troubles are told one by one in /health; the rest is counted."""


class _Wanted(NamedTuple):
    """What a stream depends on."""

    device: Device
    access: Access
    attachment: Attachment


class Attacher:
    """Keeps the streams. All methods may be called from any thread; none of them waits but `stop`."""

    def __init__(
        self,
        *,
        directory: Directory,
        book: AccessBook,
        protocols: Mapping[str, Protocol],
        post: Callable[[Posted], Future[PostAnswer]],
        lost: Callable[[str, datetime], None],
        link: Callable[[str], Link | None],
    ) -> None:
        self._directory, self._book, self._protocols = directory, book, protocols
        self._post, self._lost, self._link = post, lost, link
        self._streams: dict[str, Stream] = {}
        self._unreadable: frozenset[str] = frozenset()
        self._tasks: dict[str, tuple[_Wanted, asyncio.Task[None]]] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._changed = asyncio.Event()
        self._stopping = False
        self.bugs = 0
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), name="attacher", daemon=True)
        metrics.STREAMS.set_function(self._attached)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """Hang up everywhere. What was taken is safe; what devices say from now on is theirs to keep."""
        self._stopping = True
        self.wake()
        if self._thread.is_alive():
            self._thread.join(10)

    def wake(self) -> None:
        """The registry changed."""
        loop = self._loop
        if loop is not None:
            with contextlib.suppress(RuntimeError):  # it has ended
                loop.call_soon_threadsafe(self._changed.set)

    def state(self, device: str) -> StreamState | None:
        """How a device's stream stands; None: it is not to be attached to."""
        stream = self._streams.get(device)
        return stream.state if stream else None

    def problems(self) -> list[str]:
        """What somebody has to mend, in words."""
        states = [stream.state for stream in list(self._streams.values())]
        told = sorted(state.trouble for state in states if state.mend)
        found = [f"events of {trouble}" for trouble in told[:TOLD_AT_MOST]]
        if len(told) > TOLD_AT_MOST:
            found.append(f"events of {len(told) - TOLD_AT_MOST} more devices cannot be fetched; see their pages")
        if self._unreadable:
            few = ", ".join(sorted(self._unreadable)[:TOLD_AT_MOST])
            found.append(f"what is set for calling {few} cannot be opened; set the access again")
        if self.bugs:
            found.append(f"event streams met an error of our own {self.bugs} times; see the log")
        return found

    def _attached(self) -> int:
        return sum(stream.state.attached_since is not None for stream in list(self._streams.values()))

    # -- the loop ---------------------------------------------

    async def _run(self) -> None:
        self._loop = asyncio.get_running_loop()
        shared = Shared(
            post=self._post,
            lost=self._lost,
            link=self._link,
            connecting=asyncio.Semaphore(CONNECTING_AT_ONCE),
            large=asyncio.Semaphore(LARGE_AT_ONCE),
        )
        while not self._stopping:
            self._changed.clear()
            try:
                await self._follow(await asyncio.to_thread(self._wanted), shared)
            except sqlite3.Error as error:
                log.warning("attacher_waits_for_the_database", trouble=str(error))
                self._loop.call_later(LOOK_AGAIN_S, self._changed.set)
            await self._changed.wait()
        await self._follow({}, shared)

    def _wanted(self) -> dict[str, _Wanted]:
        """Whom to attach to, by device id. Reads the database."""
        found: dict[str, _Wanted] = {}
        unreadable = set()
        for device in self._directory.devices():
            protocol = self._protocols.get(device.protocol)
            if protocol is None or protocol.attachment is None:
                continue
            try:
                access = self._book.of(device.id)
            except VaultError:
                unreadable.add(device.id)
                continue
            if access.attach:
                found[device.id] = _Wanted(device, access, protocol.attachment)
        self._unreadable = frozenset(unreadable)
        return found

    async def _follow(self, wanted: Mapping[str, _Wanted], shared: Shared) -> None:
        """End what is not wanted any more, or otherwise; begin what is new."""
        gone = [name for name, (held, _) in self._tasks.items() if wanted.get(name) != held]
        ending = [self._tasks.pop(name)[1] for name in gone]
        for task in ending:
            task.cancel()
        await asyncio.gather(*ending, return_exceptions=True)
        for name in gone:
            del self._streams[name]
        for name in wanted.keys() - self._tasks.keys():
            stream = self._streams[name] = Stream(*wanted[name], shared)
            task = asyncio.create_task(self._kept(stream, name), name=f"stream {name}")
            self._tasks[name] = (wanted[name], task)

    async def _kept(self, stream: Stream, device: str) -> None:
        """Run a stream. The supervisor: an error of our own costs the connection of one device, and is told."""
        while True:
            try:
                await stream.run()
            except Exception:
                self.bugs += 1
                log.exception("our_own_error", what="stream", device=device, bugs=self.bugs)
                await asyncio.sleep(LOOK_AGAIN_S)
