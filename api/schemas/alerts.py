"""Alerts, what is done about them, incidents and the load of the desk."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from api.schemas.base import Moment, Reason, Shape, Text, Utc
from devices.alerts import Condition, Disposition, Work
from devices.escalation import Level


class Words(Shape):
    zh: str = Field(examples=["门被强行打开"])
    en: str = Field(examples=["Door forced open"])


class Steps(Shape):
    zh: list[str] = Field(examples=[["查看该门监控", "两人一同到门口"]])
    en: list[str] = Field(examples=[["Look at the camera of the door", "Go to the door with a second guard"]])


class Acknowledged(Shape):
    at: Utc
    by: str = Field(description="Name of the token.")
    reason: str


class IdentifiedPerson(Shape):
    """Whom the alert is about; with the scope people:read only."""

    person: str = Field(examples=["res_4f0c2a9d1b7e3358"])
    name: str
    distance: float | None = Field(description="L2 distance of the face to the nearest template; lower is closer.")
    threshold: float | None = Field(description="The distance below which a face counts as identified.")
    photo: str = Field(description="Path of the enrolled photo.")


class AlertView(Shape):
    """An alert as it stands. Closed (not `open`) when it is cleared, acknowledged and has a disposition."""

    id: str
    key: str = Field(description="Its identity: at most one alert of a key is open.")
    type: str = Field(examples=["door_forced"])
    severity: int = Field(description="1 life or intrusion, 2 access blocked or hazard, 3 maintenance.", ge=1, le=3)
    title: Words
    steps: Steps = Field(description="What the guard does, one after the other; the same in both languages.")
    condition: Condition
    open: bool
    acknowledged: Acknowledged | None
    disposition: Disposition | None
    shelved_until: Utc | None
    suppressed_by: str | None = Field(description="Id of the alert that explains this one.")
    incident: str = Field(description="What it belongs to: the id of the alert that began it.")
    level: Level = Field(description="How far it has climbed while nobody owned it.")
    informed: list[str] = Field(description="Ids of the staff told last.")
    unowned_since: Utc | None = Field(description="null: somebody has acknowledged or claimed it.")
    chattering: bool = Field(description="It comes and goes; it is over only when it has been quiet for a while.")
    work: Work
    work_at: Utc | None = Field(description="When the work last moved.")
    assignee: str
    community: str
    grid: str
    building: str
    device: str
    device_name: str
    first_seen: Utc
    last_seen: Utc
    raised_at: Utc
    cleared_at: Utc | None
    count: int
    confidence: float
    evidence: str | None = Field(description="Path of the picture; needs the scope evidence:read; it expires.")
    six_zero: str = Field(examples=["零发案"])
    service: str = Field(examples=["security.door"])
    late: bool = Field(description="It was reported long after it happened.")
    test: bool
    detail: dict[str, Any] = Field(description="Small facts with their units in their names, nothing personal.")
    subject: str = Field(default="", description="Plate or person; present with the scope people:read only.")
    identified: IdentifiedPerson | None = Field(default=None, description="With the scope people:read only.")


class HistoryEntry(Shape):
    seq: int
    change: str = Field(description="raised, repeated, reopened, cleared, acknowledged, disposed, shelved, work, ...")
    actor: str
    reason: str
    at: Utc


class AlertDone(AlertView):
    changed: list[str] = Field(description="Which fields this changed; empty: it stood so already.")


class AlertWithHistory(AlertView):
    history: list[HistoryEntry]


class AlertPage(Shape):
    items: list[AlertView]
    next: str | None = Field(description="Give it as `before` (or as `after`, if you came with `after`) for more.")


class AlertChangeView(HistoryEntry):
    alert: AlertView
    hash: str = Field(
        description="SHA-256 over, joined by line feeds: the `hash` before it, `ledger`, `seq`, `at`, alert.id, "
        "`change`, alert.type, alert.severity, alert.condition, alert.work. A gap or a changed record breaks the chain."
    )
    ledger: str = Field(
        description="The last row of the ledger before it, ROW:HASH. Keep it: `verify-ledger --anchor` holds the "
        "ledger to it."
    )


class ChangePage(Shape):
    items: list[AlertChangeView]
    next: int = Field(description="Give it as `after` to go on; the same as you gave when there is nothing new.")
    forgotten: int = Field(
        description="Up to this number retention has dropped changes; everything after it is here. 0: nothing yet."
    )


class Acknowledge(Shape):
    reason: Reason


class Dispose(Shape):
    disposition: Disposition
    reason: Reason


class Shelve(Shape):
    until: Moment = Field(description="At most 8 hours from now.", examples=["2026-05-01T18:00:00Z"])
    reason: Reason


class WorkUpdate(Shape):
    work: Work
    assignee: Text = ""
    reason: Annotated[str, Field(max_length=500)] = ""
    if_work: Work | None = Field(
        default=None, description="Only if it stands so; else 409: somebody was faster. For what is done by itself."
    )
    step: Annotated[str, Field(max_length=64)] = Field(
        default="",
        description="Your own id of this step: told again, it changes nothing, even if more has happened since.",
    )
    operator: Annotated[str, Field(max_length=64)] = Field(
        default="", description="Who of yours did it; stands in the history behind the token's name."
    )


class IncidentView(Shape):
    """Open alerts that belong together."""

    id: str = Field(description="Of the alert that began it; alerts carry it as `incident`.")
    community: str
    severity: int = Field(ge=1, le=3, description="The gravest of its alerts.")
    alerts: int
    hidden: int = Field(description="How many of them are explained by another.")
    since: Utc
    latest: Utc


class IncidentList(Shape):
    items: list[IncidentView]


class Frequent(Shape):
    key: str
    asked: int


class Chatter(Shape):
    key: str
    cycles: int


class DeskLoadView(Shape):
    """After ISA-18.2: fewer than six alerts an hour are manageable, more than ten in ten minutes are a flood."""

    start: Utc
    end: Utc
    asked: int = Field(description="Alerts somebody had to look at: raised or reopened, not explained by another.")
    per_hour: float
    operator_hours: float = Field(description="Of the desk staff on duty; one operator where nobody is registered.")
    per_operator_hour: float | None = Field(description="null: nobody was on duty.")
    fullest_window: int
    window_s: float
    flood_share: float = Field(description="Part of the windows in which it was a flood.")
    flood_s: float = Field(description="How long it was a flood, s.")
    stale: int = Field(description="Active for more than a day, now; neither shelved nor explained by another.")
    most_frequent: list[Frequent] = Field(description="What somebody was asked to look at most often; ten at most.")
    chattering: list[Chatter] = Field(description="What came and went: how often within half an hour; ten at most.")
    severity_share: dict[str, float] = Field(description="By severity, fractions of `asked`.")
