"""A vehicle lane: its camera, its arm, and the loop under the arm where there is one.

plate --CheckPlate--> allowed: open --vehicle leaves the loop (or the arm closes)--> passed
                      blocked, unknown, doubtful: nothing opens, a person decides
open, nobody under it --not_closing_s--> alert; open --stuck_open_s--> alert; closed --> both cleared

The camera's plate is the first opinion and ours the second. When it opens, and when it does not:

- a camera that is sure of a plate registered exactly opens at once; what we read afterwards only counts a disagreement;
- a plate we read surely opens when it is registered exactly and the camera said nothing else;
- where the camera said something else, or the plate only resembles a registered one, or no look was sure, it takes two
  pictures that agree (the camera's own reading counts as one where it is the same);
- one doubtful picture, a resemblance to a blocklisted plate and a forged plate open nothing: a person decides;
- a vehicle another lane has just let through is not let through here: it is the same one, seen from behind.

One vehicle is opened for once, however many pictures of it there are; the one behind it is another.
"""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct
from msgspec.structs import replace

from devices.effects import CheckPlate, ClearAlert, Effect, OpenPassage, RaiseAlert, ReadPlate, RecordPoint, Report
from devices.events import (
    BarrierFault,
    BarrierFaulted,
    BarrierMoved,
    Direction,
    Event,
    Listing,
    LoopChanged,
    Method,
    PlateCaptured,
    PlateChecked,
    PlateOutcome,
    PlateRead,
    PlateVerdict,
    TamperDetected,
    Ticked,
    VehiclePassed,
)
from devices.kinds import passage
from devices.kinds.common import HOLDS_LIST, Params, Raised, earliest, either, limit, seconds, switched, tampered
from devices.kinds.passage import Passage
from devices.model import Device, DeviceKind, Step

PARAMS: Params = {
    **HOLDS_LIST,
    "plate_answer_s": (5, "how long after its capture a plate may still be read from the picture, s"),
    "open_within_s": (8, "how long after a plate was seen the arm may still open for it, s"),
    "same_plate_s": (5, "the same plate opens again only after this, or after the arm has closed, s"),
    "camera_sure": (0.8, "a camera less confident of its plate than this opens nothing alone, fraction"),
    "passage_s": (6, "pictures of one plate this close together are of one passage, s"),
    "settle_s": (2, "a vehicle nothing was opened for is told of after this long without a better picture, s"),
    "elsewhere_s": (10, "a vehicle let through this lane is not let through another so soon after, s"),
    "second_opinion": (1, "1: read the picture also when the camera has read the plate itself"),
    "plate_recent_s": (60, "how long after it was seen a plate explains a passage, s"),
    "has_loop": (0, "1: the loop under the arm tells that a vehicle passed; 0: the closing arm does"),
    "not_closing_s": (60, "open with nothing under the arm longer than this does not close, s; 0: never"),
    "stuck_open_s": (600, "open longer than this is stuck open, s; 0: never"),
    "forged_clear_s": (600, "how long after a forged plate was last seen the alert is over, s"),
}
MAX_WAITING = 8
NOT_CLOSING = f"barrier_{BarrierFault.NOT_CLOSING}"
STUCK_OPEN = f"barrier_{BarrierFault.STUCK_OPEN}"


class Vehicle(Struct, frozen=True, kw_only=True):
    """A vehicle seen in the lane. `at`: when, UTC."""

    plate: str
    at: datetime
    direction: Direction = Direction.UNKNOWN
    evidence: str = ""


class Barrier(Struct, frozen=True, kw_only=True):
    """`seen`: the last vehicle; `waiting`: those the arm opened for that have not passed, in order.

    `occupied`: numbers of occupied loops, `free_at`: since when all are free. `told`: too-long-open alerts of this
    opening. `reported_at`: our last `VehiclePassed`; `passes_itself`: the device reports passages, so we do not.
    `gone`, `gone_at`: the plate of the last one that passed, and when. `passage`: our looks at who stands there.
    """

    seen: Vehicle | None = None
    waiting: tuple[Vehicle, ...] = ()
    opened_at: datetime | None = None
    occupied: tuple[int, ...] = ()
    free_at: datetime | None = None
    told: Raised = ()
    opened_for: str = ""
    opened_for_at: datetime | None = None
    forged_at: datetime | None = None
    reported_at: datetime | None = None
    passes_itself: bool = False
    gone: str = ""
    gone_at: datetime | None = None
    passage: Passage = Passage()


def decide(lane: Barrier, event: Event, device: Device) -> Step[Barrier]:  # noqa: C901, PLR0911 - one table
    """See the table at the top; `deadline` says when it wants `Ticked`."""
    match event:
        case PlateCaptured():
            return _captured(lane, event, device)
        case PlateRead(outcome=PlateOutcome.READ | PlateOutcome.UNSURE, plate=plate) if plate:
            return _read(lane, event, device)
        case PlateChecked():
            return _checked(lane, event, device)
        case BarrierMoved(open=True, at=at):
            return _opened(lane, at, device), []
        case BarrierMoved(at=at):
            return _closed(lane, at, device)
        case LoopChanged():
            return _loop(lane, event, device)
        case VehiclePassed(at=at):
            own = lane.passes_itself or at != lane.reported_at
            return (_left(replace(lane, passes_itself=True), at) if own else lane), []
        case BarrierFaulted(fault=fault, active=active, at=at):
            code = f"barrier_{fault}"
            told = code in (NOT_CLOSING, STUCK_OPEN) and active and code not in lane.told
            return replace(lane, told=(*lane.told, code) if told else lane.told), [either(code, at, active=active)]
        case TamperDetected():
            return lane, tampered(event)
        case Ticked(at=at):
            return _tick(lane, at, device)
    return lane, []


def _captured(lane: Barrier, event: PlateCaptured, device: Device) -> Step[Barrier]:
    at, plate, evidence = event.at, event.plate, event.evidence
    effects: list[Effect] = []
    if plate:
        lane = replace(lane, seen=Vehicle(plate=plate, at=at, direction=event.direction, evidence=evidence))
        sure = event.confidence is None or event.confidence >= limit(device, PARAMS, "camera_sure")
        last = not (evidence and limit(device, PARAMS, "second_opinion"))
        check = CheckPlate(plate=plate, at=at, captured_at=at, evidence=evidence, sure=sure, settled=last)
        effects.append(check)
    if event.forged:
        # Still checked, for the block list; `_allowed` opens nothing for it.
        lane = replace(lane, forged_at=at)
        return lane, [RaiseAlert(code="plate_forged", at=at, subject=plate, evidence=evidence), *effects]
    if evidence and (not plate or limit(device, PARAMS, "second_opinion")):
        until = at + seconds(device, PARAMS, "plate_answer_s")
        effects.append(ReadPlate(evidence=evidence, captured_at=at, not_after=until, camera_plate=plate))
    return lane, effects


def _read(lane: Barrier, event: PlateRead, device: Device) -> Step[Barrier]:
    effects: list[Effect] = []
    sure = event.outcome is PlateOutcome.READ
    if sure and event.camera_plate and event.camera_plate != event.plate:
        effects.append(RecordPoint(metric="plate_disagreement", value=1, at=event.at))
    newer = lane.seen is None or lane.seen.at <= event.captured_at
    if sure and newer and not event.camera_plate:
        lane = replace(lane, seen=Vehicle(plate=event.plate, at=event.captured_at, evidence=event.evidence))
    looks, asked = passage.looked(lane.passage, event, seconds(device, PARAMS, "passage_s"))
    return replace(lane, passage=looks), effects + asked


def _checked(lane: Barrier, event: PlateChecked, device: Device) -> Step[Barrier]:
    """What the registry says of the vehicle that stands there; opened for once, and only while it must still be."""
    if _known(lane, event, device):
        return replace(lane, passage=passage.settled(lane.passage, event)), []
    if event.listing is Listing.BLOCK:
        return lane, []
    if event.listing not in (Listing.ALLOW, Listing.VISITOR) or not _enough(event):
        return replace(lane, passage=passage.doubted(lane.passage, event)), []
    return _allowed(lane, event, device)


def _enough(event: PlateChecked) -> bool:
    """See the rules at the top."""
    agreed = event.frames >= 2
    if event.verdict is PlateVerdict.EXACT:
        return agreed or (event.sure and not event.camera_plate)
    return event.verdict is PlateVerdict.SIMILAR and agreed


def _known(lane: Barrier, event: PlateChecked, device: Device) -> bool:
    """Was the arm opened for this vehicle, here or in the lane beside?"""
    if event.elsewhere or passage.same_vehicle(lane.passage, event):
        return True
    if event.camera_plate and event.camera_plate == lane.opened_for:
        return True  # by the camera's word; ours came second
    if event.plate == lane.gone and lane.gone_at is not None and event.captured_at < lane.gone_at:
        return True
    if event.plate != lane.opened_for or lane.opened_for_at is None:
        return False
    standing = lane.opened_at is not None and any(one.plate == event.plate for one in lane.waiting)
    return standing or abs(event.at - lane.opened_for_at) <= seconds(device, PARAMS, "same_plate_s")


def _allowed(lane: Barrier, event: PlateChecked, device: Device) -> Step[Barrier]:
    not_after = min(event.captured_at, event.at) + seconds(device, PARAMS, "open_within_s")
    if event.at > not_after or event.captured_at == lane.forged_at:
        return lane, []
    vehicle = lane.seen
    if vehicle is None or vehicle.plate != event.plate:
        vehicle = Vehicle(plate=event.plate, at=event.captured_at, evidence=event.evidence)
    misread = lane.seen is not None and lane.seen.evidence in event.looks
    others = tuple(other for other in lane.waiting if other.plate != event.plate)
    lane = replace(
        lane,
        opened_for=event.plate,
        opened_for_at=event.at,
        waiting=(*others, vehicle)[-MAX_WAITING:],
        seen=vehicle if misread else lane.seen,
        passage=passage.opened(lane.passage, event),
    )
    return lane, [OpenPassage(not_after=not_after, method=Method.PLATE, vehicle=event.vehicle)]


def let_through(lane: Barrier, plate: str, at: datetime, device: Device) -> bool:
    """Has this lane opened for this plate shortly before `at`? For the lanes beside it."""
    within = seconds(device, PARAMS, "elsewhere_s")
    opened, gone = lane.opened_for_at, lane.gone_at
    return (plate == lane.opened_for and opened is not None and abs(at - opened) <= within) or (
        plate == lane.gone and gone is not None and abs(at - gone) <= within
    )


def _opened(lane: Barrier, at: datetime, device: Device) -> Barrier:
    if lane.opened_at is not None:
        return lane
    waiting = lane.waiting
    if not waiting and lane.seen is not None and at - lane.seen.at <= seconds(device, PARAMS, "plate_recent_s"):
        waiting = (lane.seen,)  # opened by hand or by the device itself, for the one who stands there
    return replace(lane, opened_at=at, free_at=at, told=(), waiting=waiting)


def _closed(lane: Barrier, at: datetime, device: Device) -> Step[Barrier]:
    effects: list[Effect] = [ClearAlert(code=code, at=at) for code in lane.told]
    if lane.opened_at is not None and not limit(device, PARAMS, "has_loop"):
        for _ in lane.waiting or (None,):
            lane, passed = _passed(lane, at, device)
            effects += passed
    lane = replace(lane, opened_at=None, free_at=None, told=(), waiting=(), opened_for="", opened_for_at=None)
    lane = replace(lane, passage=replace(lane.passage, opened=()))
    return lane, effects


def _loop(lane: Barrier, event: LoopChanged, device: Device) -> Step[Barrier]:
    others = tuple(loop for loop in lane.occupied if loop != event.loop)
    if event.occupied:
        return replace(lane, occupied=(*others, event.loop)[-MAX_WAITING:]), []
    left = event.loop in lane.occupied and not others
    lane = replace(lane, occupied=others, free_at=event.at if left else lane.free_at)
    return _passed(lane, event.at, device) if left and lane.opened_at is not None else (lane, [])


def _passed(lane: Barrier, at: datetime, device: Device) -> Step[Barrier]:
    """The first one waiting has gone through, or one whose plate nobody read; said once, and not at all where the
    device says it.
    """
    first = lane.waiting[0] if lane.waiting else None
    lane = _left(lane, at)
    if lane.passes_itself:
        return lane, []
    recent = first is not None and at - first.at <= seconds(device, PARAMS, "plate_recent_s")
    who = first if first is not None and recent else Vehicle(plate="", at=at)
    passed = VehiclePassed(at=at, direction=way(device, who.direction), plate=who.plate, evidence=who.evidence)
    return replace(lane, reported_at=at), [Report(event=passed)]


def way(device: Device, otherwise: Direction) -> Direction:
    """The way a lane leads; what was said of it where it is registered as neither in nor out."""
    return Direction(device.direction) if device.direction in (Direction.IN, Direction.OUT) else otherwise


def _left(lane: Barrier, at: datetime) -> Barrier:
    """The first one waiting has left the lane."""
    if not lane.waiting:
        return lane
    first, *others = lane.waiting
    seen = None if lane.seen is not None and lane.seen.plate == first.plate else lane.seen
    return replace(lane, waiting=tuple(others), seen=seen, gone=first.plate, gone_at=at)


def _too_long(lane: Barrier, device: Device) -> list[tuple[datetime, str]]:
    """When which too-long-open alert is due."""
    if lane.opened_at is None:
        return []
    due = []
    if (stuck := seconds(device, PARAMS, "stuck_open_s")) and STUCK_OPEN not in lane.told:
        due.append((lane.opened_at + stuck, STUCK_OPEN))
    not_closing = seconds(device, PARAMS, "not_closing_s")
    if not_closing and not lane.occupied and NOT_CLOSING not in lane.told:
        due.append((max(lane.opened_at, lane.free_at or lane.opened_at) + not_closing, NOT_CLOSING))
    return due


def _forged_over(lane: Barrier, device: Device) -> datetime | None:
    return lane.forged_at + seconds(device, PARAMS, "forged_clear_s") if lane.forged_at is not None else None


def _tick(lane: Barrier, at: datetime, device: Device) -> Step[Barrier]:
    effects: list[Effect] = []
    for due, code in sorted(_too_long(lane, device)):
        if at >= due:
            told, raised = switched(lane.told, code, due, holds=True)
            lane = replace(lane, told=told)
            effects += raised
    if (over := _forged_over(lane, device)) and at >= over:
        lane = replace(lane, forged_at=None)
        effects.append(ClearAlert(code="plate_forged", at=over))
    if (last := passage.due(lane.passage, seconds(device, PARAMS, "settle_s"))) and at >= last:
        looks, asked = passage.last_word(lane.passage, at)
        lane = replace(lane, passage=looks)
        effects += asked
    return lane, effects


def deadline(lane: Barrier, device: Device) -> datetime | None:
    """When the arm has been open too long, a forged plate counts as gone, or no better picture is to be expected."""
    last = passage.due(lane.passage, seconds(device, PARAMS, "settle_s"))
    return earliest(*(due for due, _ in _too_long(lane, device)), _forged_over(lane, device), last)


BARRIER = DeviceKind(name="barrier", initial=Barrier(), decide=decide, deadline=deadline, params=PARAMS)
