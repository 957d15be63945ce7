"""A camera's view through a real worker process."""

import cv2

from tests.vision.test_scene import SCENE, noisy
from vision.pool import Pool
from vision.types import SceneSeen, SceneTask, Unreadable, encode


def jpeg(number: int) -> bytes:
    return bytes(cv2.imencode(".jpg", noisy(SCENE, number))[1])


def test_a_worker_hands_the_memory_back_and_begins_anew_with_one_it_cannot_read() -> None:
    with Pool(1) as pool:
        context = encode(SceneTask(at=10.0))
        first = pool.submit("scene", jpeg(0), deadline_s=60, context=context).result()
        assert isinstance(first, SceneSeen)
        context = encode(SceneTask(at=20.0, memory=first.memory))
        second = pool.submit("scene", jpeg(1), deadline_s=60, context=context).result()
        assert isinstance(second, SceneSeen)
        assert len(second.memory) > len(first.memory)
        context = encode(SceneTask(at=20.0, memory=b"something else"))
        anew = pool.submit("scene", jpeg(1), deadline_s=60, context=context).result()
        assert isinstance(anew, SceneSeen)
        assert len(anew.memory) == len(first.memory)
        no_picture = pool.submit("scene", b"no picture", deadline_s=60, context=context).result()
        assert isinstance(no_picture, Unreadable)
