"""At the lanes and in the bays: a car is read right, misread or not at all, and some never leave."""

from __future__ import annotations

from datetime import datetime, timedelta
from random import Random

from devices.events import BarrierMoved, BayChanged, Direction, PlateCaptured
from simulators.score.place import Car, plate
from simulators.score.world import LEAD_IN_DAYS, World, hours, minutes, seconds

UNREAD, MISREAD = 0.01, 0.012
"""Of the passages: the camera saw no plate; it took one character for another."""
ALIKE = ("0D", "0Q", "8B", "2Z", "5S", "6G", "17", "38", "56", "4A", "EF", "MN", "UV", "PR", "KX", "DQ")
"""Characters that plate readers take for each other."""
IN, OUT = "barrier-1", "barrier-2"
ALLOWED_H = 24
"""How long a guest may stay, by the estate's own rule."""
ABANDONED_DAYS = 30
"""From when on an unmoved car is a zombie car, by the estate's own rule."""


def misread(text: str, random: Random) -> str:
    """One character taken for another that looks like it, where there is one."""
    places = [(n, pair) for n, character in enumerate(text) for pair in ALIKE if n >= 2 and character in pair]
    if not places:
        return text
    n, pair = random.choice(places)
    return text[:n] + pair[1 - pair.index(text[n])] + text[n + 1 :]


class Lanes:
    """The two lanes, and what their cameras make of who passes."""

    def __init__(self, world: World, cars: list[Car]) -> None:
        self.world = world
        self.registered = {car.plate: car for car in cars}

    def passes(self, random: Random, text: str, at: datetime, lane: str, *, let_in: bool = True) -> None:
        """A car comes to the lane; the guard opens for whom the gateway does not (`let_in`)."""
        world, chance = self.world, random.random()
        if let_in:
            world.drives(text, at, inward=lane == IN)
        if chance < UNREAD:
            if let_in:
                self._arm(lane, at + seconds(random.uniform(10, 30)), random)
            return
        seen = misread(text, random) if chance < UNREAD + MISREAD else text
        known = self._in_force(seen, at)
        confidence = random.uniform(0.6, 0.95) if seen != text else random.uniform(0.86, 0.99)
        direction = Direction.IN if lane == IN else Direction.OUT
        world.say(lane, PlateCaptured(at=at, plate=seen, confidence=confidence, direction=direction))
        self._truth(text, seen, at, lane, known=known)
        if let_in:
            self._arm(lane, at + seconds(random.uniform(1, 3) if known else random.uniform(15, 45)), random)

    def _in_force(self, text: str, at: datetime) -> bool:
        car = self.registered.get(text)
        if car is None or car.listing == "block":
            return False
        return (car.valid_from is None or car.valid_from <= at) and (car.valid_to is None or at < car.valid_to)

    def _truth(self, text: str, seen: str, at: datetime, lane: str, *, known: bool) -> None:
        """Who stands before a closed barrier, so that a person has to decide; at the exit too."""
        doubt = ("plate_unsure", "plate_near_blocklist")
        end = at + minutes(1)
        car, happened = self.registered.get(text), self.world.happened
        if car is not None and car.listing == "block":
            codes = ("blocklisted_plate", "plate_near_blocklist")
            also = (*doubt, "unknown_vehicle")
            happened("blocklisted plate", at, end, *codes, devices=(lane,), explains=also)
        elif car is None:
            happened("unknown vehicle", at, end, "unknown_vehicle", *doubt, devices=(lane,))
        elif seen != text and not known:
            happened("plate in doubt", at, end, *doubt, "unknown_vehicle", devices=(lane,))

    def _arm(self, lane: str, at: datetime, random: Random) -> None:
        self.world.say(lane, BarrierMoved(at=at, open=True))
        self.world.say(lane, BarrierMoved(at=at + seconds(random.uniform(6, 11)), open=False))


def cars(world: World, registered: list[Car]) -> None:
    """Everything on wheels, from the beginning of the lead-in on."""
    lanes = Lanes(world, registered)
    residents(lanes, [car for car in registered if car.listing == "allow"])
    guests(lanes, [car for car in registered if car.id.startswith("guest-")])
    vans(lanes, [car for car in registered if car.id.startswith("van-")])
    strangers(lanes)
    blocked(lanes, [car for car in registered if car.listing == "block"])
    zombies(lanes, [car for car in registered if car.listing == "allow"])
    turned_away(lanes, bays(world))
    asks_the_way(lanes)


def _days(world: World) -> range:
    return range(-LEAD_IN_DAYS, world.days)


def residents(lanes: Lanes, every: list[Car]) -> None:
    """Out in the morning, back in the evening; on some days not, and some are away for weeks."""
    world, random = lanes.world, lanes.world.random("residents' cars")
    for car in every[:-2]:  # the last two are abandoned: see `zombies`
        away_from = random.randrange(-LEAD_IN_DAYS, world.days) if random.random() < 0.1 else world.days + 1
        for day in _days(world):
            if away_from < day < away_from + 12 or random.random() < 0.25:
                continue
            leaves = world.start + hours(24 * day + random.triangular(6, 12, 8))
            lanes.passes(random, car.plate, leaves, OUT)
            if day != away_from:
                lanes.passes(random, car.plate, leaves + hours(random.uniform(1, 11)), IN)
            else:
                lanes.passes(random, car.plate, leaves + timedelta(days=12, hours=-3), IN)


def guests(lanes: Lanes, every: list[Car]) -> None:
    """Registered for a day; a few stay on."""
    random = lanes.world.random("guests")
    for car in every:
        if car.valid_from is None:
            continue
        comes = car.valid_from + hours(2)
        overstays = random.random() < 0.02
        stays = random.uniform(30, 90) if overstays else random.uniform(0.5, 9)
        _visit(lanes, random, car.plate, comes, stays, "visitor overstay", "visitor_overstay")


def strangers(lanes: Lanes) -> None:
    """In no register: they deliver something, or look for somebody; few stay on."""
    world, random = lanes.world, lanes.world.random("strangers")
    staying = ("unknown vehicle stays", "unknown_stays")
    for day in _days(world):
        for _ in range(20):
            comes = world.start + hours(24 * day + random.uniform(7, 22))
            _visit(lanes, random, plate(random), comes, random.uniform(0.15, 3), *staying)
    for comes in world.times(random, 6, hours=(7, 22)):
        _visit(lanes, random, plate(random), comes, random.uniform(28, 80), *staying)


def _visit(lanes: Lanes, random: Random, text: str, comes: datetime, stays_h: float, scenario: str, code: str) -> None:
    leaves = comes + hours(stays_h)
    lanes.passes(random, text, comes, IN)
    lanes.passes(random, text, leaves, OUT)
    if stays_h > ALLOWED_H and leaves > lanes.world.start:
        lanes.world.happened(scenario, comes + hours(ALLOWED_H), leaves, code, subject=text)


def vans(lanes: Lanes, every: list[Car]) -> None:
    """Deliver twice a day and are gone within the hour."""
    random = lanes.world.random("vans")
    for car in every:
        for day in _days(lanes.world):
            for hour in (random.uniform(8, 11), random.uniform(14, 18)):
                comes = lanes.world.start + hours(24 * day + hour)
                lanes.passes(random, car.plate, comes, IN)
                lanes.passes(random, car.plate, comes + minutes(random.uniform(6, 40)), OUT)


def blocked(lanes: Lanes, every: list[Car]) -> None:
    """Come to the barrier and are sent away."""
    random = lanes.world.random("blocked")
    for at in lanes.world.times(random, 8):
        lanes.passes(random, random.choice(every).plate, at, IN, let_in=False)


def zombies(lanes: Lanes, residents_: list[Car]) -> None:
    """Driven in and left there: two of residents who moved away, the others of strangers."""
    world, random = lanes.world, lanes.world.random("zombies")
    plates = [car.plate for car in residents_[-2:]] + [plate(random) for _ in range(5)]
    for n, text in enumerate(plates):
        day = random.uniform(0.1, world.days - 0.5) - ABANDONED_DAYS
        if n < 2:  # these lived here: they drove like others before they stopped
            for earlier in range(-LEAD_IN_DAYS, int(day) - 1):
                leaves = world.start + hours(24 * earlier + random.uniform(6, 9))
                lanes.passes(random, text, leaves, OUT)
                lanes.passes(random, text, leaves + hours(9), IN)
        comes = world.start + timedelta(days=day)
        lanes.passes(random, text, comes, IN)
        if n >= 2:
            over = comes + hours(ALLOWED_H)
            world.happened("unknown vehicle stays", over, world.end, "unknown_stays", subject=text)
        world.happened(
            "zombie car", comes + timedelta(days=ABANDONED_DAYS), world.end, "vehicle_overstay", subject=text
        )


def turned_away(lanes: Lanes, came: list[datetime]) -> None:
    """Who came while no bay was free: most see it at the entry and drive off; a few wait and are let in after all."""
    random = lanes.world.random("turned away")
    for at in came:
        text = plate(random)
        lanes.passes(random, text, at, IN, let_in=False)
        if random.random() < 0.2:
            later = at + minutes(random.uniform(3, 20))
            lanes.passes(random, text, later, IN)
            lanes.passes(random, text, later + hours(random.uniform(0.5, 4)), OUT)
        else:
            lanes.world.turned_away.append(at)


def asks_the_way(lanes: Lanes) -> None:
    """A stranger stops at the entry, asks the way and drives off, whether there is room or not."""
    random = lanes.world.random("asks the way")
    for at in lanes.world.times(random, 40, hours=(8, 22)):
        lanes.passes(random, plate(random), at, IN, let_in=False)


def bays(world: World) -> list[datetime]:
    """Twelve public bays; by evening there are more cars than bays, and some drive on (停车难). A bay's sensor tells
    every change by radio, and how it stands every hour. Gives when somebody came in vain.
    """
    random = world.random("bays")
    every = [bay.id for bay in world.of("bay")]
    free_at: dict[str, datetime] = dict.fromkeys(every, world.start)
    taken: list[tuple[datetime, datetime, str]] = []
    in_vain: list[datetime] = []
    at = world.start
    while at < world.end:
        hour = (at - world.start).total_seconds() / 3600 % 24
        at += minutes(random.expovariate(1 / (14 if 17 <= hour < 21 else 55)))
        free = [bay for bay in every if free_at[bay] <= at]
        if not free:
            in_vain.append(at)
            continue
        bay = random.choice(free)
        leaves = at + hours(random.uniform(6, 13) if 17 <= hour < 23 else random.uniform(0.5, 5))
        free_at[bay] = leaves
        taken.append((at, leaves, bay))
    for came, left, bay in taken:
        world.say(bay, BayChanged(at=came, occupied=True))
        again = came + hours(1)
        while again < left:
            world.say(bay, BayChanged(at=again, occupied=True))
            again += hours(1)
        world.say(bay, BayChanged(at=left, occupied=False))
    for start, end in _full(taken, len(every)):
        if end - start >= minutes(30) and start < world.end:
            world.happened("parking full", start + minutes(30), end, "parking_full")
    return in_vain


def _full(taken: list[tuple[datetime, datetime, str]], bays_: int) -> list[tuple[datetime, datetime]]:
    """From when to when all were taken."""
    steps = sorted([(came, 1) for came, _, _ in taken] + [(left, -1) for _, left, _ in taken])
    found: list[tuple[datetime, datetime]] = []
    count, since = 0, None
    for at, step in steps:
        count += step
        if count == bays_ and since is None:
            since = at
        elif count < bays_ and since is not None:
            found.append((since, at))
            since = None
    return found
