"""`linli decode DIR`: what the gateway would understand of an archive of vendor messages."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
import typer

from devices import registry
from devices.archive import decode_file


def decode(
    directory: Annotated[Path, typer.Argument(help="read recursively", exists=True, file_okay=False)],
    zone: Annotated[str, typer.Option(help="IANA time zone of the devices")] = "Asia/Shanghai",
) -> None:
    """Read {protocol, topic, direction, payload} JSON files; print one JSON line per file, then a summary.

    A line is {file, protocol, events} or {file, ignored} or {file, error}; the summary {files, events, ignored,
    errors}. Exits 1 if there were errors.
    """
    try:
        site = ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise typer.BadParameter(f"no time zone {zone!r}", param_hint="--zone") from error
    now, protocols = datetime.now(UTC), registry.protocols()
    summary = {"files": 0, "events": 0, "ignored": 0, "errors": 0}
    for path in sorted(directory.rglob("*.json")):
        if not path.is_file():
            continue
        said = decode_file(path.read_bytes(), protocols, received_at=now, zone=site)
        summary["files"] += 1
        summary["events"] += len(said.get("events", ()))
        summary["ignored"] += "ignored" in said
        summary["errors"] += "error" in said
        _print({"file": path.relative_to(directory).as_posix(), **said})
    _print(summary)
    if summary["errors"]:
        raise typer.Exit(1)


def _print(line: dict[str, Any]) -> None:
    typer.echo(msgspec.json.encode(line).decode())
