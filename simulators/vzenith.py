"""A Vzenith (臻识) lane camera with a barrier on its relays: device/{sn}/message/up|down/{name}."""

from __future__ import annotations

import base64
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Struct

from devices.model import Device, Outgoing
from simulators.barrier import DOWN_AFTER, OFF_LOOP_AFTER, ON_LOOP_AFTER, UP_AFTER, is_welcome
from simulators.device import Later, World
from simulators.estate import Happening, What

FIRMWARE = 16771
OPEN_RELAY, PULSE = 0, 2
APPROACHING, TRIGGERED_BY_VIDEO, BLUE = 4, 1, 1


_NOBODY = "川A00000"
"""Whose car is before the camera when it is asked for a picture."""


class Order(Struct, frozen=True, kw_only=True):
    """A message from the platform; `payload.body` holds the relay and what to do with it."""

    id: str
    name: str
    payload: dict[str, Any] | None = None


class VzenithCamera:
    """Reads plates itself (its reading is empty for every eighth car) and opens on gpio_out or gate_direct_open."""

    beat_s = 10.0
    will = None

    def __init__(self, device: Device, world: World, clock: timedelta) -> None:
        self.device = device
        self._world = world
        self._clock = clock
        self._zone = ZoneInfo(device.zone)
        self._record = world.first_record
        self._cars = 0
        self.plates: dict[str, dict[str, Any]] = {}

    @property
    def hears(self) -> tuple[str, ...]:
        sn = self.device.address
        names = ("gpio_out", "gate_direct_open", "white_list_operator", "snapshot")
        return tuple(f"device/{sn}/message/down/{name}" for name in names)

    def hello(self, now: datetime) -> list[Later]:
        return self.beat(now)

    def beat(self, now: datetime) -> list[Later]:
        alive = self._say("keep_alive", {"body": {"timestamp": self._seconds(now)}}, now, qos=0)
        return [alive]

    def bye(self, now: datetime) -> list[Later]:
        del now
        return []

    def happen(self, happening: Happening, now: datetime) -> list[Later]:
        if happening.what is not What.CAR_ARRIVED:
            return []
        world = self._world
        world.ledger.presented(self.device.id, now, welcome=is_welcome(world.estate, happening.plate))
        self._cars += 1
        read = "" if self._cars % 8 == 0 else happening.plate
        picture = base64.b64encode(world.pictures.car(happening.plate, happening.number)).decode("ascii")
        return [self._say("ivs_result", self._result(read, picture, now), now)]

    def told(self, topic: str, payload: bytes, now: datetime) -> list[Later]:
        """Obeys what opens the barrier; answers on the topic it was told on."""
        ledger = self._world.ledger
        try:
            order = msgspec.json.decode(payload, type=Order)
        except (msgspec.DecodeError, msgspec.ValidationError):
            ledger.commands_unreadable += 1
            return []
        ledger.commands_received += 1
        body = (order.payload or {}).get("body") or {}
        if order.name == "white_list_operator":
            return [self._reply(topic, order, 200, now, self._listed(body))]
        if order.name == "snapshot":
            picture = base64.b64encode(self._world.pictures.car(_NOBODY, self._record)).decode("ascii")
            taken = {"state_code": 200, "imageformat": "jpg", "image_content": picture}
            return [self._reply(topic, order, 200, now), self._say("snapshot", taken, now, after=0.2)]
        opens = order.name == "gate_direct_open" or (body.get("io"), body.get("value")) == (OPEN_RELAY, PULSE)
        closes = order.name == "gpio_out" and body.get("io") == 1
        reply = self._reply(topic, order, 200 if opens or closes else 400, now)
        if not opens:
            return [reply, self._gate(0, now, UP_AFTER)] if closes else [reply]
        ledger.opened(self.device.id, order.id, now)
        return [
            reply,
            self._gate(1, now, UP_AFTER),
            self._loop(1, now, ON_LOOP_AFTER),
            self._loop(0, now, OFF_LOOP_AFTER),
            self._gate(0, now, DOWN_AFTER),
        ]

    def _listed(self, body: dict[str, Any]) -> dict[str, Any] | None:
        """Changes the white list; what it holds, where that is asked."""
        match body:
            case {"operator_type": "update_or_add", "dldb_rec": records}:
                self.plates |= {record["plate"]: record for record in records}
            case {"operator_type": "delete", "plate": plate}:
                self.plates.pop(plate, None)
            case {"operator_type": "select"}:
                found = {"dldb_rec": list(self.plates.values()), "operator_type": "select", "state_code": 200}
                return {"body": found, "type": "white_list_operator"}
        return None

    def _reply(
        self, topic: str, order: Order, code: int, now: datetime, payload: dict[str, Any] | None = None
    ) -> Later:
        body = {
            "code": code,
            "id": order.id,
            "name": order.name,
            "payload": payload,
            "sn": self.device.address,
            "timestamp": self._seconds(now),
            "version": "1.0",
        }
        message = Outgoing(topic=f"{topic}/reply", payload=msgspec.json.encode(body), qos=1)
        return Later(message=message, seconds=0.05)

    def _gate(self, status: int, now: datetime, after: float) -> Later:
        body = {"connect_status": 1, "enable": 1, "gate_ctrl_id": 1, "gate_status": status}
        return self._say("barr_gate_status", {"body": body}, now, after=after)

    def _loop(self, value: int, now: datetime, after: float) -> Later:
        alarm = {
            "deviceName": base64.b64encode(self.device.id.encode()).decode(),
            "ipaddr": "192.0.2.20",
            "result": {"TriggerResult": {"source": 0, "value": value}},
            "serialno": self.device.address,
        }
        return self._say("gpio_in", {"body": {"AlarmGioIn": alarm}}, now, after=after)

    def _result(self, plate: str, picture: str, now: datetime) -> dict[str, Any]:
        local = (now + self._clock).astimezone(self._zone)
        license_ = base64.b64encode(plate.encode()).decode()
        when = {
            "decday": local.day,
            "dechour": local.hour,
            "decmin": local.minute,
            "decmon": local.month,
            "decsec": local.second,
            "decyear": local.year,
            "sec": int(local.timestamp()),
            "usec": local.microsecond,
        }
        result = {
            "carColor": 0,
            "colorType": BLUE if plate else 0,
            "confidence": 96 if plate else 0,
            "direction": APPROACHING,
            "full_image_content": picture,
            "is_encrypted": 0,
            "is_fake_plate": 0,
            "isoffline": 0,
            "license": license_,
            "location": {"RECT": {"bottom": 470, "left": 380, "right": 560, "top": 410}},
            "plateid": self._record,
            "small_image_content": "",
            "timeStamp": {"Timeval": when},
            "triggerType": TRIGGERED_BY_VIDEO,
            "type": 1 if plate else 0,
        }
        alarm = {
            "channel": 0,
            "deviceName": self.device.id,
            "ipaddr": "192.0.2.20",
            "result": {"PlateResult": result},
            "serialno": self.device.address,
            "user_data": "",
        }
        return {"AlarmInfoPlate": alarm}

    def _say(
        self,
        name: str,
        payload: dict[str, Any],
        now: datetime,
        *,
        after: float = 0.0,
        qos: int = 1,
    ) -> Later:
        self._record += 1
        record = f"{self._record:016x}"
        body = {
            "id": record,
            "bv": FIRMWARE,
            "sn": self.device.address,
            "name": name,
            "version": "1.0",
            "timestamp": self._seconds(now, after),
            "payload": payload,
        }
        topic = f"device/{self.device.address}/message/up/{name}"
        message = Outgoing(topic=topic, payload=msgspec.json.encode(body), qos=qos)
        return Later(message=message, seconds=after, record=record if qos else "")

    def _seconds(self, now: datetime, after: float = 0.0) -> int:
        return int((now + timedelta(seconds=after) + self._clock).timestamp())
