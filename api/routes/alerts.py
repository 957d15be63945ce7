"""Alerts: the list, one with its history, the feed by cursor, and what people and backends do with them."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Response
from fastapi.concurrency import run_in_threadpool

from api import schemas, views
from api.auth import AlertsRead, AlertsWrite, Caller
from api.engine import ask
from api.errors import ApiError
from api.facade import Gateway, TheGateway
from api.stream import resumable
from api.tokens import OPERATOR
from gateway.actions import (
    AcknowledgeAlert,
    Action,
    DisposeAlert,
    NotFoundError,
    ShelveAlert,
    Transitioned,
    WorkOnAlert,
)
from gateway.kept import read_alert

router = APIRouter(prefix="/v1/alerts", tags=["alerts"])
Limit = Annotated[int, Query(ge=1, le=500, description="Page size.")]
Filter = Annotated[str | None, Query(max_length=64)]


@router.get("", response_model=schemas.AlertPage)
def list_alerts(
    gateway: TheGateway,
    caller: AlertsRead,
    *,
    limit: Limit = 100,
    after: Annotated[
        int | None, Query(ge=0, le=2**62, description="Alerts changed after this sequence number, in order.")
    ] = None,
    before: Annotated[str | None, Query(max_length=100, description="`next` of the page before.")] = None,
    open: Annotated[bool | None, Query(description="Only open, or only closed ones.")] = None,  # noqa: A002
    severity: Annotated[int | None, Query(ge=1, le=3)] = None,
    type: Filter = None,  # noqa: A002
    device: Filter = None,
    community: Filter = None,
    incident: Filter = None,
    hidden: Annotated[bool | None, Query(description="Only those explained by another, or only the others.")] = None,
) -> Response:
    """Newest first, page by page with `before`. With `after`: by their latest change, oldest first. For a feed without
    gaps take `/v1/alerts/changes`.
    """
    wanted: dict[str, Any] = {
        "open = ?": open,
        "severity = ?": severity,
        "type = ?": type,
        "device = ?": device,
        "community = ?": community,
        "incident = ?": incident,
        "hidden = ?": hidden,
    }
    order = "raised_at DESC, id DESC"
    if after is not None:
        wanted["seq > ?"], order = after, "seq"
    elif before is not None:
        wanted["(raised_at, id) < (?, ?)"] = _cursor(before)
    given = {term: value for term, value in wanted.items() if value is not None}
    values = [part for value in given.values() for part in (value if isinstance(value, tuple) else (value,))]
    where = f"WHERE {' AND '.join(given)}" if given else ""
    sql = f"SELECT id, key, raised_at, seq, body FROM alerts {where} ORDER BY {order} LIMIT ?"  # noqa: S608 - terms are ours
    rows = gateway.store.reader.execute(sql, (*values, limit + 1)).fetchall()
    more, rows = len(rows) > limit, rows[:limit]
    last = rows[-1] if rows else None
    cursor = None
    if last is not None and (more or after is not None):
        cursor = str(last["seq"]) if after is not None else f"{last['raised_at']}_{last['id']}"
    read = (read_alert(gateway.store, row["id"], row["key"], row["body"]) for row in rows)
    items = [views.alert_fields(alert, gateway, caller) for alert in read if alert is not None]
    return _json({"items": items, "next": cursor})


def _json(body: dict[str, Any]) -> Response:
    return Response(views.json_of(body), media_type="application/json")


def _cursor(before: str) -> tuple[int, str]:
    raised_at, _, alert = before.partition("_")
    digits = raised_at.removeprefix("-")
    if not (digits.isascii() and digits.isdigit()) or len(digits) > 18:
        raise ApiError(422, "before: not a cursor; give the `next` of the page before")
    return int(raised_at), alert


@router.get(
    "/changes",
    response_model=schemas.ChangePage,
    responses={
        409: {
            "description": "`after` is not here (yet), or not with this `hash`: the gateway was set back to a backup."
        },
        410: {"description": "What follows `after` was dropped by retention; `forgotten` says up to where."},
    },
)
def list_alert_changes(
    gateway: TheGateway,
    caller: AlertsRead,
    after: Annotated[int, Query(ge=0, le=2**62, description="`next` of the page before; 0: from the start.")] = 0,
    limit: Limit = 100,
    known: Annotated[
        str | None, Query(alias="hash", max_length=64, description="The `hash` you have of the change `after`.")
    ] = None,
) -> Response:
    """Every change of every alert in order, without a gap: for backends that pull. Each has a hash over the one before,
    so that whoever reads can prove it.
    """
    held = resumable(gateway, after, known or "")
    items = [views.change_fields(row, gateway, caller) for row in gateway.store.latest.after(after, limit)]
    return _json({"items": items, "next": items[-1]["seq"] if items else after, "forgotten": held.forgotten})


@router.get("/{alert_id}", response_model_exclude_unset=True)
def get_alert(alert_id: str, gateway: TheGateway, caller: AlertsRead) -> schemas.AlertWithHistory:
    """One alert with its whole history."""
    reader = gateway.store.reader
    row = reader.execute("SELECT key, body FROM alerts WHERE id = ?", (alert_id,)).fetchone()
    alert = read_alert(gateway.store, alert_id, row["key"], row["body"]) if row is not None else None
    if alert is None:
        raise NotFoundError(f"there is no alert {alert_id}")
    changes = reader.execute("SELECT * FROM alert_changes WHERE alert = ? ORDER BY seq", (alert_id,)).fetchall()
    fields = views.alert_fields(alert, gateway, caller)
    return schemas.AlertWithHistory(**fields, history=[views.history_entry(change, caller) for change in changes])


@router.post("/{alert_id}/acknowledge", response_model_exclude_unset=True)
async def acknowledge_alert(
    alert_id: str, body: schemas.Acknowledge, gateway: TheGateway, caller: AlertsWrite
) -> schemas.AlertDone:
    """Somebody has seen it. Again changes nothing; the first one stands."""
    return await _done(AcknowledgeAlert(by=caller.name, alert=alert_id, reason=body.reason), gateway, caller)


@router.post("/{alert_id}/dispose", response_model_exclude_unset=True)
async def dispose_alert(
    alert_id: str, body: schemas.Dispose, gateway: TheGateway, caller: AlertsWrite
) -> schemas.AlertDone:
    """Say what it was, and so close it. The same again changes nothing."""
    action = DisposeAlert(by=caller.name, alert=alert_id, disposition=body.disposition, reason=body.reason)
    return await _done(action, gateway, caller)


@router.post("/{alert_id}/shelve", response_model_exclude_unset=True)
async def shelve_alert(
    alert_id: str, body: schemas.Shelve, gateway: TheGateway, caller: AlertsWrite
) -> schemas.AlertDone:
    """Put it aside for a while; never a P1. Until the same time again changes nothing."""
    action = ShelveAlert(by=caller.name, alert=alert_id, until=body.until, reason=body.reason)
    return await _done(action, gateway, caller)


@router.post(
    "/{alert_id}/work",
    response_model_exclude_unset=True,
    responses={409: {"description": "Somebody was faster: `code` says how, `who` has it, `stands` says where it is."}},
)
async def report_work_on_alert(
    alert_id: str, body: schemas.WorkUpdate, gateway: TheGateway, caller: AlertsWrite
) -> schemas.AlertDone:
    """The backend tells where it stands. Idempotent; a step back is ignored. `changed` says what came of it."""
    given = body.model_dump(exclude={"operator"})
    by = f"{caller.name}{OPERATOR}{body.operator}" if body.operator else caller.name
    return await _done(WorkOnAlert(by=by, alert=alert_id, **given), gateway, caller)


async def _done(action: Action, gateway: Gateway, caller: Caller) -> schemas.AlertDone:
    done = await ask(gateway, action, Transitioned)
    fields = await run_in_threadpool(views.alert_fields, done.alert, gateway, caller)
    changed = ["acknowledged" if name == "acknowledged_at" else name for name in done.changed]
    return schemas.AlertDone(**fields, changed=changed)
