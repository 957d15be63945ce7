"""The yard that the simulated camera sends, watched with the gateway's own limits: what is wrong is told, weather not.

The watch knows nothing of the drawing, nor the drawing of the watch.
"""

from collections.abc import Callable

import cv2
import numpy as np
import pytest

from simulators.estate import Estate
from simulators.pictures import COVERED, COVERED_EVERY, Pictures
from simulators.scene_drawing import LANE, View, draw_scene
from vision.scene import Condition, SceneWatch

STEP_S = 10.0
NIGHT = View(night=1)
Weather = Callable[[int], View]


def grey(jpeg: bytes) -> np.ndarray:
    return np.asarray(cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_GRAYSCALE))


def told(seen: Weather, *, count: int = 240, learnt: View | None = None, seed: int = 1) -> set[Condition]:
    """What is told of `count` pictures 10 s apart, after 20 of `learnt`."""
    watch = SceneWatch({"lane": LANE})
    for n in range(20):
        assert watch.see(grey(draw_scene(n, learnt, seed=seed)), n * STEP_S) == ()
    frames = (grey(draw_scene(20 + n, seen(n), seed=seed)) for n in range(count))
    return {one.condition for n, frame in enumerate(frames) for one in watch.see(frame, (20 + n) * STEP_S)}


WEATHER: dict[str, Weather] = {
    "rain": lambda _: View(rain=1),
    "night falls": lambda n: View(night=min(1, n / 150)),
    "a night of rain": lambda n: View(night=min(1, n / 100), rain=min(1, n / 40)),
    "lights come on at once": lambda _: NIGHT,
    "headlights by day": lambda n: View(headlights=n * 0.13 % 1 if n % 4 == 0 else None),
    "headlights at night": lambda n: View(night=min(1, n / 100), headlights=n * 0.13 % 1 if n % 3 == 0 else None),
}


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("weather", WEATHER)
def test_rain_night_and_headlights_raise_nothing(weather: str, seed: int) -> None:
    assert told(WEATHER[weather], count=300, seed=seed) == set()


def test_dawn_raises_nothing_at_a_camera_that_learnt_the_night() -> None:
    assert told(lambda n: View(night=max(0, 1 - n / 200)), count=300, learnt=NIGHT) == set()


@pytest.mark.parametrize("learnt", [View(), NIGHT])
def test_a_covered_a_turned_and_a_blurred_camera_are_told_by_day_and_by_night(learnt: View) -> None:
    night = learnt.night
    assert told(lambda _: View(night=night, covered=True), count=20, learnt=learnt) == {Condition.OCCLUDED}
    assert told(lambda _: View(night=night, turned=12), count=20, learnt=learnt) == {Condition.MOVED}
    assert told(lambda _: View(night=night, turned=90), count=20, learnt=learnt) == {Condition.MOVED}
    assert told(lambda _: View(night=night, blurred=3), count=30, learnt=learnt) == {Condition.DEFOCUSED}


def test_a_picture_that_hangs_is_told() -> None:
    watch = SceneWatch()
    frames = [draw_scene(n) for n in range(20)] + [draw_scene(20)] * 10
    found = {one.condition for n, frame in enumerate(frames) for one in watch.see(grey(frame), n * STEP_S)}
    assert found == {Condition.FROZEN}


def test_a_shed_that_grows_in_the_lane_is_told_and_one_at_night_in_the_rain_too() -> None:
    assert told(lambda n: View(shed=min(1, n / 60)), count=300) == {Condition.CHANGED}
    assert told(lambda _: View(shed=1, night=1, rain=0.6), count=300, learnt=NIGHT) == {Condition.CHANGED}


def test_the_same_frame_is_the_same_picture_and_no_two_frames_are() -> None:
    assert draw_scene(3, NIGHT) == draw_scene(3, NIGHT)
    assert draw_scene(3) != draw_scene(4)


def test_a_camera_of_the_demo_is_covered_for_a_while_and_told_within_a_minute() -> None:
    pictures, watch = Pictures(Estate(1)), SceneWatch()
    seen = [watch.see(grey(pictures.view("camera-1")), n * 1.5) for n in range(60)]
    times = [n * 1.5 for n, found in enumerate(seen) if found]
    assert times[0] < 48
    assert times[-1] < 60
    assert {one.condition for found in seen for one in found} == {Condition.OCCLUDED}
    assert len(COVERED) * 10 < COVERED_EVERY
