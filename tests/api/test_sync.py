"""Synchronisation from the governance backend: revisions, pages, replays, gaps, and who wins over whom."""

from __future__ import annotations

import copy
import hashlib
import json
import sqlite3
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from api.tokens import tokens
from devices.events import DenyReason, Listing, Method
from gateway.chain import Finding, findings, out_of_turn
from gateway.ledger import exported, genuine, rows, seals, signing_key
from gateway.residents import Enrolment
from gateway.schema import MIGRATIONS
from gateway.store import Store
from gateway.sync import Sync
from gateway.syncbook import SyncBook
from gateway.syncplan import fingerprint
from gateway.vault import Vault
from gateway.vehicles import Vehicle
from tests.api.conftest import GATE, Estate, in_hours

PLACES = [
    {"id": "s-1", "kind": "sub_district", "name": "S"},
    {"id": "c-1", "kind": "community", "name": "C", "parent": "s-1"},
    {"id": "g-1", "kind": "grid", "name": "G1", "parent": "c-1"},
    {"id": "g-2", "kind": "grid", "name": "G2", "parent": "c-1"},
    {"id": "3", "kind": "building", "name": "3", "parent": "g-1"},
]
CARS = [{"plate": f"粤B1000{n}", "owner": "测试车主"} for n in range(5)]


def moved(places: list[dict[str, str]], grid: str) -> list[dict[str, str]]:
    return [place | ({"parent": grid} if place["id"] == "3" else {}) for place in places]


@pytest.fixture
def put(call, estate: Estate):
    token = estate.token(role="backend")

    def do(section: str, revision: int, items: Any = (), **more: Any):
        return call("PUT", f"/v1/sync/{section}", token, json={"revision": revision, "items": list(items), **more})

    return do


@pytest.fixture
def state(call, estate: Estate):
    token = estate.token(role="backend")
    return lambda section: {s["section"]: s for s in call("GET", "/v1/sync", token).json()["sections"]}[section]


# -- revisions -------------------------------------------------------------------------------------------------------


def test_a_revision_says_what_it_changed_and_the_same_again_changes_nothing_and_says_so(put, estate: Estate):
    first = put("places", 1, PLACES)
    assert first.status_code == 200
    assert (first.json()["added"], first.json()["replayed"]) == ([p["id"] for p in PLACES], False)
    again = put("places", 1, PLACES)
    assert again.json() == first.json() | {"replayed": True}
    later = put("places", 2, moved(PLACES, "g-2"))
    assert later.json()["changed"] == [{"id": "3", "fields": ["parent"]}]
    assert (later.json()["unchanged"], later.json()["removed"]) == (4, [])
    assert estate.directory.roster.grid_of(GATE) == "g-2"


def test_a_snapshot_takes_back_what_it_leaves_out_and_a_delta_what_it_names(put, estate: Estate):
    put("vehicles", 1, CARS)
    assert put("vehicles", 2, CARS[1:]).json()["removed"] == ["粤B10000"]
    delta = put("vehicles", 3, [{"plate": "粤b·20000"}], base=2, gone=["粤B-10001"])
    assert (delta.json()["added"], delta.json()["removed"]) == (["粤B20000"], ["粤B10001"])
    assert [v.plate for v in estate.directory.vehicles()] == ["粤B10002", "粤B10003", "粤B10004", "粤B20000"]


def test_what_does_not_follow_on_what_is_here_is_told_where_to_go_on(put, state):
    put("vehicles", 5, CARS)
    gap = put("vehicles", 8, [], base=7)
    assert (gap.status_code, gap.json()["state"]["revision"]) == (409, 5)
    assert put("vehicles", 4, CARS[1:]).status_code == 409
    assert put("vehicles", 5, CARS[1:]).status_code == 409
    assert (state("vehicles")["revision"], state("vehicles")["items"]) == (5, 5)


def test_two_who_send_the_same_revision_at_once_change_it_once(put):
    barrier = threading.Barrier(4)

    def send(_: int) -> Any:
        barrier.wait()
        return put("vehicles", 1, CARS).json()

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(send, range(4)))
    assert sorted(answer["replayed"] for answer in answers) == [False, True, True, True]
    assert {len(answer["added"]) for answer in answers} == {5}


def test_a_snapshot_that_takes_back_most_of_it_must_say_that_it_is_meant_so(put, estate: Estate):
    cars = [{"plate": f"粤B2{n:04}"} for n in range(40)]
    put("vehicles", 1, cars)
    half = put("vehicles", 2, cars[:5])
    assert (half.status_code, len(estate.directory.vehicles())) == (409, 40)
    assert len(put("vehicles", 2, cars[:5], shrink=True).json()["removed"]) == 35


# -- pages -----------------------------------------------------------------------------------------------------------


def test_pages_are_kept_until_the_last_one_and_then_happen_at_once(put, state, estate: Estate):
    first = put("places", 1, PLACES[3:], page=1, pages=2)
    assert (first.status_code, first.json()["complete"], first.json()["next_page"]) == (202, False, 2)
    assert estate.directory.places() == []
    assert state("places")["pending"] == {"revision": 1, "pages": 2, "next_page": 2}
    assert put("places", 1, PLACES[3:], page=1, pages=2).json()["replayed"]
    done = put("places", 1, PLACES[:3], page=2, pages=2)
    assert (done.status_code, sorted(done.json()["added"])) == (200, sorted(p["id"] for p in PLACES))
    assert state("places")["pending"] is None
    assert put("places", 1, PLACES[3:], page=1, pages=2).json() == done.json() | {"replayed": True}


def test_a_page_out_of_turn_or_changed_meanwhile_is_refused(put):
    assert put("places", 1, PLACES[:1], page=2, pages=3).status_code == 409
    put("places", 1, PLACES[:1], page=1, pages=3)
    third = put("places", 1, PLACES[:1], page=3, pages=3)
    assert (third.status_code, third.json()["state"]["pending"]["next_page"]) == (409, 2)
    assert put("places", 1, PLACES[:2], page=1, pages=3).status_code == 409
    assert put("places", 1, PLACES[:1], page=1, pages=4).status_code == 409
    assert put("places", 1, PLACES, page=4, pages=3).status_code == 422


def test_pages_and_revisions_are_there_after_a_restart_and_nobodys_name_in_clear(put, estate: Estate):
    put("vehicles", 1, CARS[:2], page=1, pages=2)
    assert "测试车主".encode() not in b"".join(p.read_bytes() for p in estate.settings.data.glob("linli.db*"))
    restarted = Sync(Store(estate.settings.database), estate.vault, estate.directory)
    pending = restarted.book.state("backend", "vehicles").pending
    assert pending is not None
    assert pending.next_page == 2
    assert len(put("vehicles", 1, CARS[2:], page=2, pages=2).json()["added"]) == 5
    assert "测试车主".encode() not in b"".join(p.read_bytes() for p in estate.settings.data.glob("linli.db*"))


# -- all of it, or one by one ----------------------------------------------------------------------------------------


def test_half_a_hierarchy_is_no_hierarchy(put, state, estate: Estate):
    put("places", 1, PLACES)
    broken = put("places", 2, [p for p in PLACES if p["id"] != "g-1"])
    assert broken.status_code == 422
    assert "g-1" in broken.json()["detail"]
    assert (len(estate.directory.places()), state("places")["revision"]) == (5, 1)
    assert put("places", 2, moved([p for p in PLACES if p["id"] != "g-1"], "g-2")).json()["removed"] == ["g-1"]


def test_a_plate_that_is_none_keeps_no_other_vehicle_out(put, estate: Estate):
    answer = put("vehicles", 1, [CARS[0], {"plate": "hello"}, CARS[0], {"plate": "粤B30000", "valid_to": in_hours(-1)}])
    assert [(r["id"], r["why"]) for r in answer.json()["refused"]] == [("HELLO", "invalid"), ("粤B10000", "twice")]
    assert answer.json()["added"] == ["粤B10000", "粤B30000"]


def test_staff_comes_with_its_roles_and_a_building_head_is_told_before_the_grid(put, call, estate: Estate):
    put("places", 1, PLACES)
    staff = [
        {"id": "w-1", "name": "甲", "level": "grid_worker", "role": "grid_worker", "places": ["g-1"]},
        {"id": "w-2", "name": "乙", "level": "grid_worker", "role": "building_head", "places": ["3"]},
        {
            "id": "p-1",
            "name": "丙",
            "level": "desk",
            "role": "property_company",
            "places": ["c-1"],
            "contact": "tel:+861",
        },
    ]
    assert put("staff", 1, staff).json()["added"] == ["w-1", "w-2", "p-1"]
    levels = call("GET", "/v1/duty", estate.token(), params={"place": "3"}).json()["levels"]
    assert (levels["desk"], levels["grid_worker"]) == (["p-1"], ["w-2"])
    away = {"first": "2026-05-01", "last": "2026-05-07", "substitute": "w-9"}
    assert put("staff", 2, [staff[0] | {"absences": [away]}]).status_code == 422
    assert len(estate.directory.roster.staff()) == 3


def test_drawing_grids_anew_moves_no_device_and_rewrites_no_alert(put, call, estate: Estate):
    put("places", 1, PLACES)
    old, admin, before = estate.raise_alert(), estate.token(), estate.directory.device("gate-3")
    put("places", 2, moved(PLACES, "g-2"))
    new = estate.raise_alert("battery_low")
    assert [call("GET", f"/v1/alerts/{one}", admin).json()["grid"] for one in (old, new)] == ["g-1", "g-2"]
    assert estate.directory.device("gate-3") == before


# -- the desk and the backend ----------------------------------------------------------------------------------------


def test_what_the_desk_changed_since_is_not_overwritten_unless_the_backend_says_so(put, call, estate: Estate):
    put("vehicles", 1, CARS)
    admin = estate.token()
    call("PUT", "/v1/vehicles/粤B10000", admin, json={"listing": "block", "owner": "测试车主"})
    call("DELETE", "/v1/vehicles/粤B10001", admin)
    told = put("vehicles", 2, [CARS[0] | {"note": "n"}, CARS[1]], base=1).json()
    assert [(r["id"], r["why"], r["fields"]) for r in told["refused"]] == [
        ("粤B10000", "changed_here", ["listing", "note"]),
        ("粤B10001", "removed_here", []),
    ]
    assert (told["added"], told["changed"]) == ([], [])
    kept = estate.directory.vehicle("粤B10000")
    assert kept is not None
    assert kept.listing is Listing.BLOCK
    standing = call("GET", "/v1/sync/vehicles/items", estate.token("sync:write")).json()["items"]
    assert [item["standing"] for item in standing] == ["changed_here", "removed_here", *["as_given"] * 3]
    over = put("vehicles", 3, CARS[:2], base=2, overrule=["粤B10000", "粤B10001"]).json()
    assert ([c["id"] for c in over["changed"]], over["added"], over["refused"]) == (["粤B10000"], ["粤B10001"], [])


def test_a_snapshot_leaves_alone_what_the_office_registered_itself(put, call, estate: Estate):
    call("PUT", "/v1/vehicles/粤B77777", estate.token(), json={"owner": "物业"})
    call("PUT", "/v1/vehicles/粤B10000", estate.token(), json={"owner": "测试车主"})
    told = put("vehicles", 1, [*CARS, {"plate": "粤B77777", "listing": "block"}]).json()
    assert [(r["id"], r["why"]) for r in told["refused"]] == [("粤B77777", "registered_here")]
    assert told["unchanged"] == 1, "the same on both sides is simply the same"
    put("vehicles", 2, CARS[1:])
    assert [v.plate for v in estate.directory.vehicles()] == [
        "粤B10001",
        "粤B10002",
        "粤B10003",
        "粤B10004",
        "粤B77777",
    ]


def test_a_hierarchy_changed_on_the_spot_is_refused_whole_and_names_the_place(put, call, estate: Estate):
    put("places", 1, PLACES)
    call("PUT", "/v1/places", estate.token(), json={"items": moved(PLACES, "g-2")})
    other = [place | ({"name": "Three"} if place["id"] == "3" else {}) for place in PLACES]
    told = put("places", 2, other)
    assert (told.status_code, [r["id"] for r in told.json()["refused"]]) == (409, ["3"])
    assert {p.id: p.parent for p in estate.directory.places()}["3"] == "g-2"
    assert put("places", 2, other, overrule=["3"]).json()["changed"] == [{"id": "3", "fields": ["name", "parent"]}]


# -- passes open nothing ---------------------------------------------------------------------------------------------


def passed(estate: Estate, card: str = "AABB01") -> tuple[bool, DenyReason]:
    allowed, _, reason = estate.directory.check_credential(Method.CARD, card, GATE, datetime.now(UTC))
    return allowed, reason


def enrol(estate: Estate, scope: str = "estate") -> None:
    until = datetime(2098, 1, 1, tzinfo=UTC)
    new = Enrolment(id="res_1", name="测试", building="3", scope=scope, until=until, recorded_by="o", cards=["AABB01"])
    estate.directory.enrol(new, estate.evidence, datetime.now(UTC))


PASS = {"id": "p-1", "person": "res_1", "kind": "temporary", "scope": "building:3"}


def test_a_pass_opens_nothing_for_who_is_not_enrolled(put, estate: Estate):
    told = put("passes", 1, [PASS | {"valid_to": in_hours(5)}]).json()
    assert (told["added"], told["waiting"]) == (["p-1"], ["res_1"])
    assert passed(estate) == (False, DenyReason.UNKNOWN_CREDENTIAL)


def test_a_pass_gives_no_more_than_the_consent_does(put, estate: Estate):
    enrol(estate, scope="building:9")
    put("passes", 1, [PASS | {"valid_to": in_hours(5), "scope": "estate"}])
    assert passed(estate) == (False, DenyReason.UNAUTHORIZED)


@pytest.mark.parametrize(
    ("window", "expected"),
    [
        ({"valid_to": in_hours(5)}, (True, DenyReason.OTHER)),
        ({"valid_to": in_hours(-1)}, (False, DenyReason.CREDENTIAL_EXPIRED)),
        ({"valid_from": in_hours(1), "valid_to": in_hours(5)}, (False, DenyReason.CREDENTIAL_NOT_ACTIVE)),
        ({"valid_to": in_hours(5), "scope": "building:9"}, (False, DenyReason.UNAUTHORIZED)),
    ],
)
def test_a_temporary_resident_passes_within_the_pass_only(put, estate: Estate, window, expected):
    enrol(estate)
    assert passed(estate) == (True, DenyReason.OTHER), "who has no pass passes by consent"
    put("passes", 1, [PASS | window])
    assert passed(estate) == expected


def test_taking_a_pass_back_keeps_out_and_survives_a_restart_until_the_person_is_forgotten(put, estate: Estate):
    enrol(estate)
    put("passes", 1, [PASS | {"valid_to": in_hours(5)}])
    assert put("passes", 2, [], base=1, gone=["p-1"]).json()["removed"] == ["p-1"]
    assert passed(estate) == (False, DenyReason.CREDENTIAL_NOT_ENABLED)
    estate.directory.residents.passes.load()
    assert passed(estate) == (False, DenyReason.CREDENTIAL_NOT_ENABLED)
    estate.directory.withdraw("res_1", estate.evidence, datetime.now(UTC))
    assert estate.store.reader.execute("SELECT count(*) FROM passes").fetchone()[0] == 0


def test_a_pass_given_to_somebody_else_keeps_out_who_had_it(put, estate: Estate):
    enrol(estate)
    put("passes", 1, [PASS | {"valid_to": in_hours(5)}])
    put("passes", 2, [PASS | {"valid_to": in_hours(5), "person": "res_2"}], base=1)
    assert passed(estate) == (False, DenyReason.CREDENTIAL_NOT_ENABLED)


def test_a_temporary_pass_without_an_end_is_refused(put):
    assert [(r["id"], r["why"]) for r in put("passes", 1, [PASS]).json()["refused"]] == [("p-1", "invalid")]


# -- strangers and nonsense ------------------------------------------------------------------------------------------


def test_only_a_token_for_it_may_synchronise(call, estate: Estate):
    for token in (estate.token(role="desk"), estate.token("places:write", "vehicles:write")):
        assert call("GET", "/v1/sync", token).status_code == 403
        assert call("PUT", "/v1/sync/vehicles", token, json={"revision": 1}).status_code == 403


@pytest.mark.parametrize(
    ("section", "body"),
    [
        ("places", {"revision": 0}),
        ("places", {"revision": 2**60}),
        ("places", {"revision": 1, "items": None}),
        ("places", {"revision": 1, "items": [{"id": "x", "kind": "planet", "name": "X"}]}),
        ("places", {"revision": 1, "items": [PLACES[0]] * 5001}),
        ("places", {"revision": 1, "gone": ["g-1"]}),
        ("places", {"revision": 1, "items": [PLACES[0] | {"parent": "s-1"}]}),
        ("vehicles", {"revision": 1, "items": [{"plate": "粤B12345", "role": "admin"}]}),
        ("passes", {"revision": 1, "items": [PASS | {"valid_to": "9999-12-31T23:59:59Z"}]}),
        ("passes", {"revision": 1, "items": [PASS | {"id": "../../etc"}]}),
        ("staff", {"revision": 1, "items": [{"id": "w", "name": "W", "level": "desk", "places": []}]}),
        ("planets", {"revision": 1}),
    ],
)
def test_nonsense_is_refused_and_nothing_comes_of_it(call, estate: Estate, section: str, body: dict[str, Any]):
    answer = call("PUT", f"/v1/sync/{section}", estate.token(role="backend"), json=body)
    assert answer.status_code in (404, 405, 422), answer.text
    assert (estate.directory.places(), estate.directory.vehicles()) == ([], [])
    assert estate.store.reader.execute("SELECT count(*) FROM sync_revisions").fetchone()[0] == 0


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=4), inner, max_size=2),
    max_leaves=4,
)


@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(path=st.sampled_from(["revision", "items", "gone", "page", "pages", "base", "item"]), value=JSON)
def test_no_body_makes_it_stumble(call, estate: Estate, path: str, value: Any):
    body: dict[str, Any] = copy.deepcopy({"revision": 1, "base": 0, "items": [PASS]})
    if path == "item":
        body["items"][0]["valid_to"] = value
    else:
        body[path] = value
    answer = call("PUT", "/v1/sync/passes", estate.token(role="backend"), json=body)
    assert answer.status_code < 500, answer.text


def test_a_district_goes_through_in_pages_and_again_changes_nothing(put, estate: Estate):
    """886 grids, 400 communities, 8,860 buildings and 1,212 grid workers."""
    places = [{"id": "d", "kind": "district", "name": "D"}]
    places += [{"id": f"s{n}", "kind": "sub_district", "name": "S", "parent": "d"} for n in range(12)]
    places += [{"id": f"c{n}", "kind": "community", "name": "C", "parent": f"s{n % 12}"} for n in range(400)]
    places += [{"id": f"g{n}", "kind": "grid", "name": "G", "parent": f"c{n % 400}"} for n in range(886)]
    places += [{"id": f"b{n}", "kind": "building", "name": "B", "parent": f"g{n % 886}"} for n in range(8860)]
    pages = [places[n : n + 5000] for n in range(0, len(places), 5000)]
    for revision in (1, 2):
        for number, items in enumerate(pages, 1):
            answer = put("places", revision, items, page=number, pages=len(pages)).json()
        assert answer["complete"]
        assert (len(answer["added"]), answer["unchanged"]) == ((10159, 0) if revision == 1 else (0, 10159))
    staff = [
        {"id": f"w{n}", "name": f"网格员{n}", "level": "grid_worker", "places": [f"g{n % 886}"]} for n in range(1212)
    ]
    assert len(put("staff", 1, staff).json()["added"]) == 1212
    served = estate.directory.roster.serving(estate.directory.roster.staff()[0].level, ["b5"], datetime.now(UTC))
    assert served == ("w5", "w891")


# -- several sources -------------------------------------------------------------------------------------------------


@pytest.fixture
def sources(call, estate: Estate):
    """Calls for a district platform and a property company's system."""

    def of(source: str) -> Any:
        token = estate.token(role="backend", source=source)

        def do(section: str, revision: int, items: Any = (), **more: Any):
            return call("PUT", f"/v1/sync/{section}", token, json={"revision": revision, "items": list(items), **more})

        return do

    return of("district"), of("property")


def whose(answer: Any) -> list[tuple[str, str]]:
    return [(one["id"], one["source"]) for one in answer.json()["shared"]]


def test_each_source_counts_its_own_revisions_and_takes_back_only_its_own(sources, call, estate: Estate):
    district, company = sources
    assert district("vehicles", 7, CARS[:3]).status_code == 200
    assert company("vehicles", 1, CARS[3:]).json()["added"] == ["粤B10003", "粤B10004"]
    assert district("vehicles", 8, CARS[:1], base=1).status_code == 409
    assert district("vehicles", 8, CARS[:1], shrink=True).json()["removed"] == ["粤B10001", "粤B10002"]
    assert [v.plate for v in estate.directory.vehicles()] == ["粤B10000", "粤B10003", "粤B10004"]
    told = call("GET", "/v1/sync", estate.token(role="backend", source="district")).json()
    assert (told["source"], {s["section"]: s["revision"] for s in told["sections"]}["vehicles"]) == ("district", 8)


def test_a_new_token_of_the_same_source_goes_on_where_the_old_one_ended(call, estate: Estate):
    body = {"revision": 1, "items": CARS}
    old, new = (estate.token(role="backend", source="district") for _ in range(2))
    call("PUT", "/v1/sync/vehicles", old, json=body)
    assert call("PUT", "/v1/sync/vehicles", new, json=body).json()["replayed"]
    delta = {"revision": 2, "base": 1, "gone": ["粤B10000"]}
    assert call("PUT", "/v1/sync/vehicles", new, json=delta).json()["removed"] == ["粤B10000"]


def test_of_two_sources_the_first_owns_a_plate_and_the_other_is_told_whose_it_is(sources, estate: Estate):
    district, company = sources
    district("vehicles", 1, CARS)
    told = company("vehicles", 1, [CARS[0] | {"listing": "block"}], overrule=["粤B10000"])
    [refused] = told.json()["refused"]
    assert (refused["id"], refused["why"], refused["source"]) == ("粤B10000", "given_by_other", "district")
    assert refused["fields"] == ["listing"]
    gone = company("vehicles", 2, [], base=1, gone=["粤B10001"]).json()
    assert ([r["why"] for r in gone["refused"]], gone["removed"]) == (["given_by_other"], [])
    kept = estate.directory.vehicle("粤B10000")
    assert kept is not None
    assert kept.listing is Listing.ALLOW


def test_a_place_both_give_alike_stays_until_the_last_of_them_takes_it_back(sources, call, estate: Estate):
    district, company = sources
    district("places", 1, PLACES)
    both = company("places", 1, [PLACES[1], {"id": "u-1", "kind": "unit", "name": "1", "parent": "3"}])
    assert (both.json()["added"], whose(both)) == (["u-1"], [("c-1", "district")])
    renamed = [p | ({"name": "renamed"} if p["id"] == "c-1" else {}) for p in PLACES]
    assert district("places", 2, renamed).json()["changed"] == [{"id": "c-1", "fields": ["name"]}]
    items = call("GET", "/v1/sync/places/items", estate.token(role="backend", source="property")).json()["items"]
    assert [(i["id"], i["standing"]) for i in items] == [("c-1", "given_by_other"), ("u-1", "as_given")]
    hanging = district("places", 3, [PLACES[0]], shrink=True)
    assert (hanging.status_code, "u-1" in hanging.json()["detail"]) == (422, True)
    company("places", 2, [PLACES[1] | {"name": "renamed"}])
    left = district("places", 3, [PLACES[0]], shrink=True)
    assert (left.json()["removed"], whose(left)) == (["3", "g-1", "g-2"], [("c-1", "property")])
    assert company("places", 3, [PLACES[1] | {"name": "mine now"}]).json()["changed"][0]["id"] == "c-1"
    assert company("places", 4, [], shrink=True).json()["removed"] == ["c-1"]
    assert [p.id for p in estate.directory.places()] == ["s-1"]


def test_who_only_claimed_an_entry_lets_go_of_it_and_it_stays(sources, estate: Estate):
    district, company = sources
    district("vehicles", 1, CARS)
    company("vehicles", 1, CARS[:2])
    assert whose(company("vehicles", 2, [], base=1, gone=["粤B10000"])) == [("粤B10000", "district")]
    assert len(district("vehicles", 2, [], shrink=True).json()["removed"]) == 4
    assert [v.plate for v in estate.directory.vehicles()] == ["粤B10001"]


def test_two_sources_that_claim_the_same_plates_at_once_leave_each_with_one_owner(sources, estate: Estate):
    barrier = threading.Barrier(2)

    def send(n: int) -> Any:
        barrier.wait()
        return sources[n]("vehicles", 1, [car | {"note": str(n)} for car in CARS]).json()

    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(send, range(2)))
    assert sorted(len(answer["added"]) for answer in answers) == [0, 5]
    assert sorted(len(answer["refused"]) for answer in answers) == [0, 5]
    owners = estate.store.reader.execute("SELECT count(*) FROM sync_items WHERE shared=0").fetchone()[0]
    assert owners == 5


@pytest.mark.parametrize("section", ["places", "vehicles"])
def test_pages_of_two_sources_do_not_mix(sources, estate: Estate, section: str):
    items = PLACES if section == "places" else CARS
    for send in sources:
        assert send(section, 1, items[:2], page=1, pages=2).status_code == 202
    first, second = (send(section, 1, items[2:], page=2, pages=2).json() for send in sources)
    assert (len(first["added"]), len(second["shared"])) == (5, 5)


def test_pages_that_do_not_agree_on_their_base_are_refused(put, estate: Estate):
    put("vehicles", 1, CARS)
    put("vehicles", 2, CARS[:1], page=1, pages=2)
    assert put("vehicles", 2, [], page=2, pages=2, base=1).status_code == 422
    assert len(estate.directory.vehicles()) == 5


def test_pages_nobody_completed_are_forgotten_in_the_end(put, state, estate: Estate):
    put("vehicles", 1, CARS, page=1, pages=2)
    with estate.store.write() as db:
        db.execute("UPDATE sync_pages SET at = at - ?", (31 * 86_400 * 1_000_000,))
    put("places", 1, PLACES)
    assert state("vehicles")["pending"] is None


def test_what_was_synchronised_before_sources_had_names_is_all_there(tmp_path):
    old = sqlite3.connect(tmp_path / "linli.db")
    for n in range(9):
        old.executescript(MIGRATIONS[n])
    old.execute("PRAGMA user_version=9")
    vault = Vault.at(tmp_path / "keys")
    car = Vehicle(plate="粤B10000", id="veh_1", listing=Listing.ALLOW)
    answer = msgspec.json.encode({"section": "vehicles", "revision": 4, "base": None, "complete": True, "added": ["x"]})
    page = msgspec.json.encode({"revision": 5, "base": 4, "page": 1, "pages": 2, "items": [car], "gone": []})
    row = ("vehicles", 4, None, 1, "grid", '["d"]', 1, 0, 0, 0, vault.seal(answer, "sync:vehicles:4"))
    old.execute("INSERT INTO sync_revisions VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", row)
    old.execute("INSERT INTO sync_items VALUES('vehicles', '粤B10000', ?)", (fingerprint(car),))
    sealed = vault.seal(page, "page:vehicles:1")
    old.execute("INSERT INTO sync_pages VALUES('vehicles', 1, 5, 2, 'd1', ?)", (sealed,))
    old.execute("INSERT INTO tokens VALUES('t', x'00', 'grid', '[]', 1, NULL, NULL)")
    old.commit()
    old.close()
    store = Store(tmp_path / "linli.db")
    book = SyncBook(store, vault)
    state = book.state("backend", "vehicles")
    assert (state.revision, state.by, state.items) == (4, "grid", 1)
    assert state.pending is not None
    assert (state.pending.next_page, book.pages("backend", "vehicles")) == (2, [page])
    assert book.answer("backend", "vehicles", 4).added == ["x"]
    assert [token.source for token in tokens(store)] == ["backend"]
    store.close()


# -- the ledger ------------------------------------------------------------------------------------------------------


def ledger_rows(estate: Estate) -> list[dict[str, Any]]:
    estate.journal.prune(datetime.now(UTC))  # what was noted is chained with the journal's next transaction
    db = estate.store.connect()
    found = [json.loads(row.body) for row in rows(db) if row.kind == "sync"]
    db.close()
    return found


def ledger_wrong(estate: Estate) -> list[Finding]:
    key = signing_key(estate.settings.data / "keys").public_key()
    db = estate.store.connect()
    found = findings(rows(db), seals(db), partial(genuine, key)) + out_of_turn(rows(db))
    db.close()
    return found


def test_each_revision_is_one_row_of_the_ledger_and_nobody_can_be_read_from_it(sources, estate: Estate):
    district, company = sources
    estate.raise_alert()
    district("vehicles", 1, CARS[:2], page=1, pages=2)
    done = district("vehicles", 1, CARS[2:], page=2, pages=2)
    district("vehicles", 1, CARS[2:], page=2, pages=2)
    company("vehicles", 1, [CARS[0] | {"note": "n"}, {"plate": "hello"}])
    estate.raise_alert("battery_low")
    first, second = ledger_rows(estate)
    assert (first["source"], first["section"], first["revision"], first["added"]) == ("district", "vehicles", 1, 5)
    assert (second["source"], second["refused"], second["added"]) == ("property", 2, 0)
    assert first["digest"] == done.json()["digest"]
    assert "粤B" not in json.dumps([first, second], ensure_ascii=False)
    assert ledger_wrong(estate) == []


def test_who_kept_pages_and_nonce_proves_what_the_row_means(call, estate: Estate):
    token = estate.token(role="backend") | {"Content-Type": "application/json"}
    bodies = [
        json.dumps({"revision": 1, "page": n, "pages": 2, "items": cars}).encode()
        for n, cars in ((1, CARS[:2]), (2, CARS[2:]))
    ]
    for body in bodies:
        answer = call("PUT", "/v1/sync/vehicles", token, content=body).json()
    kept = bytes.fromhex(answer["nonce"]) + b"".join(hashlib.sha256(body).digest() for body in bodies)
    assert ledger_rows(estate)[0]["digest"] == hashlib.sha256(kept).hexdigest()


def test_a_revision_that_cannot_be_written_leaves_no_row_and_no_change(put, state, estate: Estate):
    put("vehicles", 1, CARS[:1])
    estate.store.connect().execute(
        "CREATE TRIGGER full BEFORE INSERT ON ledger_notes BEGIN SELECT RAISE(ABORT, 'full'); END"
    )
    with pytest.raises(httpx.HTTPStatusError):
        put("vehicles", 2, CARS, base=1).raise_for_status()
    assert (len(ledger_rows(estate)), state("vehicles")["revision"], len(estate.directory.vehicles())) == (1, 1, 1)
    estate.store.connect().execute("DROP TRIGGER full")
    assert len(put("vehicles", 2, CARS, base=1).json()["added"]) == 4
    assert [row["revision"] for row in ledger_rows(estate)] == [1, 2]
    assert ledger_wrong(estate) == []


def test_the_journal_chains_every_revision_once_while_both_write(put, estate: Estate):
    def revise() -> None:
        for n in range(1, 21):
            assert put("vehicles", n, [CARS[0] | {"note": str(n)}]).status_code == 200

    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(revise)
        n = 0
        while not done.done():
            n += 1
            estate.raise_alert("battery_low", instance=str(n))
        done.result()
    assert [row["revision"] for row in ledger_rows(estate)] == list(range(1, 21))
    assert ledger_wrong(estate) == []


def test_an_exported_ledger_with_revisions_is_whole_to_the_other_verifier_and_one_out_of_turn_is_not(
    put, estate: Estate, tmp_path
):
    put("vehicles", 1, CARS)
    put("vehicles", 2, CARS[:4])
    first = ledger_rows(estate)[0]
    theirs = verified(estate, tmp_path)
    assert theirs.returncode == 0, theirs.stderr
    with estate.store.write() as db:
        db.execute("INSERT INTO ledger_notes(kind, body) VALUES('sync', ?)", (json.dumps(first),))
    ledger_rows(estate)
    theirs = verified(estate, tmp_path)
    assert theirs.returncode == 1
    assert "comes after ('backend', 'vehicles', 2)" in theirs.stderr
    assert ["revision 1 of backend/vehicles" in finding.what for finding in ledger_wrong(estate)] == [True]


def verified(estate: Estate, folder: Path) -> subprocess.CompletedProcess[str]:
    key = signing_key(estate.settings.data / "keys").public_key()
    db = estate.store.connect()
    (folder / "ledger.jsonl").write_text("".join(exported(db, key)), encoding="utf-8")
    db.close()
    verifier = Path(__file__).resolve().parents[2] / "scripts" / "verify-ledger"
    command = [sys.executable, "-I", str(verifier), str(folder / "ledger.jsonl")]
    return subprocess.run(command, capture_output=True, text=True, check=False, encoding="utf-8")
