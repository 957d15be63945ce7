"""What a zone is for says what something in it means: a car in the fire lane, an e-bike at the lift. Pure.

A zone is known by the beginning of its name, as the installer gave it in the camera: fire lane, stairs or lift, no
parking for bikes. In any other, whatever stays is an intrusion after the camera's own `dwell_s`. Labels are COCO's,
as cameras with such models send them, and the ones makers in China add for two-wheelers.
"""

from __future__ import annotations

from msgspec import Struct

INTRUSION, FIRE_LANE = "zone_intrusion", "fire_lane_blocked"
_VEHICLES = frozenset({"car", "truck", "bus", "van", "motorcycle", "vehicle"})
UNLOADING = frozenset({"van", "truck"})
"""Vehicles that stop to unload."""
UNLOADING_H = range(7, 21)
"""The hours of the day, local, in which they do."""
_TWO_WHEELS = frozenset({"bicycle", "bike", "motorcycle", "ebike", "e-bike", "electric_bicycle", "tricycle"})
_CHARGED = frozenset({"ebike", "e-bike", "electric_bicycle", "motorcycle", "battery"})


class Rule(Struct, frozen=True, kw_only=True):
    """In zones whose name begins with one of `names`, something of `labels` that stays `dwell_s` raises `code`."""

    names: tuple[str, ...]
    labels: frozenset[str]
    code: str
    dwell_s: float


RULES: tuple[Rule, ...] = (
    Rule(names=("fire",), labels=_VEHICLES, code=FIRE_LANE, dwell_s=120),
    Rule(names=("stair", "lift", "elevator"), labels=_CHARGED, code="ebike_indoors", dwell_s=3),
    Rule(names=("no_park",), labels=_TWO_WHEELS, code="stray_bikes", dwell_s=600),
)


def rule(zone: str, label: str) -> Rule | None:
    """What this thing in this zone means; None: no more than that something is there."""
    name = zone.lower().replace("-", "_").replace(" ", "_")
    return next((r for r in RULES if name.startswith(r.names) and label.lower() in r.labels), None)
