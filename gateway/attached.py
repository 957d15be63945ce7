"""One device whose event stream is attached to: connect, ask for what was missed, read, hand over, come again.

    away --200, multipart--> attached --silent, broken, garbage without end--> away (soon again, ever later, jittered)
    away --refuses, is no such stream--> away for long, and an operator is told what to mend

Every event goes the way of a post and is waited for until it is safe; only then is more read. So a busy gateway or a
full disk slows the device down and drops nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Callable
from concurrent.futures import Future
from datetime import UTC, datetime, timedelta

import structlog
from msgspec import Struct
from msgspec.structs import replace
from python_multipart.multipart import parse_options_header

from devices.errors import DecodeError
from devices.kinds.link import MISSED_HEARTBEATS, Link
from devices.model import Attachment, Device, HttpCall, HttpPart, HttpPush
from devices.protocols.event_stream import EventStream
from gateway import metrics, missed
from gateway.access import Access
from gateway.actions import RefusedError
from gateway.attach_http import Answer, NotOursError, UnansweredError, ask
from gateway.inbox import PostAnswer, Posted
from gateway.journal import CommitError

log = structlog.get_logger()

PART_AT_MOST = 4 * 1024 * 1024
LARGE_FROM = 256 * 1024
"""A stream that holds more needs one of the few places for such (`Shared.large`) before it is read on."""
QUIET_S = 0.3
"""A line that says nothing for so long has said what it had to say."""
SOON_S, LATER_S = 1.0, 60.0
"""The first pause before coming again, and the longest. Each is shortened by up to a half, by chance."""
STEADY_S = 30.0
"""A stream that lasted so long was a good one: the pauses begin anew."""
MENDED_S = 600.0
"""The pause where nothing will change until somebody mends it."""
LOCKED_S = 3600.0
"""The pause after a wrong password: devices lock an account for half an hour after some five of them."""
LOST_AFTER_S = 30.0
"""Away for so long, a device counts as offline."""
BUSY_S = 5.0
FLOOD_PAUSE_S = 1.0


class StreamState(Struct, frozen=True, kw_only=True):
    """How a device's stream stands. `trouble`: what is wrong and what to do, "" while nothing is; `mend`: somebody has
    to mend it. `history`: what could not be fetched of what was missed.
    """

    attached_since: datetime | None = None
    last_part: datetime | None = None
    parts: int = 0
    trouble: str = ""
    mend: bool = False
    retry_at: datetime | None = None
    history: str = ""


class Shared(Struct, frozen=True, kw_only=True):
    """What all streams have in common. `post`: as `Gateway.post`; `lost(device, since)`: nothing came since then;
    `link`: what is known of a device's connection. `connecting` and `large` bound how many do so at a time.
    """

    post: Callable[[Posted], Future[PostAnswer]]
    lost: Callable[[str, datetime], None]
    link: Callable[[str], Link | None]
    connecting: asyncio.Semaphore
    large: asyncio.Semaphore


class Stream:
    """The stream of one device, as it was registered; `state` may be read from any thread."""

    def __init__(self, device: Device, access: Access, attachment: Attachment, shared: Shared) -> None:
        self._device, self._access, self._attachment, self._shared = device, access, attachment, shared
        beat_s = device.param("heartbeat_s", 0.0)
        self._silent_s = MISSED_HEARTBEATS * beat_s if beat_s > 0 else attachment.silent_s
        self._failures = 0
        self._away_since = datetime.now(UTC)
        self._has_place = False
        self.state = StreamState()

    async def run(self) -> None:
        """For ever, until cancelled."""
        while True:
            pause_s = await self._once()
            now = datetime.now(UTC)
            if self.state.attached_since is not None:
                self._away_since = now
            self.state = replace(self.state, attached_since=None, retry_at=now + timedelta(seconds=pause_s))
            await self._pause(pause_s)

    async def _once(self) -> float:
        """Attach, read as long as it lasts, and say how long to wait before the next time, s."""
        try:
            await self._attach()
        except NotOursError as error:
            hint = "set its access anew, which is tried at once; else it is asked again in an hour, since devices lock"
            hint += " an account after a few wrong passwords"
            self._trouble(f"{error}; {hint}" if error.locks else str(error), mend=True)
            return (LOCKED_S if error.locks else MENDED_S) * random.uniform(1, 1.25)  # noqa: S311 - no secret
        except UnansweredError as error:
            self._trouble(str(error))
        since = self.state.attached_since
        if since is not None and (datetime.now(UTC) - since).total_seconds() > STEADY_S:
            self._failures = 0
        self._failures += 1
        pause_s = min(LATER_S, SOON_S * 2.0 ** min(self._failures - 1, 10))
        return pause_s * random.uniform(0.5, 1)  # noqa: S311 - no secret

    async def _pause(self, pause_s: float) -> None:
        """Wait. A device that has been away for long is told as that now and then: the engine may know better (it was
        heard by another way) or not have had time.
        """
        while pause_s > 0:
            part_s = min(pause_s, LOST_AFTER_S)
            await asyncio.sleep(part_s)
            pause_s -= part_s
            since = datetime.now(UTC) - timedelta(seconds=LOST_AFTER_S)
            if self._away_since <= since:
                with contextlib.suppress(RefusedError):
                    self._shared.lost(self._device.id, since)

    def _trouble(self, why: str, *, mend: bool = False) -> None:
        told = f"{self._device.id}: {why}"
        if told != self.state.trouble:
            log.warning("not_attached", device=self._device.id, trouble=why)
        self.state = replace(self.state, trouble=told, mend=mend)

    # -- one connection ---------------------------------------------

    async def _attach(self) -> None:
        """Read the stream until it ends.

        :raises NotOursError, UnansweredError: why it cannot be read, or not any more.
        """
        before = self._shared.link(self._device.id)
        async with self._shared.connecting:
            answer = await ask(self._access, HttpCall(method="GET", path=self._attachment.path))
        async with answer:
            stream = self._stream(answer)
            now = datetime.now(UTC)
            self.state = replace(self.state, attached_since=now, trouble="", mend=False, retry_at=None)
            log.info("attached", device=self._device.id)
            history = self._attachment.history
            if history is not None and before is not None:
                found = await missed.fetch(self._device, self._access, history, before, now, self._take)
                self.state = replace(self.state, history=found)
            await self._read(answer, stream)

    def _stream(self, answer: Answer) -> EventStream:
        if answer.status == 403:
            raise NotOursError("it forbids the user of its access its event stream (HTTP 403)", locks=True)
        if answer.status in (408, 429) or answer.status >= 500:
            raise UnansweredError(f"it is busy (HTTP {answer.status}); restart it if that does not end")
        media, options = parse_options_header(answer.header("content-type").encode())
        if answer.status != 200 or not media.startswith(b"multipart/"):
            path = self._attachment.path.partition("?")[0]
            raise NotOursError(
                f"it has no event stream at {path} (HTTP {answer.status}); register it with the protocol it speaks, or "
                "set attach to false in its access and let it post"
            )
        try:
            return EventStream(options.get(b"boundary", b""), PART_AT_MOST)
        except DecodeError as error:
            raise NotOursError("its event stream names no boundary; set attach to false and let it post") from error

    async def _read(self, answer: Answer, stream: EventStream) -> None:
        """Take all there is, and what is whole of it when it ends.

        :raises UnansweredError: why it ended.
        """
        try:
            await self._read_on(answer, stream)
            why = "it ended its event stream"
        except UnansweredError as error:
            why = str(error)
        except DecodeError as error:
            raise UnansweredError(f"what it sends is no event stream ({error.reason})") from error
        finally:
            self._give_place_back()
        for event in stream.end():
            await self._take(event)
        if stream.held:
            log.warning("half_a_part_lost", device=self._device.id, size=stream.held)
        raise UnansweredError(why)

    async def _read_on(self, answer: Answer, stream: EventStream) -> None:
        """To the end of the stream. A whole part has `silent_s` to come, however its bytes drip."""
        clock = asyncio.get_running_loop().time
        due = clock() + self._silent_s
        settled = False
        while True:
            left_s = due - clock()
            if left_s <= 0:
                raise UnansweredError(f"nothing whole came from it for {self._silent_s:g} s")
            events, chunk = 0, None
            try:
                async with asyncio.timeout(min(QUIET_S, left_s) if stream.waits and not settled else left_s):
                    chunk = await answer.more()
            except TimeoutError:
                settled = True
                for event in stream.settle():
                    await self._take(event)
                    events += 1
            if chunk == b"":
                return
            if chunk is not None:
                settled = False
                stream.write(chunk)
                while (whole := stream.next()) is not None:
                    await self._take(whole)
                    events += 1
                due += await self._place_for(stream)
            if events:
                due = clock() + self._silent_s

    async def _place_for(self, stream: EventStream) -> float:
        """Wait for a place while a large part is in hand, so that few are at a time; how long that took, s."""
        began = asyncio.get_running_loop().time()
        if stream.held < LARGE_FROM:
            self._give_place_back()
        elif not self._has_place:
            await self._shared.large.acquire()
            self._has_place = True
        return asyncio.get_running_loop().time() - began

    def _give_place_back(self) -> None:
        if self._has_place:
            self._has_place = False
            self._shared.large.release()

    async def _take(self, event: tuple[HttpPart, ...]) -> None:
        """Have the engine take one event, and wait until it is safe or in quarantine."""
        push = HttpPush(address=self._device.address, parts=event)
        answer = await self._safe(Posted(protocol=self._device.protocol, push=push, received_at=datetime.now(UTC)))
        metrics.STREAM_EVENTS.labels(str(answer.status)).inc()
        self.state = replace(self.state, last_part=datetime.now(UTC), parts=self.state.parts + 1, trouble="")
        if answer.status == 429:
            await asyncio.sleep(FLOOD_PAUSE_S)

    async def _safe(self, posted: Posted) -> PostAnswer:
        while True:
            try:
                return await asyncio.wrap_future(self._shared.post(posted))
            except (RefusedError, CommitError) as error:
                self._trouble(f"the gateway cannot take what it says just now, so it has to wait ({error})")
                await asyncio.sleep(BUSY_S)
