"""What is wrong, in words, and what to do about it."""

from __future__ import annotations

import shutil
from typing import Any

from msgspec import Struct

LOW_DISK_BYTES = 512 * 1024 * 1024


class Health(Struct, frozen=True, kw_only=True):
    """`ok`: nothing is wrong. `problems`: one sentence each. `details`: figures."""

    ok: bool
    problems: list[str]
    details: dict[str, Any]


def disk_problems(path: str) -> list[str]:
    """Is there room left?"""
    free = shutil.disk_usage(path).free
    if free >= LOW_DISK_BYTES:
        return []
    return [f"only {free // 1024**2} MB are left on the disk of {path}; free some, or messages will soon be refused"]
