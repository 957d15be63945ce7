"""`linli`: one command. The module of a sub-command is loaded only when it is used, so starting is quick."""

from __future__ import annotations

import sys
from importlib.metadata import EntryPoint, entry_points, version
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from gateway.settings import SettingsError
from gateway.store import StoreError

GROUP = "linli.commands"
"""Entry-point group: name -> a `typer.Typer` or a function. What is below us offers its commands here."""
OURS = {
    "run": "api.commands.run:run",
    "token": "api.commands.token:app",
    "aside": "api.commands.aside:app",
    "faces": "api.commands.faces:app",
    "decode": "api.commands.decode:decode",
    "devices": "api.commands.devices:app",
    "site": "api.commands.site:app",
    "ledger": "api.commands.ledger:app",
    "report": "api.commands.report:app",
}


def _commands() -> dict[str, EntryPoint]:
    offered = {entry.name: entry for entry in entry_points(group=GROUP)}
    return offered | {name: EntryPoint(name, value, GROUP) for name, value in OURS.items()}


class LazyGroup(TyperGroup):
    """Finds sub-commands by name and loads the one asked for."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002 - click's signature
        return sorted(_commands())

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002
        entry = _commands().get(cmd_name)
        try:
            return _loaded(entry) if entry else None
        except ImportError as error:  # somebody's plug-in; the other commands must work all the same
            print(f"linli: the command {cmd_name} cannot be loaded: {error}", file=sys.stderr)
            return None


def _loaded(entry: EntryPoint) -> Any:
    found = entry.load()
    if isinstance(found, typer.Typer):
        command: Any = typer.main.get_command(found)
    else:
        single = typer.Typer(add_completion=False)
        single.command(entry.name)(found)
        command = typer.main.get_command(single)
    command.name = entry.name
    return command


app = typer.Typer(cls=LazyGroup, add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)


def _version(asked: bool) -> None:
    if asked:
        print(f"linli {version('linli-gateway')}")
        raise typer.Exit


@app.callback()
def _root(
    show: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Linli Gateway: an IoT gateway for residential estates."""


def main() -> None:
    """The entry point. What the operator has to mend is one line on stderr and exit status 2."""
    try:
        app()
    except (SettingsError, StoreError) as error:
        print(f"linli: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
