"""A sample of what `linli bench fuzz` does with 10,000 files; `LINLI_FUZZ=10000` makes it as many here."""

from __future__ import annotations

import os
from itertools import islice

import pytest

from benchmarks.fuzz import MEMORY_MB, mutants, run

FILES = int(os.environ.get("LINLI_FUZZ", "300"))


def test_the_same_seed_gives_the_same_files() -> None:
    assert list(islice(mutants(7), 50)) == list(islice(mutants(7), 50))
    assert list(islice(mutants(7), 5)) != list(islice(mutants(8), 5))


@pytest.mark.models
@pytest.mark.timeout(max(180, FILES // 5))
def test_every_spoilt_file_is_answered_and_no_worker_takes_more_memory_than_it_may() -> None:
    figures = run(FILES, seed=2026, workers=1, progress=lambda numbers: numbers)
    assert figures["ok"], figures
    assert (figures["answered"], figures["crashes"], figures["timeouts"], figures["starts"]) == (FILES, 0, 0, 1)
    assert 0 < figures["peak_mb"] <= MEMORY_MB
    assert figures["answers"]["unreadable"] > FILES // 10, "most of them are spoilt beyond reading"
    assert figures["answers"]["one_face"] > 0, "and some are not"
