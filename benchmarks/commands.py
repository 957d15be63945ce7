"""`linli bench NAME`: each prints one JSON object as its last line, with its limit measured in the same run."""

from __future__ import annotations

import json
import os
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

import typer

bench = typer.Typer(no_args_is_help=True, help="Measure, with the limit and the peer in the same run.")


def _print(figures: dict[str, Any]) -> None:
    """The figures, and how busy the machine was: with a load far above what a benchmark makes they say little."""
    print(json.dumps(figures | {"cores": os.cpu_count(), "load_5min": round(os.getloadavg()[1], 2)}))


@bench.callback()
def _group() -> None:
    """Measure, with the limit and the peer in the same run."""
    if find_spec("httpx") is None or find_spec("psutil") is None:
        typer.echo("bench needs the development packages, which `scripts/test` installs: run it once", err=True)
        raise typer.Exit(2)


@bench.command()
def ingest(
    messages: Annotated[int, typer.Option(help="Messages in each round's backlog.")] = 40_000,
    rounds: Annotated[int, typer.Option(help="Rounds; the median counts.")] = 3,
    soak: Annotated[int, typer.Option(help="Then so many messages live, watching memory.")] = 0,
    peer: Annotated[bool, typer.Option("--peer", help="Then the same with thingsboard-gateway.")] = False,
) -> None:
    """Durable events a second of the whole path, against a bare paho subscriber."""
    from benchmarks.ingest import run  # noqa: PLC0415 - each benchmark loads what it needs

    _print(run(messages, rounds=rounds, soak=soak, peer=peer))


@bench.command()
def latency(
    seconds: Annotated[float, typer.Option(min=3, help="How long each rate is kept.")] = 6,
    rounds: Annotated[int, typer.Option(min=1, help="Rounds; the median counts.")] = 3,
    sync: Annotated[list[str] | None, typer.Option(help="The broker's sync: always (first by default), 2m.")] = None,
) -> None:
    """From a device's publish to the door's command, the backend and the desk; the broker and the disk alone."""
    from benchmarks.latency import run  # noqa: PLC0415 - as above

    _print(run(seconds, sync or ["always", "2m"], rounds))


@bench.command()
def alerts(
    seconds: Annotated[float, typer.Option(min=3, help="How long each rate is kept.")] = 6,
    clients: Annotated[int, typer.Option(min=1, help="Desks on the live stream.")] = 200,
) -> None:
    """500 alerts a second to a backend, 100,000 open ones, and many desks on the live stream."""
    from benchmarks.alerts import run  # noqa: PLC0415 - as above

    _print(run(seconds, clients))


@bench.command()
def policies(
    events: Annotated[int, typer.Option(min=100, help="Events decided in each round.")] = 20_000,
    rounds: Annotated[int, typer.Option(min=1, help="Rounds; the median counts.")] = 5,
) -> None:
    """What all policies cost an event, against the same events decided with none."""
    from benchmarks.policies import run  # noqa: PLC0415 - as above

    _print(run(events, rounds))


@bench.command()
def ledger(rounds: Annotated[int, typer.Option(min=1, help="Rounds; the median counts.")] = 5) -> None:
    """What the ledger costs a commit, against the same journal without it."""
    from benchmarks.ledger import run  # noqa: PLC0415 - as above

    _print(run(rounds))


@bench.command()
def sync() -> None:
    """A district's places, staff and vehicles given by a backend, against the bare rows in one transaction."""
    from benchmarks.sync import run  # noqa: PLC0415 - as above

    _print(run())


@bench.command()
def start(
    rounds: Annotated[int, typer.Option(min=1, help="Starts; the median counts.")] = 5,
    devices: Annotated[int, typer.Option(min=1, help="Devices when memory is measured.")] = 2000,
) -> None:
    """Seconds until ready and until the first face, and memory, against the libraries alone."""
    from benchmarks.start import run  # noqa: PLC0415 - as above

    _print(run(rounds, devices))


@bench.command()
def faces(
    folder: Annotated[Path | None, typer.Option(help="JPEG photographs of one face each; else drawn faces.")] = None,
    rounds: Annotated[int, typer.Option(min=1, help="Rounds over all images.")] = 3,
) -> None:
    """From a snapshot to an identity among 10,000, against plain face_recognition and against the bare parts."""
    from benchmarks.faces import run  # noqa: PLC0415 - as above

    _print(run(folder, rounds=rounds))


@bench.command()
def gates(
    seconds: Annotated[float, typer.Option(min=3, help="How long.")] = 30,
    rate: Annotated[float, typer.Option(min=0.1, help="Faces a second, from ten gates together.")] = 10,
    beside: Annotated[int, typer.Option(min=1, help="Other messages a second: cards at doors.")] = 100,
    folder: Annotated[Path | None, typer.Option(help="JPEG photographs of one face each; else drawn faces.")] = None,
) -> None:
    """Ten gates' faces with the ingest path running beside them, against the worker process alone."""
    from benchmarks.gates import run  # noqa: PLC0415 - as above

    figures = run(seconds, rate, beside, folder)
    _print(figures)
    if figures["lost"]:
        raise typer.Exit(1)


@bench.command()
def match(rounds: Annotated[int, typer.Option(min=1, help="Probes at each size.")] = 25) -> None:
    """One probe against 100,000 and 1,000,000 templates, against the speed of memory."""
    from benchmarks.match import run  # noqa: PLC0415 - as above

    _print(run(rounds=rounds))


@bench.command()
def plates(
    labels: Annotated[Path | None, typer.Option(help="A CSV with the column `file`; else drawn cars.")] = None,
    images: Annotated[int, typer.Option(min=1, help="At most so many images.")] = 60,
) -> None:
    """From an image to its plates, against the two models bare."""
    from benchmarks.plates import run  # noqa: PLC0415 - as above

    _print(run(labels, images))


@bench.command()
def fuzz(
    files: Annotated[int, typer.Option(min=1, help="How many mutated files.")] = 10_000,
    seed: Annotated[int, typer.Option(help="The same seed, the same files.")] = 1,
    workers: Annotated[int, typer.Option(min=1, help="Worker processes.")] = 1,
) -> None:
    """Mutated JPEG, PNG and random files through the real pool: every one answered, no worker over its memory."""
    from benchmarks.fuzz import run  # noqa: PLC0415 - as above
    from vision.commands import with_progress  # noqa: PLC0415 - as above

    figures = run(files, seed=seed, workers=workers, progress=lambda numbers: with_progress(numbers, "files"))
    _print(figures)
    if not figures["ok"]:
        raise typer.Exit(1)


@bench.command()
def decode(
    rounds: Annotated[int, typer.Option(min=1, help="Rounds over all messages; the fastest counts.")] = 7,
    loops: Annotated[int, typer.Option(min=1, help="Times each message is decoded in a round.")] = 300,
) -> None:
    """What decoding a message costs in each protocol, against msgspec's bare decode of the same bytes."""
    from benchmarks.decode import run  # noqa: PLC0415 - as above

    _print(run(rounds, loops))
