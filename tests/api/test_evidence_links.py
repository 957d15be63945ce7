"""Pictures for a backend whose contract allows them: by a link that is good for a while, and counted."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from gateway.evidencelinks import LOOKS_AT_MOST, new_link
from gateway.vault import Vault
from tests.api.conftest import Estate

Call = Callable[..., httpx.Response]
IMAGE = b"\xff\xd8\xff\xe0picture"
KEY = "cd" * 32


@pytest.fixture
def subscription(call: Call, estate: Estate) -> str:
    estate.evidence.write(KEY, IMAGE)
    with estate.store.write() as db:
        db.execute("INSERT INTO captures VALUES(?, 'gate-3', 0, 1, 'image/jpeg', 9)", (KEY,))
    body = {"url": "https://grid.example/linli", "evidence_hours": 24}
    made = call("POST", "/v1/subscriptions", estate.token(), json=body)
    assert (made.status_code, made.json()["evidence_hours"]) == (201, 24)
    return str(made.json()["id"])


def link(estate: Estate, subscription: str, *, hours: float = 1, vault: Vault | None = None) -> str:
    until = datetime.now(UTC) + timedelta(hours=hours)
    return "/v1/evidence-links/" + new_link(vault or estate.vault, subscription=subscription, key=KEY, until=until)


def test_a_link_shows_its_picture_without_a_token(call: Call, estate: Estate, subscription: str):
    shown = call("GET", link(estate, subscription))
    assert (shown.status_code, shown.content, shown.headers["content-type"]) == (200, IMAGE, "image/jpeg")
    assert shown.headers["cache-control"] == "no-store"


def test_looks_are_counted_and_come_to_an_end(call: Call, estate: Estate, subscription: str):
    one, other = link(estate, subscription), link(estate, subscription)
    assert {call("GET", one).status_code for _ in range(LOOKS_AT_MOST)} == {200}
    assert call("GET", one).status_code == 410
    assert call("GET", other).status_code == 200
    looks = estate.store.reader.execute("SELECT looks FROM evidence_looks ORDER BY looks").fetchall()
    assert [row["looks"] for row in looks] == [1, LOOKS_AT_MOST]


def test_a_link_ends_with_its_time_and_with_its_subscription(call: Call, estate: Estate, subscription: str):
    good = link(estate, subscription)
    assert call("GET", link(estate, subscription, hours=-0.001)).status_code == 410
    assert call("GET", link(estate, "sub_other")).status_code == 410
    assert call("DELETE", f"/v1/subscriptions/{subscription}", estate.token()).json()["removed"]
    assert call("GET", good).status_code == 410


def test_what_is_no_link_of_ours_shows_nothing(call: Call, estate: Estate, subscription: str):
    good = link(estate, subscription)
    forged = link(estate, subscription, vault=Vault(bytes(32)))
    for path in (good[:-4] + "AAAA", forged, good + "A" * 600, "/v1/evidence-links/网", "/v1/evidence-links/x"):
        assert call("GET", path).status_code == 410, path


def test_a_picture_that_was_deleted_is_gone_for_its_links_too(call: Call, estate: Estate, subscription: str):
    good = link(estate, subscription)
    with estate.store.write() as db:
        db.execute("DELETE FROM captures")
    assert call("GET", good).status_code == 404


def test_nobody_has_more_delivered_than_they_may_see(call: Call, estate: Estate):
    backend = estate.token(role="backend")
    body = {"url": "https://grid.example/linli"}
    for more, scope in (({"evidence_hours": 1}, "evidence:read"), ({"clear_text": True}, "people:read")):
        refused = call("POST", "/v1/subscriptions", backend, json=body | more)
        assert (refused.status_code, refused.json()["missing_scopes"]) == (403, [scope])
    assert call("POST", "/v1/subscriptions", backend, json=body).status_code == 201
