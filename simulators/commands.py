"""The command line: `simulate` registers a simulated estate and plays a day of it, or scores a month of one."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from rich.console import Console
from rich.progress import Progress

from simulators.client import ApiError, Client, register
from simulators.estate import Estate
from simulators.face_drawing import faces_from
from simulators.faults import Faults
from simulators.pictures import Pictures
from simulators.run import Run
from simulators.score import run as score_run
from simulators.score import table
from simulators.score.wire import Fact

FACTS_A_STEP = 1000
"""How far the bar of a score moves at a time."""


def simulate(
    broker: Annotated[str, typer.Option(help="mqtt://user:password@host:port")] = "mqtt://127.0.0.1:1883",
    api: Annotated[str, typer.Option(help="address of the gateway's API; empty: register nothing")] = "",
    token: Annotated[str, typer.Option(help="bearer token of the API", envvar="LINLI_TOKEN")] = "",
    seed: Annotated[int, typer.Option(help="the same seed gives the same estate and day")] = 1,
    seconds: Annotated[float, typer.Option(help="length of the day, seconds of the estate")] = 60.0,
    rate: Annotated[float, typer.Option(help="happenings a second")] = 1.0,
    speed: Annotated[float, typer.Option(help="how much faster than real time the day passes")] = 1.0,
    residents: Annotated[int, typer.Option(help="how many residents")] = 8,
    buildings: Annotated[int, typer.Option(help="how many buildings")] = 2,
    drop: Annotated[float, typer.Option(help="share of messages never sent")] = 0.0,
    duplicate: Annotated[float, typer.Option(help="share of messages sent twice")] = 0.0,
    reorder: Annotated[float, typer.Option(help="share of messages sent after a later one")] = 0.0,
    delay: Annotated[float, typer.Option(help="share of messages sent late")] = 0.0,
    delay_s: Annotated[float, typer.Option(help="how late at most, seconds")] = 5.0,
    poison: Annotated[float, typer.Option(help="share of messages followed by a broken copy")] = 0.0,
    wrong_clock: Annotated[float, typer.Option(help="share of devices with a wrong clock")] = 0.0,
    storm_s: Annotated[float, typer.Option(help="seconds between reconnect storms, 0: none")] = 0.0,
    frame_s: Annotated[float, typer.Option(help="seconds between pictures of the first camera, 0: none")] = 1.5,
    faces: Annotated[Path | None, typer.Option(help="folder of photographs instead of drawn faces")] = None,
    score: Annotated[
        bool, typer.Option("--score", help="instead: decide a month with known truth in simulated time, and score it")
    ] = False,
    days: Annotated[int, typer.Option(min=1, max=31, help="with --score: how many days")] = 30,
    json: Annotated[bool, typer.Option("--json", help="with --score: the figures as one line of JSON")] = False,
) -> None:
    """Play a day of a simulated estate; prints what came of it as one line of JSON. Ctrl-C ends it cleanly.

    With --score no broker and no gateway are needed: see docs/score.md.
    """
    if score:
        print_score(seed, days, json=json)
        return
    estate = Estate(seed, buildings=buildings, residents=residents)
    faults = Faults(
        drop=drop,
        duplicate=duplicate,
        reorder=reorder,
        delay=delay,
        delay_s=delay_s,
        poison=poison,
        wrong_clock=wrong_clock,
        storm_s=storm_s,
    )
    try:
        photographs = faces_from(faces) if faces else None
        registered = register(Client(api, token), estate, Pictures(estate, photographs)) if api else {}
        run = Run(
            estate,
            broker=broker,
            seconds=seconds,
            rate=rate,
            speed=speed,
            faults=faults,
            photographs=photographs,
            frame_s=frame_s,
        )
        summary = play(run)
    except (ApiError, ConnectionError, FileNotFoundError, ValueError) as error:
        typer.echo(f"simulate: {error}", err=True)
        raise typer.Exit(1) from error
    typer.echo(msgspec.json.encode({"at": datetime.now(UTC), "registered": registered, **summary}).decode())


def print_score(seed: int, days: int, *, json: bool) -> None:
    """A score as a table, or as one line of JSON."""
    console = Console(stderr=True)

    def progress(facts: Iterable[Fact], total: int) -> Iterable[Fact]:
        # With auto_refresh a bar left in the middle is joined by its own thread when it is collected: a deadlock.
        with Progress(console=console, auto_refresh=False) as bar:
            task = bar.add_task("days decided", total=total)
            for number, fact in enumerate(facts, 1):
                yield fact
                if number % FACTS_A_STEP == 0 or number == total:
                    bar.update(task, completed=number, refresh=True)

    try:
        scored = score_run.run(seed, days, progress)
    except score_run.EngineError as error:
        typer.echo(f"simulate --score: {error}", err=True)
        raise typer.Exit(1) from error
    if json:
        typer.echo(msgspec.json.encode(scored).decode())
    else:
        table.show(scored, Console())


def play(run: Run) -> dict[str, Any]:
    """Plays a run to its end, or until SIGINT or SIGTERM; gives its summary."""
    ended = threading.Event()
    before = {number: signal.signal(number, lambda *_: ended.set()) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        run.start()
        while not ended.is_set() and not run.wait(0.3):
            continue
        run.stop()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    return dict(msgspec.to_builtins(run.summary()))


app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
app.command()(simulate)

if __name__ == "__main__":
    app()
