"""LoRaWAN payloads, one file for each maker; `devices.protocols.lorawan` says which one a device speaks."""

from __future__ import annotations

from devices.codecs import bosch_parking, dragino, milesight, nas_luminaire
from devices.codecs.model import Codec, Uplink

CODECS: dict[str, Codec] = {
    codec.name: codec for codec in (nas_luminaire.CODEC, milesight.CODEC, dragino.CODEC, bosch_parking.CODEC)
}
"""Our codecs by name."""

__all__ = ["CODECS", "Codec", "Uplink"]
