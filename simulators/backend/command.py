"""The command line: `linli backend` runs the reference backend, `linli backend user` keeps its operators."""

from __future__ import annotations

import json
import signal
import sys
import threading
from pathlib import Path
from typing import Annotated

import typer

from simulators.backend import roster as rosters
from simulators.backend.accounts import AccountError, Accounts
from simulators.backend.core import Backend
from simulators.backend.store import Books
from simulators.client import ApiError

Store = Annotated[Path, typer.Option(help="file of its books (SQLite)")]
BOOKS = Path("backend.db")
backend = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
user = typer.Typer(add_completion=False, no_args_is_help=True, help="Its operators; works while it runs, too.")
backend.add_typer(user, name="user")


@backend.callback(invoke_without_command=True)
def run(
    context: typer.Context,
    *,
    store: Store = BOOKS,
    api: Annotated[str, typer.Option(help="address of the gateway's API; empty: it only receives")] = "",
    token: Annotated[str, typer.Option(help="bearer token of the API, role backend", envvar="LINLI_TOKEN")] = "",
    port: Annotated[int, typer.Option(help="of its page and its /hook; 0: any free one")] = 0,
    name: Annotated[str, typer.Option(help="host:port it is asked for by, behind a proxy, besides its own")] = "",
    secret: Annotated[
        str, typer.Option(help="whsec_... of a subscription made already; else it subscribes itself")
    ] = "",
    roster: Annotated[
        Path | None, typer.Option(exists=True, help="JSON with places and staff; the gateway is brought to it, too")
    ] = None,
    claim_within: Annotated[float, typer.Option(min=1, help="s until the next level is asked")] = 900.0,
    auto: Annotated[bool, typer.Option("--auto", help="whoever is sent claims, goes and resolves at once")] = False,
    rotate_secret: Annotated[
        bool, typer.Option("--rotate-secret", help="have deliveries signed anew, the old secret good for a day more")
    ] = False,
    testing: Annotated[
        bool, typer.Option("--testing", help="answer /received and /control, for everybody on this machine")
    ] = False,
) -> None:
    """Run a governance backend with its page (派单/认领): it receives alerts, dispatches, escalates, verifies.

    May be killed at any instant: an answer is given only after the delivery is on disk. Prints its address first.
    Operators are made with `linli backend user add NAME`.
    """
    if context.invoked_subcommand is not None:
        return
    try:
        made = Backend(
            secret=secret,
            store=store,
            port=port,
            name=name,
            api=api,
            token=token,
            roster=rosters.read(roster) if roster else None,
            claim_within_s=claim_within,
            auto=auto,
            subscribe=bool(api and not secret),
            rotate=rotate_secret,
            testing=testing,
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


@user.command()
def add(name: Annotated[str, typer.Argument(help="best the id in the roster")], store: Store = BOOKS) -> None:
    """Make an operator, or give one a new password; asked for, or read from a pipe (its first line)."""
    if sys.stdin.isatty():
        password = typer.prompt("password", hide_input=True, confirmation_prompt=True)
    else:
        password = sys.stdin.readline().rstrip("\n")
    books = Books(store)
    try:
        Accounts(books).put(name, password)
    except AccountError as error:
        typer.echo(f"backend: {error}", err=True)
        raise typer.Exit(1) from error
    finally:
        books.close()
    typer.echo(f"{name} can sign in")


@user.command("list")
def list_(store: Store = BOOKS) -> None:
    """Every operator."""
    books = Books(store)
    for name in Accounts(books).names():
        typer.echo(name)
    books.close()


@user.command()
def remove(name: str, store: Store = BOOKS) -> None:
    """End an operator, and every session of theirs, at once."""
    books = Books(store)
    gone = Accounts(books).remove(name)
    books.close()
    typer.echo(f"{name} is gone" if gone else f"there is no operator {name}")
