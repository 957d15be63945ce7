"""Incidents, and what the desk is asked to bear."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Query

from api import schemas, views
from api.auth import AlertsRead
from api.facade import TheGateway
from gateway import deskload

router = APIRouter(prefix="/v1", tags=["alerts"])


@router.get("/incidents")
def list_incidents(
    gateway: TheGateway,
    _: AlertsRead,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
) -> schemas.IncidentList:
    """Open alerts that belong together (one community, one cause, one stretch of time), the latest first."""
    rows = gateway.store.reader.execute(
        "SELECT incident, count(*) AS alerts, min(severity) AS severity, sum(hidden) AS hidden, min(community) AS"
        " community, min(raised_at) AS since, max(raised_at) AS latest FROM alerts WHERE open = 1 AND incident <> ''"
        " GROUP BY incident ORDER BY latest DESC, incident LIMIT ?",
        (limit,),
    ).fetchall()
    return schemas.IncidentList(items=[views.incident_view(row) for row in rows])


@router.get("/desk-load")
def get_desk_load(
    gateway: TheGateway,
    _: AlertsRead,
    days: Annotated[float, Query(gt=0, le=366, description="Looking back so far.")] = 7,
    community: Annotated[str | None, Query(max_length=64)] = None,
) -> schemas.DeskLoadView:
    """What the desk was asked to look at, by the measures of ISA-18.2 (2016, clause 16)."""
    now = datetime.now(UTC)
    limits = gateway.settings.budget
    start, roster = now - timedelta(days=days), gateway.directory.roster
    found = deskload.measure(gateway.store, roster, start, now, community=community, limits=limits)
    return schemas.DeskLoadView(**found)
