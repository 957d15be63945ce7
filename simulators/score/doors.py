"""At the doors: hundreds of ordinary passages a day, and among them the few somebody should be told of."""

from __future__ import annotations

from datetime import datetime
from random import Random

from devices.events import (
    AccessDenied,
    AccessGranted,
    AccessTaken,
    CredentialPresented,
    DenyReason,
    DoorChanged,
    DuressSignalled,
    Method,
)
from simulators.score.place import Tenant
from simulators.score.world import World, hours, minutes, seconds

PASSAGES_A_DAY = 110
"""At one door."""
SENSOR_MISSES, CHILD_BY_THE_HAND, CONTACT_BOUNCES = 0.004, 0.003, 0.00005


def doors(world: World, tenants: list[Tenant]) -> None:
    """Everything at the doors."""
    ordinary(world)
    followed(world)
    forced(world)
    held(world)
    nobody(world)
    refused(world)
    duress(world)
    expired(world, tenants)


def _passage(
    world: World, random: Random, gate: str, at: datetime, *, people: int = 1, stays_s: float = 0, grants: int = 1
) -> None:
    """`people` go through on `grants` credentials; the door stays open for `stays_s` besides."""
    for n in range(grants):
        person = f"r-{random.randrange(400)}"
        world.say(gate, AccessGranted(at=at + seconds(1.2 * n), method=Method.FACE, person=person, similarity=0.93))
    after = at + seconds(1.2 * grants)
    world.say(gate, DoorChanged(at=after, open=True))
    for _ in range(people):
        after += seconds(random.uniform(1, 2.2))
        if random.random() > SENSOR_MISSES:
            world.say(gate, AccessTaken(at=after))
    world.say(gate, DoorChanged(at=after + seconds(random.uniform(3, 6) + stays_s), open=False))


def _gate(world: World, random: Random) -> str:
    return random.choice(world.of("face_gate")).id


def ordinary(world: World) -> None:
    """People come and go, some together, each with a credential of their own; a child goes by the hand."""
    random = world.random("ordinary passages")
    for gate in world.of("face_gate"):
        world.say(gate.id, DoorChanged(at=world.start, open=False))  # as every terminal says when it connects
        for day in range(world.days):
            for _ in range(PASSAGES_A_DAY):
                hour = random.triangular(5.5, 23.5, random.choice((8, 18)))
                at = world.start + hours(24 * day + hour)
                together = 2 if random.random() < 0.12 else 1
                child = random.random() < CHILD_BY_THE_HAND
                _passage(world, random, gate.id, at, people=together + child, grants=together)
                if random.random() < CONTACT_BOUNCES:
                    later = at + minutes(random.uniform(1, 3))
                    world.say(gate.id, DoorChanged(at=later, open=True))
                    world.say(gate.id, DoorChanged(at=later + seconds(0.2), open=False))
        for day in range(world.days):  # a dirty lens, a hat: refused once or twice, then let in
            at = world.start + hours(24 * day + random.uniform(7, 22))
            for n in range(random.choice((1, 1, 2, 3))):
                denied = DenyReason.UNKNOWN_CREDENTIAL
                world.say(gate.id, AccessDenied(at=at + seconds(7 * n), method=Method.FACE, reason=denied))
            _passage(world, random, gate.id, at + seconds(30))


def followed(world: World) -> None:
    """A stranger slips in behind a resident."""
    random = world.random("tailgating")
    for at in world.times(random, 20, hours=(7, 23)):
        gate = _gate(world, random)
        _passage(world, random, gate, at, people=2)
        world.happened("tailgating", at, at + minutes(1), "tailgating", devices=(gate,))


def forced(world: World) -> None:
    """A door is broken open."""
    random = world.random("forced")
    for at in world.times(random, 5, hours=(0, 5)):
        gate = _gate(world, random)
        world.say(gate, DoorChanged(at=at, open=True))
        world.say(gate, AccessTaken(at=at + seconds(4)))
        world.say(gate, DoorChanged(at=at + seconds(random.uniform(8, 25)), open=False))
        world.happened("door forced", at, at + minutes(1), "door_forced", devices=(gate,))


def held(world: World) -> None:
    """A door is wedged open; a resident who holds it for the furniture is no such thing."""
    random = world.random("held")
    for at in world.times(random, 8, hours=(6, 23)):
        gate, stays = _gate(world, random), random.uniform(600, 7200)
        _passage(world, random, gate, at, stays_s=stays)
        explains = ("tailgating", "door_open_nobody_passed")
        end = at + seconds(stays)
        world.happened("door held open", at, end, "door_held_open", devices=(gate,), explains=explains)
    for at in world.times(random, 12, hours=(8, 20)):
        _passage(world, random, _gate(world, random), at, stays_s=random.uniform(90, 240), people=3)


def nobody(world: World) -> None:
    """The door is opened and nobody goes in: for somebody out of sight, or by mistake."""
    random = world.random("nobody")
    for at in world.times(random, 8, hours=(7, 23)):
        gate = _gate(world, random)
        _passage(world, random, gate, at, people=0)
        world.happened("opened for nobody", at, at + minutes(1), "door_open_nobody_passed", devices=(gate,))


def refused(world: World) -> None:
    """Somebody tries again and again; strangers who try once and leave do not count."""
    random = world.random("refused")
    for at in world.times(random, 12):
        gate, tries = _gate(world, random), random.randrange(3, 8)
        for n in range(tries):
            at_n = at + seconds(n * random.uniform(8, 25))
            world.say(gate, AccessDenied(at=at_n, method=Method.FACE, reason=DenyReason.UNKNOWN_CREDENTIAL))
        world.happened("repeated refusal", at, at + seconds(25 * tries), "repeated_refusal", devices=(gate,))
    for at in world.times(random, 150, hours=(7, 23)):
        denied = AccessDenied(at=at, method=Method.FACE, reason=DenyReason.UNKNOWN_CREDENTIAL)
        world.say(_gate(world, random), denied)


def duress(world: World) -> None:
    """Somebody is made to open."""
    random = world.random("duress")
    for at in world.times(random, 3):
        gate = _gate(world, random)
        world.say(gate, DuressSignalled(at=at, person=f"r-{random.randrange(400)}"))
        _passage(world, random, gate, at + seconds(1))
        world.happened("duress", at, at + minutes(5), "duress", devices=(gate,))


def expired(world: World, tenants: list[Tenant]) -> None:
    """Temporary residents use their card; some go on doing so when their registration has ended (流动人口)."""
    random = world.random("expired")
    for tenant in tenants:
        keeps_trying, tried = random.random() < 0.75, list[datetime]()
        gate = f"face_gate-{tenant.building[1:]}"
        for day in range(world.days):
            tries = [world.start + hours(24 * day + hour) for hour in (random.uniform(7, 9), random.uniform(17, 22))]
            for at in tries:
                over = at >= tenant.until
                if over and (not keeps_trying or at > tenant.until + hours(72)):
                    continue
                world.say(gate, CredentialPresented(at=at, method=Method.CARD, value=tenant.card))
                if over:
                    tried.append(at)
                else:
                    world.say(gate, DoorChanged(at=at + seconds(1), open=True))
                    world.say(gate, AccessTaken(at=at + seconds(3)))
                    world.say(gate, DoorChanged(at=at + seconds(8), open=False))
        if tried:
            world.happened("registration ended", tried[0], tried[-1], "expired_resident", subject=tenant.id)
