"""Who is on the estate: the stays, the exits nobody could be named for and what each community has learned, and how
passages, rounds and time change them. `gateway.presence` weighs, `gateway.stays` raises; this finds and keeps.

Every stay and every trace is a saved state of its own, so that a passage writes a few rows however many are inside.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from msgspec import Struct
from msgspec.structs import replace

from devices.effects import Effect, Report
from devices.events import (
    BayChanged,
    Direction,
    Event,
    Listing,
    PlateCaptured,
    VehicleMarked,
    VehiclePassed,
    VehicleTraced,
)
from devices.kinds import barrier
from devices.model import Device
from gateway import dwell, presence, stays
from gateway.changes import Changes
from gateway.directory import Directory
from gateway.policy import plate_digest
from gateway.presence import Reading, Stay, Trace, Yard
from gateway.schedule import Schedule
from gateway.settings import Policies
from gateway.states import States
from gateway.vehicles import Vehicle, listing_now, normal_plate

NAMES = frozenset({stays.STAY.name, stays.TRACE.name, stays.YARD.name})
TWICE = timedelta(minutes=2)
"""A vehicle that passes the same way again so soon was told of twice."""
_REGISTERED = (Listing.ALLOW, Listing.VISITOR)


class Inside(NamedTuple):
    """A vehicle thought to be inside. `key`: its name within the community; `overdue_at`: since when it stays too
    long; `waits`: no alert says so, so a round is to look for it.
    """

    key: str
    stay: Stay
    probability: float
    overdue_at: datetime | None
    waits: bool


class _At(NamedTuple):
    """Where and when something is decided, and what has changed so far."""

    community: str
    now: datetime
    batch: Changes
    turn: Changes


class PresenceBook:
    """Used by the engine's thread; `inside` may be called from any."""

    def __init__(self, directory: Directory, states: States, schedule: Schedule, limits: Policies) -> None:
        self._directory, self._states, self._schedule, self._limits = directory, states, schedule, limits
        self._index: dict[tuple[str, str], dict[str, Any]] | None = None

    # -- what happens ------------------------------------------------------------------------------------------------

    def heard(self, event: Event, device: Device, batch: Changes, turn: Changes) -> list[Effect]:
        """What a fact changes: effects, and facts as `Report`s."""
        at = _At(device.community, event.at, batch, turn)
        match event:
            case PlateCaptured(plate=plate) if plate and device.kind == "barrier":
                return self._read(event, device, at)
            case VehiclePassed(direction=Direction.IN | Direction.OUT):
                return self._passed(event, device, at)
            case BayChanged(occupied=True, plate=plate) if plate:
                return self._seen(plate_digest(normal_plate(plate)), at)
            case VehicleMarked(plate=plate, here=here):
                key = plate_digest(plate)
                effects = self._seen(key, at, marked=event) if here else self._gone(key, at)
                return effects + self._look_through(at, marked=True)
        return []

    def heard_late(self, event: Event, device: Device, batch: Changes, turn: Changes) -> list[Effect]:
        """What a lane tells of a time it was cut off. Nobody can be asked any more, but the register is set right. A
        vehicle in no register may have been turned away at the entry, so only those that may come in did.
        """
        if not isinstance(event, PlateCaptured | VehiclePassed) or device.kind != "barrier" or not event.plate:
            return []
        direction = barrier.way(device, event.direction)
        plate, at = normal_plate(event.plate), _At(device.community, event.at, batch, turn)
        stay = self._stay(plate_digest(plate), at)
        newer = max(time for time in (stay.entered_at, stay.left_at, event.at) if time) > event.at
        if newer:
            return []
        if direction is Direction.OUT:
            return self._left(plate, event.evidence, device.id, at)
        if direction is Direction.IN and self._listing(plate, event.at) in _REGISTERED:
            return self._came(plate, event.evidence, device, at)
        return []

    def tick(self, name: tuple[str, str], now: datetime, batch: Changes, turn: Changes) -> list[Effect]:
        """A deadline of one of our states has come."""
        state = self._states.policy(name, batch, turn)
        community, key = name[1].rsplit("/", 1) if "/" in name[1] else (name[1], "")
        at = _At(community, now, batch, turn)
        if isinstance(state, Trace):
            self._keep(stays.TRACE.name, key, None, at)
        elif isinstance(state, Yard):
            effects = self._settle(at)
            due = stays.round_deadline(state, self._limits)
            return effects + self._look_through(at) if due and due <= now else effects
        elif isinstance(state, Stay):
            if state.entered_at is None:
                self._keep(stays.STAY.name, key, None, at)
                return []
            return self._ask(key, state, at)
        return []

    def _read(self, event: PlateCaptured, device: Device, at: _At) -> list[Effect]:
        """Somebody stands at a lane. Whoever stood at an exit has left, whether a passage is told of or not."""
        direction = barrier.way(device, event.direction)
        plate, yard = normal_plate(event.plate), self._yard(at)
        if direction is Direction.UNKNOWN or any(one.plate == plate and one.lane == device.id for one in yard.readings):
            return []
        reading = Reading(
            lane=device.id, plate=plate, at=at.now, out=direction is Direction.OUT, evidence=event.evidence
        )
        self._keep_yard(replace(yard, readings=(*yard.readings, reading)[-stays.READINGS :]), at)
        return []

    def _passed(self, event: VehiclePassed, device: Device, at: _At) -> list[Effect]:
        """By the plate of the passage; where it has none, or one that passed already, by what was read there before."""
        yard, plate, evidence = self._yard(at), normal_plate(event.plate), event.evidence
        here = [one for one in yard.readings if one.lane == device.id]
        meant = next((one for one in here if one.plate == plate or not plate), None)
        if meant is not None:
            plate, evidence = meant.plate, meant.evidence
            self._keep_yard(replace(yard, readings=tuple(one for one in yard.readings if one is not meant)), at)
        if event.direction is Direction.OUT:
            return self._left(plate, evidence, device.id, at)
        return self._came(plate, evidence, device, at) if plate else []

    def _came(self, read: str, evidence: str, device: Device, at: _At) -> list[Effect]:
        plate, probability, mistaken = self._who_came(read, at)
        key = plate_digest(plate)
        before = self._stay(key, at)
        if before.entered_at is not None and at.now - before.entered_at < TWICE:
            return []
        effects: list[Effect] = []
        if before.entered_at is not None:
            effects += self._was_missed(key, before, at)
        elif before.left_at is not None:
            yard = self._yard(at)
            away = dwell.observed(yard.away, presence.hours(at.now - before.left_at))
            self._keep_yard(replace(yard, away=away), at)
        listing = self._listing(plate, at.now)
        after = stays.came(
            before, plate=plate, read=read, barrier=device.id, evidence=evidence, listing=listing, at=at.now
        )
        self._keep(stays.STAY.name, key, replace(after, mistaken=mistaken), at)
        if plate != read:
            effects.append(_told(Direction.IN, plate, read, probability, evidence, device.id, at.now))
        return effects

    def _who_came(self, read: str, at: _At) -> tuple[str, float, float]:
        """The plate that came in and its probability: not the one read where that is nobody's and one that is out was
        meant. Where that is not sure, how likely the one read is a mistake.
        """
        known = self._stay(plate_digest(read), at)
        if self._vehicle(read) is not None or known.visits or known.entered_at is not None:
            return read, 1.0, 0.0
        weights, yard = {read: 1 / presence.PLATES}, self._yard(at)
        for vehicle in self._directory.near_plates(read):
            if listing_now(vehicle, at.now) in _REGISTERED:
                key = plate_digest(vehicle.plate)
                stay = self._stay(key, at)
                weight = presence.looks_like(read, vehicle.plate, stay, yard, self._limits, at.now)
                weights[vehicle.plate] = weight * (1 - self._probability(key, stay, at))
        plate, total = max(weights, key=lambda one: weights[one]), sum(weights.values())
        if plate != read and weights[plate] / total >= presence.SURE:
            return plate, weights[plate] / total, 0.0
        return read, 1.0, max(1 - weights[read] / total, presence.UNRESOLVED * self._limits.misread_share)

    def _left(self, read: str, evidence: str, lane: str, at: _At) -> list[Effect]:
        key = plate_digest(read)
        stay = self._stay(key, at)
        if read and stay.entered_at is not None:
            return self._has_left(key, stay, at)
        if read and stay.left_at is not None and at.now - stay.left_at < TWICE:
            return []
        yard = self._yard(at)
        self._keep_yard(replace(yard, unread=yard.unread + 1) if not read else yard, at)
        known = self._vehicle(read) is not None or stay.visits > 0
        trace = Trace(
            at=at.now,
            lane=lane,
            read=read,
            evidence=evidence,
            other=presence.nobody_known(read, known=known),
        )
        inside = self._all(stays.STAY.name, at)
        chances = {one: self._chance(read, held, at, known=known) for one, held in inside.items()}
        if known:
            its_own = {one: held for one, held in inside.items() if _mistaken_for(read, held)}
            inside = inside | {one: replace(held, mistaken=0.0, listing=Listing.ALLOW) for one, held in its_own.items()}
        around = (list(self._all(stays.TRACE.name, at).values()), yard, self._limits)
        trace = presence.traced(trace, inside, chances, around)
        who, probability = presence.the_one(trace)
        effects: list[Effect] = []
        if who and probability >= presence.SURE:
            found = self._stay(who, at)
            effects = self._has_left(who, found, at)
            effects.append(_told(Direction.OUT, found.plate, read, probability, evidence, lane, at.now))
            if known:  # it was the known one all along, whose entry was misread
                self._keep(stays.STAY.name, key, stays.left(replace(stay, plate=read), at.now), at)
        elif trace.candidates:
            self._keep(stays.TRACE.name, f"{at.now:%Y%m%dT%H%M%S%f}-{lane}", trace, at)
        return effects

    def _chance(self, read: str, stay: Stay, at: _At, *, known: bool) -> float:
        """That this vehicle is read so at the exit."""
        if not read:
            return presence.unread_share(self._yard(at), self._limits)
        if read == stay.read or (known and _mistaken_for(read, stay)):
            return 1.0
        return presence.misread(read, stay.plate, self._limits)

    def _has_left(self, key: str, stay: Stay, at: _At) -> list[Effect]:
        """By an exit that was seen: it was inside until now, so no trace was its own."""
        if stay.entered_at is None:
            return []
        yard, kind = self._yard(at), presence.class_of(stay.listing)
        counts = dwell.observed(yard.stays.get(kind, dwell.NOTHING), presence.hours(at.now - stay.entered_at))
        self._keep_yard(replace(yard, exits=yard.exits + 1, stays={**yard.stays, kind: counts}), at)
        self._not_traced(key, at)
        self._keep(stays.STAY.name, key, stays.left(stay, at.now), at)
        return stays.over(stay, at.now)

    def _not_traced(self, key: str, at: _At) -> None:
        for name, trace in self._all(stays.TRACE.name, at).items():
            if key in trace.candidates:
                self._keep(stays.TRACE.name, name, presence.without(trace, key), at)

    def _was_missed(self, key: str, stay: Stay, at: _At) -> list[Effect]:
        """It left some time ago: by one of its traces, or by an exit of which nothing was heard."""
        traces = {name: trace for name, trace in self._all(stays.TRACE.name, at).items() if key in trace.candidates}
        yard = self._yard(at)
        evidence = self._about(key, at)
        odds = presence.odds(stay, evidence, yard, self._limits, at.now)
        weights = {id(trace): weight for (trace, _), weight in zip(evidence, odds.traced, strict=True)}
        outside = odds.total - odds.inside
        for name, trace in traces.items():
            claimed = weights.get(id(trace), 0.0) / outside if outside else 0.0
            self._keep(stays.TRACE.name, name, presence.without(trace, key, min(1.0, claimed)), at)
        silent = odds.silent / outside if outside else 1.0
        self._keep_yard(replace(yard, silent=yard.silent + silent), at)
        return stays.over(stay, at.now)

    def _seen(self, key: str, at: _At, marked: VehicleMarked | None = None) -> list[Effect]:
        """It is surely inside now."""
        stay = self._stay(key, at)
        if stay.entered_at is None or stay.entered_at > at.now:
            return []
        self._not_traced(key, at)
        stay = replace(stay, seen_at=at.now, mistaken=0.0, marked_at=at.now if marked else stay.marked_at)
        if stays.waits(stay, self._limits, at.now) is None:
            self._keep(stays.STAY.name, key, stay, at)
            return []
        return self._ask(key, stay, at)

    def _gone(self, key: str, at: _At) -> list[Effect]:
        """Somebody looked, and it is not there: it left unseen, or its plate was misread when it came."""
        stay = self._stay(key, at)
        if stay.entered_at is None:
            return []
        effects = self._was_missed(key, stay, at)
        known = bool(stay.visits) or self._vehicle(stay.plate) is not None
        self._keep(stays.STAY.name, key, stays.left(stay, at.now, seen=False) if known else None, at)
        return effects

    # -- what time does ----------------------------------------------------------------------------------------------

    def _ask(self, key: str, stay: Stay, at: _At) -> list[Effect]:
        """It stays too long: how likely is it still there?"""
        stay = replace(stay, listing=self._listing(stay.plate, at.now, stay.listing))
        evidence = self._about(key, at)
        probability = presence.odds(stay, evidence, self._yard(at), self._limits, at.now).probability
        about = {"perhaps_left_by": len(evidence), "seen_on_a_round": stay.marked_at is not None}
        after, effects = stays.asked(stay, probability, self._limits, at.now, about=about)
        self._keep(stays.STAY.name, key, after, at)
        yard, waits = self._yard(at), stays.waits(after, self._limits, at.now) is not None
        if waits and probability >= self._limits.round_from and yard.waiting_since is None:
            self._keep_yard(replace(yard, waiting_since=at.now, lane=after.barrier), at)
        return effects

    def _settle(self, at: _At) -> list[Effect]:
        """Readings no passage was told of in time: who was read at an exit has left by it."""
        effects: list[Effect] = []
        yard = self._yard(at)
        old = [one for one in yard.readings if one.at + stays.SETTLED <= at.now]
        self._keep_yard(replace(yard, readings=tuple(one for one in yard.readings if one not in old)), at)
        for one in old:
            if one.out:
                effects += self._left(one.plate, one.evidence, one.lane, at._replace(now=one.at))
        return effects

    def _look_through(self, at: _At, *, marked: bool = False) -> list[Effect]:
        """The list for a round, and whether somebody has to be reminded of it."""
        yard = self._yard(at)
        waiting = sum(one.waits for one in self._everybody(at))
        after, effects = stays.looked_through(yard, waiting, self._limits, at.now, marked=marked)
        self._keep_yard(after, at)
        return effects

    # -- for people --------------------------------------------------------------------------------------------------

    def inside(self, community: str, now: datetime) -> list[Inside]:
        """Who is thought to be inside, those that stay too long first, then the longest there."""
        found = self._everybody(_At(community, now, Changes(), Changes()))
        return sorted(found, key=lambda one: (one.overdue_at is None, one.stay.entered_at))

    def stay(self, community: str, key: str, now: datetime, batch: Changes, turn: Changes) -> Stay:
        """The stay of this key; one without an entry where there is none."""
        return self._stay(key, _At(community, now, batch, turn))

    def _everybody(self, at: _At) -> Iterator[Inside]:
        about, yard = presence.evidence(self._all(stays.TRACE.name, at).copy().values()), self._yard(at)
        for key, stay in self._all(stays.STAY.name, at).copy().items():
            probability = presence.odds(stay, about.get(key, ()), yard, self._limits, at.now).probability
            overdue = min((due for due, _ in stays.limits_of(stay, self._limits) if due <= at.now), default=None)
            waits = stays.waits(stay, self._limits, at.now) is not None and probability >= self._limits.round_from
            yield Inside(key, stay, probability, overdue, waits)

    # -- states ------------------------------------------------------------------------------------------------------

    def _about(self, key: str, at: _At) -> list[tuple[Trace, float]]:
        """The traces that may be this vehicle's, and how much each speaks for it."""
        traces = self._all(stays.TRACE.name, at).values()
        return presence.evidence(trace for trace in traces if key in trace.candidates).get(key, [])

    def _vehicle(self, plate: str) -> Vehicle | None:
        return self._directory.vehicle(plate) if plate else None

    def _listing(self, plate: str, now: datetime, before: Listing = Listing.UNKNOWN) -> Listing:
        """Where it stands now. A guest whose day is over is still a guest."""
        vehicle = self._vehicle(plate)
        return listing_now(vehicle, now) if vehicle else Listing.UNKNOWN if before is Listing.ALLOW else before

    def _probability(self, key: str, stay: Stay, at: _At) -> float:
        evidence = self._about(key, at)
        return presence.odds(stay, evidence, self._yard(at), self._limits, at.now).probability

    def _stay(self, key: str, at: _At) -> Stay:
        state = self._states.policy((stays.STAY.name, f"{at.community}/{key}"), at.batch, at.turn)
        return state if isinstance(state, Stay) else Stay()

    def _yard(self, at: _At) -> Yard:
        state = self._states.policy((stays.YARD.name, at.community), at.batch, at.turn)
        return state if isinstance(state, Yard) else Yard()

    def _keep_yard(self, yard: Yard, at: _At) -> None:
        at.turn.policies[stays.YARD.name, at.community] = yard
        self._schedule.want(("policy", stays.YARD.name, at.community), stays.yard_deadline(yard, self._limits))

    def _keep(self, policy: str, key: str, state: Stay | Trace | None, at: _At) -> None:
        name = (policy, f"{at.community}/{key}")
        if state is not None and not self._states.has_room(name, at.batch):
            return
        at.turn.policies[name] = state
        due = None
        if isinstance(state, Stay):
            due = stays.deadline(state, self._limits)
        elif isinstance(state, Trace):
            due = stays.trace_deadline(state, self._limits)
        self._schedule.want(("policy", *name), due)

    def _all(self, policy: str, at: _At) -> dict[str, Any]:
        """By key: every vehicle inside, or every trace, of the community."""
        held = self._indexed().get((policy, at.community), {})
        changed = [
            (name, state)
            for changes in (at.batch, at.turn)
            for name, state in changes.policies.items()
            if name[0] == policy and name[1].startswith(f"{at.community}/")
        ]
        if changed:
            held = held.copy()
            for name, state in changed:
                _put(held, name[1].rsplit("/", 1)[1], state)
        return held

    def _indexed(self) -> dict[tuple[str, str], dict[str, Any]]:
        if self._index is None:
            self._index = {}
            self._take(self._states.policies.copy())
        return self._index

    def _take(self, changed: dict[tuple[str, str], Any]) -> None:
        for (policy, scope), state in changed.items():
            if policy in (stays.STAY.name, stays.TRACE.name):
                community, key = scope.rsplit("/", 1)
                _put(self._indexed().setdefault((policy, community), {}), key, state)

    def take_up(self) -> None:
        """The states are restored: from now on `inside` may be called."""
        self._index = None
        self._indexed()

    def adopt(self, batch: Changes) -> None:
        """The batch is safe: what it changed is the truth now."""
        self._take(batch.policies)


def _put(held: dict[str, Any], key: str, state: Struct | None) -> None:
    if state is None or (isinstance(state, Stay) and state.entered_at is None):
        held.pop(key, None)
    else:
        held[key] = state


def _mistaken_for(plate: str, stay: Stay) -> bool:
    """A stranger that nobody ever saw leave, and that looks like one we know, is that one: its entry was misread."""
    stranger = stay.listing not in _REGISTERED and not stay.visits
    return bool(plate) and stranger and presence.errors(plate, stay.plate) <= presence.NEAR


def _told(
    direction: Direction, plate: str, read: str, probability: float, evidence: str, lane: str, at: datetime
) -> Report:
    event = VehicleTraced(
        at=at, direction=direction, plate=plate, read=read, probability=round(probability, 4), evidence=evidence
    )
    return Report(event=event, device=lane)
