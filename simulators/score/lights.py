"""Street lamps and stair circuits: one reading every quarter of an hour, and what can be wrong with them."""

from __future__ import annotations

from datetime import datetime, timedelta
from random import Random

from msgspec import Struct

from devices.events import LampMeasured
from simulators.score.place import LAMP_EVERY_S, STAIR_LAMP_W, STAIR_LAMPS
from simulators.score.world import World, hours, minutes, seconds

ON_H, OFF_H = 19.1, 4.8
"""The clock of the lamps in this month, local."""
WATT = 80.0
GLITCH = 0.0004
"""Of the readings: a meter that was read while it counted."""


class Wrong(Struct, frozen=True, kw_only=True):
    """What is wrong with a lamp from `start` until `end`: out, off, on or test; or how many of a stair's lamps are."""

    what: str
    start: datetime
    end: datetime
    lamps: int = 0


def lights(world: World) -> None:
    """Every lamp's readings, and what is wrong with some."""
    random = world.random("lights")
    wrong: dict[str, list[Wrong]] = {lamp.id: [] for lamp in world.of("light")}
    single(world, random, wrong)
    circuits(world, random, wrong)
    stairs(world, random, wrong)
    for lamp in world.of("light"):
        read = stair_reading if lamp.param("stair", 0) else street_reading
        at = world.start + seconds(random.uniform(0, LAMP_EVERY_S))
        while at < world.end:
            now = next((one for one in wrong[lamp.id] if one.start <= at < one.end), None)
            world.say(lamp.id, read(at, world, now, random))
            at += seconds(LAMP_EVERY_S + random.uniform(-20, 20))


def lit(at: datetime, world: World) -> bool:
    """By the clock of the lamps."""
    hour = (at - world.start).total_seconds() / 3600 % 24
    return hour >= ON_H or hour < OFF_H


def street_reading(at: datetime, world: World, wrong: Wrong | None, random: Random) -> LampMeasured:
    """Told to shine, and what it takes."""
    what = wrong.what if wrong else ""
    shines = (lit(at, world) or what in ("on", "test")) and what != "off"
    power = random.gauss(WATT, 2) if shines and what != "out" else random.uniform(0, 0.6)
    if random.random() < GLITCH:
        power = 0.0
    volts = random.gauss(226, 2)
    return LampMeasured(at=at, level_pct=100.0 if shines else 0.0, active_power_w=power, supply_voltage_v=volts)


def stair_reading(at: datetime, world: World, wrong: Wrong | None, random: Random) -> LampMeasured:
    """The meter of the stairs: at night at 60 %, off by day."""
    level = 60.0 if lit(at, world) else 0.0
    shining = STAIR_LAMPS - (wrong.lamps if wrong else 0)
    power = shining * STAIR_LAMP_W * level / 100 * random.gauss(1, 0.015)
    if random.random() < GLITCH:
        power /= 2
    return LampMeasured(at=at, level_pct=level, active_power_w=power)


def _street(world: World, random: Random, wrong: dict[str, list[Wrong]], start: datetime, end: datetime) -> str:
    """A street lamp that nothing else is wrong with in this time."""
    sound = [
        lamp.id
        for lamp in world.of("light")
        if not lamp.param("stair", 0) and all(end < one.start or one.end < start for one in wrong[lamp.id])
    ]
    return random.choice(sound)


def single(world: World, random: Random, wrong: dict[str, list[Wrong]]) -> None:
    """Lamps that are out, that shine by day, that stay dark."""
    for scenario, what, rate, code in (
        ("lamp out", "out", 6, "lamp_out"),
        ("lamp on by day", "on", 3, "lamp_on_by_day"),
        ("lamp dark at night", "off", 3, "lamp_dark_at_night"),
    ):
        for at in world.times(random, rate):
            start = at.replace(minute=0)
            end = start + timedelta(days=random.uniform(2, 5))
            lamp = _street(world, random, wrong, start, end)
            wrong[lamp].append(Wrong(what=what, start=start, end=end))
            shows = _when_it_shows(world, start, by_day=what == "on")
            world.happened(scenario, shows, end, code, devices=(lamp,), within_s=1800)


def _when_it_shows(world: World, start: datetime, *, by_day: bool) -> datetime:
    """The first moment from `start` on at which anybody could see it."""
    at = start
    while by_day in (lit(at, world), lit(at + hours(1), world)):
        at += minutes(5)
    return at


def circuits(world: World, random: Random, wrong: dict[str, list[Wrong]]) -> None:
    """A contactor fails and a whole street is dark for a night; and the lamps are tested at noon."""
    streets = [tuple(lamp.id for lamp in world.of("light") if lamp.uplink == f"circuit-{n}") for n in (1, 2)]
    for at in world.times(random, 2):
        start = at - hours((at - world.start).total_seconds() / 3600 % 24 - 20)
        end, lamps = start + hours(8), random.choice(streets)
        for lamp in lamps:
            wrong[lamp].insert(0, Wrong(what="off", start=start, end=end))
        dark, out = "lamp_dark_at_night", "lamp_out"
        world.happened("street dark", start, end, "lamp_group_dark", devices=lamps, explains=(dark, out))
    for at in world.times(random, 2, hours=(11, 13)):
        for lamp in random.choice(streets):
            wrong[lamp].insert(0, Wrong(what="test", start=at, end=at + minutes(30)))


def stairs(world: World, random: Random, wrong: dict[str, list[Wrong]]) -> None:
    """One or two lamps of a stair are out."""
    for at in world.times(random, 5):
        lamp, end = f"light-{random.randrange(21, 25)}", at + timedelta(days=random.uniform(1, 4))
        if all(end < one.start or one.end < at for one in wrong[lamp]):
            wrong[lamp].append(Wrong(what="stair", start=at, end=end, lamps=random.choice((1, 1, 2))))
            shows = _when_it_shows(world, at, by_day=False)
            world.happened("stair light out", shows, end, "stair_light_out", devices=(lamp,), within_s=3600)
