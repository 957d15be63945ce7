"""docs/adding-a-device.md, done as it stands: its package is built, installed elsewhere, and its device runs."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.running import Peer, RunningGateway, eventually, running

pytestmark = pytest.mark.e2e
ROOT = Path(__file__).resolve().parents[2]
DOC = ROOT / "docs" / "adding-a-device.md"
LINES_AT_MOST = 80


def files() -> dict[str, str]:
    """The files the document shows, by name."""
    text = DOC.read_text(encoding="utf-8")
    return dict(re.findall(r"^```\w+ ([\w.]+)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE))


def environment(target: Path) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join((str(target), str(ROOT)))}


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The source tree of the document."""
    folder = tmp_path_factory.mktemp("linli-shutter")
    for name, body in files().items():
        (folder / name).write_text(body, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def installed(package: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built by its own build backend, and unpacked where the gateway looks besides; nothing is fetched."""
    wheels, target = tmp_path_factory.mktemp("wheels"), tmp_path_factory.mktemp("target")
    build = f"from setuptools import build_meta; build_meta.build_wheel({str(wheels)!r})"
    subprocess.run([sys.executable, "-c", build], cwd=package, check=True, capture_output=True, timeout=60)
    (wheel,) = wheels.glob("linli_shutter-1.0-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(target)
    return target


@pytest.fixture(scope="module")
def gateway(installed: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGateway]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(installed))
        with running(tmp_path_factory.mktemp("gateway")) as found:
            yield found


def test_the_code_is_short() -> None:
    code = [line for line in files()["linli_shutter.py"].splitlines() if line.strip()]
    assert len(code) < LINES_AT_MOST


def test_its_own_test_passes(package: Path, installed: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", os.devnull, "test_linli_shutter.py"],
        cwd=package,
        env=environment(installed),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout


def test_its_device_raises_an_alert_and_does_as_it_is_told(gateway: RunningGateway) -> None:
    gateway.put_device("garage-1", "shutter", "acme_shutter", address="7", params={"open_s": 1})
    device = Peer(gateway.broker, "shutter-7", hears=["acme/shutter/7/told"])
    device.say("acme/shutter/7/said", {"shutter": "down", "motor_c": 31.5})
    eventually(lambda: gateway.get("/v1/devices/garage-1")["online"])

    asked = gateway.api.post("/v1/devices/garage-1/commands", json={"type": "open_passage"})
    assert asked.status_code == 202, asked.text
    topic, order = device.next()
    assert (topic, order) == ("acme/shutter/7/told", {"id": asked.json()["id"], "do": "up"})
    device.say("acme/shutter/7/said", {"shutter": "up", "done": order["id"]})
    eventually(lambda: gateway.get(f"/v1/commands/{order['id']}")["status"] == "done")

    where = {"device": "garage-1", "type": "door_held_open"}
    eventually(lambda: gateway.get("/v1/alerts", **where)["items"], what="the alert")
    device.say("acme/shutter/7/said", {"shutter": "down"})
    eventually(lambda: gateway.get("/v1/alerts", **where)["items"][0]["condition"] == "cleared")
    assert gateway.rows("SELECT value FROM points WHERE device='garage-1' AND metric='motor_c'") == [(31.5,)]
    assert not gateway.bugs()
    device.close()


def test_what_is_no_message_of_its_is_set_aside(gateway: RunningGateway) -> None:
    device = Peer(gateway.broker, "shutter-8")
    device.say("acme/shutter/7/said", {"shutter": "sideways"})
    reason = "a shutter is up or down"
    eventually(lambda: gateway.rows("SELECT 1 FROM quarantine WHERE reason=?", reason), what="the quarantine")
    device.close()
