"""Worker processes that look at images, off the consumer's thread and out of the gateway's address space.

    submit -> queue (bounded; `vision.jobs.LANES`) -> one supervising thread per worker -> worker process -> future

Every future is answered, with `Unreadable` when there is no look: the queue was full, the deadline came, or the image
crashed two workers. A worker past its job's deadline is killed and replaced; nothing an image does can cost more than
that. Nothing here loads an image library.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
import time
from concurrent.futures import Future
from pathlib import Path
from typing import IO, Self

import msgspec
from msgspec import Struct

from vision.jobs import Deadlines, Queue, Ticket
from vision.types import FaceEngineName, Job, Kind, Look, Ready, Unreadable, decode_look, encode
from vision.worker import Options, read_frame, write_frame

START_LIMIT_S = 120.0
"""A worker that is not ready by then is killed: models come from a local disk."""
_BACKOFF_S = (0.0, 0.5, 1.0, 2.0, 5.0, 10.0)
"""Pause before the n-th start in a row that failed; the last one repeats."""

TIMED_OUT = Unreadable(reason="timed out")
CRASHED = Unreadable(reason="worker crashed")
BUSY = Unreadable(reason="vision is busy")
CLOSED = Unreadable(reason="vision is closed")

_read_ready = msgspec.msgpack.Decoder(Ready).decode


class PoolStats(Struct, frozen=True, kw_only=True):
    """Counters since the pool was made, and what it holds now. `crashes`: workers that died by themselves; `timeouts`:
    jobs whose deadline came; `refused`: jobs the full queue turned away; `starts`: worker processes started; `queued`,
    `running`: jobs now; `ready`: workers with their models loaded now.
    """

    submitted: int
    answered: int
    timeouts: int
    crashes: int
    retries: int
    refused: int
    starts: int
    queued: int
    running: int
    ready: int


class _WorkerDiedError(Exception):
    """The pipe to the worker ended or carried nonsense."""


def _environment() -> dict[str, str]:
    """What a worker may know of ours: where libraries and models are. No tokens, no keys, no database addresses."""
    wanted = ("PATH", "LD_LIBRARY_PATH", "LANG", "LC_ALL", "TMPDIR", "HOME", "XDG_CACHE_HOME", "LINLI_CACHE")
    kept = {name: os.environ[name] for name in wanted if name in os.environ}
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "OPENCV_FOR_THREADS_NUM"), "1")
    home = str(Path(__file__).resolve().parent.parent)
    # One malloc arena: each further one reserves 64 MB of the address space that the memory limit counts. Buffers above
    # 4 MB (hostile pictures claim 75) go back to the system; left to itself, malloc learns to keep them, in pieces.
    memory = {"MALLOC_ARENA_MAX": "1", "MALLOC_MMAP_THRESHOLD_": str(4 * 1024 * 1024)}
    return kept | threads | memory | {"PYTHONPATH": home}


class _Worker:
    """One worker process and the pipes to it. `kill` may be called from any thread, any number of times."""

    def __init__(self, memory_mb: int, warm: tuple[Kind, ...], options: Options) -> None:
        # -P: the current directory is not searched for modules.
        command = [sys.executable, "-P", "-m", "vision.worker", str(os.getpid()), str(memory_mb)]
        command += [options.face_engine, str(options.yunet or ""), *warm]
        self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=_environment()
        )
        if self._process.stdin is None or self._process.stdout is None:
            raise AssertionError("both were asked for")
        self._to: IO[bytes] = self._process.stdin
        self._from: IO[bytes] = self._process.stdout

    @property
    def pid(self) -> int:
        return self._process.pid

    def await_ready(self) -> None:
        """Returns when the models are loaded. Raises _WorkerDiedError."""
        try:
            _read_ready(self._receive())
        except msgspec.MsgspecError as error:
            raise _WorkerDiedError from error

    def look(self, job: Job) -> Look:
        """One job, one answer. Raises _WorkerDiedError."""
        try:
            write_frame(self._to, encode(job))
            return decode_look(self._receive())
        except (OSError, msgspec.MsgspecError) as error:
            raise _WorkerDiedError from error

    def _receive(self) -> bytes:
        frame = read_frame(self._from)
        if frame is None:
            raise _WorkerDiedError
        return frame

    def kill(self) -> None:
        self._process.kill()

    def bury(self) -> None:
        """Kill, reap, close the pipes."""
        self._process.kill()
        self._process.wait()
        self._from.close()
        with contextlib.suppress(BrokenPipeError):  # the unsent rest of a job
            self._to.close()


class Pool:
    """`workers` processes. `memory_mb` is the address space of each; `warm` are the kinds whose models they load before
    their first job (others load with the first job of their kind, inside its deadline); `queue_size` bounds the jobs
    that wait; `face_engine`, `yunet`: how faces are looked for (`vision.types.FaceEngineName`).
    """

    def __init__(
        self,
        workers: int,
        *,
        memory_mb: int = 1500,
        warm: tuple[Kind, ...] = (),
        queue_size: int = 256,
        face_engine: FaceEngineName = "auto",
        yunet: Path | None = None,
    ) -> None:
        if workers < 1:
            raise ValueError("a pool needs a worker")
        self._memory_mb = memory_mb
        self._warm = warm
        self._options = Options(face_engine, yunet)
        self._lock = threading.Lock()
        self._count = dict.fromkeys(("submitted", "answered", "timeouts", "crashes", "retries", "refused", "starts"), 0)
        self._alive: dict[int, _Worker] = {}
        self._ready: set[int] = set()
        self._running: dict[int, Ticket] = {}
        self._closing = threading.Event()
        self._queue = Queue(queue_size)
        self._deadlines = Deadlines(self._expire)
        self._threads = [
            threading.Thread(target=self._supervise, args=(slot,), name=f"vision-{slot}", daemon=True)
            for slot in range(workers)
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, kind: Kind, image: bytes, *, deadline_s: float, context: bytes = b"") -> Future[Look]:
        """Look at an image (JPEG or PNG bytes). The future always gets a result within about `deadline_s` seconds from
        now, waiting included: a `FaceLook` for "face" and "enrol", a `PlateLook` for "plate", a `SceneSeen` for "scene"
        (`context`: see `Job`); never an exception.
        Callbacks run on a thread of the pool and must be quick.
        """
        ticket = Ticket(Job(kind, image, context), time.monotonic() + deadline_s)
        self._add("submitted")
        if self._closing.is_set():
            self._answer(ticket, CLOSED)
        elif not self._queue.put(ticket):
            self._add("refused")
            self._answer(ticket, BUSY)
        else:
            self._deadlines.watch(ticket)
            if self._closing.is_set():  # closed meanwhile: nobody will take it
                self._answer(ticket, CLOSED)
        return ticket.future

    def stats(self) -> PoolStats:
        with self._lock:
            return PoolStats(**self._count, queued=len(self._queue), running=len(self._running), ready=len(self._ready))

    def pids(self) -> list[int]:
        """The process ids of the workers alive now."""
        with self._lock:
            return [worker.pid for worker in self._alive.values()]

    def close(self) -> None:
        """Kill the workers and answer what is left with "vision is closed". Returns when they are gone."""
        self._closing.set()
        for ticket in self._queue.close():
            self._answer(ticket, CLOSED)
        with self._lock:
            left, workers = list(self._running.values()), list(self._alive.values())
        for ticket in left:
            self._answer(ticket, CLOSED)
        for worker in workers:
            worker.kill()
        for thread in self._threads:
            thread.join()
        self._deadlines.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _add(self, counter: str) -> None:
        with self._lock:
            self._count[counter] += 1

    def _answer(self, ticket: Ticket, look: Look) -> None:
        if ticket.answer(look):
            self._add("answered")

    def _expire(self, ticket: Ticket) -> None:
        """The deadline has come: answer now, and kill the worker if one is at it."""
        if not ticket.answer(TIMED_OUT):
            return
        with self._lock:
            self._count["answered"] += 1
            self._count["timeouts"] += 1
            slot = next((slot for slot, running in self._running.items() if running is ticket), None)
            if slot is not None:
                self._alive[slot].kill()
        self._queue.discard(ticket)

    def _supervise(self, slot: int) -> None:
        """The life of one worker after another."""
        failures = 0
        while not self._closing.wait(_BACKOFF_S[min(failures, len(_BACKOFF_S) - 1)]):
            try:
                worker = _Worker(self._memory_mb, self._warm, self._options)
            except OSError:  # no process or no pipe to be had just now
                failures += 1
                continue
            with self._lock:
                self._count["starts"] += 1
                self._alive[slot] = worker
            failures += 1
            try:
                self._make_ready(worker)
                failures = 0
                self._work(slot, worker)
            except _WorkerDiedError:
                pass  # `_work` has seen to its job; the next round starts another
            finally:
                with self._lock:
                    del self._alive[slot]
                    self._ready.discard(slot)
                worker.bury()

    def _make_ready(self, worker: _Worker) -> None:
        limit = threading.Timer(START_LIMIT_S, worker.kill)
        limit.daemon = True
        limit.start()
        if self._closing.is_set():  # `close` may have looked for workers just before this one was there
            worker.kill()
        try:
            worker.await_ready()
        finally:
            limit.cancel()

    def _work(self, slot: int, worker: _Worker) -> None:
        """Jobs until the pool closes (returns) or the worker dies (raises _WorkerDiedError)."""
        with self._lock:
            self._ready.add(slot)
        while (ticket := self._queue.take()) is not None:
            with self._lock:
                self._running[slot] = ticket
            try:
                if not ticket.done:
                    self._answer(ticket, worker.look(ticket.job))
            except _WorkerDiedError:
                self._crashed(ticket)
                raise
            finally:
                with self._lock:
                    del self._running[slot]

    def _crashed(self, ticket: Ticket) -> None:
        """Killed for its deadline (then it is answered), or dead by itself: once more, then give up."""
        if ticket.done:
            return
        self._add("crashes")
        if ticket.tried or not self._queue.put_back(ticket):
            self._answer(ticket, CRASHED)
        else:
            self._add("retries")
