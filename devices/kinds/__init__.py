"""What things are: one pure state machine each."""

from __future__ import annotations

from typing import Any

from devices.model import DeviceKind

KINDS: dict[str, DeviceKind[Any]] = {}
"""Our kinds by name."""
