"""The OpenAPI document is complete enough to make a client from, and the pages around it are locked down."""

from __future__ import annotations

import re

import jsonschema
import pytest

from api import web
from api.app import create_app
from api.tokens import SCOPES
from tests.api.conftest import Estate

OPEN = {"/health", "/v1/evidence-links/{link}"}


def operations(estate: Estate) -> list[tuple[str, str, dict]]:
    document = create_app(estate).openapi()
    return [(path, method, op) for path, ops in document["paths"].items() for method, op in ops.items()]


def test_every_operation_has_a_name_of_its_own_and_words(estate: Estate):
    ids = [op["operationId"] for _, _, op in operations(estate)]
    assert len(ids) == len(set(ids)) > 25
    assert all(re.fullmatch("[a-z_]+", name) for name in ids)
    assert all(op.get("description") for _, _, op in operations(estate))


def test_every_operation_names_its_scope_and_its_refusals(estate: Estate):
    for path, method, op in operations(estate):
        if path in OPEN:
            continue
        assert {"401", "403"} <= set(op["responses"]), (path, method)
        scopes = op["security"][0]["token"]
        assert set(scopes) <= SCOPES.keys()
        assert scopes or path in ("/v1/me", "/metrics"), (path, method)
        if method in ("post", "put"):
            assert "422" in op["responses"]
        for status, answer in op["responses"].items():
            if status >= "4":
                assert list(answer["content"]) == ["application/problem+json"], (path, method, status)


def test_every_reference_in_the_document_leads_somewhere(estate: Estate):
    document = create_app(estate).openapi()
    names = set(re.findall(r"#/components/schemas/(\w+)", str(document)))
    assert names <= document["components"]["schemas"].keys()
    for schema in document["components"]["schemas"].values():
        jsonschema.Draft202012Validator.check_schema(schema)


def test_answers_are_what_the_document_says(call, estate: Estate):
    document = call("GET", "/openapi.json").json()
    alert = estate.raise_alert()
    admin = estate.token()
    for path, template in (
        ("/v1/alerts", "/v1/alerts"),
        (f"/v1/alerts/{alert}", "/v1/alerts/{alert_id}"),
        ("/v1/alerts/changes", "/v1/alerts/changes"),
        ("/v1/devices", "/v1/devices"),
        ("/v1/me", "/v1/me"),
        ("/v1/places", "/v1/places"),
    ):
        answer = call("GET", path, admin)
        schema = document["paths"][template]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
        jsonschema.validate(answer.json(), schema | {"components": document["components"]})


def test_the_documentation_works_without_the_internet(call):
    page = call("GET", "/docs")
    assert page.status_code == 200
    assert "http://" not in page.text
    assert "https://" not in page.text
    links = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert len(links) == 3
    assert [call("GET", link).status_code for link in links] == [200, 200, 200]
    assert "script-src 'self';" in page.headers["content-security-policy"]


@pytest.mark.parametrize("path", ["/", "/docs", "/v1/alerts", "/health", "/nothing/here"])
def test_every_answer_is_locked_down(call, path: str):
    headers = call("GET", path).headers
    assert headers["content-security-policy"].startswith("default-src 'none'")
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert (headers["x-content-type-options"], headers["referrer-policy"]) == ("nosniff", "no-referrer")


def test_the_desk_is_served_and_takes_scripts_from_here_only(call):
    page = call("GET", "/")
    assert page.headers["content-type"].startswith("text/html")
    assert "script-src 'self';" in page.headers["content-security-policy"]


def test_health_needs_no_token_and_names_the_problems(call, estate: Estate):
    assert call("GET", "/health").json() == {"ok": True, "problems": []}
    estate.problems = ["the disk is full; free some"]
    answer = call("GET", "/health")
    assert (answer.status_code, answer.json()["problems"]) == (503, ["the disk is full; free some"])


def test_metrics_are_for_this_machine_and_for_their_scope(call, estate: Estate):
    assert "linli_devices_online" in call("GET", "/metrics").text
    through_a_proxy = {"X-Forwarded-For": "203.0.113.9"}
    assert call("GET", "/metrics", through_a_proxy).status_code == 401
    assert call("GET", "/metrics", through_a_proxy | estate.token("alerts:read")).status_code == 403
    assert call("GET", "/metrics", through_a_proxy | estate.token("metrics:read")).status_code == 200


@pytest.mark.parametrize("declared", [True, False])
def test_a_body_without_end_is_refused_before_it_is_held(call, estate: Estate, monkeypatch, declared: bool):
    monkeypatch.setattr(web, "MAX_BODY", 1000)
    body = b"plate\n" * 1000
    answer = call(
        "POST", "/v1/vehicles/import", estate.token(), content=body if declared else iter([body[:600], body[600:]])
    )
    assert (answer.status_code, answer.headers["content-type"]) == (413, "application/problem+json")


def test_a_problem_has_every_member_its_description_names(call, estate: Estate):
    said = call("GET", "/v1/alerts/nobody", estate.token("alerts:read")).json()
    described = call("GET", "/openapi.json").json()["components"]["schemas"]["Problem"]
    assert set(described["required"]) == set(said)
    assert said["code"] == "not_found"
