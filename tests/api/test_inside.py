"""Who is inside, and the round: through the API."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from devices.events import BayChanged, Direction, VehiclePassed
from devices.model import Device
from tests.api.conftest import Estate

WAY_IN = Device(id="in-1", kind="barrier", protocol="native", address="I1", community="c-1", direction="in")
WAY_OUT = Device(id="out-1", kind="barrier", protocol="native", address="O1", community="c-1", direction="out")
BAY = Device(id="bay-1", kind="bay", protocol="native", address="B1", community="c-1")
STRANGER, OTHER = "苏E36915", "皖C55555"


@pytest.fixture
def lanes(estate: Estate) -> Estate:
    for device in (WAY_IN, WAY_OUT, BAY):
        estate.directory.put_device(device)
    return estate


def passes(estate: Estate, plate: str, hours_ago: float, device: Device = WAY_IN) -> None:
    at = datetime.now(UTC) - timedelta(hours=hours_ago)
    event = VehiclePassed(at=at, plate=plate, direction=Direction(device.direction))
    estate.change(lambda now, turn: estate.hub.fact(event, device, b"%016d" % (hours_ago * 3600), now, turn, turn))


def inside(call: Any, estate: Estate, **query: Any) -> dict[str, Any]:
    answer = call("GET", "/v1/vehicles/inside", estate.token("vehicles:read"), params={"community": "c-1", **query})
    assert answer.status_code == 200
    return answer.json()


def mark(call: Any, estate: Estate, one: dict[str, Any], *, here: bool, **more: Any) -> Any:
    body = {"here": here, "entered_at": one["entered_at"], "community": "c-1", **more}
    return call("POST", f"/v1/vehicles/inside/{one['key']}", estate.token("vehicles:read", "alerts:write"), json=body)


def test_who_is_inside_is_listed_with_dwell_and_probability(call, lanes: Estate):
    passes(lanes, OTHER, 2)
    passes(lanes, STRANGER, 27)
    estate_bay = BayChanged(at=datetime.now(UTC), occupied=True)
    lanes.change(lambda now, turn: lanes.hub.fact(estate_bay, BAY, b"b" * 16, now, turn, turn))
    told = inside(call, lanes)
    assert [one["plate"] for one in told["items"]] == [STRANGER, OTHER]
    first = told["items"][0]
    assert first["hours"] == pytest.approx(27, abs=0.1)
    assert first["overdue_since"] is not None
    assert first["to_look_for"]
    assert 0.5 < first["probability"] < 1
    assert (told["to_look_for"], told["lot"]["bays"], told["lot"]["taken"]) == (1, 1, 1)
    assert [one["plate"] for one in inside(call, lanes, to_look_for=True)["items"]] == [STRANGER]


def test_one_that_is_gone_is_off_the_list_and_one_that_is_here_becomes_an_alert(call, lanes: Estate):
    passes(lanes, OTHER, 26)
    passes(lanes, STRANGER, 27)
    first, second = inside(call, lanes)["items"]
    gone, here = mark(call, lanes, first, here=False), mark(call, lanes, second, here=True, reason="tyres flat")
    assert (gone.status_code, gone.json()["overdue"]) == (200, False)
    assert (here.status_code, here.json()["overdue"], here.json()["by"]) == (200, True, "desk 1")
    (left,) = inside(call, lanes)["items"]
    assert (left["plate"], left["to_look_for"]) == (OTHER, False)
    assert left["probability"] > 0.99
    assert [alert.type for alert in lanes.alerts.open] == ["unknown_stays"]


def test_a_mark_of_nobody_or_of_an_earlier_stay_is_refused(call, lanes: Estate):
    passes(lanes, STRANGER, 27)
    (one,) = inside(call, lanes)["items"]
    assert mark(call, lanes, {**one, "key": "0" * 16}, here=True).status_code == 404
    assert mark(call, lanes, {**one, "entered_at": "2026-01-01T00:00:00Z"}, here=True).status_code == 409
    body = {"here": True, "entered_at": one["entered_at"]}
    reader = lanes.token("vehicles:read")
    assert call("POST", f"/v1/vehicles/inside/{one['key']}", reader, json=body).status_code == 403
