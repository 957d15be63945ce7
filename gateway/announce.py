"""Shows our devices in a Home Assistant on the same broker: one retained introduction and one retained state each.

Home Assistant sees whether a device is there, whether its door, barrier, lamp, cover or bay is open, lit or taken, and
how many alerts are open; nothing about people, and it commands nothing. What is retained here is cleared when a device
is removed. Device-based discovery: https://www.home-assistant.io/integrations/mqtt/#discovery-messages-and-mqtt.
"""

from __future__ import annotations

import re
import sqlite3
import threading
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
import structlog

from devices.kinds.barrier import Barrier
from devices.kinds.bay import Bay
from devices.kinds.cover import Cover
from devices.kinds.face_gate import FaceGate
from devices.kinds.light import Light
from devices.model import Device
from devices.protocols.home_assistant import OWN
from gateway.changes import DeviceState
from gateway.directory import Directory
from gateway.mqtt import Where
from gateway.outlet import Outlet
from gateway.settings import HomeAssistant
from gateway.store import Store

USER = "home_assistant"
"""As whom Home Assistant logs in at the embedded broker; its password is in DATA/broker/passwords.json."""
ROOT = "linli/shown"
THERE = f"{ROOT}/gateway"
LOOK_EVERY_S, PAUSE_S = 30.0, 0.5
"""When nobody wakes it, and at least between two looks: each goes over all devices."""
_log = structlog.get_logger(__name__)

_SHOWN: dict[str, tuple[str, str, Callable[[Any], bool | None]]] = {
    "face_gate": ("door", "Door", lambda s: s.opened_at is not None if isinstance(s, FaceGate) and s.known else None),
    "barrier": ("garage_door", "Barrier", lambda s: s.opened_at is not None if isinstance(s, Barrier) else None),
    "light": ("light", "Lamp", lambda s: s.lit if isinstance(s, Light) else None),
    "cover": ("opening", "Cover", lambda s: s.open if isinstance(s, Cover) else None),
    "bay": ("occupancy", "Bay", lambda s: s.occupied_at is not None if isinstance(s, Bay) else None),
}
"""By kind: the device class and name of what is shown, and how it stands (None: not known)."""


def object_id(device_id: str) -> str:
    """A device's id in the letters Home Assistant takes; two ids never become one."""
    return OWN + re.sub(r"[^A-Za-z0-9-]", lambda found: f"_{ord(found[0]):02x}", device_id)


def introduction(device: Device) -> dict[str, Any]:
    """What Home Assistant is told of a device: its parts and where their state is."""
    own = object_id(device.id)
    parts: dict[str, dict[str, Any]] = {
        "online": {"p": "binary_sensor", "name": "Online", "dev_cla": "connectivity"},
        "alerts": {
            "p": "sensor",
            "name": "Open alerts",
            "val_tpl": "{{ value_json.alerts }}",
            "stat_cla": "measurement",
        },
    }
    if device.kind in _SHOWN:
        device_class, name, _ = _SHOWN[device.kind]
        parts["state"] = {"p": "binary_sensor", "name": name, "dev_cla": device_class}
    for key, part in parts.items():
        part["uniq_id"] = f"{own}_{key}"
        if part["p"] == "binary_sensor":
            part["val_tpl"] = f"{{{{ value_json.{key} }}}}"
    return {
        "dev": {"ids": [own], "name": device.name or device.id, "sa": device.building},
        "o": {"name": "linli-gateway"},
        "cmps": parts,
        "stat_t": f"{ROOT}/{own}",
        "avty_t": THERE,
    }


def state(device: Device, held: DeviceState | None, alerts: int) -> dict[str, Any]:
    """How a device stands, in Home Assistant's words; None is unknown there too."""
    said: dict[str, Any] = {"online": _word(held.link.online if held else None), "alerts": alerts}
    if device.kind in _SHOWN:
        said["state"] = _word(_SHOWN[device.kind][2](held.kind) if held else None)
    return said


def _word(so: bool | None) -> str | None:
    return None if so is None else "ON" if so else "OFF"


class Announcer:
    """One thread that keeps what is retained as it should be. `wake` it when devices or alerts have changed."""

    def __init__(
        self,
        settings: HomeAssistant,
        where: Where,
        *,
        store: Store,
        directory: Directory,
        states: Mapping[str, DeviceState],
        client_id: str,
    ) -> None:
        self._prefix = settings.prefix
        self._store, self._directory, self._states = store, directory, states
        self._said: dict[str, bytes] = {}
        self._session = 0
        self._kept: set[str] = set()
        self._awake, self._stopping = threading.Event(), threading.Event()
        self._outlet = Outlet(
            where,
            client_id=client_id,
            changed=self.wake,
            topics=(f"{self._prefix}/device/+/config", f"{ROOT}/+"),
            heard=self._hears,
            will=(THERE, b"offline"),
        )
        self._thread = threading.Thread(target=self._run, name="announcer", daemon=True)

    def start(self) -> None:
        """Begin to connect and to announce."""
        self._outlet.start()
        self._thread.start()

    def stop(self) -> None:
        """Say that we leave. The introductions stay: they are shown as unavailable until we are back."""
        self._stopping.set()
        self._awake.set()
        if self._thread.ident is not None:
            self._thread.join()
        self._outlet.publish(THERE, b"offline", retain=True)
        self._outlet.stop()

    def wake(self) -> None:
        """Something may have changed; never blocks."""
        self._awake.set()

    def problems(self) -> list[str]:
        """One sentence for each thing that is wrong."""
        return [] if self._outlet.connected else [f"Home Assistant is told nothing: {self._outlet.trouble}"]

    def _hears(self, topic: str, payload: bytes) -> None:
        """What is retained of us from before, so that it can be cleared."""
        if payload and f"/{OWN}" in topic and topic not in self._said:
            self._kept.add(topic)
            self.wake()

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._awake.wait(LOOK_EVERY_S)
            self._awake.clear()
            try:
                self._bring_up_to_date()
            except sqlite3.Error as error:
                _log.warning("not_announced", trouble=str(error))
            self._stopping.wait(PAUSE_S)

    def _bring_up_to_date(self) -> None:
        if self._session != self._outlet.sessions:
            self._session = self._outlet.sessions
            self._said.clear()
        wanted = self._wanted()
        stale = [topic for topic in {*self._said, *list(self._kept)} if topic not in wanted]
        for topic, payload in [*((topic, b"") for topic in stale), *wanted.items()]:
            if self._stopping.is_set():
                return
            if self._said.get(topic) == payload:
                continue
            if not self._outlet.publish(topic, payload, retain=True):
                return  # not connected; all is looked at again when we are
            self._said[topic] = payload
            if not payload:
                self._kept.discard(topic)
                del self._said[topic]

    def _wanted(self) -> dict[str, bytes]:
        counts = self._store.reader.execute("SELECT device, count(*) FROM alerts WHERE open=1 GROUP BY device")
        alerts: dict[str, int] = dict(counts)
        wanted = {THERE: b"online"}
        for device in self._directory.devices():
            own = object_id(device.id)
            held = self._states.get(device.id)
            wanted[f"{self._prefix}/device/{own}/config"] = msgspec.json.encode(introduction(device))
            wanted[f"{ROOT}/{own}"] = msgspec.json.encode(state(device, held, alerts.get(device.id, 0)))
        return wanted
