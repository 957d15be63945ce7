"""What things speak: one dialect each, decode and encode, pure."""

from __future__ import annotations

from devices.model import Protocol
from devices.protocols import (
    chirpstack,
    ebyte,
    frigate,
    native,
    nbiot_cover,
    oem_face,
    onvif,
    shelly,
    tasmota,
    ttn,
    vzenith,
    zigbee2mqtt,
)

PROTOCOLS: dict[str, Protocol] = {
    protocol.name: protocol
    for protocol in (
        native.PROTOCOL,
        oem_face.PROTOCOL,
        vzenith.PROTOCOL,
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
