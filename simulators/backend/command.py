"""The command line: `linli backend` runs the reference backend beside a gateway."""

from __future__ import annotations

import json
import signal
import threading
from pathlib import Path
from typing import Annotated

import typer

from simulators.backend import roster as rosters
from simulators.backend.core import Backend
from simulators.client import ApiError


def backend(
    store: Annotated[Path, typer.Option(help="file of its books (SQLite)")] = Path("backend.db"),
    api: Annotated[str, typer.Option(help="address of the gateway's API; empty: it only receives")] = "",
    token: Annotated[str, typer.Option(help="bearer token of the API, role backend", envvar="LINLI_TOKEN")] = "",
    port: Annotated[int, typer.Option(help="of its page and its /hook; 0: any free one")] = 0,
    secret: Annotated[
        str, typer.Option(help="whsec_... of a subscription made already; else it subscribes itself")
    ] = "",
    roster: Annotated[
        Path | None, typer.Option(exists=True, help="JSON with places and staff; the gateway is brought to it, too")
    ] = None,
    claim_within: Annotated[float, typer.Option(min=1, help="s until the next level is asked")] = 900.0,
    auto: Annotated[bool, typer.Option("--auto", help="whoever is sent claims, goes and resolves at once")] = False,
) -> None:
    """Run a governance backend with its page (派单/认领): it receives alerts, dispatches, escalates, verifies.

    May be killed at any instant: an answer is given only after the delivery is on disk. Prints its address first.
    """
    try:
        made = Backend(
            secret=secret,
            store=store,
            port=port,
            api=api,
            token=token,
            roster=rosters.read(roster) if roster else None,
            claim_within_s=claim_within,
            auto=auto,
            subscribe=bool(api and not secret),
        )
        over = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: over.set())
        made.start()
    except (ApiError, OSError, ValueError) as error:
        typer.echo(f"backend: {error}", err=True)
        raise typer.Exit(1) from error
    typer.echo(json.dumps({"url": made.url, "page": made.page}))
    over.wait()
    made.stop()


app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
app.command()(backend)
