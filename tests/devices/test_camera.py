import pytest

from devices.events import CameraFault, CameraHealthChanged, ObjectDetected
from devices.kinds.camera import CAMERA, MAX_TRACKS
from tests.devices.table import Run, at, changes


def camera(**params: float) -> Run:
    return Run(CAMERA, **params)


def thing(seconds: float, track: str = "t1", *, zone: str = "lane", present: bool = True) -> ObjectDetected:
    return ObjectDetected(
        at=at(seconds), label="car", zone=zone, track=track, confidence=0.8, present=present, evidence=f"e{seconds}"
    )


def test_something_that_stays_in_a_zone_raises_one_alert() -> None:
    run = camera()
    assert run.say(thing(0), thing(50)) == []
    (alert,) = run.until(3000)
    assert (alert.code, alert.instance, alert.at) == ("zone_intrusion", "lane", at(60))
    assert (alert.confidence, alert.evidence, alert.detail) == (0.8, "e50", {"label": "car", "dwell_s": 60.0})


def test_the_alert_is_over_when_the_last_one_has_left_the_zone() -> None:
    run = camera()
    run.say(thing(0), thing(5, "t2"))
    assert changes(run.until(100)) == ["+zone_intrusion"]
    assert run.say(thing(101, present=False)) == []
    assert changes(run.say(thing(102, "t2", present=False))) == ["-zone_intrusion"]
    assert run.due is None


def test_who_only_passes_through_raises_nothing() -> None:
    run = camera()
    run.say(thing(0), thing(59, present=False), thing(61))
    assert changes(run.until(120)) == []
    assert changes(run.until(121)) == ["+zone_intrusion"]


def test_zones_are_watched_each_on_their_own() -> None:
    run = camera()
    run.say(thing(0, zone="lane"), thing(10, zone="roof"))
    assert [e.instance for e in run.until(100)] == ["lane", "roof"]
    (cleared,) = run.say(thing(101, zone="lane", present=False))
    assert cleared.instance == "lane"


def test_no_zone_or_no_dwell_time_means_no_watch() -> None:
    assert camera().say(thing(0, zone="")) == []
    run = camera(dwell_s=0)
    run.say(thing(0))
    assert run.due is None


def test_a_track_the_camera_forgot_to_end_is_lost_after_an_hour() -> None:
    run = camera()
    run.say(thing(0))
    assert changes(run.until(3600)) == ["+zone_intrusion", "-zone_intrusion"]
    assert run.state == CAMERA.initial


def test_a_crowd_is_bounded_and_its_oldest_are_dropped() -> None:
    run = camera()
    run.say(*(thing(n, f"t{n}") for n in range(MAX_TRACKS + 10)))
    assert [t.track for t in run.state.tracks] == [f"t{n}" for n in range(10, MAX_TRACKS + 10)]


def test_a_zone_crowded_out_of_memory_does_not_keep_its_alert() -> None:
    run = camera()
    run.say(thing(0, zone="roof"))
    run.until(60)
    crowd = run.say(*(thing(61, f"t{n}") for n in range(MAX_TRACKS)))
    assert changes(crowd) == ["-zone_intrusion"]


@pytest.mark.parametrize("fault", list(CameraFault))
def test_a_spoilt_picture_is_an_alert_until_it_is_good_again(fault: CameraFault) -> None:
    run = camera()
    (alert,) = run.say(CameraHealthChanged(at=at(0), fault=fault, active=True, evidence="e1"))
    assert (alert.code, alert.evidence) == (f"camera_{fault}", "e1")
    assert changes(run.say(CameraHealthChanged(at=at(1), fault=fault, active=False))) == [f"-camera_{fault}"]


@pytest.mark.parametrize(
    ("zone", "label", "code", "after"),
    [
        ("fire-lane", "car", "fire_lane_blocked", 120),
        ("Fire lane north", "Truck", "fire_lane_blocked", 900),
        ("fire-lane", "person", "zone_intrusion", 60),
        ("lift-3", "ebike", "ebike_indoors", 3),
        ("stairs", "battery", "ebike_indoors", 3),
        ("stairs", "person", "zone_intrusion", 60),
        ("no-park", "bicycle", "stray_bikes", 600),
        ("lawn", "bicycle", "zone_intrusion", 60),
    ],
)
def test_what_a_zone_is_for_says_what_something_in_it_means(zone: str, label: str, code: str, after: float) -> None:
    run = Run(CAMERA)
    seen = {"label": label, "zone": zone, "track": "t1"}
    run.say(ObjectDetected(at=at(0), **seen))
    assert changes(run.until(after - 1)) == []
    assert changes(run.until(after)) == [f"+{code}"]
    assert changes(run.say(ObjectDetected(at=at(after + 5), present=False, **seen))) == [f"-{code}"]


@pytest.mark.parametrize(
    ("label", "hour", "unload_s", "after"),
    [
        ("van", 3, 900, 900),
        ("van", 3, 300, 300),
        ("van", 3, 0, 120),
        ("van", 8.9, 900, 900),
        ("van", 9, 900, 120),
        ("truck", -5.5, 900, 120),
        ("car", 3, 900, 120),
    ],
)
def test_a_van_may_unload_in_the_fire_lane_by_day(label: str, hour: float, unload_s: float, after: float) -> None:
    """Hours after noon in Shanghai, where the table's time begins."""
    run = Run(CAMERA, unload_s=unload_s)
    start = hour * 3600
    run.say(ObjectDetected(at=at(start), label=label, zone="fire-1", track="t1"))
    assert changes(run.until(start + after - 1)) == []
    assert changes(run.until(start + after)) == ["+fire_lane_blocked"]
