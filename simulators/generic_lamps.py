"""Dimmable lamps that speak the generic protocols: Sparkplug B, Homie 5, Home Assistant's discovery, and a ThingsBoard
gateway's API. One lamp, four ways to say it; none has a heartbeat, but for the last: each has a last will.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import msgspec

from devices.model import Device, Outgoing
from devices.protocols.sparkplug_wire import TYPES, Metric, Payload, read, write
from simulators.device import Later, World
from simulators.estate import Happening, What

FULL_W = 60.0
OPTIONS: dict[str, dict[str, str]] = {
    "sparkplug": {"level_pct": "Lamp/Level", "active_power_w": "Lamp/Power", "lamp_failed": "Lamp/Failed"}
    | {"set_level_pct": "Lamp/Level"},
    "homie": {"level_pct": "lamp/level", "lamp_failed": "lamp/failed", "set_level_pct": "lamp/level"},
    "tb_gateway": {"level_pct": "level", "active_power_w": "power", "lamp_failed": "failed"},
}
"""How such a lamp is registered; that of Home Assistant names its own topics (`announced_options`)."""


def announced_options(address: str) -> dict[str, str]:
    """How the lamp of Home Assistant is registered: as it introduces itself."""
    base = f"ha/{address.replace('.', '-')}"
    return {
        "availability_topic": f"{base}/lwt",
        "brightness": "true",
        "command_topic": f"{base}/set",
        "component": "light",
        "schema": "json",
        "state_topic": f"{base}/state",
    }


class Lamp:
    """What all four share: how bright, broken or not. `clock` is how wrong the device's clock is."""

    beat_s = 20.0

    def __init__(self, device: Device, world: World, clock: timedelta) -> None:
        self.device = device
        self.world = world
        self.clock = clock
        self.level, self.broken = 0, False
        self._records = 0

    @property
    def power(self) -> float:
        return 0.0 if self.broken else FULL_W * self.level / 100

    def beat(self, now: datetime) -> list[Later]:
        del now
        return []

    def happen(self, happening: Happening, now: datetime) -> list[Later]:
        match happening.what:
            case What.LAMP_READ:
                return self.measured(now)
            case What.LAMP_FAILED | What.LAMP_MENDED:
                self.broken = happening.what is What.LAMP_FAILED
                return self.failed(now)
        return []

    def dimmed(self, level: float, now: datetime) -> list[Later]:
        """Somebody told it how bright to be."""
        ledger = self.world.ledger
        ledger.commands_received += 1
        ledger.lamps_set += 1
        self.level = round(level)
        return self.measured(now)

    def measured(self, now: datetime) -> list[Later]:
        raise NotImplementedError

    def failed(self, now: datetime) -> list[Later]:
        raise NotImplementedError

    def say(self, topic: str, payload: bytes, *, qos: int = 1, kept: bool = False) -> Later:
        """A message; `kept`: it is a record that must arrive."""
        self._records += kept
        record = f"{self.device.address}-{self.world.boot}-{self._records}" if kept else ""
        return Later(message=Outgoing(topic=topic, payload=payload, qos=qos), record=record)

    def milliseconds(self, now: datetime) -> int:
        return int((now + self.clock).timestamp() * 1000)


class SparkplugLamp(Lamp):
    """An edge node of its own: values go by alias, and every birth names them anew."""

    _aliases = ("Lamp/Level", "Lamp/Power", "Lamp/Failed")

    def __init__(self, device: Device, world: World, clock: timedelta) -> None:
        super().__init__(device, world, clock)
        self._group, self._node = device.address.split(":")
        self._seq = 0

    @property
    def hears(self) -> tuple[str, ...]:
        return (f"spBv1.0/{self._group}/NCMD/{self._node}",)

    @property
    def will(self) -> Outgoing:
        session = Metric(name="bdSeq", datatype=TYPES["UInt64"], value=1)
        return Outgoing(topic=self._topic("NDEATH"), payload=write(Payload(metrics=(session,))), qos=1)

    def hello(self, now: datetime) -> list[Later]:
        self._seq = 0
        named = tuple(msgspec.structs.replace(m, name=self._aliases[m.alias or 0]) for m in self._metrics(now))
        session = Metric(name="bdSeq", datatype=TYPES["UInt64"], value=1)
        again = Metric(name="Node Control/Rebirth", datatype=TYPES["Boolean"], value=False)
        return [self._said("NBIRTH", (session, again, *named), now)]

    def bye(self, now: datetime) -> list[Later]:
        del now
        return [Later(message=self.will)]

    def told(self, topic: str, payload: bytes, now: datetime) -> list[Later]:
        """Dims, or says its birth again."""
        del topic
        said: list[Later] = []
        for metric in read(payload).metrics:
            if metric.name == "Lamp/Level" and isinstance(metric.value, int):
                said += self.dimmed(metric.value, now)
            elif metric.name == "Node Control/Rebirth":
                said += self.hello(now)
        return said

    def measured(self, now: datetime) -> list[Later]:
        return [self._said("NDATA", self._metrics(now)[:2], now, kept=True)]

    def failed(self, now: datetime) -> list[Later]:
        return [self._said("NDATA", self._metrics(now)[2:], now, kept=True)]

    def _metrics(self, now: datetime) -> tuple[Metric, ...]:
        at = self.milliseconds(now)
        told: tuple[tuple[str, Any], ...] = (
            ("Int32", self.level),
            ("Double", self.power),
            ("Boolean", self.broken),
        )
        return tuple(
            Metric(alias=n, timestamp=at, datatype=TYPES[kind], value=value) for n, (kind, value) in enumerate(told)
        )

    def _said(self, kind: str, metrics: tuple[Metric, ...], now: datetime, *, kept: bool = False) -> Later:
        payload = Payload(timestamp=self.milliseconds(now), metrics=metrics, seq=self._seq)
        self._seq = (self._seq + 1) % 256
        return self.say(self._topic(kind), write(payload), kept=kept)

    def _topic(self, kind: str) -> str:
        return f"spBv1.0/{self._group}/{kind}/{self._node}"


class HomieLamp(Lamp):
    """Says its state, its description and its values, each on a topic of its own."""

    @property
    def hears(self) -> tuple[str, ...]:
        return (f"homie/5/{self.device.address}/lamp/level/set",)

    @property
    def will(self) -> Outgoing:
        return self._on("$state", "lost").message

    def hello(self, now: datetime) -> list[Later]:
        level = {"datatype": "integer", "settable": True, "format": "0:100"}
        about = {"homie": "5.0", "version": 1, "nodes": {"lamp": {"properties": {"level": level, "failed": {}}}}}
        described = self._on("$description", msgspec.json.encode(about).decode())
        return [self._on("$state", "init"), described, *self.measured(now), self._on("$state", "ready")]

    def bye(self, now: datetime) -> list[Later]:
        del now
        return [self._on("$state", "disconnected")]

    def told(self, topic: str, payload: bytes, now: datetime) -> list[Later]:
        del topic
        return [self._on("lamp/level/$target", payload.decode()), *self.dimmed(float(payload), now)]

    def measured(self, now: datetime) -> list[Later]:
        del now
        return [self._on("lamp/level", str(self.level))]

    def failed(self, now: datetime) -> list[Later]:
        del now
        return [self._on("lamp/failed", str(self.broken).lower())]

    def _on(self, leaf: str, text: str) -> Later:
        return self.say(f"homie/5/{self.device.address}/{leaf}", text.encode())


class HomeAssistantLamp(Lamp):
    """A light of JSON schema that introduces itself and says its state on topics of its own."""

    @property
    def hears(self) -> tuple[str, ...]:
        return (self.device.options["command_topic"],)

    @property
    def will(self) -> Outgoing:
        return self._there("offline").message

    def hello(self, now: datetime) -> list[Later]:
        options = self.device.options
        config = {"name": "Lamp", "schema": "json", "brightness": True, "uniq_id": self.device.address}
        config |= {"cmd_t": options["command_topic"], "stat_t": options["state_topic"]}
        config |= {"avty_t": options["availability_topic"]}
        topic = f"homeassistant/{self.device.address.replace('.', '/')}/config"
        return [self.say(topic, msgspec.json.encode(config)), self._there("online"), *self.measured(now)]

    def bye(self, now: datetime) -> list[Later]:
        del now
        return [self._there("offline")]

    def told(self, topic: str, payload: bytes, now: datetime) -> list[Later]:
        del topic
        order: dict[str, Any] = msgspec.json.decode(payload)
        return self.dimmed(order.get("brightness", 255) / 2.55 if order["state"] == "ON" else 0, now)

    def measured(self, now: datetime) -> list[Later]:
        del now
        state = {"state": "ON" if self.level else "OFF", "brightness": round(self.level * 2.55)}
        return [self.say(self.device.options["state_topic"], msgspec.json.encode(state))]

    def failed(self, now: datetime) -> list[Later]:
        return self.measured(now)

    def _there(self, word: str) -> Later:
        return self.say(self.device.options["availability_topic"], word.encode())


class SubGatewayLamp(Lamp):
    """A lamp behind a sub-gateway, which speaks for it."""

    @property
    def hears(self) -> tuple[str, ...]:
        return ("v1/gateway/rpc",)

    @property
    def will(self) -> Outgoing:
        return self._on("disconnect", {"device": self.device.address}).message

    def hello(self, now: datetime) -> list[Later]:
        return [self._on("connect", {"device": self.device.address}), *self.measured(now)]

    def bye(self, now: datetime) -> list[Later]:
        del now
        return [Later(message=self.will)]

    def told(self, topic: str, payload: bytes, now: datetime) -> list[Later]:
        """Carries out what is meant for this lamp; all lamps of the sub-gateway share its topic, answers included."""
        del topic
        order: dict[str, Any] = msgspec.json.decode(payload)
        data = order.get("data", {})
        if order.get("device") != self.device.address or "method" not in data:
            return []
        answer = {"device": self.device.address, "id": data["id"], "data": {"success": data["method"] == "setLevel"}}
        said = [self._on("rpc", answer)]
        return said + (self.dimmed(data["params"]["level"], now) if data["method"] == "setLevel" else [])

    def measured(self, now: datetime) -> list[Later]:
        return [self._telemetry({"level": self.level, "power": self.power}, now)]

    def failed(self, now: datetime) -> list[Later]:
        return [self._telemetry({"failed": self.broken}, now)]

    def _telemetry(self, values: dict[str, Any], now: datetime) -> Later:
        told = {self.device.address: [{"ts": self.milliseconds(now), "values": values}]}
        return self._on("telemetry", told, kept=True)

    def _on(self, leaf: str, body: dict[str, Any], *, kept: bool = False) -> Later:
        return self.say(f"v1/gateway/{leaf}", msgspec.json.encode(body), kept=kept)


def lamps(community: str) -> list[Device]:
    """One lamp of each protocol, as the gateway is to register it."""
    addresses = {
        "sparkplug": "Yard:cabinet-1",
        "homie": "homie-lamp-1",
        "home_assistant": "light.stairs-1",
        "tb_gateway": "Sub lamp 1",
    }
    return [
        Device(
            id=f"lamp-{protocol.replace('_', '-')}",
            kind="light",
            protocol=protocol,
            address=address,
            community=community,
            options=OPTIONS.get(protocol) or announced_options(address),
            params={"stair": 1},
        )
        for protocol, address in addresses.items()
    ]
