from __future__ import annotations

import asyncio
import json
import random
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from api import stream
from api.auth import Caller
from api.tokens import authenticate
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


def caller(estate: Estate, *scopes: str) -> Caller:
    text = estate.token(*scopes)["Authorization"].removeprefix("Bearer ")
    token = authenticate(estate.store, text, datetime.now(UTC))
    assert token is not None
    return Caller(token=token, text=text)


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


def test_a_client_cut_off_before_its_first_event_knows_where_to_go_on(address: str, estate: Estate):
    estate.raise_alert("door_forced")
    token = estate.token("alerts:read")
    with httpx.stream("GET", f"{address}/v1/stream", headers=token, timeout=20, trust_env=False) as answer:
        said = [line for line, _ in zip(answer.iter_lines(), range(3), strict=False)]
    assert "id: 1" in said
    estate.raise_alert("battery_low")
    with listening(address, token, **{"Last-Event-ID": "1"}) as coming:
        assert next(coming)[2]["alert"]["type"] == "battery_low"


def test_without_a_number_the_stream_begins_now(address: str, estate: Estate):
    estate.raise_alert("door_forced")
    with listening(address, estate.token("alerts:read")) as coming:
        estate.raise_alert("battery_low")
        assert next(coming)[2]["alert"]["type"] == "battery_low"


async def restless(
    estate: Estate, feed: stream.Feed, caller: Caller, n: int, chance: random.Random, total: int
) -> list[int]:
    """The numbers a client got that leaves whenever it likes, until it has `total`."""
    got: list[int] = []
    while not got or got[-1] < total:
        coming = stream.lines(estate, feed, caller, got[-1] if got else 0, devices=n % 5 == 0)
        patience = chance.choice((1, 2, 10, 1000))
        async for text in coming:
            got += [
                int(line[4:]) for line in text.decode().splitlines() if line.startswith("id: ") and b"data: " in text
            ]
            patience -= 1
            if patience == 0 or (got and got[-1] >= total):
                break
            if n % 4 == 0:
                await asyncio.to_thread(estate.store.reader.execute, "SELECT 1")  # one that reads slowly
        await coming.aclose()
    return got


def test_nobody_misses_doubles_or_reorders_anything_however_they_come_and_go(
    estate: Estate, monkeypatch: pytest.MonkeyPatch
):
    """Slow and quick clients, with either right, that leave at any moment and go on from their last number, while
    batches of all sizes are written; pages and memory so small that every way through the feed is taken.
    """
    for name, small in {"PAGE": 7, "KEPT": 40, "READ_EVERY_S": 0.001, "FOR_EACH_CLIENT_S": 0, "HEARTBEAT_S": 1}.items():
        monkeypatch.setattr(stream, name, small)
    callers = [caller(estate, "alerts:read"), caller(estate, "alerts:read", "people:read")]
    chance, feed, total = random.Random(1), stream.Feed(estate), 250

    def write() -> None:
        written = 0
        while written < total:
            many = min(chance.choice((1, 1, 1, 3, 20)), total - written)
            estate.raise_alerts(many, "battery_low", first=written)
            written += many

    async def everybody() -> list[list[int]]:
        feed.open()
        writer = asyncio.create_task(asyncio.to_thread(write))
        got = await asyncio.wait_for(
            asyncio.gather(*(restless(estate, feed, callers[n % 2], n, chance, total) for n in range(12))), 120
        )
        await writer
        feed.close()
        return got

    switched = sys.getswitchinterval()
    sys.setswitchinterval(0.0005)
    try:
        for got in asyncio.run(everybody()):
            assert got == list(range(1, got[-1] + 1))
            assert len(got) >= total
    finally:
        sys.setswitchinterval(switched)


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
    one = caller(estate, "alerts:read")
    with feed.client(one), feed.client(one):
        assert len(feed._clients) == 2
    assert feed._clients == set()
