"""`linli demo` as a stranger runs it, and the reckoning it ends with."""

import json
import signal
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.model import Device
from gateway.reader import event_id
from simulators.demo import Figures
from simulators.demo_records import identity, lost_records, repeated_records
from simulators.gateway_process import LINLI

GATE = Device(id="gate-1", kind="face_gate", protocol="native", address="G1")
TERMINAL = Device(id="gate-2", kind="face_gate", protocol="oem_face", address="1000001")
CAMERA = Device(id="lane-1", kind="barrier", protocol="vzenith", address="0a-0b")
ESTATE = {device.address: device for device in (GATE, TERMINAL, CAMERA)}
GOOD = Figures(
    events=9,
    alerts=2,
    delivered=3,
    lost=0,
    duplicated=0,
    faces_identified=1,
    plates_read=1,
    passages_opened=1,
    p50_ms=9.0,
    p99_ms=9.0,
)


def row(device: str, record: str, kind: str = "door_changed") -> tuple[str, str, bytes]:
    return device, kind, identity(device, record)


@given(st.text(max_size=20), st.text(max_size=40), st.integers(0, 10**9))
def test_a_record_has_the_identity_the_gateway_gives_it_whatever_its_time(device: str, record: str, after: int) -> None:
    at = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(milliseconds=after)
    assert event_id(at, device.encode(), record.encode())[6:] == identity(device, record)


def test_a_record_of_each_dialect_is_found_in_the_journal() -> None:
    journal = [row("gate-1", "r1"), row("gate-2", "Snap:7"), row("gate-2", "Rec:8"), row("lane-1", "plate:15")]
    acked = {"G1/r1", "1000001/7", "1000001/8", f"0a-0b/{16:016x}"}
    assert lost_records(acked, journal, ESTATE) == 0
    for n in range(len(journal)):
        assert lost_records(acked, journal[:n] + journal[n + 1 :], ESTATE) == 1


def test_what_a_lane_camera_does_not_number_is_counted() -> None:
    acked = {f"0a-0b/{n:016x}" for n in (40, 41)}
    journal = [("lane-1", "barrier_moved", b"a"), ("lane-1", "loop_changed", b"b")]
    assert lost_records(acked, journal, ESTATE) == 0
    assert lost_records(acked, journal[:1], ESTATE) == 1


def test_an_event_journalled_under_two_times_is_repeated() -> None:
    assert repeated_records([row("gate-1", "r1"), row("gate-1", "r2")]) == 0
    assert repeated_records([row("gate-1", "r1"), row("gate-1", "r1")]) == 1


@pytest.mark.parametrize(
    ("field", "value"),
    [("lost", 1), ("duplicated", 1), ("faces_identified", 0), ("plates_read", 0), ("passages_opened", 0)],
)
def test_a_demo_that_lost_doubled_or_did_nothing_is_not_clean(field: str, value: int) -> None:
    assert GOOD.clean
    fields = {name: getattr(GOOD, name) for name in Figures.__struct_fields__}
    assert not Figures(**(fields | {field: value})).clean


@pytest.mark.e2e
@pytest.mark.models
def test_a_headless_demo_sees_opens_and_delivers_and_ends_with_its_figures(tmp_path: Path) -> None:
    folder = tmp_path / "a demo"
    command = [*LINLI, "demo", "--seconds", "15", "--headless", "--data", str(folder)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=170)
    assert done.returncode == 0, done.stdout + done.stderr
    figures = json.loads(done.stdout.splitlines()[-1])
    assert set(figures) == set(Figures.__struct_fields__)
    assert figures["lost"] == figures["duplicated"] == 0
    assert min(figures["faces_identified"], figures["plates_read"], figures["passages_opened"]) > 0
    assert figures["events"] > figures["alerts"] > 0
    assert 0 < figures["p50_ms"] <= figures["p99_ms"]
    assert "token" not in done.stdout


@pytest.mark.e2e
@pytest.mark.models
def test_ctrl_c_ends_a_demo_with_all_its_processes(tmp_path: Path) -> None:
    command = [*LINLI, "demo", "--data", str(tmp_path / "a demo")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as demo:
        assert demo.stdout is not None
        desk = next(line for line in demo.stdout if line.startswith("the desk: "))
        assert "/#token=" in desk
        children = psutil.Process(demo.pid).children(recursive=True)
        assert any("nats-server" in child.name() for child in children)
        demo.send_signal(signal.SIGINT)
        assert demo.wait(60) == 130
    _, alive = psutil.wait_procs(children, timeout=10)
    assert alive == []
