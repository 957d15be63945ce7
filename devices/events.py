"""Facts, in the past tense: everything a device can have said, and everything we found out about it.

All are frozen. `at` is when it happened, in UTC; decoders put the device's own time there and the hub corrects it for
the device's clock before any state machine sees it. Times are `datetime`, lengths of time seconds, everything else
carries its unit in its name. Names follow ONVIF (access control, door), TALQ (lighting) and GA/T 1400 (faces, plates).

An image never travels inside an event: `evidence` is its key in the evidence store (`evidence_key`), "" when there is
none. `vendor` keeps what a message said beyond this vocabulary (`devices.protocols.wire.leftover`): for people,
bounded, nothing personal, and no decision rests on it.
"""

from __future__ import annotations

import hashlib
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any

from msgspec import Meta, Struct

Utc = Annotated[datetime, Meta(tz=True)]
Name = Annotated[str, Meta(max_length=128)]
Plate = Annotated[str, Meta(max_length=16)]
Fraction = Annotated[float, Meta(ge=0, le=1)]
Vendor = Annotated[dict[str, Any], Meta(max_length=32)]


def evidence_key(image: bytes) -> str:
    """Content address of an image: SHA-256, hex. The same bytes always have the same key."""
    return hashlib.sha256(image).hexdigest()


class Event(Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="type"):
    """Base of all facts. `at`: when it happened, UTC. `vendor`: fields of the message without a name here."""

    at: Utc
    vendor: Vendor = {}


# -- every device ---------------------------------------------


class OfflineReason(StrEnum):
    """Why a device counts as offline; `NONE` while it is online."""

    NONE = ""
    WILL = "last_will"
    GOODBYE = "goodbye"
    SILENT = "missed_heartbeats"


class DeviceStatusChanged(Event, frozen=True, kw_only=True, tag="device_status_changed"):
    """A device came or went. `boot_id` changes when it restarts ("" where the protocol has none)."""

    online: bool
    reason: OfflineReason = OfflineReason.NONE
    boot_id: Name = ""
    firmware: Name = ""


class Heartbeat(Event, frozen=True, kw_only=True, tag="heartbeat"):
    """Still there. Never journalled. `at` measures the device's clock where `Reading.timed`."""

    boot_id: Name = ""


class CommandResult(StrEnum):
    """What the device says of a command: understood, carried out, or not."""

    ACCEPTED = "accepted"
    DONE = "done"
    FAILED = "failed"


class CommandAnswered(Event, frozen=True, kw_only=True, tag="command_answered"):
    """The device's answer to the command `command_id`. `reason` is the vendor's code or text when it failed."""

    command_id: Name
    result: CommandResult
    reason: Name = ""


class TamperDetected(Event, frozen=True, kw_only=True, tag="tamper_detected"):
    """The housing was opened (`active`) or closed again."""

    active: bool = True


class BatteryMeasured(Event, frozen=True, kw_only=True, tag="battery_measured"):
    """Remaining charge in percent."""

    level_pct: Annotated[float, Meta(ge=0, le=100)]


class VendorNotice(Event, frozen=True, kw_only=True, tag="vendor_notice"):
    """Something only this vendor says, kept but not acted on: `name` the vendor's name for it, `code` its raw code."""

    name: Name
    code: Name = ""
    evidence: Name = ""


class ListRefusal(Struct, frozen=True, kw_only=True):
    """An entry of a list that a device did not take, and why, in the vendor's words or code."""

    entry: Name
    reason: Name = ""


class ListAnswered(Event, frozen=True, kw_only=True, tag="list_answered"):
    """The device's answer to a `SyncPersons` or `SyncPlates`: entries it `took` (added, changed or removed) and those
    it `refused`. An entry in neither is unknown and is asked about again, unless the device answers for all of them in
    one word (`rest`): then those not refused were taken.
    """

    command_id: Name
    took: tuple[Name, ...] = ()
    refused: tuple[ListRefusal, ...] = ()
    rest: bool = False


class ListReported(Event, frozen=True, kw_only=True, tag="list_reported"):
    """What a device says it holds: how many entries, and which, where it names them. `what`: persons or plates."""

    what: Name
    count: Annotated[int, Meta(ge=0)]
    entries: tuple[Name, ...] = ()


class SensorMeasured(Event, frozen=True, kw_only=True, tag="sensor_measured"):
    """One reading of anything else that measures; the unit is the end of `metric`'s name (temperature_c, humidity_pct,
    distance_mm, people_count).
    """

    metric: Name
    value: float


class Hazard(StrEnum):
    """What a sensor can warn of."""

    SMOKE = "smoke"
    GAS = "gas"
    WATER_LEAK = "water_leak"
    HEAT = "heat"
    INTRUSION = "intrusion"
    VIBRATION = "vibration"
    SOS = "sos"


class HazardDetected(Event, frozen=True, kw_only=True, tag="hazard_detected"):
    """A sensor warns of a danger (`active`), or says it is over. `test`: a test button was pressed."""

    hazard: Hazard
    active: bool = True
    test: bool = False
    evidence: Name = ""


class Ticked(Event, frozen=True, kw_only=True, tag="ticked"):
    """A deadline asked for has come. Made by the shell, never by a device."""


# -- face-access gate (ONVIF access control and door control) ---------------------------------------------


class Method(StrEnum):
    """How somebody identified themselves."""

    FACE = "face"
    CARD = "card"
    PIN = "pin"
    QR = "qr"
    PLATE = "plate"
    REMOTE = "remote"
    UNKNOWN = "unknown"


class DenyReason(StrEnum):
    """ONVIF tns1:AccessControl/Denied reasons (pt:DenyReason, Access Control Service Specification), and `OTHER`."""

    CREDENTIAL_NOT_ENABLED = "CredentialNotEnabled"
    CREDENTIAL_NOT_ACTIVE = "CredentialNotActive"
    CREDENTIAL_EXPIRED = "CredentialExpired"
    INVALID_PIN = "InvalidPIN"
    NOT_PERMITTED_AT_THIS_TIME = "NotPermittedAtThisTime"
    UNAUTHORIZED = "Unauthorized"
    UNKNOWN_CREDENTIAL = "UnknownCredential"
    OTHER = "Other"


class CredentialPresented(Event, frozen=True, kw_only=True, tag="credential_presented"):
    """A card, PIN or QR code was read and the device asks us whether to open. `value` never leaves the gateway.
    `reply_to`: the device waits for an `AnswerCredential` under this name and opens by itself; "": it is told to open.
    """

    method: Method
    value: Name
    reply_to: Name = ""


class CredentialChecked(Event, frozen=True, kw_only=True, tag="credential_checked"):
    """Our registry's answer to a `CheckCredential`. `person` is the registry's id, "" when unknown; `presented_at` is
    when the credential was shown; `reply_to` that of the `CredentialPresented`.
    """

    method: Method
    allowed: bool
    presented_at: Utc
    person: Name = ""
    reason: DenyReason = DenyReason.OTHER
    reply_to: Name = ""


class FaceCaptured(Event, frozen=True, kw_only=True, tag="face_captured"):
    """A terminal or camera sent a face it could not or should not decide on. `live`: its own liveness result."""

    evidence: Name
    live: bool | None = None


class FaceOutcome(StrEnum):
    """What looking at a face gave. `IDENTIFIED` names somebody; `REPLAYED` may, for the guard, and lets nobody in."""

    IDENTIFIED = "identified"
    UNSURE = "unsure"
    STRANGER = "stranger"
    NO_FACE = "no_face"
    MANY_FACES = "many_faces"
    LOW_QUALITY = "low_quality"
    UNREADABLE = "unreadable"
    REPLAYED = "replayed"


class Replay(StrEnum):
    """How a picture repeats one that the gate sent before: not at all, byte for byte, or nearly."""

    NONE = ""
    EXACT = "exact"
    NEAR = "near"


class FaceIdentified(Event, frozen=True, kw_only=True, tag="face_identified"):
    """The answer to an `IdentifyFace`. `distance`, `margin`, `threshold` are L2 between 128-d embeddings (lower is
    closer); `why` says where the threshold comes from, `searched` how many templates were compared, `model` which
    network measured; `allowed` and `deny` are the registry's verdict on `person`; `captured_at` is when the face was
    seen. `replay`: how the picture repeats an earlier one, with the outcome `REPLAYED`.
    """

    outcome: FaceOutcome
    evidence: Name
    captured_at: Utc
    person: Name = ""
    distance: float | None = None
    margin: float | None = None
    threshold: float | None = None
    why: Name = ""
    searched: int = 0
    model: Name = ""
    replay: Replay = Replay.NONE
    allowed: bool = False
    deny: DenyReason = DenyReason.OTHER


class AccessGranted(Event, frozen=True, kw_only=True, tag="access_granted"):
    """Somebody was let in, by the device itself or by us (ONVIF AccessControl/AccessGranted)."""

    method: Method
    person: Name = ""
    evidence: Name = ""
    similarity: Fraction | None = None
    direction: Name = ""


class AccessDenied(Event, frozen=True, kw_only=True, tag="access_denied"):
    """Somebody was refused (ONVIF AccessControl/Denied). `blocked`: the person is on a block list. `distance` and
    `threshold`: of the face match that named `person`, L2, where we made it.
    """

    method: Method
    reason: DenyReason
    person: Name = ""
    evidence: Name = ""
    blocked: bool = False
    distance: float | None = None
    threshold: float | None = None


class AccessTaken(Event, frozen=True, kw_only=True, tag="access_taken"):
    """The passage sensor saw somebody go through (ONVIF AccessControl/AccessTaken)."""


class DoorChanged(Event, frozen=True, kw_only=True, tag="door_changed"):
    """The door contact: open or closed (ONVIF DoorPhysicalState)."""

    open: bool


class DoorAlarm(StrEnum):
    """ONVIF tdc:DoorAlarmState."""

    NORMAL = "Normal"
    FORCED = "DoorForcedOpen"
    HELD = "DoorOpenTooLong"


class DoorAlarmed(Event, frozen=True, kw_only=True, tag="door_alarmed"):
    """The device itself reports a door alarm, or its end (`NORMAL`)."""

    state: DoorAlarm


class DuressSignalled(Event, frozen=True, kw_only=True, tag="duress_signalled"):
    """A duress code or finger was used. Handled silently: nothing at the gate may change."""

    person: Name = ""


# -- vehicle barrier ---------------------------------------------


class Direction(StrEnum):
    """Which way something passed, as seen from the estate."""

    IN = "in"
    OUT = "out"
    UNKNOWN = ""


class PlateCaptured(Event, frozen=True, kw_only=True, tag="plate_captured"):
    """A lane camera saw a vehicle. `plate` is the camera's own reading ("" when none), `confidence` its own figure.
    `forged`: the camera suspects a forged plate.
    """

    plate: Plate = ""
    confidence: Fraction | None = None
    evidence: Name = ""
    direction: Direction = Direction.UNKNOWN
    plate_color: Name = ""
    forged: bool = False
    trigger: Name = ""


class PlateOutcome(StrEnum):
    """What our own look at a plate gave."""

    READ = "read"
    UNSURE = "unsure"
    NO_PLATE = "no_plate"
    UNREADABLE = "unreadable"


class PlateCharacter(Struct, frozen=True, array_like=True):
    """One character as read, how sure we are, and what else it may be, with probabilities, likeliest first."""

    text: Annotated[str, Meta(max_length=1)]
    confidence: Fraction
    others: Annotated[tuple[tuple[str, float], ...], Meta(max_length=5)] = ()


class PlateRepair(Struct, frozen=True, array_like=True):
    """One character that is not what the reader alone would have said. `at`: its place, from 0; "": none there."""

    at: int
    was: str
    now: str
    why: Name


class PlateText(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One look at one plate, whole. `sure`: good enough in every character to be looked up. `grammar`: the name of the
    one it obeys, "" for none.
    """

    plate: Plate
    characters: Annotated[tuple[PlateCharacter, ...], Meta(max_length=16)]
    sure: bool = False
    grammar: Name = ""
    repairs: Annotated[tuple[PlateRepair, ...], Meta(max_length=16)] = ()


class PlateRead(Event, frozen=True, kw_only=True, tag="plate_read"):
    """The answer to a `ReadPlate`. `camera_plate` is what the camera itself had said, so a disagreement shows.
    `reading` has the characters of `plate` one by one.
    """

    outcome: PlateOutcome
    evidence: Name
    captured_at: Utc
    plate: Plate = ""
    confidence: Fraction | None = None
    camera_plate: Plate = ""
    reading: PlateText | None = None


class Listing(StrEnum):
    """Where a plate stands in the registry at this moment."""

    ALLOW = "allow"
    VISITOR = "visitor"
    EXPIRED = "expired"
    BLOCK = "block"
    UNKNOWN = "unknown"


class PlateVerdict(StrEnum):
    """How a plate as read was found in the registry."""

    EXACT = "exact"
    SIMILAR = "similar"
    UNSURE = "unsure"
    UNKNOWN = "unknown"


class PlateChecked(Event, frozen=True, kw_only=True, tag="plate_checked"):
    """Our registry's answer to a `CheckPlate` or a `MatchPlate`. `vehicle` is the registry's id, "" when unknown.

    `plate` is the registered one where the verdict is exact or similar, else as read; `read`: as read, where that
    differs. `distance` and `margin` to the next are in plain errors (`vision.confusion`). `frames` agree on it, the
    pictures `looks`; `sure`: one of them was read surely. `candidates`: vehicles it may be, nearest first.
    `near_block`: a blocklisted plate resembles it, for a person to look at. `camera_plate`: the camera's own reading
    where it is another. `elsewhere`: the lane that has just let this vehicle through. `settled`: no better look is to
    be waited for.
    """

    plate: Plate
    listing: Listing
    vehicle: Name = ""
    evidence: Name = ""
    captured_at: Utc
    verdict: PlateVerdict = PlateVerdict.EXACT
    read: Plate = ""
    distance: float | None = None
    margin: float | None = None
    frames: int = 1
    sure: bool = True
    looks: Annotated[tuple[Name, ...], Meta(max_length=16)] = ()
    candidates: Annotated[tuple[Name, ...], Meta(max_length=5)] = ()
    near_block: bool = False
    camera_plate: Plate = ""
    elsewhere: Name = ""
    settled: bool = True
    why: Name = ""


class VehiclePassed(Event, frozen=True, kw_only=True, tag="vehicle_passed"):
    """A vehicle went through the lane. `plate` "": none was read."""

    direction: Direction
    plate: Plate = ""
    evidence: Name = ""


class VehicleTraced(Event, frozen=True, kw_only=True, tag="vehicle_traced"):
    """A passage whose plate fitted nobody was most likely this vehicle's, with `probability`; `read`: the plate as
    read, "" for none. The register of who is inside follows it.
    """

    direction: Direction
    plate: Plate
    read: Plate = ""
    probability: Fraction
    evidence: Name = ""


class VehicleMarked(Event, frozen=True, kw_only=True, tag="vehicle_marked"):
    """Somebody looked for a vehicle on a round (巡查): it is `here`, or gone. `by`: the name of their token."""

    plate: Plate
    here: bool
    by: Name
    reason: Annotated[str, Meta(max_length=500)] = ""


class BarrierMoved(Event, frozen=True, kw_only=True, tag="barrier_moved"):
    """The arm's end switch: fully open or fully closed."""

    open: bool


class LoopChanged(Event, frozen=True, kw_only=True, tag="loop_changed"):
    """The induction loop under the arm: occupied or free. `loop` is its number."""

    occupied: bool
    loop: Annotated[int, Meta(ge=0, le=255)] = 0


class BarrierFault(StrEnum):
    """What is wrong with a barrier."""

    ARM_BLOCKED = "arm_blocked"
    STUCK_OPEN = "stuck_open"
    NOT_CLOSING = "not_closing"
    OBSTRUCTION = "obstruction"


class BarrierFaulted(Event, frozen=True, kw_only=True, tag="barrier_faulted"):
    """The barrier reports a fault, or its end."""

    fault: BarrierFault
    active: bool = True


# -- camera ---------------------------------------------


class ObjectDetected(Event, frozen=True, kw_only=True, tag="object_detected"):
    """A tracked object is (`present`) or is no longer in a zone. `track` identifies it while it is seen."""

    label: Name
    zone: Name = ""
    track: Name = ""
    confidence: Fraction = 1.0
    present: bool = True
    evidence: Name = ""


class CameraFault(StrEnum):
    """What is wrong with a picture (ONVIF tamper topics: GlobalSceneChange, ImageTooBlurry, SignalLoss...)."""

    SIGNAL_LOST = "signal_lost"
    OCCLUDED = "occluded"
    MOVED = "moved"
    DEFOCUSED = "defocused"
    FROZEN = "frozen"


class CameraHealthChanged(Event, frozen=True, kw_only=True, tag="camera_health_changed"):
    """A camera's picture became bad in this way, or good again."""

    fault: CameraFault
    active: bool
    evidence: Name = ""


class FrameCaptured(Event, frozen=True, kw_only=True, tag="frame_captured"):
    """A camera sent one picture of its scene, on request or by its own clock."""

    evidence: Name = ""


class SceneCandidate(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Something that may be wrong with a camera's view, or new in a zone of it, for a person to judge. `condition`:
    occluded, moved, defocused, frozen, too_dark, blown_out or changed; `since`: the first picture that showed it.
    """

    condition: Name
    score: Fraction
    since: Utc
    zone: Name = ""
    why: Name = ""


class SceneJudged(Event, frozen=True, kw_only=True, tag="scene_judged"):
    """The answer to a `WatchScene`: what holds now. `seen` False: the picture could not be looked at."""

    evidence: Name
    captured_at: Utc
    seen: bool = True
    candidates: Annotated[tuple[SceneCandidate, ...], Meta(max_length=32)] = ()


class SceneAccepted(Event, frozen=True, kw_only=True, tag="scene_accepted"):
    """A person says that a camera's view is as it should be: it is learnt anew. `by`: the name of their token."""

    by: Name
    reason: Annotated[str, Meta(max_length=500)]


# -- light (TALQ Lamp Monitor and Electrical Meter functions) ---------------------------------------------


class LampMeasured(Event, frozen=True, kw_only=True, tag="lamp_measured"):
    """One reading of a lamp controller. Names are TALQ's in snake case: `level_pct` (actual light state, 0 is off),
    `active_power_w`, `supply_voltage_v`, `supply_current_a`, `active_energy_kwh`, `operating_hours_h`,
    `temperature_c`, `illuminance_lx`. None: not measured.
    """

    level_pct: Annotated[float, Meta(ge=0, le=100)] | None = None
    active_power_w: float | None = None
    supply_voltage_v: float | None = None
    supply_current_a: float | None = None
    active_energy_kwh: float | None = None
    operating_hours_h: float | None = None
    temperature_c: float | None = None
    illuminance_lx: float | None = None


class LampFault(StrEnum):
    """What is wrong with a light. The first three are TALQ Lamp Monitor events."""

    LAMP_FAILURE = "lampFailure"
    LOW_POWER = "lampPowerTooLow"
    HIGH_POWER = "lampPowerTooHigh"
    FLICKER = "flicker"
    SUPPLY_LOSS = "supplyLoss"


class LampFaulted(Event, frozen=True, kw_only=True, tag="lamp_faulted"):
    """The controller itself reports a fault, or its end."""

    fault: LampFault
    active: bool = True


# -- manhole cover and parking bay ---------------------------------------------


class CoverMoved(Event, frozen=True, kw_only=True, tag="cover_moved"):
    """A manhole cover was opened or closed; `tilt_deg` from the horizontal where measured."""

    open: bool
    tilt_deg: float | None = None


class WaterMeasured(Event, frozen=True, kw_only=True, tag="water_measured"):
    """Distance of the water below the cover, in centimetres (0: at the cover)."""

    below_cover_cm: float


class BayChanged(Event, frozen=True, kw_only=True, tag="bay_changed"):
    """A parking bay was taken or left; `plate` where the sensor knows it."""

    occupied: bool
    plate: Plate = ""


def _leaves(base: type[Event]) -> list[type[Event]]:
    return [leaf for sub in base.__subclasses__() for leaf in ([sub, *_leaves(sub)])]


EVENTS: dict[str, type[Event]] = {str(e.__struct_config__.tag): e for e in _leaves(Event)}
"""Every event type by its wire name."""

NAME_OF: dict[type[Event], str] = {event: name for name, event in EVENTS.items()}
"""The wire name of every event type."""

INTERNAL: frozenset[type[Event]] = frozenset(
    {
        Ticked,
        CredentialChecked,
        FaceIdentified,
        PlateRead,
        PlateChecked,
        VehicleTraced,
        VehicleMarked,
        SceneJudged,
        SceneAccepted,
    },
)
"""Events only the gateway itself makes; a device that sends one is lying."""
