"""Is a camera still seeing what it was put up to see, and has something grown where nothing should stand?

    frames -> the median of the last few (rain, headlights and passers-by are in none or few of them)
           -> compared with how the view looked when it was learnt, by structure, not by brightness
           -> conditions -> candidates, once a condition has held for its time

A candidate has a score and a reason and is for a person to judge; nothing here is a verdict. No network is needed. One
`SceneWatch` per camera; `memory` and `resumed` carry its state over a restart, and time is an argument.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Self

import msgspec
import numpy as np
from msgspec import Struct

from vision import scene_measure as measure
from vision.scene_measure import Floats, Grey, Mask

FRAMES = 9
"""Frames whose median is looked at, and the first ones that are learnt from."""
KEPT_VIEWS = 3
"""Views remembered: the same one by day, by lamplight, by infrared."""
OTHER_LIGHT = 1.8
"""Brighter or darker than every known view by this factor: a light to be learnt."""
SAME_VIEW = 0.3
"""Smallest correlation of structures at which it is the known view in another light."""
STILL = 0.02
"""Mean difference of two frames, grey values, below which no sensor took them both."""
DARK, BRIGHT = 24.0, 250.0
"""Grey values: nearly all below, or much above, and nothing can be seen."""


class Condition(StrEnum):
    """What may be wrong with a view, or new in it."""

    OCCLUDED = "occluded"
    DEFOCUSED = "defocused"
    MOVED = "moved"
    FROZEN = "frozen"
    TOO_DARK = "too_dark"
    BLOWN_OUT = "blown_out"
    CHANGED = "changed"


HOLD_S: Mapping[Condition, float] = {
    Condition.OCCLUDED: 20,
    Condition.DEFOCUSED: 60,
    Condition.MOVED: 20,
    Condition.FROZEN: 60,
    Condition.TOO_DARK: 120,
    Condition.BLOWN_OUT: 120,
    Condition.CHANGED: 1800,
}
"""Seconds a condition must hold without a break before it is told."""
LIMIT: Mapping[Condition, float] = {
    Condition.OCCLUDED: 0.6,
    Condition.DEFOCUSED: 0.5,
    Condition.MOVED: 0.5,
    Condition.FROZEN: 0.5,
    Condition.TOO_DARK: 0.98,
    Condition.BLOWN_OUT: 0.5,
    Condition.CHANGED: 0.25,
}
"""Smallest score that counts as holding."""
Zone = tuple[tuple[float, float], ...]
"""Corners of a polygon, x and y as fractions of the picture."""


class SceneCandidate(Struct, frozen=True, kw_only=True):
    """Something for a person to look at. `score` 0..1 (its meaning is in `why`); `since`: the time of the first frame
    that showed it, s, on the clock of the `at` given to `see`; `zone`: for CHANGED, its name.
    """

    condition: Condition
    score: float
    since: float
    why: str
    zone: str = ""


class _View(Struct, frozen=True, eq=False):
    """How the scene looks in one light."""

    picture: Floats
    structure: Floats
    coarse: Floats
    busy: Mask
    detail: float
    brightness: float


def _view(picture: Floats) -> _View:
    return _View(
        picture,
        measure.structure(picture),
        measure.coarse(picture),
        measure.textured(picture),
        measure.detail(picture),
        float(picture.mean()),
    )


class _Picture(Struct, frozen=True, array_like=True):
    """Grey values of a small picture, row by row. The median of an odd number of them is one again, to the digit."""

    height: int
    width: int
    values: bytes

    def array(self) -> Grey:
        return np.frombuffer(self.values, dtype=np.uint8).reshape(self.height, self.width)


def _picture(array: Grey | Floats) -> _Picture:
    return _Picture(array.shape[0], array.shape[1], array.astype(np.uint8).tobytes())


class _Memory(Struct, frozen=True, array_like=True):
    """All that a watch knows."""

    recent: list[_Picture]
    views: list[_Picture]
    since: list[tuple[str, str, float]]
    last_at: float


class _Sign(Struct, frozen=True):
    """A condition measured on the present view."""

    condition: Condition
    score: float
    why: str
    zone: str = ""


def light(picture: Floats) -> Iterator[_Sign]:
    """Too dark or too bright to show anything."""
    dark, bright = float((picture < DARK).mean()), float((picture >= BRIGHT).mean())
    yield _Sign(Condition.TOO_DARK, dark, f"{dark:.0%} of the picture is black")
    yield _Sign(Condition.BLOWN_OUT, bright, f"{bright:.0%} of the picture is white")


def _health(known: _View, now: _View) -> Iterator[_Sign]:
    """Covered, out of focus, moved: against the known view nearest in light."""
    texture = int(known.busy.sum())
    lost = float((known.busy & ~now.busy).sum()) / max(1, texture)
    alike = measure.correlation(known.structure, now.structure)
    rough = measure.correlation(known.coarse, now.coarse)
    same_light = 1 / OTHER_LIGHT < now.brightness / max(1.0, known.brightness) < OTHER_LIGHT
    shift = measure.moved(known.structure, now.structure)
    fits = shift.fit if shift.distance >= 0.015 and shift.fit > alike + 0.15 else 0.0
    strange = 1 - max(0.0, alike) if same_light and alike < 0.1 and rough < SAME_VIEW else 0.0
    blur = 1 - min(1.0, now.detail / max(1e-6, known.detail)) if rough >= 0.6 else 0.0
    hidden = 0.0 if fits >= LIMIT[Condition.MOVED] or blur >= LIMIT[Condition.DEFOCUSED] else max(lost, strange)
    yield _Sign(Condition.OCCLUDED, hidden, f"{lost:.0%} of what had texture is plain; likeness {alike:.2f}")
    yield _Sign(Condition.DEFOCUSED, blur, f"fine detail is down by {blur:.0%} while the outlines are still there")
    yield _Sign(Condition.MOVED, fits, f"the view fits when shifted by {shift.distance:.1%} of its size")


class SceneWatch:
    """Watches one camera. `zones`: names and polygons in which lasting change matters.

    The first `FRAMES` frames are taken to be as the scene should be; `accept` says so again of the present ones.
    """

    def __init__(self, zones: Mapping[str, Zone] | None = None, hold_s: Mapping[Condition, float] = HOLD_S) -> None:
        self._zones = dict(zones or {})
        self._hold_s = {**HOLD_S, **hold_s}
        self._recent: deque[Grey] = deque(maxlen=FRAMES)
        self._views: list[_View] = []
        self._since: dict[tuple[Condition, str], float] = {}
        self._last_at = float("-inf")

    def see(self, grey: Grey, at: float) -> tuple[SceneCandidate, ...]:
        """The next frame, uint8[height, width] of any size, taken at `at` (s, any clock that does not go back); a few a
        minute are enough. What holds now, as candidates. A frame older than the last one is left aside.
        """
        if at <= self._last_at:
            return ()
        self._last_at = at
        frame = measure.small(grey)
        if self._recent and self._recent[-1].shape != frame.shape:  # the stream was set to another size
            self.accept()
        signs = [self._stillness(frame)]
        self._recent.append(frame)
        if len(self._recent) == FRAMES:
            signs += self._signs(np.median(np.stack(self._recent), axis=0).astype(np.float32))
        return tuple(self._held(signs, at))

    def accept(self) -> None:
        """A person says that the scene is as it should be: learn it anew from the next frames."""
        self._views.clear()
        self._recent.clear()
        self._since.clear()

    def memory(self) -> bytes:
        """Everything learnt and under way: some 300 kB."""
        since = [(str(condition), zone, at) for (condition, zone), at in self._since.items()]
        views = [_picture(view.picture) for view in self._views]
        return msgspec.msgpack.encode(_Memory([_picture(one) for one in self._recent], views, since, self._last_at))

    @classmethod
    def resumed(
        cls, memory: bytes, zones: Mapping[str, Zone] | None = None, hold_s: Mapping[Condition, float] = HOLD_S
    ) -> Self:
        """A watch as `memory` left it; b"" for a new one. Zones may have come or gone.

        :raises msgspec.MsgspecError, ValueError: it is no such memory.
        """
        watch = cls(zones, hold_s)
        if memory:
            held = msgspec.msgpack.decode(memory, type=_Memory)
            watch._recent.extend(one.array() for one in held.recent)
            watch._views = [_view(one.array().astype(np.float32)) for one in held.views]
            kept = {"", *watch._zones}
            watch._since = {(Condition(what), zone): at for what, zone, at in held.since if zone in kept}
            watch._last_at = held.last_at
        return watch

    def _stillness(self, frame: Grey) -> _Sign:
        """Two frames of a live sensor always differ, if only by noise; a black one may not."""
        same = bool(self._recent) and float(np.abs(frame.astype(np.int16) - self._recent[-1]).mean()) < STILL
        return _Sign(Condition.FROZEN, float(same and float(frame.mean()) >= DARK), "the same picture again and again")

    def _signs(self, picture: Floats) -> list[_Sign]:
        """What the present view shows. A condition that makes others meaningless stands alone."""
        found = list(light(picture))
        if any(sign.score >= LIMIT[sign.condition] for sign in found):
            return found
        now = _view(picture)
        if not self._views:
            self._views.append(now)
            return found
        known = min(self._views, key=lambda view: abs(np.log(max(1.0, view.brightness) / max(1.0, now.brightness))))
        found += _health(known, now)
        if any(sign.score >= LIMIT[sign.condition] for sign in found):
            return found
        found += self._zone_signs(known, now)
        self._learn_light(known, now)
        return found

    def _zone_signs(self, known: _View, now: _View) -> Iterator[_Sign]:
        shape = now.picture.shape
        different = measure.changed(known.structure, now.structure, known.busy | now.busy)
        for name, corners in self._zones.items():
            inside = measure.zone_blocks(corners, (shape[0], shape[1]))
            share = float(different[inside].mean()) if inside.any() else 0.0
            yield _Sign(Condition.CHANGED, share, f"{share:.0%} of the zone shows something else", name)

    def _learn_light(self, known: _View, now: _View) -> None:
        """The same view in a light not seen before is remembered, unless something in a zone waits to be judged."""
        waiting = any(condition is Condition.CHANGED for condition, _ in self._since)
        ratio = now.brightness / max(1.0, known.brightness)
        if waiting or len(self._views) >= KEPT_VIEWS or 1 / OTHER_LIGHT < ratio < OTHER_LIGHT:
            return
        if measure.correlation(known.structure, now.structure) >= SAME_VIEW:
            self._views.append(now)

    def _held(self, signs: list[_Sign], at: float) -> Iterator[SceneCandidate]:
        """Those that have held for their time. What could not be measured just now neither starts nor ends."""
        for sign in signs:
            key = sign.condition, sign.zone
            if sign.score < LIMIT[sign.condition]:
                self._since.pop(key, None)
                continue
            since = self._since.setdefault(key, at)
            if at - since >= self._hold_s[sign.condition]:
                yield SceneCandidate(
                    condition=sign.condition, score=min(1.0, sign.score), since=since, why=sign.why, zone=sign.zone
                )
