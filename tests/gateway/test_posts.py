"""Posts through the engine: durable, then answered; an opening goes out with the answer or not at all."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import Future
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from devices.effects import OpenPassage, TakeSnapshot
from devices.events import Listing
from devices.model import Device, HttpPart, HttpPush
from gateway.access import Access
from gateway.actions import SendCommand
from gateway.inbox import Item, PostAnswer, Posted, StreamLost
from gateway.journal import CommitError
from gateway.vehicles import Vehicle
from simulators.http_door import JPEG, HttpDoor
from tests.e2e.running import eventually
from tests.gateway.shell import START, Shell
from tests.gateway.test_engine import hold_the_database

LANE = Device(
    id="lane-9",
    kind="barrier",
    protocol="vzenith_push",
    address="aa11bb22-cc33dd44",
    community="c1",
    options={"transport": "http"},
)
DOOR = Device(id="door-9", kind="face_gate", protocol="hik_access", address="HIK009", community="c1")
CAMERA = Device(id="cam-9", kind="camera", protocol="hik_camera", address="CAM009", community="c1")
DEVICES = (LANE, DOOR, CAMERA)
PLATE = "粤B12345"


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    made = Shell(tmp_path, devices=DEVICES)
    yield made
    made.close()


def item(shell: Shell, device: Device, body: Any) -> Item:
    push = HttpPush(address=device.address, parts=(HttpPart(body=json.dumps(body).encode()),))
    return Item(Posted(protocol=device.protocol, push=push, received_at=shell.now), Future())


def post(shell: Shell, device: Device, body: Any) -> PostAnswer:
    entry = item(shell, device, body)
    shell.engine._round([], [entry])
    shell.settle()
    assert entry.answer is not None
    return entry.answer.result(0)


def plate(shell: Shell, number: int = 1, *, offline: int = 0) -> dict[str, Any]:
    result = {
        "license": PLATE,
        "plateid": number,
        "isoffline": offline,
        "timeStamp": {"Timeval": {"sec": int(shell.now.timestamp()), "usec": 0}},
    }
    return {"AlarmInfoPlate": {"serialno": LANE.address, "result": {"PlateResult": result}}}


def allow(shell: Shell) -> None:
    shell.directory.put_vehicle(Vehicle(plate=PLATE, id="v-1", listing=Listing.ALLOW))


def said(answer: PostAnswer) -> dict[str, Any]:
    reply = answer.order or answer.reply
    assert reply is not None
    found: dict[str, Any] = json.loads(reply.payload)["Response_AlarmInfoPlate"]
    return found


def test_a_plate_that_may_pass_is_opened_for_in_the_answer_and_only_once(shell: Shell) -> None:
    allow(shell)
    first = post(shell, LANE, plate(shell))
    assert said(first) == {"info": "ok", "content": "retransfer_stop", "is_pay": "true"}
    assert first.not_after == START + timedelta(seconds=8)
    again = post(shell, LANE, plate(shell))  # the answer was lost on the way
    assert said(again)["info"] == "no"
    assert shell.rows("SELECT status FROM commands") == [("sent",)]
    assert shell.wire.published == []


def test_an_opening_whose_answer_nobody_confirms_has_expired(shell: Shell) -> None:
    allow(shell)
    post(shell, LANE, plate(shell))
    shell.pass_time(20)
    assert shell.rows("SELECT status FROM commands") == [("expired",)]


def test_a_stranger_s_plate_is_answered_and_not_opened_for(shell: Shell) -> None:
    answer = post(shell, LANE, plate(shell, offline=1))
    assert said(answer) == {
        "info": "no",
        "content": "retransfer_stop",
        "is_pay": "false",
        "ContinuePushOffline": {"plateid": 1, "continue": 1},
    }
    assert shell.rows("SELECT status FROM commands") == []


def test_a_guard_cannot_open_where_only_answers_open_and_is_told(shell: Shell) -> None:
    post(shell, LANE, plate(shell))
    shell.ask(SendCommand(by="desk", command=OpenPassage(device=LANE.id, not_after=shell.now + timedelta(seconds=5))))
    ((status, reason),) = shell.rows("SELECT status, reason FROM commands")
    assert status == "failed"
    assert "answer to what it posts" in reason


def access(number: int, shell: Shell) -> dict[str, Any]:
    event = {"majorEventType": 5, "subEventType": 75, "serialNo": number, "employeeNoString": "0042"}
    return {"eventType": "AccessControllerEvent", "dateTime": shell.now.isoformat(), "AccessControllerEvent": event}


def test_a_post_is_answered_after_its_facts_are_on_disk_and_refused_when_they_cannot_be(shell: Shell) -> None:
    blocker = hold_the_database(shell)
    refused = item(shell, DOOR, access(1, shell))
    with pytest.raises(CommitError):
        shell.engine._round([], [refused])
    assert refused.answer is not None
    with pytest.raises(CommitError):
        refused.answer.result(0)
    assert shell.engine._retry == []
    assert shell.events() == []
    blocker.execute("ROLLBACK")
    assert post(shell, DOOR, access(1, shell)).status == 200
    assert post(shell, DOOR, access(1, shell)).status == 200
    assert shell.events().count("access_granted") == 1


def test_a_post_that_nothing_can_write_down_is_set_aside_alone(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    commit = shell.journal.commit

    def picky(batch: Any, now: Any) -> None:
        if any(getattr(row.event, "person", "") == "0042" for row in batch.events):
            raise TypeError("no column for this")
        commit(batch, now)

    monkeypatch.setattr(shell.journal, "commit", picky)
    other = access(2, shell)
    other["AccessControllerEvent"]["employeeNoString"] = "0043"
    entries = [item(shell, DOOR, access(1, shell)), item(shell, DOOR, other)]
    shell.engine._round([], entries)
    assert [entry.answer.result(0).status for entry in entries if entry.answer] == [500, 200]
    assert shell.rows("SELECT reason FROM quarantine") == [("our own error",)]


def test_a_post_for_another_device_is_refused(shell: Shell) -> None:
    body = plate(shell)
    body["AlarmInfoPlate"]["serialno"] = "somebody-else"
    assert post(shell, LANE, body).status == 422
    assert shell.rows("SELECT address, reason FROM quarantine") == [
        (f"vzenith_push:{LANE.address}", "device id in topic and payload differ")
    ]


@pytest.fixture
def door() -> Iterator[HttpDoor]:
    made = HttpDoor()
    yield made
    made.close()


def command(shell: Shell, device: Device, kind: type[Any]) -> None:
    shell.ask(SendCommand(by="desk", command=kind(device=device.id, not_after=shell.now + timedelta(seconds=5))))


def outcome(shell: Shell) -> tuple[str, str]:
    """Where the last command stands, once something came back."""

    def came() -> bool:
        shell.settle()
        return bool(shell.rows("SELECT 1 FROM commands WHERE status <> 'sent'"))

    eventually(came, what="the outcome")
    ((status, reason),) = shell.rows("SELECT status, reason FROM commands")
    return status, reason


def test_a_door_is_opened_by_a_call_and_proven_by_its_contact(shell: Shell, door: HttpDoor) -> None:
    shell.access.put(DOOR.id, Access(url=door.url, username=door.username, password=door.password))
    post(shell, DOOR, access(1, shell))
    command(shell, DOOR, OpenPassage)
    assert outcome(shell) == ("accepted", "")
    opened = access(2, shell)
    opened["AccessControllerEvent"]["subEventType"] = 25
    post(shell, DOOR, opened)
    assert shell.rows("SELECT status FROM commands") == [("done",)]
    assert [told.path for told in door.told] == ["/ISAPI/AccessControl/RemoteControl/door/1"]


def test_a_door_that_refuses_says_why(shell: Shell, door: HttpDoor) -> None:
    door.reply = "refuse"
    shell.access.put(DOOR.id, Access(url=door.url, username=door.username, password=door.password))
    post(shell, DOOR, access(1, shell))
    command(shell, DOOR, OpenPassage)
    assert outcome(shell) == ("failed", "HTTP 403, statusCode 4 notSupport")


def test_a_door_whose_reply_is_lost_is_neither_failed_nor_called_again(shell: Shell, door: HttpDoor) -> None:
    door.reply = "none"
    shell.access.put(DOOR.id, Access(url=door.url, username=door.username, password=door.password))
    post(shell, DOOR, access(1, shell))
    command(shell, DOOR, OpenPassage)
    eventually(lambda: not shell.caller._waiting, what="the end of the call")
    shell.pass_time(1)
    assert shell.rows("SELECT status FROM commands") == [("sent",)]
    shell.pass_time(10)
    assert shell.rows("SELECT status, reason FROM commands") == [("expired", "no answer from the device")]
    assert len(door.told) == 1


def test_a_snapshot_comes_with_the_reply(shell: Shell, door: HttpDoor) -> None:
    shell.access.put(CAMERA.id, Access(url=door.url, username=door.username, password=door.password))
    post(shell, CAMERA, {"eventType": "heartBeat", "dateTime": shell.now.isoformat()})
    command(shell, CAMERA, TakeSnapshot)
    assert outcome(shell) == ("done", "")
    assert shell.events().count("frame_captured") == 1
    assert shell.rows("SELECT size, device FROM captures") == [(len(JPEG), CAMERA.id)]


def test_without_access_a_command_says_what_is_missing(shell: Shell) -> None:
    post(shell, DOOR, access(1, shell))
    command(shell, DOOR, OpenPassage)
    assert outcome(shell) == ("failed", "door-9: the url of its access is not set")


def test_a_device_whose_stream_is_gone_is_offline_until_it_is_heard(shell: Shell) -> None:
    def lost(seconds: float) -> None:
        since = shell.now - timedelta(seconds=seconds)
        shell.engine._round([], [Item(StreamLost(device=CAMERA.id, since=since))])

    def online() -> bool | None:
        return shell.hub.states.devices[CAMERA.id].link.online

    beat = {"eventType": "heartBeat", "eventState": "active"}
    lost(30)  # never heard: nothing to be told
    assert shell.events() == []
    assert post(shell, CAMERA, beat).status == 200
    shell.pass_time(20)
    lost(30)  # it posted meanwhile
    assert online() is True
    shell.pass_time(20)
    for _ in range(2):
        lost(30)
    assert online() is False
    assert shell.events() == ["device_status_changed"] * 2
    assert post(shell, CAMERA, beat).status == 200
    assert online() is True
