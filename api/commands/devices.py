"""`linli devices`: find what speaks and is not registered, register it in one step, and check that it works."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from api.commands.check import Check, check_device
from api.commands.client import DEFAULT_URL, Api, RefusedError, Token, Url, path_of

app = typer.Typer(help="Find, register and check devices.", no_args_is_help=True, add_completion=False)
Kind = Annotated[str | None, typer.Option(help="What it is; else what it seems to be.")]
Id = Annotated[str | None, typer.Option("--id", help="Its id here; else its kind and address.")]
Name = Annotated[str, typer.Option(help="What stands on its sign.")]
Building = Annotated[str, typer.Option(help="Where it is; empty: it serves the whole estate.")]


@app.command("list")
def list_(url: Url = DEFAULT_URL, token: Token = "") -> None:
    """Every registered device: its id, kind, protocol, whether it is there, and what will not work."""
    for device in Api(url, token).get("/v1/devices")["items"]:
        there = {True: "online", False: "offline", None: "never heard"}[device["online"]]
        typer.echo(f"{device['id']}  {device['kind']}  {device['protocol']}  {there}")
        for warning in device["warnings"]:
            typer.echo(f"  ! {warning}")


@app.command()
def discover(
    seconds: Annotated[float, typer.Option(min=0, max=60, help="How long to listen.")] = 10,
    register: Annotated[str | None, typer.Option(metavar="ADDRESS", help="Register the one of this address.")] = None,
    kind: Kind = None,
    id_: Id = None,
    name: Name = "",
    building: Building = "",
    url: Url = DEFAULT_URL,
    token: Token = "",
) -> None:
    """Listen to the broker and list who speaks and is not registered, with a sample whose values are masked."""
    api = Api(url, token)
    found = api.call("POST", "/v1/discovered", query={"seconds": seconds})["items"]
    for one in found:
        typer.echo(f"{one['protocol'] or 'unknown'}  {one['address'] or '-'}  {one['kind'] or '?'}  x{one['count']}")
        typer.echo(f"  {one['topic']}\n  {one['sample'] or '(its content was not seen)'}")
        typer.echo(f"  {_next_step(one)}")
    if register is not None:
        _register(api, _chosen(found, register), kind=kind, id_=id_, name=name, building=building)
    typer.echo(json.dumps({"found": len(found), "registered": register or ""}, ensure_ascii=False))


@app.command()
def add(
    address: Annotated[str | None, typer.Option(help="Its name in its protocol.")] = None,
    protocol: Annotated[str | None, typer.Option(help="What it speaks.")] = None,
    from_discovered: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Take address, protocol and kind from what was discovered.")
    ] = None,
    kind: Kind = None,
    id_: Id = None,
    name: Name = "",
    building: Building = "",
    url: Url = DEFAULT_URL,
    token: Token = "",
) -> None:
    """Register a device."""
    api = Api(url, token)
    if from_discovered is not None:
        found = _chosen(api.get("/v1/discovered")["items"], from_discovered)
    elif address and protocol:
        found = {"address": address, "protocol": protocol, "kind": ""}
    else:
        raise typer.BadParameter("give --from-discovered ADDRESS, or --address and --protocol")
    _register(api, found, kind=kind, id_=id_, name=name, building=building)


@app.command()
def check(
    device: Annotated[str, typer.Argument(metavar="ID")],
    seconds: Annotated[float, typer.Option(min=1, help="How long to wait for a heartbeat, and for an event.")] = 60,
    event: Annotated[bool, typer.Option(help="Whether somebody stands there to cause an event.")] = True,
    url: Url = DEFAULT_URL,
    token: Token = "",
) -> None:
    """Check a device: heartbeat, clock, an event, a harmless command. Exits 1 if one of them fails."""
    try:
        checks = check_device(Api(url, token), device, seconds=seconds, event=event, say=typer.echo)
    except RefusedError as error:
        checks = [Check("registered", passed=False, text=str(error))]
        typer.echo(checks[0].line)
    ok = all(one.passed is not False for one in checks)
    results = {one.name: {True: "pass", False: "fail", None: "none"}[one.passed] for one in checks}
    typer.echo(json.dumps({"device": device, "ok": ok, "checks": results}, ensure_ascii=False))
    if not ok:
        raise typer.Exit(1)


def _next_step(one: dict[str, Any]) -> str:
    if one["heard"]:
        return f"linli devices add --from-discovered {one['address']} --kind {one['kind'] or 'KIND'} --id ID"
    if one["protocol"]:
        return f"{one['protocol']} does not listen on this topic: set the device to its standard topics"
    return "no protocol here has topics like this: look for the device's MQTT settings, or add a protocol"


def _chosen(found: list[dict[str, Any]], address: str) -> dict[str, Any]:
    matching = [one for one in found if one["address"] == address]
    if len(matching) == 1:
        return matching[0]
    if matching:
        raise typer.BadParameter(f"several protocols know {address}; give --address and --protocol to `devices add`")
    raise typer.BadParameter(f"nobody called {address} was heard; see `linli devices discover`")


def _register(api: Api, found: dict[str, Any], *, kind: str | None, id_: str | None, name: str, building: str) -> None:
    chosen = kind or found["kind"]
    if not chosen:
        raise typer.BadParameter("it has not said enough to tell what it is", param_hint="--kind")
    body = {
        "id": id_ or f"{chosen.replace('_', '-')}-{found['address']}",
        "kind": chosen,
        "protocol": found["protocol"],
        "address": found["address"],
        "name": name,
        "building": building,
    }
    try:
        added = api.call("POST", path_of("devices"), body)
    except RefusedError as error:
        typer.echo(f"linli: {error}", err=True)
        raise typer.Exit(1) from error
    typer.echo(f"registered {added['id']}: {added['kind']} that speaks {added['protocol']}")
    for warning in added["warnings"]:
        typer.echo(f"  ! {warning}")
    typer.echo(f"next: linli devices check {added['id']}")
