"""A camera's view through the engine, the pool's worker code and the disk."""

import base64
from pathlib import Path

import cv2

from devices.model import Device
from gateway.changes import Job
from gateway.inbox import Item, VisionAnswer
from tests.gateway.shell import Shell
from tests.vision.test_scene import SCENE, noisy
from vision.scene_look import look
from vision.types import SceneSeen, SceneTask, encode

CAMERA = Device(id="cam-1", kind="camera", protocol="native", address="C1", community="c1")


def picture(number: int, *, covered: bool) -> bytes:
    frame = noisy(SCENE * 0 + 60 if covered else SCENE, number)
    return bytes(cv2.imencode(".jpg", frame)[1])


def watched(shell: Shell, number: int, *, covered: bool = False) -> None:
    """One picture sent, looked at with what the disk remembers, and answered; vision itself is switched off."""
    image = picture(number, covered=covered)
    body = {"id": "", "event": {"type": "frame_captured", "at": shell.now.isoformat()}}
    message = shell.message("linli/v1/C1/event", body | {"image": base64.b64encode(image).decode()})
    shell.engine._round([message], [])
    ((job_id, job),) = ((name, job) for name, job in shell.engine._errands.jobs.items())
    assert isinstance(job, Job)
    task = SceneTask(at=shell.now.timestamp(), memory=shell.journal.scene("cam-1"))
    seen = look(image, encode(task))
    assert isinstance(seen, SceneSeen)
    shell.inbox.take()
    shell.engine._round([], [Item(VisionAnswer(job=job_id, look=seen))])
    shell.pass_time(15)


def test_a_covered_camera_is_told_and_a_restart_raises_nothing_of_itself(tmp_path: Path) -> None:
    shell = Shell(tmp_path, devices=(CAMERA,))
    for number in range(12):
        watched(shell, number)
    assert shell.alerts() == []
    later = shell.now
    shell.close()
    shell = Shell(tmp_path, later, devices=(CAMERA,))
    watched(shell, 12)
    assert shell.alerts() == []
    for number in range(13, 24):
        watched(shell, number, covered=True)
    shell.pass_time(120)
    assert [alert[0] for alert in shell.alerts()] == ["camera_occluded"]
    (stored,) = shell.rows("SELECT memory FROM scenes")
    assert shell.journal.scene("cam-1") not in stored
    shell.close()
