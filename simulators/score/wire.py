"""From what devices say to what arrives: some of it lost, twice, late, out of order, or timed by a wrong clock."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime, timedelta
from random import Random

from msgspec import Struct
from msgspec.structs import replace

from devices.events import DeviceStatusChanged, Event
from simulators.score.world import Away, Clock, Said, World, seconds

RADIO = ("light", "cover", "bay")
LOST_BY_RADIO, LOST_BY_CABLE = 0.01, 0.0002
TWICE = 0.01
"""Delivered again."""
LATE_BY_RADIO, LATE_BY_CABLE = 0.003, 0.0003
"""Held up for up to `LATE_S` on the way, so that later ones overtake it."""
LATE_S = 40.0
REPLAYED_AFTER_S = 5.0


class Fact(Struct, frozen=True, kw_only=True, tag="told"):
    """What arrives, in the shape of `gateway.rehearsal.Told`."""

    at: datetime
    device: str
    record: str
    event: Event
    stored: bool = False
    timed: bool = True


def arriving(world: World) -> list[Fact]:
    """Everything that is received, in the order of receipt."""
    random = world.random("wire")
    away, clocks = _by_device(world.away), _by_device(world.clocks)
    found: list[Fact] = []
    for n, said in enumerate(sorted(world.said, key=lambda one: (one.at, one.device))):
        found += _delivered(said, f"r{n}", away, clocks, world, random)
    found.sort(key=lambda fact: (fact.at, fact.record))
    return found


def _by_device(spans: Iterable[Away] | Iterable[Clock]) -> dict[str, list[Away | Clock]]:
    found: dict[str, list[Away | Clock]] = defaultdict(list)
    for span in spans:
        found[span.device].append(span)
    return found


def _delivered(
    said: Said,
    record: str,
    away: dict[str, list[Away | Clock]],
    clocks: dict[str, list[Away | Clock]],
    world: World,
    random: Random,
) -> list[Fact]:
    by_radio = world.devices[said.device].kind in RADIO
    if said.inside:
        # Of our own, or the broker's word: it arrives, and its time is the time of receipt.
        return [Fact(at=said.at, device=said.device, record=record, event=said.event, timed=False)]
    if random.random() < (LOST_BY_RADIO if by_radio else LOST_BY_CABLE):
        return []
    clock = next((one for one in clocks.get(said.device, ()) if one.start <= said.at < one.end), None)
    offset = clock.offset_s if isinstance(clock, Clock) else 0.0
    event = replace(said.event, at=said.at + timedelta(seconds=offset)) if offset else said.event
    gone = next((one for one in away.get(said.device, ()) if one.start <= said.at < one.end), None)
    if isinstance(gone, Away):
        if not gone.stored or isinstance(event, DeviceStatusChanged):
            return []
        at = gone.end + seconds(REPLAYED_AFTER_S + random.uniform(0, 20))
        return [Fact(at=at, device=said.device, record=record, event=event, stored=True)]
    takes = random.uniform(0.02, 0.3) + (random.uniform(0.5, 3) if by_radio else 0)
    if random.random() < (LATE_BY_RADIO if by_radio else LATE_BY_CABLE):
        takes += random.uniform(1, LATE_S)
    first = Fact(at=said.at + seconds(takes), device=said.device, record=record, event=event)
    if random.random() < TWICE:
        return [first, replace(first, at=first.at + seconds(random.uniform(0.1, 20)))]
    return [first]
