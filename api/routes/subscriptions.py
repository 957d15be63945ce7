"""Webhook subscriptions of backends, and what could not be delivered to them."""

from __future__ import annotations

import base64
import hmac
import json
import secrets
import sqlite3
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from fastapi import APIRouter, Response, status

from api import schemas
from api.auth import Caller, SubscriptionsWrite
from api.errors import ApiError
from api.facade import Gateway, TheGateway
from api.stream import newest
from devices.alert_types import ALERT_TYPES
from gateway.actions import NotFoundError
from gateway.store import us, when
from gateway.webhooks import secret_bytes

router = APIRouter(prefix="/v1/subscriptions", tags=["subscriptions"])


@router.get("")
def list_subscriptions(gateway: TheGateway, _: SubscriptionsWrite) -> schemas.SubscriptionList:
    """Every subscription, oldest first."""
    rows = gateway.store.reader.execute("SELECT * FROM subscriptions ORDER BY created_at, id")
    return schemas.SubscriptionList(items=[schemas.SubscriptionView(**_fields(row)) for row in rows])


@router.post(
    "",
    status_code=status.HTTP_201_CREATED,
    responses={200: {"model": schemas.SubscriptionCreated, "description": "It was there already."}},
)
def add_subscription(
    body: schemas.SubscriptionBody, gateway: TheGateway, caller: SubscriptionsWrite, response: Response
) -> schemas.SubscriptionCreated:
    """Deliver alerts to a backend from now on (or from the start). The secret is shown this once. Nobody can have more
    delivered than they may see themselves. With a `secret` of your own it can be asked again after an answer was lost.
    """
    _check(body)
    _may_see(body, caller)
    secret = body.secret or _new_secret()
    fields = {
        "types": json.dumps(body.types),
        "max_severity": body.max_severity,
        "communities": json.dumps(body.communities, ensure_ascii=False),
        "places": json.dumps(body.places, ensure_ascii=False),
        "clear_text": body.clear_text,
        "evidence_hours": body.evidence_hours,
    }
    subscription = f"sub_{secrets.token_hex(8)}"
    begin = 0 if body.from_start else newest(gateway)
    with gateway.store.write() as db:
        known = _known(gateway, body.url, body.secret) if body.secret else None
        if known is None:
            named = {
                "id": subscription,
                "url": body.url,
                "secret": gateway.vault.seal(secret.encode(), f"subscription:{subscription}"),
                "cursor": begin,
                "created_at": us(datetime.now(UTC)),
                "disabled": "",
            } | fields
            columns, marks = ", ".join(named), ", ".join("?" * len(named))
            db.execute(f"INSERT INTO subscriptions({columns}) VALUES({marks})", tuple(named.values()))
    if known is not None:
        response.status_code = status.HTTP_200_OK
        if other := [name for name, value in fields.items() if known[name] != value]:
            detail = (
                f"{known['id']} has this url and secret and other {', '.join(other)}; remove it, or change the secret"
            )
            raise ApiError(409, detail)
        return schemas.SubscriptionCreated(**_fields(known), secret=secret, changed=False)
    gateway.courier.wake()
    return schemas.SubscriptionCreated(**_fields(_row(subscription, gateway)), secret=secret, changed=True)


@router.post("/{subscription}/secret")
def rotate_secret(
    subscription: str, body: schemas.Rotation, gateway: TheGateway, _: SubscriptionsWrite
) -> schemas.Rotated:
    """Sign with a new secret, shown this once; and with the one before, too, until the overlap ends."""
    _check_secret(body.secret)
    secret = body.secret or _new_secret()
    until = datetime.now(UTC) + timedelta(hours=body.overlap_hours)
    with gateway.store.write() as db:
        row = _row(subscription, gateway)
        if body.secret and _opened(gateway, row) == body.secret:
            return schemas.Rotated(secret=secret, old_until=when(row["old_until"]), changed=False)
        sealed = gateway.vault.seal(secret.encode(), f"subscription:{subscription}")
        db.execute(
            "UPDATE subscriptions SET old_secret = secret, old_until = ?, secret = ? WHERE id = ?",
            (us(until), sealed, row["id"]),
        )
    gateway.courier.wake()
    return schemas.Rotated(secret=secret, old_until=until, changed=True)


@router.post("/{subscription}/resume")
def resume_subscription(subscription: str, gateway: TheGateway, _: SubscriptionsWrite) -> schemas.SubscriptionView:
    """Deliver again to a receiver that had answered 410 Gone, from where it had come to; nothing is left out."""
    _row(subscription, gateway)
    with gateway.store.write() as db:
        db.execute("UPDATE subscriptions SET disabled = '' WHERE id = ?", (subscription,))
    gateway.courier.wake()
    return schemas.SubscriptionView(**_fields(_row(subscription, gateway)))


@router.delete("/{subscription}")
def remove_subscription(subscription: str, gateway: TheGateway, _: SubscriptionsWrite) -> schemas.SubscriptionRemoved:
    """Deliver nothing more to it, and forget what could not be delivered. Again changes nothing."""
    with gateway.store.write() as db:
        removed = db.execute("DELETE FROM subscriptions WHERE id = ?", (subscription,)).rowcount == 1
        db.execute("DELETE FROM dead_letters WHERE subscription = ?", (subscription,))
    gateway.courier.wake()
    return schemas.SubscriptionRemoved(id=subscription, removed=removed)


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


def _known(gateway: Gateway, url: str, secret: str) -> sqlite3.Row | None:
    """The subscription of this url and secret."""
    rows = gateway.store.reader.execute("SELECT * FROM subscriptions WHERE url = ? ORDER BY created_at, id", (url,))
    return next((row for row in rows.fetchall() if hmac.compare_digest(_opened(gateway, row), secret)), None)


def _opened(gateway: Gateway, row: sqlite3.Row) -> str:
    return gateway.vault.open(row["secret"], f"subscription:{row['id']}").decode()


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
    _check_secret(body.secret)
    if unknown := [name for name in body.types if name not in ALERT_TYPES]:
        raise ApiError(422, f"types: there is no alert type {', '.join(unknown)}")


def _check_secret(secret: str | None) -> None:
    """Only one that standard verifiers take, and long enough not to be guessed."""
    if secret is None:
        return
    try:
        long_enough = 24 <= len(secret_bytes(secret)) <= 64
    except ValueError:
        long_enough = False
    if not long_enough:
        raise ApiError(422, "secret: whsec_ and base64 of 24 to 64 bytes")


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
