"""Values as the decoders of makers and network servers write them: numbers as text, on/off in several words."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Any

from devices.errors import DecodeError

MAX_TEXT = 128
"""Characters of a `devices.events.Name`."""
_FIRST, _END = 946_684_800, 4_102_444_800
"""2000 and 2100: a node whose clock was never set counts from 1970."""

_TRUE = frozenset(
    ("on", "yes", "true", "1", "open", "opened", "alarm", "trigger", "triggered", "tilt", "leak", "occupied", "high")
)
_FALSE = frozenset(
    ("off", "no", "false", "0", "close", "closed", "normal", "release", "idle", "vacant", "unoccupied", "low", "dry")
)


def numeric(value: Any) -> float | None:
    """A number, also where it is written as text ("299.9", "850 mm"); None where it is none."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    try:
        found = float(value.strip().partition(" ")[0] if isinstance(value, str) else value)
    except (ValueError, OverflowError):
        return None
    return found if math.isfinite(found) else None


def words(value: Any) -> str:
    """Text for people, shortened where it is too long; "" where it is no text."""
    return value.strip()[:MAX_TEXT] if isinstance(value, str) else ""


def recorded_at(value: Any) -> datetime:
    """When a stored record was made: seconds since 1970.

    :raises DecodeError: no node of ours can mean that time.
    """
    seconds = numeric(value)
    if seconds is None or not _FIRST <= seconds < _END:
        raise DecodeError("time out of range")
    return datetime.fromtimestamp(int(seconds), UTC)


def boolean(value: Any) -> bool | None:
    """A state in any of the usual words; None where it is not one."""
    if isinstance(value, bool):
        return value
    if isinstance(value, int | float):
        return bool(value) if value in (0, 1) else None
    word = value.strip().lower() if isinstance(value, str) else ""
    return True if word in _TRUE else False if word in _FALSE else None


def bits(value: int) -> list[bool]:
    """The eight bits of a byte, the lowest first."""
    return [bool(value >> n & 1) for n in range(8)]


def items(value: Any) -> list[dict[str, Any]]:
    """The objects of a list, or the one object that stands where a list is expected."""
    if isinstance(value, dict):
        return [value]
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []
