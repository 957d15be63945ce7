"""What only speaks: a leak sensor on The Things Stack, a Frigate and an ONVIF camera, an NB-IoT cover."""

from __future__ import annotations

from devices.model import Outgoing
from simulators.estate import Happening, What
from simulators.spoken import Scene, Words, say

# -- The Things Stack, Milesight leak sensor ---------------------------------------------


def _ttn(scene: Scene, decoded: dict[str, object]) -> Outgoing:
    application = scene.device.options.get("application", "estate")
    uplink = {"f_port": 85, "decoded_payload": decoded, "received_at": scene.now.isoformat()}
    ids = [f"as:up:{scene.number:026d}"]
    topic = f"v3/{application}/devices/{scene.device.address}/up"
    return say(topic, {"correlation_ids": ids, "received_at": scene.now.isoformat(), "uplink_message": uplink})


def _leak_tells(scene: Scene, happening: Happening) -> list[Outgoing]:
    if happening.what is not What.WATER_READ:
        return []
    return [_ttn(scene, {"leakage_status": "leak" if happening.number else "normal", "temperature": 18.5})]


TTN_LEAK = Words(alive=lambda scene: [_ttn(scene, {"battery": 92})], tells=_leak_tells)

# -- frigate ---------------------------------------------


def _frigate_tells(scene: Scene, happening: Happening) -> list[Outgoing]:
    """Somebody walks into the yard, or leaves it; or the camera is covered."""
    if happening.what in (What.CAMERA_COVERED, What.CAMERA_CLEARED):
        word = "offline" if happening.what is What.CAMERA_COVERED else "online"
        return [say(f"frigate/{scene.device.address}/status/detect", word)]
    if happening.what not in (What.OBJECT_SEEN, What.OBJECT_GONE):
        return []
    gone = happening.what is What.OBJECT_GONE
    seen = {"id": f"{happening.number}-sim", "camera": scene.device.address, "label": "person", "score": 0.9}
    after = {**seen, "frame_time": scene.now.timestamp(), "current_zones": ["yard"], "entered_zones": ["yard"]}
    return [say("frigate/events", {"type": "end" if gone else "update", "before": seen, "after": after})]


FRIGATE = Words(alive=lambda scene: [say(f"frigate/{scene.device.address}/motion", "OFF")], tells=_frigate_tells)

# -- onvif ---------------------------------------------


def _onvif(scene: Scene, topic: str, source: dict[str, str], data: dict[str, str]) -> Outgoing:
    body = {"UtcTime": scene.now.isoformat(), "Source": source, "Data": data}
    return say(f"{scene.device.address}/onvif-ej/{topic}", body)


def _onvif_tells(scene: Scene, happening: Happening) -> list[Outgoing]:
    match happening.what:
        case What.CAMERA_COVERED | What.CAMERA_CLEARED:
            state = "true" if happening.what is What.CAMERA_COVERED else "false"
            return [_onvif(scene, "VideoSource/SignalLoss/&1", {"Source": "1"}, {"State": state})]
        case What.OBJECT_SEEN | What.OBJECT_GONE:
            inside = "true" if happening.what is What.OBJECT_SEEN else "false"
            data = {"ObjectId": str(happening.number), "IsInside": inside}
            return [_onvif(scene, "RuleEngine/FieldDetector/ObjectsInside/&1/Yard", {"Rule": "Yard"}, data)]
    return []


ONVIF = Words(
    alive=lambda scene: [_onvif(scene, "VideoSource/MotionAlarm/&1", {"Source": "1"}, {"State": "false"})],
    tells=_onvif_tells,
)

# -- NB-IoT cover ---------------------------------------------


def _cover(scene: Scene, tilt: float, status: str) -> Outgoing:
    body = {"device_id": scene.device.address, "tilt": tilt, "battery": 80, "status": status}
    topic = f"/city/shanghai/well/status/{scene.device.address}"
    return say(topic, {**body, "ts": int(scene.now.timestamp())})


def _cover_tells(scene: Scene, happening: Happening) -> list[Outgoing]:
    match happening.what:
        case What.COVER_OPENED:
            return [_cover(scene, 80.0, "abnormal")]
        case What.COVER_SHUT:
            return [_cover(scene, 1.0, "normal")]
    return []


NBIOT_COVER = Words(alive=lambda scene: [_cover(scene, 1.0, "normal")], tells=_cover_tells)
