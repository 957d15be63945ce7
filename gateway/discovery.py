"""Who speaks on the broker and is not registered: seen in passing, kept in bounded memory, shown with values masked."""

from __future__ import annotations

import re
import threading
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from datetime import datetime

from msgspec import Struct
from msgspec.structs import replace

from devices import events
from devices.events import Event
from devices.model import Decoded, Protocol
from gateway.masking import masked

KEPT = 500
"""So many speakers are remembered; the one not heard for the longest goes first."""
SAMPLES_A_SECOND = 20
"""Whoever invents names must not keep us busy masking."""

_KINDS: Mapping[str, tuple[type[Event], ...]] = {
    "barrier": (
        events.PlateCaptured,
        events.VehiclePassed,
        events.BarrierMoved,
        events.LoopChanged,
        events.BarrierFaulted,
    ),
    "face_gate": (
        events.FaceCaptured,
        events.AccessGranted,
        events.AccessDenied,
        events.AccessTaken,
        events.CredentialPresented,
        events.DoorChanged,
        events.DoorAlarmed,
        events.DuressSignalled,
    ),
    "light": (events.LampMeasured, events.LampFaulted),
    "cover": (events.CoverMoved, events.WaterMeasured),
    "bay": (events.BayChanged,),
    "camera": (events.ObjectDetected, events.CameraHealthChanged, events.FrameCaptured),
}
"""What a device most likely is, by what it says."""


class Discovered(Struct, frozen=True, kw_only=True):
    """One speaker nobody registered. `protocol`: what it speaks; where no protocol listens on its topic, the one whose
    topics end like it, or "". `heard`: a protocol listens there. `kind`: guessed from what it said, or "". `sample`:
    its first message, values masked.
    """

    protocol: str
    address: str
    topic: str
    heard: bool
    kind: str
    count: int
    first_seen: datetime
    last_seen: datetime
    sample: str


class Discovery:
    """Remembers them. May be called from any thread."""

    def __init__(self, protocols: Mapping[str, Protocol]) -> None:
        self._endings = [
            (re.compile(r"(?:.*/)?" + _pattern(topic)), name)
            for name, protocol in protocols.items()
            for topic in protocol.topics
            if topic.strip("+#/")
        ]
        self._found: OrderedDict[tuple[str, str], Discovered] = OrderedDict()
        self._lock = threading.Lock()
        self._second, self._samples = 0, 0

    def unregistered(self, protocol: str, decoded: Decoded, topic: str, payload: bytes, at: datetime) -> None:
        """A message that was understood, of a device nobody knows."""
        kind = next((kind for reading in decoded.readings if (kind := _kind_of(reading.event))), "")
        self._note(protocol, decoded.address, topic, payload, at, kind=kind, heard=True)

    def unheard(self, topic: str, payload: bytes, at: datetime) -> None:
        """A message on a topic no protocol listens on."""
        protocol = next((name for pattern, name in self._endings if pattern.fullmatch(topic)), "")
        self._note(protocol, "", topic, payload, at, kind="", heard=False)

    def found(self, registered: Iterable[tuple[str, str]] = ()) -> list[Discovered]:
        """Everybody remembered, but for those registered since (protocol and address); last heard first."""
        known = set(registered)
        with self._lock:
            everybody = list(self._found.values())
        strangers = [one for one in everybody if (one.protocol, one.address) not in known]
        return sorted(strangers, key=lambda one: one.last_seen, reverse=True)

    def _note(
        self, protocol: str, address: str, topic: str, payload: bytes, at: datetime, *, kind: str, heard: bool
    ) -> None:
        key = (protocol, address) if address else ("", topic[:256])
        with self._lock:
            known = self._found.get(key)
            if known is None:
                self._found[key] = Discovered(
                    protocol=protocol,
                    address=address,
                    topic=topic[:256],
                    heard=heard,
                    kind=kind,
                    count=1,
                    first_seen=at,
                    last_seen=at,
                    sample=self._sample(payload, at),
                )
            else:
                sample = known.sample or self._sample(payload, at)
                self._found[key] = replace(
                    known, count=known.count + 1, last_seen=at, kind=known.kind or kind, sample=sample
                )
            self._found.move_to_end(key)
            if len(self._found) > KEPT:
                self._found.popitem(last=False)

    def _sample(self, payload: bytes, at: datetime) -> str:
        second = int(at.timestamp())
        if second != self._second:
            self._second, self._samples = second, 0
        self._samples += 1
        return masked(payload) if self._samples <= SAMPLES_A_SECOND else ""


def _kind_of(event: Event) -> str:
    return next((kind for kind, kinds in _KINDS.items() if isinstance(event, kinds)), "")


def _pattern(topic_filter: str) -> str:
    parts = [r"[^/]*" if part == "+" else ".*" if part == "#" else re.escape(part) for part in topic_filter.split("/")]
    return "/".join(parts)
