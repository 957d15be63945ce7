"""What things speak: one dialect each, decode and encode, pure."""

from __future__ import annotations

from devices.model import Protocol
from devices.protocols import home_assistant, homie, native, oem_face, sparkplug, tb_gateway, vzenith

PROTOCOLS: dict[str, Protocol] = {
    protocol.name: protocol
    for protocol in (
        native.PROTOCOL,
        oem_face.PROTOCOL,
        vzenith.PROTOCOL,
        sparkplug.PROTOCOL,
        homie.PROTOCOL,
        home_assistant.PROTOCOL,
        tb_gateway.PROTOCOL,
    )
}
"""Our protocols by name."""
