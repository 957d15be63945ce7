"""`linli ledger`: check the ledger, and export it for somebody else to check; with the gateway running or not."""

from __future__ import annotations

import json
import sqlite3
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from gateway import settings as settings_file
from gateway.chain import findings, out_of_turn
from gateway.feed import edited
from gateway.ledger import exported, genuine, kept_head, rows, seals, signing_key
from gateway.settings import Settings, SettingsError
from gateway.store import Store
from gateway.tampering import self_test

app = typer.Typer(help="Check and export the ledger.", no_args_is_help=True, add_completion=False)
Config = Annotated[Path | None, typer.Option("--config", help="The settings file.")]
Data = Annotated[str | None, typer.Option("--data", help="The data directory, instead of the settings'.")]


def opened(config: Path | None, data: str | None) -> tuple[Settings, sqlite3.Connection]:
    """The settings, and the database of a gateway that has run.

    :raises SettingsError: there is none, or its key is gone; a new key would find everything wrong.
    """
    settings = settings_file.load(config, {"data_dir": data} if data else None)
    if not settings.database.is_file():
        raise SettingsError(f"data_dir: there is no database in {settings.data}")
    if not (settings.data / "keys" / "ledger.key").is_file():
        raise SettingsError(f"data_dir: there is no ledger.key in {settings.data / 'keys'}: restore it")
    return settings, Store(settings.database).connect()


@app.command()
def verify(
    config: Config = None,
    data: Data = None,
    test: Annotated[bool, typer.Option("--self-test", help="Tamper with a copy 1,000 times: is it found?")] = False,
    seed: Annotated[int, typer.Option(help="Of the tamperings.")] = 1,
    anchor: Annotated[
        list[str] | None, typer.Option(help="ROW:HASH, the `ledger` of a delivered change that somebody kept.")
    ] = None,
) -> None:
    """Name every row, and every alert change of the feed, that was edited, deleted or moved; exit status 1 if there is
    one. Rows after the last seal and the last anchor that were cut off, or rewritten to the very end, cannot be told.
    """
    settings, db = opened(config, data)
    key = signing_key(settings.data / "keys")
    if test:
        result = self_test(db, key, times=1000, seed=seed)
        typer.echo(json.dumps(result))
        raise typer.Exit(int(result["tampered"] == 0 or result["found"] != result["tampered"]))
    head = kept_head(settings.data / "keys")  # read first: what it says was committed before
    told = [*(anchor or []), *([head] if head else [])]
    db.execute("BEGIN")  # one snapshot
    signed = seals(db)
    found = findings(rows(db), signed, partial(genuine, key.public_key()), _anchors(told)) + out_of_turn(rows(db))
    count, last, revisions = db.execute(
        "SELECT count(*), coalesce(max(seq), 0), count(*) FILTER (WHERE kind='sync') FROM ledger"
    ).fetchone()
    changes = edited(db)
    db.execute("ROLLBACK")
    for finding in found:
        which = f"row {finding.first}" if finding.first == finding.last else f"rows {finding.first} to {finding.last}"
        typer.echo(f"{which}: {finding.what}", err=True)
    for seq in changes:
        typer.echo(f"alert change {seq}: edited or deleted", err=True)
    sealed = max((seal.seq for seal in signed), default=0)
    wrong = len(found) + len(changes)
    told_of = {"rows": count, "last": last, "sealed_up_to": sealed, "revisions": revisions, "wrong": wrong}
    typer.echo(json.dumps(told_of))
    raise typer.Exit(int(bool(wrong)))


def _anchors(given: list[str]) -> dict[int, bytes]:
    try:
        return {int(row): bytes.fromhex(told) for row, _, told in (one.partition(":") for one in given)}
    except ValueError as error:
        raise typer.BadParameter("--anchor: ROW:HASH, as the `ledger` of a change says it") from error


@app.command()
def export(file: Path, config: Config = None, data: Data = None) -> None:
    """Write the ledger, its seals and the public key as JSON lines, for scripts/verify-ledger. Nothing personal."""
    settings, db = opened(config, data)
    with file.open("w", encoding="utf-8") as out:
        out.writelines(exported(db, signing_key(settings.data / "keys").public_key()))


@app.command()
def key(config: Config = None, data: Data = None) -> None:
    """Print the public key: give it to those who check exports, on another way than the export."""
    settings, _ = opened(config, data)
    typer.echo(signing_key(settings.data / "keys").public_key().public_bytes_raw().hex())
