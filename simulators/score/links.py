"""What is wrong with the devices themselves: they lose their network or their clock, restart, come and go."""

from __future__ import annotations

from datetime import datetime, timedelta
from random import Random

from devices.events import DeviceStatusChanged, Heartbeat, OfflineReason
from devices.model import Device
from simulators.score.place import BEAT_S
from simulators.score.world import Away, Clock, World, hours, minutes, seconds

CABLED = ("face_gate", "barrier", "camera")
STORES = ("face_gate", "barrier")
"""Keep what happens while nobody hears them, and tell it afterwards."""
BROKER_NOTICES_S = 45.0
"""The broker says that a connection is dead (its last will) after so long."""


def links(world: World) -> None:
    """Every device's heartbeats, and what interrupts them."""
    beats(world)
    outages(world)
    single(world)
    reboots(world)
    flapping(world)
    clocks(world)


def cabled(world: World) -> list[Device]:
    """Those with a connection of their own, whose loss the broker tells."""
    return [device for device in world.devices.values() if device.kind in CABLED]


def beats(world: World) -> None:
    """Heartbeats of everything that does not speak of itself."""
    random = world.random("beats")
    for device in world.devices.values():
        every = BEAT_S if device.kind in CABLED else 14_400.0
        if device.kind == "light":
            continue
        at = world.start + seconds(random.uniform(0, every))
        while at < world.end:
            world.say(device.id, Heartbeat(at=at))
            at += seconds(every)


def _gone(world: World, device: Device, start: datetime, end: datetime) -> None:
    """It is not heard; the broker says so after a while, and it says itself when it is back."""
    world.away.append(Away(device=device.id, start=start, end=end, stored=device.kind in STORES))
    will = DeviceStatusChanged(at=start + seconds(BROKER_NOTICES_S), online=False, reason=OfflineReason.WILL)
    world.say(device.id, will, inside=True)  # the broker's word: it crosses no wire
    world.say(device.id, DeviceStatusChanged(at=end + seconds(1), online=True))


def outages(world: World) -> None:
    """A switch loses its power, and everything behind it is gone."""
    random = world.random("outages")
    for at in world.times(random, 4):
        uplink, end = random.choice(("switch-1", "switch-2")), at + minutes(random.uniform(10, 120))
        behind = [device for device in cabled(world) if device.uplink == uplink]
        for device in behind:
            _gone(world, device, at + seconds(random.uniform(0, 3)), end + seconds(random.uniform(0, 20)))
        ids = tuple(device.id for device in behind)
        what = ("device_offline", "device_flapping")
        world.happened("uplink lost", at, end, "uplink_offline", devices=ids, explains=what)


def single(world: World) -> None:
    """One device is away for hours."""
    random = world.random("away")
    for at in world.times(random, 8):
        device, end = random.choice(cabled(world)), at + hours(random.uniform(0.5, 8))
        _gone(world, device, at, end)
        code = ("device_offline", "uplink_offline")
        world.happened("device away", at, end, *code, devices=(device.id,), explains=("device_flapping",))


def reboots(world: World) -> None:
    """Terminals and cameras restart by night; that takes a minute or so and is nothing to be told of."""
    random = world.random("reboots")
    for device in cabled(world):
        for day in range(0, world.days, 7):
            at = world.start + timedelta(days=day + random.randrange(7)) + hours(random.uniform(3, 4))
            if at < world.end - hours(1):
                _restart(world, random, device, at)


def _restart(world: World, random: Random, device: Device, at: datetime) -> None:
    boots = at + seconds(random.uniform(35, 95))
    world.away.append(Away(device=device.id, start=at, end=boots))
    goodbye = DeviceStatusChanged(at=at, online=False, reason=OfflineReason.WILL)
    world.say(device.id, goodbye, inside=True)
    world.say(device.id, DeviceStatusChanged(at=boots + seconds(0.5), online=True, boot_id=f"{random.random()}"))


def flapping(world: World) -> None:
    """A bad plug: a device comes and goes for hours."""
    random = world.random("flapping")
    for at in world.times(random, 3):
        device, now = random.choice(cabled(world)), at
        end = at + hours(random.uniform(2, 5))
        while now < end:
            back = now + minutes(random.uniform(0.8, 3))
            _gone(world, device, now, back)
            now = back + minutes(random.uniform(2, 7))
        what = ("device_offline", "uplink_offline")
        world.happened("device flaps", at, end, "device_flapping", devices=(device.id,), explains=what, within_s=3600)


def clocks(world: World) -> None:
    """Clocks that are wrong by minutes for days; all others are wrong by less than anybody minds."""
    random = world.random("clocks")
    for device in cabled(world):
        drift = random.uniform(-1.5, 1.5)
        world.clocks.append(Clock(device=device.id, start=world.start, end=world.end, offset_s=drift))
    for at in world.times(random, 4):
        device, end = random.choice(cabled(world)), at + timedelta(days=random.uniform(1, 4))
        offset = random.choice((-1, 1)) * random.uniform(45, 900)
        world.clocks.insert(0, Clock(device=device.id, start=at, end=end, offset_s=offset))
        world.happened("clock wrong", at, end, "clock_wrong", devices=(device.id,), within_s=1800)
