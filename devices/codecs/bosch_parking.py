"""Bosch parking lot sensors (TPS110), fPorts 1 (status), 2 (heartbeat) and 3 (start).

Source: the public decoder simonarnell/bosch-parking-lot-sensor-decoder. Status and heartbeat are one byte (bit 0:
occupied) and, in newer firmware, the temperature as a signed byte in degrees. The start is 12 bytes for debugging,
three of firmware, one for the reason of the reset and one for the bay.
"""

from __future__ import annotations

from typing import Any

from devices.codecs.fields import boolean, numeric, words
from devices.codecs.model import Codec, Uplink
from devices.effects import Command
from devices.errors import DecodeError, UnsupportedCommandError
from devices.events import BayChanged, DeviceStatusChanged, Event, SensorMeasured
from devices.model import Device, Reading

_STARTUP_LENGTH = 17


def decode(uplink: Uplink) -> tuple[Reading, ...]:
    """A status, a heartbeat (which repeats the status) or a start."""
    found = _object(uplink)
    events: list[Event] = []
    if "firmware_version" in found:
        version = words(found["firmware_version"])
        events.append(DeviceStatusChanged(at=uplink.at, online=True, firmware=version))
    if (occupied := boolean(found.get("occupied"))) is not None:
        events.append(BayChanged(at=uplink.at, occupied=occupied))
    if (degrees := numeric(found.get("temperature"))) is not None:
        events.append(SensorMeasured(at=uplink.at, metric="temperature_c", value=degrees))
    return uplink.says(*events)


def _object(uplink: Uplink) -> dict[str, Any]:
    data = uplink.data
    if not data:
        return uplink.decoded if isinstance(uplink.decoded, dict) else {}
    match uplink.f_port:
        case 1 | 2:
            found: dict[str, Any] = {"occupied": data[0] & 1 == 1}
            if len(data) > 1:
                found["temperature"] = int.from_bytes(data[1:2], signed=True)
            return found
        case 3 if len(data) >= _STARTUP_LENGTH:
            return {"firmware_version": ".".join(map(str, data[12:15])), "occupied": data[16] & 1 == 1}
    raise DecodeError("no packet of a parking sensor")


def encode(command: Command, device: Device) -> tuple[int, bytes]:
    """It takes no commands.

    :raises UnsupportedCommandError: always.
    """
    del device
    raise UnsupportedCommandError(f"a parking sensor has no message for {type(command).__name__}")


CODEC = Codec(name="bosch_parking", decode=decode, encode=encode)
