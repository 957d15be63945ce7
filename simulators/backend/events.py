"""What the gateway delivers, checked: the signature after Standard Webhooks, then the CloudEvent."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Struct
from standardwebhooks.webhooks import Webhook, WebhookVerificationError


class Cloud(Struct, frozen=True, kw_only=True):
    """The CloudEvents 1.0 attributes that must be there (JSON format). `sequence`: the number of the change."""

    specversion: str
    id: str
    source: str
    type: str
    subject: str = ""
    time: str = ""
    sequence: str = ""
    data: dict[str, Any] = {}

    @property
    def seq(self) -> int:
        """The number of the change in the feed; 0 where it has none."""
        return (
            int(self.sequence)
            if self.sequence.isascii() and self.sequence.isdecimal() and len(self.sequence) < 18
            else 0
        )


class Kept(Struct, frozen=True, kw_only=True):
    """One accepted delivery as it is kept. `event`: the CloudEvent's id, `alert`: the alert's."""

    webhook_id: str
    received_at: float
    event: str
    type: str
    alert: str


class DeliveryError(ValueError):
    """A delivery is not taken. `status`: the HTTP status it is answered with; `what`: how it is counted."""

    def __init__(self, status: int, what: str) -> None:
        super().__init__(what)
        self.status, self.what = status, what


def read(secrets: Sequence[str], headers: Mapping[str, str], body: bytes) -> Cloud:
    """A delivery signed with one of `secrets`, as a CloudEvent.

    :raises DeliveryError: 401 it is not signed by them, 422 it is not a CloudEvent 1.0.
    """
    if not any(_signed(secret, headers, body) for secret in secrets):
        raise DeliveryError(401, "bad_signatures")
    try:
        cloud = msgspec.json.decode(body, type=Cloud)
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise DeliveryError(422, "not_cloudevents") from error
    if cloud.specversion != "1.0":
        raise DeliveryError(422, "not_cloudevents")
    return cloud


def check_secret(secret: str) -> None:
    """Can anything be verified with it?

    :raises ValueError: it is not whsec_ and base64 of at least 24 bytes.
    """
    try:
        key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except binascii.Error as error:
        raise ValueError("a secret is whsec_ and base64") from error
    if not secret.startswith("whsec_") or len(key) < 24:
        raise ValueError("a secret is whsec_ and base64 of at least 24 bytes")


def _signed(secret: str, headers: Mapping[str, str], body: bytes) -> bool:
    """The library answers what is no signature at all (no comma, no base64, no UTF-8) with a ValueError."""
    try:
        Webhook(secret).verify(body, dict(headers), json_parse=False)
    except (WebhookVerificationError, ValueError):
        return False
    return True
