"""Alerts that belong together: one community, one cause, one stretch of time. Pure.

The first alert of a stretch names the incident; every further one within `TOGETHER` of the last joins it. What is
behind a root cause (`devices.suppression`) joins the root's incident whatever its own cause.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from msgspec import Struct

TOGETHER = timedelta(minutes=10)
"""So long after its last alert an incident takes another."""

Key = tuple[str, str]
"""Community and cause (`devices.alert_types.AlertType.cause`)."""


class Stretch(Struct, frozen=True):
    """The latest incident of a key, and when its last alert came."""

    incident: str
    last: datetime


def joined(latest: Stretch | None, alert: str, now: datetime) -> Stretch:
    """The incident that an alert of this id, raised now, belongs to."""
    if latest is not None and abs(now - latest.last) <= TOGETHER:
        return Stretch(latest.incident, max(now, latest.last))
    return Stretch(alert, now)
