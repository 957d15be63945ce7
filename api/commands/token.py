"""`linli token`: make, list and revoke API tokens, straight in the database, with the gateway running or not."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from api.tokens import ROLES, SCOPES, create_token, revoke_token, tokens
from gateway import settings as settings_file
from gateway.schema import FIRST_SOURCE
from gateway.store import Store

app = typer.Typer(help="Make, list and revoke API tokens.", no_args_is_help=True, add_completion=False)
Config = Annotated[Path | None, typer.Option("--config", help="The settings file.")]
Data = Annotated[str | None, typer.Option("--data", help="The data directory, instead of the settings'.")]


def store_of(config: Path | None, data: str | None) -> Store:
    return Store(settings_file.load(config, {"data_dir": data} if data else None).database)


@app.command()
def create(
    name: Annotated[str, typer.Option(help="Whose it is; it stands in the record of what is done with it.")],
    role: Annotated[str | None, typer.Option(help="desk, backend or admin.")] = None,
    scope: Annotated[list[str] | None, typer.Option(help="A scope, besides the role's; may be repeated.")] = None,
    days: Annotated[float | None, typer.Option(min=0.001, help="How long it is good for; else until revoked.")] = None,
    source: Annotated[
        str, typer.Option(help="Which backend it is, for synchronising: the same again when a token is replaced.")
    ] = FIRST_SOURCE,
    config: Config = None,
    data: Data = None,
) -> None:
    """Make a token and print it: this once, it is kept nowhere."""
    if role is not None and role not in ROLES:
        raise typer.BadParameter(f"one of {', '.join(ROLES)}", param_hint="--role")
    scopes = {*ROLES.get(role or "", ()), *(scope or ())}
    if not scopes:
        raise typer.BadParameter("give a role or at least one scope", param_hint="--role")
    if unknown := scopes - SCOPES.keys():
        raise typer.BadParameter(f"unknown: {', '.join(sorted(unknown))}", param_hint="--scope")
    if not name.strip():
        raise typer.BadParameter("is empty", param_hint="--name")
    try:
        _, text = create_token(
            store_of(config, data), name=name, scopes=scopes, now=datetime.now(UTC), days=days, source=source
        )
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--source") from error
    typer.echo(text)


@app.command("list")
def list_(config: Config = None, data: Data = None) -> None:
    """Every token, without its secret."""
    now = datetime.now(UTC)
    for token in tokens(store_of(config, data)):
        state = "valid" if token.valid(now) else "revoked" if token.revoked_at else "expired"
        until = token.expires_at.strftime("%Y-%m-%d") if token.expires_at else "-"
        scopes = " ".join(sorted(token.scopes))
        typer.echo(f"{token.id}  {state:7}  until {until:10}  {token.name}  source {token.source}  {scopes}")


@app.command()
def revoke(token_id: Annotated[str, typer.Argument(metavar="ID")], config: Config = None, data: Data = None) -> None:
    """End a token at once. Its id is the middle part of it; `linli token list` shows it."""
    if not revoke_token(store_of(config, data), token_id, datetime.now(UTC)):
        typer.echo(f"there is no token {token_id}", err=True)
        raise typer.Exit(1)
    typer.echo(f"revoked {token_id}")
