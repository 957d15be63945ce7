from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest
from msgspec.structs import replace

from devices.events import DenyReason, Method, evidence_key
from devices.model import Device
from tests.api.conftest import GATE, Estate, Eyes, in_hours
from vision.types import Box, FaceFound, Identified, ManyFaces, NoFace, Unsure

BOX = Box(0, 0, 200, 200)


def photo(name: str) -> bytes:
    return b"\xff\xd8\xff\xe0" + name.encode()


def face(seed: int, others: int = 0) -> FaceFound:
    vector = np.random.default_rng(seed).normal(size=128).astype("<f4")
    vector /= np.linalg.norm(vector)
    return FaceFound(embedding=vector.tobytes(), box=BOX, size_px=200, sharpness=300, brightness=120, others=others)


def form(**more: object) -> dict[str, object]:
    return {
        "name": "测试住户",
        "building": "3",
        "consent_scope": "building:3",
        "consent_until": in_hours(24),
        "cards": "0012345678",
    } | more


@pytest.fixture
def eyes(estate: Estate) -> Eyes:
    estate.pool = Eyes()
    estate.pool.looks = {
        photo("good"): face(1),
        photo("same"): face(1),
        photo("else"): face(2),
        photo("crowd"): ManyFaces(count=3),
        photo("wall"): NoFace(),
        photo("friend"): face(1, others=1),
    }
    return estate.pool


def files(*names: str) -> list[tuple[str, tuple[str, bytes, str]]]:
    return [("photos", (f"{name}.jpg", photo(name), "image/jpeg")) for name in names]


def test_a_resident_is_enrolled_and_each_useless_photo_named(call, estate: Estate, eyes: Eyes):
    sent = [*files("good", "crowd", "wall", "else"), ("photos", ("x.gif", b"GIF89a", "image/gif"))]
    answer = call("POST", "/v1/residents", estate.token("people:write"), data=form(), files=sent)
    assert answer.status_code == 201
    enrolled = answer.json()
    assert (enrolled["templates"], enrolled["cards"], enrolled["consent"]["recorded_by"]) == (1, 1, "desk 1")
    assert [(refused["photo"], refused["reason"].split(";")[0]) for refused in enrolled["refused"]] == [
        (1, "more than one face"),
        (2, "no face was found"),
        (3, "shows somebody else than the first photo"),
        (4, "not a JPEG or PNG photo"),
    ]
    found = estate.gallery.identify(face(1).embedding)
    assert isinstance(found, Identified)
    assert found.person == enrolled["id"]
    shown = call("GET", f"/v1/people/{enrolled['id']}/photo", estate.token("people:read"))
    assert (shown.content, shown.headers["cache-control"]) == (photo("good"), "no-store")


def test_consent_decides_where_a_card_opens(call, estate: Estate):
    answer = call("POST", "/v1/residents", estate.token("people:write"), data=form())
    assert answer.status_code == 201
    person, now = answer.json()["id"], datetime.now(UTC)
    elsewhere = Device(id="g", kind="face_gate", protocol="testbed", address="x", building="4")
    estate_gate = Device(id="h", kind="face_gate", protocol="testbed", address="y")
    ask = estate.directory.check_credential
    assert ask(Method.CARD, "0012345678", GATE, now) == (True, person, DenyReason.OTHER)
    assert ask(Method.CARD, "0012345678", estate_gate, now)[0]
    assert ask(Method.CARD, "0012345678", elsewhere, now) == (False, person, DenyReason.UNAUTHORIZED)
    assert ask(Method.CARD, "999", GATE, now) == (False, "", DenyReason.UNKNOWN_CREDENTIAL)
    assert ask(Method.PIN, "0012345678", GATE, now)[2] is DenyReason.UNKNOWN_CREDENTIAL
    renewed = call(
        "PUT",
        f"/v1/residents/{person}/consent",
        estate.token("people:write"),
        json={"scope": "estate", "until": in_hours(1)},
    )
    assert renewed.json()["consent"]["scope"] == "estate"
    assert estate.directory.may_pass(person, elsewhere, now.replace(year=now.year + 1))[1] is (
        DenyReason.CREDENTIAL_EXPIRED
    )


def test_withdrawal_leaves_nothing_that_could_be_read(call, estate: Estate, eyes: Eyes):
    admin = estate.token()
    person = call("POST", "/v1/residents", admin, data=form(), files=files("good", "same")).json()["id"]
    photos = [row["photo"] for row in estate.store.reader.execute("SELECT photo FROM templates")]
    capture = "ef" * 32
    estate.evidence.write(capture, photo("at the gate"))
    with estate.store.write() as db:
        db.execute("INSERT INTO captures VALUES(?, 'gate-3', 0, 1, 'image/jpeg', 9)", (capture,))
        body = f'{{"type":"access_granted","person":"{person}","evidence":"{capture}"}}'
        db.execute("INSERT INTO events VALUES(1, x'01', 'gate-3', 'access_granted', 0, 0, 0, ?)", (body.encode(),))
    receipt = call("DELETE", f"/v1/residents/{person}", admin)
    assert receipt.status_code == 200
    assert (receipt.json()["templates_deleted"], receipt.json()["photos_deleted"]) == (2, 3)
    assert len(estate.gallery) == 0
    assert [estate.evidence.read(key) for key in [*photos, capture]] == [None, None, None]
    for table in ("people", "templates", "credentials", "captures"):
        assert estate.store.reader.execute(f"SELECT count(*) AS n FROM {table}").fetchone()["n"] == 0
    row = estate.store.reader.execute("SELECT * FROM consents").fetchone()
    assert (row["receipt"], row["withdrawn_at"] > 0) == (receipt.json()["receipt"], True)
    now = datetime.now(UTC)
    assert estate.directory.check_credential(Method.CARD, "0012345678", GATE, now)[0] is False
    assert estate.directory.may_match(GATE, now) == set()
    again = call("DELETE", f"/v1/residents/{person}", admin)
    assert (again.status_code, again.json()["changed"], again.json()["receipt"]) == (
        200,
        False,
        receipt.json()["receipt"],
    )
    assert call("DELETE", "/v1/residents/nobody", admin).status_code == 404


def test_a_name_is_nowhere_in_the_clear_on_the_disk(call, estate: Estate, eyes: Eyes):
    call("POST", "/v1/residents", estate.token(), data=form(), files=files("good"))
    folder = estate.store.path.parent
    content = b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())
    assert "测试住户".encode() not in content
    assert b"0012345678" not in content
    assert photo("good") not in content
    assert face(1).embedding not in content


def test_what_an_enrolment_lacks_is_said_in_words(call, estate: Estate, eyes: Eyes):
    writer = estate.token("people:write")
    refused = call("POST", "/v1/residents", writer, data=form(cards=""), files=files("friend"))
    assert refused.status_code == 422
    assert refused.json()["detail"] == "photo 1: other people are in the photo; take one alone"
    for wrong in ({"consent_until": in_hours(-1)}, {"consent_scope": "world"}, {"name": " "}, {"id": "a b"}):
        assert call("POST", "/v1/residents", writer, data=form(**wrong)).status_code == 422
    assert call("POST", "/v1/residents", writer, data={"name": "x"}).status_code == 422
    assert call("POST", "/v1/residents", writer, data=form(), files=files(*["good"] * 6)).status_code == 422
    assert estate.directory.people() == []


def test_a_card_belongs_to_one_resident(call, estate: Estate):
    assert call("POST", "/v1/residents", estate.token(), data=form()).status_code == 201
    assert call("POST", "/v1/residents", estate.token(), data=form()).status_code == 409


def test_without_vision_photos_are_refused_and_the_setting_named(call, estate: Estate):
    answer = call("POST", "/v1/residents", estate.token(), data=form(), files=files("good"))
    assert answer.status_code == 503
    assert "faces.workers" in answer.json()["detail"]


def test_residents_survive_a_restart(call, estate: Estate, eyes: Eyes):
    person = call("POST", "/v1/residents", estate.token(), data=form(), files=files("good")).json()["id"]
    again = Estate(estate.store.path.parent)
    assert again.gallery.people() == {person}
    assert again.directory.may_match(GATE, datetime.now(UTC)) == {person}
    assert again.directory.people() == estate.directory.people()
    again.store.close()


def test_an_alert_names_the_resident_it_is_about_to_who_may_know(call, estate: Estate, eyes: Eyes):
    person = call("POST", "/v1/residents", estate.token(), data=form(), files=files("good")).json()["id"]
    alert = estate.raise_alert("duress", subject=person, detail={"distance": 0.31, "threshold": 0.45})
    shown = call("GET", f"/v1/alerts/{alert}", estate.token("alerts:read", "people:read")).json()
    assert shown["identified"] == {
        "person": person,
        "name": "测试住户",
        "distance": 0.31,
        "threshold": 0.45,
        "photo": f"/v1/people/{person}/photo",
    }
    for path in ("/v1/alerts", "/v1/alerts/changes"):
        (found,) = call("GET", path, estate.token("alerts:read", "people:read")).json()["items"]
        assert found.get("alert", found)["identified"] == shown["identified"]
    call("DELETE", f"/v1/residents/{person}", estate.token())
    assert call("GET", f"/v1/alerts/{alert}", estate.token()).json()["identified"] is None


def near(seed: int, distance: float) -> FaceFound:
    """Another picture of the person of `face(seed)`, or of somebody like them: so far away, L2."""
    vector = np.frombuffer(face(seed).embedding, "<f4").copy()
    step = np.random.default_rng(seed + 1000).normal(size=128).astype("<f4")
    vector += distance * step / np.linalg.norm(step)
    return replace(face(seed), embedding=vector.tobytes())


def test_a_photo_that_looks_like_another_resident_is_refused_until_the_office_has_checked(
    call, estate: Estate, eyes: Eyes
):
    eyes.looks[photo("twin")] = near(1, 0.3)
    writer = estate.token("people:write")
    assert call("POST", "/v1/residents", writer, data=form(), files=files("good")).status_code == 201
    answer = call("POST", "/v1/residents", writer, data=form(cards=""), files=files("twin"))
    assert answer.status_code == 422
    (refused,) = answer.json()["refused"]
    assert "enrolled already" in refused["reason"]
    assert "已登记" in refused["reason_zh"]
    twin = call("POST", "/v1/residents", writer, data=form(cards="", checked="true"), files=files("twin"))
    assert (twin.status_code, twin.json()["templates"]) == (201, 1)


def test_photos_are_added_to_a_resident_when_they_show_the_same_person(call, estate: Estate, eyes: Eyes):
    eyes.looks[photo("older")] = near(1, 0.5)
    admin = estate.token()
    person = call("POST", "/v1/residents", admin, data=form(), files=files("good")).json()["id"]
    added = call("POST", f"/v1/residents/{person}/photos", admin, files=files("older", "else"))
    assert (added.status_code, added.json()["templates"]) == (201, 2)
    assert [r["photo"] for r in added.json()["refused"]] == [1]
    assert estate.gallery.identify(near(1, 0.5).embedding).distance == pytest.approx(0, abs=1e-5)
    assert call("POST", f"/v1/residents/{person}/photos", admin, files=files("else")).status_code == 422
    assert call("POST", "/v1/residents/nobody/photos", admin, files=files("good")).status_code == 404
    for n in range(8):
        eyes.looks[photo(f"more-{n}")] = near(1, 0.01 * n)
    more = [f"more-{n}" for n in range(8)]
    call("POST", f"/v1/residents/{person}/photos", admin, files=files(*more[:5]))
    full = call("POST", f"/v1/residents/{person}/photos", admin, files=files(*more[3:8]))
    assert (full.status_code, "at most 10" in full.json()["detail"]) == (422, True)
    again = Estate(estate.store.path.parent)
    assert len(again.gallery) == 7
    again.store.close()


def taken_for(estate: Estate, person: str, image: bytes) -> str:
    """A capture on which this person was identified; its key."""
    key = evidence_key(image)
    estate.evidence.write(key, image)
    with estate.store.write() as db:
        db.execute("INSERT INTO captures VALUES(?, 'gate-3', 0, 1, 'image/jpeg', 9)", (key,))
        body = f'{{"type":"access_granted","person":"{person}","evidence":"{key}"}}'
        db.execute(
            "INSERT INTO events VALUES(NULL, ?, 'gate-3', 'access_granted', 0, 0, 0, ?)",
            (key[:16].encode(), body.encode()),
        )
    return key


def test_not_this_person_holds_from_the_next_frame_on_and_over_a_restart_and_ends_with_the_person(
    call, estate: Estate, eyes: Eyes
):
    admin, desk = estate.token(), estate.token(role="desk")
    person = call("POST", "/v1/residents", admin, data=form(), files=files("good")).json()["id"]
    eyes.looks[photo("cousin")] = near(1, 0.3)
    key = taken_for(estate, person, photo("cousin"))
    assert isinstance(estate.gallery.identify(near(1, 0.31).embedding), Identified)
    for _ in range(2):
        done = call("POST", f"/v1/people/{person}/not-this-person", desk, json={"evidence": key})
        assert (done.status_code, done.json()) == (200, {"person": person, "evidence": key})
    again = Estate(estate.store.path.parent)
    for gallery in (estate.gallery, again.gallery):
        assert isinstance(gallery.identify(near(1, 0.31).embedding), Unsure)
        assert isinstance(gallery.identify(near(1, 0.05).embedding), Identified), "still their own door"
    again.store.close()
    (row,) = estate.store.reader.execute("SELECT * FROM not_them").fetchall()
    assert near(1, 0.3).embedding not in row["vector"]
    call("DELETE", f"/v1/residents/{person}", admin)
    assert estate.store.reader.execute("SELECT count(*) AS n FROM not_them").fetchone()["n"] == 0


def test_only_a_picture_on_which_they_were_identified_says_who_it_is_not(call, estate: Estate, eyes: Eyes):
    admin, desk = estate.token(), estate.token(role="desk")
    person = call("POST", "/v1/residents", admin, data=form(), files=files("good")).json()["id"]
    other = call("POST", "/v1/residents", admin, data=form(cards="77"), files=files("else")).json()["id"]
    key = taken_for(estate, other, photo("wall"))
    path = f"/v1/people/{person}/not-this-person"
    assert call("POST", path, desk, json={"evidence": key}).status_code == 404
    assert call("POST", path, desk, json={"evidence": "ab" * 32}).status_code == 404
    assert call("POST", path, desk, json={"evidence": "../x"}).status_code == 422
    assert call("POST", path, estate.token("people:read"), json={"evidence": key}).status_code == 403
    blank = call("POST", f"/v1/people/{other}/not-this-person", desk, json={"evidence": key})
    assert (blank.status_code, "no_face" in blank.json()["detail"]) == (409, True)
