"""A door that people are let through: by face (ours or the terminal's own decision), card, PIN or code.

closed --opens--> open --held_open_s--> held open (alert) --closes--> closed (alert cleared)

Nothing opens on a doubtful face, on one the terminal calls not live, on a photograph shown again, or on anything older
than `open_within_s`: who has waited that long is no longer at the door. `AccessGranted` is a record, ours or the
device's; it never opens.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from devices.effects import (
    AnswerCredential,
    CheckCredential,
    ClearAlert,
    Effect,
    IdentifyFace,
    OpenPassage,
    RaiseAlert,
    RecordPoint,
    Report,
)
from devices.events import (
    AccessDenied,
    AccessGranted,
    AccessTaken,
    CredentialChecked,
    CredentialPresented,
    DenyReason,
    DoorAlarm,
    DoorAlarmed,
    DoorChanged,
    DuressSignalled,
    Event,
    FaceCaptured,
    FaceIdentified,
    FaceOutcome,
    Method,
    TamperDetected,
    Ticked,
)
from devices.kinds.common import HOLDS_LIST, Params, earliest, limit, seconds, tampered
from devices.model import Device, DeviceKind, Step

PARAMS: Params = {
    **HOLDS_LIST,
    "face_answer_s": (5, "how long after its capture a face may still be identified, s"),
    "open_within_s": (5, "how long after a face or credential was presented the door may still open, s"),
    "held_open_s": (30, "open longer than this is held open, s; 0: never"),
    "grant_window_s": (10, "how long after a grant an opening counts as granted, s"),
    "forced_detection": (0, "1: opening without a grant is forced; 0: the door has an exit button or handle"),
    "attack_clear_s": (300, "how long after a face that was not live the alert is over, s"),
    "blocked_clear_s": (300, "how long after a blocked person was last seen the alert is over, s"),
}


class FaceGate(Struct, frozen=True, kw_only=True):
    """`opened_at`: since when the door is open, None while closed; `known`: the contact was heard, so closed is closed.
    `held`: this opening has its alert. `opened_for`: the last answer we opened on. `blocked_at`, `attacked_at`: when a
    blocked person, or a face that was not live, was last seen; see `blocked_clear_s`, `attack_clear_s`.
    """

    known: bool = False
    opened_at: datetime | None = None
    held: bool = False
    granted_at: datetime | None = None
    granted_to: str = ""
    taken_at: datetime | None = None
    opened_for: str = ""
    blocked_at: datetime | None = None
    attacked_at: datetime | None = None


def decide(gate: FaceGate, event: Event, device: Device) -> Step[FaceGate]:  # noqa: C901, PLR0911 - one table
    """See the table at the top; `deadline` says when it wants `Ticked`."""
    match event:
        case FaceCaptured(live=False) | FaceIdentified(outcome=FaceOutcome.REPLAYED):
            return _attacked(gate, event)
        case FaceCaptured() | FaceIdentified():
            return _face(gate, event, device)
        case CredentialPresented(method=method, value=value, at=at, reply_to=reply_to):
            return gate, [CheckCredential(method=method, value=value, at=at, reply_to=reply_to)]
        case CredentialChecked(allowed=True, method=method, person=person, at=at, presented_at=shown_at):
            granted = AccessGranted(at=at, method=method, person=person)
            return _grant(gate, granted, shown_at, device, reply_to=event.reply_to)
        case CredentialChecked():
            return gate, _refuse(event, device)
        case AccessGranted(at=at, person=person):
            return replace(gate, granted_at=at, granted_to=person), []
        case AccessDenied(blocked=True, at=at, person=person, evidence=evidence):
            blocked = RaiseAlert(code="blocked_person", at=at, subject=person, evidence=evidence)
            return replace(gate, blocked_at=at), [blocked]
        case AccessTaken(at=at):
            return replace(gate, taken_at=at), []
        case DuressSignalled(at=at, person=person):
            return gate, [RaiseAlert(code="duress", at=at, subject=person)]
        case TamperDetected():
            return gate, tampered(event)
        case DoorChanged() | DoorAlarmed():
            return _door(gate, event, device)
        case Ticked(at=at):
            return _tick(gate, at, device)
    return gate, []


def _face(gate: FaceGate, event: FaceCaptured | FaceIdentified, device: Device) -> Step[FaceGate]:
    at = event.at
    match event:
        case FaceCaptured(evidence=evidence):
            until = at + seconds(device, PARAMS, "face_answer_s")
            return gate, [IdentifyFace(evidence=evidence, captured_at=at, not_after=until)] if evidence else []
        case FaceIdentified(outcome=FaceOutcome.IDENTIFIED, allowed=True, person=person, evidence=evidence) if person:
            granted = AccessGranted(at=at, method=Method.FACE, person=person, evidence=evidence)
            return _grant(gate, granted, event.captured_at, device)
        case FaceIdentified(outcome=FaceOutcome.IDENTIFIED, allowed=False, person=person, evidence=evidence, deny=why):
            denied = AccessDenied(
                at=at,
                method=Method.FACE,
                reason=why,
                person=person,
                evidence=evidence,
                distance=event.distance,
                threshold=event.threshold,
            )
            return gate, [Report(event=denied)]
        case FaceIdentified(outcome=FaceOutcome.STRANGER, evidence=evidence):
            why = DenyReason.UNKNOWN_CREDENTIAL
            return gate, [Report(event=AccessDenied(at=at, method=Method.FACE, reason=why, evidence=evidence))]
    return gate, [RecordPoint(metric="faces_undecided", value=1, at=at)]


def _attacked(gate: FaceGate, event: FaceCaptured | FaceIdentified) -> Step[FaceGate]:
    """What was shown is no living face: the terminal says so, or the picture has been here before."""
    at, person = event.at, ""
    detail: dict[str, Any] = {"found_by": "terminal"}
    if isinstance(event, FaceIdentified):
        person, detail = event.person, {"repeats": event.replay.value}
        if event.distance is not None:
            detail |= {"distance": event.distance, "threshold": event.threshold}
    return replace(gate, attacked_at=at), [
        RecordPoint(metric="faces_not_live", value=1, at=at),
        RaiseAlert(code="presentation_attack", at=at, subject=person, evidence=event.evidence, detail=detail),
    ]


def _refuse(checked: CredentialChecked, device: Device) -> list[Effect]:
    at = checked.at
    denied = AccessDenied(at=at, method=checked.method, reason=checked.reason, person=checked.person)
    until = checked.presented_at + seconds(device, PARAMS, "open_within_s")
    if not checked.reply_to or at > until:
        return [Report(event=denied)]
    return [AnswerCredential(not_after=until, reply_to=checked.reply_to, allowed=False), Report(event=denied)]


def _grant(
    gate: FaceGate, granted: AccessGranted, shown_at: datetime, device: Device, *, reply_to: str = ""
) -> Step[FaceGate]:
    """Open, once for one answer, and only while whoever showed their face or card at `shown_at` is still there. A
    device that waits for an answer (`reply_to`) opens by it.
    """
    answer = f"{granted.method}/{granted.person}/{granted.evidence}/{shown_at.isoformat()}"
    answer += f"/{reply_to}" if reply_to else ""
    not_after = min(shown_at, granted.at) + seconds(device, PARAMS, "open_within_s")
    if answer == gate.opened_for or granted.at > not_after:
        return gate, []
    gate = replace(gate, granted_at=granted.at, granted_to=granted.person, opened_for=answer)
    if reply_to:
        return gate, [AnswerCredential(not_after=not_after, reply_to=reply_to, allowed=True), Report(event=granted)]
    opening = OpenPassage(not_after=not_after, method=granted.method, person=granted.person)
    return gate, [opening, Report(event=granted)]


def _door(gate: FaceGate, event: DoorChanged | DoorAlarmed, device: Device) -> Step[FaceGate]:
    at = event.at
    match event:
        case DoorChanged(open=True):
            if gate.opened_at is not None:
                return gate, []
            forced = gate.known and not _granted_by(gate, at, device) and limit(device, PARAMS, "forced_detection")
            opened = replace(gate, known=True, opened_at=at, held=False)
            return opened, [RaiseAlert(code="door_forced", at=at)] if forced else []
        case DoorChanged():
            over: list[Effect] = [ClearAlert(code="door_held_open", at=at)] if gate.held else []
            return replace(gate, known=True, opened_at=None, held=False), over
        case DoorAlarmed(state=DoorAlarm.FORCED):
            return gate, [RaiseAlert(code="door_forced", at=at)]
        case DoorAlarmed(state=DoorAlarm.HELD):
            return replace(gate, held=True), [RaiseAlert(code="door_held_open", at=at)]
    # The device watches this opening itself, so its all-clear counts more than our own deadline.
    return replace(gate, opened_at=None, held=False), [
        ClearAlert(code="door_forced", at=at),
        ClearAlert(code="door_held_open", at=at),
    ]


def _granted_by(gate: FaceGate, at: datetime, device: Device) -> bool:
    return gate.granted_at is not None and at - gate.granted_at <= seconds(device, PARAMS, "grant_window_s")


def _held_at(gate: FaceGate, device: Device) -> datetime | None:
    if gate.opened_at is None or gate.held:
        return None
    held_open = seconds(device, PARAMS, "held_open_s")
    return gate.opened_at + held_open if held_open else None


def _blocked_over(gate: FaceGate, device: Device) -> datetime | None:
    return gate.blocked_at + seconds(device, PARAMS, "blocked_clear_s") if gate.blocked_at is not None else None


def _attack_over(gate: FaceGate, device: Device) -> datetime | None:
    return gate.attacked_at + seconds(device, PARAMS, "attack_clear_s") if gate.attacked_at is not None else None


def _tick(gate: FaceGate, at: datetime, device: Device) -> Step[FaceGate]:
    effects: list[Effect] = []
    if (due := _held_at(gate, device)) and at >= due:
        gate = replace(gate, held=True)
        effects.append(RaiseAlert(code="door_held_open", at=due))
    if (due := _blocked_over(gate, device)) and at >= due:
        gate = replace(gate, blocked_at=None)
        effects.append(ClearAlert(code="blocked_person", at=due))
    if (due := _attack_over(gate, device)) and at >= due:
        gate = replace(gate, attacked_at=None)
        effects.append(ClearAlert(code="presentation_attack", at=due))
    return gate, effects


def deadline(gate: FaceGate, device: Device) -> datetime | None:
    """When the door counts as held open, or a blocked person or an attack as over."""
    return earliest(_held_at(gate, device), _blocked_over(gate, device), _attack_over(gate, device))


FACE_GATE = DeviceKind(name="face_gate", initial=FaceGate(), decide=decide, deadline=deadline, params=PARAMS)
