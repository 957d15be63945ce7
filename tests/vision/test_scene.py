"""A courtyard drawn from a seed, in all weathers."""

from collections.abc import Callable, Iterator

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vision.scene import Condition, SceneCandidate, SceneWatch

WIDTH, HEIGHT = 320, 240
STEP_S = 10.0
LANE = ((0.5, 0.6), (0.95, 0.6), (0.95, 0.98), (0.5, 0.98))
"""A fire lane in the lower right of the picture."""
Frame = Callable[[int], np.ndarray]


def courtyard() -> np.ndarray:
    """Houses with windows, trees, kerbs and paving: float32, 0..255."""
    draw = np.random.default_rng(5)
    scene = np.full((HEIGHT, WIDTH), 150, np.float32)
    scene[130:] = 105
    for x in range(6, WIDTH - 60, 78):
        cv2.rectangle(scene, (x, 24), (x + 66, 132), float(draw.integers(90, 200)), -1)
        for wx in range(x + 6, x + 58, 15):
            for wy in range(32, 120, 20):
                cv2.rectangle(scene, (wx, wy), (wx + 8, wy + 11), float(draw.integers(30, 80)), -1)
    for y in range(136, HEIGHT, 13):
        cv2.line(scene, (0, y), (WIDTH, y), 82, 1)
    for x in range(-80, WIDTH + 80, 22):
        cv2.line(scene, (x, HEIGHT), (x + 50, 132), 85, 1)
    for _ in range(120):
        at = int(draw.integers(0, 70)), int(draw.integers(120, 190))
        cv2.circle(scene, at, int(draw.integers(2, 6)), float(draw.integers(35, 120)), -1)
    return scene


SCENE = courtyard()


def noisy(scene: np.ndarray, number: int, strength: float = 3.0) -> np.ndarray:
    noise = np.random.default_rng([9, number]).normal(0, strength, scene.shape)
    return np.clip(scene + noise, 0, 255).astype(np.uint8)


def rain(number: int) -> np.ndarray:
    draw = np.random.default_rng([3, number])
    scene = SCENE * 0.8 + 15
    for x, y, length in zip(
        draw.integers(0, WIDTH, 160), draw.integers(-20, HEIGHT, 160), draw.integers(8, 26, 160), strict=True
    ):
        cv2.line(scene, (int(x), int(y)), (int(x) + 3, int(y + length)), 225, 1)
    return noisy(scene, number)


def headlights(number: int) -> np.ndarray:
    """Every fifth frame a car turns in: two beams and glare over half the picture."""
    scene = SCENE * 0.7
    if number % 5 == 0:
        x = 60 + number * 23 % 200
        cv2.circle(scene, (x, 190), 70, 255, -1)
        scene = cv2.GaussianBlur(scene, (0, 0), 5) + 30
    return noisy(scene, number)


def dusk(number: int) -> np.ndarray:
    """From day to lamplight within 200 frames, and more noise."""
    factor = max(0.28, 1 - number / 250)
    lamp = cv2.GaussianBlur(cv2.circle(np.zeros_like(SCENE), (220, 90), 50, 60, -1), (0, 0), 25)
    return noisy(SCENE * factor + lamp * (1 - factor), number, 3 + 4 * (1 - factor))


def passers_by(number: int) -> np.ndarray:
    scene = SCENE.copy()
    x = number * 37 % WIDTH
    cv2.rectangle(scene, (x, 150), (x + 18, 200), 20, -1)
    cv2.rectangle(scene, ((x * 3) % WIDTH, 160), ((x * 3) % WIDTH + 60, 200), 230, -1)
    return noisy(scene, number)


def learnt(watch: SceneWatch) -> float:
    """The watch has seen the courtyard for a while; the time then."""
    for number in range(20):
        assert watch.see(noisy(SCENE, number), number * STEP_S) == ()
    return 20 * STEP_S


def seen(watch: SceneWatch, frames: Frame, count: int = 40, start: float = 200.0) -> Iterator[SceneCandidate]:
    for number in range(count):
        yield from watch.see(frames(1000 + number), start + number * STEP_S)


def conditions(frames: Frame, count: int = 40) -> set[Condition]:
    watch = SceneWatch({"fire lane": LANE})
    return {candidate.condition for candidate in seen(watch, frames, count, learnt(watch))}


@pytest.mark.parametrize("weather", [rain, headlights, dusk, passers_by, lambda n: noisy(SCENE, n, 9)])
def test_weather_light_and_passers_by_raise_nothing(weather: Frame) -> None:
    assert conditions(lambda n: weather(n - 1000), 260) == set()


def test_a_cloud_or_a_lamp_that_changes_all_brightness_raises_nothing() -> None:
    assert conditions(lambda n: noisy(SCENE * 0.6 + 70, n), 250) == set()


def test_a_covered_lens_is_a_candidate() -> None:
    assert conditions(lambda n: noisy(np.full_like(SCENE, 90), n)) == {Condition.OCCLUDED}


def test_a_hand_with_lines_before_the_lens_is_a_candidate() -> None:
    other = cv2.resize(SCENE[40:100, 100:160].T, (WIDTH, HEIGHT))
    assert Condition.OCCLUDED in conditions(lambda n: noisy(other, n))


def test_a_view_shifted_by_15_px_is_a_candidate() -> None:
    shifted = np.roll(SCENE, (4, 15), axis=(0, 1))
    assert conditions(lambda n: noisy(shifted, n)) == {Condition.MOVED}


def test_a_blurred_view_is_a_candidate() -> None:
    assert conditions(lambda n: noisy(cv2.GaussianBlur(SCENE, (0, 0), 5), n)) == {Condition.DEFOCUSED}


def test_the_same_frame_for_a_minute_is_a_candidate() -> None:
    assert conditions(lambda _: noisy(SCENE, 7)) == {Condition.FROZEN}


def test_the_dark_and_the_blinding_are_candidates() -> None:
    assert conditions(lambda n: noisy(SCENE * 0.02, n, 2)) == {Condition.TOO_DARK}
    assert conditions(lambda n: noisy(SCENE * 0.4 + 220, n)) == {Condition.BLOWN_OUT}


def with_shed(height: int) -> np.ndarray:
    """A shed in the fire lane, so many px high."""
    scene = SCENE.copy()
    cv2.rectangle(scene, (175, 225 - height), (290, 225), 190, -1)
    for x in range(180, 290, 9):
        cv2.line(scene, (x, 225 - height), (x, 225), 60, 2)
    return scene


def test_a_shed_that_grows_is_a_candidate_of_its_zone_only() -> None:
    watch = SceneWatch({"fire lane": LANE, "sky": ((0, 0), (1, 0), (1, 0.1), (0, 0.1))})
    found = list(seen(watch, lambda n: noisy(with_shed(min(70, (n - 1000) // 2)), n), 500, learnt(watch)))
    assert {(c.condition, c.zone) for c in found} == {(Condition.CHANGED, "fire lane")}
    assert all(0.25 <= c.score <= 1 for c in found)


def test_goods_put_down_for_ten_minutes_are_nobodys_business() -> None:
    assert conditions(lambda n: noisy(with_shed(60) if n < 1060 else SCENE, n), 250) == set()


def test_what_a_person_accepts_is_how_the_scene_should_be() -> None:
    watch = SceneWatch({"fire lane": LANE})
    start = learnt(watch)
    assert list(seen(watch, lambda n: noisy(with_shed(60), n), 250, start))
    watch.accept()
    assert not list(seen(watch, lambda n: noisy(with_shed(60), n), 250, start + 5000))


def test_a_candidate_tells_since_when_and_ends_with_its_cause() -> None:
    watch = SceneWatch()
    start = learnt(watch)
    first = next(seen(watch, lambda n: noisy(np.full_like(SCENE, 90), n), 40, start))
    assert start <= first.since <= start + 9 * STEP_S
    after = list(seen(watch, lambda n: noisy(SCENE, n), 40, start + 1000))
    assert all(c.since == first.since for c in after)
    assert len(after) < 9


def test_a_late_frame_and_another_size_are_no_trouble() -> None:
    watch = SceneWatch()
    start = learnt(watch)
    assert watch.see(np.zeros((HEIGHT, WIDTH), np.uint8), start - 50) == ()
    large = cv2.resize(SCENE, (641, 361))
    assert not list(seen(watch, lambda n: noisy(large, n), 30, start))


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 2**32 - 1))
def test_frames_of_any_shape_and_content_never_raise_an_error(height: int, width: int, seed: int) -> None:
    draw = np.random.default_rng(seed)
    watch = SceneWatch({"all": ((0, 0), (1, 0), (1, 1), (0, 1))})
    for at in range(12):
        for candidate in watch.see(draw.integers(0, 256, (height, width), np.uint8), float(at * 100)):
            assert 0 <= candidate.score <= 1


def test_a_watch_taken_up_from_its_memory_at_every_frame_sees_what_one_that_never_stopped_sees() -> None:
    zones = {"lane": LANE}
    steady, memory = SceneWatch(zones), b""
    found = []
    for number in range(80):
        frame = noisy(SCENE, number)
        if number > 20:
            cv2.rectangle(frame, (180, 160), (290, 225), 20 + number % 3, -1)
            cv2.rectangle(frame, (190, 170), (240, 200), 230, -1)
        taken_up = SceneWatch.resumed(memory, zones)
        expected = steady.see(frame, number * 60.0)
        assert taken_up.see(frame, number * 60.0) == expected
        memory = taken_up.memory()
        found += expected
    assert {one.condition for one in found} == {Condition.CHANGED}
    assert len(memory) < 600_000


def test_a_zone_that_was_taken_away_is_forgotten() -> None:
    watch = SceneWatch({"lane": LANE})
    learnt(watch)
    watch._since[Condition.CHANGED, "lane"] = 5.0
    assert SceneWatch.resumed(watch.memory(), {})._since == {}


def test_a_simulated_day_of_rain_dusk_and_lamplight_raises_nothing() -> None:
    """A picture every ten minutes: day, a shower, passers-by, dusk, lamplight, and dawn again."""
    watch = SceneWatch({"lane": LANE})
    frames = [noisy(SCENE, number) for number in range(20)]
    frames += [shape(number) for shape in (rain, passers_by) for number in range(12)]
    frames += [dusk(number) for number in (*range(0, 200, 4), *range(200, 0, -4))]
    told = [one for n, frame in enumerate(frames) for one in watch.see(frame, n * 600.0)]
    assert told == []
