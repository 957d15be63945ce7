"""Places, who looks after them, incidents, and what the desk has to bear."""

from __future__ import annotations

from tests.api.conftest import Estate

NIGHT = {"start": "20:00:00", "end": "08:00:00"}
PLACES = [
    {"id": "d-1", "kind": "district", "name": "D"},
    {"id": "s-1", "kind": "sub_district", "name": "S", "parent": "d-1"},
    {"id": "c-1", "kind": "community", "name": "C", "parent": "s-1"},
    {"id": "g-1", "kind": "grid", "name": "G", "parent": "c-1"},
    {"id": "3", "kind": "building", "name": "3", "parent": "g-1"},
]
STAFF = [
    {"id": "w-1", "name": "Li", "level": "grid_worker", "places": ["g-1"], "contact": "tel:+861", "shifts": [NIGHT]},
    {"id": "w-2", "name": "Wang", "level": "community", "places": ["c-1"]},
]


def test_staff_is_replaced_as_a_whole_and_doing_it_again_changes_nothing(call, estate: Estate):
    admin = estate.token("places:write")
    first = call("PUT", "/v1/staff", admin, json={"items": STAFF})
    assert first.json() == {"added": ["w-1", "w-2"], "changed": [], "removed": []}
    assert call("PUT", "/v1/staff", admin, json={"items": STAFF}).json()["added"] == []
    less = [STAFF[0] | {"name": "Zhao"}]
    assert call("PUT", "/v1/staff", admin, json={"items": less}).json() == {
        "added": [],
        "changed": ["w-1"],
        "removed": ["w-2"],
    }
    shown = call("GET", "/v1/staff", admin).json()["items"]
    assert [(w["id"], w["name"], w["shifts"][0]["start"]) for w in shown] == [("w-1", "Zhao", "20:00:00")]


def test_a_substitute_nobody_knows_is_refused_by_name(call, estate: Estate):
    away = {"first": "2026-05-01", "last": "2026-05-07", "substitute": "w-9"}
    answer = call("PUT", "/v1/staff", estate.token("places:write"), json={"items": [STAFF[1] | {"absences": [away]}]})
    assert answer.status_code == 422
    assert "w-9" in answer.json()["detail"]


def test_names_and_contacts_of_staff_are_sealed_on_the_disk(call, estate: Estate):
    call("PUT", "/v1/staff", estate.token("places:write"), json={"items": STAFF})
    stored = b"".join(path.read_bytes() for path in estate.settings.data.glob("linli.db*"))
    assert b"tel:+861" not in stored
    assert b"Wang" not in stored


def test_who_is_on_duty_at_a_place_is_told_level_by_level(call, estate: Estate):
    admin = estate.token("places:write")
    assert call("PUT", "/v1/places", admin, json={"items": PLACES}).status_code == 200
    call("PUT", "/v1/staff", admin, json={"items": STAFF})
    for at, worker in (("2026-05-01T23:30:00+08:00", ["w-1"]), ("2026-05-01T12:00:00+08:00", [])):
        found = call("GET", "/v1/duty", admin, params={"place": "3", "at": at}).json()["levels"]
        assert (found["grid_worker"], found["community"], found["sub_district"]) == (worker, ["w-2"], [])


def test_a_place_cannot_lie_in_a_smaller_one(call, estate: Estate):
    wrong = [PLACES[4] | {"parent": ""}, {"id": "g-1", "kind": "grid", "name": "G", "parent": "3"}]
    answer = call("PUT", "/v1/places", estate.token("places:write"), json={"items": wrong})
    assert answer.status_code == 422
    assert "g-1" in answer.json()["detail"]


def test_alerts_of_one_cause_are_listed_as_one_incident(call, estate: Estate):
    reader = estate.token("alerts:read")
    for n in range(3):
        estate.raise_alert("battery_low", instance=str(n))
    estate.raise_alert("door_forced")
    found = {i["id"]: i for i in call("GET", "/v1/incidents", reader).json()["items"]}
    assert sorted((i["alerts"], i["severity"]) for i in found.values()) == [(1, 1), (3, 3)]
    (batteries,) = [i["id"] for i in found.values() if i["alerts"] == 3]
    page = call("GET", "/v1/alerts", reader, params={"incident": batteries}).json()["items"]
    assert [alert["incident"] for alert in page] == [batteries] * 3


def test_what_the_desk_has_to_bear_is_measured(call, estate: Estate):
    for n in range(4):
        estate.raise_alert("battery_low", instance=str(n))
    estate.raise_alert("door_forced")
    load = call("GET", "/v1/desk-load", estate.token("alerts:read"), params={"days": 1}).json()
    assert (load["asked"], load["fullest_window"], load["stale"]) == (5, 5, 0)
    assert load["severity_share"] == {"1": 0.2, "2": 0.0, "3": 0.8}
    assert load["flood_share"] == 0.0


def test_a_flood_what_chatters_and_the_hours_of_operators_are_told(call, estate: Estate):
    for n in range(10):
        estate.raise_alert("door_forced", instance=str(n))
    reader, params = estate.token("alerts:read"), {"days": 1}
    assert call("GET", "/v1/desk-load", reader, params=params).json()["flood_s"] == 0, "ten are no flood"
    for _ in range(7):
        estate.raise_alert("door_held_open")
        estate.clear_alert("door_held_open")
    load = call("GET", "/v1/desk-load", reader, params=params).json()
    assert load["flood_s"] == load["window_s"]
    assert load["chattering"] == [{"key": "gate-3/door_held_open", "cycles": 5}]
    assert load["operator_hours"] == 24
    assert load["per_operator_hour"] == load["per_hour"] == load["asked"] / 24


def test_what_waits_behind_another_is_not_stale(call, estate: Estate):
    for code in ("device_offline", "clock_wrong"):
        estate.raise_alert(code)
    with estate.store.write() as db:
        db.execute("UPDATE alerts SET raised_at = raised_at - 2 * 86400 * 1000000")
    assert call("GET", "/v1/desk-load", estate.token("alerts:read")).json()["stale"] == 1


def test_an_alert_tells_how_far_it_has_climbed(call, estate: Estate):
    alert = call("GET", f"/v1/alerts/{estate.raise_alert('door_forced')}", estate.token("alerts:read")).json()
    assert (alert["level"], alert["informed"], alert["chattering"]) == ("desk", ["desk"], False)
    assert alert["unowned_since"] == alert["raised_at"]
