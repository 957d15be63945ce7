from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

from api import stream
from tests.api.conftest import GATE, Estate


def events(lines: Iterator[str]) -> Iterator[tuple[str, str, Any]]:
    """(id, event, data) as they come; a heartbeat is ("", "heartbeat", None)."""
    fields: dict[str, str] = {}
    for line in lines:
        if line.startswith(": still"):
            yield "", "heartbeat", None
        elif line:
            name, _, value = line.partition(": ")
            fields[name] = value
        elif "data" in fields:
            yield fields.get("id", ""), fields["event"], json.loads(fields["data"])
            fields = {}


@contextmanager
def listening(address: str, token: dict[str, str], **more: Any) -> Iterator[Iterator[tuple[str, str, Any]]]:
    """A client that is connected: the stream's greeting has come."""
    headers = token | more
    with httpx.stream("GET", f"{address}/v1/stream", headers=headers, timeout=20, trust_env=False) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        lines = answer.iter_lines()
        assert ": linli" in lines
        yield events(lines)


def test_an_alert_arrives_while_a_client_listens(address: str, estate: Estate):
    with listening(address, estate.token("alerts:read")) as coming:
        alert = estate.raise_alert()
        seq, event, data = next(coming)
        assert (seq, event, data["seq"], data["change"], data["alert"]["id"]) == ("1", "alert", 1, "raised", alert)
        assert "subject" not in data["alert"]
        estate.clear_alert("battery_low")
        estate.raise_alert("battery_low")
        assert next(coming)[2]["alert"]["type"] == "battery_low"


def test_a_client_that_comes_back_misses_nothing_and_gets_nothing_twice(address: str, estate: Estate):
    for n in range(stream.PAGE + 5):
        estate.raise_alert("battery_low", instance=str(n))
    with listening(address, estate.token("alerts:read"), **{"Last-Event-ID": "3"}) as coming:
        seen = [int(next(coming)[0]) for _ in range(stream.PAGE + 2)]
        estate.raise_alert("door_forced")
        seen.append(int(next(coming)[0]))
    assert seen == list(range(4, stream.PAGE + 7))


def test_without_a_number_the_stream_begins_now(address: str, estate: Estate):
    estate.raise_alert("door_forced")
    with listening(address, estate.token("alerts:read")) as coming:
        estate.raise_alert("battery_low")
        assert next(coming)[2]["alert"]["type"] == "battery_low"


def test_devices_coming_and_going_are_told(address: str, estate: Estate):
    with listening(address, estate.token("alerts:read", "devices:read")) as coming:
        estate.connect(GATE)
        estate.raise_alert()
        found = {event: data for _, event, data in (next(coming), next(coming))}
    assert found["device"]["id"] == "gate-3"
    assert found["device"]["online"] is True


def test_a_revoked_token_ends_its_stream(address: str, estate: Estate, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(stream, "HEARTBEAT_S", 0.05)
    with listening(address, estate.token("alerts:read")) as coming:
        assert next(coming)[1] == "heartbeat"
        with estate.store.write() as db:
            db.execute("UPDATE tokens SET revoked_at = 1")
        assert {event for _, event, _ in coming} <= {"heartbeat"}  # and it ends


@pytest.mark.parametrize("wrong", ["-1", "x", "٣", "9" * 20])
def test_an_id_that_is_none_is_refused(call, estate: Estate, wrong: str):
    headers = estate.token("alerts:read") | {"Last-Event-ID": wrong.encode()}
    assert call("GET", "/v1/stream", headers).status_code == 422


def test_clients_that_left_are_forgotten(estate: Estate):
    feed = stream.Feed(estate)
    with feed.client(), feed.client():
        assert len(feed._clients) == 2
    assert feed._clients == set()
