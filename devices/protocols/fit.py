"""What a neutral reading means for the kind of device it is registered as: a distance under a cover is its water.

Whoever decodes a message of a sensor cannot know what the installer screwed it to; the registration does.
"""

from __future__ import annotations

from msgspec.structs import replace

from devices.events import (
    BayChanged,
    CoverMoved,
    DoorChanged,
    Event,
    Hazard,
    HazardDetected,
    LampMeasured,
    SensorMeasured,
    VendorNotice,
    WaterMeasured,
)
from devices.model import Decoded, Device, Reading

_MM_PER_CM = 10


def fitted(decoded: Decoded, device: Device) -> Decoded:
    """The same message with each reading as the device's kind understands it. An order of nothing: `interpret` of the
    protocols that carry sensors of any make.
    """
    readings = tuple(replace(reading, event=_fit(reading.event, device)) for reading in decoded.readings)
    return replace(decoded, readings=readings)


def fit_all(readings: tuple[Reading, ...], device: Device) -> tuple[Reading, ...]:
    """The same for readings on their own."""
    return tuple(replace(reading, event=_fit(reading.event, device)) for reading in readings)


def _fit(event: Event, device: Device) -> Event:  # noqa: PLR0911 - one table
    match device.kind, event:
        case "cover", SensorMeasured(metric="distance_mm", value=millimetres, at=at):
            return WaterMeasured(at=at, below_cover_cm=millimetres / _MM_PER_CM)
        case "cover", SensorMeasured(metric="tilted", value=tilted, at=at):
            return CoverMoved(at=at, open=tilted > 0)
        case "cover", SensorMeasured(metric="tilt_deg", value=degrees, at=at):
            return CoverMoved(at=at, open=False, tilt_deg=degrees) if degrees < _FLIPPED_DEG else _flipped(event)
        case "cover", DoorChanged(open=is_open, at=at):
            return CoverMoved(at=at, open=is_open)
        case "bay", SensorMeasured(metric="occupancy", value=taken, at=at):
            return BayChanged(at=at, occupied=taken > 0)
        case "light", SensorMeasured(metric="illuminance_lx", value=lux, at=at):
            return LampMeasured(at=at, illuminance_lx=lux)
        case _, VendorNotice(name="button", at=at) if device.options.get("button") == "sos":
            return HazardDetected(at=at, hazard=Hazard.SOS)
    return event


_FLIPPED_DEG = 45
"""A cover that stands this steep is open, whatever its sensor calls it."""


def _flipped(event: SensorMeasured) -> Event:
    return CoverMoved(at=event.at, open=True, tilt_deg=event.value)
