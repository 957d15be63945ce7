"""Which alert explains which: the root cause stays visible, what follows from it is put behind it. Pure.

broker away      > every silence and whatever is missing for it
site power, link > devices of the link offline, and what follows from that
device offline   > what its own silence leads to
comes and goes   > that it is away just now
supply lost      > the dark lamps of the circuit
camera away, blind > what it thinks it sees from then on
fire             > doors of the building that stand open, as they should
flood of alerts  > maintenance (P3), until it is over: see `gateway.budget`

Hiding is of the noise, never of the record; and never of a P1. What a camera saw while it could see is no noise: who
covers a camera does not make disappear what it has told before.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from msgspec import Struct

from devices.alert_types import ALERT_TYPES, Severity
from devices.alerts import Alert, Condition


class Reach(StrEnum):
    """How far a cause reaches."""

    EVERYTHING = "everything"
    UPLINK = "uplink"
    DEVICE = "device"
    BUILDING = "building"
    COMMUNITY = "community"


class Root(Struct, frozen=True, kw_only=True):
    """What an alert of one type explains: alerts of these types within its reach."""

    hides: frozenset[str]
    reach: Reach


_DARK = frozenset({"lamp_out", "lamp_dark_at_night", "stair_light_out", "lamp_group_dark", "lamp_supply_loss"})
_BLIND = frozenset(
    {"camera_signal_lost", "camera_occluded", "camera_moved", "camera_defocused", "camera_frozen"}
    | {"camera_too_dark", "camera_blown_out"}
)
_SEEN = frozenset(
    {"zone_intrusion", "fire_lane_blocked", "stray_bikes", "ebike_indoors"}
    | {"zone_changed_build", "zone_changed_fire_lane", "zone_changed_parking"}
)
_SILENT = frozenset({"clock_wrong", "battery_low"}) | _DARK | _BLIND
_OFF = frozenset({"device_offline"})
_FLAPS = frozenset({"device_flapping"})
_UPKEEP = frozenset(code for code, kind in ALERT_TYPES.items() if kind.severity is Severity.P3) - {"alarm_flood"}

ROOTS: Mapping[str, Root] = {
    "broker_offline": Root(hides=_OFF | _FLAPS | _SILENT | {"uplink_offline"}, reach=Reach.EVERYTHING),
    "uplink_offline": Root(hides=_OFF | _FLAPS | _SILENT, reach=Reach.UPLINK),
    "device_offline": Root(hides=_SILENT | _SEEN, reach=Reach.DEVICE),
    "device_flapping": Root(hides=_OFF, reach=Reach.DEVICE),
    "lamp_supply_loss": Root(hides=_DARK - {"lamp_supply_loss"}, reach=Reach.DEVICE),
    "lamp_group_dark": Root(hides=frozenset({"lamp_out", "lamp_dark_at_night"}), reach=Reach.UPLINK),
    **{code: Root(hides=_SEEN, reach=Reach.DEVICE) for code in sorted(_BLIND)},
    "smoke": Root(hides=frozenset({"door_held_open"}), reach=Reach.BUILDING),
    "heat": Root(hides=frozenset({"door_held_open"}), reach=Reach.BUILDING),
    "alarm_flood": Root(hides=_UPKEEP, reach=Reach.COMMUNITY),
}
"""Type of the cause -> what it explains."""


def explains(root: Alert, alert: Alert) -> bool:
    """Whether `root`, as it stands, is why there is `alert`."""
    if root.condition is not Condition.ACTIVE or root.id == alert.id or alert.severity is Severity.P1:
        return False
    if alert.type in _SEEN and alert.first_seen < root.first_seen:
        return False
    rule = ROOTS.get(root.type)
    return rule is not None and alert.type in rule.hides and place(root, rule.reach) == place(alert, rule.reach)


def place(alert: Alert, reach: Reach) -> str:
    """Where an alert is, as far as a cause of this reach is concerned: what is at the same place is reached."""
    match reach:
        case Reach.DEVICE:
            return alert.device
        case Reach.UPLINK:
            return f"{alert.community}/{alert.uplink}"
        case Reach.BUILDING:
            return f"{alert.community}/{alert.building or alert.device}"
        case Reach.COMMUNITY:
            return alert.community
        case Reach.EVERYTHING:
            return ""
