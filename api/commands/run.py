"""`linli run`: the gateway itself, in the foreground."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from gateway import settings as settings_file


def run(
    config: Annotated[
        Path | None, typer.Option(help="The settings file (else $LINLI_CONFIG, else linli.toml).")
    ] = None,
    data: Annotated[str | None, typer.Option(help="The data directory, instead of the settings'.")] = None,
    port: Annotated[int | None, typer.Option(help="The HTTP port, instead of the settings'.")] = None,
) -> None:
    """Run the gateway until it is told to stop."""
    overrides: dict[str, Any] = {"data_dir": data} if data is not None else {}
    if port is not None:
        overrides["http"] = {"port": port}
    settings = settings_file.load(config, overrides)
    from api.app import create_app  # noqa: PLC0415 - a wrong setting is told before the slow imports
    from gateway.broker import BrokerError  # noqa: PLC0415
    from gateway.serve import serve  # noqa: PLC0415
    from gateway.vault import VaultError  # noqa: PLC0415

    try:
        status = serve(settings, create_app)
    except (BrokerError, VaultError) as error:
        typer.echo(f"linli: {error}", err=True)
        status = 2
    raise typer.Exit(status)
