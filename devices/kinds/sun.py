"""Where the sun is: sunrise and sunset of a place. Pure arithmetic, good to about two minutes.

Source: NOAA Global Monitoring Laboratory, "General Solar Position Calculations" (fractional year, equation of time,
declination, hour angle at a zenith of 90.833 degrees, which allows for refraction and the size of the disc).
"""

from __future__ import annotations

import math
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache

ZENITH_DEG = 90.833


def solar_day(at: datetime, lon: float) -> date:
    """The day at the place (from solar midnight to solar midnight) that `at` belongs to. `lon`: degrees east."""
    return (at.astimezone(UTC) + timedelta(hours=lon / 15)).date()


@lru_cache(maxsize=1024)
def daylight(day: date, lat: float, lon: float) -> tuple[datetime, datetime]:
    """Sunrise and sunset of a day, UTC. `lat`, `lon`: degrees north and east.

    Where the sun does not set, the whole solar day; where it does not rise, twice its noon.
    """
    year_days = 366 if day.year % 4 == 0 and (day.year % 100 != 0 or day.year % 400 == 0) else 365
    g = 2 * math.pi / year_days * (day.timetuple().tm_yday - 1)
    equation_min = 229.18 * (
        0.000075
        + 0.001868 * math.cos(g)
        - 0.032077 * math.sin(g)
        - 0.014615 * math.cos(2 * g)
        - 0.040849 * math.sin(2 * g)
    )
    declination = (
        0.006918
        - 0.399912 * math.cos(g)
        + 0.070257 * math.sin(g)
        - 0.006758 * math.cos(2 * g)
        + 0.000907 * math.sin(2 * g)
        - 0.002697 * math.cos(3 * g)
        + 0.00148 * math.sin(3 * g)
    )
    phi = math.radians(max(-89.9, min(89.9, lat)))
    cosine = math.cos(math.radians(ZENITH_DEG)) / (math.cos(phi) * math.cos(declination))
    cosine -= math.tan(phi) * math.tan(declination)
    half_day_min = 4 * math.degrees(math.acos(max(-1.0, min(1.0, cosine))))
    noon = datetime.combine(day, time(), UTC) + timedelta(minutes=720 - 4 * lon - equation_min)
    return noon - timedelta(minutes=half_day_min), noon + timedelta(minutes=half_day_min)
