"""A parking bay with a sensor in the ground."""

from __future__ import annotations

from datetime import datetime

from devices.events import BayChanged
from simulators.device import Later, Voice
from simulators.estate import Happening, What


def tell(voice: Voice, happening: Happening, now: datetime) -> list[Later]:
    """What the sensor says of a car that comes or goes."""
    if happening.what not in (What.BAY_TAKEN, What.BAY_LEFT):
        return []
    return [voice.event(BayChanged, now, occupied=happening.what is What.BAY_TAKEN)]
