"""Every type of alert: how grave it is, what it is called, what the guard is to do, where it is filed. The table itself
is `alert_types.toml` beside this file, read once at import.
"""

from __future__ import annotations

import tomllib
from enum import IntEnum
from importlib.resources import files
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

Steps = Annotated[tuple[Annotated[str, Meta(min_length=2, max_length=120)], ...], Meta(min_length=2, max_length=5)]


Route = Annotated[tuple[Literal["desk", "grid_worker", "community", "sub_district"], ...], Meta(min_length=1)]
"""Values of `devices.escalation.Level`."""


class Severity(IntEnum):
    """P1 life or intrusion, P2 access blocked or hazard, P3 maintenance."""

    P1 = 1
    P2 = 2
    P3 = 3


class AlertType(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One row of the table of alert types. `latch`: stays active until a person has dealt with it.

    `steps_zh`, `steps_en`: what the guard does, one after the other, the same in both languages. `six_zero`: which of
    the estate's "zero" goals it counts against; `service`: the code of the service list the backend files it under.
    `cause`: alerts of one cause, place and time are one incident. `route`: who is told while nobody owns it, from near
    to far (`devices.escalation`). `delay_on_s`: raised only when the condition has held for so long; `delay_off_s`:
    over only when it has been gone for so long. Route and delays are defaults (`[escalation.routes]` and `[delays]` in
    the settings).
    """

    code: str
    severity: Severity
    title_zh: str
    title_en: str
    steps_zh: Steps
    steps_en: Steps
    latch: bool = False
    six_zero: Literal["", "零污染", "零事故", "零发案", "零违建"] = ""
    service: str
    cause: str
    route: Route
    delay_on_s: Annotated[float, Meta(ge=0)] = 0.0
    delay_off_s: Annotated[float, Meta(ge=0)] = 0.0


def _table() -> dict[str, AlertType]:
    """A row that does not fit stops the program: it is our own mistake, and the tests find it."""
    rows = tomllib.loads(files("devices").joinpath("alert_types.toml").read_text(encoding="utf-8"))
    return {code: msgspec.convert({"code": code, **row}, AlertType) for code, row in rows.items()}


ALERT_TYPES: dict[str, AlertType] = _table()
"""Every alert type by its code: the one reviewed table."""
