"""A process that looks at images for the pool: `python -m vision.worker PARENT_PID MEMORY_MB ENGINE YUNET [KIND...]`.

ENGINE is a `FaceEngineName`, YUNET the file of a YuNet model or nothing.

It reads frames from stdin and writes frames to stdout: four bytes of length, big-endian, then msgpack. It first says
Ready, then answers each Job with one Look. It has a memory limit, no core dumps (they would hold faces), a low
priority, and dies with its parent. The libraries that parse images live here and nowhere else.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import IO, TYPE_CHECKING

import msgspec
from msgspec import Struct

from vision.types import FaceEngineName, Job, Kind, Look, Ready, Unreadable, encode

if TYPE_CHECKING:
    from vision.faces import FaceEngine

NICE = 5
_PR_SET_PDEATHSIG = 1  # linux/prctl.h

Engine = Callable[[bytes], Look]


def read_frame(stream: IO[bytes]) -> bytes | None:
    """The next frame's body; None at the end of the stream, also in the middle of a frame."""
    head = stream.read(4)
    if len(head) < 4:
        return None
    size = int.from_bytes(head)
    body = stream.read(size)
    return body if len(body) == size else None


def write_frame(stream: IO[bytes], body: bytes) -> None:
    """One frame, flushed. Raises BrokenPipeError when nobody reads any more."""
    stream.write(len(body).to_bytes(4) + body)
    stream.flush()


def _restrict(parent: int, memory_mb: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        raise SystemExit("the parent is gone")
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent to handle
    os.nice(NICE)
    limit = memory_mb * 1024 * 1024
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


class Options(Struct, frozen=True):
    """How to look for faces: see `FaceEngineName`. Hashable, so that engines are made once for each."""

    face_engine: FaceEngineName = "auto"
    yunet: Path | None = None


DEFAULTS = Options()


def load(kind: Kind, options: Options = DEFAULTS) -> Engine:
    """The engine for a kind, with its models loaded. Takes a second or two."""
    # Imported here so that a worker that only ever sees plates does not carry dlib, nor the other way round.
    if kind == "plate":
        from vision.plates import PlateEngine  # noqa: PLC0415

        return PlateEngine().look
    from vision.faces import ENROL, GATE  # noqa: PLC0415

    return _faces(options).under(ENROL if kind == "enrol" else GATE).look


def scene(job: Job) -> Look:
    """A camera's view: no model, and what is remembered travels with the job."""
    from vision.scene_look import look  # noqa: PLC0415 - a worker that never sees one does without

    return look(job.image, job.context)


@cache
def _faces(options: Options) -> FaceEngine:
    """Made once: a gate's face and one to enrol need the same models."""
    from vision.faces import FaceEngine  # noqa: PLC0415

    return FaceEngine(engine=options.face_engine, yunet=options.yunet)


def _private_stdout() -> IO[bytes]:
    """Our end of the pipe, out of reach of libraries that print: from here on, stdout is stderr."""
    private = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    return private


def serve(jobs: IO[bytes], answers: IO[bytes], warm: tuple[Kind, ...], options: Options = DEFAULTS) -> None:
    """Answer jobs until the stream ends. An error that is not the image's fault ends the process, which the pool sees
    as a crash: better a fresh process than one in an unknown state.
    """
    engines: dict[Kind, Engine] = {kind: load(kind, options) for kind in warm}
    read = msgspec.msgpack.Decoder(Job).decode
    write_frame(answers, encode(Ready()))
    while (frame := read_frame(jobs)) is not None:
        job = read(frame)
        if job.kind not in engines and job.kind != "scene":
            engines[job.kind] = load(job.kind, options)
        try:
            look = scene(job) if job.kind == "scene" else engines[job.kind](job.image)
        except MemoryError:
            look = Unreadable(reason="too big for the memory limit")
        write_frame(answers, encode(look))


def main(arguments: list[str]) -> None:
    parent, memory_mb, face_engine, yunet, *warm = arguments
    options = Options(msgspec.convert(face_engine, FaceEngineName), Path(yunet) if yunet else None)
    answers = _private_stdout()
    _restrict(int(parent), int(memory_mb))
    serve(sys.stdin.buffer, answers, msgspec.convert(tuple(warm), tuple[Kind, ...]), options)


if __name__ == "__main__":
    main(sys.argv[1:])
