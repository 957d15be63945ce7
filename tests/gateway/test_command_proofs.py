"""A command ends when something shows it: through the engine, with heartbeats and pictures as devices send them."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from msgspec.structs import replace

from devices.commands import CommandStatus
from devices.effects import Command, PersonEntry, Reboot, Speak, SyncPersons, SyncTime, TakeSnapshot
from devices.model import Outgoing
from devices.protocols import PROTOCOLS
from gateway.actions import SendCommand
from gateway.changes import Changes
from gateway.commandbook import CommandBook
from gateway.schedule import Schedule
from tests.devices.hostile import JPEG
from tests.gateway.shell import GATE, LAMP, START, Shell


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    made = Shell(tmp_path)
    say(made, "status", online=True, boot_id="one")
    yield made
    made.close()


def say(shell: Shell, leaf: str, *, address: str = GATE.address, clock_s: float = 0, **body: object) -> None:
    at = (shell.now + timedelta(seconds=clock_s)).isoformat()
    shell.take(shell.message(f"linli/v1/{address}/{leaf}", {"at": at, **body}))


def send(shell: Shell, kind: type[Command], **fields: object) -> str:
    command = kind(not_after=shell.now + timedelta(seconds=5), device=GATE.id, **fields)
    shell.ask(SendCommand(by="desk", command=command, command_id="c-1"))
    return "c-1"


def status(shell: Shell) -> CommandStatus:
    ((found,),) = shell.rows("SELECT status FROM commands")
    return CommandStatus(found)


def test_a_restart_is_done_with_another_boot_id_and_not_with_the_same(shell: Shell) -> None:
    command = send(shell, Reboot)
    say(shell, "answer", command_id=command, result="done")
    assert status(shell) is CommandStatus.ACCEPTED
    shell.pass_time(5)
    say(shell, "heartbeat", boot_id="one")
    assert status(shell) is CommandStatus.ACCEPTED
    shell.pass_time(60)
    say(shell, "heartbeat", boot_id="two")
    assert status(shell) is CommandStatus.DONE


def test_a_clock_is_set_when_the_next_heartbeat_shows_it(shell: Shell) -> None:
    say(shell, "heartbeat", boot_id="one", clock_s=40)
    send(shell, SyncTime)
    shell.pass_time(1)
    say(shell, "heartbeat", boot_id="one", clock_s=40)
    assert status(shell) is CommandStatus.SENT
    shell.pass_time(1)
    say(shell, "heartbeat", boot_id="one", clock_s=0.3)
    assert status(shell) is CommandStatus.DONE


def test_a_heartbeat_of_another_device_shows_nothing(shell: Shell) -> None:
    say(shell, "status", address=LAMP.address, online=True, boot_id="lamp")
    send(shell, SyncTime)
    shell.pass_time(1)
    say(shell, "heartbeat", address=LAMP.address, boot_id="lamp")
    assert status(shell) is CommandStatus.SENT


def test_a_picture_proves_a_snapshot_although_something_newer_came_before_it(shell: Shell) -> None:
    send(shell, TakeSnapshot)
    shell.pass_time(1)
    taken_at = shell.now
    shell.pass_time(1)
    shell.say(GATE, "access_taken")
    body = {
        "id": "p-1",
        "event": {"type": "frame_captured", "at": taken_at.isoformat()},
        "image": base64.b64encode(JPEG).decode(),
    }
    shell.take(shell.message(f"linli/v1/{GATE.address}/event", body))
    assert shell.rows("SELECT late FROM events WHERE type='frame_captured'") == [(1,)]
    assert status(shell) is CommandStatus.DONE


def test_a_picture_from_before_the_order_proves_nothing(shell: Shell) -> None:
    before = shell.now - timedelta(seconds=5)
    send(shell, TakeSnapshot)
    shell.take(
        shell.message(
            f"linli/v1/{GATE.address}/event",
            {
                "id": "p-1",
                "event": {"type": "frame_captured", "at": before.isoformat()},
                "image": base64.b64encode(JPEG).decode(),
            },
        )
    )
    assert status(shell) is CommandStatus.SENT
    shell.pass_time(21)
    assert status(shell) is CommandStatus.EXPIRED


def test_what_is_said_aloud_stands_in_no_record(shell: Shell) -> None:
    send(shell, Speak, text="请业主李某下楼")
    ((topic, order),) = shell.wire.published
    assert (topic, order["command"]) == (
        f"linli/v1/{GATE.address}/command",
        {"type": "speak", "text": "请业主李某下楼"},
    )
    ((body,),) = shell.rows("SELECT body FROM commands")
    assert "李某".encode() not in body


def test_a_photograph_is_never_left_to_the_broker_to_keep() -> None:
    kept = Outgoing(topic="t", payload=b"photo", qos=1)
    protocol = replace(PROTOCOLS["native"], encode=lambda *_: kept)
    turn = Changes()
    command = SyncPersons(not_after=START, device=GATE.id, put=(PersonEntry(id="ann", photo=b"x"),))
    CommandBook({"native": protocol}, Schedule()).send(command, "c-1", GATE, START, turn, by="lists")
    assert [sending.message for sending in turn.sendings] == [replace(kept, qos=0)]
