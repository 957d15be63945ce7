"""One picture of a camera for the worker: the watch is taken up from its memory, and its memory handed back."""

from __future__ import annotations

import cv2
import msgspec

from vision.image import ImageError, decode
from vision.scene import Condition, SceneWatch
from vision.types import SceneFinding, SceneSeen, SceneTask, Unreadable

_task = msgspec.msgpack.Decoder(SceneTask)


def look(image: bytes, context: bytes) -> SceneSeen | Unreadable:
    """JPEG or PNG bytes and a `SceneTask` in, what holds out. A memory of another version is begun anew."""
    task = _task.decode(context)
    try:
        grey = cv2.cvtColor(decode(image), cv2.COLOR_RGB2GRAY)
    except ImageError as error:
        return Unreadable(reason=str(error))
    hold_s = {Condition.CHANGED: task.change_s}
    try:
        watch = SceneWatch.resumed(task.memory, task.zones, hold_s)
    except (msgspec.MsgspecError, ValueError):
        watch = SceneWatch(task.zones, hold_s)
    found = watch.see(grey.astype("uint8", copy=False), task.at)
    findings = tuple(
        SceneFinding(condition=str(one.condition), score=one.score, since=one.since, why=one.why, zone=one.zone)
        for one in found
    )
    return SceneSeen(findings=findings, memory=watch.memory())
