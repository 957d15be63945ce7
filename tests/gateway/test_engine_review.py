"""What could break the engine's promises: poison that only the disk refuses, plug-ins that change, clocks that step."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from devices.effects import Effect, OpenPassage, ReadPlate, RecordPoint
from devices.events import Event
from devices.model import Device
from gateway.actions import SendCommand
from gateway.changes import Job
from gateway.inbox import Inbox, Item, VisionAnswer
from gateway.journal import CommitError
from tests.gateway.shell import GATE, LAMP, Shell
from vision.types import Unreadable


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    made = Shell(tmp_path)
    yield made
    made.close()


def hold_the_database(shell: Shell) -> sqlite3.Connection:
    """Another writer that does not let go: commits fail, as on a full disk."""
    blocker = sqlite3.connect(shell.settings.database, isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")
    shell.journal._db.execute("PRAGMA busy_timeout=10")
    return blocker


def give_the_lamp_a_kind_with_a_bug(shell: Shell) -> None:
    """A plug-in whose figure no database takes."""

    def decide(state: Any, event: Event, _device: Device) -> tuple[Any, list[Effect]]:
        return state, [RecordPoint(metric="bent_w", value=float("nan"), at=event.at)]

    shell.hub._kinds = {**shell.hub._kinds, "light": replace(shell.hub._kinds["light"], decide=decide)}


def bring_online(shell: Shell) -> None:
    for device in (GATE, LAMP):
        shell.take(shell.message(f"linli/v1/{device.address}/heartbeat", {"at": shell.now.isoformat()}))


# -- one bug costs one message ----------------------------------------------------------------------------------------


def test_a_message_the_database_refuses_costs_itself_alone(shell: Shell) -> None:
    bring_online(shell)
    give_the_lamp_a_kind_with_a_bug(shell)
    shell.wire.acked.clear()
    shell.take(
        shell.event(GATE, "door_alarmed", state="DoorForcedOpen", record="1"),
        shell.event(LAMP, "lamp_measured", level_pct=1, record="2"),
        shell.event(GATE, "door_changed", open=True, record="3"),
    )
    assert shell.rows("SELECT topic, reason FROM quarantine") == [("linli/v1/P1/event", "our own error")]
    assert {"door_alarmed", "door_changed"} <= set(shell.events())
    assert shell.alerts() == [("door_forced", "active", 1)]
    assert len(shell.wire.acked) == 3
    assert shell.engine.bugs > 0


def test_a_command_asked_for_beside_such_a_message_is_published_once(shell: Shell) -> None:
    bring_online(shell)
    give_the_lamp_a_kind_with_a_bug(shell)
    command = OpenPassage(not_after=shell.now.replace(year=2027), device=GATE.id)
    item = Item(SendCommand(by="desk", command=command))
    shell.engine._round([shell.event(LAMP, "lamp_measured", level_pct=1)], [item])
    shell.settle()
    assert [topic for topic, _ in shell.wire.published] == ["linli/v1/G1/command"]


def test_a_database_that_cannot_be_read_is_waited_for_like_one_that_cannot_be_written(shell: Shell) -> None:
    shell.journal._db.execute("ALTER TABLE events RENAME TO away")
    opened = shell.event(GATE, "door_changed", open=True)
    with pytest.raises(CommitError):
        shell.take(opened)
    shell.journal._db.execute("ALTER TABLE away RENAME TO events")
    shell.take(opened)
    assert "door_changed" in shell.events()


# -- the engine never waits for itself --------------------------------------------------------------------------------


def test_answers_of_vision_are_taken_however_full_the_inbox_is() -> None:
    inbox = Inbox(limit=1)
    for n in range(3):
        inbox.answer(VisionAnswer(job=str(n), look=Unreadable(reason="vision is busy")))
    assert len(inbox.take()) == 3
    inbox.close()


def test_a_question_about_a_picture_that_cannot_be_read_is_answered(shell: Shell) -> None:
    question = ReadPlate(evidence="../escape", captured_at=shell.now, not_after=shell.now.replace(year=2027))
    shell.engine._dispatch.look(Job("00" * 16, GATE.id, question), shell.now)
    (item,) = shell.inbox.take()
    assert isinstance(item.what, VisionAnswer)
    assert item.what.look == Unreadable(reason="the picture is gone")


# -- requests while the disk is full ----------------------------------------------------------------------------------


def test_requests_wait_in_the_bounded_inbox_while_the_disk_is_full(shell: Shell) -> None:
    blocker = hold_the_database(shell)
    command = OpenPassage(not_after=shell.now, device=GATE.id)
    for _ in range(3):
        shell.inbox.put(Item(SendCommand(by="desk", command=command)))
        with pytest.raises(CommitError):
            shell.engine._round([shell.event(GATE, "door_changed", open=True)], shell.engine._requests())
    assert len(shell.engine._retry) == 1
    assert len(shell.inbox) == 2
    blocker.execute("ROLLBACK")
