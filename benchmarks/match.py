"""One face against a crowd: how much of the speed of memory the search reaches.

Whoever compares one vector with all must read all of them. The limit is therefore what one core reads from memory: the
best of three plain passes over an array that no cache holds, measured between the searches. Above 200,000 templates
the gallery reads half-precision copies, so that its own bytes are counted at half; what it answers is exact in both
cases.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from statistics import median
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from benchmarks.ground import say
from vision.gallery import Gallery
from vision.index import EXACT_ROWS
from vision.types import EMBEDDING_SIZE, Identified

SPREAD = 0.12
"""Standard deviation of each number: crowds about 1.9 apart, norms of 1.36 as dlib's have."""
NEAR = 0.01
LARGE = 512 * 1024 * 1024
"""Bytes of the array whose reading is timed."""


def _timed(work: Callable[[], object]) -> tuple[object, float]:
    started = time.perf_counter()
    found = work()
    return found, time.perf_counter() - started


def _seconds(work: Callable[[], object]) -> float:
    return _timed(work)[1]


def _crowd(size: int) -> NDArray[np.float32]:
    return np.random.default_rng(size).normal(0, SPREAD, (size, EMBEDDING_SIZE)).astype(np.float32)


def _measure(size: int, rounds: int) -> dict[str, Any]:
    crowd = _crowd(size)
    gallery = Gallery()
    loaded = _seconds(lambda: gallery.load((f"person-{i}", "1", row.tobytes()) for i, row in enumerate(crowd)))
    numbers = np.ones(LARGE // 4, np.float32)  # too large for any cache
    flat = faiss.IndexFlatL2(EMBEDDING_SIZE)
    flat.add(crowd)
    faiss.omp_set_num_threads(1)
    ours, reads, plain = [], [], []
    for i in range(rounds):
        probe = crowd[i * 7] + np.float32(NEAR)
        match, took = _timed(partial(gallery.identify, probe))
        if not isinstance(match, Identified) or match.person != f"person-{i * 7}":
            raise AssertionError(f"the search gave {match}")
        ours.append(took)
        plain.append(_timed(partial(flat.search, probe[None], 1))[1])
        reads.append(min(_seconds(numbers.sum), _seconds(numbers.max), _seconds(lambda: np.dot(numbers, numbers))))
    read = crowd.nbytes * (0.5 if size > EXACT_ROWS else 1.0)
    memory = numbers.nbytes / median(reads)
    say(f"{size} templates: {median(ours) * 1000:.2f} ms, memory {memory / 1e9:.1f} GB/s")
    return {
        "templates": size,
        "load_s": round(loaded, 2),
        "ms_p50": round(median(ours) * 1000, 3),
        "faiss_flat_ms_p50": round(median(plain) * 1000, 3),
        "gb_per_s": round(read / median(ours) / 1e9, 2),
        "memory_gb_per_s": round(memory / 1e9, 2),
        "share": round(read / median(ours) / memory, 3),
    }


def run(sizes: tuple[int, ...] = (100_000, 1_000_000), *, rounds: int = 25) -> dict[str, Any]:
    """`ratio`: the smallest share of the memory's speed, over the sizes."""
    measured = [_measure(size, rounds) for size in sizes]
    return {"name": "match", "sizes": measured, "ratio": min(one["share"] for one in measured)}
