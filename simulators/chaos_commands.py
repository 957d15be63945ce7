"""The command line: `demo` shows a whole estate at work; `chaos` kills what can be killed and counts what is gone."""

from __future__ import annotations

import json
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from simulators.chaos import Chaos
from simulators.chaos_protocols import WORDS
from simulators.client import ApiError
from simulators.demo import Demo
from simulators.gateway_process import ProcessError

FAILED, INTERRUPTED = 1, 130
Data = Annotated[
    Path | None,
    typer.Option(file_okay=False, help="where everything is kept; else a folder that goes away if all is well"),
]


def demo(
    seconds: Annotated[float | None, typer.Option(min=1, help="how long the day lasts; else until Ctrl-C")] = None,
    headless: Annotated[bool, typer.Option("--headless", help="do not show the address of the desk")] = False,
    data: Data = None,
    port: Annotated[int, typer.Option(help="the desk's port; 0: any free one")] = 0,
    rate: Annotated[float, typer.Option(min=0.01, help="happenings a second")] = 2.0,
    seed: Annotated[int, typer.Option(help="the same seed gives the same estate and day")] = 1,
) -> None:
    """Run a whole estate on this machine: broker, gateway, desk, simulated devices, a receiving backend."""
    with _folder(data, "demo") as folder:
        play = Demo(folder, seconds=seconds, rate=rate, seed=seed, port=port, headless=headless, say=_say)
        _finish(play.run)


def chaos(
    minutes: Annotated[float, typer.Option(min=0.1, help="how long the blows fall")] = 5.0,
    rate: Annotated[float, typer.Option(min=1, help="messages a second")] = 100.0,
    seed: Annotated[int, typer.Option(help="the same seed gives the same blows")] = 1,
    protocols: Annotated[
        str, typer.Option(help="what is spoken besides native: names with commas between, a count, or all")
    ] = "all",
    data: Data = None,
) -> None:
    """Kill gateway, broker and backend at random under load; exit 1 if anything was lost, doubled or opened wrongly."""
    if data is not None and data.exists() and any(data.iterdir()):
        raise typer.BadParameter(
            "is not empty; the reckoning needs a gateway that has nothing yet", param_hint="--data"
        )
    spoken = _protocols(protocols)
    with _folder(data, "chaos") as folder:
        _finish(Chaos(folder, seconds=minutes * 60, rate=rate, seed=seed, protocols=spoken, say=_say).run)


def _protocols(wanted: str) -> list[str]:
    """The protocols named, all of them, or so many.

    :raises typer.BadParameter: there is one that chaos does not speak.
    """
    if wanted == "all":
        return list(WORDS)
    if wanted.isdecimal():
        return list(WORDS)[: int(wanted)]
    named = list(dict.fromkeys(name.strip() for name in wanted.split(",") if name.strip() not in ("", "native")))
    unknown = next((name for name in named if name not in WORDS), None)
    if unknown is not None:
        raise typer.BadParameter(
            f"chaos does not speak {unknown}; it speaks native, {', '.join(WORDS)}", param_hint="--protocols"
        )
    return named


def _finish(run: Any) -> None:
    """Run it and print what came of it as the last line; `clean` decides on the exit status and is not printed."""
    # SIGINT too: what a shell starts in the background begins with it ignored.
    ends = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, signal.default_int_handler) for number in ends}
    try:
        found: dict[str, Any] = run()
    except KeyboardInterrupt:
        _say("stopped")
        raise typer.Exit(INTERRUPTED) from None
    except (ProcessError, ApiError, ConnectionError) as error:
        typer.echo(f"linli: {error}", err=True)
        raise typer.Exit(FAILED) from error
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    clean = found.pop("clean")
    typer.echo(json.dumps(found))
    if not clean:
        raise typer.Exit(FAILED)


def _say(text: str) -> None:
    typer.echo(text)
    sys.stdout.flush()


@contextmanager
def _folder(wanted: Path | None, name: str) -> Iterator[Path]:
    if wanted is not None:
        wanted.mkdir(parents=True, exist_ok=True)
        yield wanted
        return
    made = Path(tempfile.mkdtemp(prefix=f"linli-{name}-"))
    try:
        yield made
    except typer.Exit as ending:
        if ending.exit_code == FAILED:
            typer.echo(f"kept for a closer look: {made}", err=True)
        else:
            shutil.rmtree(made)
        raise
    shutil.rmtree(made)
