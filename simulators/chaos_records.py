"""What has records or times of its own, in a chaos run: terminals, cameras, lamps, network servers. Pure."""

from __future__ import annotations

import base64
from typing import Any

import msgspec

from simulators.chaos_words import Out, Scene, Words, as_json, figure, in_vendor, local, micros, named
from simulators.http_terminal import JPEG, multipart

PLATE = "CH00001"
"""Always the same car, which nobody has registered: one alert for each lane, and nothing opens."""

# -- records with a number of their own ---------------------------------------------


def _oem_face(s: Scene) -> Out:
    record: dict[str, Any] = {
        "customId": f"p{s.n}",
        "RecordID": str(s.n),
        "VerifyStatus": "1",
        "PersonType": "0",
        "time": local(s.at),
    }
    record |= {"facesluiceId": s.address, "similarity1": "91.0", "Sendintime": 1, "PushType": 2 if s.again else 0}
    return as_json(f"mqtt/face/{s.address}/Rec", {"operator": "RecPush", "info": record})


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
    return as_json("access_device/v1/event/access", body)


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
    return as_json(f"device/{s.address}/message/up/ivs_result", {**body, "timestamp": int(s.at.timestamp())})


def _vzenith_push(s: Scene) -> Out:
    result = {"license": PLATE, "plateid": s.n, "timeStamp": _timeval(s), "isoffline": int(s.again)}
    return as_json("application/json", {"AlarmInfoPlate": {"serialno": s.address, "result": {"PlateResult": result}}})


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
    return as_json(f"application/estate/device/{s.address}/event/up", body)


def _ttn(s: Scene) -> Out:
    up = {"f_port": 85, "decoded_payload": {"pulse": s.n}, "received_at": s.at.isoformat()}
    body = {"correlation_ids": [f"as:up:{s.n:026d}"], "received_at": s.at.isoformat(), "uplink_message": up}
    return as_json(f"v3/estate/devices/{s.address}/up", body)


# -- a time of their own, and the same bytes when told again ---------------------------------------------


def _dahua(s: Scene) -> Out:
    data = {"TrafficCar": {"PlateNumber": PLATE}, "DrivingDirection": [str(s.n)], "UTC": int(s.at.timestamp())}
    return Out("text/plain", b"Code=TrafficJunction;action=Pulse;index=0;data=" + msgspec.json.encode(data))


def _frigate(s: Scene) -> Out:
    seen = {"id": f"c{s.n}", "camera": s.address, "label": "person", "score": 0.9, "frame_time": s.at.timestamp()}
    return as_json("frigate/events", {"type": "new", "before": None, "after": seen})


def _onvif(s: Scene) -> Out:
    body = {"UtcTime": s.at.isoformat(), "Source": {"Rule": "Yard"}, "Data": {"Count": str(s.n)}}
    return as_json(f"{s.address}/onvif-ej/RuleEngine/CountAggregation/Counter/&1/Yard", body)


def _zigbee2mqtt(s: Scene) -> Out:
    body = {"state": "ON", "brightness": 200, "energy": s.n, "last_seen": s.at.isoformat()}
    return as_json(f"zigbee2mqtt/{s.address}", body)


def _tasmota(s: Scene) -> Out:
    body = {"Time": local(s.at).replace(" ", "T"), "ENERGY": {"Total": s.n, "Power": 40, "Voltage": 229}}
    return as_json(f"tele/{s.address}/SENSOR", body)


def _shelly(s: Scene) -> Out:
    switch = {"id": 0, "output": True, "apower": 40.0, "aenergy": {"total": s.n * 1000.0}}
    params = {"ts": s.at.timestamp(), "switch:0": switch}
    return as_json(f"{s.address}/events/rpc", {"src": s.address, "method": "NotifyStatus", "params": params})


def _nbiot_cover(s: Scene) -> Out:
    is_open = s.n % 4 == 0
    body = {"device_id": s.address, "tilt": 80.0 if is_open else 1.0, "status": "abnormal" if is_open else "normal"}
    return as_json(f"/city/shanghai/well/status/{s.address}", {**body, "ts": int(s.at.timestamp()), "seq": s.n})


_LAMP: dict[str, Any] = {"kind": "light", "event": "lamp_measured", "found": figure("active_energy_kwh")}
_CAR: dict[str, Any] = {"kind": "barrier", "event": "plate_captured"}
_DOOR: dict[str, Any] = {"kind": "face_gate", "event": "access_granted", "found": named("person")}
_COUNT: dict[str, Any] = {"event": "sensor_measured", "found": figure("value")}

RECORDS = (
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
    Words(protocol="vzenith", says=_vzenith, address="0badcafe-00000001", found=micros, **_CAR),
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
    Words(protocol="frigate", says=_frigate, kind="camera", event="object_detected", found=named("track")),
    Words(protocol="onvif", says=_onvif, kind="camera", **_COUNT),
    Words(protocol="nbiot_cover", says=_nbiot_cover, kind="cover", event="cover_moved", found=in_vendor("seq")),
    Words(protocol="hik_access", says=_hik_access, posts=True, digest=True, address="HIK1", **_DOOR),
    Words(
        protocol="hik_anpr", says=_hik_anpr, posts=True, digest=True, address="HIK2", found=in_vendor("lane"), **_CAR
    ),
    Words(protocol="dahua", says=_dahua, posts=True, found=in_vendor("driving"), **_CAR),
    Words(
        protocol="vzenith_push",
        says=_vzenith_push,
        posts=True,
        options={"transport": "http"},
        found=micros,
        **_CAR,
    ),
)
"""Those that a device tells until they are confirmed, and that are known again."""
