"""Each scenario as a table: what happens when, and what is told."""

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.effects import ClearAlert, RaiseAlert, RecordPoint
from devices.events import (
    AccessDenied,
    AccessGranted,
    AccessTaken,
    BayChanged,
    DenyReason,
    DeviceStatusChanged,
    Direction,
    DoorChanged,
    Event,
    LampMeasured,
    Listing,
    Method,
    PlateChecked,
    SensorMeasured,
    VehiclePassed,
)
from devices.model import Device
from gateway.policies import POLICIES
from gateway.settings import KeyPeriod, Policies
from tests.gateway.test_policies import BARRIER, GATE, Run, at

H = 3600.0
TOLD = list[tuple[str, str, str]]


def granted(s: float) -> AccessGranted:
    return AccessGranted(at=at(s), method=Method.CARD, person="res_1", evidence="e1")


def through(s: float) -> AccessTaken:
    return AccessTaken(at=at(s))


def shut(s: float) -> DoorChanged:
    return DoorChanged(at=at(s), open=False)


def refused(s: float, reason: DenyReason, person: str = "res_1") -> AccessDenied:
    return AccessDenied(at=at(s), method=Method.CARD, reason=reason, person=person)


def checked(s: float, listing: Listing, plate: str = "沪A12345") -> PlateChecked:
    return PlateChecked(at=at(s), captured_at=at(s), plate=plate, listing=listing)


def passed(s: float, direction: Direction, plate: str = "沪A12345") -> VehiclePassed:
    return VehiclePassed(at=at(s), plate=plate, direction=direction)


def played(policy: str, *events: tuple[Event, Device], until: float = 0) -> Run:
    run = Run(policy)
    for event, device in events:
        run.tell(event, device)
    if until:
        run.tick(at(until))
    return run


# -- tailgating --


@pytest.mark.parametrize(
    ("events", "told"),
    [
        ([granted(0), through(2)], []),
        ([granted(0), granted(1), through(2), through(3)], []),
        ([granted(0), through(2), through(4)], [("raise", "tailgating", "gate-1")]),
        ([granted(0), through(2), through(4), through(5)], [("raise", "tailgating", "gate-1")]),
        ([granted(0), through(2), shut(3), granted(4), through(5)], []),
        ([granted(0), through(2), through(20)], []),
        ([through(1), through(2)], []),
    ],
    ids=["one", "two on two", "two on one", "three on one", "two openings", "long after", "from inside"],
)
def test_more_passages_than_credentials_are_tailgating(events: list[Event], told: TOLD) -> None:
    assert played("tailgating", *((event, GATE) for event in events)).told == told


def test_tailgating_is_over_after_a_while() -> None:
    run = played("tailgating", *((e, GATE) for e in (granted(0), through(1), through(2))), until=400)
    assert run.told == [("raise", "tailgating", "gate-1"), ("clear", "tailgating", "gate-1")]


# -- credentials that were good once --


@pytest.mark.parametrize(
    ("reason", "code"),
    [
        (DenyReason.CREDENTIAL_EXPIRED, "expired_resident"),
        (DenyReason.CREDENTIAL_NOT_ENABLED, "withdrawn_credential"),
    ],
)
def test_the_second_try_with_an_old_credential_is_told_and_a_quiet_day_ends_it(reason: DenyReason, code: str) -> None:
    run = played("old_credential", (refused(0, reason), GATE), until=5)
    assert run.told == []
    run = played("old_credential", *((refused(s, reason), GATE) for s in (0, H)), until=26 * H)
    assert run.told == [("raise", code, "gate-1"), ("clear", code, "gate-1")]


def test_two_people_with_old_credentials_are_two_matters() -> None:
    why = DenyReason.CREDENTIAL_EXPIRED
    assert played("old_credential", (refused(0, why), GATE), (refused(9, why, "res_2"), GATE)).told == []


def test_a_person_who_is_merely_not_let_in_here_is_no_old_credential() -> None:
    why = DenyReason.UNAUTHORIZED
    assert played("old_credential", *((refused(s, why), GATE) for s in range(5))).told == []


# -- fever --


def test_temperature_is_nobodys_business_without_a_named_period() -> None:
    hot = SensorMeasured(at=at(0), metric="body_temperature_c", value=38.5)
    policy = next(p for p in POLICIES if p.name == "fever_at_gate")
    period = KeyPeriod(legal_basis="Order 7/2024", first=date(2024, 4, 30), last=date(2024, 5, 2))
    for limits, told in (
        (Policies(), 0),
        (Policies(key_period=period), 1),
        (Policies(key_period=KeyPeriod(first=date(2024, 4, 30), last=date(2024, 5, 2))), 0),
        (Policies(key_period=KeyPeriod(legal_basis="x", first=date(2024, 5, 2), last=date(2024, 5, 9))), 0),
    ):
        assert policy.scope(hot, GATE) == "gate-1"
        assert len(policy.decide(policy.initial, hot, GATE, limits)[1]) == told


# -- parking --

BAYS = [Device(id=f"bay-{n}", kind="bay", protocol="native", address=f"B{n}", community="c1") for n in range(5)]


def test_parking_is_full_when_every_public_bay_has_been_taken_for_a_while() -> None:
    full = [(BayChanged(at=at(n), occupied=True), bay) for n, bay in enumerate(BAYS)]
    assert played("parking_full", *full[:4], until=2 * H).told == []
    run = played("parking_full", *full, until=2 * H)
    run.tell(BayChanged(at=at(3 * H), occupied=False), BAYS[2])
    assert run.told == [("raise", "parking_full", "bay-0"), ("clear", "parking_full", "bay-0")]


def test_a_private_bay_says_nothing_about_parking() -> None:
    private = Device(id="p", kind="bay", protocol="native", address="P", community="c1", params={"private": 1})
    policy = next(p for p in POLICIES if p.name == "parking_full")
    assert policy.scope(BayChanged(at=at(0), occupied=True), private) == ""


# -- turned away --

ENTRY = Device(id="in-1", kind="barrier", protocol="native", address="I1", community="c1", direction="in")
EXIT = Device(id="out-1", kind="barrier", protocol="native", address="O1", community="c1", direction="out")
FULL = [(BayChanged(at=at(n), occupied=True), bay) for n, bay in enumerate(BAYS)]


def stands(seconds: float, plate: str = "苏A00001", listing: Listing = Listing.UNKNOWN) -> PlateChecked:
    return PlateChecked(at=at(seconds), captured_at=at(seconds), plate=plate, listing=listing)


def goes(seconds: float, plate: str = "苏A00001", direction: Direction = Direction.IN) -> VehiclePassed:
    return VehiclePassed(at=at(seconds), plate=plate, direction=direction)


@pytest.mark.parametrize(
    ("events", "counted"),
    [
        ([*FULL, (stands(60), ENTRY)], [60]),
        ([*FULL, (stands(60), ENTRY), (stands(70), ENTRY)], [60]),
        ([*FULL, (stands(60), ENTRY), (stands(70, "苏A00002"), ENTRY)], [60, 70]),
        ([*FULL, (stands(60), ENTRY), (goes(90), ENTRY)], []),
        ([*FULL, (stands(60), ENTRY), (goes(20 * 60), ENTRY)], []),
        ([*FULL, (stands(60), ENTRY), (goes(40 * 60), ENTRY)], [60]),
        ([*FULL, (stands(60), ENTRY), (goes(90, ""), ENTRY)], []),
        ([*FULL, (stands(60), ENTRY), (goes(90, "苏A00002"), ENTRY)], [60]),
        ([*FULL, (stands(60), ENTRY), (goes(90, direction=Direction.OUT), EXIT)], [60]),
        ([*FULL, (stands(60, listing=Listing.BLOCK), ENTRY)], []),
        ([*FULL, (stands(60), EXIT)], []),
        ([*FULL[:4], (stands(60), ENTRY)], []),
        ([*FULL, (BayChanged(at=at(30), occupied=False), BAYS[0]), (stands(60), ENTRY)], []),
    ],
)
def test_who_comes_while_it_is_full_and_does_not_go_in_was_turned_away(
    events: list[tuple[Event, Device]], counted: list[float]
) -> None:
    run = played("parking_full", *events, until=2 * H)
    points = [effect for effect in run.effects if isinstance(effect, RecordPoint)]
    assert [point.at for point in points] == [at(seconds) for seconds in counted]
    assert {(point.metric, point.device) for point in points} <= {("turned_away", "in-1")}


def test_the_alert_of_a_full_car_park_says_how_many_were_turned_away() -> None:
    run = played("parking_full", *FULL, (stands(60), ENTRY), (stands(2000, "苏A00002"), ENTRY), until=3 * H)
    told = [effect.detail for effect in run.effects if isinstance(effect, RaiseAlert)]
    assert told[-1] == {"bays": 5, "turned_away": 2}


# -- flapping --


def test_a_device_that_goes_away_again_and_again_flaps_until_it_has_been_steady() -> None:
    gone = [(DeviceStatusChanged(at=at(n * 300), online=False), GATE) for n in range(6)]
    assert played("flapping", *gone[:4]).told == []
    assert played("flapping", *gone).told == [("raise", "device_flapping", "gate-1")]
    assert played("flapping", *gone, until=3 * H).told[-1] == ("clear", "device_flapping", "gate-1")


# -- lights --

ROW = [
    Device(id=f"s{n}", kind="light", protocol="native", address=f"S{n}", community="c1", uplink="breaker-2")
    for n in range(6)
]
NIGHT = datetime(2024, 5, 1, 15, tzinfo=UTC)  # 23:00 in Shanghai
NOON = datetime(2024, 5, 1, 4, tzinfo=UTC)


def lamp(when: datetime, power: float) -> LampMeasured:
    return LampMeasured(at=when, active_power_w=power)


def test_half_of_a_row_dark_at_night_is_one_alert_and_is_over_when_it_shines_again() -> None:
    run = played("group_dark", *((lamp(NIGHT, 40), light) for light in ROW))
    for n, light in enumerate(ROW[:3]):
        run.tell(lamp(NIGHT + timedelta(minutes=n), 0), light)
    run.tell(lamp(NIGHT + timedelta(minutes=9), 40), ROW[0])
    assert [what for what, *_ in run.told] == ["raise", "clear"]


def test_a_row_that_is_off_by_day_is_as_it_should_be() -> None:
    assert played("group_dark", *((lamp(NOON, 0), light) for light in ROW)).told == []


STAIR = Device(
    id="stair-3", kind="light", protocol="native", address="T", community="c1", params={"lamps": 6, "lamp_w": 9}
)


@pytest.mark.parametrize(
    ("watts", "missing"),
    [([54, 53, 55], 0), ([45, 45, 44], 1), ([36, 37, 36], 2), ([45, 54, 45], 0), ([50, 51, 50], 0)],
    ids=["all", "one", "two", "not steady", "ageing"],
)
def test_a_meter_tells_how_many_stair_lights_are_out(watts: list[float], missing: int) -> None:
    run = Run("stair_circuit")
    for n, power in enumerate(watts):
        run.tell(LampMeasured(at=at(n * 60), level_pct=100, active_power_w=power), STAIR)
    assert [effect.detail["missing"] for effect in run.effects if isinstance(effect, RaiseAlert)] == (
        [missing] if missing else []
    )


def test_switched_off_a_stair_tells_nothing() -> None:
    off = [(LampMeasured(at=at(n), level_pct=0, active_power_w=0), STAIR) for n in range(9)]
    assert played("stair_circuit", *off).told == []


# -- all of them --

_EVENTS = st.one_of(
    st.builds(lambda s: (granted(s), GATE), st.integers(0, 5000)),
    st.builds(lambda s: (through(s), GATE), st.integers(0, 5000)),
    st.builds(lambda s, r: (refused(s, r), GATE), st.integers(0, 5000), st.sampled_from(DenyReason)),
    st.builds(lambda s, li: (checked(s, li), BARRIER), st.integers(0, 5000), st.sampled_from(Listing)),
    st.builds(lambda s, d: (passed(s, d), BARRIER), st.integers(0, 5000), st.sampled_from(Direction)),
    st.builds(lambda s, o, b: (BayChanged(at=at(s), occupied=o), b), st.integers(0, 5000), st.booleans(),
              st.sampled_from(BAYS)),
)  # fmt: skip


@given(st.lists(_EVENTS, max_size=30), st.sampled_from([p.name for p in POLICIES]))
def test_a_policy_never_clears_what_it_has_not_raised(events: list[tuple[Event, Device]], policy: str) -> None:
    run = Run(policy)
    for event, device in sorted(events, key=lambda pair: pair[0].at):
        run.tell(event, device)
    run.tick(at(10**6))
    standing: set[tuple[str, str, str]] = set()
    for effect in run.effects:
        assert isinstance(effect, RaiseAlert | ClearAlert)
        key = (effect.code, effect.device, effect.instance)
        if isinstance(effect, RaiseAlert):
            standing.add(key)
        else:
            assert key in standing
            standing.discard(key)
