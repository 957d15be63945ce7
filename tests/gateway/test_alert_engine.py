"""Alerts as the engine keeps them: what time, causes and floods do to them, over restarts too."""

from collections.abc import Iterator
from datetime import time, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import msgspec
import pytest

from devices.alerts import CHATTER_CYCLES, Alert, Disposition, Work
from devices.effects import RaiseAlert
from devices.escalation import Level
from devices.model import Device
from gateway.actions import AcknowledgeAlert, DisposeAlert, ShelveAlert, WorkOnAlert
from gateway.changes import Changes
from gateway.hierarchy import Place
from gateway.roster import Absence, Shift, Worker
from gateway.settings import SettingsError, load
from tests.gateway.shell import GATE, LAMP, START, Shell

LIGHTS = tuple(
    Device(id=f"light-{n}", kind="light", protocol="native", address=f"S{n}", community="c1", uplink="breaker-1")
    for n in range(40)
)
DOORS = tuple(
    Device(id=f"door-{n}", kind="face_gate", protocol="native", address=f"D{n}", community="c1", building="b2")
    for n in range(12)
)


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    made = Shell(tmp_path)
    yield made
    made.close()


def changes(shell: Shell, kind: str = "") -> list[str]:
    rows = shell.rows("SELECT change, body FROM alert_changes ORDER BY seq")
    return [change for change, body in rows if not kind or f'"type":"{kind}"'.encode() in body]


def history(shell: Shell, kind: str) -> list[tuple[str, Any]]:
    rows = shell.rows("SELECT change, body FROM alert_changes ORDER BY seq")
    return [(change, body) for change, raw in rows if (body := msgspec.json.decode(raw))["type"] == kind]


def only(shell: Shell, kind: str):
    (found,) = [alert for alert in shell.hub.alerts.open if alert.type == kind]
    return found


def force(shell: Shell, device: Device = GATE) -> None:
    shell.say(device, "door_alarmed", state="DoorForcedOpen")


def put_places(shell: Shell) -> None:
    shell.directory.put_places(
        [
            Place(id="d1", kind="district", name="D"),
            Place(id="s1", kind="sub_district", name="S", parent="d1"),
            Place(id="c1", kind="community", name="C", parent="s1"),
            Place(id="g1", kind="grid", name="G", parent="c1"),
            Place(id="b1", kind="building", name="B", parent="g1"),
        ]
    )


# -- escalation --


def test_an_alert_nobody_owns_climbs_while_time_passes_and_stops_when_it_is_acknowledged(shell: Shell) -> None:
    force(shell)
    shell.pass_time(61)
    shell.pass_time(120)
    assert changes(shell, "door_forced") == ["raised", "escalated", "escalated"]
    shell.ask(AcknowledgeAlert(by="desk", alert=only(shell, "door_forced").id, reason="seen"))
    shell.pass_time(500)
    assert changes(shell, "door_forced")[3:] == ["acknowledged"]


def test_owned_but_never_reached_it_is_nobodys_again(shell: Shell) -> None:
    force(shell)
    shell.ask(AcknowledgeAlert(by="desk", alert=only(shell, "door_forced").id, reason="seen"))
    shell.pass_time(601)
    shell.pass_time(61)
    assert changes(shell, "door_forced") == ["raised", "acknowledged", "lapsed", "escalated"]


def test_the_ladder_goes_on_after_a_restart(shell: Shell, tmp_path: Path) -> None:
    force(shell)
    again = Shell(tmp_path, now=shell.now + timedelta(seconds=70))
    again.pass_time(1)
    assert changes(again) == ["raised", "escalated"]
    again.close()


def test_those_on_duty_at_the_nearest_place_are_told(shell: Shell) -> None:
    put_places(shell)
    night = Shift(start=time(20), end=time(8))
    day = Shift(start=time(8), end=time(20))
    shell.directory.roster.put_staff(
        [
            Worker(id="w-day", name="Li", level=Level.GRID_WORKER, places=("g1",), shifts=(day,)),
            Worker(id="w-night", name="Wang", level=Level.GRID_WORKER, places=("g1",), shifts=(night,)),
            Worker(id="w-all", name="Zhao", level=Level.GRID_WORKER, places=("c1",)),
            Worker(id="desk-1", name="Sun", level=Level.DESK, places=("c1",)),
        ]
    )
    force(shell)  # 10:00 in Shanghai
    alert = only(shell, "door_forced")
    assert (alert.grid, alert.informed) == ("g1", ("desk-1",))
    shell.pass_time(61)
    assert only(shell, "door_forced").informed == ("w-day",)


def test_an_alert_climbs_its_own_route_and_stays_at_the_end_of_it(shell: Shell) -> None:
    told(shell, "battery_low")  # upkeep ends at the community
    for seconds in (28_801, 57_600, 172_800, 604_801):
        shell.pass_time(seconds)
    levels = [body["informed"] for _, body in history(shell, "battery_low")]
    assert levels == [["desk"], ["grid_worker"], ["community"], ["community"], ["community"]]


def test_the_settings_say_another_route(tmp_path: Path) -> None:
    file = tmp_path / "linli.toml"
    file.write_text('[escalation.routes]\nlamp_out = ["desk", "community"]', encoding="utf-8")
    assert load(file).escalation.route("lamp_out") == ("desk", "community")
    for wrong in ('no_such = ["desk"]', "lamp_out = []", 'lamp_out = ["police"]'):
        file.write_text(f"[escalation.routes]\n{wrong}", encoding="utf-8")
        with pytest.raises(SettingsError, match=r"routes"):
            load(file)


def test_who_is_away_is_stood_in_for_or_left_out(shell: Shell) -> None:
    put_places(shell)
    today = START.date()
    away = Absence(first=today, last=today, substitute="w2")
    alone = Absence(first=today, last=today)
    shell.directory.roster.put_staff(
        [
            Worker(id="w1", name="Li", level=Level.GRID_WORKER, places=("g1",), absences=(away,)),
            Worker(id="w2", name="Wang", level=Level.COMMUNITY, places=("b1",)),
            Worker(id="w3", name="Zhao", level=Level.GRID_WORKER, places=("b1",), absences=(alone,)),
        ]
    )
    force(shell)
    shell.pass_time(61)
    assert only(shell, "door_forced").informed == ("w2",)


def test_drawing_the_grids_anew_moves_no_device_and_no_alert_of_the_past(shell: Shell) -> None:
    put_places(shell)
    force(shell)
    moved = [
        Place(id=p.id, kind=p.kind, name=p.name, parent="g2" if p.id == "b1" else p.parent)
        for p in shell.directory.places()
    ]
    shell.directory.put_places([*moved, Place(id="g2", kind="grid", name="G2", parent="c1")])
    other = Device(id="gate-9", kind="face_gate", protocol="native", address="G9", community="c1", building="b1")
    shell.directory.put_device(other)
    force(shell, other)
    assert sorted((a.device, a.grid) for a in shell.hub.alerts.open) == [("gate-1", "g1"), ("gate-9", "g2")]


# -- shelving, endings --


def test_the_end_of_shelving_is_announced_and_starts_the_ladder(shell: Shell) -> None:
    shell.say(GATE, "door_alarmed", state="DoorOpenTooLong")
    alert = only(shell, "door_held_open")
    shell.ask(ShelveAlert(by="desk", alert=alert.id, until=shell.now + timedelta(hours=1), reason="painters"))
    shell.pass_time(3601)
    assert changes(shell, "door_held_open") == ["raised", "shelved", "unshelved"]
    assert only(shell, "door_held_open").unowned_since == shell.now


def test_a_door_that_chatters_is_one_alert_and_ends_when_it_is_quiet(shell: Shell) -> None:
    for _ in range(8):
        shell.say(GATE, "door_alarmed", state="DoorOpenTooLong")
        shell.pass_time(20)
        shell.say(GATE, "door_alarmed", state="Normal")
        shell.pass_time(20)
    assert only(shell, "door_held_open").chattering
    shell.pass_time(300)
    assert only(shell, "door_held_open").condition == "active"
    shell.pass_time(400)
    assert changes(shell, "door_held_open")[-1] == "cleared"
    assert changes(shell, "door_held_open").count("cleared") == CHATTER_CYCLES + 1


# -- causes --


def outage(shell: Shell, devices: tuple[Device, ...]) -> None:
    for device in devices:
        shell.directory.put_device(device)
        shell.take(shell.message(f"linli/v1/{device.address}/status", {"online": True, "at": shell.now.isoformat()}))
    shell.pass_time(5)
    for device in devices:
        shell.take(shell.message(f"linli/v1/{device.address}/status", {"online": False, "reason": "last_will"}))
    shell.pass_time(11)


def test_what_follows_from_an_outage_waits_behind_it_and_comes_out_when_it_is_over(shell: Shell) -> None:
    shell.say(LAMP, "battery_measured", level_pct=50)
    shell.say(LAMP, "lamp_faulted", fault="lampFailure", active=True)
    outage(shell, (LAMP,))
    root = only(shell, "device_offline")
    assert only(shell, "lamp_out").suppressed_by == root.id
    assert only(shell, "lamp_out").incident == root.incident
    shell.take(shell.message(f"linli/v1/{LAMP.address}/status", {"online": True, "at": shell.now.isoformat()}))
    assert only(shell, "lamp_out").suppressed_by == ""
    assert changes(shell, "lamp_out") == ["raised", "suppressed", "released"]


def test_a_storm_of_an_outage_is_few_incidents_and_every_p1_in_it_comes_through(shell: Shell) -> None:
    for device in (*LIGHTS, *DOORS):
        shell.directory.put_device(device)
        shell.take(shell.message(f"linli/v1/{device.address}/status", {"online": True, "at": shell.now.isoformat()}))
    shell.pass_time(5)
    storm = [
        shell.event(device, "lamp_faulted", fault="supplyLoss", active=True, record=f"{device.id}-{n}")
        for n in range(250)
        for device in LIGHTS
    ]
    wills = [
        shell.message(f"linli/v1/{device.address}/status", {"online": False, "reason": "last_will"})
        for device in LIGHTS
    ]
    grave = [shell.event(door, "door_alarmed", state="DoorForcedOpen", record="1") for door in DOORS]
    assert len(storm) == 10_000
    for n in range(0, 10_000, 500):
        batch = storm[n : n + 500]
        if n == 5000:
            shell.take(*batch[:250], *grave, *batch[250:])
            alive = [a for a in shell.hub.alerts.open if a.type == "door_forced" and not a.suppressed_by]
            assert len(alive) == len(DOORS), "each P1 stands by itself as soon as its batch is safe"
        else:
            shell.take(*batch)
    shell.take(*wills)
    shell.pass_time(11)
    outage_alerts = [a for a in shell.hub.alerts.open if a.type not in ("door_forced", "alarm_flood")]
    assert len({alert.incident for alert in outage_alerts}) <= 3
    assert all(alert.suppressed_by for alert in outage_alerts if alert.type == "lamp_supply_loss")


# -- the budget of the desk --


def test_in_a_flood_maintenance_waits_and_what_is_grave_does_not(shell: Shell) -> None:
    for door in DOORS:
        shell.directory.put_device(door)
    for door in DOORS[:10]:
        force(shell, door)
    assert not [a for a in shell.hub.alerts.open if a.type == "alarm_flood"], "ten in ten minutes are no flood"
    force(shell, DOORS[11])
    assert only(shell, "alarm_flood").condition == "active"
    shell.say(LAMP, "lamp_faulted", fault="flicker", active=True)
    assert only(shell, "lamp_flicker").suppressed_by == only(shell, "alarm_flood").id
    force(shell, DOORS[10])
    assert not any(a.suppressed_by for a in shell.hub.alerts.open if a.type == "door_forced")
    shell.pass_time(601)
    assert only(shell, "lamp_flicker").suppressed_by == ""
    flood = only(shell, "alarm_flood")
    assert (str(flood.condition), flood.detail) == ("cleared", {"folded": 1, "folded_by_type": {"lamp_flicker": 1}})


def told(shell: Shell, code: str, device: Device = LAMP) -> Alert:
    """Raised by itself, whatever kind of device."""
    turn, effect = Changes(), RaiseAlert(code=code, at=shell.now)
    shell.hub.alerts.raise_(effect, device, uuid4().bytes, shell.now, late=False, batch=Changes(), turn=turn)
    shell.journal.commit(turn, shell.now)
    shell.hub.adopt(turn, shell.now)
    return only(shell, code)


def test_a_flood_hides_no_p2_by_way_of_a_p3_that_it_hides(shell: Shell) -> None:
    for door in DOORS:
        shell.directory.put_device(door)
        force(shell, door)
    flapping = told(shell, "device_flapping")
    assert flapping.suppressed_by == only(shell, "alarm_flood").id
    assert told(shell, "device_offline").suppressed_by == flapping.id


def test_what_is_shelved_and_over_is_announced_at_the_end_of_shelving_however_many_wait(shell: Shell) -> None:
    shell.say(GATE, "door_alarmed", state="DoorOpenTooLong")
    alert = only(shell, "door_held_open")
    shell.ask(ShelveAlert(by="desk", alert=alert.id, until=shell.now + timedelta(hours=1), reason="painters"))
    shell.say(GATE, "door_alarmed", state="Normal")
    shell.hub.alerts._room = 0
    shell.pass_time(1200)
    force(shell)
    shell.pass_time(2500)
    assert changes(shell, "door_held_open") == ["raised", "shelved", "cleared", "unshelved"]


def test_a_closed_alert_at_hand_hides_no_open_one_that_rests(shell: Shell) -> None:
    def hold(*, opened: bool) -> None:
        shell.pass_time(1)
        shell.say(GATE, "door_alarmed", state="DoorOpenTooLong" if opened else "Normal")

    hold(opened=True)
    first = only(shell, "door_held_open").id
    shell.ask(DisposeAlert(by="desk", alert=first, disposition=Disposition.FALSE, reason="no"))
    hold(opened=False)
    hold(opened=True)
    second = only(shell, "door_held_open").id
    hold(opened=False)
    shell.hub.alerts._room = 0
    shell.pass_time(1200)
    force(shell)
    assert [a.type for a in shell.hub.alerts.open] == ["door_forced"]
    shell.ask(WorkOnAlert(by="backend", alert=first, work=Work.REJECTED))
    hold(opened=True)
    assert only(shell, "door_held_open").id == second
    assert shell.rows("SELECT count(*) FROM quarantine") == [(0,)]


def test_what_was_closed_climbs_no_further(shell: Shell) -> None:
    force(shell)
    alert = only(shell, "door_forced")
    shell.ask(DisposeAlert(by="desk", alert=alert.id, disposition=Disposition.FALSE, reason="wind"))
    shell.pass_time(5000)
    assert changes(shell, "door_forced") == ["raised", "disposed"]
