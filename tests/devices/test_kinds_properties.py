"""What holds for every kind, whatever its device says and in whatever order."""

from __future__ import annotations

import math
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devices.alert_types import ALERT_TYPES
from devices.effects import ClearAlert, Command, OpenPassage, RaiseAlert
from devices.events import (
    EVENTS,
    AccessDenied,
    BarrierFault,
    BarrierFaulted,
    BarrierMoved,
    BatteryMeasured,
    BayChanged,
    CameraFault,
    CameraHealthChanged,
    CoverMoved,
    CredentialChecked,
    DenyReason,
    DoorAlarm,
    DoorAlarmed,
    DoorChanged,
    DuressSignalled,
    Event,
    FaceCaptured,
    FaceIdentified,
    FrameCaptured,
    HazardDetected,
    LampFault,
    LampFaulted,
    LampMeasured,
    LoopChanged,
    Method,
    ObjectDetected,
    PlateCaptured,
    PlateChecked,
    PlateRead,
    SceneAccepted,
    SceneJudged,
    SensorMeasured,
    TamperDetected,
    Ticked,
    VehiclePassed,
    WaterMeasured,
)
from devices.kinds import KINDS
from devices.model import DeviceKind
from tests.devices.table import at, device

TIMES = st.one_of(st.integers(0, 60), st.integers(0, 400_000)).map(at)
WORDS = st.sampled_from(["", "a", "b"])
NUMBERS = st.floats(-1000, 1000)


def _values(kind: Any) -> st.SearchStrategy[Any]:  # noqa: C901, PLR0911 - one table
    """Values for one field of an event."""
    match kind:
        case msgspec.inspect.UnionType(types=types):
            return st.one_of(*(_values(t) for t in types))
        case msgspec.inspect.NoneType():
            return st.none()
        case msgspec.inspect.BoolType():
            return st.booleans()
        case msgspec.inspect.IntType():
            return st.integers(0, 20)
        case msgspec.inspect.FloatType(ge=low, le=high):
            return NUMBERS if high is None else st.floats(low or 0, high)
        case msgspec.inspect.EnumType(cls=cls):
            return st.sampled_from(list(cls))
        case msgspec.inspect.StructType(cls=cls):
            return _of(cls)
        case msgspec.inspect.VarTupleType(item_type=item):
            return st.lists(_values(item), max_size=3).map(tuple)
        case msgspec.inspect.TupleType(item_types=items):
            return st.tuples(*(_values(item) for item in items))
        case msgspec.inspect.DateTimeType():
            return TIMES
    return WORDS


def _of(event: type[Event]) -> st.SearchStrategy[Event]:
    fields = msgspec.inspect.type_info(event).fields
    return st.builds(event, **{f.name: _values(f.type) for f in fields})


ANYTHING = st.one_of(*(_of(event) for event in EVENTS.values()))
CONCERNS: dict[str, tuple[type[Event], ...]] = {
    "face_gate": (FaceCaptured, FaceIdentified, CredentialChecked, DoorChanged, DoorAlarmed, AccessDenied),
    "barrier": (PlateCaptured, PlateRead, PlateChecked, BarrierMoved, LoopChanged, BarrierFaulted, VehiclePassed),
    "camera": (ObjectDetected, FrameCaptured, SceneJudged, SceneAccepted),
    "light": (LampMeasured, LampFaulted),
    "cover": (CoverMoved, WaterMeasured, BatteryMeasured),
    "bay": (BayChanged, PlateChecked),
    "sensor": (SensorMeasured, HazardDetected),
}
"""What a kind reacts to: most of what it is told here, so that its states are really reached."""


def _told(kind: DeviceKind[Any]) -> st.SearchStrategy[list[Event]]:
    concerns = [_of(event) for event in CONCERNS[kind.name]]
    return st.lists(st.one_of(*concerns, *concerns, ANYTHING), min_size=1, max_size=30)


def _in_order(kind: DeviceKind[Any]) -> st.SearchStrategy[list[Event]]:
    return _told(kind).map(lambda events: sorted(events, key=lambda e: e.at))


EVERY_KIND = pytest.mark.parametrize("kind", list(KINDS.values()), ids=list(KINDS))


def _limits(kind: DeviceKind[Any]) -> st.SearchStrategy[dict[str, float]]:
    """The defaults, with some limits switched on, off or made small."""
    return st.dictionaries(st.sampled_from(["", *kind.params]), st.sampled_from([0.0, 1.0, 7.0, 90.0]), max_size=3)


def test_every_kind_is_found_by_its_own_name() -> None:
    assert set(KINDS) == {"face_gate", "barrier", "camera", "light", "cover", "bay", "sensor"}
    assert all(kind.name == name for name, kind in KINDS.items())


@EVERY_KIND
def test_every_limit_has_a_finite_default_and_a_meaning(kind: DeviceKind[Any]) -> None:
    for name, (default, meaning) in kind.params.items():
        assert math.isfinite(default), name
        assert len(meaning) > 10, name


@EVERY_KIND
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_whatever_a_device_says_its_state_survives_the_disk_and_its_effects_are_known(
    kind: DeviceKind[Any], data: st.DataObject
) -> None:
    thing = device(kind.name, **data.draw(_limits(kind)))
    state = kind.initial
    for event in data.draw(_told(kind)):
        state, effects = kind.decide(state, event, thing)
        assert msgspec.json.decode(msgspec.json.encode(state), type=type(kind.initial)) == state
        for effect in effects:
            msgspec.json.encode(effect)
            assert not isinstance(effect, RaiseAlert | ClearAlert) or effect.code in ALERT_TYPES
            assert not isinstance(effect, Command) or effect.not_after >= event.at


@EVERY_KIND
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_a_deadline_served_is_a_deadline_past(kind: DeviceKind[Any], data: st.DataObject) -> None:
    thing = device(kind.name, **data.draw(_limits(kind)))
    state, now = kind.initial, at(0)
    for event in data.draw(_in_order(kind)):
        now = event.at
        state, _ = kind.decide(state, event, thing)
    for wait in data.draw(st.lists(st.integers(0, 100_000), min_size=4, max_size=8)):
        due = kind.deadline(state, thing)
        if due is None:
            break
        now = max(now, due) + timedelta(seconds=wait)
        for _ in range(3):  # what was due in between may come one after the other, but it ends
            state, _effects = kind.decide(state, Ticked(at=now), thing)
        again = kind.deadline(state, thing)
        assert again is None or again > now


@EVERY_KIND
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_a_tick_before_the_deadline_changes_nothing(kind: DeviceKind[Any], data: st.DataObject) -> None:
    thing = device(kind.name)
    state = kind.initial
    for event in data.draw(_in_order(kind)):
        state, _ = kind.decide(state, event, thing)
    due = kind.deadline(state, thing)
    early = at(0) if due is None else due - timedelta(seconds=1)
    assert kind.decide(state, Ticked(at=early), thing) == (state, [])


@EVERY_KIND
@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_the_same_event_at_once_again_opens_nothing(kind: DeviceKind[Any], data: st.DataObject) -> None:
    thing = device(kind.name)
    state = kind.initial
    for event in data.draw(_in_order(kind)):
        state, _ = kind.decide(state, event, thing)
        again, effects = kind.decide(state, event, thing)
        assert not [e for e in effects if isinstance(e, OpenPassage)]
        assert kind.deadline(again, thing) == kind.deadline(state, thing)


@EVERY_KIND
@given(event=ANYTHING)
def test_only_an_answer_of_the_registry_opens_anything(kind: DeviceKind[Any], event: Event) -> None:
    _, effects = kind.decide(kind.initial, event, device(kind.name))
    if any(isinstance(e, OpenPassage) for e in effects):
        assert type(event).__name__ in ("FaceIdentified", "CredentialChecked", "PlateChecked")


@pytest.mark.parametrize(
    ("kind", "event", "code"),
    [
        ("face_gate", DoorAlarmed(at=at(0), state=DoorAlarm.FORCED), "door_forced"),
        ("face_gate", DoorAlarmed(at=at(0), state=DoorAlarm.HELD), "door_held_open"),
        ("face_gate", DuressSignalled(at=at(0)), "duress"),
        (
            "face_gate",
            AccessDenied(at=at(0), method=Method.FACE, reason=DenyReason.OTHER, blocked=True),
            "blocked_person",
        ),
        ("barrier", PlateCaptured(at=at(0), plate="a", forged=True), "plate_forged"),
        ("barrier", BarrierFaulted(at=at(0), fault=BarrierFault.ARM_BLOCKED), "barrier_arm_blocked"),
        ("camera", CameraHealthChanged(at=at(0), fault=CameraFault.OCCLUDED, active=True), "camera_occluded"),
        ("light", LampFaulted(at=at(0), fault=LampFault.SUPPLY_LOSS), "lamp_supply_loss"),
        ("light", LampMeasured(at=at(0), supply_voltage_v=3), "lamp_supply_loss"),
        ("cover", CoverMoved(at=at(0), open=True), "cover_open"),
        ("cover", CoverMoved(at=at(0), open=False, tilt_deg=40), "cover_tilted"),
        ("cover", WaterMeasured(at=at(0), below_cover_cm=5), "water_high"),
        ("bay", BatteryMeasured(at=at(0), level_pct=1), "battery_low"),
        *((kind, TamperDetected(at=at(0)), "tamper") for kind in KINDS),
    ],
)
def test_a_danger_that_arrives_late_raises_its_alert_without_knowing_what_was_before(
    kind: str, event: Event, code: str
) -> None:
    _, effects = KINDS[kind].decide(KINDS[kind].initial, event, device(kind))
    assert [(e.code, e.at) for e in effects if isinstance(e, RaiseAlert)] == [(code, at(0))]
