"""The way of a message: durable before acknowledged, once and only once, and nothing moved by what comes late."""

import sqlite3
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from devices.effects import OpenPassage, SetLamp
from devices.events import Listing
from gateway.actions import NotFoundError, RefusedError, SendCommand
from gateway.journal import CommitError
from gateway.metrics import REGISTRY
from gateway.vehicles import Vehicle
from tests.gateway.shell import BARRIER, GATE, LAMP, START, Shell


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


def test_a_message_is_acknowledged_after_its_facts_are_on_disk(shell: Shell) -> None:
    shell.say(GATE, "door_changed", open=True)
    assert "door_changed" in shell.events()
    assert len(shell.wire.acked) == 1


def test_facts_and_alerts_are_counted_by_type(shell: Shell) -> None:
    def counted(metric: str, kind: str) -> float:
        return REGISTRY.get_sample_value(metric, {"type": kind}) or 0.0

    before = counted("linli_events_total", "door_alarmed"), counted("linli_alerts_total", "door_forced")
    shell.say(GATE, "door_alarmed", state="DoorForcedOpen")
    after = counted("linli_events_total", "door_alarmed"), counted("linli_alerts_total", "door_forced")
    assert after == (before[0] + 1, before[1] + 1)


def test_nothing_is_acknowledged_decided_or_sent_when_the_commit_fails(shell: Shell) -> None:
    blocker = hold_the_database(shell)
    card = shell.event(GATE, "credential_presented", method="card", value="unknown")
    with pytest.raises(CommitError):
        shell.take(card)
    assert shell.wire.acked == []
    assert shell.wire.published == []
    assert GATE.id not in shell.hub.states.devices
    blocker.execute("ROLLBACK")
    shell.take(card)
    assert shell.events().count("credential_presented") == 1
    assert len(shell.wire.acked) == 1


def test_a_redelivered_message_is_acknowledged_and_changes_nothing(shell: Shell) -> None:
    alarm = shell.event(GATE, "door_alarmed", state="DoorForcedOpen", record="7")
    shell.take(alarm)
    shell.take(alarm)
    shell.take(alarm, alarm)
    assert shell.alerts() == [("door_forced", "active", 1)]
    assert shell.events().count("door_alarmed") == 1
    assert len(shell.wire.acked) == 4


def test_a_redelivered_message_changes_nothing_after_a_restart(shell: Shell, tmp_path: Path) -> None:
    alarm = shell.event(GATE, "door_alarmed", state="DoorForcedOpen")
    shell.take(alarm)
    again = Shell(tmp_path)
    again.take(alarm)
    assert again.alerts() == [("door_forced", "active", 1)]
    again.close()


def test_one_open_alert_for_two_messages_of_one_batch(shell: Shell) -> None:
    shell.take(
        shell.event(GATE, "door_alarmed", state="DoorForcedOpen", record="1"),
        shell.event(GATE, "door_alarmed", state="DoorForcedOpen", record="2"),
    )
    assert shell.alerts() == [("door_forced", "active", 2)]
    assert len(shell.rows("SELECT id FROM alerts")) == 1


def test_a_late_fact_is_kept_and_moves_nothing(shell: Shell) -> None:
    shell.say(GATE, "door_changed", open=False)
    before = shell.hub.states.devices[GATE.id].kind
    shell.say(GATE, "door_changed", open=True, at=START - timedelta(seconds=30))
    assert shell.hub.states.devices[GATE.id].kind == before
    assert shell.rows("SELECT late FROM events WHERE type='door_changed' ORDER BY seq") == [(0,), (1,)]


def test_a_late_danger_still_raises_its_alert_with_its_true_time(shell: Shell) -> None:
    shell.say(GATE, "door_changed", open=False)
    then = START - timedelta(hours=1)
    shell.say(GATE, "door_alarmed", state="DoorForcedOpen", at=then)
    (alert,) = shell.hub.alerts.open
    assert (alert.type, alert.first_seen, alert.late) == ("door_forced", then, True)


def test_a_late_end_of_a_danger_clears_nothing(shell: Shell) -> None:
    shell.say(LAMP, "lamp_faulted", fault="lampFailure", active=True)
    shell.say(LAMP, "lamp_faulted", fault="lampFailure", active=False, at=START - timedelta(minutes=5))
    assert [a for a in shell.alerts() if a[0] == "lamp_out"] == [("lamp_out", "active", 1)]


def test_a_held_door_raises_its_alert_when_its_time_comes_even_over_a_restart(shell: Shell, tmp_path: Path) -> None:
    shell.say(GATE, "door_changed", open=True)
    again = Shell(tmp_path, now=START + timedelta(seconds=5))
    again.pass_time(60)
    assert ("door_held_open", "active", 1) in again.alerts()
    again.say(GATE, "door_changed", open=False)
    assert ("door_held_open", "cleared", 1) in again.alerts()
    again.close()


def test_a_known_vehicle_raises_the_barrier_once(shell: Shell) -> None:
    shell.directory.put_vehicle(Vehicle(plate="川A12345", id="v1", listing=Listing.ALLOW))
    captured = shell.event(BARRIER, "plate_captured", plate="川A12345", record="p1")
    shell.take(captured)
    shell.take(captured)
    commands = [body for topic, body in shell.wire.published if topic == "linli/v1/L1/command"]
    assert [c["command"]["type"] for c in commands] == ["open_passage"]
    assert shell.rows("SELECT status, requested_by FROM commands") == [("sent", "gateway")]


def test_a_stale_credential_opens_nothing(shell: Shell) -> None:
    shell.directory.put_vehicle(Vehicle(plate="川A12345", id="v1", listing=Listing.ALLOW))
    shell.say(BARRIER, "plate_captured", plate="川A12345", at=START - timedelta(minutes=10))
    assert shell.wire.published == []


def test_what_opens_a_door_is_not_kept(shell: Shell) -> None:
    shell.say(GATE, "credential_presented", method="pin", value="4711-0815")
    assert "credential_checked" in shell.events()
    assert b"4711-0815" not in b"".join(path.read_bytes() for path in shell.settings.data.glob("linli.db*"))


def bring_online(shell: Shell) -> None:
    for device in (GATE, LAMP):
        shell.take(shell.message(f"linli/v1/{device.address}/heartbeat", {"at": shell.now.isoformat()}))


def opening(shell: Shell, key: str = "", seconds: float = 5) -> SendCommand:
    command = OpenPassage(not_after=shell.now + timedelta(seconds=seconds), device=GATE.id)
    return SendCommand(by="desk", command=command, idempotency_key=key)


def test_an_opening_is_done_when_the_door_says_so(shell: Shell) -> None:
    bring_online(shell)
    record = shell.ask(opening(shell))
    answer = {"command_id": record.id, "result": "accepted", "at": shell.now.isoformat()}
    shell.take(shell.message("linli/v1/G1/answer", answer))
    assert shell.rows("SELECT status FROM commands") == [("accepted",)]
    shell.say(GATE, "door_changed", open=True)
    assert shell.rows("SELECT status FROM commands") == [("done",)]


def test_the_same_idempotency_key_opens_once(shell: Shell) -> None:
    bring_online(shell)
    first, second = shell.ask(opening(shell, key="k")), shell.ask(opening(shell, key="k"))
    assert first.id == second.id
    assert len(shell.wire.published) == 1


def test_an_answer_of_another_device_counts_for_nothing(shell: Shell) -> None:
    bring_online(shell)
    record = shell.ask(opening(shell))
    shell.take(shell.message("linli/v1/P1/answer", {"command_id": record.id, "result": "done"}))
    assert shell.rows("SELECT status FROM commands") == [("sent",)]


def test_a_command_without_an_answer_expires(shell: Shell) -> None:
    bring_online(shell)
    shell.ask(opening(shell))
    shell.pass_time(11)
    assert shell.rows("SELECT status FROM commands") == [("expired",)]


def test_a_command_published_before_a_crash_is_not_published_again(shell: Shell, tmp_path: Path) -> None:
    bring_online(shell)
    shell.ask(opening(shell))
    again = Shell(tmp_path, now=START + timedelta(seconds=1))
    again.pass_time(1)
    assert again.wire.published == []
    again.pass_time(20)
    assert again.rows("SELECT status FROM commands") == [("expired",)]
    again.close()


def test_nothing_is_queued_for_a_device_that_is_offline(shell: Shell) -> None:
    with pytest.raises(RefusedError, match="offline"):
        shell.ask(opening(shell))
    with pytest.raises(NotFoundError):
        shell.ask(SendCommand(by="desk", command=SetLamp(not_after=START, device="nobody", level_pct=5)))
    assert shell.wire.published == []


def test_a_command_the_broker_does_not_take_has_failed(shell: Shell) -> None:
    bring_online(shell)
    shell.wire.connected = False
    shell.ask(opening(shell))
    assert shell.rows("SELECT status, reason FROM commands") == [("failed", "no connection to the broker")]


def test_a_silent_device_goes_offline_and_comes_back(shell: Shell) -> None:
    bring_online(shell)
    for _ in range(30):
        shell.pass_time(20)
    assert ("device_offline", "active", 1) in shell.alerts()
    bring_online(shell)
    assert ("device_offline", "cleared", 1) in shell.alerts()


def test_a_restart_of_the_gateway_makes_nobody_silent(shell: Shell, tmp_path: Path) -> None:
    bring_online(shell)
    shell.say(GATE, "door_changed", open=False)
    again = Shell(tmp_path, now=START + timedelta(days=1))
    again.pass_time(5)
    assert [a for a in again.alerts() if "offline" in a[0]] == []
    again.close()


@pytest.mark.parametrize(
    ("topic", "payload"),
    [
        ("linli/v1/G1/event", b"not json"),
        ("linli/v1/G1/event", b"\xff\xfe\x00"),
        ("linli/v1/G1/event", b'{"event": {"type": "ticked", "at": "2026-11-23T00:00:00Z"}}'),
        ("linli/v1/G1/event", b'{"event": {"type": "no_such", "at": "2026-11-23T00:00:00Z"}}'),
        ("linli/v1/G1/event", b"[" * 100_000),
        ("linli/v1/G1/event", b'{"event": {"type": "door_changed", "at": "2026-11-23T00:00:00Z", "open": "yes"}}'),
        ("linli/v1/nobody/event", b'{"event": {"type": "door_changed", "at": "2026-11-23T00:00:00Z", "open": true}}'),
        ("linli/v1/G1/event", b"x" * (9 * 1024 * 1024)),
        ("some/other/topic", b"{}"),
    ],
)
def test_poison_is_quarantined_and_the_stream_goes_on(shell: Shell, topic: str, payload: bytes) -> None:
    shell.take(shell.message(topic, payload), shell.event(GATE, "door_changed", open=True))
    assert len(shell.rows("SELECT seq FROM quarantine")) == 1
    assert len(shell.wire.acked) == 2
    assert "door_changed" in shell.events()


def test_a_retained_message_is_ignored(shell: Shell) -> None:
    body = {"event": {"type": "door_alarmed", "at": START.isoformat(), "state": "DoorForcedOpen"}}
    shell.take(shell.message("linli/v1/G1/event", body, retained=True))
    assert shell.alerts() == []
    assert len(shell.wire.acked) == 1


@pytest.mark.parametrize("year", [1970, 2099])
def test_an_impossible_time_of_a_device_is_replaced_by_ours(shell: Shell, year: int) -> None:
    shell.say(GATE, "door_changed", open=True, at=START.replace(year=year))
    shell.say(GATE, "door_changed", open=False)
    assert shell.rows("SELECT late FROM events WHERE type='door_changed'") == [(0,), (0,)]


def test_a_flooding_device_is_throttled_alone(tmp_path: Path) -> None:
    shell = Shell(tmp_path)
    shell.engine._reader._limits = type(shell.settings.limits)(device_rate=1, device_burst=5)
    shell.take(
        *(shell.event(GATE, "door_changed", open=True, record=str(n)) for n in range(20)),
        shell.event(LAMP, "lamp_measured", level_pct=1, record="x"),
    )
    assert shell.rows("SELECT count(*), max(reason) FROM quarantine") == [(15, "flood")]
    assert "lamp_measured" in shell.events()
    assert ("device_flooding", "active", 1) in shell.alerts()
    shell.close()
