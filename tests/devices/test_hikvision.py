"""Hikvision terminals, plate cameras and cameras, message by message."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from devices.effects import CloseBarrier, Command, OpenPassage, Reboot, SyncTime, TakeSnapshot
from devices.errors import DecodeError
from devices.events import CommandAnswered, CommandResult, FrameCaptured, evidence_key
from devices.model import Device, HttpCall
from devices.protocols import hik_access, hik_access_history, hik_anpr, hik_camera
from tests.devices.hostile import JPEG, NOW, ZONE
from tests.devices.posts import body, only_event, push, said

AT = datetime(2026, 3, 1, 23, 15, 9, tzinfo=UTC)
SMALL = b"\xff\xd8\xff\xe0a cut-out\xff\xd9"


def plain(event: Any) -> dict[str, Any]:
    found = msgspec.to_builtins(event)
    return {key: value for key, value in found.items() if key not in ("at", "vendor")}


ACCESS: list[tuple[str, dict[str, Any]]] = [
    ("face-pass", {"type": "access_granted", "method": "face", "person": "00042"}),
    ("face-fail", {"type": "access_denied", "method": "face", "reason": "UnknownCredential"}),
    ("card-pass", {"type": "access_granted", "method": "card", "person": "00042"}),
    ("card-expired", {"type": "access_denied", "method": "card", "reason": "CredentialExpired"}),
    ("pin-wrong", {"type": "access_denied", "method": "pin", "reason": "InvalidPIN"}),
    ("lock-opened", {"type": "vendor_notice", "name": "lock_opened", "code": "5/21"}),
    ("door-opened", {"type": "door_changed", "open": True}),
    ("door-closed", {"type": "door_changed", "open": False}),
    ("door-forced", {"type": "door_alarmed", "state": "DoorForcedOpen"}),
    ("door-held-open", {"type": "door_alarmed", "state": "DoorOpenTooLong"}),
    ("taken-apart", {"type": "tamper_detected"}),
    ("closed-again", {"type": "tamper_detected", "active": False}),
    ("duress", {"type": "duress_signalled", "person": "00042"}),
    ("opened-remotely", {"type": "access_granted", "method": "remote"}),
    ("power-on", {"type": "vendor_notice", "name": "power_on", "code": "2/1024"}),
    ("code-unknown", {"type": "vendor_notice", "name": "acs", "code": "5/9999"}),
    ("in-an-envelope", {"type": "access_granted", "method": "unknown", "person": "00044"}),
    ("named-acsevent", {"type": "access_granted", "method": "face", "person": "00045"}),
    ("bare", {"type": "access_granted", "method": "card", "person": "00046"}),
    ("as-multipart-text", {"type": "access_granted", "method": "card", "person": "00048"}),
    ("as-xml", {"type": "access_granted", "method": "face", "person": "00049"}),
    ("keep-alive", {"type": "heartbeat"}),
    ("heartbeat", {"type": "heartbeat"}),
]


@pytest.mark.parametrize(("name", "expected"), ACCESS)
def test_a_terminal_says(name: str, expected: dict[str, Any]) -> None:
    event = only_event(said(hik_access.PROTOCOL, "hik_access", name))
    assert plain(event) == expected
    assert event.at == AT


def test_nothing_personal_of_a_terminal_is_kept() -> None:
    for name in ("face-pass", "card-pass", "history"):
        kept = msgspec.json.encode([r.event for r in said(hik_access.PROTOCOL, "hik_access", name).readings]).decode()
        assert not any(word in kept for word in ("李四", "90210", "192.0.2.40", "http:"))


def test_a_picture_beside_an_event_is_its_evidence() -> None:
    decoded = said(hik_access.PROTOCOL, "hik_access", "face-pass", JPEG)
    assert decoded.images == (JPEG,)
    assert only_event(decoded).evidence == evidence_key(JPEG)  # type: ignore[attr-defined]


def test_a_live_event_and_the_same_one_of_the_history_are_one_record() -> None:
    (live,) = said(hik_access.PROTOCOL, "hik_access", "face-pass").readings
    old, lock = said(hik_access.PROTOCOL, "hik_access", "history").readings
    assert (live.record_id, live.event.at) == (old.record_id, old.event.at) == ("acs:501", AT)
    assert (live.stored, old.stored, lock.stored) == (False, True, True)


def test_a_terminal_without_a_clock_is_taken_at_the_time_of_receipt() -> None:
    (reading,) = said(hik_access.PROTOCOL, "hik_access", "without-clock").readings
    assert (reading.timed, reading.event.at, reading.record_id) == (False, NOW, "acs:517")


def test_what_a_terminal_replays_is_stored_and_an_empty_page_is_nothing() -> None:
    assert said(hik_access.PROTOCOL, "hik_access", "replayed").readings[0].stored
    assert said(hik_access.PROTOCOL, "hik_access", "history-empty").ignored


PLATES: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    (
        "plate",
        {"plate": "沪A12345", "confidence": 0.97, "plate_color": "blue"},
        {"direction": "forward", "vehicle_type": "vehicle", "list": "temporary", "lane": "1"},
    ),
    (
        "plate-other-namespace",
        {"plate": "沪A12345", "confidence": 0.91, "plate_color": "gradient_green"},
        {"direction": "reverse", "vehicle_type": "vehicle", "list": "otherList", "lane": "1"},
    ),
    ("plate-unread", {"confidence": 0.0}, {"direction": "forward", "vehicle_type": "vehicle", "lane": "1"}),
]


@pytest.mark.parametrize(("name", "expected", "vendor"), PLATES)
def test_a_plate_camera_says(name: str, expected: dict[str, Any], vendor: dict[str, Any]) -> None:
    event = only_event(said(hik_anpr.PROTOCOL, "hik_anpr", name))
    assert plain(event) == {"type": "plate_captured", **expected}
    assert event.vendor == vendor


def test_of_two_pictures_the_scene_is_the_evidence_whatever_their_order() -> None:
    posted = push(body("hik_anpr", "plate"))
    small, scene = (
        msgspec.structs.replace(posted.parts[0], name=f"{name}.jpg", media="image/jpeg", body=image)
        for name, image in (("licensePlatePicture", SMALL), ("detectionPicture", JPEG))
    )
    decoded = hik_anpr.receive(msgspec.structs.replace(posted, parts=(posted.parts[0], small, scene)), NOW, ZONE)
    assert decoded.images == (JPEG,)


def test_a_plate_is_known_by_its_uuid_and_one_of_the_past_is_stored() -> None:
    (live,) = said(hik_anpr.PROTOCOL, "hik_anpr", "plate").readings
    (old,) = said(hik_anpr.PROTOCOL, "hik_anpr", "plate-history").readings
    assert live.record_id == "anpr:6f1f7a52-0001-4000-8000-3f9190010001"
    assert (live.stored, old.stored) == (False, True)


CAMERA: list[tuple[str, dict[str, Any]]] = [
    ("line-crossed", {"label": "person", "zone": "1/linedetection/2"}),
    ("field-entered-two-regions", {"label": "vehicle", "zone": "1/fielddetection/1"}),
    ("region-left-recorder", {"label": "object", "zone": "5/regionexiting/0", "present": False}),
    ("motion", {"label": "motion", "zone": "1/vmd/0"}),
]


@pytest.mark.parametrize(("name", "expected"), CAMERA)
def test_a_camera_sees(name: str, expected: dict[str, Any]) -> None:
    event = only_event(said(hik_camera.PROTOCOL, "hik_camera", name, JPEG))
    evidence = evidence_key(JPEG)
    assert plain(event) == {"type": "object_detected", "track": expected["zone"], "evidence": evidence, **expected}


@pytest.mark.parametrize(
    ("name", "fault", "active"),
    [
        ("covered", "occluded", True),
        ("covered-no-more", "occluded", False),
        ("video-lost", "signal_lost", True),
        ("moved-json", "moved", True),
    ],
)
def test_a_camera_is_unwell(name: str, fault: str, active: bool) -> None:
    event = only_event(said(hik_camera.PROTOCOL, "hik_camera", name))
    assert plain(event) == {"type": "camera_health_changed", "fault": fault, "active": active}


def test_a_keep_alive_is_a_heartbeat_and_the_end_of_a_loss_once_in_five_minutes() -> None:
    def records(seconds: int) -> list[str]:
        at = datetime.fromtimestamp(1_772_406_900 + seconds, UTC)
        return [r.record_id for r in hik_camera.receive(push(body("hik_camera", "keep-alive")), at, ZONE).readings]

    assert records(0) == records(299)
    assert records(0) != records(300)
    beat, over = said(hik_camera.PROTOCOL, "hik_camera", "keep-alive").readings
    assert plain(beat.event) == {"type": "heartbeat"}
    assert plain(over.event) == {"type": "camera_health_changed", "fault": "signal_lost", "active": False}


def test_a_heartbeat_and_a_full_disk_are_no_alarm() -> None:
    assert plain(only_event(said(hik_camera.PROTOCOL, "hik_camera", "heartbeat"))) == {"type": "heartbeat"}
    notice = plain(only_event(said(hik_camera.PROTOCOL, "hik_camera", "disk-full")))
    assert notice == {"type": "vendor_notice", "name": "diskfull", "code": "1/active"}


# -- down ---------------------------------------------

XML = "application/xml"
TIME = b"<Time><timeMode>manual</timeMode><localTime>2026-03-02T07:15:30+08:00</localTime></Time>"
NEWER = "/ISAPI/Parking/channels/2/barrierGate"


def device(protocol: str, *, options: dict[str, str] | None = None, **params: float) -> Device:
    return Device(id="d", kind="barrier", protocol=protocol, address="D1", params=params, options=options or {})


@pytest.mark.parametrize(
    ("protocol", "command", "call"),
    [
        (
            hik_access,
            OpenPassage,
            HttpCall(
                method="PUT",
                path="/ISAPI/AccessControl/RemoteControl/door/1",
                payload=body("hik_access", "open-door"),
                media=XML,
            ),
        ),
        (
            hik_anpr,
            OpenPassage,
            HttpCall(
                method="PUT",
                path="/ISAPI/ITC/Entrance/barrierGateCtrl",
                payload=body("hik_anpr", "open-barrier"),
                media=XML,
            ),
        ),
        (hik_camera, TakeSnapshot, HttpCall(method="GET", path="/ISAPI/Streaming/channels/101/picture")),
        (hik_access, Reboot, HttpCall(method="PUT", path="/ISAPI/System/reboot")),
        (hik_camera, SyncTime, HttpCall(method="PUT", path="/ISAPI/System/time", payload=TIME, media=XML)),
    ],
)
def test_a_command_is_this_call(protocol: Any, command: type[Command], call: HttpCall) -> None:
    assert protocol.encode(command(not_after=NOW), "c-1", device(protocol.PROTOCOL.name), NOW) == call


def test_the_door_the_gate_and_the_way_to_it_are_the_device_s() -> None:
    opened = hik_access.encode(OpenPassage(not_after=NOW), "c", device("hik_access", door=2), NOW)
    assert opened.path.endswith("/door/2")
    newer = device("hik_anpr", options={"barrier": "parking"}, gate=2)
    closed = hik_anpr.encode(CloseBarrier(not_after=NOW), "c", newer, NOW)
    assert (closed.path, closed.payload) == (NEWER, b"<BarrierGate><ctrlMode>close</ctrlMode></BarrierGate>")


@pytest.mark.parametrize(
    ("status", "content", "result", "reason"),
    [
        (200, body("hik_access", "reply-ok"), CommandResult.ACCEPTED, ""),
        (200, b'{"statusCode":1,"statusString":"OK"}', CommandResult.ACCEPTED, ""),
        (200, b"", CommandResult.ACCEPTED, ""),
        (403, body("hik_access", "reply-invalid"), CommandResult.FAILED, "HTTP 403, statusCode 4 notSupport"),
        (500, b"", CommandResult.FAILED, "HTTP 500, statusCode None"),
    ],
)
def test_a_reply_says(status: int, content: bytes, result: CommandResult, reason: str) -> None:
    event = only_event(hik_access.answered("c-1", status, content, NOW))
    assert event == CommandAnswered(at=NOW, command_id="c-1", result=result, reason=reason)


def test_a_picture_in_the_reply_is_the_frame_asked_for() -> None:
    decoded = hik_camera.answered("c-1", 200, JPEG, NOW)
    done, frame = (reading.event for reading in decoded.readings)
    assert done == CommandAnswered(at=NOW, command_id="c-1", result=CommandResult.DONE)
    assert frame == FrameCaptured(at=NOW, evidence=evidence_key(JPEG))
    with pytest.raises(DecodeError):
        hik_camera.answered("c-1", 200, JPEG + b"\0" * 5_000_000, NOW)


def test_a_terminal_is_asked_for_what_it_kept_by_its_own_zone() -> None:
    history = hik_access.PROTOCOL.attachment.history if hik_access.PROTOCOL.attachment else None
    assert history is not None
    terminal = Device(id="t", kind="face_gate", protocol="hik_access", address="T")
    call = history.call(terminal, datetime(2026, 3, 1, 16, 0, tzinfo=UTC), datetime(2026, 3, 2, 1, 30, tzinfo=UTC), 60)
    assert (call.method, call.path) == ("POST", "/ISAPI/AccessControl/AcsEvent?format=json")
    condition = json.loads(call.payload)["AcsEventCond"]
    assert (condition["startTime"], condition["endTime"]) == ("2026-03-02T00:00:00+08:00", "2026-03-02T09:30:00+08:00")
    assert (condition["searchResultPosition"], condition["maxResults"]) == (60, 30)


@pytest.mark.parametrize(
    ("page", "following"),
    [
        ({"responseStatusStrg": "MORE", "numOfMatches": 30}, 90),
        ({"responseStatusStrg": "OK", "numOfMatches": 30}, None),
        ({"responseStatusStrg": "MORE", "numOfMatches": "0"}, None),
        ({"responseStatusStrg": "NO MATCH"}, None),
    ],
)
def test_the_history_ends_where_the_terminal_says_so(page: dict[str, Any], following: int | None) -> None:
    assert hik_access_history.following(json.dumps({"AcsEvent": page}).encode(), 60) == following


@pytest.mark.parametrize("body", [b"", b"<html>", b"{}", b'{"AcsEvent": 3}', b'{"AcsEvent": null}'])
def test_what_is_no_page_of_the_history_is_refused(body: bytes) -> None:
    with pytest.raises(DecodeError):
        hik_access_history.following(body, 0)
