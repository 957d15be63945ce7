"""At the door: two through on one credential, a credential that is no longer good, and fever in a named period."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from msgspec import Struct
from msgspec.structs import replace

from devices.effects import ClearAlert, RaiseAlert
from devices.events import (
    AccessDenied,
    AccessGranted,
    AccessTaken,
    DenyReason,
    DoorChanged,
    Event,
    SensorMeasured,
    Ticked,
)
from devices.model import Device, Step
from gateway.policy import Policy, never
from gateway.settings import Policies

# -- two passages, one credential (尾随) -------------------------------------------------------------------------------


class Passage(Struct, frozen=True, kw_only=True):
    """One opening of a gate: `granted` credentials, people who went through (`taken`), the last of either at `last`."""

    gate: str = ""
    granted: int = 0
    taken: int = 0
    evidence: str = ""
    last: datetime | None = None
    raised_at: datetime | None = None


def _passage_scope(_event: Event, device: Device) -> str:
    return device.id if device.param("passage_sensor", 0) == 1 else ""


def _passage_deadline(state: Passage, limits: Policies) -> datetime | None:
    if state.raised_at is not None:
        return state.raised_at + timedelta(seconds=limits.tailgating_clear_s)
    return state.last + timedelta(seconds=limits.tailgating_s) if state.last else None


def _passage(state: Passage, event: Event, device: Device | None, limits: Policies) -> Step[Passage]:
    match event, device:
        case AccessGranted(at=at, evidence=evidence), Device():
            fresh = state if _same_opening(state, at, limits) else Passage(raised_at=state.raised_at)
            seen = evidence or fresh.evidence
            return replace(fresh, gate=device.id, granted=fresh.granted + 1, evidence=seen, last=at), []
        case AccessTaken(at=at), Device() if state.granted and _same_opening(state, at, limits):
            after = replace(state, taken=state.taken + 1, last=at)
            if after.taken <= after.granted or state.raised_at is not None:
                return after, []
            alert = RaiseAlert(
                code="tailgating",
                at=at,
                evidence=state.evidence,
                detail={"credentials": after.granted, "passages": after.taken},
                device=device.id,
            )
            return replace(after, raised_at=at), [alert]
        case DoorChanged(open=False), _ if state.raised_at is None:
            return Passage(), []
        case Ticked(at=at), _ if (due := _passage_deadline(state, limits)) and at >= due:
            return Passage(), [ClearAlert(code="tailgating", at=at, device=state.gate)] if state.raised_at else []
    return state, []


def _same_opening(state: Passage, at: datetime, limits: Policies) -> bool:
    return state.last is not None and at - state.last <= timedelta(seconds=limits.tailgating_s)


TAILGATING = Policy(
    name="tailgating",
    initial=Passage(),
    hears=(AccessGranted, AccessTaken, DoorChanged),
    scope=_passage_scope,
    decide=_passage,
    deadline=_passage_deadline,
)

# -- a credential that was good once: a temporary resident whose time is over, a consent withdrawn ---------------------

_CODES = {
    DenyReason.CREDENTIAL_EXPIRED: "expired_resident",
    DenyReason.CREDENTIAL_NOT_ENABLED: "withdrawn_credential",
}


class Trying(Struct, frozen=True, kw_only=True):
    """How often one person was refused for one reason, and when last."""

    gate: str = ""
    code: str = ""
    person: str = ""
    times: int = 0
    last: datetime | None = None


def _trying_scope(event: Event, device: Device) -> str:
    if isinstance(event, AccessDenied) and event.person and event.reason in _CODES:
        return f"{device.community}/{event.person}/{_CODES[event.reason]}"
    return ""


def _trying_deadline(state: Trying, limits: Policies) -> datetime | None:
    return state.last + timedelta(hours=limits.old_credential_h) if state.last else None


def _trying(state: Trying, event: Event, device: Device | None, limits: Policies) -> Step[Trying]:
    match event, device:
        case AccessDenied(at=at, person=person, reason=reason, evidence=evidence), Device():
            code, times = _CODES[reason], state.times + 1
            gate = state.gate if state.times >= limits.old_credential_tries else device.id
            after = Trying(gate=gate, code=code, person=person, times=times, last=at)
            if times < limits.old_credential_tries:
                return after, []
            told = RaiseAlert(
                code=code,
                at=at,
                instance=person,
                subject=person,
                evidence=evidence,
                detail={"tries": times, "within_h": limits.old_credential_h},
                device=gate,
            )
            return after, [told]
        case Ticked(at=at), _ if (due := _trying_deadline(state, limits)) and at >= due:
            told_before = state.times >= limits.old_credential_tries
            over = ClearAlert(code=state.code, at=at, instance=state.person, device=state.gate)
            return Trying(), [over] if told_before else []
    return state, []


OLD_CREDENTIAL = Policy(
    name="old_credential",
    initial=Trying(),
    hears=(AccessDenied,),
    scope=_trying_scope,
    decide=_trying,
    deadline=_trying_deadline,
)

# -- fever at a terminal that measures it: only in a period somebody has named the law for -----------------------------


class NoState(Struct, frozen=True):
    """Nothing is remembered of anybody's temperature."""


def _fever_scope(event: Event, device: Device) -> str:
    return device.id if isinstance(event, SensorMeasured) and event.metric == "body_temperature_c" else ""


def _fever(state: NoState, event: Event, device: Device | None, limits: Policies) -> Step[NoState]:
    profile = limits.key_period
    match event, device:
        case SensorMeasured(at=at, value=value), Device() if profile.covers(_day(at, device)):
            if value < profile.fever_c:
                return state, []
            detail = {"limit_c": profile.fever_c, "legal_basis": profile.legal_basis}
            return state, [RaiseAlert(code="fever_at_gate", at=at, detail=detail, device=device.id)]
    return state, []


def _day(at: datetime, device: Device) -> date:
    return at.astimezone(ZoneInfo(device.zone)).date()


FEVER = Policy(
    name="fever_at_gate", initial=NoState(), hears=(SensorMeasured,), scope=_fever_scope, decide=_fever, deadline=never
)
