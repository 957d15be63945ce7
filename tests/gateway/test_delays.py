"""Delay-on and delay-off, for every type of alert alike: who is told of what lasts, and of nothing else."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from devices.model import Device
from gateway.settings import SettingsError, load
from tests.gateway.shell import START, Shell

CAMERA = Device(id="cam-1", kind="camera", protocol="native", address="C1", community="c1")
COVERED = ("camera_occluded", "active", 1)
"""Held back for 120 s by the table of alert types."""


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    made = started(tmp_path)
    yield made
    made.close()


def started(folder: Path, after_s: float = 0) -> Shell:
    return Shell(folder, START + timedelta(seconds=after_s), devices=(CAMERA,))


def say(shell: Shell, *, active: bool, at_s: float | None = None, record: str = "") -> None:
    at = None if at_s is None else START + timedelta(seconds=at_s)
    shell.take(shell.event(CAMERA, "camera_health_changed", fault="occluded", active=active, at=at, record=record))


@pytest.mark.parametrize(
    ("steps", "told"),
    [
        ((("on", 0), ("wait", 119)), []),
        ((("on", 0), ("wait", 120)), [COVERED]),
        ((("on", 0), ("wait", 60), ("off", 60), ("wait", 300)), []),
        ((("on", 0), ("wait", 60), ("on", 60), ("wait", 60)), [COVERED]),
        ((("on", 0), ("wait", 60), ("off", 60), ("on", 60), ("wait", 119)), []),
        ((("on", 0), ("wait", 60), ("off", 60), ("on", 60), ("wait", 120)), [COVERED]),
        ((("on", 0), ("wait", 120), ("on", 120)), [("camera_occluded", "active", 2)]),
        ((("on", 0), ("wait", 120), ("off", 120)), [("camera_occluded", "cleared", 1)]),
    ],
)
def test_what_is_over_before_the_delay_is_told_to_nobody(
    shell: Shell, steps: tuple[tuple[str, float], ...], told: list[tuple[str, str, int]]
) -> None:
    for n, (what, seconds) in enumerate(steps):
        if what == "wait":
            shell.pass_time(seconds)
        else:
            say(shell, active=what == "on", record=f"r{n}")
    assert shell.alerts() == told


def test_an_alert_that_was_held_back_says_when_it_began_and_when_it_was_raised(shell: Shell) -> None:
    say(shell, active=True)
    shell.pass_time(120)
    (alert,) = shell.hub.alerts.open
    assert (alert.first_seen, alert.raised_at) == (START, START + timedelta(seconds=120))


def test_what_is_held_back_survives_a_restart(tmp_path: Path) -> None:
    shell = started(tmp_path)
    say(shell, active=True)
    shell.close()
    shell = started(tmp_path, after_s=90)
    shell.pass_time(29)
    assert shell.alerts() == []
    shell.pass_time(1)
    assert shell.alerts() == [COVERED]
    shell.close()


def test_its_end_during_a_restart_is_found_too(tmp_path: Path) -> None:
    shell = started(tmp_path)
    say(shell, active=True)
    shell.close()
    shell = started(tmp_path, after_s=60)
    say(shell, active=False)
    shell.pass_time(300)
    assert shell.alerts() == []
    assert not [name for name in shell.hub.states.policies if name[0] == "delay_on"]
    shell.close()


def test_what_is_told_late_is_raised_at_once(shell: Shell) -> None:
    say(shell, active=False, at_s=0)
    shell.pass_time(1000)
    say(shell, active=True, at_s=500)
    assert shell.alerts() == [COVERED]


def test_an_alert_with_a_delay_off_is_over_only_when_it_stays_away(shell: Shell) -> None:
    def seen(track: str, *, present: bool) -> None:
        record = f"{track}{present}{shell.now}"
        fields = {"label": "car", "zone": "fire-1", "track": track, "present": present}
        shell.take(shell.event(CAMERA, "object_detected", record=record, **fields))

    seen("t1", present=True)
    shell.pass_time(121)
    seen("t1", present=False)
    shell.pass_time(10)
    seen("t2", present=True)  # the tracker found the same car again
    shell.pass_time(200)
    assert [alert[:2] for alert in shell.alerts()] == [("fire_lane_blocked", "active")]
    seen("t2", present=False)
    shell.pass_time(299)
    assert [alert[:2] for alert in shell.alerts()] == [("fire_lane_blocked", "active")]
    shell.pass_time(1)
    assert [alert[:2] for alert in shell.alerts()] == [("fire_lane_blocked", "cleared")]
    assert shell.rows("SELECT count(*) FROM alerts") == [(1,)]


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("[delays.on_s]\nsmoke = 5", "delays.on_s: smoke is P1"),
        ("[delays.on_s]\nno_such = 5", "delays.on_s: there is no alert type 'no_such'"),
        ("[delays.off_s]\nno_such = 5", "delays.off_s: there is no alert type 'no_such'"),
        ("[delays.off_s]\nsmoke = -1", "delays.off_s"),
    ],
)
def test_a_delay_that_cannot_be_is_refused_by_name(tmp_path: Path, text: str, error: str) -> None:
    file = tmp_path / "linli.toml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(SettingsError) as refused:
        load(file)
    assert error in str(refused.value)


def test_the_settings_say_otherwise_than_the_table(tmp_path: Path) -> None:
    file = tmp_path / "linli.toml"
    file.write_text("[delays.on_s]\ncamera_occluded = 0\n[delays.off_s]\ndoor_held_open = 7", encoding="utf-8")
    delays = load(file).delays
    assert delays.on("camera_occluded") == timedelta()
    assert delays.on("camera_frozen") == timedelta(seconds=120)
    assert delays.off("door_held_open") == timedelta(seconds=7)
