"""What of an alert is a matter of time goes on whatever happens to the broker, the clock and the gateway."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from devices.alerts import Disposition
from devices.model import Device
from gateway.actions import AcknowledgeAlert, DisposeAlert, ReloadDirectory, ShelveAlert
from tests.gateway.shell import GATE, LAMP, START, Shell
from tests.gateway.test_alert_engine import changes, force, only, outage

CAMERA = Device(id="cam-1", kind="camera", protocol="native", address="C1", community="c1")


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    made = Shell(tmp_path)
    yield made
    made.close()


def restarted(shell: Shell, folder: Path, after_s: float = 0) -> Shell:
    """Started anew, and the first round done."""
    shell.close()
    again = Shell(folder, shell.now + timedelta(seconds=after_s))
    again.pass_time(0)
    again.pass_time(0)
    return again


def close_alert(shell: Shell, kind: str, disposition: Disposition = Disposition.TRUE) -> None:
    shell.ask(DisposeAlert(by="desk", alert=only(shell, kind).id, disposition=disposition, reason="seen to"))


def set_clock(shell: Shell, by_s: float) -> None:
    shell.now += timedelta(seconds=by_s)
    shell.engine._set_clocks(timedelta(seconds=by_s))
    shell.pass_time(0)


# -- the broker --


def test_while_the_broker_is_away_its_own_alert_climbs_and_so_do_the_others(shell: Shell) -> None:
    force(shell)
    shell.wire.connected = False
    shell.pass_time(1)
    shell.pass_time(11)
    shell.pass_time(61)
    assert changes(shell, "broker_offline") == ["raised", "escalated"]
    assert changes(shell, "door_forced") == ["raised", "escalated"]


def test_a_moment_without_the_broker_tells_nobody_anything(shell: Shell) -> None:
    force(shell)
    shell.pass_time(55)
    shell.wire.connected = False
    shell.pass_time(6)
    assert changes(shell, "door_forced") == ["raised"], "what ends it may wait at the broker"


def test_shelving_ends_while_the_broker_is_away(shell: Shell) -> None:
    shell.say(GATE, "door_alarmed", state="DoorOpenTooLong")
    alert = only(shell, "door_held_open")
    shell.ask(ShelveAlert(by="desk", alert=alert.id, until=shell.now + timedelta(hours=1), reason="painters"))
    shell.wire.connected = False
    for _ in range(3):
        shell.pass_time(1801)
    assert changes(shell, "door_held_open")[:3] == ["raised", "shelved", "unshelved"]


# -- the clock --


@pytest.mark.parametrize("by_s", [3600, -3600, 40 * 365 * 86400, -86400 * 365])
def test_a_clock_that_is_set_neither_hurries_nor_delays_the_ladder(shell: Shell, by_s: float) -> None:
    force(shell)
    shell.pass_time(30)
    set_clock(shell, by_s)
    shell.pass_time(29)
    assert changes(shell, "door_forced") == ["raised"]
    shell.pass_time(2)
    assert changes(shell, "door_forced") == ["raised", "escalated"]
    shell.pass_time(100)
    assert changes(shell, "door_forced") == ["raised", "escalated"]
    shell.pass_time(20)
    assert changes(shell, "door_forced") == ["raised", "escalated", "escalated"]


def test_a_clock_that_is_set_back_does_not_keep_an_owner_for_longer(shell: Shell) -> None:
    force(shell)
    shell.ask(AcknowledgeAlert(by="desk", alert=only(shell, "door_forced").id, reason="seen"))
    set_clock(shell, -3600)
    shell.pass_time(601)
    assert changes(shell, "door_forced") == ["raised", "acknowledged", "lapsed"]


def test_what_the_clock_changed_is_on_the_disk(shell: Shell, tmp_path: Path) -> None:
    force(shell)
    set_clock(shell, -3600)
    shell.pass_time(1)
    again = restarted(shell, tmp_path, 57)
    assert changes(again, "door_forced") == ["raised"]
    again.pass_time(3)
    assert changes(again, "door_forced") == ["raised", "escalated"]
    again.close()


def test_a_clock_that_was_set_back_while_we_were_away_delays_nothing(shell: Shell, tmp_path: Path) -> None:
    force(shell)
    again = restarted(shell, tmp_path, -3600)
    again.pass_time(61)
    assert changes(again, "door_forced") == ["raised", "escalated"]
    later = restarted(again, tmp_path, 121)
    assert changes(later, "door_forced") == ["raised", "escalated", "escalated"]
    later.close()


def test_a_clock_that_is_set_back_does_not_hold_an_alert_back_for_longer(tmp_path: Path) -> None:
    shell = Shell(tmp_path, START, devices=(CAMERA,))
    shell.say(CAMERA, "camera_health_changed", fault="occluded", active=True)  # held back for 120 s
    shell.pass_time(60)
    set_clock(shell, -3600)
    shell.pass_time(59)
    assert shell.alerts() == []
    shell.pass_time(2)
    assert shell.alerts() == [("camera_occluded", "active", 1)]
    shell.close()


def test_a_flood_is_over_in_its_time_when_the_clock_is_set_back(shell: Shell) -> None:
    doors = flood(shell)
    assert only(shell, "alarm_flood").condition == "active"
    set_clock(shell, -86400)
    shell.pass_time(601)
    assert only(shell, "alarm_flood").condition == "cleared"
    assert len(doors) == 11


def flood(shell: Shell) -> list[Device]:
    """Eleven alerts at once: one more than a desk can take in."""
    doors = [
        Device(id=f"door-{n}", kind="face_gate", protocol="native", address=f"D{n}", community="c1") for n in range(11)
    ]
    for door in doors:
        shell.directory.put_device(door)
        shell.say(door, "door_alarmed", state="DoorForcedOpen")
    return doors


# -- restarts --


def test_what_comes_back_within_ten_minutes_reopens_its_alert_after_a_restart_too(shell: Shell, tmp_path: Path) -> None:
    shell.say(GATE, "door_alarmed", state="DoorOpenTooLong")
    first = only(shell, "door_held_open").id
    shell.say(GATE, "door_alarmed", state="Normal")
    close_alert(shell, "door_held_open")
    again = restarted(shell, tmp_path, 300)
    again.say(GATE, "door_alarmed", state="DoorOpenTooLong")
    assert only(again, "door_held_open").id == first
    assert changes(again, "door_held_open")[-1] == "reopened"
    again.close()


@pytest.mark.parametrize(("disposition", "after_s"), [(Disposition.FALSE, 60), (Disposition.TRUE, 601)])
def test_what_was_false_or_is_long_over_is_a_new_alert_after_a_restart(
    shell: Shell, tmp_path: Path, disposition: Disposition, after_s: float
) -> None:
    shell.say(GATE, "door_alarmed", state="DoorOpenTooLong")
    first = only(shell, "door_held_open").id
    shell.say(GATE, "door_alarmed", state="Normal")
    close_alert(shell, "door_held_open", disposition)
    again = restarted(shell, tmp_path, after_s)
    again.say(GATE, "door_alarmed", state="DoorOpenTooLong")
    assert only(again, "door_held_open").id != first
    again.close()


def test_a_restart_neither_ends_a_flood_nor_lets_out_what_waits_behind_it(shell: Shell, tmp_path: Path) -> None:
    flood(shell)
    shell.say(LAMP, "lamp_faulted", fault="flicker", active=True)
    again = restarted(shell, tmp_path, 60)
    again.pass_time(5)
    assert only(again, "alarm_flood").condition == "active"
    assert only(again, "lamp_flicker").suppressed_by == only(again, "alarm_flood").id
    again.pass_time(600)
    assert only(again, "alarm_flood").condition == "cleared"
    assert only(again, "lamp_flicker").suppressed_by == ""
    again.close()


def test_an_incident_goes_on_after_a_restart_though_its_alert_is_closed(shell: Shell, tmp_path: Path) -> None:
    other = Device(id="gate-2", kind="face_gate", protocol="native", address="G2", community="c1")
    shell.directory.put_device(other)
    force(shell)
    incident = only(shell, "door_forced").incident
    close_alert(shell, "door_forced")
    again = restarted(shell, tmp_path, 60)
    again.say(other, "door_alarmed", state="DoorForcedOpen")
    assert only(again, "door_forced").incident == incident
    again.close()


# -- late, and after it was closed --


@pytest.mark.parametrize(("before_s", "same"), [(30, True), (3600, False)])
def test_a_danger_of_another_time_that_is_told_late_is_not_lost_in_a_closed_alert(
    shell: Shell, before_s: float, same: bool
) -> None:
    shell.say(GATE, "door_alarmed", state="DoorForcedOpen")
    happened: datetime = shell.now - timedelta(seconds=before_s)
    shell.pass_time(61)
    close_alert(shell, "door_forced")
    shell.take(shell.event(GATE, "door_alarmed", state="DoorForcedOpen", at=happened, record="kept"))
    assert [a.first_seen for a in shell.hub.alerts.open] == ([] if same else [happened])


# -- devices that are gone --


def test_the_alerts_of_a_device_that_is_removed_are_over(shell: Shell) -> None:
    shell.say(GATE, "door_alarmed", state="DoorOpenTooLong")
    force(shell)
    shell.directory.remove_device(GATE.id)
    shell.ask(ReloadDirectory(by="desk"))
    assert only(shell, "door_held_open").condition == "cleared"
    assert only(shell, "door_forced").condition == "active", "a person has to deal with what latches"
    assert changes(shell, "door_held_open") == ["raised", "cleared"]


def test_an_uplink_whose_alert_a_removed_device_carries_is_told_of_again_and_ends(shell: Shell) -> None:
    lamps = tuple(
        Device(id=f"l{n}", kind="light", protocol="native", address=f"S{n}", community="c1", uplink="u")
        for n in range(6)
    )
    outage(shell, lamps)
    carrier = only(shell, "uplink_offline").device
    shell.directory.remove_device(carrier)
    shell.ask(ReloadDirectory(by="desk"))
    shell.pass_time(11)
    active = [a for a in shell.hub.alerts.open if a.type == "uplink_offline" and a.condition == "active"]
    assert [a.device != carrier for a in active] == [True]
    for lamp in lamps:
        if lamp.id != carrier:
            status = {"online": True, "at": shell.now.isoformat()}
            shell.take(shell.message(f"linli/v1/{lamp.address}/status", status))
    assert not [a for a in shell.hub.alerts.open if a.condition == "active"]
