"""`linli faces`: evaluate (vision), calibrate (gateway), and enrol a folder of photographs, here."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo

import msgspec
import typer
from rich.console import Console
from rich.progress import track

from api.enrol import EnrolError, Office, applicants, enrol_all
from api.tokens import create_token, revoke_token
from gateway import settings as settings_file
from gateway.face_commands import faces as app
from gateway.refusals import InvalidError
from gateway.residents import check_consent
from gateway.settings import Settings
from gateway.store import Store

__all__ = ["app"]

SCOPES = ("people:read", "people:write")


@app.command("enrol")
def enrol(
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="NAME.jpg or BUILDING_NAME.jpg, or folders so named.")
    ],
    scope: Annotated[str, typer.Option(help='What they consented to: "estate", or "building:<building>".')],
    until: Annotated[datetime, typer.Option(formats=["%Y-%m-%d"], help="The last day of the consent.")],
    recorded_by: Annotated[str, typer.Option(help="Who took the consents down.")],
    config: Annotated[Path | None, typer.Option(help="The settings file of the running gateway.")] = None,
    manifest: Annotated[Path | None, typer.Option(help="CSV person,name,building,file instead of file names.")] = None,
    building: Annotated[str, typer.Option(help="The building of those whose file name has none.")] = "",
    url: Annotated[str, typer.Option(help="The gateway elsewhere; its token in $LINLI_TOKEN.")] = "",
) -> None:
    """Enrol a folder of photographs in the running gateway, and report what was refused and why.

    Who is enrolled already is left alone, so a run that was broken off is run again. The token is made for the run
    from the database, unless $LINLI_TOKEN holds one. Give `person` in a manifest an id that says nothing: it stays in
    the record.
    """
    settings = settings_file.load(config)
    ends = _end_of(until.date(), settings.zone)
    try:
        check_consent(scope, ends, recorded_by, datetime.now(UTC))
        everybody = applicants(folder, manifest, building)
        with _token(settings) as token:
            office = Office(url or _address(settings), token)
            consent = {"consent_scope": scope, "consent_until": ends.isoformat(), "recorded_by": recorded_by}
            # With auto_refresh a bar left in the middle is joined by its own thread when it is collected: a deadlock.
            bar = track(everybody, description="enrolling", console=Console(stderr=True), auto_refresh=False)
            report = enrol_all(bar, office, consent)
    except (EnrolError, InvalidError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from error
    typer.echo(msgspec.json.encode(report).decode())
    if report.failed:
        raise typer.Exit(1)


def _end_of(day: date, zone: str) -> datetime:
    """The instant a day is over, on the estate."""
    return datetime.combine(day, time.max, ZoneInfo(zone)).astimezone(UTC)


def _address(settings: Settings) -> str:
    host = settings.http.host
    near = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)  # noqa: S104
    return f"http://{near}:{settings.http.port}"


@contextmanager
def _token(settings: Settings) -> Iterator[str]:
    """The operator's own token, else one for this run that ends with it."""
    if given := os.environ.get("LINLI_TOKEN"):
        yield given
        return
    if not settings.database.exists():
        raise EnrolError(f"{settings.database}: there is no gateway's database; name its settings with --config")
    store, now = Store(settings.database), datetime.now(UTC)
    token, text = create_token(store, name="linli faces enrol", scopes=SCOPES, now=now, days=1)
    try:
        yield text
    finally:
        revoke_token(store, token.id, datetime.now(UTC))
        store.close()
