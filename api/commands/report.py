"""`linli report`: what the property companies did, from the ledger."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from api.commands.ledger import Config, Data, opened
from gateway.ledger import rows
from gateway.report import Said, as_json, report
from gateway.reportpage import as_csv, as_page

app = typer.Typer(no_args_is_help=True, add_completion=False)


@app.callback()
def _group() -> None:
    """Reports from the ledger."""


@app.command()
def quarter(
    name: Annotated[str, typer.Argument(help="Such as 2026Q4.")],
    out: Annotated[Path, typer.Option("--out", help="The directory to write to.")],
    config: Config = None,
    data: Data = None,
) -> None:
    """Write NAME.json, NAME.csv and NAME.html (print it to PDF) into a directory. `scripts/verify-ledger` recomputes
    the JSON from the exported ledger.
    """
    _, db = opened(config, data)
    try:
        found = report([Said(row.at, row.kind, json.loads(row.body)) for row in rows(db)], name)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    out.mkdir(parents=True, exist_ok=True)
    for ending, text in (("json", as_json(found)), ("csv", as_csv(found)), ("html", as_page(found))):
        (out / f"{name}.{ending}").write_text(text, encoding="utf-8", newline="")
        typer.echo(str(out / f"{name}.{ending}"))
