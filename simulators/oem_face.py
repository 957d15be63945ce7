"""A face terminal that speaks the OEM "facesluice" dialect: JSON on mqtt/face/{id}/..., local time without a zone."""

from __future__ import annotations

import base64
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Struct

from devices.model import Device, Outgoing
from simulators.device import Later, World
from simulators.estate import Happening, Role, What

NO_FACE, UNKNOWN = "464", "461"
_LISTS = frozenset({"EditPerson", "EditPersonsNew", "DelPerson", "DeletePersons"})


class Order(Struct, frozen=True, kw_only=True):
    """A message from the platform."""

    operator: str
    messageId: str = ""  # noqa: N815 - the vendor's name
    info: Any = {}


class OemFaceTerminal:
    """Sends strangers as StrSnapPush and people it knows itself as RecPush; opens on Unlock; keeps a list of persons,
    and refuses whom it gets without a photo.
    """

    beat_s = 20.0

    def __init__(self, device: Device, world: World, clock: timedelta) -> None:
        self.device = device
        self._world = world
        self._clock = clock
        self._zone = ZoneInfo(device.zone)
        self._record = world.first_record
        self._greeted = False
        self.persons: dict[str, str] = {}

    @property
    def hears(self) -> tuple[str, ...]:
        return (f"mqtt/face/{self.device.address}",)

    @property
    def will(self) -> Outgoing | None:
        return self._say("basic", "Offline", {}).message

    def hello(self, now: datetime) -> list[Later]:
        self._greeted = False
        return [self._online(now)]

    def beat(self, now: datetime) -> list[Later]:
        """A heartbeat, and Online again until the platform has answered it."""
        alive = self._say("heartbeat", "HeartBeat", {"time": self._time(now)}, qos=0)
        return [alive] if self._greeted else [self._online(now), alive]

    def bye(self, now: datetime) -> list[Later]:
        return [self._say("basic", "Offline", {"time": self._time(now)})]

    def happen(self, happening: Happening, now: datetime) -> list[Later]:
        if happening.what not in (What.FACE_SHOWN, What.FACE_KNOWN_LOCALLY):
            return []
        person = self._world.estate.people[happening.person]
        picture = "data:image/jpeg;base64," + base64.b64encode(
            self._world.pictures.face(person.id, happening.number)
        ).decode("ascii")
        self._record += 1
        seen = {
            "time": self._time(now),
            "isNoMask": "1",
            "PushType": 0,
            "targetPosInScene": [32, 24, 288, 300],
            "pic": picture,
        }
        if happening.what is What.FACE_KNOWN_LOCALLY:
            known = {
                "customId": person.id,
                "personId": str(person.face),
                "RecordID": str(self._record),
                "VerifyStatus": "1",
                "PersonType": "0",
                "similarity1": "91.000000",
                "Sendintime": 1,
                "personName": person.name,
                "idCard": " ",
                "telnum": " ",
            }
            return [self._say(f"{self.device.address}/Rec", "RecPush", known | seen, record=str(self._record))]
        self._world.ledger.presented(self.device.id, now, welcome=person.role is not Role.STRANGER)
        snap = {"SnapID": str(self._record), **seen}
        return [self._say(f"{self.device.address}/Snap", "StrSnapPush", snap, record=str(self._record))]

    def told(self, topic: str, payload: bytes, now: datetime) -> list[Later]:
        """Obeys Unlock, voiceplay and what changes its list; takes Online-Ack and PushAck; knows nothing else."""
        del topic
        ledger = self._world.ledger
        try:
            order = msgspec.json.decode(payload, type=Order)
        except (msgspec.DecodeError, msgspec.ValidationError):
            ledger.commands_unreadable += 1
            return []
        if order.operator == "Online-Ack":
            self._greeted = True
        if order.operator in _LISTS:
            ledger.commands_received += 1
            return [self._list(order)]
        if order.operator not in ("Unlock", "voiceplay"):
            return []
        ledger.commands_received += 1
        if order.operator == "voiceplay":
            return [self._acknowledge(order, "200")]
        opens = order.info.get("openDoor") == "1"
        if opens:
            ledger.opened(self.device.id, order.messageId, now)
        return [self._acknowledge(order, "200" if opens else "462")]

    def _list(self, order: Order) -> Later:
        """Answers for each person by itself."""
        deletes = order.operator.startswith("Del")
        named = order.info if isinstance(order.info, list) else [order.info]
        if order.operator == "DeletePersons":
            named = [{"customId": one} for one in order.info["customId"]]
        codes = {one["customId"]: self._change(one, deletes=deletes) for one in named}
        if order.operator in ("EditPerson", "DelPerson"):
            ((person, code),) = codes.items()
            return self._acknowledge(order, code, customId=person)
        word = "Del" if deletes else "Add"
        took = [{"customId": person} for person, code in codes.items() if code == "200"]
        refused = [{"customId": person, "errcode": code} for person, code in codes.items() if code != "200"]
        counts = {f"{word}ErrNum": str(len(refused)), f"{word}SucNum": str(len(took))}
        return self._acknowledge(order, "200", **counts, **{f"{word}ErrInfo": refused, f"{word}SucInfo": took})

    def _change(self, person: dict[str, Any], *, deletes: bool) -> str:
        if deletes:
            return "200" if self.persons.pop(person["customId"], None) is not None else UNKNOWN
        if not person.get("pic"):
            return NO_FACE
        self.persons[person["customId"]] = person["pic"]
        return "200"

    def _acknowledge(self, order: Order, code: str, **more: Any) -> Later:
        result = "ok" if code == "200" else "fail"
        body = {
            "messageId": order.messageId,
            "operator": f"{order.operator}-Ack",
            "code": code,
            "info": {"facesluiceId": self.device.address, "result": result, **more},
        }
        topic = f"mqtt/face/{self.device.address}/Ack"
        return Later(message=Outgoing(topic=topic, payload=msgspec.json.encode(body), qos=1), seconds=0.1)

    def _online(self, now: datetime) -> Later:
        about = {"username": "admin", "time": self._time(now), "ip": "192.0.2.10", "facesname": self.device.id}
        return self._say("basic", "Online", about)

    def _say(self, leaf: str, operator: str, info: dict[str, Any], *, qos: int = 1, record: str = "") -> Later:
        body = {"operator": operator, "info": {"facesluiceId": self.device.address, **info}}
        message = Outgoing(topic=f"mqtt/face/{leaf}", payload=msgspec.json.encode(body), qos=qos)
        return Later(message=message, record=record)

    def _time(self, now: datetime) -> str:
        return (now + self._clock).astimezone(self._zone).strftime("%Y-%m-%d %H:%M:%S")
