from __future__ import annotations

import pytest

from tests.api.conftest import Estate, in_hours


def test_an_alert_shows_its_words_its_place_and_its_history(call, estate: Estate):
    alert = estate.raise_alert("door_forced", evidence="ab" * 32)
    shown = call("GET", f"/v1/alerts/{alert}", estate.token("alerts:read")).json()
    assert shown["title"] == {"zh": "门被强行打开", "en": "Door forced open"}
    assert (shown["severity"], shown["open"], shown["condition"]) == (1, True, "active")
    assert (shown["device_name"], shown["building"]) == ("Gate 3", "3")
    assert shown["evidence"] == f"/v1/evidence/{'ab' * 32}"
    assert [entry["change"] for entry in shown["history"]] == ["raised"]


def test_whom_an_alert_is_about_is_told_only_with_people_read(call, estate: Estate):
    alert = estate.raise_alert("duress", subject="粤B12345")
    without = call("GET", f"/v1/alerts/{alert}", estate.token("alerts:read"))
    assert "subject" not in without.json()
    assert "identified" not in without.json()
    assert "粤B12345" not in without.text
    seen = call("GET", f"/v1/alerts/{alert}", estate.token("alerts:read", "people:read")).json()
    assert (seen["subject"], seen["identified"]) == ("粤B12345", None)


def test_pages_hold_every_alert_once_newest_first(call, estate: Estate):
    raised = [estate.raise_alert("battery_low" if n % 2 else "door_forced", instance=str(n)) for n in range(7)]
    reader = estate.token("alerts:read")
    found, before = [], None
    while True:
        page = call("GET", "/v1/alerts", reader, params={"limit": 3} | ({"before": before} if before else {})).json()
        found += [alert["id"] for alert in page["items"]]
        before = page["next"]
        if before is None:
            break
    assert found == raised[::-1]


def test_the_list_can_be_narrowed(call, estate: Estate):
    reader = estate.token("alerts:read")
    urgent = estate.raise_alert("door_forced")
    estate.raise_alert("battery_low")
    for wanted in ({"severity": 1}, {"type": "door_forced"}):
        assert [a["id"] for a in call("GET", "/v1/alerts", reader, params=wanted).json()["items"]] == [urgent]
    assert call("GET", "/v1/alerts", reader, params={"open": "false"}).json()["items"] == []
    assert len(call("GET", "/v1/alerts", reader, params={"device": "gate-3"}).json()["items"]) == 2


def test_a_backend_pulls_every_change_in_order_without_a_gap(call, estate: Estate):
    reader = estate.token("alerts:read")
    for n in range(5):
        estate.raise_alert("battery_low", instance=str(n))
    seen, after = [], 0
    while items := (page := call("GET", "/v1/alerts/changes", reader, params={"after": after, "limit": 2}).json())[
        "items"
    ]:
        seen += [item["seq"] for item in items]
        after = page["next"]
    assert seen == [1, 2, 3, 4, 5]
    assert page["next"] == 5


def test_an_alert_is_acknowledged_with_a_reason_and_a_name(call, estate: Estate):
    alert = estate.raise_alert()
    writer = estate.token("alerts:write")
    done = call("POST", f"/v1/alerts/{alert}/acknowledge", writer, json={"reason": "on my way"})
    assert done.status_code == 200
    assert (done.json()["acknowledged"]["by"], done.json()["acknowledged"]["reason"]) == ("desk 1", "on my way")
    again = call("POST", f"/v1/alerts/{alert}/acknowledge", writer, json={"reason": "me too"})
    assert again.json()["acknowledged"]["reason"] == "on my way"
    assert call("POST", f"/v1/alerts/{alert}/acknowledge", writer, json={"reason": ""}).status_code == 422


def test_a_disposed_alert_is_closed(call, estate: Estate):
    alert = estate.raise_alert("door_forced")
    body = {"disposition": "true", "reason": "lock replaced"}
    closed = call("POST", f"/v1/alerts/{alert}/dispose", estate.token("alerts:write"), json=body).json()
    assert (closed["open"], closed["disposition"], closed["condition"]) == (False, "true", "cleared")


def test_a_p1_alert_cannot_be_shelved(call, estate: Estate):
    alert = estate.raise_alert("door_forced")
    body = {"until": in_hours(1), "reason": "later"}
    refused = call("POST", f"/v1/alerts/{alert}/shelve", estate.token("alerts:write"), json=body)
    assert refused.status_code == 409
    assert "P1" in refused.json()["detail"]


def test_a_p3_alert_can_be_shelved(call, estate: Estate):
    alert = estate.raise_alert("battery_low")
    body = {"until": in_hours(1), "reason": "spare part ordered"}
    assert call("POST", f"/v1/alerts/{alert}/shelve", estate.token("alerts:write"), json=body).json()["shelved_until"]


def test_the_backend_reports_where_it_stands(call, estate: Estate):
    alert = estate.raise_alert()
    body = {"work": "claimed", "assignee": "grid worker 7"}
    shown = call("POST", f"/v1/alerts/{alert}/work", estate.token("alerts:write"), json=body).json()
    assert (shown["work"], shown["assignee"]) == ("claimed", "grid worker 7")


@pytest.mark.parametrize("path", ["/v1/alerts/none", "/v1/evidence/none", "/v1/commands/none", "/v1/devices/none"])
def test_what_is_not_there_is_a_404_problem(call, estate: Estate, path: str):
    answer = call("GET", path, estate.token())
    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")


def test_a_picture_is_shown_and_never_cached(call, estate: Estate):
    image = b"\xff\xd8\xff\xe0picture"
    key = "cd" * 32
    estate.evidence.write(key, image)
    looker = estate.token("evidence:read")
    assert call("GET", f"/v1/evidence/{key}", looker).status_code == 404  # no capture of that name is on record
    with estate.store.write() as db:
        db.execute("INSERT INTO captures VALUES(?, 'gate-3', 0, 1, 'image/jpeg', 9)", (key,))
    shown = call("GET", f"/v1/evidence/{key}", looker)
    assert (shown.content, shown.headers["content-type"]) == (image, "image/jpeg")
    assert shown.headers["cache-control"] == "no-store"


def test_alerts_are_also_listed_by_their_latest_change(call, estate: Estate):
    first, second = estate.raise_alert("door_forced"), estate.raise_alert("battery_low")
    call("POST", f"/v1/alerts/{first}/acknowledge", estate.token(), json={"reason": "seen"})
    page = call("GET", "/v1/alerts", estate.token(), params={"after": 0}).json()
    assert ([alert["id"] for alert in page["items"]], page["next"]) == ([second, first], "3")
    assert call("GET", "/v1/alerts", estate.token(), params={"after": 3}).json() == {"items": [], "next": None}
    assert call("GET", "/v1/alerts", estate.token(), params={"before": "x"}).status_code == 422


def test_each_word_about_an_alert_is_answered_with_what_it_changed_and_again_with_nothing(call, estate: Estate):
    writer, alert = estate.token("alerts:read", "alerts:write"), estate.raise_alert("battery_low")
    estate.clear_alert("battery_low")
    for path, body, changed in (
        ("shelve", {"until": in_hours(2), "reason": "works"}, ["shelved_until"]),
        ("work", {"work": "claimed", "assignee": "w-1", "step": "s-1", "operator": "w-1"}, ["work", "assignee"]),
        ("acknowledge", {"reason": "seen"}, ["acknowledged"]),
        ("dispose", {"disposition": "true", "reason": "replaced"}, ["disposition"]),
    ):
        answers = [call("POST", f"/v1/alerts/{alert}/{path}", writer, json=body).json() for _ in range(2)]
        assert [answer["changed"] for answer in answers] == [changed, []], path
    history = call("GET", f"/v1/alerts/{alert}", writer).json()["history"]
    assert [line["change"] for line in history] == ["raised", "cleared", "shelved", "work", "acknowledged", "disposed"]
    assert history[3]["actor"] == "desk 1 / w-1"


def test_a_backend_reads_its_own_reasons_also_where_it_said_who_of_its_people_typed_them(call, estate: Estate):
    writer, alert = estate.token("alerts:read", "alerts:write"), estate.raise_alert()
    for work, operator in (("claimed", ""), ("resolved", "w-1")):
        body = {"work": work, "assignee": "w-1", "reason": work, "operator": operator}
        call("POST", f"/v1/alerts/{alert}/work", writer, json=body)
    history = call("GET", f"/v1/alerts/{alert}", writer).json()["history"]
    assert [line["reason"] for line in history if line["change"] == "work"] == ["claimed", "resolved"]


def test_who_comes_second_gets_a_code_and_who_was_faster(call, estate: Estate):
    writer, alert = estate.token("alerts:write"), estate.raise_alert()
    call("POST", f"/v1/alerts/{alert}/work", writer, json={"work": "claimed", "assignee": "w-1"})
    told = call("POST", f"/v1/alerts/{alert}/work", writer, json={"work": "claimed", "assignee": "w-2"})
    assert told.status_code == 409
    assert {k: told.json()[k] for k in ("code", "who", "stands")} == {
        "code": "claimed_already",
        "who": "w-1",
        "stands": "claimed",
    }
    assert call("GET", "/v1/alerts/nothing", estate.token()).json()["code"] == "not_found"
