"""`bench policies`: what all policies together cost an event, against the same events decided with none.

The events are those of the score's estate (`simulators.score`) in the order of receipt: cars, doors, lamps, heartbeats.
Both runs decide all of them in one process, one after the other, with deadlines, alerts and their delays; no disk, no
broker.
"""

from __future__ import annotations

import gc
import tempfile
import time
from collections import Counter
from pathlib import Path
from statistics import median
from typing import Any

import msgspec

from benchmarks import ground
from gateway.delays import DELAY_ON
from gateway.policies import POLICIES
from gateway.policy import Policy
from gateway.rehearsal import Changed, Rehearsal, Setup, Told
from simulators.score.run import world_of
from simulators.score.wire import arriving

Figures = dict[str, Any]


def run(events: int, rounds: int) -> Figures:
    ground.say(f"making {events:,} events")
    setup, told = some(events)
    took: dict[str, list[float]] = {"all": [], "none": []}
    raised = 0
    for n in range(rounds):
        ground.say(f"round {n + 1} of {rounds}")
        for name, policies in (("none", (DELAY_ON,)), ("all", POLICIES)):
            seconds, raised = timed(setup, told, policies)
            took[name].append(seconds / len(told) * 1e6)
    ratios = [with_ / without for with_, without in zip(took["all"], took["none"], strict=True)]
    return {
        "name": "policies",
        "events": len(told),
        "policies": len(POLICIES) - 1,
        "kinds": dict(Counter(type(one.event).__name__ for one in told).most_common(8)),
        "alerts_raised": raised,
        "us_per_event": round(median(took["all"]), 1),
        "us_per_event_without": round(median(took["none"]), 1),
        "us_of_policies": round(median(a - b for a, b in zip(took["all"], took["none"], strict=True)), 1),
        "ratio": round(median(ratios), 3),
    }


def some(events: int) -> tuple[Setup, list[Told]]:
    """The first events of the days that count: in the lead-in there are cars only."""
    world, setup = world_of(1, 2)
    encode, read = msgspec.json.Encoder().encode, msgspec.json.Decoder(Told).decode
    facts = [fact for fact in arriving(world) if world.start <= fact.at < world.end][:events]
    return msgspec.json.decode(setup, type=Setup), [read(encode(fact)) for fact in facts]


def timed(setup: Setup, told: list[Told], policies: tuple[Policy, ...]) -> tuple[float, int]:
    """Seconds for all of them, and how many alerts were raised."""
    with tempfile.TemporaryDirectory(prefix="linli-bench-") as folder:
        rehearsal = Rehearsal(setup, Path(folder), policies=policies)
        gc.collect()
        raised = 0
        begin = time.process_time()
        for one in told:
            raised += sum(isinstance(said, Changed) and said.change == "raised" for said in rehearsal.tell(one))
        took = time.process_time() - begin
        rehearsal.close()
    return took, raised
