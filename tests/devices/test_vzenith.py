"""Vzenith lane cameras: every kind of message, with the oddities seen in the field."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from devices.archive import matches
from devices.effects import (
    CloseBarrier,
    Command,
    OpenPassage,
    PlateEntry,
    Reboot,
    ReportLists,
    SetLamp,
    Speak,
    SyncPlates,
    SyncTime,
    TakeSnapshot,
)
from devices.errors import DecodeError, UnsupportedCommandError
from devices.events import (
    BarrierMoved,
    CommandAnswered,
    CommandResult,
    Event,
    FrameCaptured,
    Heartbeat,
    ListAnswered,
    ListReported,
    LoopChanged,
    PlateCaptured,
    VendorNotice,
    evidence_key,
)
from devices.model import Decoded, Device, Outgoing
from devices.protocols.vzenith import PROTOCOL
from tests.devices.hostile import JPEG, NOW, ROTTEN, ZONE, bent, fixture, fixtures, read_safely

AT = datetime(2026, 3, 1, 23, 15, 9, tzinfo=UTC)
SEEN = AT + timedelta(microseconds=250_000)
KEY = evidence_key(JPEG)
SN = "0badcafe-01020304"
ID = "Ab3dE5fG7hJ9kL1m"


def decode(topic: str, payload: Any) -> Decoded:
    return PROTOCOL.decode(topic, json.dumps(payload).encode(), NOW, ZONE)


def say(name: str, **changes: Any) -> Decoded:
    """A fixture with some of its envelope changed."""
    topic, payload = fixture("vzenith", name)
    return decode(topic, {**payload, **changes})


def plate(**changes: Any) -> Decoded:
    """The plate fixture with some of its result changed."""
    topic, payload = fixture("vzenith", "plate")
    payload["payload"]["AlarmInfoPlate"]["result"]["PlateResult"].update(changes)
    return decode(topic, payload)


def captured(text: str = "沪AD00001", **more: Any) -> PlateCaptured:
    shown: dict[str, Any] = {"confidence": 0.96, "evidence": KEY, "plate_color": "green", "trigger": "auto", **more}
    return PlateCaptured(at=SEEN, plate=text, **shown)


@pytest.mark.parametrize(
    ("name", "event"),
    [
        ("plate", captured()),
        ("plate-in-body", captured()),
        ("plate-old-topic", captured()),
        ("plate-plain-text", captured("沪A12345", plate_color="blue")),
        ("plate-stored-offline", captured()),
        ("plate-forged", captured(forged=True)),
        ("plate-none", captured("", confidence=0.0, evidence="", plate_color="")),
        ("plate-encrypted", captured("")),
        ("plate-turned-back", VendorNotice(at=SEEN, name="vehicle_turned_back", code="66", evidence=KEY)),
        ("keep-alive", Heartbeat(at=AT)),
        ("keep-alive-milliseconds", Heartbeat(at=AT + timedelta(milliseconds=500))),
        ("loop-occupied", LoopChanged(at=AT, occupied=True, loop=1)),
        ("loop-free", LoopChanged(at=AT, occupied=False, loop=1)),
        ("loop-pulse", VendorNotice(at=AT, name="gpio_in", code="2")),
        ("barrier-open", BarrierMoved(at=AT, open=True)),
        ("barrier-not-connected", VendorNotice(at=AT, name="barr_gate_status", code="0/0")),
        ("barrier-moving", VendorNotice(at=AT, name="barr_gate_status", code="1/2")),
        ("snapshot", FrameCaptured(at=AT, evidence=KEY)),
        ("snapshot-empty", VendorNotice(at=AT, name="snapshot", code="404")),
        ("offline-record", VendorNotice(at=AT, name="offline_record", code="4")),
        ("alive-own-topic", Heartbeat(at=AT)),
        ("reply-own-topic", CommandAnswered(at=NOW, command_id=ID, result=CommandResult.ACCEPTED)),
        ("voice-reply", CommandAnswered(at=NOW, command_id=ID, result=CommandResult.DONE)),
        ("list-changed", ListAnswered(at=NOW, command_id=ID, rest=True)),
        ("io-lock-reply", VendorNotice(at=NOW, name="get_io_lock_status", code="0:0")),
        ("serial-data", VendorNotice(at=AT, name="serial_data")),
        ("gpio-out-reply", CommandAnswered(at=NOW, command_id=ID, result=CommandResult.ACCEPTED)),
        ("gpio-out-reply-failed", CommandAnswered(at=NOW, command_id=ID, result=CommandResult.FAILED, reason="400")),
    ],
)
def test_each_kind_of_message_says_one_thing(name: str, event: Event) -> None:
    decoded = say(name)
    (reading,) = decoded.readings
    assert replace(reading.event, vendor={}) == event
    assert reading.timed == (event.at != NOW)
    assert reading.stored == (name == "plate-stored-offline")
    assert reading.record_id == ("plate:7001" if name.startswith("plate") else "")
    assert decoded.address == SN
    assert decoded.images == ((JPEG,) if getattr(event, "evidence", "") else ())


def test_a_list_that_was_asked_for_is_told_and_answers_the_question() -> None:
    told, answer = (reading.event for reading in say("white-list-reply").readings)
    assert told == ListReported(at=NOW, what="plates", count=0)
    assert answer == CommandAnswered(at=NOW, command_id=ID, result=CommandResult.DONE)


@pytest.mark.parametrize("text", ["沪AD00001", "TEST0012", "TEST001", "粤Z1234港", "WJ京00001"])
def test_a_plate_is_read_from_base64_and_as_it_is(text: str) -> None:
    for sent in (text, base64.b64encode(text.encode()).decode()):
        assert plate(license=sent).readings[0].event.plate == text  # type: ignore[attr-defined]


@pytest.mark.parametrize("text", ["", None, "_无_", "x" * 17])
def test_what_is_no_plate_is_empty(text: Any) -> None:
    assert plate(license=text).readings[0].event.plate == ""  # type: ignore[attr-defined]


def test_without_its_own_time_a_plate_has_that_of_the_message() -> None:
    assert plate(timeStamp={}).readings[0].event.at == AT
    assert plate(timeStamp={"Timeval": {"sec": 0}}).readings[0].event.at == AT


def test_the_direction_of_the_camera_is_not_taken_for_that_of_the_lane() -> None:
    assert {plate(direction=n).readings[0].event.direction for n in range(5)} == {""}  # type: ignore[attr-defined]


def test_a_timestamp_in_milliseconds_is_one_in_seconds() -> None:
    assert say("barrier-open", timestamp=1772406909000).readings[0].event.at == AT


def test_a_camera_speaks_for_itself_only() -> None:
    with pytest.raises(DecodeError, match="device id in topic and payload differ"):
        say("plate", sn="ffffffff-00000001")


@pytest.mark.parametrize("topic", ["", "a/b", f"device/{SN}/message/down/gpio_out", f"device/{SN}/message/up"])
def test_a_topic_of_somebody_else_is_refused(topic: str) -> None:
    with pytest.raises(DecodeError, match="not a topic of this protocol"):
        decode(topic, {})


def test_opening_is_a_pulse_on_the_opening_relay() -> None:
    lane = Device(id="l", kind="barrier", protocol="vzenith", address=SN)
    message = PROTOCOL.encode(OpenPassage(not_after=NOW), "c-1", lane, AT)
    topic, payload = fixture("vzenith", "gpio-out")
    assert (message.topic, json.loads(message.payload), message.qos) == (topic, payload, 0)


def test_closing_is_a_pulse_on_the_relay_the_site_wired_to_it() -> None:
    params = {"close_io": 3.0, "close_pulse_ms": 800.0, "legacy_topics": 1.0}
    lane = Device(id="l", kind="barrier", protocol="vzenith", address=SN, params=params)
    message = PROTOCOL.encode(CloseBarrier(not_after=NOW), "c-1", lane, AT)
    assert message.topic == f"{SN}/device/message/down/gpio_out"
    assert json.loads(message.payload)["payload"]["body"] == {"io": 3, "value": 2, "delay": 800}
    with pytest.raises(UnsupportedCommandError):
        PROTOCOL.encode(SetLamp(not_after=NOW, level_pct=1), "c-1", lane, AT)


def ordered(command: Command, **options: str) -> tuple[str, Any]:
    lane = Device(id="l", kind="barrier", protocol="vzenith", address=SN, options=options)
    message = PROTOCOL.encode(command, "c-1", lane, AT)
    assert isinstance(message, Outgoing)
    return message.topic, json.loads(message.payload).get("payload")


ROW = {
    "context": "",
    "enable": 1,
    "enable_time": "2026-03-02 07:15:09",
    "need_alarm": 0,
    "overdue_time": "2099-12-31 23:59:59",
    "plate": "沪A12345",
    "seg_time_end": "",
    "seg_time_start": "",
}


@pytest.mark.parametrize(
    ("command", "order", "body"),
    [
        (TakeSnapshot(not_after=NOW), "snapshot", {}),
        (Reboot(not_after=NOW), "reboot_dev", {}),
        (ReportLists(not_after=NOW), "white_list_operator", {"operator_type": "select", "plate": ""}),
        (
            SyncPlates(not_after=NOW, remove=("沪A12345",)),
            "white_list_operator",
            {"operator_type": "delete", "plate": "沪A12345"},
        ),
        (
            SyncPlates(not_after=NOW, put=(PlateEntry(plate="沪A12345", valid_from=AT),)),
            "white_list_operator",
            {"operator_type": "update_or_add", "dldb_rec": [ROW]},
        ),
        (
            SyncTime(not_after=NOW),
            "set_time",
            {"year": 2026, "month": 3, "day": 2, "hour": 7, "min": 15, "sec": 9},
        ),
        (
            Speak(not_after=NOW, text="请通行"),
            "tts_voice",
            {"voice_data": "6K+36YCa6KGM", "voice_male": 0, "voice_volume": 80},
        ),
    ],
)
def test_a_command_is_worded_as_the_vendor_words_it(command: Command, order: str, body: Any) -> None:
    kind = "play_voice" if order == "tts_voice" else order
    assert ordered(command) == (f"device/{SN}/message/down/{order}", {"type": kind, "body": body})


def test_a_direct_opening_has_no_payload_and_is_not_a_pulse_as_well() -> None:
    lane = Device(id="l", kind="barrier", protocol="vzenith", address=SN, params={"direct_open": 1})
    message = PROTOCOL.encode(OpenPassage(not_after=NOW), "c-1", lane, AT)
    assert isinstance(message, Outgoing)
    assert message.topic == f"device/{SN}/message/down/gate_direct_open"
    assert json.loads(message.payload) == {
        "id": "c-1",
        "sn": SN,
        "name": "gate_direct_open",
        "version": "1.0",
        "timestamp": int(AT.timestamp()),
    }


@pytest.mark.parametrize(
    "command",
    [
        SyncPlates(not_after=NOW, remove=("沪A12345", "沪A12346")),
        SyncPlates(not_after=NOW, put=(PlateEntry(plate="沪A12345"),), remove=("沪A12346",)),
        SyncPlates(not_after=NOW),
    ],
)
def test_what_does_not_fit_one_message_is_refused_before_it_is_sent(command: Command) -> None:
    with pytest.raises(UnsupportedCommandError):
        ordered(command)


def test_a_site_with_topics_of_its_own_is_heard_and_told_there() -> None:
    options = {"up": "park/west/up", "down": "park/west/down"}
    lane = Device(id="l", kind="barrier", protocol="vzenith", address=SN, options=options)
    assert PROTOCOL.topics_of is not None
    assert PROTOCOL.orders_of is not None
    for name in ("alive-own-topic", "reply-own-topic"):
        assert any(matches(f, fixture("vzenith", name)[0]) for f in PROTOCOL.topics_of(lane))
    topic, _ = ordered(OpenPassage(not_after=NOW), **options)
    assert any(matches(f, topic) for f in PROTOCOL.orders_of(lane))


@pytest.mark.parametrize(("legacy", "layout"), [(0, f"device/{SN}/message"), (1, f"{SN}/device/message")])
def test_a_prefix_stands_before_either_layout(legacy: int, layout: str) -> None:
    lane = Device(
        id="l",
        kind="barrier",
        protocol="vzenith",
        address=SN,
        params={"legacy_topics": legacy},
        options={"prefix": "/park/"},
    )
    assert PROTOCOL.topics_of is not None
    assert PROTOCOL.topics_of(lane) == (f"park/{layout}/up/+", f"park/{layout}/down/+/reply")
    message = PROTOCOL.encode(OpenPassage(not_after=NOW), ID, lane, NOW)
    assert isinstance(message, Outgoing)
    assert message.topic == f"park/{layout}/down/gpio_out"
    assert (
        say("keep-alive").address == decode(f"park/{layout}/up/keep_alive", fixture("vzenith", "keep-alive")[1]).address
    )


def test_a_refused_change_of_the_list_is_a_failed_command() -> None:
    topic, payload = fixture("vzenith", "list-changed")
    event = decode(topic, {**payload, "code": 400}).readings[0].event
    assert event == CommandAnswered(at=NOW, command_id=ID, result=CommandResult.FAILED, reason="400")


def test_what_else_a_camera_says_of_a_vehicle_is_kept_without_the_plate() -> None:
    vendor = plate(carColor=4, user_license="SECRET", direction=3).readings[0].event.vendor
    assert (vendor["carColor"], vendor["direction"]) == (4, 3)
    assert "SECRET" not in repr(vendor)


MESSAGES = fixtures("vzenith")


def test_a_result_in_a_list_of_one_with_a_count_for_its_time_is_the_same_result() -> None:
    _, payload = fixture("vzenith", "plate")
    alarm = json.loads(json.dumps(payload["payload"]))
    result = alarm["AlarmInfoPlate"]["result"]["PlateResult"]
    result["timeStamp"] = result["timeStamp"]["Timeval"]["sec"]
    alarm["AlarmInfoPlate"]["result"]["PlateResult"] = [result]
    (reading,), (same,) = say("plate", payload=alarm).readings, say("plate").readings
    assert replace(reading.event, at=same.event.at) == same.event
    assert abs(reading.event.at - same.event.at) < timedelta(seconds=1)


@given(bent(MESSAGES))
def test_a_bent_message_is_read_or_refused_and_nothing_else(message: tuple[str, bytes]) -> None:
    read_safely(PROTOCOL, *message)


@given(st.sampled_from(MESSAGES), st.binary() | st.sampled_from(ROTTEN))
def test_rubbish_is_read_or_refused_and_nothing_else(message: tuple[str, Any], payload: bytes) -> None:
    read_safely(PROTOCOL, message[0], payload)
