"""Cameras that send drawn pictures to a running gateway: what is wrong with a view is told, weather is not."""

import base64
import json
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from simulators.scene_drawing import LANE, View, draw_scene
from tests.e2e.running import Peer, RunningGateway, running

pytestmark = pytest.mark.e2e

EVERY_S = 1.0
LEARNT = 12
"""The first pictures of every camera show the yard by day."""
WITHIN = 110
"""Pictures until everything that is to be told is told."""
ZONES = json.dumps([{"name": "lane", "purpose": "fire_lane", "polygon": LANE}])

CAMERAS: dict[str, tuple[Callable[[int], View], str]] = {
    "covered": (lambda _: View(covered=True), "camera_occluded"),
    "turned": (lambda _: View(turned=24), "camera_moved"),
    "frozen": (lambda _: View(), "camera_frozen"),
    "shed": (lambda n: View(shed=min(1, n / 10)), "zone_changed_fire_lane"),
    "rain": (lambda _: View(rain=1), ""),
    "nightfall": (lambda n: View(night=min(1, n / 50)), ""),
    "headlights": (lambda n: View(night=0.6, headlights=n * 0.13 % 1 if n % 3 == 0 else None), ""),
}
"""What each camera sees after it was learnt, and what is to be told of it."""


def picture(name: str, number: int) -> bytes:
    seen = CAMERAS[name][0](number - LEARNT) if number >= LEARNT else View()
    return draw_scene(LEARNT if name == "frozen" and number > LEARNT else number, seen)


def say(peer: Peer, name: str, number: int) -> None:
    event = {"type": "frame_captured", "at": datetime.now(UTC).isoformat()}
    image = base64.b64encode(picture(name, number)).decode()
    peer.say(f"linli/v1/{name}/event", {"id": f"{name}-{number}", "event": event, "image": image})


def alerts(gateway: RunningGateway) -> dict[str, set[str]]:
    rows: list[tuple[Any, ...]] = gateway.rows("SELECT device, type FROM alerts")
    return {name: {type_ for device, type_ in rows if device == name} for name in CAMERAS}


def test_cameras_that_see_nothing_or_something_else_are_told_and_the_weather_is_not(tmp_path: Path) -> None:
    expected = {name: {type_} if type_ else set() for name, (_, type_) in CAMERAS.items()}
    with running(tmp_path, workers=1) as gateway:
        for name in CAMERAS:
            gateway.put_device(name, "camera", params={"zone_change_s": 15}, options={"zones": ZONES})
        peer, beat = Peer(gateway.broker, "cameras"), Event()
        for number in count():
            for name in CAMERAS:
                say(peer, name, number)
            if number >= WITHIN or alerts(gateway) == expected:
                break
            beat.wait(EVERY_S)  # the cameras' own clock
        assert alerts(gateway) == expected
        done = gateway.api.post("/v1/devices/turned/scene/accept", json={"reason": "fixed at its new angle"})
        assert (done.status_code, len(done.json()["ended"])) == (200, 1)
        peer.close()
        assert gateway.bugs() == []
