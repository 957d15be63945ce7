from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.alert_types import ALERT_TYPES
from devices.effects import ClearAlert, Effect, RaiseAlert, RecordPoint
from devices.events import (
    AccessDenied,
    AccessGranted,
    AccessTaken,
    DenyReason,
    DeviceStatusChanged,
    Direction,
    DoorChanged,
    Event,
    Listing,
    Method,
    OfflineReason,
    PlateChecked,
    Ticked,
    VehiclePassed,
)
from devices.model import Device
from gateway import outage
from gateway.policies import POLICIES
from gateway.policy import Policy
from gateway.settings import Policies

LIMITS = Policies(offline_wait_s=10)
START = datetime(2024, 5, 1, 8, tzinfo=UTC)
GATE = Device(
    id="gate-1", kind="face_gate", protocol="native", address="g1", community="c1", params={"passage_sensor": 1}
)
BARRIER = Device(id="barrier-1", kind="barrier", protocol="native", address="b1", community="c1")
BY_NAME = {policy.name: policy for policy in POLICIES}


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


class Run:
    """One policy in one scope, with its deadlines told as time goes on, as the hub does."""

    def __init__(self, policy: str) -> None:
        self.policy: Policy = BY_NAME[policy]
        self.states: dict[str, Any] = {}
        self.effects: list[Effect] = []

    def tick(self, now: datetime) -> None:
        for scope, state in list(self.states.items()):
            due = self.policy.deadline(state, LIMITS)
            if due and due <= now:
                self._take(scope, *self.policy.decide(state, Ticked(at=now), None, LIMITS))

    def tell(self, event: Event, device: Device) -> None:
        self.tick(event.at)
        scope = self.policy.scope(event, device) if type(event) in self.policy.hears else ""
        if scope:
            state = self.states.get(scope, self.policy.initial)
            self._take(scope, *self.policy.decide(state, event, device, LIMITS))

    def _take(self, scope: str, state: Any, effects: list[Effect]) -> None:
        again = msgspec.json.decode(msgspec.json.encode(state), type=type(self.policy.initial))
        assert again == state, "a state survives a restart"
        self.states[scope] = again
        self.effects += effects

    @property
    def told(self) -> list[tuple[str, str, str]]:
        found = []
        for effect in self.effects:
            if isinstance(effect, RecordPoint):
                continue
            assert isinstance(effect, RaiseAlert | ClearAlert)
            assert effect.code in ALERT_TYPES
            found.append(("raise" if isinstance(effect, RaiseAlert) else "clear", effect.code, effect.device))
        return found


def denied(seconds: float, evidence: str = "") -> AccessDenied:
    return AccessDenied(at=at(seconds), method=Method.FACE, reason=DenyReason.UNKNOWN_CREDENTIAL, evidence=evidence)


def granted(seconds: float, person: str = "") -> AccessGranted:
    return AccessGranted(at=at(seconds), method=Method.CARD, person=person)


def checked(seconds: float, plate: str, listing: Listing, vehicle: str = "") -> PlateChecked:
    return PlateChecked(
        at=at(seconds), captured_at=at(seconds - 1), plate=plate, listing=listing, vehicle=vehicle, evidence="e1"
    )


def passed(seconds: float, plate: str, direction: Direction) -> VehiclePassed:
    return VehiclePassed(at=at(seconds), plate=plate, direction=direction)


# -- refusals --


def test_the_third_refusal_within_the_window_raises_one_alert_with_its_picture() -> None:
    run = Run("repeated_refusal")
    for n in range(3):
        run.tell(denied(n * 10, evidence=f"e{n}"), GATE)
    assert run.told == [("raise", "repeated_refusal", "gate-1")]
    assert isinstance(run.effects[0], RaiseAlert)
    assert run.effects[0].evidence == "e2"
    assert run.effects[0].detail == {"refusals": 3, "window_s": 120.0}


def test_refusals_spread_over_more_than_the_window_raise_nothing() -> None:
    run = Run("repeated_refusal")
    for n in range(6):
        run.tell(denied(n * 61), GATE)
    assert run.told == []


def test_refusals_at_two_gates_are_not_added_up() -> None:
    run = Run("repeated_refusal")
    for n in range(4):
        run.tell(denied(n), GATE if n % 2 else BARRIER)
    assert run.told == []


def test_letting_somebody_in_ends_the_refusals() -> None:
    run = Run("repeated_refusal")
    for n in range(3):
        run.tell(denied(n), GATE)
    run.tell(granted(5), GATE)
    assert run.told[-1] == ("clear", "repeated_refusal", "gate-1")
    assert run.states["gate-1"] == BY_NAME["repeated_refusal"].initial


def test_a_quiet_window_ends_the_refusals() -> None:
    run = Run("repeated_refusal")
    for n in range(3):
        run.tell(denied(n), GATE)
    run.tick(at(2 + 120))
    assert run.told[-1] == ("clear", "repeated_refusal", "gate-1")


def test_letting_somebody_in_without_refusals_changes_nothing() -> None:
    policy = BY_NAME["repeated_refusal"]
    state, effects = policy.decide(policy.initial, granted(0), GATE, LIMITS)
    assert state is policy.initial
    assert effects == []


# -- vehicles --


def test_a_blocklisted_plate_raises_and_ends_ten_minutes_after_it_was_last_seen() -> None:
    run = Run("blocklisted_plate")
    run.tell(checked(0, "苏A00001", Listing.BLOCK, "veh_1"), BARRIER)
    run.tell(checked(60, "苏A00001", Listing.BLOCK, "veh_1"), BARRIER)
    run.tick(at(600))
    assert run.told == [("raise", "blocklisted_plate", "barrier-1")] * 2
    run.tick(at(660))
    assert run.told[-1] == ("clear", "blocklisted_plate", "barrier-1")
    first, last = run.effects[0], run.effects[-1]
    assert isinstance(first, RaiseAlert)
    assert isinstance(last, ClearAlert)
    assert (first.instance, first.subject, first.evidence, first.at) == ("veh_1", "苏A00001", "e1", at(-1))
    assert last.instance == "veh_1"


@pytest.mark.parametrize("listing", [Listing.ALLOW, Listing.VISITOR])
def test_a_welcome_vehicle_raises_nothing(listing: Listing) -> None:
    for name in ("blocklisted_plate", "unknown_vehicle"):
        run = Run(name)
        run.tell(checked(0, "苏A00002", listing), BARRIER)
        assert run.told == []


@pytest.mark.parametrize("listing", [Listing.UNKNOWN, Listing.EXPIRED])
def test_an_unknown_vehicle_is_an_alert_until_it_has_passed(listing: Listing) -> None:
    run = Run("unknown_vehicle")
    run.tell(checked(0, "苏A00003", listing), BARRIER)
    run.tell(passed(5, "苏A00004", Direction.IN), BARRIER)
    assert run.told == [("raise", "unknown_vehicle", "barrier-1")]
    run.tell(passed(9, "苏A00003", Direction.IN), BARRIER)
    assert run.told[-1] == ("clear", "unknown_vehicle", "barrier-1")


def test_what_tells_unknown_vehicles_apart_does_not_tell_their_plates() -> None:
    run = Run("unknown_vehicle")
    run.tell(checked(0, "苏A00003", Listing.UNKNOWN), BARRIER)
    run.tell(checked(1, "苏A00005", Listing.UNKNOWN), BARRIER)
    first, second = (e.instance for e in run.effects if isinstance(e, RaiseAlert))
    assert first != second
    assert {first, second} == {"20240501T080000000000", "20240501T080001000000"}


# -- nobody passed --


def test_a_door_opened_for_nobody_raises_even_when_it_closes_again() -> None:
    run = Run("door_open_nobody_passed")
    run.tell(granted(0, "res_1"), GATE)
    run.tell(DoorChanged(at=at(1), open=True), GATE)
    run.tell(DoorChanged(at=at(4), open=False), GATE)
    run.tick(at(16))
    assert run.told == [("raise", "door_open_nobody_passed", "gate-1")]
    run.tick(at(16 + 600))
    assert run.told[-1] == ("clear", "door_open_nobody_passed", "gate-1")


def test_a_door_somebody_went_through_raises_nothing() -> None:
    run = Run("door_open_nobody_passed")
    run.tell(granted(0), GATE)
    run.tell(DoorChanged(at=at(1), open=True), GATE)
    run.tell(AccessTaken(at=at(3)), GATE)
    run.tick(at(100))
    assert run.told == []
    assert run.states["gate-1"] == BY_NAME["door_open_nobody_passed"].initial


def test_a_door_without_a_passage_sensor_is_not_watched() -> None:
    run = Run("door_open_nobody_passed")
    blind = msgspec.structs.replace(GATE, params={})
    run.tell(granted(0), blind)
    run.tell(DoorChanged(at=at(1), open=True), blind)
    assert run.states == {}


def test_a_door_that_never_opened_raises_nothing() -> None:
    run = Run("door_open_nobody_passed")
    run.tell(granted(0), GATE)
    run.tick(at(100))
    run.tell(DoorChanged(at=at(101), open=True), GATE)
    run.tick(at(200))
    assert run.told == []


# -- outage --


def lamps(count: int, uplink: str = "switch-7") -> list[Device]:
    return [
        Device(id=f"lamp-{n}", kind="light", protocol="native", address=f"l{n}", community="c1", uplink=uplink)
        for n in range(count)
    ]


def status(seconds: float, online: bool) -> DeviceStatusChanged:
    reason = OfflineReason.NONE if online else OfflineReason.WILL
    return DeviceStatusChanged(at=at(seconds), online=online, reason=reason)


def estate(count: int) -> tuple[Run, list[Device]]:
    run, devices = Run("offline"), lamps(count)
    for device in devices:
        run.tell(status(-100, online=True), device)
    return run, devices


def test_one_device_away_raises_one_alert_and_its_return_ends_it() -> None:
    run, devices = estate(10)
    run.tell(status(0, online=False), devices[4])
    run.tick(at(9))
    assert run.told == []
    run.tick(at(10))
    run.tell(status(20, online=True), devices[4])
    assert run.told == [("raise", "device_offline", "lamp-4"), ("clear", "device_offline", "lamp-4")]


def test_a_device_that_is_back_before_the_wait_is_over_raises_nothing() -> None:
    run, devices = estate(10)
    run.tell(status(0, online=False), devices[4])
    run.tell(status(5, online=True), devices[4])
    run.tick(at(60))
    assert run.told == []


def test_a_lost_uplink_raises_one_alert_and_none_for_its_devices() -> None:
    run, devices = estate(40)
    for n, device in enumerate(devices):
        run.tell(status(n * 0.1, online=False), device)
    run.tick(at(10))
    run.tick(at(60))
    assert run.told == [("raise", "uplink_offline", "lamp-0")]
    alert = run.effects[0]
    assert isinstance(alert, RaiseAlert)
    assert alert.instance == "switch-7"
    assert alert.detail == {"devices_offline": 40, "devices_known": 40}
    for n, device in enumerate(devices):
        run.tell(status(100 + n * 0.1, online=True), device)
    run.tick(at(200))
    assert run.told[1:] == [("clear", "uplink_offline", "lamp-0")]


def test_a_device_that_stays_away_after_the_uplink_is_back_gets_its_own_alert() -> None:
    run, devices = estate(10)
    for device in devices:
        run.tell(status(0, online=False), device)
    run.tick(at(10))
    for device in devices[1:]:
        run.tell(status(100, online=True), device)
    run.tick(at(120))
    assert run.told == [
        ("raise", "uplink_offline", "lamp-0"),
        ("clear", "uplink_offline", "lamp-0"),
        ("raise", "device_offline", "lamp-0"),
    ]


def test_two_of_three_devices_away_is_not_yet_an_outage() -> None:
    run, devices = estate(3)
    for device in devices[:2]:
        run.tell(status(0, online=False), device)
    run.tick(at(10))
    assert run.told == [("raise", "device_offline", "lamp-0"), ("raise", "device_offline", "lamp-1")]


def test_another_uplink_is_judged_by_itself() -> None:
    run, devices = estate(5)
    other = lamps(1, uplink="switch-8")[0]
    for device in devices:
        run.tell(status(0, online=False), device)
    run.tell(status(0, online=True), other)
    run.tick(at(10))
    assert set(run.states) == {"c1/switch-7", "c1/switch-8"}
    assert len(run.told) == 1


def test_no_more_devices_are_remembered_than_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outage, "KNOWN_AT_MOST", 5)
    run, _ = estate(9)
    for device in lamps(9):
        run.tell(status(0, online=False), device)
    assert len(run.states["c1/switch-7"].known) == 5


# -- all of them, whatever comes --

TIMES = st.floats(0, 4_000_000).map(at)
EVENTS = st.one_of(
    st.builds(
        AccessDenied,
        at=TIMES,
        method=st.sampled_from(Method),
        reason=st.sampled_from(DenyReason),
        blocked=st.booleans(),
    ),
    st.builds(AccessGranted, at=TIMES, method=st.sampled_from(Method)),
    st.builds(AccessTaken, at=TIMES),
    st.builds(DoorChanged, at=TIMES, open=st.booleans()),
    st.builds(
        PlateChecked,
        at=TIMES,
        captured_at=TIMES,
        plate=st.sampled_from(["", "苏A00001", "苏A00002"]),
        listing=st.sampled_from(Listing),
    ),
    st.builds(
        VehiclePassed,
        at=TIMES,
        direction=st.sampled_from(Direction),
        plate=st.sampled_from(["", "苏A00001", "苏A00002"]),
    ),
    st.builds(DeviceStatusChanged, at=TIMES, online=st.booleans()),
)


@given(story=st.lists(st.tuples(EVENTS, st.sampled_from([GATE, BARRIER, *lamps(6)])), max_size=40))
def test_no_story_breaks_a_policy_and_every_tick_moves_its_deadline_on(story: list[tuple[Event, Device]]) -> None:
    for policy in POLICIES:
        run = Run(policy.name)
        for event, device in story:
            run.tell(event, device)
        for effect in run.effects:
            assert isinstance(effect, RaiseAlert | ClearAlert)
            assert effect.device
        for scope, state in run.states.items():
            due = policy.deadline(state, LIMITS)
            if due is not None:
                after, _ = policy.decide(state, Ticked(at=due), None, LIMITS)
                later = policy.deadline(after, LIMITS)
                assert later is None or later > due, (policy.name, scope)
