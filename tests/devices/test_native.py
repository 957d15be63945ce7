"""Our own protocol: what firmware makers may rely on, and what a lying device gets."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.effects import CheckPlate, CloseBarrier, Command, OpenPassage, SetLamp
from devices.errors import DecodeError, UnsupportedCommandError
from devices.events import (
    EVENTS,
    INTERNAL,
    CommandAnswered,
    CommandResult,
    DeviceStatusChanged,
    DoorChanged,
    FaceCaptured,
    Heartbeat,
    LampMeasured,
    Method,
    OfflineReason,
    PlateCaptured,
    evidence_key,
)
from devices.model import Decoded, Device
from devices.protocols.native import PROTOCOL, EventMessage
from devices.protocols.wire import MAX_IMAGE, MAX_PAYLOAD
from tests.devices.hostile import JPEG, NOW, ROTTEN, ZONE, bent, read_safely

AT = "2026-03-02T07:15:09+08:00"
AT_UTC = datetime(2026, 3, 1, 23, 15, 9, tzinfo=UTC)
IMAGE = base64.b64encode(JPEG).decode()
GATE = Device(id="gate-1", kind="face_gate", protocol="native", address="g:1.a-b_c")


def say(leaf: str, body: dict[str, Any], address: str = "gate-1") -> Decoded:
    return PROTOCOL.decode(f"linli/v1/{address}/{leaf}", json.dumps(body).encode(), NOW, ZONE)


def event(kind: str, **fields: Any) -> dict[str, Any]:
    return {"id": "r-1", "event": {"type": kind, "at": AT, **fields}}


def refusal(leaf: str, body: dict[str, Any], address: str = "gate-1") -> str:
    with pytest.raises(DecodeError) as caught:
        say(leaf, body, address)
    return caught.value.reason


def test_an_event_arrives_as_it_is_in_utc_with_its_record_id() -> None:
    decoded = say("event", event("lamp_measured", level_pct=40, active_power_w=12.5))
    assert decoded.address == "gate-1"
    (reading,) = decoded.readings
    assert reading.event == LampMeasured(at=AT_UTC, level_pct=40, active_power_w=12.5)
    assert reading.event.at.tzinfo is UTC
    assert (reading.record_id, reading.timed, reading.stored) == ("r-1", True, False)


def test_a_picture_becomes_the_evidence_of_its_event() -> None:
    decoded = say("event", {**event("plate_captured", plate="沪A12345"), "image": IMAGE, "stored": True})
    assert decoded.images == (JPEG,)
    assert decoded.readings[0].event == PlateCaptured(at=AT_UTC, plate="沪A12345", evidence=evidence_key(JPEG))
    assert decoded.readings[0].stored


def test_evidence_a_device_names_without_sending_it_is_blanked() -> None:
    decoded = say("event", event("plate_captured", evidence=evidence_key(b"somebody else's picture")))
    assert decoded.readings[0].event == PlateCaptured(at=AT_UTC)
    assert decoded.images == ()


def test_evidence_a_device_names_beside_another_picture_is_replaced() -> None:
    decoded = say("event", {**event("face_captured", evidence="0" * 64, live=True), "image": IMAGE})
    found = decoded.readings[0].event
    assert found == FaceCaptured(at=AT_UTC, evidence=evidence_key(JPEG), live=True)
    assert type(found) is FaceCaptured


@pytest.mark.parametrize("image", ["", "...", "abc", "data:image/jpeg;base64,..."])
def test_a_captured_face_without_a_usable_picture_is_refused(image: str) -> None:
    assert refusal("event", {**event("face_captured"), "image": image}) == "a captured face without its picture"


def test_an_event_with_a_broken_picture_arrives_without_evidence() -> None:
    decoded = say("event", {**event("access_denied", method="face", reason="UnknownCredential"), "image": "abc"})
    assert decoded.images == ()
    assert decoded.readings[0].event.evidence == ""  # type: ignore[attr-defined]


def test_a_picture_beside_an_event_without_evidence_is_left_out() -> None:
    decoded = say("event", {**event("door_changed", open=True), "image": IMAGE})
    assert decoded.readings[0].event == DoorChanged(at=AT_UTC, open=True)
    assert decoded.images == ()


@pytest.mark.parametrize("kind", sorted(str(e.__struct_config__.tag) for e in INTERNAL))
def test_an_event_only_the_gateway_makes_is_refused(kind: str) -> None:
    assert refusal("event", event(kind)) == "internal event type"


def test_every_other_event_type_may_be_sent() -> None:
    (field,) = (f for f in msgspec.inspect.type_info(EventMessage).fields if f.name == "event")  # type: ignore[attr-defined]
    sent = {str(type_.tag) for type_ in field.type.types}
    assert sent == {name for name, type_ in EVENTS.items() if type_ not in INTERNAL}


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (event("door_exploded"), "unknown event type"),
        (event("door_changed", open="yes"), "payload does not fit the protocol"),
        (event("lamp_measured", level_pct=101), "payload does not fit the protocol"),
        ({"event": {"type": "access_taken", "at": "2026-03-02T07:15:09"}}, "payload does not fit the protocol"),
        ({"event": {"type": "access_taken", "at": "0001-01-01T00:00:00+14:00"}}, "time out of range"),
        ({"event": {"type": "access_taken", "at": "9999-12-31T23:59:59-12:00"}}, "time out of range"),
        ({"id": "x" * 129, "event": {"type": "access_taken", "at": AT}}, "payload does not fit the protocol"),
    ],
)
def test_what_does_not_fit_is_refused_with_a_reason_that_can_be_counted(body: dict[str, Any], reason: str) -> None:
    assert refusal("event", body) == reason


@pytest.mark.parametrize("address", ["", "a" * 65, "a b", "a\n", "端", "a*b", "a+"])
def test_a_bad_device_id_is_refused(address: str) -> None:
    assert refusal("status", {"online": True}, address) == "bad device id"


@pytest.mark.parametrize(
    "topic", ["", "/", "linli/v1/a", "linli/v2/a/event", "linli/v1/a/command", "linli/v1/a/event/b"]
)
def test_a_topic_of_somebody_else_is_refused(topic: str) -> None:
    with pytest.raises(DecodeError, match="not a topic of this protocol"):
        PROTOCOL.decode(topic, b"{}", NOW, ZONE)


def test_a_payload_or_picture_over_its_cap_is_refused() -> None:
    too_large = base64.b64encode(bytes(MAX_IMAGE + 1)).decode()
    assert refusal("event", {**event("plate_captured"), "image": too_large}) == "image too large"
    with pytest.raises(DecodeError, match="payload too large"):
        PROTOCOL.decode("linli/v1/a/event", b" " * (MAX_PAYLOAD + 1), NOW, ZONE)
    with pytest.raises(DecodeError, match="payload too large"):
        PROTOCOL.decode("linli/v1/a/status", b" " * (MAX_PAYLOAD + 1), NOW, ZONE)


def test_a_last_will_has_no_time_and_a_goodbye_has() -> None:
    (will,) = say("status", {"online": False, "reason": "last_will"}).readings
    assert will.event == DeviceStatusChanged(at=NOW, online=False, reason=OfflineReason.WILL)
    assert not will.timed
    (bye,) = say("status", {"online": False, "at": AT}).readings
    assert bye.event == DeviceStatusChanged(at=AT_UTC, online=False, reason=OfflineReason.GOODBYE)
    assert bye.timed


def test_a_greeting_and_a_heartbeat_carry_the_boot_id() -> None:
    (hello,) = say("status", {"online": True, "boot_id": "b1", "firmware": "1.2", "at": AT}).readings
    assert hello.event == DeviceStatusChanged(at=AT_UTC, online=True, boot_id="b1", firmware="1.2")
    (beat,) = say("heartbeat", {"boot_id": "b1"}).readings
    assert beat.event == Heartbeat(at=NOW, boot_id="b1")
    assert not beat.timed


def test_a_device_cannot_call_itself_silent() -> None:
    assert refusal("status", {"online": False, "reason": "missed_heartbeats"}) == "payload does not fit the protocol"


def test_an_answer_names_its_command() -> None:
    (reading,) = say("answer", {"command_id": "c-1", "result": "failed", "reason": "jammed", "at": AT}).readings
    assert reading.event == CommandAnswered(at=AT_UTC, command_id="c-1", result=CommandResult.FAILED, reason="jammed")
    assert refusal("answer", {"command_id": "", "result": "done"}) == "payload does not fit the protocol"


@pytest.mark.parametrize(
    ("command", "order"),
    [
        (
            OpenPassage(not_after=NOW, method=Method.FACE, person="p-1", vehicle="v-1", device="gate-1"),
            {"type": "open_passage", "method": "face"},
        ),
        (CloseBarrier(not_after=NOW), {"type": "close_barrier"}),
        (SetLamp(not_after=NOW, level_pct=35), {"type": "set_lamp", "level_pct": 35.0}),
    ],
)
def test_a_command_says_what_to_do_until_when_and_nothing_of_whom(command: Command, order: dict[str, Any]) -> None:
    message = PROTOCOL.encode(command, "c-1", GATE, NOW - timedelta(seconds=5))
    assert (message.topic, message.qos) == ("linli/v1/g:1.a-b_c/command", 0)
    assert json.loads(message.payload) == {"id": "c-1", "not_after": "2026-03-01T23:15:30Z", "command": order}


def test_a_command_it_has_no_message_for_is_refused() -> None:
    with pytest.raises(UnsupportedCommandError):
        PROTOCOL.encode(CheckPlate(plate="x", at=NOW, captured_at=NOW), "c-1", GATE, NOW)  # type: ignore[arg-type]


MESSAGES = [
    ("linli/v1/a/event", {**event("plate_captured", plate="沪A12345", confidence=0.5), "image": IMAGE}),
    ("linli/v1/a/event", {**event("face_captured", live=None), "image": IMAGE}),
    ("linli/v1/a/event", event("loop_changed", occupied=True, loop=1)),
    ("linli/v1/a/event", event("lamp_measured", level_pct=1, active_power_w=3.5)),
    ("linli/v1/a/status", {"online": False, "reason": "last_will", "boot_id": "b", "firmware": "f", "at": AT}),
    ("linli/v1/a/heartbeat", {"at": AT, "boot_id": "b"}),
    ("linli/v1/a/answer", {"command_id": "c", "result": "done", "reason": "", "at": AT}),
]


@given(bent(MESSAGES))
def test_a_bent_message_is_read_or_refused_and_nothing_else(message: tuple[str, bytes]) -> None:
    read_safely(PROTOCOL, *message)


@given(st.sampled_from(MESSAGES), st.binary() | st.sampled_from(ROTTEN))
def test_rubbish_is_refused(message: tuple[str, Any], payload: bytes) -> None:
    read_safely(PROTOCOL, message[0], payload)
