"""What is wrong, in words, and what to do about it."""

from __future__ import annotations

import shutil
from typing import Any

from msgspec import Struct

from gateway.broker import Broker
from gateway.engine import Engine
from gateway.mqtt import Mqtt

LOW_DISK_BYTES = 512 * 1024 * 1024


class Health(Struct, frozen=True, kw_only=True):
    """`ok`: nothing is wrong. `problems`: one sentence each. `details`: figures."""

    ok: bool
    problems: list[str]
    details: dict[str, Any]


def disk_problems(path: str) -> list[str]:
    """Is there room left?"""
    free = shutil.disk_usage(path).free
    if free >= LOW_DISK_BYTES:
        return []
    return [f"only {free // 1024**2} MB are left on the disk of {path}; free some, or messages will soon be refused"]


def way_problems(engine: Engine, mqtt: Mqtt, broker: Broker | None) -> list[str]:
    """Are devices heard, and is what they say taken?"""
    problems = []
    if not engine.alive:
        problems.append("the engine has stopped; restart the gateway and read its log")
    if engine.trouble:
        problems.append(f"messages are not taken: {engine.trouble}; free the disk, nothing was acknowledged")
    if not mqtt.connected:
        problems.append(f"no device can be heard: {mqtt.trouble}")
    if mqtt.refused:
        few = ", ".join(sorted(mqtt.refused)[:3])
        problems.append(f"{len(mqtt.refused)} topics of devices are not listened on ({few}...); restart to make room")
    if broker is not None and broker.forbade_lately:
        problems.append(f"the broker refused devices what they may not do, {broker.violations} times so far")
    if engine.bugs:
        problems.append(f"{engine.bugs} messages met an error of our own; they are in quarantine, see the log")
    return problems
