"""One score from the seed to the figures: the world is made, told to the gateway's engine in another process, and what
the engine raised is compared with the truth. The process is the same as any gateway's without its broker and journal.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import IO, Any

import msgspec
from msgspec import Struct

from simulators.score.cars import cars
from simulators.score.doors import doors
from simulators.score.lights import lights
from simulators.score.links import links
from simulators.score.place import cars as registered_cars
from simulators.score.place import install, tenants
from simulators.score.scoring import Changed, Rounded, Score, TurnedAway, score
from simulators.score.wire import Fact, arriving
from simulators.score.world import COMMUNITY, LEAD_IN_DAYS, MIDNIGHT, World
from simulators.score.yard import yard

ENGINE = (sys.executable, "-m", "gateway.rehearsal")
Progress = Callable[[Iterable[Fact], int], Iterable[Fact]]


class Scored(Struct, frozen=True, kw_only=True):
    """A score, and of what."""

    seed: int
    days: int
    devices: int
    facts: int
    engine_s: float
    score: Score


class EngineError(RuntimeError):
    """The engine's process ended with an error: ours, told on stderr."""


def world_of(seed: int, days: int) -> tuple[World, bytes]:
    """The month, and what of it is registered (the first line for the engine)."""
    world = World(install(), seed=seed, days=days)
    registered, homes = registered_cars(seed, days), tenants(seed, days)
    doors(world, homes)
    cars(world, registered)
    yard(world)
    lights(world)
    links(world)
    setup = {
        "type": "setup",
        "now": MIDNIGHT - timedelta(days=LEAD_IN_DAYS + 1),
        "devices": list(world.devices.values()),
        "vehicles": registered,
        "residents": homes,
        "settings": {"community": COMMUNITY},
        "parked": world.parked(),
    }
    return world, msgspec.json.encode(setup)


def run(seed: int, days: int, progress: Progress = lambda facts, _total: facts, *, lead_in: bool = True) -> Scored:
    """Make the month, have it decided, compare. Without `lead_in` no car was there before: quicker, and no zombies.

    :raises EngineError: the engine ended with an error.
    """
    world, setup = world_of(seed, days)
    facts = [fact for fact in arriving(world) if fact.at < world.end and (lead_in or fact.at >= world.start)]
    begin = time.monotonic()
    with tempfile.TemporaryFile() as out:
        decide(setup, progress(facts, len(facts)), out)
        took = time.monotonic() - begin
        out.seek(0)
        read = msgspec.json.Decoder(Changed | Rounded | TurnedAway).decode
        said = [read(line) for line in out]
    counted = score(
        world.incidents,
        said,
        device_days=float(len(world.devices) * days),
        since=world.start,
        turned_away=world.turned_away,
    )
    return Scored(
        seed=seed,
        days=days,
        devices=len(world.devices),
        facts=len(facts),
        engine_s=round(took, 1),
        score=counted,
    )


def decide(setup: bytes, facts: Iterable[Fact], out: IO[Any]) -> None:
    """Tell the engine, and have it write what it raises to `out`.

    :raises EngineError: it ended with an error.
    """
    encode = msgspec.json.Encoder().encode
    process = subprocess.Popen(ENGINE, stdin=subprocess.PIPE, stdout=out)  # noqa: S603 - our own, see ENGINE
    with process:
        if process.stdin is None:
            raise AssertionError("it was asked for")
        try:
            process.stdin.write(setup + b"\n")
            for fact in facts:
                process.stdin.write(encode(fact) + b"\n")
            process.stdin.close()
        except BrokenPipeError:  # it has ended, and its own words say why
            pass
    if process.returncode:
        raise EngineError(f"the engine ended with {process.returncode}; see above")
