"""OEM face terminals: every kind of message, with the oddities seen in the field."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.effects import OpenPassage, SetLamp
from devices.errors import DecodeError, UnsupportedCommandError
from devices.events import (
    AccessDenied,
    AccessGranted,
    CommandAnswered,
    CommandResult,
    CredentialPresented,
    DenyReason,
    DeviceStatusChanged,
    Event,
    FaceCaptured,
    Heartbeat,
    Method,
    ObjectDetected,
    OfflineReason,
    PlateCaptured,
    VendorNotice,
    evidence_key,
)
from devices.model import Decoded, Device
from devices.protocols.oem_face import PROTOCOL
from devices.protocols.wire import MAX_IMAGE
from tests.devices.hostile import JPEG, NOW, ROTTEN, ZONE, bent, fixture, fixtures, read_safely

AT = datetime(2026, 3, 1, 23, 15, 9, tzinfo=UTC)
"""07:15:09 of the next day in Shanghai."""
KEY = evidence_key(JPEG)
ID = "7700123"
FACE = Method.FACE
GRANTED = AccessGranted(at=AT, method=FACE, person="r-0815", evidence=KEY, similarity=0.875)
REFUSED = AccessDenied(at=AT, method=FACE, reason=DenyReason.UNAUTHORIZED, person="r-0815", evidence=KEY)
STRANGER = AccessDenied(at=AT, method=FACE, reason=DenyReason.UNKNOWN_CREDENTIAL, evidence=KEY)


def decode(topic: str, payload: Any) -> Decoded:
    return PROTOCOL.decode(topic, json.dumps(payload).encode(), NOW, ZONE)


def say(name: str, **changes: Any) -> Decoded:
    """A fixture with some of its `info` changed."""
    topic, payload = fixture("oem_face", name)
    return decode(topic, {**payload, "info": {**payload["info"], **changes}})


def replies(decoded: Decoded) -> list[tuple[str, Any]]:
    return [(reply.topic, json.loads(reply.payload)) for reply in decoded.replies]


@pytest.mark.parametrize(
    ("name", "event"),
    [
        ("online", DeviceStatusChanged(at=AT, online=True)),
        ("offline-goodbye", DeviceStatusChanged(at=AT, online=False, reason=OfflineReason.GOODBYE)),
        ("offline-will", DeviceStatusChanged(at=NOW, online=False, reason=OfflineReason.WILL)),
        ("heartbeat", Heartbeat(at=AT)),
        ("heartbeat-without-clock", Heartbeat(at=NOW)),
        ("rec-allowed", GRANTED),
        (
            "rec-enrolled-at-the-terminal",
            AccessGranted(at=AT, method=FACE, person="terminal:12", similarity=0.875),
        ),
        ("rec-refused", REFUSED),
        ("rec-stranger", STRANGER),
        (
            "rec-block-list",
            AccessDenied(
                at=AT, method=FACE, reason=DenyReason.UNAUTHORIZED, person="r-0815", evidence=KEY, blocked=True
            ),
        ),
        ("rec-sent-late", GRANTED),
        ("rec-asked-for-again", GRANTED),
        ("rec-no-verdict", VendorNotice(at=AT, name="RecPush", code="22", evidence=KEY)),
        ("rec-direction-unknow", AccessGranted(at=AT, method=FACE, person="r-0815")),
        ("snap-stranger", FaceCaptured(at=AT, evidence=KEY)),
        ("snap-broken-picture", AccessDenied(at=AT, method=FACE, reason=DenyReason.UNKNOWN_CREDENTIAL)),
        ("thrown-object", ObjectDetected(at=AT, label="thrown_object", evidence=KEY)),
        ("card", CredentialPresented(at=AT, method=Method.CARD, value="4711220")),
        ("identity-card", VendorNotice(at=AT, name="IDCardPush")),
        ("alarm", VendorNotice(at=AT, name="AlarmPush")),
        ("unlock-ack", CommandAnswered(at=NOW, command_id="c-1", result=CommandResult.ACCEPTED)),
        ("unlock-ack-failed", CommandAnswered(at=NOW, command_id="c-2", result=CommandResult.FAILED, reason="462")),
        ("http-verify", AccessGranted(at=AT, method=FACE, person="r-0815", evidence=KEY, similarity=0.915)),
        ("http-plate", PlateCaptured(at=NOW, plate="沪AD00001", plate_color="gradient_green", evidence=KEY)),
    ],
)
def test_each_kind_of_message_says_one_thing(name: str, event: Event) -> None:
    decoded = say(name)
    (reading,) = decoded.readings
    assert reading.event == event
    assert reading.timed == (event.at == AT)
    assert decoded.address == ID
    assert decoded.images == ((JPEG,) if getattr(event, "evidence", "") else ())


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("pushack-ack", "acknowledges our acknowledgement"),
        ("editperson-ack", "answers a command the gateway does not send"),
    ],
)
def test_an_answer_nobody_waits_for_is_ignored_with_a_reason(name: str, reason: str) -> None:
    decoded = say(name)
    assert decoded.ignored == reason
    assert decoded.readings == ()


def test_a_greeting_is_answered_and_gives_no_address_away() -> None:
    body = {"operator": "Online-Ack", "messageId": "41", "info": {"facesluiceId": ID, "result": "ok"}}
    assert replies(say("online")) == [(f"mqtt/face/{ID}", body)]


def test_a_record_is_acknowledged_under_its_number() -> None:
    body = {"operator": "PushAck", "messageId": "2-501", "info": {"PushAckType": 2, "SnapOrRecordID": 501}}
    assert replies(say("rec-allowed")) == [(f"mqtt/face/{ID}", body)]
    body = {"operator": "PushAck", "messageId": "1-88", "info": {"PushAckType": 1, "SnapOrRecordID": 88}}
    assert replies(say("snap-stranger")) == [(f"mqtt/face/{ID}", body)]


@pytest.mark.parametrize(("number", "answered"), [("9007199254740993", 9007199254740993), ("²", "²"), ("a-1", "a-1")])
def test_an_unusual_record_number_is_acknowledged_as_it_came(number: str, answered: Any) -> None:
    ((_, body),) = replies(say("rec-allowed", RecordID=number))
    assert body["info"]["SnapOrRecordID"] == answered


def test_what_came_over_http_is_not_answered_over_mqtt() -> None:
    assert replies(say("http-verify")) == []


def test_a_record_has_the_same_identity_whether_its_number_is_text_or_number() -> None:
    ids = {say("rec-allowed", RecordID=number).readings[0].record_id for number in (501, "501", " 501 ")}
    assert ids == {"Rec:501"}
    assert say("snap-stranger").readings[0].record_id == "Snap:88"


def test_a_record_from_the_terminals_memory_is_marked_as_stored() -> None:
    assert say("rec-sent-late").readings[0].stored
    assert say("rec-asked-for-again").readings[0].stored
    assert not say("rec-allowed").readings[0].stored


@pytest.mark.parametrize("time", ["", None, "0000-00-00 00:00:00", "yesterday", "2026-13-01 00:00:00", 0])
def test_a_record_without_a_time_is_refused_since_nobody_may_be_at_the_door(time: Any) -> None:
    for name in ("rec-allowed", "snap-stranger"):
        with pytest.raises(DecodeError, match=r"bad time|a record without a time"):
            say(name, time=time)


@pytest.mark.parametrize("similarity", ["", "high", -1, 101, "1e400", None])
def test_a_similarity_that_is_none_does_not_cost_the_record(similarity: Any) -> None:
    assert say("rec-allowed", similarity1=similarity).readings[0].event.similarity is None  # type: ignore[attr-defined]


def test_a_terminal_speaks_for_itself_only() -> None:
    with pytest.raises(DecodeError, match="device id in topic and payload differ"):
        say("rec-allowed", facesluiceId="7700124")


def test_a_record_on_a_topic_all_terminals_share_is_refused() -> None:
    _, payload = fixture("oem_face", "rec-allowed")
    with pytest.raises(DecodeError, match="operator not allowed on a shared topic"):
        decode("mqtt/face/basic", payload)


@pytest.mark.parametrize("owner", ["", None, "a/b", "x" * 65, "a\n"])
def test_a_greeting_without_a_usable_id_is_refused(owner: Any) -> None:
    with pytest.raises(DecodeError, match="bad device id"):
        say("online", facesluiceId=owner and f" {owner}x y")


def test_the_command_topic_is_not_listened_on() -> None:
    with pytest.raises(DecodeError, match="not a topic of this protocol"):
        decode(f"mqtt/face/{ID}", {"operator": "Unlock"})


def test_a_picture_over_its_cap_is_refused() -> None:
    with pytest.raises(DecodeError, match="image too large"):
        say("rec-allowed", pic="data:image/jpeg;base64," + base64.b64encode(bytes(MAX_IMAGE + 1)).decode())


def test_a_picture_broken_into_lines_is_read() -> None:
    wrapped = base64.encodebytes(JPEG * 5).decode()
    assert say("rec-allowed", pic=wrapped).images == (JPEG * 5,)


def test_no_name_number_or_phone_of_a_person_gets_into_an_event() -> None:
    private = {"personName": "SECRETNAME", "idCard": "SECRETCARD", "telnum": "SECRETPHONE"}
    assert "SECRET" not in repr(say("rec-allowed", **private))
    assert "000000000000000000" not in repr(say("identity-card"))


def test_a_remote_opening_is_an_unlock() -> None:
    gate = Device(id="g", kind="face_gate", protocol="oem_face", address=ID)
    message = PROTOCOL.encode(OpenPassage(not_after=NOW, person="p-1"), "c-1", gate, NOW)
    topic, payload = fixture("oem_face", "unlock")
    assert (message.topic, json.loads(message.payload), message.qos) == (topic, payload, 0)
    with pytest.raises(UnsupportedCommandError):
        PROTOCOL.encode(SetLamp(not_after=NOW, level_pct=1), "c-1", gate, NOW)


MESSAGES = fixtures("oem_face")


@given(bent(MESSAGES))
def test_a_bent_message_is_read_or_refused_and_nothing_else(message: tuple[str, bytes]) -> None:
    read_safely(PROTOCOL, *message)


@given(st.sampled_from(MESSAGES), st.binary() | st.sampled_from(ROTTEN))
def test_rubbish_is_refused(message: tuple[str, Any], payload: bytes) -> None:
    assert read_safely(PROTOCOL, message[0], payload) is None
