"""What the shapes of the API share, and how an error and the gateway itself look."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

Reason = Annotated[str, Field(min_length=1, max_length=500, description="Why, in words: it stands in the record.")]
Text = Annotated[str, Field(max_length=128)]
Id = Annotated[str, Field(max_length=64)]
Utc = Annotated[datetime, Field(description="UTC")]
Moment = Annotated[AwareDatetime, Field(ge=datetime(1900, 1, 1, tzinfo=UTC), lt=datetime(9000, 1, 1, tzinfo=UTC))]
"""A time somebody gives us: far enough from where a clock ends that it can be reckoned with in every zone."""


class Shape(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Problem(BaseModel):
    """What went wrong (RFC 9457). Some refusals add members of their own: `errors` of wrong fields, `missing_scopes`,
    `who` and `stands` of an alert that does not allow it, `newest` and `forgotten` of the feed, `state` of a revision.
    """

    type: str = Field(examples=["about:blank"])
    title: str = Field(examples=["Forbidden"])
    status: int = Field(examples=[403])
    detail: str = Field(description="In words.", examples=["the token lacks the scope commands:write"])
    instance: str = Field(examples=["/v1/devices/gate-3/commands"])
    code: str = Field(
        description="For programs: the status in words, or why an alert does not allow it: claimed_already, "
        "stands_elsewhere, reason_missing, still_active, never_p1, shelved_too_long, closed.",
        examples=["forbidden", "claimed_already"],
    )


class Me(Shape):
    name: str
    scopes: list[str]


class HealthView(Shape):
    ok: bool
    problems: list[str] = Field(description="What is wrong and what to do.")
