"""What things speak: one dialect each, decode and encode, pure."""

from __future__ import annotations

from devices.model import Protocol
from devices.protocols import das, native, oem_face, vf, vzenith, yld

PROTOCOLS: dict[str, Protocol] = {
    protocol.name: protocol
    for protocol in (native.PROTOCOL, oem_face.PROTOCOL, vf.PROTOCOL, das.PROTOCOL, yld.PROTOCOL, vzenith.PROTOCOL)
}
"""Our protocols by name."""
