"""In the yard, as cameras and covers see it: fire lanes, e-bikes, stray bikes, a shed that grows, shafts that stand
open; and a camera that sees nothing.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from random import Random

from devices.events import (
    CameraFault,
    CameraHealthChanged,
    CoverMoved,
    FrameCaptured,
    ObjectDetected,
    SceneCandidate,
    SceneJudged,
    WaterMeasured,
)
from simulators.score.place import zone_of
from simulators.score.world import World, hours, minutes, seconds

TRACK_BREAKS_EVERY_MIN = 90.0
"""A tracker loses what it follows about so often, and finds it again under another number."""
EBIKE_MISTAKEN = 0.03
"""A bicycle taken for an e-bike."""
SPURIOUS_CHANGE = 0.002
"""Of the pictures: rain, headlights, a cat."""
WALL = "camera-7"


def yard(world: World) -> None:
    """Everything in the yard."""
    fire_lane(world)
    ebikes(world)
    stray_bikes(world)
    shed(world)
    blind(world)
    covers(world)
    water(world)


def _camera(world: World, random: Random, prefix: str) -> str:
    watch = [one.id for one in world.of("camera") if one.id != WALL and zone_of(one.id).startswith(prefix)]
    return random.choice(watch)


def _stays(world: World, random: Random, camera: str, label: str, at: datetime, long_s: float) -> None:
    """An object stays in the camera's zone: seen every minute, lost now and then."""
    zone, end = zone_of(camera), at + seconds(long_s)
    track, breaks = f"t{random.getrandbits(32):08x}", random.expovariate(1 / TRACK_BREAKS_EVERY_MIN)
    lost_at = at + minutes(breaks)
    confidence = random.uniform(0.6, 0.95)
    while at < end:
        if at >= lost_at:
            world.say(camera, ObjectDetected(at=at, label=label, zone=zone, track=track, present=False))
            at += seconds(random.uniform(1, 5))
            track, lost_at = (
                f"t{random.getrandbits(32):08x}",
                at + minutes(random.expovariate(1 / TRACK_BREAKS_EVERY_MIN)),
            )
        world.say(camera, ObjectDetected(at=at, label=label, zone=zone, track=track, confidence=confidence))
        at += seconds(60)
    world.say(camera, ObjectDetected(at=end, label=label, zone=zone, track=track, present=False))


def fire_lane(world: World) -> None:
    """Somebody parks in the fire lane; a van that unloads for ten minutes with its driver beside it does not."""
    random = world.random("fire lane")
    for at in world.times(random, 10):
        camera, long_s = _camera(world, random, "fire"), random.uniform(20, 300) * 60
        _stays(world, random, camera, "car", at, long_s)
        world.happened("fire lane blocked", at, at + seconds(long_s), "fire_lane_blocked", devices=(camera,))
    for at in world.times(random, 15, hours=(8, 19)):
        _stays(world, random, _camera(world, random, "fire"), "van", at, random.uniform(480, 720))
    for at in world.times(random, 300, hours=(6, 23)):
        _stays(world, random, _camera(world, random, "fire"), "car", at, random.uniform(8, 50))


def ebikes(world: World) -> None:
    """An e-bike is taken to the stairs (飞线充电、进楼); bicycles are welcome, and some only pass by."""
    random = world.random("e-bikes")
    for at in world.times(random, 12, hours=(6, 23)):
        camera, long_s = _camera(world, random, "stair"), random.uniform(5, 40)
        _stays(world, random, camera, "ebike", at, long_s)
        end = at + seconds(long_s)
        world.happened("e-bike indoors", at, end, "ebike_indoors", devices=(camera,), explains=("zone_intrusion",))
    for at in world.times(random, 60, hours=(6, 23)):
        label = "ebike" if random.random() < EBIKE_MISTAKEN else "bicycle"
        _stays(world, random, _camera(world, random, "stair"), label, at, random.uniform(4, 30))
    for at in world.times(random, 30, hours=(6, 23)):
        _stays(world, random, _camera(world, random, "stair"), "ebike", at, random.uniform(0.5, 2.5))


def stray_bikes(world: World) -> None:
    """A bike is left where none may stand (非机动车乱停乱放); somebody who talks to a neighbour leaves again."""
    random = world.random("stray bikes")
    for at in world.times(random, 15, hours=(6, 22)):
        camera, long_s = _camera(world, random, "no_park"), random.uniform(30, 480) * 60
        _stays(world, random, camera, random.choice(("bicycle", "ebike")), at, long_s)
        world.happened("stray bikes", at, at + seconds(long_s), "stray_bikes", devices=(camera,))
    for at in world.times(random, 100, hours=(6, 22)):
        _stays(world, random, _camera(world, random, "no_park"), "bicycle", at, random.uniform(30, 400))


def shed(world: World) -> None:
    """Something is built at the wall (私搭乱建); a lorry that stands before it for an afternoon is no shed. One picture
    an hour by day; what vision makes of it is drawn, not seen.
    """
    random = world.random("shed")
    built = world.start + timedelta(days=int(world.days * random.uniform(0.4, 0.7)), hours=9)
    lorries = [(at, at + hours(random.uniform(2, 4))) for at in world.times(random, 2, hours=(9, 14))]
    for day in range(world.days):
        for hour in range(7, 19):
            at = world.start + hours(24 * day + hour + 0.1)
            lorry = any(start <= at < end for start, end in lorries)
            shown = at >= built and random.random() < 0.95
            spurious = random.random() < SPURIOUS_CHANGE
            changed = shown or lorry or spurious
            score = random.uniform(0.5, 0.95) if shown or lorry else random.uniform(0.3, 0.6)
            change = SceneCandidate(condition="changed", score=score, since=at, zone="wall", why="changed")
            picture = f"{random.getrandbits(128):032x}"
            world.say(WALL, FrameCaptured(at=at, evidence=picture))
            judged = SceneJudged(
                at=at + seconds(2), evidence=picture, captured_at=at, candidates=(change,) if changed else ()
            )
            world.say(WALL, judged, inside=True)
    world.happened("shed grows", built, world.end, "zone_changed_build", devices=(WALL,), within_s=7200)


def blind(world: World) -> None:
    """A camera is covered, for hours; the sun or a moth does so for seconds, and the camera says so too."""
    random = world.random("blind")
    code = "camera_occluded"
    for at in world.times(random, 6):
        camera, end = f"camera-{random.randrange(1, 7)}", at + hours(random.uniform(2, 20))
        world.say(camera, CameraHealthChanged(at=at, fault=CameraFault.OCCLUDED, active=True))
        world.say(camera, CameraHealthChanged(at=end, fault=CameraFault.OCCLUDED, active=False))
        world.happened("camera blind", at, end, code, devices=(camera,))
    for at in world.times(random, 10, hours=(5, 21)):
        camera = f"camera-{random.randrange(1, 7)}"
        world.say(camera, CameraHealthChanged(at=at, fault=CameraFault.OCCLUDED, active=True))
        over = at + seconds(random.uniform(10, 50))
        world.say(camera, CameraHealthChanged(at=over, fault=CameraFault.OCCLUDED, active=False))


def covers(world: World) -> None:
    """A cover is taken off or stands askew; works that were announced take one off too."""
    random = world.random("covers")
    for scenario, rate, code in (("manhole open", 3, "cover_open"), ("manhole tilted", 2, "cover_tilted")):
        for at in world.times(random, rate):
            cover, end = f"cover-{random.randrange(1, 7)}", at + hours(random.uniform(0.5, 5))
            is_open = code == "cover_open"
            tilt = random.uniform(20, 40)
            world.say(cover, CoverMoved(at=at, open=is_open, tilt_deg=tilt))
            world.say(cover, CoverMoved(at=end, open=False, tilt_deg=random.uniform(0, 3)))
            world.happened(scenario, at, end, code, devices=(cover,))
    for at in world.times(random, 2, hours=(9, 16)):
        cover = f"cover-{random.randrange(1, 7)}"
        world.say(cover, CoverMoved(at=at, open=True))
        world.say(cover, CoverMoved(at=at + minutes(random.uniform(15, 60)), open=False, tilt_deg=1))


def water(world: World) -> None:
    """Rain fills the shafts for hours; a drop on the sensor makes one reading wrong. Read every half hour."""
    random = world.random("water")
    rains = [(at, at + hours(random.uniform(3, 9))) for at in world.times(random, 3)]
    for n in range(1, 7):
        cover = f"cover-{n}"
        floods = [(start + minutes(20), end) for start, end in rains if random.random() < 0.7]
        for start, end in floods:
            world.happened("shaft floods", start, end, "water_high", devices=(cover,), within_s=2400)
        for half_hour in range(world.days * 48):
            at = world.start + minutes(30 * half_hour + random.uniform(0, 2))
            high = any(start <= at < end for start, end in floods)
            depth = random.uniform(15, 40) if high else random.uniform(110, 150)
            if random.random() < 0.0004:
                depth = random.uniform(0, 20)
            world.say(cover, WaterMeasured(at=at, below_cover_cm=depth))
