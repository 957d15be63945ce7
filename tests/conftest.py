"""What holds for every test."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile(
    "no timing",
    settings(),
    deadline=None,
    suppress_health_check=[*settings().suppress_health_check, HealthCheck.too_slow],
)
settings.load_profile("no timing")


def _open_databases() -> set[str]:
    found = set()
    for descriptor in Path("/proc/self/fd").iterdir():
        try:
            found.add(str(descriptor.readlink()))
        except FileNotFoundError:  # the descriptor of this very listing
            continue
    return {path for path in found if path.endswith(".db")}


@pytest.fixture(scope="module", autouse=True)
def databases_are_closed() -> Iterator[None]:
    """A test closes what it opens: paho takes no descriptor above 1023, so leaks break tests that come much later."""
    before = _open_databases()
    yield
    if _open_databases() - before:
        gc.collect()
    assert not (left := _open_databases() - before), f"not closed: {sorted(left)}"
