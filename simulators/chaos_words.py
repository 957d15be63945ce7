"""How a chaos run speaks each protocol: numbered messages whose number is found again in what they become. Pure.

The number lies in whatever the protocol can carry it in: a count of energy, a water level, a plate, a person's id, a
track. `again`: the record is told again as a device of this make does it by itself (marked as late, under another
serial number); one that has no such way sends the same bytes.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Struct, field

from devices.model import Device
from devices.protocols.sparkplug_wire import TYPES, Metric, Payload, read, write
from simulators.http_terminal import JPEG, multipart

SITE = ZoneInfo("Asia/Shanghai")
BASE = 1000
PLATE = "CH00001"
"""Always the same car, which nobody has registered: one alert for each lane, and nothing opens."""
"""Numbers begin above it, so that a water level made of one is no high water."""
_NUMBER = re.compile(r"[a-z]*(\d+)", re.IGNORECASE)


class Session(Struct, kw_only=True):
    """A connection's count of its births and of the messages since, for a protocol that has one (Sparkplug)."""

    births: int = 0
    seq: int = 0

    def next(self) -> int:
        """The number of the next message, 0 to 255."""
        self.seq = (self.seq + 1) % 256
        return self.seq


class Scene(Struct, frozen=True, kw_only=True):
    """Who speaks, of record `n` made at `at`, UTC."""

    address: str
    n: int
    at: datetime
    again: bool = False
    session: Session = field(default_factory=Session)


class Out(Struct, frozen=True):
    """What is published, or posted; `where`: the topic, or the Content-Type."""

    where: str
    payload: bytes
    retain: bool = False


class Words(Struct, frozen=True, kw_only=True):
    """A protocol. `says`: a numbered message; `event`: the type of event it becomes; `found`: its number in that event,
    whose `at` are microseconds since 1970, as the device said it.

    `posts`: over HTTP (`digest`: as who shows the token so). `repeats`: records have an identity, so a device may tell
    one again; `loose`: messages have neither record nor time, so nobody can tell a repetition. `answers`: the record an
    answer of the gateway names, held and told again until then. `places`: tells a position; `greets`: what is said when
    connected; `will`: what the broker says when the device vanishes; `asked`: it is to greet again.
    """

    protocol: str
    kind: str
    event: str
    says: Callable[[Scene], Out]
    found: Callable[[dict[str, Any]], int | None]
    address: str = ""
    options: dict[str, str] = {}
    posts: bool = False
    digest: bool = False
    repeats: bool = True
    loose: bool = False
    hears: tuple[str, ...] = ()
    answers: Callable[[bytes], int | None] | None = None
    places: Callable[[Scene, bool], Out] | None = None
    greets: Callable[[Scene, bool], list[Out]] | None = None
    will: Callable[[Scene], Out] | None = None
    asked: Callable[[bytes], bool] = lambda _payload: False

    def device(self, community: str) -> Device:
        """The device that speaks so, as it is registered."""
        address = self.address or f"{self.protocol}-1"
        return Device(
            id=f"{self.protocol}-1",
            kind=self.kind,
            protocol=self.protocol,
            address=address,
            community=community,
            options=self.options,
        )


# -- what a number is carried in ---------------------------------------------


def _figure(field: str, per: float = 1) -> Callable[[dict[str, Any]], int | None]:
    def found(body: dict[str, Any]) -> int | None:
        value = body.get(field)
        return None if value is None else round(value * per)

    return found


def _named(field: str) -> Callable[[dict[str, Any]], int | None]:
    def found(body: dict[str, Any]) -> int | None:
        match = _NUMBER.fullmatch(body.get(field, ""))
        return int(match[1]) if match else None

    return found


def _vendor(field: str) -> Callable[[dict[str, Any]], int | None]:
    def found(body: dict[str, Any]) -> int | None:
        value = body.get("vendor", {}).get(field)
        return None if value is None else int(value)

    return found


def _micros(body: dict[str, Any]) -> int:
    return int(body["at"] % 1_000_000)


def _json(where: str, body: Any, *, retain: bool = False) -> Out:
    return Out(where, msgspec.json.encode(body), retain)


def _local(at: datetime) -> str:
    return at.astimezone(SITE).strftime("%Y-%m-%d %H:%M:%S")


def _milliseconds(at: datetime) -> int:
    return int(at.timestamp() * 1000)


# -- records with a number of their own ---------------------------------------------


def _oem_face(s: Scene) -> Out:
    record: dict[str, Any] = {
        "customId": f"p{s.n}",
        "RecordID": str(s.n),
        "VerifyStatus": "1",
        "PersonType": "0",
        "time": _local(s.at),
    }
    record |= {"facesluiceId": s.address, "similarity1": "91.0", "Sendintime": 1, "PushType": 2 if s.again else 0}
    return _json(f"mqtt/face/{s.address}/Rec", {"operator": "RecPush", "info": record})


def _oem_face_answered(payload: bytes) -> int | None:
    body = msgspec.json.decode(payload)
    return int(body["info"]["SnapOrRecordID"]) if body.get("operator") == "PushAck" else None


def _vf(s: Scene) -> Out:
    record = {"id": f"p{s.n}", "type": 200, "time": int(s.at.timestamp()), "result": 1, "code": "0"}
    body: dict[str, Any] = {
        "serialNo": f"{s.n}-{'again' if s.again else 'first'}",
        "uuid": s.address,
        "sign": "",
        "code": "000000",
    }
    body |= {"time": int(s.at.timestamp()), "data": [record]}
    return _json("access_device/v1/event/access", body)


def _vf_answered(payload: bytes) -> int | None:
    number, found, _ = str(msgspec.json.decode(payload).get("serialNo", "")).partition("-")
    return int(number) if found else None


def _timeval(s: Scene) -> dict[str, Any]:
    """The number stands in the microseconds."""
    return {"Timeval": {"sec": int(s.at.timestamp()), "usec": s.n}}


def _vzenith(s: Scene) -> Out:
    plate = base64.b64encode(PLATE.encode()).decode()
    result = {"license": plate, "plateid": s.n, "confidence": 96, "triggerType": 1, "timeStamp": _timeval(s)}
    result |= {"isoffline": int(s.again), "type": 1}
    payload = {"AlarmInfoPlate": {"serialno": s.address, "result": {"PlateResult": result}}}
    body = {"id": f"{s.n:016x}", "sn": s.address, "name": "ivs_result", "version": "1.0", "payload": payload}
    return _json(f"device/{s.address}/message/up/ivs_result", {**body, "timestamp": int(s.at.timestamp())})


def _vzenith_push(s: Scene) -> Out:
    result = {"license": PLATE, "plateid": s.n, "timeStamp": _timeval(s), "isoffline": int(s.again)}
    return _json("application/json", {"AlarmInfoPlate": {"serialno": s.address, "result": {"PlateResult": result}}})


def _hik_access(s: Scene) -> Out:
    event = {"majorEventType": 5, "subEventType": 75, "serialNo": s.n, "employeeNoString": f"p{s.n}"}
    event |= {"currentEvent": not s.again}
    alert = {
        "eventType": "AccessControllerEvent",
        "eventState": "active",
        "dateTime": s.at.isoformat(timespec="seconds"),
    }
    body, media = multipart({**alert, "AccessControllerEvent": event}, JPEG + str(s.n % 50).encode())
    return Out(media, body)


def _hik_anpr(s: Scene) -> Out:
    text = (
        '<?xml version="1.0" encoding="utf-8"?><EventNotificationAlert version="2.0" '
        'xmlns="http://www.isapi.org/ver20/XMLSchema"><channelID>1</channelID>'
        f"<dateTime>{s.at.isoformat(timespec='milliseconds')}</dateTime><eventType>ANPR</eventType>"
        f"<eventState>active</eventState><ANPR><licensePlate>{PLATE}</licensePlate><line>{s.n}</line><confidenceLevel>97"
        f"</confidenceLevel><alarmDataType>{int(s.again)}</alarmDataType></ANPR>"
        f"<UUID>6f1f7a52-0001-4000-8000-{s.n:012d}</UUID></EventNotificationAlert>"
    )
    return Out("application/xml", text.encode())


def _chirpstack(s: Scene) -> Out:
    used = {"packet_type": "usage_packet", "consumption": [{"active_energy__Wh": s.n * 1000}]}
    body = {"deduplicationId": f"chaos-{s.n}", "time": s.at.isoformat(), "fPort": 26, "object": used}
    return _json(f"application/estate/device/{s.address}/event/up", body)


def _ttn(s: Scene) -> Out:
    up = {"f_port": 85, "decoded_payload": {"pulse": s.n}, "received_at": s.at.isoformat()}
    body = {"correlation_ids": [f"as:up:{s.n:026d}"], "received_at": s.at.isoformat(), "uplink_message": up}
    return _json(f"v3/estate/devices/{s.address}/up", body)


# -- a time of their own, and the same bytes when told again ---------------------------------------------


def _dahua(s: Scene) -> Out:
    data = {"TrafficCar": {"PlateNumber": PLATE}, "DrivingDirection": [str(s.n)], "UTC": int(s.at.timestamp())}
    return Out("text/plain", b"Code=TrafficJunction;action=Pulse;index=0;data=" + msgspec.json.encode(data))


def _frigate(s: Scene) -> Out:
    seen = {"id": f"c{s.n}", "camera": s.address, "label": "person", "score": 0.9, "frame_time": s.at.timestamp()}
    return _json("frigate/events", {"type": "new", "before": None, "after": seen})


def _onvif(s: Scene) -> Out:
    body = {"UtcTime": s.at.isoformat(), "Source": {"Rule": "Yard"}, "Data": {"Count": str(s.n)}}
    return _json(f"{s.address}/onvif-ej/RuleEngine/CountAggregation/Counter/&1/Yard", body)


def _zigbee2mqtt(s: Scene) -> Out:
    body = {"state": "ON", "brightness": 200, "energy": s.n, "last_seen": s.at.isoformat()}
    return _json(f"zigbee2mqtt/{s.address}", body)


def _tasmota(s: Scene) -> Out:
    body = {"Time": _local(s.at).replace(" ", "T"), "ENERGY": {"Total": s.n, "Power": 40, "Voltage": 229}}
    return _json(f"tele/{s.address}/SENSOR", body)


def _shelly(s: Scene) -> Out:
    switch = {"id": 0, "output": True, "apower": 40.0, "aenergy": {"total": s.n * 1000.0}}
    params = {"ts": s.at.timestamp(), "switch:0": switch}
    return _json(f"{s.address}/events/rpc", {"src": s.address, "method": "NotifyStatus", "params": params})


def _nbiot_cover(s: Scene) -> Out:
    is_open = s.n % 4 == 0
    body = {"device_id": s.address, "tilt": 80.0 if is_open else 1.0, "status": "abnormal" if is_open else "normal"}
    return _json(f"/city/shanghai/well/status/{s.address}", {**body, "ts": int(s.at.timestamp()), "seq": s.n})


# -- how things stand ---------------------------------------------


def _tb(s: Scene, values: dict[str, Any]) -> Out:
    return _json("v1/gateway/telemetry", {s.address: [{"ts": _milliseconds(s.at), "values": values}]})


def _homie(s: Scene, leaf: str, text: str) -> Out:
    return Out(f"homie/5/{s.address}/{leaf}", text.encode(), retain=True)


def _homie_greets(s: Scene, is_open: bool) -> list[Out]:
    about = {"homie": "5.0", "version": 1, "nodes": {"lid": {"properties": {"open": {}, "level": {}}}}}
    described = _homie(s, "$description", msgspec.json.encode(about).decode())
    return [_homie(s, "$state", "init"), described, _homie_places(s, is_open), _homie(s, "$state", "ready")]


def _homie_places(s: Scene, is_open: bool) -> Out:
    return _homie(s, "lid/open", str(is_open).lower())


_HA = {"state_topic": "ha/chaos/state", "availability_topic": "ha/chaos/lwt", "component": "sensor"}
_HA_ANNOUNCED = "homeassistant/sensor/chaos/config"


def _home_assistant(s: Scene) -> Out:
    return Out(_HA["state_topic"], str(s.n).encode(), retain=True)


def _home_assistant_greets(s: Scene, is_open: bool) -> list[Out]:
    del s, is_open
    config = {"name": "Count", "uniq_id": "chaos", "stat_t": _HA["state_topic"], "avty_t": _HA["availability_topic"]}
    return [_json(_HA_ANNOUNCED, config, retain=True), Out(_HA["availability_topic"], b"online", retain=True)]


_LID, _LEVEL = "Lid/Open", "Sump/Level"
_LID_ALIAS = 1


def _spark(s: Scene, kind: str, seq: int | None, *metrics: Metric) -> Out:
    group, node = s.address.split(":")
    at = _milliseconds(s.at)
    return Out(f"spBv1.0/{group}/{kind}/{node}", write(Payload(timestamp=at, metrics=metrics, seq=seq)))


def _bd_seq(s: Scene) -> Metric:
    return Metric(name="bdSeq", datatype=TYPES["UInt64"], value=s.session.births)


def _sparkplug(s: Scene) -> Out:
    """The level by its name: it is understood whether its birth was heard or not."""
    at = _milliseconds(s.at)
    level = Metric(name=_LEVEL, timestamp=at, datatype=TYPES["Int32"], value=s.n, is_historical=s.again)
    return _spark(s, "NDATA", s.session.next(), level)


def _sparkplug_places(s: Scene, is_open: bool) -> Out:
    """The lid by its alias: it is understood only after a birth."""
    lid = Metric(alias=_LID_ALIAS, timestamp=_milliseconds(s.at), datatype=TYPES["Boolean"], value=is_open)
    return _spark(s, "NDATA", s.session.next(), lid)


def _sparkplug_greets(s: Scene, is_open: bool) -> list[Out]:
    s.session.seq = 0
    at = _milliseconds(s.at)
    lid = Metric(name=_LID, alias=_LID_ALIAS, timestamp=at, datatype=TYPES["Boolean"], value=is_open)
    level = Metric(name=_LEVEL, datatype=TYPES["Int32"])  # null: a birth is no new measurement
    again = Metric(name="Node Control/Rebirth", datatype=TYPES["Boolean"], value=False)
    return [_spark(s, "NBIRTH", 0, _bd_seq(s), again, lid, level)]


def _reborn(payload: bytes) -> bool:
    return any(metric.name == "Node Control/Rebirth" for metric in read(payload).metrics)


_LEVELS = {"cover_open": "lid/open", "water_below_cover_cm": "lid/level"}
_LAMP: dict[str, Any] = {"kind": "light", "event": "lamp_measured", "found": _figure("active_energy_kwh")}
_CAR: dict[str, Any] = {"kind": "barrier", "event": "plate_captured"}
_DOOR: dict[str, Any] = {"kind": "face_gate", "event": "access_granted", "found": _named("person")}
_SUMP: dict[str, Any] = {"kind": "cover", "event": "water_measured", "found": _figure("below_cover_cm")}
_COUNT: dict[str, Any] = {"event": "sensor_measured", "found": _figure("value")}

WORDS: dict[str, Words] = {
    words.protocol: words
    for words in (
        Words(
            protocol="oem_face",
            says=_oem_face,
            address="1234567",
            hears=("mqtt/face/1234567",),
            answers=_oem_face_answered,
            **_DOOR,
        ),
        Words(
            protocol="vf",
            says=_vf,
            hears=("access_device/v1/event/vf-1/access_reply",),
            answers=_vf_answered,
            **_DOOR,
        ),
        Words(protocol="vzenith", says=_vzenith, address="0badcafe-00000001", found=_micros, **_CAR),
        Words(
            protocol="chirpstack",
            says=_chirpstack,
            address="70b3d5e75e00aa01",
            options={"codec": "nas_luminaire"},
            **_LAMP,
        ),
        Words(protocol="ttn", says=_ttn, kind="sensor", options={"codec": "milesight"}, **_COUNT),
        Words(protocol="zigbee2mqtt", says=_zigbee2mqtt, **_LAMP),
        Words(protocol="tasmota", says=_tasmota, **_LAMP),
        Words(protocol="shelly", says=_shelly, **_LAMP),
        Words(protocol="frigate", says=_frigate, kind="camera", event="object_detected", found=_named("track")),
        Words(protocol="onvif", says=_onvif, kind="camera", **_COUNT),
        Words(protocol="nbiot_cover", says=_nbiot_cover, kind="cover", event="cover_moved", found=_vendor("seq")),
        Words(
            protocol="tb_gateway",
            says=lambda s: _tb(s, {"lid/level": s.n}),
            places=lambda s, is_open: _tb(s, {"lid/open": is_open}),
            greets=lambda s, is_open: [
                _json("v1/gateway/connect", {"device": s.address}),
                _tb(s, {"lid/open": is_open}),
            ],
            will=lambda s: _json("v1/gateway/disconnect", {"device": s.address}),
            options=_LEVELS,
            **_SUMP,
        ),
        Words(
            protocol="homie",
            says=lambda s: _homie(s, "lid/level", str(s.n)),
            places=_homie_places,
            greets=_homie_greets,
            will=lambda s: _homie(s, "$state", "lost"),
            options=_LEVELS,
            repeats=False,
            loose=True,
            **_SUMP,
        ),
        Words(
            protocol="home_assistant",
            says=_home_assistant,
            greets=_home_assistant_greets,
            will=lambda _: Out(_HA["availability_topic"], b"offline", retain=True),
            kind="sensor",
            address="sensor.chaos",
            options=_HA,
            repeats=False,
            loose=True,
            **_COUNT,
        ),
        Words(
            protocol="sparkplug",
            says=_sparkplug,
            places=_sparkplug_places,
            greets=_sparkplug_greets,
            will=lambda s: _spark(s, "NDEATH", None, _bd_seq(s)),
            hears=("spBv1.0/Yard/NCMD/cabinet-1",),
            asked=_reborn,
            address="Yard:cabinet-1",
            options={"cover_open": _LID, "water_below_cover_cm": _LEVEL},
            repeats=False,
            **_SUMP,
        ),
        Words(protocol="hik_access", says=_hik_access, posts=True, digest=True, address="HIK1", **_DOOR),
        Words(
            protocol="hik_anpr", says=_hik_anpr, posts=True, digest=True, address="HIK2", found=_vendor("lane"), **_CAR
        ),
        Words(protocol="dahua", says=_dahua, posts=True, found=_vendor("driving"), **_CAR),
        Words(
            protocol="vzenith_push",
            says=_vzenith_push,
            posts=True,
            options={"transport": "http"},
            found=_micros,
            **_CAR,
        ),
    )
}
"""What a chaos run speaks besides native, by protocol."""
