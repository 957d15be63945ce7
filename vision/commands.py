"""`linli faces` and `linli plates`: measure the engines on labelled images.

Each prints one JSON object as its last line on stdout; progress goes to stderr.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer
from rich.console import Console
from rich.progress import track

if TYPE_CHECKING:
    from vision.evaluate import FaceFigures
    from vision.evaluate_plates import PlateFigures
    from vision.labels import Progress

faces = typer.Typer(help="Faces: how well they are told apart.", no_args_is_help=True)
plates = typer.Typer(help="Number plates: how well they are read.", no_args_is_help=True)

Labels = Annotated[Path, typer.Argument(metavar="LABELS.csv", help="Paths in the file column are relative to it.")]


@faces.callback()
def _faces() -> None:
    """A group even while it has one command."""


@plates.callback()
def _plates() -> None:
    """A group even while it has one command."""


def _with_progress(rows: Iterable[tuple[Path, str]]) -> Iterable[tuple[Path, str]]:
    return track(list(rows), description="looking", console=Console(stderr=True))


def _report(evaluate: Callable[[Path, Progress], FaceFigures | PlateFigures], labels: Path) -> None:
    from vision.labels import LabelsError  # noqa: PLC0415 - the caller has loaded it

    try:
        figures = evaluate(labels, _with_progress)
    except LabelsError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from error
    typer.echo(msgspec.json.encode(figures).decode())


@faces.command("evaluate")
def evaluate_faces(labels: Labels) -> None:
    """Compare labelled face images (file,person) with each other."""
    from vision import evaluate  # noqa: PLC0415 - the models' libraries take seconds; other commands need none

    _report(evaluate.evaluate_faces, labels)


@plates.command("evaluate")
def evaluate_plates_command(
    labels: Labels,
    bare: Annotated[bool, typer.Option("--bare", help="Beside it, the two models without our rules.")] = False,
) -> None:
    """Read labelled images of vehicles (file,plate)."""
    from vision.evaluate_plates import evaluate_plates  # noqa: PLC0415 - as above

    _report(partial(evaluate_plates, bare=bare), labels)
