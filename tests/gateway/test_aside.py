"""Rows of the database that cannot be read: out of the way, never gone, and the rest works."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from api.commands.aside import app
from devices.effects import OpenPassage, ReadPlate
from devices.model import Device
from gateway import aside
from gateway.actions import ReloadDirectory, SendCommand
from gateway.changes import Changes, Job
from gateway.store import Store
from tests.gateway.shell import GATE, LAMP, Shell

OTHER = Device(id="gate-2", kind="face_gate", protocol="native", address="G2", community="c1")
BROKEN = [b"", b"{", b"\xff\x00garbage", b"null", b'{"id":7}', b'{"id":"somebody else"}']


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    made = Shell(tmp_path, devices=(GATE, LAMP, OTHER))
    yield made
    made.close()


def spoil(store: Store, table: str, name: str, body: bytes = b"{") -> None:
    with store.write() as db:
        assert db.execute(f"UPDATE {table} SET body = ? WHERE id = ?", (body, name)).rowcount == 1


def restarted(shell: Shell, folder: Path) -> Shell:
    shell.close()
    return Shell(folder, shell.now + timedelta(seconds=1), devices=())


@pytest.mark.parametrize("body", BROKEN)
def test_an_open_alert_that_cannot_be_read_is_restored_from_what_was_announced_of_it(
    shell: Shell, tmp_path: Path, body: bytes
) -> None:
    shell.say(GATE, "door_alarmed", state="DoorForcedOpen")
    (alert,) = shell.hub.alerts.open
    spoil(shell.store, "alerts", alert.id, body)
    shell.close()
    again = Shell(tmp_path, shell.now, devices=())
    assert again.hub.alerts.open == [alert]
    assert [(row.source, row.name) for row in aside.rows(again.store)] == [("alerts", alert.id)]
    again.pass_time(61)
    assert again.rows("SELECT change FROM alert_changes ORDER BY seq") == [("raised",), ("escalated",)]
    again.close()


def test_an_alert_nothing_can_be_read_of_is_set_aside_and_its_danger_is_told_anew(shell: Shell, tmp_path: Path) -> None:
    shell.say(GATE, "door_alarmed", state="DoorForcedOpen")
    (alert,) = shell.hub.alerts.open
    spoil(shell.store, "alerts", alert.id)
    with shell.store.write() as db:
        db.execute("UPDATE alert_changes SET body = 'x'")
    shell.close()
    again = Shell(tmp_path, shell.now, devices=())
    assert again.hub.alerts.open == []
    (told,) = aside.problems(again.store)
    assert "1 rows of alerts" in told
    assert alert.id in told
    again.pass_time(1)
    again.say(GATE, "door_alarmed", state="DoorForcedOpen")
    assert len(again.hub.alerts.open) == 1
    assert again.engine.bugs == 0
    again.close()


def test_a_closed_alert_that_cannot_be_read_costs_no_new_one(shell: Shell) -> None:
    shell.say(GATE, "door_alarmed", state="DoorForcedOpen")
    (alert,) = shell.hub.alerts.open
    shell.hub.alerts._by_key.clear()
    shell.hub.alerts._by_id.clear()
    with shell.store.write() as db:
        db.execute("UPDATE alerts SET body = 'x', open = 0")
        db.execute("UPDATE alert_changes SET body = 'x'")
    shell.pass_time(1)
    shell.say(GATE, "door_alarmed", state="DoorForcedOpen")
    assert [a.id != alert.id for a in shell.hub.alerts.open] == [True]
    assert shell.engine.bugs == 0


def test_a_device_that_cannot_be_read_is_set_aside_and_the_others_are_heard(shell: Shell, tmp_path: Path) -> None:
    shell.say(GATE, "door_alarmed", state="DoorOpenTooLong")
    spoil(shell.store, "devices", GATE.id)
    again = restarted(shell, tmp_path)
    assert [device.id for device in again.directory.devices()] == [OTHER.id, LAMP.id]
    again.say(OTHER, "door_alarmed", state="DoorForcedOpen")
    assert [a.type for a in again.hub.alerts.open if a.device == OTHER.id] == ["door_forced"]
    again.ask(ReloadDirectory(by="desk"))
    assert [str(a.condition) for a in again.hub.alerts.open if a.device == GATE.id] == ["active"], "it was not removed"
    assert "gate-1" in aside.problems(again.store)[0]
    again.close()


def test_commands_and_questions_that_cannot_be_read_do_not_stop_the_start(shell: Shell, tmp_path: Path) -> None:
    for device in (GATE, OTHER):
        shell.take(shell.message(f"linli/v1/{device.address}/status", {"online": True, "at": shell.now.isoformat()}))
    until = shell.now + timedelta(seconds=5)
    spoiled, sound = (
        shell.ask(SendCommand(by="desk", command=OpenPassage(not_after=until, device=device.id))).id
        for device in (GATE, OTHER)
    )
    batch = Changes()
    question = ReadPlate(evidence="e", captured_at=shell.now, not_after=until)
    batch.jobs = {name: Job(name, GATE.id, question) for name in ("aa" * 16, "bb" * 16)}
    shell.journal.commit(batch, shell.now)
    spoil(shell.store, "commands", spoiled)
    spoil(shell.store, "jobs", "aa" * 16)
    again = restarted(shell, tmp_path)
    assert list(again.hub.commands._open) == [sound]
    assert [job.id for job in again.journal.kept.pending_jobs()] == ["bb" * 16]
    assert sorted(row.source for row in aside.rows(again.store)) == ["commands", "jobs"]
    again.close()


def test_what_was_set_aside_is_listed_and_forgotten_by_hand_only(shell: Shell, tmp_path: Path) -> None:
    aside.set_aside(shell.store, "devices", LAMP.id, "why it could not be read")
    run = CliRunner()
    listed = run.invoke(app, ["list", "--data", str(tmp_path)])
    assert "devices lamp-1  why it could not be read" in listed.output
    assert run.invoke(app, ["forget", "1", "--data", str(tmp_path)]).exit_code == 0
    assert run.invoke(app, ["forget", "1", "--data", str(tmp_path)]).exit_code == 1
    assert aside.rows(shell.store) == []
