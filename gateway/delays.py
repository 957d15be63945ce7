"""How long the condition of an alert has to hold before anybody is told (delay-on), for every type alike. Pure.

The condition began --held for delay_on_s--> raised
                    --over before that-----> nothing

It is a policy whose scopes are the keys of alerts, so what is held back is saved with the states and its deadline
survives a restart. The other half, delay-off, is in the alert itself (`devices.alerts.ending`).
"""

from __future__ import annotations

from datetime import datetime, timedelta

from msgspec import Struct

from devices.effects import RaiseAlert
from devices.events import Event, Ticked
from devices.model import Device, Step
from gateway.policy import Policy
from gateway.settings import Policies

NAME = "delay_on"


class Held(Struct, frozen=True, kw_only=True):
    """An alert that is not raised yet, as it was first asked for, and when it will be."""

    effect: RaiseAlert | None = None
    due: datetime | None = None


def _scope(event: Event, device: Device) -> str:  # noqa: ARG001 - every scope's shape
    """No event is of interest: the hub puts alerts here."""
    return ""


def _decide(state: Held, event: Event, device: Device | None, limits: Policies) -> Step[Held]:  # noqa: ARG001
    due = isinstance(event, Ticked) and state.due is not None and event.at >= state.due
    return (Held(), [state.effect]) if due and state.effect is not None else (state, [])


def _deadline(state: Held, limits: Policies) -> datetime | None:  # noqa: ARG001 - every deadline's shape
    return state.due


def clock_set(state: Held, by: timedelta) -> Held:
    """Our own clock was set by so much."""
    return Held(effect=state.effect, due=state.due + by) if state.due is not None else state


DELAY_ON = Policy(name=NAME, initial=Held(), hears=(), scope=_scope, decide=_decide, deadline=_deadline)
