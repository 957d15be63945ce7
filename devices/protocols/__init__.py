"""What things speak: one dialect each, decode and encode, pure."""

from __future__ import annotations

from devices.model import Protocol
from devices.protocols import native, oem_face, vzenith

PROTOCOLS: dict[str, Protocol] = {
    protocol.name: protocol for protocol in (native.PROTOCOL, oem_face.PROTOCOL, vzenith.PROTOCOL)
}
"""Our protocols by name."""
