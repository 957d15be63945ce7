"""Lamps in other people's dialects: a NAS controller behind ChirpStack, Zigbee2MQTT, Tasmota, Shelly."""

from __future__ import annotations

import base64
import binascii
from datetime import datetime
from uuid import UUID

from devices.model import Device, Outgoing
from simulators.estate import Happening, What
from simulators.spoken import Order, Scene, Words, read, say

FULL_W = 60.0
NAS_DIM, NAS_EVERY, NAS_ALERT, NAS_FAILED = 0x01, 0xFE, 0x83, 0x02


def _stamp(now: datetime) -> str:
    """RFC 3339 with nanoseconds, as network servers write it."""
    return now.strftime("%Y-%m-%dT%H:%M:%S.%f") + "000+00:00"


# -- chirpstack, NAS luminaire controller ---------------------------------------------


def _event(scene: Scene, leaf: str, **body: object) -> Outgoing:
    dedup = str(UUID(int=scene.number))
    application = scene.device.options.get("application", "estate")
    topic = f"application/{application}/device/{scene.device.address}/event/{leaf}"
    return say(topic, {"deduplicationId": dedup, "time": _stamp(scene.now), **body})


def _frame(scene: Scene, port: int, data: bytes) -> Outgoing:
    return _event(scene, "up", fPort=port, data=base64.b64encode(data).decode())


def _nas_tells(scene: Scene, happening: Happening) -> list[Outgoing]:
    match happening.what:
        case What.LAMP_READ:
            return [_frame(scene, 60, bytes((NAS_DIM, NAS_EVERY, round(scene.level_pct))))]
        case What.LAMP_FAILED | What.LAMP_MENDED:
            state = NAS_FAILED if happening.what is What.LAMP_FAILED else 0
            return [_frame(scene, 61, bytes((NAS_ALERT, 0x20, 0x02, state)))]
    return []


def _nas_understands(payload: bytes) -> Order | None:
    order = read(payload)
    try:
        data = binascii.a2b_base64(str(order.get("data", "")), strict_mode=True)
    except ValueError:
        return None
    return Order(level_pct=data[2], id=str(order.get("id", ""))) if len(data) == 3 and data[0] == NAS_DIM else None


def _nas_answers(scene: Scene, order: Order) -> list[Outgoing]:
    """The radio's acknowledgement, then the controller's echo."""
    echo = bytes((NAS_DIM, NAS_EVERY, round(order.level_pct)))
    return [_event(scene, "ack", queueItemId=order.id, acknowledged=True), _frame(scene, 60, echo)]


CHIRPSTACK_NAS = Words(
    alive=lambda scene: [_event(scene, "status", margin=10, externalPowerSource=True)],
    tells=_nas_tells,
    hears=lambda device: (
        f"application/{device.options.get('application', 'estate')}/device/{device.address}/command/down",
    ),
    understands=_nas_understands,
    answers=_nas_answers,
)

# -- zigbee2mqtt ---------------------------------------------


def _z2m_state(scene: Scene) -> list[Outgoing]:
    lit = scene.level_pct > 0
    body = {"state": "ON" if lit else "OFF", "brightness": round(scene.level_pct * 2.54), "linkquality": 90}
    return [say(f"zigbee2mqtt/{scene.device.address}", {**body, "last_seen": scene.now.isoformat()})]


def _z2m_understands(payload: bytes) -> Order | None:
    order = read(payload)
    if order.get("state") not in ("ON", "OFF"):
        return None
    return Order(level_pct=float(order.get("brightness", 254)) / 2.54 if order["state"] == "ON" else 0.0)


ZIGBEE2MQTT = Words(
    alive=lambda scene: [say(f"zigbee2mqtt/{scene.device.address}/availability", {"state": "online"})],
    tells=lambda scene, happening: _z2m_state(scene) if happening.what is What.LAMP_READ else [],
    hears=lambda device: (f"zigbee2mqtt/{device.address}/set",),
    understands=_z2m_understands,
    answers=lambda scene, order: _z2m_state(scene),  # noqa: ARG005 - the state is all it says
)

# -- tasmota ---------------------------------------------


def _tasmota_state(scene: Scene, topic: str) -> list[Outgoing]:
    lit = "ON" if scene.level_pct > 0 else "OFF"
    body = {"Time": scene.now.strftime("%Y-%m-%dT%H:%M:%S+00:00"), "Uptime": "0T00:10:00", "POWER": lit}
    return [say(f"{topic}/{scene.device.address}/STATE", {**body, "Dimmer": round(scene.level_pct)})]


def _tasmota_result(scene: Scene, order: Order) -> list[Outgoing]:
    lit = "ON" if order.level_pct > 0 else "OFF"
    return [say(f"stat/{scene.device.address}/RESULT", {"POWER": lit, "Dimmer": round(order.level_pct)})]


TASMOTA = Words(
    alive=lambda scene: [say(f"tele/{scene.device.address}/LWT", "Online")],
    tells=lambda scene, happening: _tasmota_state(scene, "tele") if happening.what is What.LAMP_READ else [],
    hears=lambda device: (f"cmnd/{device.address}/Dimmer",),
    understands=lambda payload: Order(level_pct=float(payload)) if payload.isdigit() else None,
    answers=_tasmota_result,
)

# -- shelly ---------------------------------------------


def _shelly_notifies(scene: Scene) -> Outgoing:
    light = {"id": 0, "output": scene.level_pct > 0, "brightness": scene.level_pct}
    power = {"apower": FULL_W * scene.level_pct / 100}
    params = {"ts": scene.now.timestamp(), "light:0": {**light, **power}}
    return say(f"{scene.device.address}/events/rpc", {"src": "shelly", "method": "NotifyStatus", "params": params})


def _shelly_understands(payload: bytes) -> Order | None:
    order = read(payload)
    params = order.get("params")
    if order.get("method") != "Light.Set" or not isinstance(params, dict):
        return None
    level = float(params.get("brightness", 100)) if params.get("on") else 0.0
    return Order(level_pct=level, id=str(order.get("id", "")))


def _shelly_answers(scene: Scene, order: Order) -> list[Outgoing]:
    answer = {"id": order.id, "src": "shelly", "dst": f"{scene.device.address}/linli", "result": None}
    return [say(f"{scene.device.address}/linli/rpc", answer), _shelly_notifies(scene)]


def _shelly_hears(device: Device) -> tuple[str, ...]:
    return (f"{device.address}/rpc",)


SHELLY = Words(
    alive=lambda scene: [say(f"{scene.device.address}/online", "true")],
    tells=lambda scene, happening: [_shelly_notifies(scene)] if happening.what is What.LAMP_READ else [],
    hears=_shelly_hears,
    understands=_shelly_understands,
    answers=_shelly_answers,
)
