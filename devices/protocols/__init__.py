"""What things speak: one dialect each, decode and encode, pure."""

from __future__ import annotations

from devices.model import Protocol
from devices.protocols import (
    claa,
    dahua,
    das,
    hik_access,
    hik_anpr,
    hik_camera,
    native,
    oem_face,
    vf,
    vzenith,
    vzenith_push,
    yld,
)

PROTOCOLS: dict[str, Protocol] = {
    protocol.name: protocol
    for protocol in (
        native.PROTOCOL,
        oem_face.PROTOCOL,
        vf.PROTOCOL,
        das.PROTOCOL,
        yld.PROTOCOL,
        vzenith.PROTOCOL,
        vzenith_push.PROTOCOL,
        hik_access.PROTOCOL,
        hik_anpr.PROTOCOL,
        hik_camera.PROTOCOL,
        dahua.PROTOCOL,
        claa.PROTOCOL,
    )
}
"""Our protocols by name."""
