"""`linli aside`: rows of the database that could not be read, straight from the database, with the gateway running or
not.
"""

from __future__ import annotations

from typing import Annotated

import typer

from api.commands.token import Config, Data, store_of
from gateway import aside

app = typer.Typer(help="Rows that could not be read.", no_args_is_help=True, add_completion=False)


@app.command("list")
def list_(config: Config = None, data: Data = None) -> None:
    """Every row that was set aside: its number, when, its table and id, and why."""
    for row in aside.rows(store_of(config, data)):
        typer.echo(f"{row.seq}  {row.at:%Y-%m-%d %H:%M}  {row.source} {row.name}  {row.reason}")


@app.command()
def forget(seq: Annotated[int, typer.Argument(metavar="NUMBER")], config: Config = None, data: Data = None) -> None:
    """Drop one for good, once a backup was looked at or the device registered anew."""
    if not aside.forget(store_of(config, data), seq):
        typer.echo(f"there is no row {seq}", err=True)
        raise typer.Exit(1)
    typer.echo(f"forgotten {seq}")
