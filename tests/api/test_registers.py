"""Vehicles, places and subscriptions through the API."""

from __future__ import annotations

import base64
from datetime import UTC, datetime

import pytest

from devices.effects import CheckPlate
from devices.events import Listing
from gateway.plates import checked
from gateway.store import us
from gateway.subscriptions import Letter, Subscriptions
from tests.api.conftest import Estate, in_hours


def test_a_vehicle_is_registered_changed_and_forgotten(call, estate: Estate):
    writer = estate.token("vehicles:write", "vehicles:read")
    added = call("PUT", "/v1/vehicles/粤b·12345", writer, json={"owner": "测试车主", "valid_to": in_hours(1)})
    assert (added.status_code, added.json()["plate"], added.json()["listing"]) == (201, "粤B12345", "allow")
    now = datetime.now(UTC)
    found = checked(CheckPlate(plate="粤B-12345", at=now, captured_at=now), estate.directory, now)
    assert (found.listing, found.vehicle) == (Listing.ALLOW, added.json()["id"])
    found = checked(CheckPlate(plate="粤B98764", at=now, captured_at=now), estate.directory, now)
    assert (found.listing, found.vehicle) == (Listing.UNKNOWN, "")
    blocked = call("PUT", "/v1/vehicles/粤B12345", writer, json={"listing": "block"})
    assert (blocked.status_code, blocked.json()["id"]) == (200, added.json()["id"])
    assert (
        checked(CheckPlate(plate="粤B12345", at=now, captured_at=now), estate.directory, now).listing is Listing.BLOCK
    )
    assert [v["plate"] for v in call("GET", "/v1/vehicles", writer).json()["items"]] == ["粤B12345"]
    assert call("DELETE", "/v1/vehicles/粤B12345", writer).json()["removed"]
    assert not call("DELETE", "/v1/vehicles/粤B12345", writer).json()["removed"]


@pytest.mark.parametrize("plate", ["hello", "粤B1234567", "AB12345"])
def test_what_is_no_plate_is_refused(call, estate: Estate, plate: str):
    assert call("PUT", f"/v1/vehicles/{plate}", estate.token(), json={}).status_code == 422


def test_an_excel_file_from_china_is_imported_and_its_faults_are_named(call, estate: Estate):
    lines = [
        "车牌,名单,车主,生效,失效,备注",
        "粤B12345,,测试甲,2026/1/1,,",
        "测试乙,白名单,粤B54321,,,",
        "粤BD12345,vip,测试丙,,,",
    ]
    text = "\r\n".join(lines)
    answer = call("POST", "/v1/vehicles/import", estate.token("vehicles:write"), content=text.encode("gbk"))
    report = answer.json()
    assert (report["imported"], report["unchanged"]) == (1, 0)
    assert [(e["line"], e["column"], e["value_hint"]) for e in report["errors"]] == [
        (3, "plate", "汉汉汉"),
        (4, "listing", "AAA"),
    ]
    assert "测试" not in answer.text
    again = call("POST", "/v1/vehicles/import", estate.token("vehicles:write"), content=text.encode("utf-8-sig"))
    assert (again.json()["imported"], again.json()["unchanged"]) == (0, 1)


def test_places_are_replaced_whole_and_must_fit_together(call, estate: Estate):
    places = [
        {"id": "c-1", "kind": "community", "name": "Community 1", "parent": ""},
        {"id": "g-1", "kind": "grid", "name": "Grid 1", "parent": "c-1"},
    ]
    done = call("PUT", "/v1/places", estate.token(), json={"items": places}).json()
    assert done == {"items": places, "added": ["c-1", "g-1"], "changed": [], "removed": []}
    again = call("PUT", "/v1/places", estate.token(), json={"items": places}).json()
    assert again == {"items": places, "added": [], "changed": [], "removed": []}
    for parent, words in (("g-1", "within itself"), ("nowhere", "not among")):
        wrong = call("PUT", "/v1/places", estate.token(), json={"items": [places[0] | {"parent": parent}, places[1]]})
        assert (wrong.status_code, words in wrong.json()["detail"]) == (422, True)
    assert call("GET", "/v1/places", estate.token()).json() == {"items": places}


def test_a_subscription_begins_now_and_shows_its_secret_once(call, estate: Estate):
    estate.raise_alert()
    writer = estate.token("subscriptions:write")
    body = {"url": "https://grid.example/linli", "types": ["door_forced"], "max_severity": 1}
    made = call("POST", "/v1/subscriptions", writer, json=body)
    assert (made.status_code, made.json()["cursor"]) == (201, 1)
    secret = made.json()["secret"]
    assert len(base64.b64decode(secret.removeprefix("whsec_"))) == 24
    listed = call("GET", "/v1/subscriptions", writer)
    assert secret not in listed.text
    assert [item["url"] for item in listed.json()["items"]] == ["https://grid.example/linli"]
    tables = Subscriptions(estate.store, estate.vault)
    before = base64.b64decode(secret.removeprefix("whsec_"))
    assert tables.secrets(made.json()["id"], us(datetime.now(UTC))) == [before]
    turned = call("POST", f"/v1/subscriptions/{made.json()['id']}/secret", writer, json={"overlap_hours": 1}).json()
    after = base64.b64decode(turned["secret"].removeprefix("whsec_"))
    until = us(datetime.fromisoformat(turned["old_until"]))
    assert tables.secrets(made.json()["id"], until - 1) == [after, before]
    assert tables.secrets(made.json()["id"], until) == [after]
    assert [s.types for s in tables.all()] == [("door_forced",)]
    assert call("POST", "/v1/subscriptions", writer, json=body | {"from_start": True}).json()["cursor"] == 0


def test_dead_letters_are_shown_and_tried_again(call, estate: Estate):
    writer = estate.token("subscriptions:write")
    name = call("POST", "/v1/subscriptions", writer, json={"url": "http://127.0.0.1:9/"}).json()["id"]
    tables = Subscriptions(estate.store, estate.vault)
    tables.progress(name, 4, now_us=0, dead=[Letter(change=4, reason="HTTP 400", attempts=1)])
    path = f"/v1/subscriptions/{name}/dead-letters"
    assert [(d["change"], d["reason"]) for d in call("GET", path, writer).json()["items"]] == [(4, "HTTP 400")]
    assert call("POST", f"{path}/replay", writer).json() == {"replayed": 1}
    assert [change for _, change in tables.to_replay(name)] == [4]
    assert call("DELETE", f"/v1/subscriptions/{name}", writer).json()["removed"]
    assert call("GET", path, writer).status_code == 404


@pytest.mark.parametrize(
    "body",
    [
        {"url": "ftp://grid.example/"},
        {"url": "https://"},
        {"url": "https://user:pw@grid.example/"},
        {"url": "https://grid.example:99999/"},
        {"url": "https://grid.example/", "types": ["no_such_alert"]},
    ],
)
def test_a_subscription_nobody_could_deliver_to_is_refused(call, estate: Estate, body: dict):
    assert call("POST", "/v1/subscriptions", estate.token(), json=body).status_code == 422


def test_a_vehicle_says_what_changed_and_the_same_again_changes_nothing(call, estate: Estate):
    writer, path = estate.token(), "/v1/vehicles/粤B12345"
    first = call("PUT", path, writer, json={"owner": "o", "listing": "allow"})
    assert (first.status_code, sorted(first.json()["changed"])) == (201, ["listing", "owner"])
    again = call("PUT", path, writer, json={"owner": "o", "listing": "allow"})
    assert (again.status_code, again.json()["changed"]) == (200, [])
    assert call("PUT", path, writer, json={"owner": "p", "listing": "allow"}).json()["changed"] == ["owner"]
    assert [call("DELETE", path, writer).json()["removed"] for _ in range(2)] == [True, False]


OWN = "whsec_" + "A" * 32


def test_a_subscription_asked_for_again_with_its_own_secret_is_the_same_one(call, estate: Estate):
    writer, body = estate.token(), {"url": "http://127.0.0.1:9/", "secret": OWN, "types": ["door_forced"]}
    first, again = (call("POST", "/v1/subscriptions", writer, json=body) for _ in range(2))
    assert (first.status_code, again.status_code) == (201, 200)
    assert (first.json()["changed"], again.json()["changed"]) == (True, False)
    assert (first.json()["id"], len(Subscriptions(estate.store, estate.vault).all())) == (again.json()["id"], 1)
    other = call("POST", "/v1/subscriptions", writer, json=body | {"types": []})
    assert (other.status_code, "other types" in other.json()["detail"]) == (409, True)
    gone = [call("DELETE", f"/v1/subscriptions/{first.json()['id']}", writer).json()["removed"] for _ in range(2)]
    assert gone == [True, False]


def test_a_new_secret_said_twice_keeps_the_one_before_good(call, estate: Estate):
    writer = estate.token()
    made = call("POST", "/v1/subscriptions", writer, json={"url": "http://127.0.0.1:9/"}).json()
    path, tables = f"/v1/subscriptions/{made['id']}/secret", Subscriptions(estate.store, estate.vault)
    first, again = (call("POST", path, writer, json={"secret": OWN}).json() for _ in range(2))
    assert (first["changed"], again["changed"], first["old_until"]) == (True, False, again["old_until"])
    before = base64.b64decode(made["secret"].removeprefix("whsec_"))
    assert tables.secrets(made["id"], us(datetime.now(UTC)))[1] == before


@pytest.mark.parametrize("secret", ["whsec_", "whsec_" + "A" * 8, "hello", "whsec_" + "A" * 33, "whsec_" + "A" * 92, 7])
def test_a_secret_nobody_could_verify_with_is_refused(call, estate: Estate, secret: object):
    body = {"url": "http://127.0.0.1:9/", "secret": secret}
    assert call("POST", "/v1/subscriptions", estate.token(), json=body).status_code == 422
