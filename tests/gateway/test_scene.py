"""A camera's view through the engine, the pool's worker code and the disk."""

import base64
import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from devices.model import Device
from gateway.actions import AcceptScene, NotFoundError, RefusedError
from gateway.changes import Job
from gateway.inbox import Item, VisionAnswer
from tests.gateway.shell import GATE, Shell
from tests.vision.test_scene import SCENE, noisy
from vision.scene_look import look
from vision.types import SceneSeen, SceneTask, encode

CAMERA = Device(id="cam-1", kind="camera", protocol="native", address="C1", community="c1")
COVERED = np.full_like(SCENE, 60)
TURNED = np.roll(SCENE, (4, 15), axis=(0, 1))
ACCEPT = AcceptScene(by="夜班", device="cam-1", reason="已按新角度固定")


def sent(shell: Shell, number: int, scene: np.ndarray = SCENE) -> VisionAnswer:
    """One picture sent, and looked at with what the disk remembers; vision itself is switched off."""
    image = bytes(cv2.imencode(".jpg", noisy(scene, number))[1])
    body = {"id": "", "event": {"type": "frame_captured", "at": shell.now.isoformat()}}
    message = shell.message("linli/v1/C1/event", body | {"image": base64.b64encode(image).decode()})
    shell.engine._round([message], [])
    ((job_id, job),) = ((name, job) for name, job in shell.engine._errands.jobs.items())
    assert isinstance(job, Job)
    task = SceneTask(at=shell.now.timestamp(), memory=shell.journal.scene("cam-1"))
    seen = look(image, encode(task))
    assert isinstance(seen, SceneSeen)
    shell.inbox.take()
    return VisionAnswer(job=job_id, look=seen)


def watched(shell: Shell, numbers: range, scene: np.ndarray = SCENE) -> list[str]:
    """Pictures 15 s apart, each sent and answered; the types of the open alerts then."""
    for number in numbers:
        shell.engine._round([], [Item(sent(shell, number, scene))])
        shell.pass_time(15)
    return [alert[0] for alert in shell.alerts()]


def test_a_covered_camera_is_told_and_a_restart_raises_nothing_of_itself(tmp_path: Path) -> None:
    shell = Shell(tmp_path, devices=(CAMERA,))
    assert watched(shell, range(12)) == []
    later = shell.now
    shell.close()
    shell = Shell(tmp_path, later, devices=(CAMERA,))
    assert watched(shell, range(12, 13)) == []
    assert watched(shell, range(13, 30), COVERED) == ["camera_occluded"]
    (stored,) = shell.rows("SELECT memory FROM scenes")
    assert shell.journal.scene("cam-1") not in stored
    shell.close()


def test_an_accepted_view_ends_its_alerts_with_the_reason_and_is_what_is_learnt_after_a_restart_too(
    tmp_path: Path,
) -> None:
    shell = Shell(tmp_path, devices=(CAMERA,))
    watched(shell, range(12))
    assert watched(shell, range(12, 24), TURNED) == ["camera_moved"]
    done = shell.ask(ACCEPT)
    assert (shell.alerts(), len(done.ended)) == ([], 1)
    last = "SELECT change, actor, reason FROM alert_changes ORDER BY seq DESC LIMIT 1"
    assert shell.rows(last) == [("disposed", "夜班", "已按新角度固定")]
    assert shell.events()[-1] == "scene_accepted"
    said = [json.loads(body) for (body,) in shell.rows("SELECT body FROM ledger WHERE kind = 'scene'")]
    assert [(one["change"], one["device"], one["by"] != "夜班") for one in said] == [("accepted", "cam-1", True)]
    shell.pass_time(15)
    later = shell.now
    shell.close()
    shell = Shell(tmp_path, later, devices=(CAMERA,))
    assert watched(shell, range(24, 44), TURNED) == []
    assert watched(shell, range(44, 56), SCENE) == ["camera_moved"]
    shell.close()


def test_what_was_only_suspected_is_not_told_after_the_view_was_accepted(tmp_path: Path) -> None:
    shell = Shell(tmp_path, devices=(CAMERA,))
    watched(shell, range(12))
    assert watched(shell, range(12, 20), TURNED) == []
    held = shell.rows("SELECT name FROM states WHERE name LIKE 'policy:delay_on:%'")
    assert held == [("policy:delay_on:c1/cam-1/camera_moved",)]
    shell.ask(ACCEPT)
    shell.pass_time(15)
    assert watched(shell, range(20, 40), TURNED) == []
    shell.close()


def test_an_answer_under_way_does_not_bring_back_what_was_forgotten(tmp_path: Path) -> None:
    shell = Shell(tmp_path, devices=(CAMERA,))
    watched(shell, range(12))
    answer = sent(shell, 12)
    shell.ask(ACCEPT)
    shell.engine._round([], [Item(answer)])
    assert (shell.journal.scene("cam-1"), shell.engine._errands.jobs) == (b"", {})
    shell.pass_time(15)
    assert watched(shell, range(13, 25), TURNED) == []
    shell.close()


def test_a_view_that_cannot_be_learnt_is_refused_in_words(tmp_path: Path) -> None:
    shell = Shell(tmp_path, devices=(CAMERA, GATE))
    with pytest.raises(NotFoundError, match="there is no device x"):
        shell.ask(AcceptScene(by="a", device="x", reason="b"))
    with pytest.raises(RefusedError, match="gate-1 is no camera"):
        shell.ask(AcceptScene(by="a", device="gate-1", reason="b"))
    with pytest.raises(RefusedError, match="cam-1 has sent no picture yet"):
        shell.ask(ACCEPT)
    watched(shell, range(12))
    assert watched(shell, range(12, 30), np.full_like(SCENE, 2)) == ["camera_too_dark"]
    with pytest.raises(RefusedError, match="while camera_too_dark holds"):
        shell.ask(ACCEPT)
    assert shell.journal.scene("cam-1")
    shell.close()
