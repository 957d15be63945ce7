"""How likely a vehicle still is on the estate: Bayes' rule over its staying, its leaving unseen, and its being the one
of an exit whose plate fits nobody. Pure.

A vehicle of which no exit was read

- stays: as often as vehicles of its class stay so long (`gateway.dwell`, learned);
- has left and nothing told of it: the community's share of silent exits (learned from who came back so);
- has left by one of the exits nobody could be named for, its `Trace`s: an arm that moved for no plate, a plate that
  belongs to nobody inside but resembles this one.

The second and third are worth less the longer one that used to come back stays away. A trace is one vehicle's: its
weight is shared among all it may have been, and who is seen to have been inside after it, drops out; who came in again
without having left, takes it. So the exits nobody could read in the morning are mostly claimed by the evening.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from msgspec import Struct
from msgspec.structs import replace

from devices.events import Listing
from gateway.dwell import NOTHING, Curve, Usual, curve
from gateway.settings import Policies
from vision.confusion import SLIP, cost

AWAY = Usual(low=0.25, high=24, long=0.1)
"""How long those stay away who come back."""
AS_GOOD_AS = 200
"""The settings' shares count as much as so many exits that were seen."""
CANDIDATES = 40
"""So many vehicles at most are kept for one trace; the others together count as somebody unknown."""
UNKNOWN_SHARE = 0.05
"""Of the exits without a plate: of somebody whose entry was missed, or of nobody."""
MISSED_ENTRY = 0.02
"""Share of the entries that were missed, so that the vehicle is inside without our knowing."""
LEAVES_PER_H, COMES_PER_H, RETURNS_PER_H = 0.05, 0.01, 0.05
"""How soon a vehicle leaves of which we do not know when it came; or comes in, in general and where it often does, of
which we do not know when it left.
"""
PLATES = 1e5
"""So many plates are likely at one estate: the chance that a stranger's is a given one is 1 in so many."""
UNRESOLVED = 0.25
"""Share of the misread entries that no later reading is likely to set right."""
NEAR, FURTHEST = 0.7, 1.5
"""Plain errors (`vision.confusion`) up to which a text is as a misread plate usually is, and above which it is none."""
SURE = 0.9
"""From this share on one vehicle is taken to be the one."""


class Stay(Struct, frozen=True, kw_only=True):
    """A vehicle: since when it is on the estate, by which barrier it came; or when it left.

    `read`: its plate as read at the entry, where that differs; `mistaken`: how likely it is nobody's plate but another
    vehicle's, misread. `seen_at`: when it was last surely inside, after its
    entry. `visits` ended with an exit that was seen, `missed` with one that was not. `checked_at`: when it was last
    asked how likely it still is inside; `told`: the alerts that stand;
    `marked_at`: when somebody last stood before it.
    """

    plate: str = ""
    read: str = ""
    barrier: str = ""
    evidence: str = ""
    listing: Listing = Listing.UNKNOWN
    entered_at: datetime | None = None
    left_at: datetime | None = None
    seen_at: datetime | None = None
    checked_at: datetime | None = None
    marked_at: datetime | None = None
    told: tuple[str, ...] = ()
    visits: int = 0
    missed: int = 0
    mistaken: float = 0.0


class Share(Struct, frozen=True, array_like=True):
    """What speaks for one vehicle at a trace: `likely`, the density (per hour) of its leaving just then and being read
    so; `weight`, the same times the probability that it still was inside.
    """

    likely: float
    weight: float


class Trace(Struct, frozen=True, kw_only=True):
    """An exit at `at` for which nobody could be named. `candidates` by the digest of the plate; `other`: the weight of
    everybody else; `claimed`: how surely one who is no candidate any more has turned out to be the one.
    """

    at: datetime
    lane: str
    read: str = ""
    evidence: str = ""
    candidates: dict[str, Share] = {}
    other: float = 0.0
    claimed: float = 0.0


class Reading(Struct, frozen=True, kw_only=True):
    """A plate read at a lane, and no passage told of since."""

    lane: str
    plate: str
    at: datetime
    out: bool
    evidence: str = ""


class Yard(Struct, frozen=True, kw_only=True):
    """What a community has learned: `stays` by class and `away` (`gateway.dwell`); how many `exits` were read, had no
    plate (`unread`), told nothing at all (`silent`). `readings` at its lanes, oldest first. `waiting_since`: since
    when the list for a round waits for somebody; `round_told`: its alert stands, at `lane`; `looked_at`: when the list
    was last looked through.
    """

    stays: dict[str, tuple[float, ...]] = {}
    away: tuple[float, ...] = NOTHING
    exits: float = 0.0
    unread: float = 0.0
    silent: float = 0.0
    readings: tuple[Reading, ...] = ()
    lane: str = ""
    waiting_since: datetime | None = None
    looked_at: datetime | None = None
    round_told: bool = False


Evidence = Iterable[tuple[Trace, float]]
"""Traces a vehicle may have left by, and how much each speaks for it (`evidence`)."""


def hours(length: timedelta) -> float:
    """As a number."""
    return length.total_seconds() / 3600


def class_of(listing: Listing) -> str:
    """Vehicles of one class stay alike."""
    if listing is Listing.ALLOW:
        return "resident"
    return "guest" if listing is Listing.VISITOR else "stranger"


def stays(yard: Yard, listing: Listing, limits: Policies) -> Curve:
    """How long vehicles of this class stay here."""
    name = class_of(listing)
    low, high, long = {"resident": (0.5, 72.0, 0.05), "guest": (0.25, 12.0, 0.03), "stranger": (0.1, 6.0, 0.03)}[name]
    usual = Usual(low=low, high=high, long=long, for_ever=limits.zombie_share)
    return curve(yard.stays.get(name, NOTHING), usual)


def unread_share(yard: Yard, limits: Policies) -> float:
    """Share of the exits without a plate."""
    return (yard.unread + limits.unread_share * AS_GOOD_AS) / (yard.exits + yard.unread + AS_GOOD_AS)


def silent_share(yard: Yard, limits: Policies) -> float:
    """Share of the exits of which nothing at all was heard."""
    return (yard.silent + limits.missed_exit_share * AS_GOOD_AS) / (yard.exits + yard.unread + AS_GOOD_AS)


def errors(read: str, plate: str) -> float:
    """Plain errors between a text and a plate: place by place, or one character lost or added; more than two: inf."""
    if len(read) == len(plate):
        wrong = [(a, b) for a, b in zip(read, plate, strict=True) if a != b]
        return sum(cost(a, b) for a, b in wrong) if len(wrong) <= 2 else math.inf
    short, long = sorted((read, plate), key=len)
    slipped = len(long) == len(short) + 1 and any(long[:i] + long[i + 1 :] == short for i in range(len(long)))
    return SLIP if slipped else math.inf


def misread(read: str, plate: str, limits: Policies) -> float:
    """Probability that this plate is read as this text: a quarter of all misreadings, since most characters have some
    that look like them, and a hundredth of that for each plain error more.
    """
    wrong = errors(read, plate)
    if wrong > FURTHEST:
        return 0.0
    return limits.misread_share / 4 * 10 ** (-2 * max(0.0, wrong - NEAR))


def stays_away(stay: Stay, away: timedelta, yard: Yard) -> float:
    """Probability that one that left so long ago has not come back by now: by the rule of succession, one that came `n`
    times comes again with n / (n + 1).
    """
    before = stay.visits + stay.missed
    if not before:
        return 1.0
    returned = 1 - curve(yard.away, AWAY).survival(hours(away))
    return 1 - before / (before + 1) * returned


def evidence(traces: Iterable[Trace]) -> dict[str, list[tuple[Trace, float]]]:
    """By vehicle: the traces that may be its own, each with how much likelier it is if it was: the density of its
    leaving so, over the rate at which all others do.
    """
    found: dict[str, list[tuple[Trace, float]]] = defaultdict(list)
    for trace in traces:
        total = trace.other + sum(share.weight for share in trace.candidates.values())
        for key, share in trace.candidates.items():
            others = max(total - share.weight, trace.other)
            found[key].append((trace, (1 - trace.claimed) * share.likely / others if others else math.inf))
    return found


class Odds(Struct, frozen=True):
    """Weights of what may be of one vehicle. `traced`: by trace, in the order of the evidence; `mistaken`: there was
    no such vehicle.
    """

    inside: float
    silent: float
    traced: tuple[float, ...] = ()
    mistaken: float = 0.0

    @property
    def total(self) -> float:
        """Of everything that may be."""
        return self.inside + self.silent + self.mistaken + sum(self.traced)

    @property
    def probability(self) -> float:
        """That it is inside."""
        return self.inside / self.total if self.inside else 0.0


def odds(stay: Stay, about: Evidence, yard: Yard, limits: Policies, now: datetime) -> Odds:
    """Of a vehicle whose entry was seen and no exit. Weights are relative to when it was last surely inside."""
    if stay.entered_at is None:
        return Odds(0.0, 1.0)
    sure = max(stay.entered_at, stay.seen_at or stay.entered_at)
    how_long = stays(yard, stay.listing, limits)
    inside = how_long.survival(hours(now - stay.entered_at)) / how_long.survival(hours(sure - stay.entered_at))
    silent = silent_share(yard, limits) * (1 - inside) * stays_away(stay, (now - sure) / 2, yard)
    traced = tuple(
        weight * stays_away(stay, now - trace.at, yard) if trace.at >= sure else 0.0 for trace, weight in about
    )
    real = 1 - stay.mistaken
    return Odds(real * inside, real * silent, tuple(real * weight for weight in traced), stay.mistaken)


def leaves_now(stay: Stay, chance: float, about: Evidence, yard: Yard, limits: Policies, now: datetime) -> Share:
    """What speaks for this vehicle at an exit that would be read so with `chance`, were it this one."""
    if stay.entered_at is None or now <= stay.entered_at:
        return Share(0.0, 0.0)
    how_long, sure = stays(yard, stay.listing, limits), max(stay.entered_at, stay.seen_at or stay.entered_at)
    likely = chance * how_long.density(hours(now - stay.entered_at))
    likely /= how_long.survival(hours(sure - stay.entered_at))
    total = odds(stay, about, yard, limits, now).total
    return Share(likely, likely * (1 - stay.mistaken) / total if total else 0.0)


def traced(
    trace: Trace, inside: Mapping[str, Stay], chances: Mapping[str, float], around: tuple[list[Trace], Yard, Policies]
) -> Trace:
    """The trace with the vehicles it may be. `chances`: of each, that it would be read so; `around`: the community's
    other traces, what it has learned, the settings.
    """
    traces, yard, limits = around
    about = evidence(traces)
    shares = {
        key: leaves_now(inside[key], chance, about.get(key, ()), yard, limits, trace.at)
        for key, chance in chances.items()
        if chance
    }
    by_weight = sorted(((key, share) for key, share in shares.items() if share.weight), key=lambda one: -one[1].weight)
    everybody = sum(share.weight for _, share in by_weight)
    kept = dict(by_weight[:CANDIDATES])
    rest = everybody - sum(share.weight for share in kept.values())
    other = trace.other if trace.read else UNKNOWN_SHARE * everybody
    return replace(trace, candidates=kept, other=other + rest)


def nobody_known(read: str, *, known: bool) -> float:
    """Weight of what a text at the exit may be besides those inside: a vehicle whose entry was missed, which is one we
    know of, or one of all there are.
    """
    if not read:
        return 0.0
    return MISSED_ENTRY * LEAVES_PER_H * (1 if known else 1 / (PLATES * LEAVES_PER_H))


def the_one(trace: Trace) -> tuple[str, float]:
    """The likeliest vehicle of a trace and the probability that it was the one; "" for nobody."""
    if not trace.candidates:
        return "", 0.0
    key = max(trace.candidates, key=lambda name: trace.candidates[name].weight)
    total = trace.other + sum(share.weight for share in trace.candidates.values())
    return key, (1 - trace.claimed) * trace.candidates[key].weight / total


def without(trace: Trace, key: str, claimed: float = 0.0) -> Trace | None:
    """The trace when a vehicle is no candidate any more. `claimed`: how surely it was the one. None: nobody is left."""
    if key not in trace.candidates:
        return trace
    left = {name: share for name, share in trace.candidates.items() if name != key}
    taken = trace.claimed + (1 - trace.claimed) * claimed
    return replace(trace, candidates=left, claimed=taken) if left and taken < 0.99 else None


def looks_like(read: str, plate: str, stay: Stay, yard: Yard, limits: Policies, now: datetime) -> float:
    """Weight (per hour) of a registered vehicle that is not known to be inside coming in now and being read so."""
    if errors(read, plate) > NEAR:
        return 0.0
    before = stay.visits + stay.missed
    per_hour = RETURNS_PER_H if stay.left_at is None else curve(yard.away, AWAY).density(hours(now - stay.left_at))
    per_hour = max(before / (before + 1) * per_hour, COMES_PER_H)
    return misread(read, plate, limits) * per_hour
