"""The score as a table, for people."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from simulators.score.run import Scored
from simulators.score.scoring import Calibration, Scenario

MISSED_SHOWN = 20


def show(scored: Scored, console: Console) -> None:
    """Every scenario, what was cried for nothing, and what the candidates' score is worth."""
    score = scored.score
    head = f"{scored.days} days, {scored.devices} devices, seed {scored.seed}: {scored.facts:,} facts"
    caption = "by round: found since a guard looked; again: further alerts of an incident that was told already"
    table = Table(title=head, caption=caption)
    table.add_column("scenario")
    for name in ("incidents", "found", "by round", "recall", "false", "precision", "again", "delay p50", "delay max"):
        table.add_column(name, justify="right")
    for one in score.scenarios:
        table.add_row(*_row(one))
    console.print(table)
    each = ", ".join(f"{code} {count}" for code, count in score.false_by_type.items())
    console.print(f"alerts {score.alerts}, of them false {score.false} ({each or 'none'}), explained {score.explained}")
    per = score.false_per_1000_device_days
    console.print(f"false alerts per 1,000 device-days: {per} (of {score.device_days:,.0f} device-days)")
    _calibration(score.calibration, "zombie-car candidates", console)
    console.print(f"looked for on rounds {score.rounds.looked}, of them there {score.rounds.here}")
    _calibration(score.rounds.looks, "cars looked for", console)
    away = score.turn_aways
    console.print(f"turned away by a full car park {away.happened}, counted {away.counted}, of them right {away.right}")
    for missed in score.missed[:MISSED_SHOWN]:
        console.print(f"missed: {missed}")


def _row(one: Scenario) -> tuple[str, ...]:
    return (
        one.scenario,
        str(one.incidents),
        str(one.found),
        str(one.by_round or ""),
        _share(one.recall),
        str(one.false),
        _share(one.precision),
        str(one.right - one.found),
        _length(one.delay_p50_s),
        _length(one.delay_max_s),
    )


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def _length(seconds: float | None) -> str:
    if seconds is None:
        return ""
    for unit, size in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.1f} s"


def _calibration(calibration: Calibration, what: str, console: Console) -> None:
    if calibration.brier is None:
        console.print(f"no {what}")
        return
    table = Table(title=f"{what} by probability")
    for name in ("probability", "cars", "mean", "share that were"):
        table.add_column(name, justify="right")
    for one in calibration.bins:
        table.add_row(f"{one.low:g} to {one.high:g}", str(one.candidates), f"{one.mean_score:.3f}", f"{one.share:.3f}")
    console.print(table)
    console.print(f"Brier score {calibration.brier} (the same share for everybody: {calibration.brier_constant})")
