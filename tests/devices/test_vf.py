"""Vbar terminals: every kind of message of both versions, and the question whether to open."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.archive import matches
from devices.effects import AnswerCredential, Command, OpenPassage, PersonEntry, Reboot, SetLamp, SyncPersons
from devices.errors import DecodeError, UnsupportedCommandError
from devices.events import (
    AccessDenied,
    AccessGranted,
    CommandAnswered,
    CommandResult,
    CredentialPresented,
    DenyReason,
    DeviceStatusChanged,
    DoorChanged,
    Event,
    Hazard,
    HazardDetected,
    Heartbeat,
    ListAnswered,
    ListRefusal,
    Method,
    OfflineReason,
    TamperDetected,
    VendorNotice,
    evidence_key,
)
from devices.model import Decoded, Device, Outgoing
from devices.protocols.vf import PROTOCOL
from tests.devices.hostile import JPEG, NOW, ROTTEN, ZONE, bent, fixture, fixtures, read_safely

AT = datetime(2026, 3, 1, 23, 15, 9, tzinfo=UTC)
SN = "VF000042"
FACE = AccessGranted(at=AT, method=Method.FACE, person="r-1", evidence=evidence_key(JPEG), similarity=0.86)
FINGER = AccessGranted(at=AT, method=Method.UNKNOWN, person="r-1", vendor={"credential_type": "500"})


def say(name: str, **changes: Any) -> Decoded:
    topic, payload = fixture("vf", name)
    return PROTOCOL.decode(topic, json.dumps({**payload, **changes}).encode(), NOW, ZONE)


def answered(result: CommandResult, reason: str = "") -> CommandAnswered:
    return CommandAnswered(at=NOW, command_id="c-1", result=result, reason=reason)


@pytest.mark.parametrize(
    ("name", "event"),
    [
        ("connect", DeviceStatusChanged(at=AT, online=True, firmware="vf_1.0")),
        ("heartbeat", Heartbeat(at=AT)),
        ("prefixed", Heartbeat(at=AT)),
        ("offline", DeviceStatusChanged(at=NOW, online=False, reason=OfflineReason.WILL)),
        ("access-face", FACE),
        ("access-card-refused", AccessDenied(at=AT, method=Method.CARD, reason=DenyReason.UNKNOWN_CREDENTIAL)),
        ("access-finger", FINGER),
        ("access-v1", AccessGranted(at=AT, method=Method.CARD, person="r-1")),
        ("online-qr", CredentialPresented(at=AT, method=Method.QR, value="q-123", reply_to="v1/1772406909123")),
        (
            "online-phone-v1",
            CredentialPresented(at=AT, method=Method.PIN, value="10000000000/2468", reply_to="v1/1772406909123"),
        ),
        ("online-pin", CredentialPresented(at=AT, method=Method.PIN, value="246810", reply_to="v2/s-9")),
        ("alarm-door-open", DoorChanged(at=AT, open=True)),
        ("alarm-fire", HazardDetected(at=AT, hazard=Hazard.SMOKE)),
        ("alarm-tamper-over", TamperDetected(at=AT, active=False)),
        ("alarm-unknown", VendorNotice(at=AT, name="alarm", code="0/0")),
        ("control-reply", answered(CommandResult.ACCEPTED)),
        ("control-reply-failed", answered(CommandResult.FAILED, "100002")),
        ("insert-reply", ListAnswered(at=NOW, command_id="c-1", rest=True)),
        (
            "insert-reply-partly",
            ListAnswered(at=NOW, command_id="c-1", refused=(ListRefusal(entry="r-2", reason="bad name"),), rest=True),
        ),
        ("del-reply-unknown", ListAnswered(at=NOW, command_id="c-1", rest=True)),
        ("insert-reply-failed", answered(CommandResult.FAILED, "100000")),
    ],
)
def test_each_kind_of_message_says_one_thing(name: str, event: Event) -> None:
    decoded = say(name)
    (reading,) = decoded.readings
    assert reading.event == event
    assert reading.timed == (event.at == AT)
    assert decoded.address == SN
    assert "SECRET" not in repr(decoded)


@pytest.mark.parametrize(("name", "topic"), [("access-face", "access_reply"), ("alarm-fire", "alarm_reply")])
def test_what_a_terminal_keeps_until_it_is_safe_is_acknowledged_under_its_number(name: str, topic: str) -> None:
    (reply,) = say(name).replies
    assert reply.topic == f"access_device/v2/event/{SN}/{topic}"
    assert json.loads(reply.payload) == {"serialNo": "s-1", "code": "000000"}


def test_a_question_is_answered_by_a_command_and_not_by_itself() -> None:
    assert say("online-qr").replies == ()


def test_a_record_sent_again_is_the_same_record() -> None:
    assert say("access-face").readings[0].record_id == say("access-face", time=1772406999).readings[0].record_id != ""


def test_version_1_counts_the_other_way_and_knows_its_records_by_their_times() -> None:
    granted, refused, unclear = say("access-v1-stored").readings
    assert granted == say("access-v1").readings[0], "told again after an outage, under another number"
    assert refused.event == AccessDenied(
        at=AT + timedelta(seconds=3), method=Method.CARD, reason=DenyReason.UNKNOWN_CREDENTIAL
    )
    assert unclear.event == VendorNotice(at=AT + timedelta(seconds=4), name="access", code="7")
    assert len({reading.record_id for reading in (granted, refused, unclear)}) == 3


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        ("Voucher verification failed", DenyReason.UNKNOWN_CREDENTIAL),
        ("Permission verification failed", DenyReason.UNAUTHORIZED),
        ("a new word", DenyReason.OTHER),
    ],
)
def test_why_a_person_was_refused(error: str, reason: DenyReason) -> None:
    record = {"userId": "r-1", "type": 300, "result": 1, "timeStamp": 1772406909, "error": error}
    assert say("access-face", data=[record]).readings[0].event == AccessDenied(
        at=AT, method=Method.FACE, reason=reason, person="r-1"
    )


def test_a_telephone_number_without_its_pin_is_no_credential_by_itself() -> None:
    (reading,) = say("online-phone-v1", data={"type": 901, "code": "10000000000"}).readings
    assert isinstance(reading.event, CredentialPresented)
    assert reading.event.value == "10000000000/"


def test_a_record_without_a_time_is_refused_since_nobody_may_be_at_the_door() -> None:
    with pytest.raises(DecodeError, match="a record without a time"):
        say("access-face", data=[{"type": 200, "result": 0}])


def sent(command: Command, **options: str) -> tuple[str, Any]:
    gate = Device(id="g", kind="face_gate", protocol="vf", address=SN, options=options)
    message = PROTOCOL.encode(command, "c-1", gate, NOW)
    assert isinstance(message, Outgoing)
    return message.topic, json.loads(message.payload)


PERSON = PersonEntry(id="r-1", cards=("0A1B",), valid_from=AT, valid_to=AT + timedelta(seconds=21))


@pytest.mark.parametrize(
    ("name", "command"),
    [
        ("open", OpenPassage(not_after=NOW)),
        ("insert", SyncPersons(not_after=NOW, put=(PERSON,))),
        ("answer", AnswerCredential(not_after=NOW, reply_to="v1/1772406909123", allowed=True)),
    ],
)
def test_a_command_is_worded_as_the_firmware_reads_it(name: str, command: Command) -> None:
    assert sent(command) == fixture("vf", name)


def test_a_refusal_is_any_other_code() -> None:
    topic, body = sent(AnswerCredential(not_after=NOW, reply_to="v2/s-9", allowed=False), prefix="/east/")
    assert topic == f"/east/access_device/v2/event/{SN}/access_online_reply"
    assert body == {"serialNo": "s-9", "code": "100000"}


def test_firmware_that_asks_for_its_own_number_is_given_it() -> None:
    assert sent(OpenPassage(not_after=NOW), uuid="yes")[1]["uuid"] == SN
    assert "uuid" not in sent(OpenPassage(not_after=NOW))[1]


def test_removing_is_a_list_of_ids_in_both_versions() -> None:
    gone = SyncPersons(not_after=NOW, remove=("r-1", "r-2"))
    topics = {version: sent(gone, version=version) for version in ("v1", "v2")}
    assert topics["v1"][0].endswith("/delPermission")
    assert topics["v2"][0].endswith("/delUser")
    assert {tuple(body["data"]) for _, body in topics.values()} == {("r-1", "r-2")}
    assert sent(Reboot(not_after=NOW))[1]["data"]["command"] == 0


@pytest.mark.parametrize(
    ("command", "version"),
    [
        (SyncPersons(not_after=NOW, put=(PERSON,)), "v2"),
        (SyncPersons(not_after=NOW, put=(PersonEntry(id="r-1", photo=JPEG),)), "v1"),
        (SyncPersons(not_after=NOW, put=(PERSON,), remove=("r-2",)), "v1"),
        (SetLamp(not_after=NOW, level_pct=1), "v1"),
    ],
)
def test_what_has_no_message_is_refused_before_it_is_sent(command: Command, version: str) -> None:
    with pytest.raises(UnsupportedCommandError):
        sent(command, version=version)


def test_a_prefixed_terminal_is_heard_and_told_under_its_prefix() -> None:
    gate = Device(id="g", kind="face_gate", protocol="vf", address=SN, options={"prefix": "east/"})
    assert PROTOCOL.topics_of is not None
    assert PROTOCOL.orders_of is not None
    assert any(matches(f, fixture("vf", "prefixed")[0]) for f in PROTOCOL.topics_of(gate))
    assert any(matches(f, sent(OpenPassage(not_after=NOW), prefix="east/")[0]) for f in PROTOCOL.orders_of(gate))


MESSAGES = fixtures("vf")


@given(bent(MESSAGES))
def test_a_bent_message_is_read_or_refused_and_nothing_else(message: tuple[str, bytes]) -> None:
    read_safely(PROTOCOL, *message)


@given(st.sampled_from(MESSAGES), st.binary() | st.sampled_from(ROTTEN))
def test_rubbish_is_refused(message: tuple[str, Any], payload: bytes) -> None:
    assert read_safely(PROTOCOL, message[0], payload) is None
