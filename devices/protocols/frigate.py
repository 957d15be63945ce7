"""Frigate: frigate/events, reviews, tracked_object_update, available, stats, and frigate/{camera}/...

Source: Frigate's documentation of its MQTT topics (0.17). Times are seconds since 1970, UTC. A camera's name is its
address; Frigate itself is the address frigate. Under another topic prefix (option `base`) a camera's address is
{prefix}/{camera}.

A name that Frigate gives a face (sub_label, tracked_object_update) is free text of whoever set Frigate up: no id of
our registry, no consent, no block list, and a camera at a gate is no credential reader. So it never grants access, and
it is not kept: what remains is that a face was recognised. The same goes for descriptions and for names of plates.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime, tzinfo
from typing import Any

import msgspec
from msgspec import Struct

from devices.errors import DecodeError
from devices.events import (
    CameraFault,
    CameraHealthChanged,
    DeviceStatusChanged,
    Event,
    FrameCaptured,
    Heartbeat,
    ObjectDetected,
    OfflineReason,
    PlateCaptured,
    SensorMeasured,
    VendorNotice,
    evidence_key,
)
from devices.model import Decoded, Device, Protocol, Reading
from devices.protocols.fit import fitted
from devices.protocols.roots import nothing_to_send, path, switched_on
from devices.protocols.wire import MAX_IMAGE, Scalar, epoch_time, integer, label, name, number, only, parse

BASE, SERVER = "frigate", "frigate"
MAX_PLATE = 16
_JPEG = b"\xff\xd8\xff"
_WORD = re.compile(r"[a-z0-9_-]{1,48}")


class _Object(Struct, frozen=True):
    """A tracked object at one moment."""

    id: Scalar = None
    camera: Scalar = None
    label: Scalar = None
    frame_time: Scalar = None
    end_time: Scalar = None
    score: Scalar = None
    false_positive: bool = False
    current_zones: tuple[str, ...] = ()
    entered_zones: tuple[str, ...] = ()


class _Change(Struct, frozen=True):
    type: str
    after: _Object
    before: _Object | None = None


class _Review(Struct, frozen=True):
    id: Scalar = None
    camera: Scalar = None
    severity: Scalar = None
    start_time: Scalar = None
    end_time: Scalar = None


class _Reviewed(Struct, frozen=True):
    type: str
    after: _Review


class _Update(Struct, frozen=True):
    type: str
    id: Scalar = None
    camera: Scalar = None
    timestamp: Scalar = None
    score: Scalar = None
    plate: Scalar = None
    model: Scalar = None


class _Trigger(Struct, frozen=True):
    camera: Scalar = None
    name: Scalar = None


_CHANGE = msgspec.json.Decoder(_Change)
_REVIEWED = msgspec.json.Decoder(_Reviewed)
_UPDATE = msgspec.json.Decoder(_Update)
_TRIGGER = msgspec.json.Decoder(_Trigger)

Root = list[str]


def decode(topic: str, payload: bytes, received_at: datetime, zone: tzinfo) -> Decoded:
    """What a camera sees, or how Frigate is.

    :raises DecodeError: the message is not one of this protocol.
    """
    del zone
    base, *rest = topic.split("/")
    root = [] if base == BASE else [base]
    match rest:
        case [leaf] if leaf in _LEAVES:
            return _LEAVES[leaf](root, payload, received_at)
        case [_]:
            return Decoded(address=path([*root, SERVER]), ignored="a topic of Frigate we do not know")
        case [camera, *leaf] if leaf:
            return _camera(path([*root, camera]), leaf, payload, received_at)
    raise DecodeError("not a topic of this protocol")


def _of_camera(root: Root, camera: Scalar) -> str:
    found = name(camera)
    if not found or "/" in found:
        raise DecodeError("payload does not fit the protocol")
    return path([*root, found])


def _changed(root: Root, payload: bytes, received_at: datetime) -> Decoded:
    """An object came, moved between zones, or went. What Frigate took back (false positive) was never there."""
    change = parse(_CHANGE, payload)
    after, before = change.after, change.before or _Object()
    address = _of_camera(root, after.camera)
    own = epoch_time(after.frame_time) or epoch_time(after.end_time)
    at, gone = own or received_at, change.type == "end" or after.false_positive
    if after.false_positive and change.type != "end" and not before.current_zones:
        return Decoded(address=address, ignored="an object Frigate is not sure of")
    here = () if gone else after.current_zones
    left = [z for z in dict.fromkeys((*before.current_zones, *(after.entered_zones if gone else ()))) if z not in here]
    score = number(after.score)
    seen: dict[str, Any] = {"label": label(after.label), "track": name(after.id)}
    if score is not None and 0 <= score <= 1:
        seen["confidence"] = score
    events: list[Event] = [ObjectDetected(at=at, zone=label(z), present=True, **seen) for z in here]
    events += [ObjectDetected(at=at, zone=label(z), present=False, **seen) for z in left]
    found = events or [ObjectDetected(at=at, present=not gone, **seen)]
    return Decoded(address=address, readings=tuple(Reading(event=e, timed=own is not None) for e in found))


def _reviewed(root: Root, payload: bytes, received_at: datetime) -> Decoded:
    """Frigate's summary of what it saw together; the objects of it come on their own."""
    reviewed = parse(_REVIEWED, payload)
    after = reviewed.after
    own = epoch_time(after.end_time) or epoch_time(after.start_time)
    event = VendorNotice(at=own or received_at, name=f"review.{label(after.severity)}"[:128], code=reviewed.type[:128])
    return only(_of_camera(root, after.camera), event, timed=own is not None)


def _updated(root: Root, payload: bytes, received_at: datetime) -> Decoded:
    """What Frigate found out later about an object: a plate, a face, a class. See the text at the top about names."""
    update = parse(_UPDATE, payload)
    if update.type == "description":
        return Decoded(address=path([*root, SERVER]), ignored="a description in words may say anything of anybody")
    address, own = _of_camera(root, update.camera), epoch_time(update.timestamp)
    at, score = own or received_at, number(update.score)
    event: Event
    if update.type == "lpr":
        plate = label(update.plate).replace(" ", "").upper()
        sure = score if score is not None and 0 <= score <= 1 else None
        fits = plate if len(plate) <= MAX_PLATE else ""
        event = PlateCaptured(at=at, plate=fits, confidence=sure, trigger="frigate")
    else:
        model = label(update.model)
        event = VendorNotice(at=at, name=f"frigate.{update.type}"[:128], code=model)
    return only(address, event, timed=own is not None)


def _triggered(root: Root, payload: bytes, received_at: datetime) -> Decoded:
    trigger = parse(_TRIGGER, payload)
    event = VendorNotice(at=received_at, name="frigate.trigger", code=label(trigger.name))
    return only(_of_camera(root, trigger.camera), event, timed=False)


def _available(root: Root, payload: bytes, received_at: datetime) -> Decoded:
    word = payload[:16].decode(errors="replace").strip()
    reasons = {"online": OfflineReason.NONE, "stopped": OfflineReason.GOODBYE, "offline": OfflineReason.WILL}
    if word not in reasons:
        raise DecodeError("payload does not fit the protocol")
    event = DeviceStatusChanged(at=received_at, online=word == "online", reason=reasons[word])
    return only(path([*root, SERVER]), event, timed=False)


def _alive(root: Root, payload: bytes, received_at: datetime) -> Decoded:
    """Figures about Frigate's own load: a sign of life."""
    del payload
    return only(path([*root, SERVER]), Heartbeat(at=received_at), timed=False)


_LEAVES: dict[str, Callable[[Root, bytes, datetime], Decoded]] = {
    "events": _changed,
    "reviews": _reviewed,
    "tracked_object_update": _updated,
    "triggers": _triggered,
    "available": _available,
    "stats": _alive,
    "camera_activity": _alive,
}

# -- one camera ---------------------------------------------


def _camera(address: str, leaf: list[str], payload: bytes, received_at: datetime) -> Decoded:
    """A count, a state, a switch or a snapshot. A zone of the same name as a camera cannot be told from it."""
    if leaf[-1] == "snapshot":
        return _snapshot(address, payload, received_at)
    if leaf[-1] == "set":
        return Decoded(address=address, ignored="a message to Frigate")
    word = payload[:64].decode(errors="replace").strip()
    event = _word(leaf, word, received_at)
    if event is None:
        return Decoded(address=address, ignored="a topic of Frigate we do not know")
    return only(address, event, timed=False)


def _word(leaf: list[str], word: str, at: datetime) -> Event | None:
    count, on = integer(word), switched_on(word)
    match leaf:
        case [thing, *rest] if count is not None and rest in ([], ["active"]) and _WORD.fullmatch(thing):
            kind = "active_count" if rest else "count"
            return SensorMeasured(at=at, metric=f"{thing}_{kind}", value=float(count))
        case ["motion"] if on is not None:
            return SensorMeasured(at=at, metric="motion", value=float(on))
        case ["status", "detect"] if word in ("online", "offline"):
            return CameraHealthChanged(at=at, fault=CameraFault.SIGNAL_LOST, active=word == "offline")
        case ["audio", "dBFS" | "rms" as figure] if (value := number(word)) is not None:
            return SensorMeasured(at=at, metric=f"audio_{figure.lower()}", value=value)
        case [feature, "state"] | [feature] | ["status" | "audio", feature] if _WORD.fullmatch(feature):
            return VendorNotice(at=at, name=f"frigate.{feature}", code=label(word))
    return None


def _snapshot(address: str, payload: bytes, received_at: datetime) -> Decoded:
    """The best picture of an object so far, as JPEG."""
    if not payload.startswith(_JPEG):
        return Decoded(address=address, ignored="an empty snapshot")
    if len(payload) > MAX_IMAGE:
        raise DecodeError("image too large")
    return only(address, FrameCaptured(at=received_at, evidence=evidence_key(payload)), payload, timed=False)


def topics_of(device: Device) -> tuple[str, ...]:
    """The topics below another prefix (option `base`)."""
    base = device.options.get("base", "")
    return tuple(f"{base}/{topic}" for topic in _TOPICS) if base and base != BASE else ()


def interpret(decoded: Decoded, device: Device) -> Decoded:
    """As the device's kind reads it."""
    return fitted(decoded, device)


_TOPICS = ("+", "+/+", "+/+/state", "+/+/active", "+/+/snapshot", "+/status/+", "+/audio/+")

PROTOCOL: Protocol = Protocol(
    name="frigate",
    topics=tuple(f"{BASE}/{topic}" for topic in _TOPICS),
    decode=decode,
    encode=nothing_to_send("frigate"),
    commands=frozenset(),
    heartbeat_s=0.0,
    interpret=interpret,
    topics_of=topics_of,
    retained=(f"{BASE}/available",),
)
"""A camera with nothing before it is silent; that Frigate itself is away is said of the device frigate."""
