from __future__ import annotations

import sqlite3

import pytest

from tests.api.conftest import Estate

REFUSED = [
    {},
    {"Authorization": "Basic Zm9v"},
    {"Authorization": "Bearer nonsense"},
    {"Authorization": f"Bearer linli_{'0' * 12}_{'0' * 64}"},
]


@pytest.mark.parametrize("headers", REFUSED)
def test_without_a_known_token_nothing_is_told(call, headers):
    answer = call("GET", "/v1/alerts", headers)
    assert answer.status_code == 401
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert answer.json()["instance"] == "/v1/alerts"


def test_a_missing_scope_is_named(call, estate: Estate):
    answer = call("GET", "/v1/vehicles", estate.token("alerts:read"))
    assert answer.status_code == 403
    assert answer.json()["missing_scopes"] == ["vehicles:read"]
    assert 'scope="vehicles:read"' in answer.headers["www-authenticate"]


def test_the_secret_of_another_token_does_not_fit(call, estate: Estate):
    one = estate.token()["Authorization"].removeprefix("Bearer ")
    other = estate.token()["Authorization"].removeprefix("Bearer ")
    mixed = "_".join([*one.split("_")[:2], other.split("_")[2]])
    assert call("GET", "/v1/me", {"Authorization": f"Bearer {mixed}"}).status_code == 401


def test_an_expired_token_is_refused(call, estate: Estate):
    assert call("GET", "/v1/me", estate.token(days=-1)).status_code == 401


def test_a_token_tells_who_it_is_and_what_it_may(call, estate: Estate):
    assert call("GET", "/v1/me", estate.token("alerts:read", "devices:read")).json() == {
        "name": "desk 1",
        "scopes": ["alerts:read", "devices:read"],
    }


def test_no_secret_is_in_the_database(estate: Estate):
    secret = estate.token()["Authorization"].rsplit("_", 1)[1]
    with sqlite3.connect(estate.store.path) as db:
        dump = "\n".join(db.iterdump())
    assert secret not in dump
    assert secret.upper() not in dump
