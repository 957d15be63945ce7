"""What things speak: one dialect each, decode and encode, pure."""

from __future__ import annotations

from devices.model import Protocol
from devices.protocols import (
    chirpstack,
    claa,
    dahua,
    das,
    ebyte,
    frigate,
    hik_access,
    hik_anpr,
    hik_camera,
    home_assistant,
    homie,
    native,
    nbiot_cover,
    oem_face,
    onvif,
    shelly,
    sparkplug,
    tasmota,
    tb_gateway,
    ttn,
    vf,
    vzenith,
    vzenith_push,
    yld,
    zigbee2mqtt,
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
        sparkplug.PROTOCOL,
        homie.PROTOCOL,
        home_assistant.PROTOCOL,
        tb_gateway.PROTOCOL,
        chirpstack.PROTOCOL,
        ttn.PROTOCOL,
        zigbee2mqtt.PROTOCOL,
        tasmota.PROTOCOL,
        ebyte.PROTOCOL,
        nbiot_cover.PROTOCOL,
        frigate.PROTOCOL,
        onvif.PROTOCOL,
        shelly.PROTOCOL,
    )
}
"""Our protocols by name. The first whose topics fit takes a message, so those with the broadest topics stand last."""
