"""A Vbar terminal, v1: asks whether a card may pass, keeps its own permissions, and has a door contact."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import msgspec
from msgspec import Struct

from devices.model import Device, Outgoing
from simulators.device import Later, World
from simulators.estate import Happening, What
from simulators.face_gate import CLOSES_AFTER, OPENS_AFTER

BASE = "access_device/v1"
OK, ERROR = "000000", "100000"
CARD, DOOR, OPEN = 200, 256, 1


class Order(Struct, frozen=True, kw_only=True):
    """A message from the platform."""

    serialNo: str  # noqa: N815 - the vendor's name
    code: str = ""
    data: Any = None


class VfTerminal:
    """Opens when its question is answered with 000000, and on control; it knows each question only once."""

    beat_s = 20.0

    def __init__(self, device: Device, world: World, clock: timedelta) -> None:
        self.device = device
        self.permissions: dict[str, str] = {}
        self._world = world
        self._clock = clock
        self._serial = world.first_record
        self._asked: set[str] = set()

    @property
    def hears(self) -> tuple[str, ...]:
        sn = self.device.address
        return (f"{BASE}/cmd/{sn}/+", f"{BASE}/event/{sn}/+")

    @property
    def will(self) -> Outgoing | None:
        body = {"serialNo": "will", "uuid": self.device.address, "sign": "", "time": 0}
        return Outgoing(topic=f"{BASE}/event/offline", payload=msgspec.json.encode(body), qos=1)

    def hello(self, now: datetime) -> list[Later]:
        return [self._event("connect", {"appVersion": "simulated", "clientId": self.device.address}, now)]

    def beat(self, now: datetime) -> list[Later]:
        return [self._event("heartbeat", None, now, qos=0)]

    def bye(self, now: datetime) -> list[Later]:
        del now
        return []

    def happen(self, happening: Happening, now: datetime) -> list[Later]:
        match happening.what:
            case What.CARD_SHOWN:
                question = self._event("access_online", {"type": CARD, "code": happening.card}, now)
                self._asked.add(str(self._serial))
                return [question]
            case What.DOOR_FORCED:
                return [self._door(0, now, 0.0)]
            case What.DOOR_SHUT:
                return [self._door(1, now, 0.0)]
        return []

    def told(self, topic: str, payload: bytes, now: datetime) -> list[Later]:
        """Obeys control and the two messages that change its permissions; refuses any other."""
        order_name = topic.rpartition("/")[2]
        try:
            order = msgspec.json.decode(payload, type=Order)
        except msgspec.DecodeError:
            self._world.ledger.commands_unreadable += 1
            return []
        if order_name == "access_online_reply":
            known = order.serialNo in self._asked
            self._asked.discard(order.serialNo)
            return self._open(order.serialNo, now) if known and order.code == OK else []
        if f"/cmd/{self.device.address}/" not in topic:
            return []
        self._world.ledger.commands_received += 1
        return self._obey(order_name, order, now)

    def _obey(self, order_name: str, order: Order, now: datetime) -> list[Later]:
        match order_name, order.data:
            case "control", {"command": 1}:
                return [self._answer(order_name, order, OK, {}, now), *self._open(order.serialNo, now)]
            case "insertPermission", [*permissions]:
                self.permissions |= {one["id"]: one["code"] for one in permissions}
                return [self._answer(order_name, order, OK, [one["id"] for one in permissions], now)]
            case "delPermission", [*ids]:
                for one in ids:
                    self.permissions.pop(one, None)
                return [self._answer(order_name, order, OK, {}, now)]
        return [self._answer(order_name, order, ERROR, "not supported", now)]

    def _open(self, cause: str, now: datetime) -> list[Later]:
        self._world.ledger.opened(self.device.id, cause, now)
        return [self._door(0, now, OPENS_AFTER), self._door(1, now, CLOSES_AFTER)]

    def _door(self, value: int, now: datetime, after: float) -> Later:
        return self._event("alarm", {"type": DOOR, "value": value}, now, after=after)

    def _answer(self, order_name: str, order: Order, code: str, data: Any, now: datetime) -> Later:
        body = {**self._envelope(now), "serialNo": order.serialNo, "code": code, "data": data}
        topic = f"{BASE}/cmd/{order_name}_reply"
        return Later(message=Outgoing(topic=topic, payload=msgspec.json.encode(body), qos=1), seconds=0.05)

    def _event(self, name: str, data: Any, now: datetime, *, after: float = 0.0, qos: int = 1) -> Later:
        self._serial += 1
        body = {**self._envelope(now, after), **({} if data is None else {"data": data})}
        message = Outgoing(topic=f"{BASE}/event/{name}", payload=msgspec.json.encode(body), qos=qos)
        return Later(message=message, seconds=after, record=str(self._serial) if name == "alarm" else "")

    def _envelope(self, now: datetime, after: float = 0.0) -> dict[str, Any]:
        at = int((now + timedelta(seconds=after) + self._clock).timestamp())
        return {"serialNo": str(self._serial), "uuid": self.device.address, "sign": "", "code": OK, "time": at}
