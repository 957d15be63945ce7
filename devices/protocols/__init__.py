"""What things speak: one dialect each, decode and encode, pure."""

from __future__ import annotations

from devices.model import Protocol

PROTOCOLS: dict[str, Protocol] = {}
"""Our protocols by name."""
