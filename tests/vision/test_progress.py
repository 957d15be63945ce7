"""A bar that is left in the middle must not hang the process that collects it."""

from __future__ import annotations

import threading
from pathlib import Path

from vision.commands import with_progress


def test_a_bar_has_no_thread_of_its_own() -> None:
    before = threading.active_count()
    bar = iter(with_progress([(Path("a.jpg"), "x"), (Path("b.jpg"), "y")]))
    assert next(bar) == (Path("a.jpg"), "x")
    assert threading.active_count() == before
