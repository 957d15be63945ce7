"""What things are: one pure state machine each."""

from __future__ import annotations

from typing import Any

from devices.registry import DeviceKind

KINDS: dict[str, DeviceKind[Any]] = {}
"""Our kinds by name."""
