"""Webhook subscriptions of backends, and what could not be delivered to them."""

from __future__ import annotations

import base64
import json
import secrets
import sqlite3
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from fastapi import APIRouter, status

from api import schemas
from api.auth import Caller, SubscriptionsWrite
from api.errors import ApiError
from api.facade import Gateway, TheGateway
from api.stream import newest
from devices.alert_types import ALERT_TYPES
from gateway.actions import NotFoundError
from gateway.store import us, when

router = APIRouter(prefix="/v1/subscriptions", tags=["subscriptions"])


@router.get("")
def list_subscriptions(gateway: TheGateway, _: SubscriptionsWrite) -> schemas.SubscriptionList:
    """Every subscription, oldest first."""
    rows = gateway.store.reader.execute("SELECT * FROM subscriptions ORDER BY created_at, id")
    return schemas.SubscriptionList(items=[schemas.SubscriptionView(**_fields(row)) for row in rows])


@router.post("", status_code=status.HTTP_201_CREATED)
def add_subscription(
    body: schemas.SubscriptionBody, gateway: TheGateway, caller: SubscriptionsWrite
) -> schemas.SubscriptionCreated:
    """Deliver alerts to a backend from now on (or from the start). The secret is shown this once. Nobody can have more
    delivered than they may see themselves.
    """
    _check(body)
    _may_see(body, caller)
    subscription = f"sub_{secrets.token_hex(8)}"
    secret = _new_secret()
    sealed = gateway.vault.seal(secret.encode(), f"subscription:{subscription}")
    with gateway.store.write() as db:
        db.execute(
            "INSERT INTO subscriptions(id, url, secret, types, max_severity, communities, places,"
            " clear_text, evidence_hours, cursor, created_at, disabled) VALUES(?,?,?,?,?,?,?,?,?,?,?,'')",
            (
                subscription,
                body.url,
                sealed,
                json.dumps(body.types),
                body.max_severity,
                json.dumps(body.communities, ensure_ascii=False),
                json.dumps(body.places, ensure_ascii=False),
                body.clear_text,
                body.evidence_hours,
                0 if body.from_start else newest(gateway),
                us(datetime.now(UTC)),
            ),
        )
    gateway.courier.wake()
    return schemas.SubscriptionCreated(**_fields(_row(subscription, gateway)), secret=secret)


@router.post("/{subscription}/secret")
def rotate_secret(
    subscription: str, body: schemas.Rotation, gateway: TheGateway, _: SubscriptionsWrite
) -> schemas.Rotated:
    """Sign with a new secret, shown this once; and with the one before, too, until the overlap ends."""
    row, secret = _row(subscription, gateway), _new_secret()
    until = datetime.now(UTC) + timedelta(hours=body.overlap_hours)
    sealed = gateway.vault.seal(secret.encode(), f"subscription:{subscription}")
    with gateway.store.write() as db:
        db.execute(
            "UPDATE subscriptions SET old_secret = secret, old_until = ?, secret = ? WHERE id = ?",
            (us(until), sealed, row["id"]),
        )
    gateway.courier.wake()
    return schemas.Rotated(secret=secret, old_until=until)


@router.post("/{subscription}/resume")
def resume_subscription(subscription: str, gateway: TheGateway, _: SubscriptionsWrite) -> schemas.SubscriptionView:
    """Deliver again to a receiver that had answered 410 Gone, from where it had come to; nothing is left out."""
    _row(subscription, gateway)
    with gateway.store.write() as db:
        db.execute("UPDATE subscriptions SET disabled = '' WHERE id = ?", (subscription,))
    gateway.courier.wake()
    return schemas.SubscriptionView(**_fields(_row(subscription, gateway)))


@router.delete("/{subscription}", status_code=status.HTTP_204_NO_CONTENT)
def remove_subscription(subscription: str, gateway: TheGateway, _: SubscriptionsWrite) -> None:
    """Deliver nothing more to it, and forget what could not be delivered."""
    with gateway.store.write() as db:
        if db.execute("DELETE FROM subscriptions WHERE id = ?", (subscription,)).rowcount == 0:
            raise NotFoundError(f"there is no subscription {subscription}")
        db.execute("DELETE FROM dead_letters WHERE subscription = ?", (subscription,))
    gateway.courier.wake()


@router.get("/{subscription}/dead-letters")
def list_dead_letters(subscription: str, gateway: TheGateway, _: SubscriptionsWrite) -> schemas.DeadLetterList:
    """What could not be delivered, oldest first; at most 1000."""
    _row(subscription, gateway)
    rows = gateway.store.reader.execute(
        "SELECT * FROM dead_letters WHERE subscription = ? ORDER BY seq LIMIT 1000", (subscription,)
    )
    return schemas.DeadLetterList(
        items=[
            schemas.DeadLetterView(
                seq=row["seq"],
                change=row["change"],
                at=when(row["at"]),
                reason=row["reason"],
                attempts=row["attempts"],
            )
            for row in rows
        ]
    )


@router.post("/{subscription}/dead-letters/replay", status_code=status.HTTP_202_ACCEPTED)
def replay_dead_letters(subscription: str, gateway: TheGateway, _: SubscriptionsWrite) -> schemas.Replayed:
    """Try to deliver every dead letter again."""
    _row(subscription, gateway)
    return schemas.Replayed(replayed=gateway.courier.replay(subscription))


def _new_secret() -> str:
    return "whsec_" + base64.b64encode(secrets.token_bytes(24)).decode()


def _check(body: schemas.SubscriptionBody) -> None:
    try:
        parts = urlsplit(body.url)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        good = False
    if not good or parts.username is not None or parts.fragment:
        raise ApiError(422, "url: http or https, with a host, without a user name or a fragment")
    if unknown := [name for name in body.types if name not in ALERT_TYPES]:
        raise ApiError(422, f"types: there is no alert type {', '.join(unknown)}")


def _may_see(body: schemas.SubscriptionBody, caller: Caller) -> None:
    wanted = {"people:read": body.clear_text, "evidence:read": body.evidence_hours > 0}
    if missing := [scope for scope, asked in wanted.items() if asked and not caller.may(scope)]:
        raise ApiError(403, f"the token lacks the scope {' '.join(missing)}", more={"missing_scopes": missing})


def _row(subscription: str, gateway: Gateway) -> sqlite3.Row:
    row: sqlite3.Row | None = gateway.store.reader.execute(
        "SELECT * FROM subscriptions WHERE id = ?", (subscription,)
    ).fetchone()
    if row is None:
        raise NotFoundError(f"there is no subscription {subscription}")
    return row


def _fields(row: sqlite3.Row) -> dict[str, Any]:
    return {name: row[name] for name in ("id", "url", "max_severity", "cursor", "disabled")} | {
        "types": json.loads(row["types"]),
        "communities": json.loads(row["communities"]),
        "places": json.loads(row["places"]),
        "clear_text": bool(row["clear_text"]),
        "evidence_hours": row["evidence_hours"],
        "created_at": when(row["created_at"]),
    }
