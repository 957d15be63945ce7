"""Alerts against the truth: who was found, how soon, what was cried for nothing, and what a score was worth. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from statistics import median

from msgspec import Struct

from simulators.score.world import Incident

ASKS = frozenset({"raised", "reopened", "released"})
"""Changes by which somebody is asked to look, where the alert is not hidden behind its cause."""
ABOUT_THE_DESK = frozenset({"alarm_flood"})
"""Alerts about the desk and not the estate."""
EARLY = timedelta(seconds=5)
"""So much before the start an alert may come: the truth's own rounding."""
ZOMBIE = "vehicle_overstay"
BINS = (0.0, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0)


class Rounded(Struct, frozen=True, kw_only=True, tag="round", tag_field="line"):
    """A guard looked for a car, in the shape of `gateway.rehearsal.Rounded`."""

    at: datetime
    plate: str
    probability: float
    here: bool
    alert: bool


class TurnedAway(Struct, frozen=True, kw_only=True, tag="turned_away", tag_field="line"):
    """One was counted that drove off, in the shape of `gateway.rehearsal.TurnedAway`."""

    at: datetime


class Changed(Struct, frozen=True, kw_only=True, tag="changed", tag_field="line"):
    """A change of an alert, in the shape of `gateway.rehearsal.Changed`."""

    at: datetime
    change: str
    alert: str
    type: str
    device: str
    instance: str
    subject: str
    first_seen: datetime
    confidence: float
    hidden: bool


class Scenario(Struct, frozen=True, kw_only=True):
    """One scenario's figures. `found` of the `incidents` were told by `right` alerts (several may tell the same one);
    `false` alerts of its types told none. Delays in seconds, from the incident's start to the first alert. `recall`:
    share of the incidents that were told; `precision`: share of the alerts that were right; None: there were none.
    `by_round`: of those found, first told when a guard had found the car on a round.
    """

    scenario: str
    incidents: int
    found: int
    by_round: int
    right: int
    false: int
    delay_p50_s: float | None
    delay_max_s: float | None
    recall: float | None
    precision: float | None


class Bin(Struct, frozen=True, kw_only=True):
    """Candidates with a score from `low` to below `high`: how many, their mean score, the share that were so."""

    low: float
    high: float
    candidates: int
    mean_score: float
    share: float


class Calibration(Struct, frozen=True, kw_only=True):
    """What the score of zombie-car candidates is worth. `brier`: mean squared error of the score; `brier_constant`: of
    saying the same share of every candidate, which a score has to beat. None: there was no candidate.
    """

    bins: tuple[Bin, ...]
    brier: float | None
    brier_constant: float | None


class Rounds(Struct, frozen=True, kw_only=True):
    """What the list for a round was worth: `looked` cars were looked for on rounds, `here` of them were there. `looks`:
    the probability of every car that was looked for, on a round or for an alert, against its being there.
    """

    looked: int
    here: int
    looks: Calibration


class TurnAways(Struct, frozen=True, kw_only=True):
    """Cars that drove off because the car park was full: how many did, how many were counted, and of these how many
    were such (within a minute, each once).
    """

    happened: int
    counted: int
    right: int


class Score(Struct, frozen=True, kw_only=True):
    """The whole. `explained`: alerts that follow from something true and are counted neither way. `false_by_type`:
    the false alerts by the type of the alert, the most frequent first.
    """

    scenarios: tuple[Scenario, ...]
    alerts: int
    explained: int
    false: int
    false_by_type: dict[str, int]
    device_days: float
    false_per_1000_device_days: float
    calibration: Calibration
    rounds: Rounds
    turn_aways: TurnAways
    missed: tuple[str, ...]


def score(
    incidents: Sequence[Incident],
    said: Sequence[Changed | Rounded | TurnedAway],
    *,
    device_days: float,
    since: datetime,
    turned_away: Sequence[datetime] = (),
) -> Score:
    """Compare. What was said before `since` is of the lead-in and does not count."""
    changes = [one for one in said if isinstance(one, Changed)]
    rounds = [one for one in said if isinstance(one, Rounded) and one.at >= since]
    found_here = frozenset((one.plate, one.at) for one in rounds if one.here and not one.alert)
    asked = [c for c in changes if c.change in ASKS and not c.hidden and c.at >= since and c.type not in ABOUT_THE_DESK]
    told: dict[int, list[Changed]] = defaultdict(list)
    false: list[Changed] = []
    right, explained = 0, 0
    for change in asked:
        hits = [n for n, incident in enumerate(incidents) if _tells(change, incident)]
        for n in hits:
            told[n].append(change)
        if hits:
            right += 1
        elif any(_follows(change, incident) for incident in incidents):
            explained += 1
        else:
            false.append(change)
    by_type: dict[str, int] = defaultdict(int)
    for change in false:
        by_type[change.type] += 1
    return Score(
        scenarios=tuple(_scenarios(incidents, told, by_type, found_here)),
        alerts=len(asked),
        explained=explained,
        false=len(false),
        false_by_type=dict(sorted(by_type.items(), key=lambda held: (-held[1], held[0]))),
        device_days=device_days,
        false_per_1000_device_days=round(len(false) / device_days * 1000, 2),
        calibration=calibration(
            [(c.confidence, any(_tells(c, i) for i in incidents)) for c in asked if c.type == ZOMBIE]
        ),
        rounds=Rounds(
            looked=sum(not one.alert for one in rounds),
            here=sum(one.here and not one.alert for one in rounds),
            looks=calibration([(one.probability, one.here) for one in rounds]),
        ),
        turn_aways=_turn_aways(turned_away, [one.at for one in said if isinstance(one, TurnedAway)]),
        missed=tuple(_missed(incidents, told)),
    )


def _here(change: Changed, incident: Incident) -> bool:
    """At its place, about its subject, in its time. The time of the alert is when somebody was asked."""
    if incident.devices and change.device not in incident.devices:
        return False
    if incident.subject and change.subject != incident.subject:
        return False
    return incident.start - EARLY <= change.at <= incident.end + timedelta(seconds=incident.within_s)


def _tells(change: Changed, incident: Incident) -> bool:
    return change.type in incident.codes and _here(change, incident)


def _follows(change: Changed, incident: Incident) -> bool:
    return change.type in incident.explains and _here(change, incident)


def _scenarios(
    incidents: Sequence[Incident],
    told: dict[int, list[Changed]],
    false: dict[str, int],
    found_here: frozenset[tuple[str, datetime]],
) -> Iterable[Scenario]:
    """A false alert is counted at the first scenario that its type belongs to by itself."""
    of: dict[str, list[int]] = defaultdict(list)
    for n, incident in enumerate(incidents):
        if incident.codes:
            of[incident.scenario].append(n)
    counted: set[str] = set()
    for name, numbers in sorted(of.items()):
        main = {_main(name, code) for n in numbers for code in incidents[n].codes} - {""} - counted
        counted |= main
        delays = [
            max(0.0, (min(change.at for change in told[n]) - incidents[n].start).total_seconds())
            for n in numbers
            if n in told
        ]
        right = len({(change.alert, change.at) for n in numbers for change in told.get(n, ())})
        wrong = sum(false.get(code, 0) for code in main)
        yield Scenario(
            scenario=name,
            incidents=len(numbers),
            found=len(delays),
            by_round=sum(_by_round(told[n], found_here) for n in numbers if n in told),
            right=right,
            false=wrong,
            recall=round(len(delays) / len(numbers), 4),
            precision=round(right / (right + wrong), 4) if right + wrong else None,
            delay_p50_s=round(median(delays), 1) if delays else None,
            delay_max_s=round(max(delays), 1) if delays else None,
        )


def _by_round(tellings: list[Changed], found_here: frozenset[tuple[str, datetime]]) -> bool:
    first = min(tellings, key=lambda change: change.at)
    return (first.subject, first.at) in found_here


def _turn_aways(happened: Sequence[datetime], counted: Sequence[datetime]) -> TurnAways:
    left = sorted(happened)
    right = 0
    for at in sorted(counted):
        meant = next((one for one in left if abs(one - at) <= timedelta(minutes=1)), None)
        if meant is not None:
            left.remove(meant)
            right += 1
    return TurnAways(happened=len(happened), counted=len(counted), right=right)


MAIN = {
    "blocklisted plate": ("blocklisted_plate", "plate_near_blocklist"),
    "plate in doubt": ("plate_unsure",),
    "unknown vehicle": ("unknown_vehicle",),
    "device away": ("device_offline",),
}
"""Where one type tells several scenarios, the one that its false alerts are counted at."""


def _main(scenario: str, code: str) -> str:
    return code if scenario not in MAIN or code in MAIN[scenario] else ""


def _missed(incidents: Sequence[Incident], told: dict[int, list[Changed]]) -> Iterable[str]:
    for n, incident in enumerate(incidents):
        if incident.codes and n not in told:
            where = ", ".join(sorted(incident.devices)) or "the estate"
            yield f"{incident.scenario} at {where}, {incident.start:%d %b %H:%M}"


def calibration(candidates: Iterable[tuple[float, bool]]) -> Calibration:
    """What a probability says of the truth, by bins."""
    pairs = [(probability, float(true)) for probability, true in candidates]
    if not pairs:
        return Calibration(bins=(), brier=None, brier_constant=None)
    bins = []
    for low, high in pairwise(BINS):
        inside = [(p, true) for p, true in pairs if low <= p < high or (high == BINS[-1] and p == high)]
        if inside:
            bins.append(
                Bin(
                    low=low,
                    high=high,
                    candidates=len(inside),
                    mean_score=round(sum(p for p, _ in inside) / len(inside), 3),
                    share=round(sum(true for _, true in inside) / len(inside), 3),
                )
            )
    share = sum(true for _, true in pairs) / len(pairs)
    return Calibration(
        bins=tuple(bins),
        brier=round(sum((p - true) ** 2 for p, true in pairs) / len(pairs), 4),
        brier_constant=round(share * (1 - share), 4),
    )
