"""The archive of vendor messages of doors and barriers, where it lies beside the checkout: all that a device says is
understood, and what a platform said to one is what we say, but for ids, times and what we do not hold of a person.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from devices.archive import decode_file
from devices.effects import (
    AnswerCredential,
    CloseBarrier,
    Command,
    OpenPassage,
    PersonEntry,
    PlateEntry,
    Reboot,
    Speak,
    SyncPersons,
    SyncPlates,
)
from devices.model import Device, Outgoing
from devices.protocols import PROTOCOLS
from tests.devices.hostile import JPEG, NOW, ZONE

ARCHIVE = Path(__file__).resolve().parents[2] / "../shared/vendor"
OEM, VBAR, DAS = "A-face-access/face-mqtt-oem", "A-face-access/vbar-vf-dejaos", "A-face-access/das-thing-model"
YLD, VZENITH = "A-face-access/yld-face-mqtt", "B-lpr-barrier/vzenith-zhenshi"
FOLDERS = {OEM: "oem_face", VBAR: "vf", DAS: "das", YLD: "yld", VZENITH: "vzenith"}
pytestmark = [
    pytest.mark.shared,
    pytest.mark.skipif(not ARCHIVE.is_dir(), reason="no archive of vendor messages beside the checkout"),
]
SENT_AT = datetime(2026, 7, 15, 6, 47, tzinfo=UTC)


def archived(folder: str, file: str) -> tuple[str, Any]:
    found = json.loads((ARCHIVE / folder / f"{file}.json").read_text(encoding="utf-8"))
    return found["topic"].partition(" (")[0], found["payload"]


def encoded(protocol: str, command: Command, address: str, command_id: str, **device: Any) -> tuple[str, Any]:
    registered = Device(id="d", kind="any", protocol=protocol, address=address, zone=str(ZONE), **device)
    message = PROTOCOLS[protocol].encode(command, command_id, registered, SENT_AT)
    assert isinstance(message, Outgoing)
    return message.topic, json.loads(message.payload)


def replied(protocol: str, topic: str, message: Any) -> tuple[str, Any]:
    (reply,) = PROTOCOLS[protocol].decode(topic, json.dumps(message).encode(), NOW, ZONE).replies
    return reply.topic, json.loads(reply.payload)


def told(kind: type[Command], **fields: Any) -> Command:
    return kind(not_after=SENT_AT, **fields)


def local(year: int, month: int, day: int, hour: int = 0) -> datetime:
    return datetime(year, month, day, hour, tzinfo=ZONE)


@pytest.mark.parametrize(("folder", "protocol"), FOLDERS.items())
def test_everything_a_device_says_is_an_event_or_ignored_for_a_reason_of_its_protocol(
    folder: str, protocol: str
) -> None:
    files = sorted((ARCHIVE / folder).glob("*.json"))
    assert files
    for path in files:
        if json.loads(path.read_text(encoding="utf-8"))["direction"] == "up":
            said = decode_file(path.read_bytes(), PROTOCOLS, received_at=NOW, zone=ZONE)
            assert said.get("protocol") == protocol, path.name
            assert said.get("events") or said.get("ignored"), (path.name, said)


# -- OEM face terminals ---------------------------------------------


@pytest.mark.parametrize("file", ["02-online-ack", "03-online-ack-with-messageId"])
def test_a_terminal_that_comes_is_greeted_as_it_expects(file: str) -> None:
    _, theirs = archived(OEM, file)
    owner = theirs["info"]["facesluiceId"]
    number = {"messageId": theirs["messageId"]} if "messageId" in theirs else {}
    comes = {"operator": "Online", **number, "info": {"facesluiceId": owner}}
    assert replied("oem_face", "mqtt/face/basic", comes) == (f"mqtt/face/{owner}", theirs)


def test_a_record_is_acknowledged_by_its_number() -> None:
    _, theirs = archived(OEM, "13-pushack")
    number = str(theirs["info"]["SnapOrRecordID"])
    info = {"facesluiceId": "7", "RecordID": number, "VerifyStatus": "1", "time": "2026-03-02 07:15:09"}
    topic, ours = replied("oem_face", "mqtt/face/7/Rec", {"operator": "RecPush", "info": info})
    assert topic == "mqtt/face/7"
    assert ours.pop("messageId")
    theirs.pop("messageId")
    assert ours == theirs


def test_what_opens_an_oem_terminal_and_plays_its_prompts_is_what_we_send() -> None:
    topic, theirs = archived(OEM, "15-unlock-open-door")
    said_on, ours = encoded("oem_face", told(OpenPassage), "{deviceId}", theirs["messageId"])
    for free in ("uid", "Showinfo"):  # who opens, and what the terminal shows
        assert isinstance(ours["info"].pop(free), str)
        theirs["info"].pop(free)
    assert (said_on, ours) == (topic, theirs)
    topic, theirs = archived(OEM, "17-voiceplay")
    speak = told(Speak, text=theirs["info"]["voicetype"])
    assert encoded("oem_face", speak, "{deviceId}", theirs["messageId"]) == (topic, theirs)


@pytest.mark.parametrize(
    ("file", "begins", "ends", "options", "withheld"),
    [
        (
            "18-editperson-base64",
            local(2019, 10, 10, 10),
            local(2019, 10, 10, 16),
            {},
            {"EffectNumber", "address", "birthday", "cardNum2", "cardType", "cardType2", "gender", "idCard", "nation"}
            | {"native", "notes", "strategyInfo", "telnum1"},
        ),
        (
            "19-editperson-uri",
            local(2024, 1, 1),
            local(2025, 12, 31),
            {"family": "camera"},
            {"gender", "birthday", "address", "idCard", "telnum1", "effectNumber", "picURI"},
        ),
    ],
)
def test_a_person_is_put_onto_an_oem_terminal_in_its_own_words(
    file: str, begins: datetime, ends: datetime, options: dict[str, str], withheld: set[str]
) -> None:
    topic, theirs = archived(OEM, file)
    info = theirs["info"]
    person = PersonEntry(id=info["customId"], name=info["name"], photo=JPEG, valid_from=begins, valid_to=ends)
    put = told(SyncPersons, put=(person,))
    said_on, ours = encoded("oem_face", put, "{deviceId}", theirs["messageId"], options=options)
    # The archive's are permanent and have dates all the same; ours with dates end by them. A picture differs.
    validity = {"tempCardType", "tempValid"} & info.keys()
    assert {ours["info"].pop(key) for key in validity} == {1}
    assert ours["info"].pop("pic").startswith("data:image/jpeg;base64,")
    expected = {key: value for key, value in info.items() if key not in withheld | validity | {"pic"}}
    assert (said_on, ours["operator"], ours["info"]) == (topic, theirs["operator"], expected)


def test_a_batch_is_framed_and_counted_as_an_oem_terminal_wants_it() -> None:
    topic, theirs = archived(OEM, "21-editpersonsnew-batch")
    named = [(one["customId"], one["name"]) for one in theirs["info"]]
    put = tuple(PersonEntry(id=person, name=name) for person, name in named)
    said_on, ours = encoded("oem_face", told(SyncPersons, put=put), "{deviceId}", theirs["messageId"])
    assert said_on == topic
    assert ours["PersonNum"] == str(len(named))  # the archive's list is cut short, its number is not
    assert [(one["customId"], one["name"]) for one in ours["info"]] == named
    assert {**ours, "PersonNum": "", "info": []} == {**theirs, "PersonNum": "", "info": []}


@pytest.mark.parametrize("file", ["26-delperson", "28-deletepersons-batch"])
def test_who_leaves_is_deleted_in_the_words_of_an_oem_terminal(file: str) -> None:
    topic, theirs = archived(OEM, file)
    named = theirs["info"]["customId"]
    gone = tuple(named) if isinstance(named, list) else (named,)
    said_on, ours = encoded("oem_face", told(SyncPersons, remove=gone), "{deviceId}", theirs["messageId"])
    if theirs.pop("PersonNum", ""):
        assert ours.pop("PersonNum") == str(len(gone))  # cut short, as above
    assert (said_on, ours) == (topic, theirs)


# -- Vbar, DAS, YLD ---------------------------------------------


def permitted(record: Any) -> PersonEntry:
    begins, ends = (datetime.fromtimestamp(record["time"]["range"][key], UTC) for key in ("beginTime", "endTime"))
    return PersonEntry(id=record["id"], cards=(record["code"].upper(),), valid_from=begins, valid_to=ends)


@pytest.mark.parametrize(
    ("file", "command"),
    [
        ("07-access_online_reply", lambda m: told(AnswerCredential, reply_to=f"v1/{m['serialNo']}", allowed=True)),
        ("08-control-open-door", lambda _: told(OpenPassage)),
        ("10-insertPermission", lambda m: told(SyncPersons, put=(permitted(m["data"][0]),))),
    ],
)
def test_a_vbar_terminal_is_told_in_its_own_words(file: str, command: Callable[[Any], Command]) -> None:
    topic, theirs = archived(VBAR, file)
    assert encoded("vf", command(theirs), "{sn}", theirs["serialNo"]) == (topic, theirs)


def test_a_vbar_terminals_record_is_acknowledged_by_its_number() -> None:
    _, record = archived(VBAR, "03-event-access")
    _, theirs = archived(VBAR, "05-access_reply")
    topic = f"access_device/v2/event/{record['uuid']}/access_reply"
    assert replied("vf", "access_device/v2/event/access", record) == (topic, theirs)


@pytest.mark.parametrize(("asked", "answer"), [("01-heart", "02-heart-response"), ("03-ntp", "04-ntp-response")])
def test_a_das_device_is_answered_with_our_times(asked: str, answer: str) -> None:
    _, theirs = archived(DAS, answer)
    topic = f"sys/p/d/thing/{asked.partition('-')[2]}"
    said_on, ours = replied("das", topic, archived(DAS, asked)[1])
    times = {"time", "serverRecvTime", "serverSendTime"} & theirs.keys()
    assert {ours.pop(key) for key in times} == {int(NOW.timestamp() * 1000)}
    assert (said_on, ours) == (f"{topic}/response", {key: theirs[key] for key in theirs.keys() - times})


@pytest.mark.parametrize(("file", "kind"), [("02-gpio-control-open-door", OpenPassage), ("03-reboot_cam", Reboot)])
def test_a_yld_terminal_is_told_in_its_own_words(file: str, kind: type[Command]) -> None:
    topic, theirs = archived(YLD, file)
    options = {"client_id": theirs["client_id"]}
    assert encoded("yld", told(kind), "{sn}", theirs["cmd_id"], options=options) == (topic, theirs)


# -- Vzenith cameras ---------------------------------------------


@pytest.mark.parametrize(
    ("file", "command", "params"),
    [
        ("08-gpio_out-open-barrier", lambda _: told(OpenPassage), {}),
        ("09-gpio_out-close-barrier", lambda _: told(CloseBarrier), {}),
        ("11-gate_direct_open", lambda _: told(OpenPassage), {"direct_open": 1}),
        ("13-white_list_operator-delete", lambda m: told(SyncPlates, remove=(m["payload"]["body"]["plate"],)), {}),
    ],
)
def test_a_vzenith_camera_is_told_in_its_own_words(
    file: str, command: Callable[[Any], Command], params: dict[str, float]
) -> None:
    topic, theirs = archived(VZENITH, file)
    said_on, ours = encoded("vzenith", command(theirs), theirs["sn"], theirs["id"], params=params)
    assert ours["timestamp"] == int(SENT_AT.timestamp())
    assert (said_on, ours | {"timestamp": 0}) == (topic.replace("{sn}", theirs["sn"]), theirs | {"timestamp": 0})


def test_a_plate_is_put_onto_a_vzenith_camera_as_over_tcp_within_the_envelope_of_mqtt() -> None:
    _, theirs = archived(VZENITH, "14-white_list_operator-update_or_add")
    (record,) = theirs["dldb_rec"]
    day = local(2021, 1, 28)
    plate = PlateEntry(plate=record["plate"], valid_from=day, valid_to=day + timedelta(days=1, seconds=-1))
    _, ours = encoded("vzenith", told(SyncPlates, put=(plate,)), "sn-1", theirs.pop("id"))
    assert theirs.pop("cmd") == ours["name"] == ours["payload"]["type"]
    assert ours["payload"]["body"] == theirs
