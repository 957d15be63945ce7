"""Root cause of an outage: one alert for the uplink that many devices share, or one for each device. Pure.

on --offline--> waiting --offline_wait_s, few of the uplink are off--> alone    (device_offline)
                        --offline_wait_s, many are off--------------> covered  (one uplink_offline for all)
any --online--> on; when no longer many are off, uplink_offline clears and what is still covered waits again
"""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum

from msgspec import Struct
from msgspec.structs import replace

from devices.effects import ClearAlert, Effect, RaiseAlert
from devices.events import DeviceStatusChanged, Event, Ticked
from devices.model import Device, Step
from gateway.settings import Policies

KNOWN_AT_MOST = 5_000
UPLINK_AT_LEAST = 3
"""Fewer devices off are never called an outage of the uplink."""


class Standing(StrEnum):
    """Where one device of the uplink stands. One letter: thousands of them are saved."""

    ON = "n"
    WAITING = "w"
    ALONE = "a"
    COVERED = "c"


class Outage(Struct, frozen=True, kw_only=True):
    """`known`: every device heard of, by id. `waiting`: since when. `carrier`: the device that carries the uplink's
    alert, "" while there is none.
    """

    uplink: str = ""
    known: dict[str, Standing] = {}
    waiting: dict[str, datetime] = {}
    carrier: str = ""


def scope(event: Event, device: Device) -> str:
    """All that hangs on one uplink is judged together."""
    return f"{device.community}/{device.uplink or 'default'}" if isinstance(event, DeviceStatusChanged) else ""


def deadline(state: Outage, settings: Policies) -> datetime | None:
    """When the device that waits longest has waited enough."""
    first = min(state.waiting.values(), default=None)
    return first + timedelta(seconds=settings.offline_wait_s) if first else None


def decide(state: Outage, event: Event, device: Device | None, settings: Policies) -> Step[Outage]:
    """A device came or went, or has been away long enough."""
    match event, device:
        case DeviceStatusChanged(online=True, at=at), Device():
            return _came(state, device.id, at, settings)
        case DeviceStatusChanged(online=False, at=at), Device():
            return _went(replace(state, uplink=device.uplink or "default"), device.id, at), []
        case Ticked(at=at), _ if (due := deadline(state, settings)) and at >= due:
            return _waited(state, at, settings)
    return state, []


def without(state: Outage, device: str, now: datetime) -> Outage:
    """The device is no longer registered: it is neither on nor off. The uplink's alert goes with the device that
    carried it, so the others wait again.
    """
    if device not in state.known:
        return state
    left = replace(
        state,
        known={d: standing for d, standing in state.known.items() if d != device},
        waiting={d: since for d, since in state.waiting.items() if d != device},
    )
    return _judged_anew(left, now) if state.carrier == device else left


def _judged_anew(state: Outage, at: datetime) -> Outage:
    """The uplink's alert is over: who is still away waits again, to be judged."""
    left = [d for d, standing in state.known.items() if standing is Standing.COVERED]
    known = {**state.known, **dict.fromkeys(left, Standing.WAITING)}
    return replace(state, carrier="", known=known, waiting={**state.waiting, **dict.fromkeys(left, at)})


def _many(state: Outage, settings: Policies) -> int:
    """How many are off, if that is so many that the uplink must be the cause; else 0."""
    off = sum(standing is not Standing.ON for standing in state.known.values())
    return off if off >= max(UPLINK_AT_LEAST, settings.uplink_share * len(state.known)) else 0


def _went(state: Outage, device: str, at: datetime) -> Outage:
    if state.known.get(device, Standing.ON) is not Standing.ON:
        return state
    known = _room(state.known, device)
    if known is None:
        return state
    return replace(state, known={**known, device: Standing.WAITING}, waiting={**state.waiting, device: at})


def _room(known: dict[str, Standing], device: str) -> dict[str, Standing] | None:
    """The known devices with room for one more: a device that is on is forgotten for it. None: there is none."""
    if device in known or len(known) < KNOWN_AT_MOST:
        return known
    spare = next((d for d, standing in known.items() if standing is Standing.ON), None)
    return {d: standing for d, standing in known.items() if d != spare} if spare else None


def _came(state: Outage, device: str, at: datetime, settings: Policies) -> Step[Outage]:
    before = state.known.get(device)
    if before is Standing.ON or (known := _room(state.known, device)) is None:
        return state, []
    waiting = {d: since for d, since in state.waiting.items() if d != device}
    state = replace(state, known={**known, device: Standing.ON}, waiting=waiting)
    effects: list[Effect] = []
    if before is Standing.ALONE:
        effects.append(ClearAlert(code="device_offline", at=at, device=device))
    if state.carrier and not _many(state, settings):
        effects.append(ClearAlert(code="uplink_offline", at=at, instance=state.uplink, device=state.carrier))
        state = _judged_anew(state, at)
    return state, effects


def _waited(state: Outage, at: datetime, settings: Policies) -> Step[Outage]:
    off = _many(state, settings)
    if off:
        covered = dict.fromkeys(state.waiting, Standing.COVERED)
        after = replace(state, known={**state.known, **covered}, waiting={})
        if state.carrier:
            return after, []
        carrier = next(iter(state.waiting))
        alert = RaiseAlert(
            code="uplink_offline",
            at=min(state.waiting.values()),
            instance=state.uplink,
            device=carrier,
            detail={"devices_offline": off, "devices_known": len(state.known)},
        )
        return replace(after, carrier=carrier), [alert]
    wait = timedelta(seconds=settings.offline_wait_s)
    due = {d: since for d, since in state.waiting.items() if since + wait <= at}
    after = replace(
        state,
        known={**state.known, **dict.fromkeys(due, Standing.ALONE)},
        waiting={d: since for d, since in state.waiting.items() if d not in due},
    )
    return after, [RaiseAlert(code="device_offline", at=since, device=d) for d, since in due.items()]
