"""Who is on duty when: shifts over midnight, absences, substitutes, at the size of a district."""

from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from devices.alert_types import Severity
from devices.alerts import Alert
from devices.escalation import Level
from devices.model import Device
from gateway.deskload import operator_hours
from gateway.directory import Directory, Place
from gateway.roster import Absence, Roster, Shift, Worker, began_on
from gateway.store import Store
from gateway.vault import Vault
from vision.gallery import Gallery

ZONE = ZoneInfo("Asia/Shanghai")
NIGHT = Shift(start=time(20), end=time(8))
DAY = Shift(start=time(8), end=time(20))
MONDAY = date(2026, 3, 2)
TUESDAY = MONDAY + timedelta(days=1)


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[Directory]:
    store = Store(tmp_path / "linli.db")
    made = Directory(store, Vault.at(tmp_path), Gallery(), zone="Asia/Shanghai", community="c1")
    made.load()
    yield made
    store.close()


def local(day: date, clock: str) -> datetime:
    return datetime.combine(day, time.fromisoformat(clock), ZONE)


def worker(name: str, *, level: Level = Level.GRID_WORKER, place: str = "g1", **more: object) -> Worker:
    return Worker(id=name, name=name, level=level, places=(place,), **more)


def away(first: date, last: date, substitute: str = "") -> Absence:
    return Absence(first=first, last=last, substitute=substitute)


def on_duty(roster: Roster, at: datetime, level: Level = Level.GRID_WORKER) -> tuple[str, ...]:
    return roster.serving(level, ("g1",), at)


@pytest.mark.parametrize(
    ("shift", "at", "inside"),
    [
        (NIGHT, local(MONDAY, "19:59:59"), False),
        (NIGHT, local(MONDAY, "20:00"), True),
        (NIGHT, local(TUESDAY, "07:59:59"), True),
        (NIGHT, local(TUESDAY, "08:00"), False),
        (Shift(days=(1,), start=time(20), end=time(8)), local(MONDAY, "07:00"), False),
        (Shift(days=(1,), start=time(20), end=time(8)), local(TUESDAY, "07:00"), True),
        (Shift(days=(1,), start=time(20), end=time(8)), local(TUESDAY, "21:00"), False),
        (Shift(start=time(20), end=time(8), last=MONDAY), local(TUESDAY, "07:00"), True),
        (Shift(start=time(20), end=time(8), first=TUESDAY), local(TUESDAY, "07:00"), False),
        (Shift(start=time(8), end=time(8)), local(TUESDAY, "03:00"), True),
        (Shift(days=(1,)), local(MONDAY, "00:00"), True),
        (Shift(days=(1,)), local(TUESDAY, "00:00"), False),
    ],
)
def test_the_hours_after_midnight_belong_to_the_day_the_shift_began(shift: Shift, at: datetime, inside: bool) -> None:
    assert (began_on(shift, at) is not None) is inside


@pytest.mark.parametrize(
    ("absence", "at", "told"),
    [
        (away(MONDAY, MONDAY, "s"), local(MONDAY, "21:00"), ("s",)),
        (away(MONDAY, MONDAY, "s"), local(TUESDAY, "02:00"), ("s",)),
        (away(MONDAY, MONDAY, "s"), local(TUESDAY, "21:00"), ("w",)),
        (away(TUESDAY, TUESDAY, "s"), local(TUESDAY, "02:00"), ("w",)),
        (away(TUESDAY, TUESDAY, "s"), local(TUESDAY, "21:00"), ("s",)),
        (away(MONDAY, MONDAY), local(TUESDAY, "02:00"), ()),
    ],
)
def test_who_is_away_on_a_day_is_away_for_the_whole_night_that_begins_on_it(
    directory: Directory, absence: Absence, at: datetime, told: tuple[str, ...]
) -> None:
    roster = directory.roster
    roster.put_staff([worker("w", shifts=(NIGHT,), absences=(absence,)), worker("s", place="elsewhere")])
    assert on_duty(roster, at) == told


def test_a_substitute_who_is_away_is_stood_in_for_and_a_circle_of_them_is_nobody(directory: Directory) -> None:
    roster, noon = directory.roster, local(MONDAY, "12:00")
    chain = [
        worker("w", absences=(away(MONDAY, MONDAY, "s"),)),
        worker("s", place="elsewhere", absences=(away(MONDAY, MONDAY, "t"),)),
        worker("t", place="elsewhere"),
    ]
    roster.put_staff(chain)
    assert on_duty(roster, noon) == ("t",)
    roster.put_staff([*chain[:2], worker("t", place="elsewhere", absences=(away(MONDAY, MONDAY, "w"),))])
    assert on_duty(roster, noon) == ()


def test_a_desk_nobody_is_registered_for_is_there_and_one_whose_shift_is_over_is_not(directory: Directory) -> None:
    roster = directory.roster
    roster.put_staff([worker("w")])
    assert on_duty(roster, local(MONDAY, "03:00"), Level.DESK) == ("desk",)
    roster.put_staff([worker("w"), worker("d", level=Level.DESK, shifts=(DAY,))])
    assert on_duty(roster, local(MONDAY, "12:00"), Level.DESK) == ("d",)
    assert on_duty(roster, local(MONDAY, "03:00"), Level.DESK) == ()


def test_an_operator_hour_is_an_hour_of_somebody_at_a_desk(directory: Directory) -> None:
    roster, start, end = directory.roster, local(MONDAY, "00:00"), local(TUESDAY, "00:00")
    assert operator_hours(roster, ["c1", "c2"], start, end) == 48, "a desk nobody is registered for has one operator"
    desk = {"level": Level.DESK, "place": "c1"}
    roster.put_staff(
        [worker("d1", shifts=(DAY,), **desk), worker("d2", shifts=(DAY,), **desk), worker("n", shifts=(NIGHT,), **desk)]
    )
    assert operator_hours(roster, ["c1"], start, end) == 2 * 12 + 12
    assert operator_hours(roster, ["c1"], start, local(MONDAY, "00:30")) == 0.5


def district() -> tuple[list[Place], list[Worker], list[Device]]:
    """886 grids in 118 communities, 1,212 grid workers, 4 buildings a grid with a gate each."""
    places = [Place(id="d", kind="district", name="D")]
    places += [Place(id=f"s{n}", kind="sub_district", name="S", parent="d") for n in range(12)]
    places += [Place(id=f"c{n}", kind="community", name="C", parent=f"s{n % 12}") for n in range(118)]
    places += [Place(id=f"g{n}", kind="grid", name="G", parent=f"c{n % 118}") for n in range(886)]
    places += [Place(id=f"b{n}", kind="building", name="B", parent=f"g{n % 886}") for n in range(4 * 886)]
    staff = [worker(f"w{n}", place=f"g{n % 886}", shifts=(DAY if n < 886 else NIGHT,)) for n in range(1212)]
    staff += [worker(f"k{n}", level=Level.COMMUNITY, place=f"c{n}") for n in range(118)]
    staff += [worker(f"z{n}", level=Level.SUB_DISTRICT, place=f"s{n}") for n in range(12)]
    gates = [
        Device(id=f"gate-{n}", kind="face_gate", protocol="native", address=f"G{n}", community=f"c{n % 886 % 118}")
        for n in range(200)
    ]
    return places, staff, gates


def alert_at(building: str, grid: str, community: str) -> Alert:
    at = local(MONDAY, "12:00")
    times = {"first_seen": at, "last_seen": at, "raised_at": at}
    place = {"building": building, "grid": grid, "community": community}
    return Alert(id="1", key="k", type="door_forced", severity=Severity.P1, **place, **times)


def test_a_district_of_886_grids_and_1212_workers_is_one_register(directory: Directory) -> None:
    places, staff, gates = district()
    directory.put_places(places)
    roster = directory.roster
    assert len(roster.put_staff(staff).added) == 1212 + 118 + 12
    for gate in gates:
        directory.put_device(gate)
    again = Directory(directory._store, directory._vault, Gallery(), zone="Asia/Shanghai", community="c1")
    again.load()
    for roster in (directory.roster, again.roster):
        for n in range(886):
            alert = alert_at(f"b{n}", f"g{n}", f"c{n % 118}")
            noon, night = local(MONDAY, "12:00"), local(MONDAY, "23:00")
            assert roster.on_duty(Level.GRID_WORKER, alert, noon) == (f"w{n}",)
            assert roster.on_duty(Level.GRID_WORKER, alert, night) == ((f"w{n + 886}",) if n + 886 < 1212 else ())
            assert roster.on_duty(Level.COMMUNITY, alert, night) == (f"k{n % 118}",)
            assert roster.on_duty(Level.SUB_DISTRICT, alert, night) == (f"z{n % 118 % 12}",)
    devices = again.devices()
    redrawn = [Place(id=p.id, kind=p.kind, name=p.name, parent="g0") if p.kind == "building" else p for p in places]
    again.put_places(redrawn)
    assert again.devices() == devices
    assert again.roster.on_duty(Level.GRID_WORKER, alert_at("b885", "g0", "c0"), local(MONDAY, "12:00")) == ("w0",)
