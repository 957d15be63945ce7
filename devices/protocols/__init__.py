"""What things speak: one dialect each, decode and encode, pure."""

from __future__ import annotations

from devices.model import Protocol
from devices.protocols import (
    claa,
    dahua,
    hik_access,
    hik_anpr,
    hik_camera,
    home_assistant,
    homie,
    native,
    oem_face,
    sparkplug,
    tb_gateway,
    vzenith,
    vzenith_push,
)

PROTOCOLS: dict[str, Protocol] = {
    protocol.name: protocol
    for protocol in (
        native.PROTOCOL,
        oem_face.PROTOCOL,
        vzenith.PROTOCOL,
        vzenith_push.PROTOCOL,
        hik_access.PROTOCOL,
        hik_anpr.PROTOCOL,
        hik_camera.PROTOCOL,
        dahua.PROTOCOL,
        claa.PROTOCOL,
        sparkplug.PROTOCOL,
        homie.PROTOCOL,
        home_assistant.PROTOCOL,
        tb_gateway.PROTOCOL,
    )
}
"""Our protocols by name."""
