"""Mutated JPEG, PNG and random files through the real pool: is every one answered, and no worker over its memory?

The pool's processes are the ones the gateway has: their limit on address space, their engines, their replacement.
Whatever a file is, the answer has to be a look or `Unreadable`; the parent decodes nothing.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from pathlib import Path
from random import Random
from typing import Any

import cv2
import numpy as np

from simulators.face_drawing import draw_face
from simulators.plate_drawing import draw_car
from vision.pool import Pool
from vision.types import Kind, Look, outcome

MEMORY_MB = 1500
IN_FLIGHT = 32
DEADLINE_S = 60.0
KINDS: tuple[Kind, ...] = ("face", "plate", "enrol")


def run(files: int, *, seed: int, workers: int, progress: Callable[[Iterable[int]], Iterable[int]]) -> dict[str, Any]:
    """`files` mutated files by `seed`. `answered` has to be `files`, `peak_mb` (address space) at most `memory_mb`."""
    started, answers, peak = time.perf_counter(), Counter[str](), 0.0
    with Pool(workers, memory_mb=MEMORY_MB, warm=KINDS) as pool:
        waiting: deque[Future[Look]] = deque()
        for n, data in zip(progress(range(files)), mutants(seed), strict=False):
            waiting.append(pool.submit(KINDS[n % len(KINDS)], data, deadline_s=DEADLINE_S))
            if len(waiting) >= IN_FLIGHT:
                answers[outcome(waiting.popleft().result())] += 1
                peak = max([peak, *map(_peak_mb, pool.pids())])
        answers.update(outcome(future.result()) for future in waiting)
        peak = max([peak, *map(_peak_mb, pool.pids())])
        stats = pool.stats()
    answered = sum(answers.values())
    return {
        "name": "fuzz",
        "files": files,
        "answered": answered,
        "answers": dict(answers.most_common()),
        "crashes": stats.crashes,
        "timeouts": stats.timeouts,
        "starts": stats.starts,
        "memory_mb": MEMORY_MB,
        "peak_mb": round(peak),
        "seconds": round(time.perf_counter() - started, 1),
        "ratio": answered / files,
        "ok": answered == files and peak <= MEMORY_MB,
    }


def _peak_mb(pid: int) -> float:
    """The most address space a worker ever had; 0 when it has just gone."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    kilobytes = next((line.split()[1] for line in status.splitlines() if line.startswith("VmPeak")), "0")
    return int(kilobytes) / 1024


def _seeds() -> list[bytes]:
    """Good pictures to spoil: faces and a car, as JPEG, progressive JPEG and PNG, grey and with alpha."""
    found = [draw_face(343), draw_face(81, side=160), draw_car("京A12345", seed=1)]
    for image in list(found):
        picture = cv2.imdecode(np.frombuffer(image, np.uint8), cv2.IMREAD_COLOR)
        if picture is None:
            raise AssertionError("we drew it ourselves")
        small = cv2.resize(picture, None, fx=0.5, fy=0.5)
        variants: tuple[tuple[str, Any, list[int]], ...] = (
            (".jpg", small, [cv2.IMWRITE_JPEG_PROGRESSIVE, 1]),
            (".png", small, []),
            (".png", cv2.cvtColor(small, cv2.COLOR_BGR2BGRA), []),
            (".jpg", cv2.cvtColor(small, cv2.COLOR_BGR2GRAY), []),
        )
        found += [cv2.imencode(suffix, pixels, options)[1].tobytes() for suffix, pixels, options in variants]
    return found


def mutants(seed: int) -> Iterator[bytes]:
    """Without end, the same for the same seed."""
    random, seeds = Random(seed), _seeds()
    ways: tuple[Callable[[bytearray, Random], bytes], ...] = (_flipped, _cut, _spliced, _claiming, _repeated, _random)
    while True:
        yield random.choice(ways)(bytearray(random.choice(seeds)), random)


def _flipped(data: bytearray, random: Random) -> bytes:
    for _ in range(random.choice((1, 4, 64, 1024))):
        data[random.randrange(len(data))] = random.randrange(256)
    return bytes(data)


def _cut(data: bytearray, random: Random) -> bytes:
    return bytes(data[: random.randrange(len(data))])


def _spliced(data: bytearray, random: Random) -> bytes:
    at, size = random.randrange(len(data)), random.randrange(4096)
    data[at : at + random.randrange(size + 1)] = random.randbytes(size)
    return bytes(data)


def _claiming(data: bytearray, random: Random) -> bytes:
    """Says in its header that it is of another size."""
    high, wide = random.choice((0, 1, 7, 5000, 30_000, 65_535)), random.choice((0, 1, 9, 5000, 30_000, 65_535))
    if data.startswith(b"\x89PNG"):
        data[16:24] = wide.to_bytes(4) + high.to_bytes(4)
    for marker in (b"\xff\xc0", b"\xff\xc2"):
        at = data.find(marker)
        if at > 0:
            data[at + 5 : at + 9] = high.to_bytes(2) + wide.to_bytes(2)
    return bytes(data)


def _repeated(data: bytearray, random: Random) -> bytes:
    """A piece of it again and again."""
    at, size = random.randrange(len(data)), random.randrange(1, 2048)
    return bytes(data[:at] + data[at : at + size] * random.randrange(2, 200) + data[at:])


def _random(_: bytearray, random: Random) -> bytes:
    magic = random.choice((b"", b"\xff\xd8\xff", b"\xff\xd8\xff\xe0\x00\x10JFIF\x00", b"\x89PNG\r\n\x1a\n"))
    return magic + random.randbytes(random.randrange(20_000))
