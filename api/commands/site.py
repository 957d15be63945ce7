"""`linli site`: a reviewed TOML or CSV description of the estate, shown as a difference and taken over."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, NoReturn
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import typer

from api.commands.client import DEFAULT_URL, Api, RefusedError, Token, Url
from api.site_files import SiteFiles, read_site
from gateway.vehicles import normal_plate

app = typer.Typer(help="Bring the register to what a site's files say.", no_args_is_help=True, add_completion=False)
Files = Annotated[Path, typer.Argument(metavar="FILE.toml|DIR", exists=True, help="See deploy/site.example.toml.")]
Prune = Annotated[bool, typer.Option("--prune", help="Remove what is registered and not in a section that is given.")]
Zone = Annotated[str, typer.Option(help="IANA time zone of dates without one.")]


@app.command()
def plan(
    files: Files, prune: Prune = False, zone: Zone = "Asia/Shanghai", url: Url = DEFAULT_URL, token: Token = ""
) -> None:
    """Print what `apply` would change. Nothing is written; exits 1 where something is wrong with the files."""
    _run(files, prune=prune, zone=zone, api=Api(url, token), dry_run=True)


@app.command()
def apply(
    files: Files, prune: Prune = False, zone: Zone = "Asia/Shanghai", url: Url = DEFAULT_URL, token: Token = ""
) -> None:
    """Take the files over, all of them or nothing. A second time changes nothing."""
    _run(files, prune=prune, zone=zone, api=Api(url, token), dry_run=False)


def _run(path: Path, *, prune: bool, zone: str, api: Api, dry_run: bool) -> None:
    try:
        site = read_site(path, ZoneInfo(zone))
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise typer.BadParameter(f"no time zone {zone!r}", param_hint="--zone") from error
    if site.faults:
        _fail(site.faults)
    try:
        found = api.call("POST", "/v1/site", site.body() | {"prune": prune, "dry_run": dry_run})
    except RefusedError as error:
        _fail(_placed(error, site))
    where = {section: _places(entries) for section, entries in site.entries.items()}
    for section, difference in found.items():
        _show(section, difference, where.get(section, {}))
    counts = {section: {name: _count(value) for name, value in one.items()} for section, one in found.items()}
    typer.echo(json.dumps({"written": not dry_run, **counts}))


def _show(section: str, difference: dict[str, Any], where: dict[str, str]) -> None:
    """A line for each; a vehicle is named by where it stands, because this may end up in somebody's log."""

    def name(key: str) -> str:
        return where.get(key, "one that is not in the files") if section == "vehicles" else key

    for key in difference["added"]:
        typer.echo(f"+ {section} {name(key)}")
    for change in difference["changed"]:
        typer.echo(f"~ {section} {name(change['id'])}: {', '.join(change['fields'])}")
    for key in difference["removed"]:
        typer.echo(f"- {section} {name(key)}")


def _places(entries: list[Any]) -> dict[str, str]:
    return {normal_plate(entry.body.get("plate", "")) or entry.body["id"]: entry.where for entry in entries}


def _count(value: Any) -> int:
    return value if isinstance(value, int) else len(value)


def _placed(error: RefusedError, site: SiteFiles) -> list[str]:
    """The gateway's complaints, each with the file and line it is about."""
    told = []
    for fault in error.more.get("errors", []):
        entries = site.entries.get(fault.get("section", ""), [])
        index = fault.get("index", -1)
        where = entries[index].where if 0 <= index < len(entries) else fault.get("section", "")
        told.append(f"{where}: {fault['error']}")
    return told or [str(error)]


def _fail(faults: list[str]) -> NoReturn:
    for fault in faults:
        typer.echo(fault, err=True)
    typer.echo(f"nothing was written: {len(faults)} to mend", err=True)
    raise typer.Exit(1)
