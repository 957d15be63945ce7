"""The archive of vendor messages, where it lies beside the checkout: all HTTP ones are understood, and what a platform
sent to such devices is what we send.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from devices.archive import decode_file
from devices.effects import OpenPassage
from devices.model import Device, HttpCall, Outgoing
from devices.protocols import PROTOCOLS, hik_access, hik_access_history, hik_anpr, vzenith_push
from devices.protocols.markup import parse_xml
from tests.devices.hostile import NOW, ZONE

ARCHIVE = Path(__file__).resolve().parents[2] / "../shared/vendor"
FILES = {
    "A-face-access/hikvision-isapi-access": "hik_access",
    "B-lpr-barrier/hikvision-anpr": "hik_anpr",
    "B-lpr-barrier/vzenith-zhenshi-legacy-push": "vzenith_push",
    "C-cameras/hikvision-eventnotificationalert": "hik_camera",
    "C-cameras/dahua-eventmanager": "dahua",
}
pytestmark = [
    pytest.mark.shared,
    pytest.mark.skipif(not ARCHIVE.is_dir(), reason="no archive of vendor messages beside the checkout"),
]


def archived(path: str) -> Any:
    return json.loads((ARCHIVE / path).read_text(encoding="utf-8"))["payload"]


@pytest.mark.parametrize(("folder", "protocol"), FILES.items())
def test_every_message_of_a_device_that_posts_is_an_event(folder: str, protocol: str) -> None:
    files = sorted((ARCHIVE / folder).glob("*.json"))
    assert files
    for path in files:
        told = decode_file(path.read_bytes(), PROTOCOLS, received_at=NOW, zone=ZONE)
        if json.loads(path.read_text(encoding="utf-8"))["direction"] == "up":
            assert (told["protocol"], bool(told["events"])) == (protocol, True), path.name


@pytest.mark.parametrize("name", ["02-claa-dc20-manhole-alarm", "03-claa-water-sense-alarm"])
def test_every_row_of_the_claa_platform_is_an_event(name: str) -> None:
    content = (ARCHIVE / f"E-sensors/nbiot-manhole/{name}.json").read_bytes()
    told = decode_file(content, PROTOCOLS, received_at=NOW, zone=ZONE)
    assert (told["protocol"], len(told["events"])) == ("claa", 1)


def device(protocol: str) -> Device:
    return Device(id="d", kind="barrier", protocol=protocol, address="D1")


@pytest.mark.parametrize(
    ("path", "encode", "protocol", "called"),
    [
        (
            "A-face-access/hikvision-isapi-access/08-remote-open-door.json",
            hik_access.encode,
            "hik_access",
            "/ISAPI/AccessControl/RemoteControl/door/1",
        ),
        (
            "B-lpr-barrier/hikvision-anpr/03-barrier-open-command.json",
            hik_anpr.encode,
            "hik_anpr",
            "/ISAPI/ITC/Entrance/barrierGateCtrl",
        ),
    ],
)
def test_what_opens_over_isapi_is_what_we_send(path: str, encode: Any, protocol: str, called: str) -> None:
    call = encode(OpenPassage(not_after=NOW), "c-1", device(protocol), NOW)
    assert isinstance(call, HttpCall)
    assert (call.method, call.path) == ("PUT", called)
    assert parse_xml(call.payload) == parse_xml(archived(path).encode())


def test_what_asks_for_the_history_has_every_field_of_the_archive() -> None:
    theirs = archived("A-face-access/hikvision-isapi-access/07-AcsEventCond-request.json")["AcsEventCond"]
    ours = json.loads(hik_access_history.call(device("hik_access"), NOW, NOW, 0).payload)["AcsEventCond"]
    assert theirs.keys() <= ours.keys()
    assert all(type(ours[key]) is type(value) for key, value in theirs.items())


def test_what_opens_on_the_older_push_is_what_we_answer_but_for_its_free_text() -> None:
    message = vzenith_push.encode(OpenPassage(not_after=NOW), "c-1", device("vzenith_push"), NOW)
    assert isinstance(message, Outgoing)
    ours = json.loads(message.payload)["Response_AlarmInfoPlate"]
    theirs = archived("B-lpr-barrier/vzenith-zhenshi-legacy-push/02-http-response-open.json")["Response_AlarmInfoPlate"]
    assert {**ours, "content": ""} == {**theirs, "content": ""}
