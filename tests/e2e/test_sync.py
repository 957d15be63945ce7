"""A backend that synchronises with a gateway that is killed half way: it asks what is here, goes on, and nothing is
half done.
"""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.running import RunningGateway, running

pytestmark = pytest.mark.e2e
PLACES = [{"id": "c", "kind": "community", "name": "C"}]
PLACES += [{"id": f"g{n}", "kind": "grid", "name": "G", "parent": "c"} for n in range(40)]
PLACES += [{"id": f"b{n}", "kind": "building", "name": "B", "parent": f"g{n % 40}"} for n in range(4000)]
PAGES = [PLACES[n : n + 1000] for n in range(0, len(PLACES), 1000)]


def send(gateway: RunningGateway, number: int) -> dict[str, Any] | None:
    """One page; None when the gateway went away over it."""
    body = {"revision": 1, "page": number, "pages": len(PAGES), "items": PAGES[number - 1]}
    try:
        answer = gateway.api.put("/v1/sync/places", json=body)
    except httpx.TransportError:
        return None
    assert answer.status_code in (200, 202), answer.text
    found: dict[str, Any] = answer.json()
    return found


def places_state(gateway: RunningGateway) -> dict[str, Any]:
    found: dict[str, Any] = next(s for s in gateway.get("/v1/sync")["sections"] if s["section"] == "places")
    return found


def test_a_gateway_killed_between_pages_goes_on_with_the_next(tmp_path: Path) -> None:
    with running(tmp_path) as gateway:
        for number in (1, 2):
            send(gateway, number)
        gateway.kill()
        gateway.begin()
        assert gateway.get("/v1/places")["items"] == []
        assert places_state(gateway)["pending"]["next_page"] == 3
        for number in range(3, len(PAGES) + 1):
            answer = send(gateway, number)
        assert answer is not None
        assert len(answer["added"]) == len(PLACES)


def test_a_gateway_killed_over_the_last_page_has_all_of_it_or_nothing(tmp_path: Path) -> None:
    with running(tmp_path) as gateway, ThreadPoolExecutor(1) as pool:
        for number in range(1, len(PAGES)):
            send(gateway, number)
        sent = pool.submit(send, gateway, len(PAGES))
        gateway.kill()
        told = sent.result()
        gateway.begin()
        assert len(gateway.get("/v1/places")["items"]) in ((len(PLACES),) if told else (0, len(PLACES)))
        again = send(gateway, len(PAGES))
        assert again is not None
        assert (again["complete"], len(again["added"])) == (True, len(PLACES))
        assert len(gateway.get("/v1/places")["items"]) == len(PLACES)
        assert gateway.bugs() == []
