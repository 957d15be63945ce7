"""`linli decode`: what would we understand of an archive of vendor messages?"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from api.commands.decode import decode
from devices.archive import decode_file, matches
from devices.protocols import PROTOCOLS
from tests.devices.hostile import FIXTURES, NOW, ZONE

ARCHIVE = Path(__file__).resolve().parents[2] / "../shared/vendor"
OURS = ("A-face-access/face-mqtt-oem/", "B-lpr-barrier/vzenith-zhenshi/")


def read(file: Any) -> dict[str, Any]:
    content = file if isinstance(file, bytes) else json.dumps(file).encode()
    return decode_file(content, PROTOCOLS, received_at=NOW, zone=ZONE)


def run(directory: Path) -> tuple[int, list[dict[str, Any]]]:
    app = typer.Typer()
    app.command()(decode)
    result = CliRunner().invoke(app, [str(directory)])
    return result.exit_code, [json.loads(line) for line in result.stdout.splitlines()]


@pytest.mark.parametrize(
    ("topic", "info"),
    [
        ("mqtt/face/{deviceId}/Rec", {"facesluiceId": "7700123"}),
        ("mqtt/face/{deviceId}/Snap (suffix not stated)", {"deviceId": "7700123"}),
        ("mqtt/face/{deviceId}/Alarm", {}),
    ],
)
def test_a_placeholder_in_a_topic_is_filled_with_the_payloads_own_id(topic: str, info: dict[str, str]) -> None:
    said = read({"topic": topic, "payload": {"operator": "Buzzed", "info": info}})
    assert said["protocol"] == "oem_face"
    assert said["events"][0]["name"] == "Buzzed"


def test_an_event_is_printed_with_its_type_and_time() -> None:
    said = read(
        {
            "topic": "device/{sn}/message/up/keep_alive",
            "direction": "up",
            "payload": {"sn": "a-1", "name": "keep_alive", "payload": {"body": {"timestamp": 1772406909}}},
        }
    )
    assert said == {
        "protocol": "vzenith",
        "events": [{"type": "heartbeat", "at": "2026-03-01T23:15:09Z"}],
    }


def test_what_the_platform_sent_is_ignored() -> None:
    file = {"topic": "mqtt/face/1", "direction": "down", "payload": {"operator": "Unlock"}}
    assert read(file) == {"ignored": "sent by the platform"}


@pytest.mark.parametrize(
    ("named", "topic", "payload", "protocol"),
    [
        ("OEM facial recognition terminal", "e/face/{id}/Alarm", {"info": [{"facesluiceId": "77001"}]}, "oem_face"),
        ("OEM facial recognition terminal", "e/face/{id}/rec/Kept", {"info": {"facesluiceId": "77001"}}, "oem_face"),
        ("臻识 Vzenith R3", "$/device/{sn}/message/up/keep_alive", {"sn": "a-1", "name": "keep_alive"}, "vzenith"),
        ("Vbar/酷豆", "east/access_device/v1/event/heartbeat", {"uuid": "VF1", "serialNo": "1"}, "vf"),
        ("伊兰度 face terminal", "face.{sn}.response", {"sn": "Y1", "cmd_id": "c-1", "code": 0}, "yld"),
    ],
)
def test_a_topic_a_site_chose_itself_is_understood_by_the_protocol_it_names(
    named: str, topic: str, payload: Any, protocol: str
) -> None:
    said = read({"protocol": named, "topic": topic, "payload": {"operator": "Buzzed", **payload}})
    assert (said["protocol"], len(said["events"])) == (protocol, 1)


def test_a_topic_of_nobody_is_ignored_and_named() -> None:
    file = {"topic": "nobody/said/that/ever", "payload": {"type": "new"}}
    assert read(file) == {"ignored": "no protocol of ours listens on topic nobody/said/that/ever"}


def test_a_broken_message_is_an_error_with_its_reason() -> None:
    said = read({"topic": "linli/v1/a/event", "payload": {"event": {"type": "ticked"}}})
    assert said == {"protocol": "native", "error": "internal event type"}
    assert read({"topic": "linli/v1/a/event", "payload": "no json"})["error"] == "payload is not JSON"


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b"[" * 100_000, b"\xff", b'{"topic": 1, "payload": {}}'])
def test_a_file_that_is_no_archived_message_is_an_error(content: bytes) -> None:
    assert read(content)["error"].startswith("not an archived message")


@given(st.binary() | st.builds(lambda t, p: json.dumps({"topic": t, "payload": p}).encode(), st.text(), st.text()))
def test_no_file_stops_the_reading(content: bytes) -> None:
    assert {"events", "ignored", "error"} & read(content).keys()


@pytest.mark.parametrize(
    ("topic_filter", "topic", "taken"),
    [
        ("a/+/c", "a/b/c", True),
        ("a/+/c", "a/b/d", False),
        ("a/+", "a/b/c", False),
        ("a/#", "a/b/c", True),
        ("a/#", "a", True),
        ("#", "a/b", True),
        ("a", "a", True),
        ("a", "b", False),
    ],
)
def test_a_filter_takes_what_mqtt_says(topic_filter: str, topic: str, taken: bool) -> None:
    assert matches(topic_filter, topic) is taken


def test_the_command_prints_a_line_per_file_and_then_a_summary() -> None:
    code, lines = run(FIXTURES)
    files = sorted(path.relative_to(FIXTURES).as_posix() for path in FIXTURES.rglob("*.json"))
    summary = lines.pop()
    assert code == 0
    assert [line["file"] for line in lines] == files
    assert summary["files"] == len(files) == summary["ignored"] + sum("events" in line for line in lines)
    assert summary["events"] == sum(len(line.get("events", ())) for line in lines)
    assert summary["errors"] == 0


def test_the_command_fails_when_a_file_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "deeper").mkdir()
    (tmp_path / "deeper" / "bad.json").write_text("{")
    (tmp_path / "notes.md").write_text("no message")
    code, lines = run(tmp_path)
    assert code == 1
    assert lines[0]["file"] == "deeper/bad.json"
    assert lines[1] == {"files": 1, "events": 0, "ignored": 0, "errors": 1}


@pytest.mark.shared
@pytest.mark.skipif(not ARCHIVE.is_dir(), reason="no archive of vendor messages beside the checkout")
def test_every_message_of_the_vendors_we_speak_is_an_event_or_ignored_for_a_reason() -> None:
    code, lines = run(ARCHIVE)
    assert code == 0
    ours = [line for line in lines[:-1] if line["file"].startswith(OURS)]
    assert ours
    for line in ours:
        assert "no protocol" not in line.get("ignored", ""), line
        assert line.get("events") or line["ignored"], line
