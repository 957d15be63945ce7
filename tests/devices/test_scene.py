import json

import msgspec
import pytest

from devices.effects import ClearAlert, RaiseAlert, TakeSnapshot, WatchScene
from devices.events import FrameCaptured, SceneAccepted, SceneCandidate, SceneJudged
from devices.kinds import scene
from devices.kinds.camera import CAMERA
from tests.devices.table import Run, at, changes, of

ZONES = [{"name": "lane", "purpose": "fire_lane", "polygon": [[0, 0], [1, 0], [1, 1]]}]


def camera(**params: float) -> Run:
    run = Run(CAMERA, **params)
    run.device = msgspec.structs.replace(run.device, options={"zones": json.dumps(ZONES)})
    return run


def frame(seconds: float) -> FrameCaptured:
    return FrameCaptured(at=at(seconds), evidence=f"f{seconds:g}")


def judged(seconds: float, *conditions: str, zone: str = "", seen: bool = True) -> SceneJudged:
    found = tuple(SceneCandidate(condition=c, score=0.8, since=at(1), zone=zone, why="so") for c in conditions)
    return SceneJudged(at=at(seconds), evidence="f1", captured_at=at(seconds), seen=seen, candidates=found)


def test_a_frame_is_looked_at_with_the_zones_of_the_camera() -> None:
    run = camera()
    (look,) = run.say(frame(0))
    assert isinstance(look, WatchScene)
    assert (look.evidence, look.not_after, [zone.name for zone in look.zones]) == ("f0", at(30), ["lane"])


def test_frames_are_looked_at_one_after_the_other_and_never_twice() -> None:
    run = camera()
    run.say(frame(0))
    assert run.say(frame(5), frame(0)) == []
    run.say(judged(6))
    assert run.say(frame(5), frame(0)) != []
    assert run.say(judged(7), frame(5), frame(4)) == []
    assert of(WatchScene, run.say(frame(8)))


def test_an_answer_that_never_comes_does_not_end_the_watch() -> None:
    run = camera()
    run.say(frame(0))
    assert of(WatchScene, run.say(frame(30)))


@pytest.mark.parametrize("what", ["occluded", "moved", "defocused", "frozen", "too_dark", "blown_out"])
def test_a_condition_is_raised_once_with_its_score_and_cleared_when_it_is_over(what: str) -> None:
    run = camera()
    (alert,) = of(RaiseAlert, run.say(judged(9, what), judged(19, what)))
    assert (alert.code, alert.at, alert.confidence, alert.evidence) == (f"camera_{what}", at(1), 0.8, "f1")
    assert changes(run.say(judged(29, seen=False))) == []
    assert run.say(judged(39)) == [ClearAlert(code=f"camera_{what}", at=at(39))]


def test_a_change_in_a_zone_is_told_by_its_purpose() -> None:
    run = camera()
    assert changes(run.say(judged(9, "changed", zone="lane"))) == ["+zone_changed_fire_lane"]
    assert changes(run.say(judged(19, "changed", zone="gone"))) == ["-zone_changed_fire_lane"]


def test_a_view_that_a_person_accepts_forgets_what_was_told_against_it_and_nothing_else() -> None:
    run = camera()
    run.say(frame(0), judged(9, "moved", "frozen"), frame(10))
    assert run.say(SceneAccepted(at=at(12), by="night shift", reason="fixed anew")) == [
        ClearAlert(code="camera_moved", at=at(12))
    ]
    watch = run.state.watch
    assert (watch.raised, watch.asked, watch.accepted) == ((("camera_frozen", ""),), None, at(12))
    assert run.say(frame(11)) == []
    assert of(WatchScene, run.say(frame(13)))


def test_the_camera_is_asked_for_pictures_where_that_is_wished() -> None:
    run = camera()
    run.say(frame(0))
    assert run.due is None
    run = camera(frame_every_s=60)
    run.say(frame(0))
    assert run.until(130) == [TakeSnapshot(not_after=at(70)), TakeSnapshot(not_after=at(130))]


@pytest.mark.parametrize("said", ["x", "{}", '[{"name": "a"}]', json.dumps(ZONES * 2)])
def test_zones_that_are_none_are_refused_in_words(said: str) -> None:
    run = camera()
    device = msgspec.structs.replace(run.device, options={"zones": said})
    with pytest.raises(ValueError, match=r"options\.zones"):
        scene.zones(device)
    assert of(WatchScene, CAMERA.decide(CAMERA.initial, frame(0), device)[1])
