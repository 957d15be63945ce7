"""A manhole cover with tilt, water level and battery."""

from __future__ import annotations

from datetime import datetime

from devices.events import BatteryMeasured, CoverMoved, WaterMeasured
from simulators.device import Later, Voice
from simulators.estate import Happening, What


def tell(voice: Voice, happening: Happening, now: datetime) -> list[Later]:
    """What the sensor says of a happening. The water stands 60-159 cm below the cover."""
    match happening.what:
        case What.COVER_OPENED:
            return [voice.event(CoverMoved, now, open=True, tilt_deg=62.0)]
        case What.COVER_SHUT:
            return [voice.event(CoverMoved, now, open=False, tilt_deg=0.5)]
        case What.WATER_READ:
            water = voice.event(WaterMeasured, now, below_cover_cm=60.0 + happening.number)
            return [water, voice.event(BatteryMeasured, now, level_pct=88.0)]
        case _:
            return []
