"""A camera that watches zones: something that stays too long raises an alert, a spoilt picture does too.

Its pictures are watched too (`devices.kinds.scene`).

away --seen in a zone--> present --dwell_s--> intrusion (alert) --last one left or lost--> away (alert cleared)

In zones with a purpose (`devices.kinds.zones`) it is what that says: a blocked fire lane, an e-bike indoors.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from msgspec import Struct
from msgspec.structs import replace

from devices.effects import ClearAlert, Effect, RaiseAlert, RecordPoint
from devices.events import (
    CameraHealthChanged,
    Event,
    FrameCaptured,
    HazardDetected,
    ObjectDetected,
    SceneAccepted,
    SceneJudged,
    SensorMeasured,
    TamperDetected,
    Ticked,
)
from devices.kinds import scene, zones
from devices.kinds.common import Params, Raised, earliest, either, hazard, seconds, tampered
from devices.model import Device, DeviceKind, Step

PARAMS: Params = {
    "dwell_s": (60, "in a zone longer than this is an intrusion, s; 0: zones are not watched"),
    "unload_s": (900, "how long a van or truck may unload in a fire lane between 7 and 21 h, s; 0: as any vehicle"),
    "track_lost_s": (3600, "a track without a word for this long has left unseen, s"),
    "zone_change_s": (1800, "something else in a marked zone for so long is lasting change, s"),
    "frame_every_s": (0, "the camera is asked for a picture so long after the last one, s; 0: never"),
}
MAX_TRACKS = 64


class Track(Struct, frozen=True, kw_only=True):
    """One object in a zone, from `since` to `last` (UTC) as far as we know."""

    zone: str
    track: str
    label: str
    since: datetime
    last: datetime
    confidence: float
    evidence: str = ""


class Camera(Struct, frozen=True, kw_only=True):
    """`tracks`: what is in the zones, oldest first, at most `MAX_TRACKS`. `raised`: alerts that stand, as code/zone.

    `watch`: what is known of its view.
    """

    tracks: tuple[Track, ...] = ()
    raised: Raised = ()
    watch: scene.Watch = scene.Watch()


def decide(camera: Camera, event: Event, device: Device) -> Step[Camera]:  # noqa: PLR0911 - one table
    """See the table at the top; `deadline` says when it wants `Ticked`."""
    match event:
        case ObjectDetected(zone=zone) if zone and seconds(device, PARAMS, "dwell_s"):
            return _detected(camera, event)
        case CameraHealthChanged(fault=fault, active=active, at=at, evidence=evidence):
            return camera, [either(f"camera_{fault}", at, active=active, evidence=evidence)]
        case FrameCaptured():
            watch, effects = scene.frame(camera.watch, event, device, seconds(device, PARAMS, "zone_change_s"))
            return replace(camera, watch=watch), effects
        case SceneJudged():
            watch, effects = scene.judged(camera.watch, event, device)
            return replace(camera, watch=watch), effects
        case SceneAccepted():
            watch, effects = scene.accepted(camera.watch, event)
            return replace(camera, watch=watch), effects
        case TamperDetected():
            return camera, tampered(event)
        case HazardDetected():
            return camera, hazard(event)
        case SensorMeasured(metric=metric, value=value, at=at):
            return camera, [RecordPoint(metric=metric, value=value, at=at)]
        case Ticked(at=at):
            return _tick(camera, at, device)
    return camera, []


def _detected(camera: Camera, event: ObjectDetected) -> Step[Camera]:
    key = (event.zone, event.track)
    if not event.present:
        return _kept(camera, tuple(t for t in camera.tracks if (t.zone, t.track) != key), event.at)
    known = next((t for t in camera.tracks if (t.zone, t.track) == key), None)
    if known is not None:
        again = replace(known, last=max(known.last, event.at), evidence=event.evidence or known.evidence)
        return replace(camera, tracks=tuple(again if t is known else t for t in camera.tracks)), []
    new = Track(
        zone=event.zone,
        track=event.track,
        label=event.label,
        since=event.at,
        last=event.at,
        confidence=event.confidence,
        evidence=event.evidence,
    )
    return _kept(camera, (*camera.tracks, new)[-MAX_TRACKS:], event.at)


def _kept(camera: Camera, tracks: tuple[Track, ...], at: datetime) -> Step[Camera]:
    """Only these tracks are left; an alert that none of them is a matter of is over."""
    matters = {_matter(t) for t in tracks}
    over = [matter.split("/", 1) for matter in camera.raised if matter not in matters]
    raised = tuple(matter for matter in camera.raised if matter in matters)
    cleared: list[Effect] = [ClearAlert(code=code, at=at, instance=zone) for code, zone in over]
    return replace(camera, tracks=tracks, raised=raised), cleared


def _matter(track: Track) -> str:
    """What alert it is a matter of, and where."""
    rule = zones.rule(track.zone, track.label)
    return f"{rule.code if rule else zones.INTRUSION}/{track.zone}"


def _dwell(track: Track, device: Device) -> timedelta:
    """How long it may stay."""
    rule = zones.rule(track.zone, track.label)
    if rule is None:
        return seconds(device, PARAMS, "dwell_s")
    dwell = timedelta(seconds=rule.dwell_s)
    unloads = rule.code == zones.FIRE_LANE and track.label.lower() in zones.UNLOADING
    if unloads and track.since.astimezone(ZoneInfo(device.zone)).hour in zones.UNLOADING_H:
        return max(dwell, seconds(device, PARAMS, "unload_s"))
    return dwell


def _due(camera: Camera, device: Device) -> list[tuple[datetime, Track]]:
    """When which track has stayed too long, where there is no alert of it."""
    return [(t.since + _dwell(t, device), t) for t in camera.tracks if _matter(t) not in camera.raised]


def _lost_at(track: Track, device: Device) -> datetime:
    """Never before its dwell alert is due: an object that says nothing between coming and going is still there."""
    return track.last + max(seconds(device, PARAMS, "track_lost_s"), _dwell(track, device))


def _tick(camera: Camera, at: datetime, device: Device) -> Step[Camera]:
    effects: list[Effect] = []
    for due, track in sorted(_due(camera, device), key=lambda found: found[0]):
        matter = _matter(track)
        if at >= due and matter not in camera.raised:
            camera = replace(camera, raised=(*camera.raised, matter))
            effects.append(
                RaiseAlert(
                    code=matter.split("/", 1)[0],
                    at=due,
                    instance=track.zone,
                    confidence=track.confidence,
                    evidence=track.evidence,
                    detail={"label": track.label, "dwell_s": _dwell(track, device).total_seconds()},
                )
            )
    camera, cleared = _kept(camera, tuple(t for t in camera.tracks if at < _lost_at(t, device)), at)
    if (again := scene.due(camera.watch, seconds(device, PARAMS, "frame_every_s"))) and at >= again:
        watch, asked = scene.snapshot(camera.watch, at)
        camera = replace(camera, watch=watch)
        cleared += asked
    return camera, effects + cleared


def deadline(camera: Camera, device: Device) -> datetime | None:
    """When something has stayed too long or counts as lost, or another picture is wanted."""
    times = [due for due, _ in _due(camera, device)] + [_lost_at(t, device) for t in camera.tracks]
    return earliest(*times, scene.due(camera.watch, seconds(device, PARAMS, "frame_every_s")))


CAMERA = DeviceKind(name="camera", initial=Camera(), decide=decide, deadline=deadline, params=PARAMS)
