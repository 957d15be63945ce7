"""What could break the engine's promises: poison that only the disk refuses, plug-ins that change, clocks that step."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from concurrent.futures import Future
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from devices.alerts import Disposition, Work
from devices.effects import Effect, OpenPassage, RaiseAlert, ReadPlate, RecordPoint, SetLamp
from devices.events import DoorAlarmed, DoorChanged, Event, Listing
from devices.model import Device, Reading
from gateway.actions import DisposeAlert, RefusedError, ReloadDirectory, SendCommand, WorkOnAlert
from gateway.changes import Changes, Job
from gateway.inbox import Inbox, Item, VisionAnswer
from gateway.journal import CommitError
from gateway.outage import Outage
from gateway.schedule import ClockWatch, Schedule
from gateway.settings import Limits
from gateway.vehicles import Vehicle
from tests.gateway.shell import BARRIER, GATE, LAMP, START, Shell
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

    shell.hub.states.kinds = {
        **shell.hub.states.kinds,
        "light": replace(shell.hub.states.kinds["light"], decide=decide),
    }


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


def test_a_bug_met_in_the_middle_of_a_batch_costs_that_message_alone_and_is_told_once(shell: Shell) -> None:
    """A batch is decided in one turn; one that meets a bug is decided message by message."""
    bring_online(shell)
    shell.wire.acked.clear()
    hub = shell.hub
    genuine, hub.states.kinds = hub.states.kinds, dict(hub.states.kinds)
    gate = genuine["face_gate"]

    def broken(state: Any, event: Event, device: Device) -> Any:
        if isinstance(event, DoorAlarmed):
            raise ZeroDivisionError
        return gate.decide(state, event, device)

    hub.states.kinds["face_gate"] = replace(gate, decide=broken)
    shell.take(
        shell.event(GATE, "access_granted", record="1", method="card", person="ann"),
        shell.event(GATE, "door_alarmed", record="2", state="DoorForcedOpen"),
        shell.event(GATE, "door_changed", record="3", open=True),
    )
    assert shell.engine.bugs == 1
    assert [kind for kind in shell.events() if kind != "device_status_changed"] == ["access_granted", "door_changed"]
    assert shell.rows("SELECT reason FROM quarantine") == [("our own error",)]
    assert len(shell.wire.acked) == 3
    hub.states.kinds = genuine
    shell.take(shell.event(GATE, "door_alarmed", record="2", state="DoorForcedOpen"))
    assert [kind for kind in shell.events() if kind != "device_status_changed"][-1] == "door_alarmed"


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


# -- plug-ins and registrations that change ---------------------------------------------------------------------------


def test_a_device_registered_as_another_kind_starts_anew_and_is_heard(shell: Shell, tmp_path: Path) -> None:
    shell.say(GATE, "door_changed", open=True)
    bugs = shell.engine.bugs
    shell.directory.put_device(replace(GATE, kind="light"))
    shell.ask(ReloadDirectory(by="desk"))
    shell.say(GATE, "lamp_measured", level_pct=1)
    shell.pass_time(120)
    assert shell.engine.bugs == bugs
    assert isinstance(shell.hub.states.devices[GATE.id].kind, type(shell.hub.states.kinds["light"].initial))
    again = Shell(tmp_path, devices=())
    assert isinstance(again.hub.states.devices[GATE.id].kind, type(again.hub.states.kinds["light"].initial))
    again.close()


def test_a_state_of_another_kind_is_not_taken_up_after_a_restart(shell: Shell, tmp_path: Path) -> None:
    shell.say(GATE, "door_changed", open=True)
    again = Shell(tmp_path, devices=(replace(GATE, kind="barrier"),))
    assert again.hub.states.devices[GATE.id].kind == again.hub.states.kinds["barrier"].initial
    assert again.hub.states.devices[GATE.id].link.last_seen is not None
    again.close()


@pytest.mark.parametrize("name", ["device:gate-1", "policy:offline:c1/default"])
def test_a_saved_state_of_an_older_shape_does_not_stop_the_start(shell: Shell, tmp_path: Path, name: str) -> None:
    bring_online(shell)
    shell.say(GATE, "door_changed", open=True)
    body = b'{"link":{"reboots":"many"},"kind":{"known":7},"known":9}'
    with shell.store.write() as db:
        assert db.execute("UPDATE states SET body=? WHERE name=?", (body, name)).rowcount == 1
    again = Shell(tmp_path)
    again.say(GATE, "door_changed", open=False)
    assert again.engine.bugs == 0
    again.close()


@pytest.mark.parametrize("missing", ["kinds", "protocols"])
def test_devices_of_a_plug_in_that_is_gone_are_set_aside_and_the_others_work(shell: Shell, missing: str) -> None:
    bring_online(shell)
    name = "light" if missing == "kinds" else "native"
    without = {key: value for key, value in getattr(shell.hub.states, missing).items() if key != name}
    setattr(shell.hub.states, missing, without)
    shell.say(LAMP, "lamp_measured", level_pct=1)
    shell.pass_time(3600)
    with pytest.raises(RefusedError, match="not installed"):
        shell.ask(SendCommand(by="desk", command=SetLamp(not_after=shell.now, device=LAMP.id, level_pct=1)))
    assert shell.rows("SELECT address, reason FROM quarantine") == [(LAMP.id, "its kind or protocol is not installed")]
    assert shell.engine.bugs == 0


def test_a_device_removed_and_registered_again_is_a_stranger(shell: Shell) -> None:
    bring_online(shell)
    shell.directory.remove_device(GATE.id)
    shell.ask(ReloadDirectory(by="desk"))
    assert shell.rows("SELECT name FROM states WHERE name='device:gate-1'") == []
    shell.directory.put_device(GATE)
    shell.ask(ReloadDirectory(by="desk"))
    with pytest.raises(RefusedError, match="offline"):
        shell.ask(SendCommand(by="desk", command=OpenPassage(not_after=shell.now.replace(year=2027), device=GATE.id)))
    known = [s.known for s in shell.hub.states.policies.values() if isinstance(s, Outage)]
    assert [set(devices) for devices in known] == [{LAMP.id}]


def test_a_shorter_limit_counts_from_the_moment_it_is_set(shell: Shell) -> None:
    shell.say(GATE, "door_changed", open=True)
    shell.directory.put_device(replace(GATE, params={"held_open_s": 5.0}))
    shell.ask(ReloadDirectory(by="desk"))
    shell.pass_time(6)
    assert ("door_held_open", "active", 1) in shell.alerts()


# -- one open alert for a key, and none lost --------------------------------------------------------------------------


def test_work_on_a_closed_alert_hides_no_open_one_of_the_same_key(shell: Shell) -> None:
    shell.say(GATE, "door_alarmed", state="DoorForcedOpen", record="1")
    (first,) = shell.hub.alerts.open
    shell.ask(DisposeAlert(by="desk", alert=first.id, disposition=Disposition.FALSE, reason="wind"))
    shell.pass_time(1)
    shell.say(GATE, "door_alarmed", state="DoorForcedOpen", record="2")
    batch, turn = Changes(), Changes()
    late = WorkOnAlert(by="backend", alert=first.id, work=Work.REJECTED)
    shell.hub.alerts.transition(late, shell.now, batch=Changes(), turn=batch)
    effect = RaiseAlert(code="door_forced", at=shell.now)
    shell.hub.alerts.raise_(effect, GATE, bytes(16), shell.now, late=False, batch=batch, turn=turn)
    batch.merge(turn)
    shell.journal.commit(batch, shell.now)
    assert shell.rows("SELECT count(*), sum(open) FROM alerts") == [(2, 1)]
    assert [(a.count, a.id == first.id) for a in turn.alerts.values()] == [(2, False)]


def test_a_repetition_announced_in_a_batch_that_failed_is_announced_again(shell: Shell) -> None:
    shell.say(GATE, "door_alarmed", state="DoorForcedOpen", record="1")
    shell.pass_time(61)
    blocker = hold_the_database(shell)
    again = shell.event(GATE, "door_alarmed", state="DoorForcedOpen", record="2")
    with pytest.raises(CommitError):
        shell.take(again)
    blocker.execute("ROLLBACK")
    shell.take(again)
    changes = shell.rows("SELECT change FROM alert_changes ORDER BY seq")
    assert changes == [("raised",), ("escalated",), ("repeated",)]


def test_a_clock_set_back_silences_no_repetition(shell: Shell) -> None:
    shell.say(GATE, "door_alarmed", state="DoorForcedOpen", record="1")
    shell.pass_time(-3600)
    shell.say(GATE, "door_alarmed", state="DoorForcedOpen", record="2")
    assert shell.rows("SELECT change FROM alert_changes ORDER BY seq") == [("raised",), ("repeated",)]


def test_an_old_outage_of_the_broker_does_not_hide_a_new_one(shell: Shell, tmp_path: Path) -> None:
    shell.wire.connected = False
    shell.pass_time(1)
    shell.pass_time(11)
    shell.wire.connected = True
    shell.pass_time(1)
    assert ("broker_offline", "cleared", 1) in shell.alerts()
    again = Shell(tmp_path, now=shell.now)
    again.wire.connected = False
    again.pass_time(1)
    again.pass_time(11)
    assert ("broker_offline", "active", 2) in again.alerts()
    again.close()


def test_a_full_disk_is_no_outage_of_the_broker(shell: Shell) -> None:
    blocker = hold_the_database(shell)
    opened = shell.event(GATE, "door_changed", open=True)
    for _ in range(3):
        with pytest.raises(CommitError) as refused:
            shell.take(opened)
        shell.engine._let_go(str(refused.value))
        shell.now += timedelta(seconds=10)
    blocker.execute("ROLLBACK")
    shell.take(opened)
    assert shell.alerts() == []
    assert shell.engine.trouble == ""


# -- deadlines and clocks ---------------------------------------------------------------------------------------------


def test_a_deadline_that_must_wait_for_the_broker_does_not_keep_the_engine_busy(shell: Shell) -> None:
    shell.say(GATE, "door_changed", open=True)
    shell.wire.connected = False
    shell.pass_time(3600)
    assert shell.engine._patience() > 0
    shell.wire.connected = True
    assert shell.engine._patience() == 0


def test_a_deadline_of_a_kind_that_does_not_pass_is_looked_at_once_a_second(shell: Shell) -> None:
    stuck = replace(shell.hub.states.kinds["light"], deadline=lambda _state, _device: START)
    shell.hub.states.kinds = {**shell.hub.states.kinds, "light": stuck}
    shell.say(LAMP, "lamp_measured", level_pct=1)
    shell.pass_time(10)
    assert shell.hub.schedule.next() == shell.now + timedelta(seconds=1)


def test_a_clock_set_forward_makes_nobody_silent(shell: Shell) -> None:
    bring_online(shell)
    shell.now += timedelta(hours=5)
    shell.engine._set_clocks(timedelta(hours=5))
    shell.pass_time(4)
    assert shell.alerts() == []
    assert all(state.link.online for state in shell.hub.states.devices.values())
    for _ in range(10):
        shell.pass_time(20)
    assert not any(state.link.online for state in shell.hub.states.devices.values())


def test_a_clock_set_back_does_not_hide_who_falls_silent(shell: Shell) -> None:
    bring_online(shell)
    shell.now -= timedelta(hours=5)
    shell.engine._set_clocks(timedelta(hours=-5))
    for _ in range(10):
        shell.pass_time(20)
    assert not any(state.link.online for state in shell.hub.states.devices.values())


def test_a_clock_set_back_makes_no_news_late(shell: Shell) -> None:
    shell.say(GATE, "door_changed", open=True)
    shell.now -= timedelta(hours=5)
    shell.engine._set_clocks(timedelta(hours=-5))
    shell.say(GATE, "door_changed", open=False)
    shell.say(GATE, "door_changed", open=True, at=shell.now - timedelta(seconds=20))
    assert shell.rows("SELECT late FROM events WHERE type='door_changed' ORDER BY seq") == [(0,), (0,), (1,)]


def test_the_engine_notices_that_the_clock_was_set() -> None:
    watch = ClockWatch()
    assert watch.stepped(START, 100.0) is None
    assert not watch.stepped(START + timedelta(seconds=60), 160.5)
    assert watch.stepped(START + timedelta(hours=1), 161.0) == timedelta(seconds=3539.5)
    assert not watch.stepped(START + timedelta(hours=1, seconds=1), 162.0)
    assert watch.stepped(START, 163.0)


def test_a_heartbeat_alone_reaches_the_disk_now_and_then_only(shell: Shell) -> None:
    bring_online(shell)
    before = shell.journal._db.total_changes
    for _ in range(5):
        shell.now += timedelta(seconds=1)
        bring_online(shell)
    assert shell.journal._db.total_changes == before


# -- the same record once, whatever its time --------------------------------------------------------------------------


def test_a_numbered_record_without_a_time_counts_once(shell: Shell) -> None:
    reading = Reading(event=DoorChanged(at=shell.now, open=True), record_id="7", timed=False)
    later = replace(reading, event=DoorChanged(at=shell.now + timedelta(seconds=9), open=True))
    message = shell.event(GATE, "door_changed", open=True)
    first, again = (shell.engine._reader._identify(GATE, said, 0, message) for said in (reading, later))
    assert first == again


# -- late dangers -----------------------------------------------------------------------------------------------------


def test_a_blocklisted_vehicle_that_is_told_late_raises_its_alert_and_opens_nothing(shell: Shell) -> None:
    shell.directory.put_vehicle(Vehicle(plate="川A12345", id="v1", listing=Listing.BLOCK))
    shell.directory.put_vehicle(Vehicle(plate="川A54321", id="v2", listing=Listing.ALLOW))
    bring_online(shell)
    then = shell.now - timedelta(hours=2)
    shell.say(BARRIER, "plate_captured", plate="川A12345", at=then)
    shell.say(BARRIER, "plate_captured", plate="川A54321", at=then)
    shell.say(BARRIER, "plate_captured", plate="川A99999", at=then)
    assert [(a.type, a.first_seen, a.late) for a in shell.hub.alerts.open] == [("blocklisted_plate", then, True)]
    assert shell.wire.published == []


# -- nothing grows without bound, and a backlog is no flood -----------------------------------------------------------


def test_what_gathered_while_we_were_away_is_no_flood(shell: Shell) -> None:
    reader = shell.engine._reader
    reader._limits = Limits(device_rate=1, device_burst=5)
    reader.pardon(20)
    shell.take(*(shell.event(GATE, "door_changed", open=True, record=str(n)) for n in range(30)))
    assert shell.rows("SELECT count(*), max(reason) FROM quarantine") == [(5, "flood")]


def test_the_engine_pardons_for_as_long_as_it_was_not_connected(shell: Shell) -> None:
    shell.engine._reader._limits = Limits(device_rate=1, device_burst=5)
    shell.engine._follow_connection()
    shell.wire.connected = False
    shell.now += timedelta(seconds=20)
    shell.engine._follow_connection()
    shell.wire.connected, shell.wire.epoch = True, 2
    shell.engine._follow_connection()
    shell.take(*(shell.event(GATE, "door_changed", open=True, record=str(n)) for n in range(30)))
    assert shell.rows("SELECT count(*), max(reason) FROM quarantine") == [(5, "flood")]


def test_a_schedule_holds_no_more_than_its_names() -> None:
    schedule = Schedule()
    for n in range(100_000):
        schedule.want(("policy", str(n % 10)), START - timedelta(seconds=n))
    assert len(schedule) < 5_000
    for n in range(10):
        schedule.forget(("policy", str(n)))
    assert schedule.pop(START, 10) == []


def test_a_policy_forgets_its_deadline_with_its_state(shell: Shell) -> None:
    for n in range(3):
        plate = f"川A1234{n}"
        shell.say(BARRIER, "vehicle_passed", plate=plate, direction="in", record=f"i{n}")
        shell.say(BARRIER, "vehicle_passed", plate=plate, direction="out", record=f"o{n}")
    shell.pass_time(8 * 86_400)
    assert not [name for name in shell.hub.states.policies if name[0] == "vehicle_overstay"]
    assert not [name for name in shell.hub.schedule._due if name[:2] == ("policy", "vehicle_overstay")]


def test_invented_plates_do_not_fill_the_memory(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.states.SCOPES_AT_MOST", 2)
    for n in range(5):
        shell.say(BARRIER, "vehicle_passed", plate=f"川A1234{n}", direction="in", record=f"i{n}")
    stays = [name for name in shell.hub.states.policies if name[0] == "vehicle_overstay"]
    assert len(stays) == 2
    assert len(shell.rows("SELECT name FROM states WHERE name LIKE 'policy:vehicle_overstay:%'")) == 2


def test_long_invented_topics_are_not_remembered(shell: Shell) -> None:
    for n in range(3):
        shell.take(shell.message("x" * 5_000 + str(n), b"{}"))
    assert not shell.engine._reader._routes._known


def test_a_request_that_waits_for_the_disk_is_answered_when_the_gateway_stops(shell: Shell) -> None:
    waiting: Future[Any] = Future()
    shell.engine._retry = [Item(ReloadDirectory(by="desk"), waiting)]
    shell.engine.stop()
    assert isinstance(waiting.exception(0), RefusedError)


def test_a_sensor_finishes_only_the_commands_of_its_own_device(shell: Shell) -> None:
    bring_online(shell)
    until = shell.now + timedelta(seconds=5)
    shell.ask(SendCommand(by="desk", command=SetLamp(not_after=until, device=LAMP.id, level_pct=40)))
    shell.ask(SendCommand(by="desk", command=OpenPassage(not_after=until, device=GATE.id)))
    shell.say(LAMP, "lamp_measured", level_pct=40)
    assert shell.rows("SELECT device, status FROM commands ORDER BY device") == [(GATE.id, "sent"), (LAMP.id, "done")]
    assert list(shell.hub.commands._open_of) == [GATE.id]


def test_alerts_that_nobody_disposes_of_leave_the_memory_and_are_found_again(shell: Shell) -> None:
    shell.say(GATE, "door_changed", open=True)
    shell.pass_time(60)
    shell.say(GATE, "door_changed", open=False)
    ((held, _),) = shell.rows("SELECT id, condition FROM alerts WHERE type='door_held_open'")
    shell.pass_time(1200)
    shell.hub.alerts._room = 1
    shell.say(LAMP, "lamp_faulted", fault="lampFailure", active=True)
    assert "door_held_open" not in {a.type for a in shell.hub.alerts.open}
    shell.say(GATE, "door_changed", open=True)
    shell.pass_time(60)
    assert shell.rows("SELECT id, condition FROM alerts WHERE type='door_held_open'") == [(held, "active")]


class Watched(dict[Any, Any]):
    """Tells which keys were ever taken out."""

    def __init__(self, held: dict[Any, Any]) -> None:
        super().__init__(held)
        self.missed: list[Any] = []

    def pop(self, key: Any, default: Any = None) -> Any:
        self.missed.append(key)
        return super().pop(key, default)


def test_a_device_that_is_changed_is_never_a_stranger_meanwhile(shell: Shell) -> None:
    watched = shell.directory._addresses = Watched(shell.directory._addresses)
    shell.directory.put_device(replace(GATE, name="Gate 1"))
    assert watched.missed == []
    shell.directory.put_device(replace(GATE, address="G2"))
    assert watched.missed == [("native", "G1")]


def test_deadlines_are_taken_in_bounded_batches_the_longest_waiting_first() -> None:
    schedule = Schedule()
    for n in range(25):
        schedule.want(("policy", str(n)), START - timedelta(seconds=n))
    taken = [schedule.pop(START, 10) for _ in range(4)]
    assert [len(names) for names in taken] == [10, 10, 5, 0]
    assert [int(name[1]) for names in taken for name in names] == list(range(24, -1, -1))
