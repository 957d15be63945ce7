"""An outage of 10,000 events through a real gateway: how many incidents it becomes, and how long each independent P1 in
the middle takes until a reader of the feed has it.
"""

from __future__ import annotations

import json
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from benchmarks import ground, latency
from devices.model import Device

LAMPS, ROUNDS, DOORS = 400, 25, 20
"""400 lamps of four uplinks say 25 times that they have no power; 20 doors are forced meanwhile."""
WITHIN_S = 60.0


def storm(folder: Path) -> dict[str, Any]:
    """{events, incidents, p1, p1_ms (`latency.spread`), p1_hidden}."""
    lamps = [_device(f"lamp-{n}", "light", uplink=f"u{n % 4}") for n in range(LAMPS)]
    doors = [_device(f"door-{n}", "face_gate", building=str(n)) for n in range(DOORS)]
    with ground.broker(folder / "broker") as port:
        config = ground.settings_file(folder, port, policies={"offline_wait_s": 2})
        ground.register(config, [*lamps, *doors])
        token = latency.new_token(config)
        gateway = ground.GatewayProcess(config)
        try:
            headers = {"Authorization": f"Bearer {token}"}
            with httpx.Client(base_url=gateway.url, headers=headers) as http:
                return _measured(port, http, lamps, doors)
        finally:
            gateway.stop()


def _device(name: str, kind: str, *, uplink: str = "", building: str = "") -> Device:
    return Device(
        id=name, kind=kind, protocol="native", address=name, community="bench", uplink=uplink, building=building
    )


class _Reader:
    """Reads the feed and notes when each P1 came."""

    def __init__(self, http: httpx.Client) -> None:
        self._http, self.hidden, self.done = http, 0, threading.Event()
        self.seen: dict[str, float] = {}
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def _read(self) -> None:
        after = 0
        while not self.done.is_set():
            page = self._http.get("/v1/alerts/changes", params={"after": after, "limit": 500}).json()
            for change in page["items"]:
                if change["alert"]["type"] == "door_forced" and change["change"] == "raised":
                    self.seen[change["alert"]["device"]] = time.monotonic()
                    self.hidden += change["alert"]["suppressed_by"] is not None
            after = page["next"]
            self.done.wait(0.02)


def _measured(port: int, http: httpx.Client, lamps: list[Device], doors: list[Device]) -> dict[str, Any]:
    client, door_client = _connected(port, "storm"), _connected(port, "doors")
    reader, events = _Reader(http), 0
    sent: dict[str, float] = {}

    def say(device: Device, leaf: str, body: dict[str, Any]) -> paho.MQTTMessageInfo:
        speaks = door_client if device.kind == "face_gate" else client
        return speaks.publish(f"linli/v1/{device.address}/{leaf}", json.dumps(body), qos=1)

    def event(device: Device, kind: str, record: str, **fields: Any) -> paho.MQTTMessageInfo:
        return say(device, "event", {"id": record, "event": {"type": kind, "at": _now(), **fields}})

    for device in (*lamps, *doors):
        last = say(device, "status", {"online": True, "at": _now()})
    last.wait_for_publish(WITHIN_S)
    for n in range(ROUNDS):
        for k, lamp in enumerate(lamps):
            event(lamp, "lamp_faulted", f"{lamp.id}-{n}", fault="supplyLoss", active=True)
            events += 1
            if k == LAMPS // 2 and n < DOORS:
                sent[doors[n].id] = time.monotonic()
                last = event(doors[n], "door_alarmed", "1", state="DoorForcedOpen")
        last.wait_for_publish(WITHIN_S)
    ground.wait_for(lambda: len(reader.seen) == DOORS, WITHIN_S, "every P1")
    for lamp in lamps:
        last = say(lamp, "status", {"online": False, "reason": "last_will"})
    last.wait_for_publish(WITHIN_S)
    ground.wait_for(lambda: _outages(http) >= 4, WITHIN_S, "the four uplinks")
    reader.done.set()
    reader.thread.join()
    for one in (client, door_client):
        one.disconnect()
        one.loop_stop()
    took = [(reader.seen[door] - at) * 1000 for door, at in sent.items()]
    figures = {"events": events, "incidents": _incidents(http), "p1": len(took), "p1_hidden": reader.hidden}
    return figures | {"p1_ms": latency.spread(took)}


def _connected(port: int, name: str) -> paho.Client:
    client = paho.Client(CallbackAPIVersion.VERSION2, client_id=name)
    client.max_queued_messages_set(0)
    client.max_inflight_messages_set(200)
    client.on_socket_open = ground.at_once
    client.connect("127.0.0.1", port)
    client.loop_start()
    return client


def _now() -> str:
    return datetime.now(UTC).isoformat()


def _outages(http: httpx.Client) -> int:
    found = http.get("/v1/alerts", params={"type": "uplink_offline", "open": "true"}).json()
    return len(found["items"])


def _incidents(http: httpx.Client) -> int:
    """Of the outage: those of the forced doors and of the flood itself are not counted."""
    found: set[str] = set()
    for kind in ("lamp_supply_loss", "uplink_offline", "device_offline"):
        page = http.get("/v1/alerts", params={"type": kind, "open": "true", "limit": 500}).json()["items"]
        found.update(alert["incident"] for alert in page)
    return len(found)
