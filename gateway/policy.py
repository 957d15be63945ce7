"""What a policy is: a pure state machine over what spans devices or outlives one event."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import datetime
from typing import Any

from msgspec import Struct

from devices.events import Event
from devices.model import Device, Step
from gateway import settings


class Policy(Struct, frozen=True, kw_only=True):
    """One policy. `hears`: the types of events it is asked about; `scope` "" means that one is not its business.
    `even_late`: a late fact raises its alert too, from the initial state and without changing any.
    """

    name: str
    initial: Any
    hears: tuple[type[Event], ...]
    scope: Callable[[Event, Device], str]
    decide: Callable[[Any, Event, Device | None, settings.Policies], Step[Any]]
    deadline: Callable[[Any, settings.Policies], datetime | None]
    even_late: bool = False


def plate_digest(plate: str) -> str:
    """Names a plate in a scope without showing it."""
    return hashlib.sha256(plate.encode()).hexdigest()[:16]


def never(state: Any, limits: settings.Policies) -> None:
    """The deadline of a policy that waits for nothing."""
