"""Dahua, CLAA, the older Vzenith push and the posts of OEM terminals, message by message."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from devices.effects import OpenPassage, Reboot, SyncTime, TakeSnapshot
from devices.errors import DecodeError
from devices.events import CommandAnswered, FrameCaptured
from devices.model import Device, HttpReply, Outgoing
from devices.protocols import claa, dahua, oem_face, vzenith_push
from tests.devices.hostile import JPEG, NOW, ZONE
from tests.devices.posts import body, only_event, push, said

AT = datetime(2026, 3, 1, 23, 15, 9, tzinfo=UTC)
CAMERA = "0badcafe-01020304"


def plain(event: Any) -> dict[str, Any]:
    return {key: value for key, value in msgspec.to_builtins(event).items() if key not in ("at", "vendor")}


def seen(label: str, zone: str, **more: Any) -> dict[str, Any]:
    return {"type": "object_detected", "label": label, "zone": zone, "track": zone, **more}


DAHUA: list[tuple[str, list[dict[str, Any]]]] = [
    ("motion-start", [seen("motion", "0/VideoMotion")]),
    ("motion-stop", [seen("motion", "0/VideoMotion", present=False)]),
    (
        "two-pieces-and-a-heartbeat",
        [
            {"type": "heartbeat"},
            seen("person", "1/CrossLineDetection"),
            {"type": "camera_health_changed", "fault": "occluded", "active": True},
        ],
    ),
    ("bare", [{"type": "camera_health_changed", "fault": "signal_lost", "active": False}]),
    ("plate", [{"type": "plate_captured", "plate": "沪A12345", "plate_color": "blue"}]),
    ("input", [{"type": "vendor_notice", "name": "AlarmLocal", "code": "0/Start"}]),
    ("trailing-text", [seen("person", "0/SmartMotionHuman")]),
]


@pytest.mark.parametrize(("name", "expected"), DAHUA)
def test_a_dahua_camera_says(name: str, expected: list[dict[str, Any]]) -> None:
    decoded = said(dahua.PROTOCOL, "dahua", name)
    assert [plain(reading.event) for reading in decoded.readings] == expected
    assert all(reading.event.at == AT for reading in decoded.readings if reading.timed)


def test_a_dahua_camera_s_picture_is_evidence() -> None:
    assert said(dahua.PROTOCOL, "dahua", "plate", JPEG).images == (JPEG,)


@pytest.mark.parametrize(
    ("kind", "command", "path"),
    [
        ("barrier", OpenPassage, "/cgi-bin/trafficSnap.cgi?action=openStrobe&channel=2&info.openType=Normal"),
        ("face_gate", OpenPassage, "/cgi-bin/accessControl.cgi?action=openDoor&channel=2&UserID=101&Type=Remote"),
        ("camera", TakeSnapshot, "/cgi-bin/snapshot.cgi?channel=2"),
        ("camera", Reboot, "/cgi-bin/magicBox.cgi?action=reboot"),
        ("camera", SyncTime, "/cgi-bin/global.cgi?action=setCurrentTime&time=2026-03-02%2007%3A15%3A30"),
    ],
)
def test_a_command_to_a_dahua_device_is_this_call(kind: str, command: Any, path: str) -> None:
    device = Device(id="d", kind=kind, protocol="dahua", address="D1", params={"channel": 2})
    call = dahua.encode(command(not_after=NOW), "c-1", device, NOW)
    assert (call.method, call.path, call.payload) == ("GET", path, b"")


def test_a_dahua_device_answers() -> None:
    results = [
        only_event(dahua.answered("c", status, text, NOW)) for status, text in ((200, b"OK\r\n"), (400, b"Error"))
    ]
    assert [(r.result, r.reason) for r in results if isinstance(r, CommandAnswered)] == [
        ("accepted", ""),
        ("failed", "HTTP 400"),
    ]
    assert isinstance(dahua.answered("c", 200, JPEG, NOW).readings[1].event, FrameCaptured)


CLAA: list[tuple[str, str, list[dict[str, Any]]]] = [
    ("cover-open", "004a770000000001", [{"type": "cover_moved", "open": True}]),
    ("cover-closed", "004a770000000001", [{"type": "cover_moved", "open": False}]),
    ("false-alarm", "004a770000000001", [{"type": "cover_moved", "open": False}]),
    ("water", "1:004a770000000002", [{"type": "hazard_detected", "hazard": "water_leak"}]),
    (
        "page",
        "004a770000000001",
        [{"type": "cover_moved", "open": True}, {"type": "vendor_notice", "name": "claa_lamp", "code": "7/on"}],
    ),
]


@pytest.mark.parametrize(("name", "address", "expected"), CLAA)
def test_the_claa_platform_says(name: str, address: str, expected: list[dict[str, Any]]) -> None:
    decoded = said(claa.PROTOCOL, "claa", name, address=address)
    assert [plain(reading.event) for reading in decoded.readings] == expected
    with pytest.raises(DecodeError):
        said(claa.PROTOCOL, "claa", name, address="another")


def test_an_alarm_and_its_end_are_two_records_each_known_again() -> None:
    begun, over = (
        said(claa.PROTOCOL, "claa", name, address="004a770000000001").readings[0]
        for name in ("cover-open", "cover-closed")
    )
    assert (begun.record_id, over.record_id) == ("claa:A1001:on", "claa:A1001:over")
    assert claa.receive(push(b"[]"), NOW, ZONE).ignored


VZENITH: list[tuple[str, dict[str, Any], bool]] = [
    ("plate", {"type": "plate_captured", "plate": "沪A12345", "confidence": 0.98, "plate_color": "blue"}, True),
    ("plate-without-time", {"type": "plate_captured", "plate": "沪A12345"}, False),
    ("plate-none", {"type": "plate_captured"}, False),
    ("heartbeat", {"type": "heartbeat"}, False),
    ("loop", {"type": "loop_changed", "loop": 1, "occupied": True}, False),
]


@pytest.mark.parametrize(("name", "expected", "timed"), VZENITH)
def test_an_older_vzenith_camera_says_the_same_over_both_ways(name: str, expected: dict[str, Any], timed: bool) -> None:
    posted = said(vzenith_push.PROTOCOL, "vzenith_push", name, address=CAMERA)
    published = vzenith_push.decode(vzenith_push.TOPIC, body("vzenith_push", name), NOW, ZONE)
    assert posted.readings == published.readings
    assert (plain(posted.readings[0].event), posted.readings[0].timed) == (expected, timed)
    assert posted.answer is not None
    assert json.loads(posted.answer.payload)["Response_AlarmInfoPlate"]["info"] == "no"
    with pytest.raises(DecodeError):
        said(vzenith_push.PROTOCOL, "vzenith_push", name, address="another")


def test_the_next_record_of_the_past_is_asked_for() -> None:
    answer = said(vzenith_push.PROTOCOL, "vzenith_push", "plate-without-time", address=CAMERA).answer
    assert answer is not None
    more = json.loads(answer.payload)["Response_AlarmInfoPlate"]["ContinuePushOffline"]
    assert more == {"plateid": 89, "continue": 1}


def test_an_opening_is_the_answer_over_http_and_a_message_over_mqtt() -> None:
    lane = Device(id="d", kind="barrier", protocol="vzenith_push", address=CAMERA)
    wanted = json.loads(body("vzenith_push", "response-open"))
    over_mqtt = vzenith_push.encode(OpenPassage(not_after=NOW), "c", lane, NOW)
    assert isinstance(over_mqtt, Outgoing)
    assert (over_mqtt.topic, json.loads(over_mqtt.payload)) == (f"/device/{CAMERA}/command", wanted)
    http = msgspec.structs.replace(lane, options={"transport": "http"})
    over_http = vzenith_push.encode(OpenPassage(not_after=NOW), "c", http, NOW)
    assert isinstance(over_http, HttpReply)
    assert json.loads(over_http.payload) == wanted


@pytest.mark.parametrize(
    ("name", "address", "path", "type_"),
    [("http-verify", None, "Verify", "access_granted"), ("http-plate", None, "PlateSnapPush", "plate_captured")],
)
def test_an_oem_terminal_posts_what_it_publishes(name: str, address: str | None, path: str, type_: str) -> None:
    content = body("oem_face", name)
    own = address or str(json.loads(content)["info"]["DeviceID"])
    decoded = oem_face.receive(push(content, address=own, path=f"Subscribe/{path}"), NOW, ZONE)
    assert plain(only_event(decoded))["type"] == type_
    assert decoded.replies == ()
    assert decoded.answer == HttpReply(payload=b'{"code":200,"desc":"OK"}')
    with pytest.raises(DecodeError):
        oem_face.receive(push(content, address="another"), NOW, ZONE)
