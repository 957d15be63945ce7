"""OEM face terminals: every kind of message, with the oddities seen in the field."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from devices.archive import matches
from devices.effects import OpenPassage, PersonEntry, SetLamp, Speak, SyncPersons
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
    ListAnswered,
    ListRefusal,
    ListReported,
    Method,
    ObjectDetected,
    OfflineReason,
    PlateCaptured,
    SensorMeasured,
    VendorNotice,
    evidence_key,
)
from devices.model import Decoded, Device, Outgoing
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
    info = payload["info"]
    return decode(topic, {**payload, "info": {**info, **changes} if isinstance(info, dict) else info})


def refusal(reason: str) -> ListRefusal:
    return ListRefusal(entry="r-0815", reason=reason)


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
        (
            "unlock-ack-failed",
            CommandAnswered(at=NOW, command_id="c-2", result=CommandResult.FAILED, reason="462 bad parameter"),
        ),
        ("editpersonsnew-ack-counted", ListAnswered(at=NOW, command_id="b-4", rest=True)),
        ("voiceplay-ack", CommandAnswered(at=NOW, command_id="v-1", result=CommandResult.DONE)),
        ("editperson-ack", ListAnswered(at=NOW, command_id="e-1", took=("r-0815",))),
        ("editperson-ack-refused", ListAnswered(at=NOW, command_id="e-2", refused=(refusal("464 no features found"),))),
        ("delperson-ack-unknown", ListAnswered(at=NOW, command_id="d-1", took=("r-0815",))),
        (
            "editpersonsnew-ack",
            ListAnswered(
                at=NOW, command_id="b-1", took=("r-1", "r-2"), refused=(refusal("478 too similar to another person"),)
            ),
        ),
        (
            "editpersonsnew-ack-busy",
            CommandAnswered(at=NOW, command_id="b-2", result=CommandResult.FAILED, reason="410 batch busy"),
        ),
        ("deletepersons-ack", ListAnswered(at=NOW, command_id="b 3", took=("r-1",), refused=(refusal("refused"),))),
        ("queryperson-ack", ListReported(at=NOW, what="persons", count=3, entries=("r-1", "r-2", "r-0815"))),
        ("queryprogress-ack", VendorNotice(at=NOW, name="QueryProgress", code="3")),
        ("qr", CredentialPresented(at=AT, method=Method.QR, value="q-123")),
        ("card-in-a-list", CredentialPresented(at=AT, method=Method.CARD, value="4711220")),
        ("rec-other-prefix", GRANTED),
        ("http-verify", AccessGranted(at=AT, method=FACE, person="r-0815", evidence=KEY, similarity=0.915)),
        ("http-plate", PlateCaptured(at=NOW, plate="沪AD00001", plate_color="gradient_green", evidence=KEY)),
    ],
)
def test_each_kind_of_message_says_one_thing(name: str, event: Event) -> None:
    decoded = say(name)
    (reading,) = decoded.readings
    assert replace(reading.event, vendor={}) == event
    assert reading.timed == (event.at == AT)
    assert decoded.address == ID
    assert decoded.images == ((JPEG,) if getattr(event, "evidence", "") else ())


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("pushack-ack", "acknowledges our acknowledgement"),
        ("ack-of-nothing", "an answer that names no command"),
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


def test_a_thermal_terminal_says_who_passed_and_how_warm_somebody_was() -> None:
    granted, warm = say("rec-allowed", temperature="36.7").readings
    assert isinstance(granted.event, AccessGranted)
    assert warm.event == SensorMeasured(at=AT, metric="body_temperature_c", value=36.7)
    assert (granted.record_id, warm.record_id) == ("Rec:501", "Temp:501")
    assert len(say("rec-allowed", temperature="0").readings) == 1


@pytest.mark.parametrize("count", [0, 2])
def test_a_list_with_other_than_one_object_is_refused(count: int) -> None:
    topic, payload = fixture("oem_face", "rec-allowed")
    with pytest.raises(DecodeError, match="payload does not fit the protocol"):
        decode(topic, {**payload, "info": [payload["info"]] * count})


def sent(command: Any, **options: str) -> Any:
    gate = Device(id="g", kind="face_gate", protocol="oem_face", address=ID, options=options)
    message = PROTOCOL.encode(command, "c-1", gate, NOW)
    assert isinstance(message, Outgoing)
    return message.topic, json.loads(message.payload)


PERSON = PersonEntry(id="r-0815", name="试验人", photo=JPEG, cards=("4711220",), valid_from=AT, valid_to=NOW)


@pytest.mark.parametrize(
    ("name", "command"),
    [
        ("editperson", SyncPersons(not_after=NOW, put=(PERSON,))),
        ("editpersonsnew", SyncPersons(not_after=NOW, put=(PersonEntry(id="r-1", name="甲"), PersonEntry(id="r-2")))),
        ("delperson", SyncPersons(not_after=NOW, remove=("r-0815",))),
        ("deletepersons", SyncPersons(not_after=NOW, remove=("r-1", "r-2"))),
        ("voiceplay", Speak(not_after=NOW, text="welcome.wav")),
    ],
)
def test_a_command_is_worded_as_the_vendor_words_it(name: str, command: Any) -> None:
    assert sent(command) == fixture("oem_face", name)


def test_a_camera_of_the_family_has_other_names_for_validity() -> None:
    _, body = sent(SyncPersons(not_after=NOW, put=(PERSON,)), family="camera")
    assert body["info"]["validBegin"] == "2026-03-02 07:15:09"
    assert "cardValidBegin" not in body["info"]


def test_what_has_no_message_is_refused_before_it_is_sent() -> None:
    for command in (SyncPersons(not_after=NOW, put=(PERSON,), remove=("r-1",)), Speak(not_after=NOW, text="你好")):
        with pytest.raises(UnsupportedCommandError):
            sent(command)


def test_a_site_with_topics_of_its_own_is_heard_and_answered_there() -> None:
    gate = Device(id="g", kind="face_gate", protocol="oem_face", address=ID, options={"prefix": "estate/east"})
    assert PROTOCOL.topics_of is not None
    assert PROTOCOL.orders_of is not None
    topic, _ = fixture("oem_face", "rec-other-prefix")
    assert any(matches(f, topic) for f in PROTOCOL.topics_of(gate))
    assert PROTOCOL.orders_of(gate) == (f"estate/east/face/{ID}",)
    assert [answer for answer, _ in replies(say("rec-other-prefix"))] == [f"estate/east/face/{ID}"]
    assert sent(OpenPassage(not_after=NOW), prefix="estate/east")[0] == f"estate/east/face/{ID}"


def test_a_message_with_more_values_than_a_device_has_is_refused_unread() -> None:
    with pytest.raises(DecodeError, match="too many values"):
        PROTOCOL.decode(f"mqtt/face/{ID}/Ack", b"[" + b"1," * 500_000 + b"1]", NOW, ZONE)


MESSAGES = fixtures("oem_face")


def test_an_answer_that_only_counts_errors_leaves_open_whose_they_are() -> None:
    (reading,) = say("editpersonsnew-ack-counted", AddErrNum="1").readings
    assert reading.event == CommandAnswered(at=NOW, command_id="b-4", result=CommandResult.ACCEPTED)


def test_an_answer_without_its_ending_is_an_answer_still() -> None:
    topic, payload = fixture("oem_face", "voiceplay-ack")
    assert decode(topic, {**payload, "operator": "voiceplay"}) == decode(topic, payload)


@pytest.mark.parametrize("written", [1772406909, "1772406909", "1772406909000"])
def test_a_time_that_is_counted_is_the_same_time(written: int | str) -> None:
    (reading,) = say("heartbeat", time=written).readings
    assert reading.event.at == datetime(2026, 3, 1, 23, 15, 9, tzinfo=UTC)


@given(bent(MESSAGES))
def test_a_bent_message_is_read_or_refused_and_nothing_else(message: tuple[str, bytes]) -> None:
    read_safely(PROTOCOL, *message)


@given(st.sampled_from(MESSAGES), st.binary() | st.sampled_from(ROTTEN))
def test_rubbish_is_refused(message: tuple[str, Any], payload: bytes) -> None:
    assert read_safely(PROTOCOL, message[0], payload) is None
