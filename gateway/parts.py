"""The parts of a gateway that take more than a line to make, from the settings and from what the journal kept."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import IO, Any

from devices import incidents
from devices.alerts import REOPEN_WITHIN
from devices.model import DeviceKind, Protocol
from gateway.alertbook import AlertBook
from gateway.broker import GATEWAY_USER, Broker
from gateway.directory import Directory
from gateway.hub import Hub
from gateway.journal import Journal
from gateway.mqtt import FILTERS_AT_MOST, Mqtt, Where, where
from gateway.policies import POLICIES
from gateway.schedule import Schedule
from gateway.settings import Faces, Settings, SettingsError
from vision.pool import Pool


def restored_hub(
    kinds: Mapping[str, DeviceKind[Any]],
    protocols: Mapping[str, Protocol],
    directory: Directory,
    settings: Settings,
    journal: Journal,
    now: datetime,
) -> Hub:
    """The hub as the journal left it: open alerts, states, and commands that wait for their outcome."""
    last = max(now, journal.clock() or now)  # by a clock that may have been set back since
    lookback = max(incidents.TOGETHER, timedelta(seconds=settings.budget.window_s))
    alerts = AlertBook(
        journal.kept.open_alerts(),
        journal.kept.alert,
        journal.kept.latest_alert,
        lately=journal.kept.lately(last - lookback),
        closed=journal.kept.closed_since(last - REOPEN_WITHIN),
        ladders=settings.escalation.ladders,
        route=settings.escalation.route,
        roster=directory.roster,
        budget=settings.budget,
        delays=settings.delays,
        schedule=Schedule(),
    )
    hub = Hub(
        kinds=kinds, protocols=protocols, directory=directory, settings=settings, alerts=alerts, schedule=Schedule()
    )
    known = [(device.id, kinds[device.kind]) for device in directory.devices() if device.kind in kinds]
    shapes = {policy.name: type(policy.initial) for policy in POLICIES}
    hub.states.restore(journal.device_states(known), journal.policy_states(shapes), now)
    hub.presence.take_up()
    for record in journal.kept.unfinished_commands():
        hub.commands.take_up(record)
    return hub


def only_one(path: Path) -> IO[str]:
    """Hold the data directory for this process; the kernel lets go when it ends, however it ends."""
    file = path.open("a+", encoding="ascii")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        file.seek(0)
        holder = file.read().strip() or "unknown"
        file.close()
        raise SettingsError(
            f"data_dir: {path.parent} is in use by another gateway (process {holder}); stop it or name another"
        ) from error
    file.truncate(0)
    file.write(str(os.getpid()))
    file.flush()
    return file


def pool(faces: Faces) -> Pool:
    return Pool(
        faces.workers,
        memory_mb=faces.memory_mb,
        warm=("face", "plate"),
        face_engine=faces.engine,
        yunet=Path(faces.yunet) if faces.yunet else None,
    )


def mqtt(settings: Settings, broker: Broker | None, address: Where, protocols: Iterable[Protocol]) -> Mqtt:
    client_id = settings.mqtt.client_id
    if broker is not None:
        client_id += f"-{broker.client_id_suffix}"
    return Mqtt(
        host=address.host,
        port=address.port,
        username=address.username,
        password=address.password,
        tls=address.tls,
        client_id=client_id,
        keepalive_s=settings.mqtt.keepalive_s,
        topics=[topic for protocol in protocols for topic in protocol.topics],
        host_id=settings.sparkplug.host_id,
        filters_at_most=broker.filters_at_most if broker is not None else FILTERS_AT_MOST,
    )


def broker_address(settings: Settings, broker: Broker | None) -> Where:
    if broker is not None:
        return Where(host=broker.near, port=broker.port, username=GATEWAY_USER, password=broker.passwords[GATEWAY_USER])
    return where(settings.mqtt.url, "mqtt.url")
