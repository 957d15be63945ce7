"""Where alerts are delivered, and what could not be."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from api.schemas.base import Shape, Utc

NewSecret = Annotated[str, Field(pattern="^whsec_[A-Za-z0-9+/]{32,88}={0,2}$", max_length=96)]


class SubscriptionBody(Shape):
    """Where alerts are delivered, as signed CloudEvents (Standard Webhooks)."""

    url: Annotated[str, Field(max_length=2000)] = Field(examples=["https://grid.example/linli"])
    types: Annotated[list[str], Field(max_length=100)] = Field(default=[], description="Alert types; empty: all.")
    max_severity: int = Field(default=3, ge=1, le=3, description="1: P1 only; 3: everything.")
    communities: Annotated[list[str], Field(max_length=1000)] = Field(default=[], description="Empty: all.")
    places: Annotated[list[str], Field(max_length=1000)] = Field(
        default=[], description="Buildings, grids, communities, sub-districts, districts; empty: all."
    )
    clear_text: bool = Field(
        default=False,
        description="The contract allows people and plates themselves instead of pseudonyms; needs people:read.",
    )
    evidence_hours: float = Field(
        default=0,
        ge=0,
        le=168,
        description="The contract allows pictures, by links good for so long; 0: none. Needs evidence:read.",
    )
    from_start: bool = Field(default=False, description="Deliver what is stored already, too.")

    secret: NewSecret | None = Field(
        default=None,
        description="Your own secret, 24 to 64 bytes. Write it down, then ask: the same url and secret again make no "
        "second subscription. Left out: one is made, and shown this once.",
    )


class SubscriptionView(Shape):
    id: str
    url: str
    types: list[str]
    max_severity: int
    communities: list[str]
    places: list[str]
    clear_text: bool
    evidence_hours: float
    cursor: int = Field(description="The last change it is done with.")
    created_at: Utc
    disabled: str = Field(description="Why nothing is delivered any more; empty: it is.")


class SubscriptionCreated(SubscriptionView):
    secret: str = Field(description="Shown this once: whsec_...", examples=["whsec_..."])
    changed: bool = Field(description="false: there was such a subscription already, and this is it.")


class SubscriptionRemoved(Shape):
    id: str
    removed: bool = Field(description="false: there was none, or it had been removed before.")


class Rotation(Shape):
    """How long the secret before stays good beside the new one."""

    overlap_hours: float = Field(default=24, ge=0.1, le=24 * 14)
    secret: NewSecret | None = Field(
        default=None,
        description="Your own new secret, 24 to 64 bytes: said again it changes nothing. Left out: one is made, and a "
        "repeated request makes another, in place of the one whose answer was lost.",
    )


class Rotated(Shape):
    secret: str = Field(description="Shown this once: whsec_...", examples=["whsec_..."])
    old_until: Utc = Field(description="Until then every delivery carries two signatures, one with each secret.")
    changed: bool = Field(description="false: it was the secret already.")


class SubscriptionList(Shape):
    items: list[SubscriptionView]


class DeadLetterView(Shape):
    seq: int
    change: int = Field(description="The change that could not be delivered.")
    at: Utc
    reason: str
    attempts: int


class DeadLetterList(Shape):
    items: list[DeadLetterView]


class Replayed(Shape):
    replayed: int
