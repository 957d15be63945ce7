"""A camera's view over time: its pictures are looked at one after the other, and what holds is told as candidates.

frame --WatchScene--> judged: raise what holds, clear what does not hold any more
frame_every_s since the last one --TakeSnapshot--> the camera sends another
accepted by a person: what was raised against the view as it was learnt is over; the next pictures are learnt from
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from devices.effects import ClearAlert, Effect, RaiseAlert, SceneZone, TakeSnapshot, WatchScene
from devices.events import FrameCaptured, SceneAccepted, SceneCandidate, SceneJudged
from devices.model import Device

LOOK_WITHIN = timedelta(seconds=30)
"""There is time: gates and barriers come first."""
SNAPSHOT_WITHIN = timedelta(seconds=10)
CHANGED = "changed"


class Watch(Struct, frozen=True, kw_only=True):
    """`asked`: until when an answer is awaited; `last`: the last picture's time; `wanted`: when one was asked of the
    camera; `raised`: alerts as (code, zone); `accepted`: when a person last said that the view is as it should be.
    """

    asked: datetime | None = None
    last: datetime | None = None
    wanted: datetime | None = None
    raised: tuple[tuple[str, str], ...] = ()
    accepted: datetime | None = None


def zones(device: Device) -> tuple[SceneZone, ...]:
    """The zones in the device's option `zones`, JSON: [{"name": ..., "purpose": ..., "polygon": [[x, y], ...]}].

    :raises ValueError: it is not that; the text says why.
    """
    said = device.options.get("zones", "")
    if not said:
        return ()
    try:
        found = msgspec.json.decode(said, type=tuple[SceneZone, ...])
    except msgspec.MsgspecError as error:
        raise ValueError(f"options.zones: {error}") from error
    if len({zone.name for zone in found}) != len(found):
        raise ValueError("options.zones: a name stands twice")
    return found


def frame(watch: Watch, event: FrameCaptured, device: Device, change_after: timedelta) -> tuple[Watch, list[Effect]]:
    """Look at it, unless the one before is still being looked at or it is older."""
    if (watch.last and event.at <= watch.last) or (watch.asked and event.at < watch.asked) or not event.evidence:
        return watch, []
    until = event.at + LOOK_WITHIN
    look = WatchScene(
        evidence=event.evidence,
        captured_at=event.at,
        not_after=until,
        change_s=change_after.total_seconds(),
        zones=_zones(device),
    )
    return replace(watch, last=event.at, asked=until), [look]


def _zones(device: Device) -> tuple[SceneZone, ...]:
    try:
        return zones(device)
    except ValueError:  # refused when a device is registered; one from before that is watched without
        return ()


def judged(watch: Watch, event: SceneJudged, device: Device) -> tuple[Watch, list[Effect]]:
    """Raise what is new, clear what is over; a picture nobody could look at says nothing of either."""
    watch = replace(watch, asked=None)
    if not event.seen:
        return watch, []
    purposes = {zone.name: zone.purpose for zone in _zones(device)}
    holds = {(_code(one, purposes), one.zone): one for one in event.candidates if _code(one, purposes)}
    raised: list[Effect] = [
        _alert(code, one, event) for (code, _), one in holds.items() if (code, one.zone) not in watch.raised
    ]
    over: list[Effect] = [
        ClearAlert(code=code, at=event.at, instance=zone) for code, zone in watch.raised if (code, zone) not in holds
    ]
    return replace(watch, raised=tuple(sorted(holds))), raised + over


def accepted(watch: Watch, event: SceneAccepted) -> tuple[Watch, list[Effect]]:
    """Pictures from before are not waited for and not looked at any more. Who accepts has closed the alerts; what is
    still held back is over, too.
    """
    last = max(watch.last, event.at) if watch.last else event.at
    over = [(code, zone) for code, zone in watch.raised if code in RELATIVE]
    kept = tuple(one for one in watch.raised if one not in over)
    cleared: list[Effect] = [ClearAlert(code=code, at=event.at, instance=zone) for code, zone in over]
    return replace(watch, asked=None, last=last, raised=kept, accepted=event.at), cleared


def _code(candidate: SceneCandidate, purposes: Mapping[str, str]) -> str:
    """The alert's type; "" for a zone that was taken away meanwhile."""
    if candidate.condition != CHANGED:
        return CODES.get(candidate.condition, "")
    purpose = purposes.get(candidate.zone)
    return f"zone_changed_{purpose}" if purpose else ""


CODES = {what: f"camera_{what}" for what in ("occluded", "moved", "defocused", "frozen", "too_dark", "blown_out")}
"""Alert types by condition (`vision.scene.Condition`)."""
UNSEEING = frozenset({"camera_frozen", "camera_too_dark", "camera_blown_out"})
"""Told by one picture or two alone: while one of them holds there is nothing to learn a view from."""
RELATIVE = frozenset(CODES.values()) - UNSEEING | {
    "zone_changed_build",
    "zone_changed_fire_lane",
    "zone_changed_parking",
}
"""Told by comparison with the view as it was learnt: accepting the view ends them."""


def _alert(code: str, one: SceneCandidate, event: SceneJudged) -> RaiseAlert:
    detail: dict[str, Any] = {"score": round(one.score, 3), "why": one.why, "by": "scene_watch"}
    return RaiseAlert(
        code=code, at=one.since, instance=one.zone, confidence=one.score, evidence=event.evidence, detail=detail
    )


def due(watch: Watch, every: timedelta) -> datetime | None:
    """When the camera is to be asked for another picture; the first one comes by itself."""
    if not every or watch.last is None:
        return None
    return max(watch.last, watch.wanted or watch.last) + every


def snapshot(watch: Watch, at: datetime) -> tuple[Watch, list[Effect]]:
    """Ask the camera for a picture."""
    return replace(watch, wanted=at), [TakeSnapshot(not_after=at + SNAPSHOT_WITHIN)]
