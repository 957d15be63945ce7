"""A backend that was away for a week: engine, journal, courier, API, stream are the real ones, only time is driven."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from api.tokens import create_token
from gateway.courier import Courier, delays
from gateway.settings import Settings, Webhooks
from gateway.subscriptions import Subscriptions
from tests.api.test_stream import listening
from tests.gateway.receiver import Receiver
from tests.gateway.shell import START, Shell
from tests.gateway.test_feed import proved
from tests.gateway.test_ledger import lived

SECRET = "whsec_" + "QUJDREVGR0hJSktMTU5PUFFSU1RVVldY"
TRIES = 300


class Week(Shell):
    """The shell as the API sees a gateway."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.listeners: list[Callable[[], None]] = self.engine.listeners
        self.problems: list[str] = []
        self.courier = Courier(
            self.store,
            self.vault,
            Settings(community="c1", webhooks=Webhooks(timeout_s=5, allow=("127.0.0.0/8",))),
            backoff=delays,
            clock=self.seconds,
        )
        self.listeners.append(self.courier.tell)

    def seconds(self) -> float:
        return (self.now - START).total_seconds()

    def token(self, *scopes: str) -> dict[str, str]:
        _, text = create_token(self.store, name="backend", scopes=scopes, now=datetime.now(UTC))
        return {"Authorization": f"Bearer {text}"}

    def online(self, _device: str) -> bool | None:
        return None

    def last_seen(self, _device: str) -> datetime | None:
        return None

    @property
    def last(self) -> int:
        return int(self.rows("SELECT max(seq) FROM alert_changes")[0][0])

    def given_up(self) -> set[int]:
        """What was tried for three days and is a dead letter now."""
        return Subscriptions(self.store, self.vault).given_up("sub_1", 0)

    def until_taken(self, receiver: Receiver, wanted: set[int], *, or_dead: bool = False) -> None:
        """Let time pass until these have arrived (or are dead letters)."""
        for _ in range(TRIES):
            missing = wanted - set(sequences(receiver)) - (self.given_up() if or_dead else set())
            if not missing:
                return
            self.now += timedelta(minutes=15)
            self.courier.tell()
            with receiver._changed:
                receiver._changed.wait(0.5)
        pytest.fail(f"never came: {sorted(missing)}")


@pytest.fixture
def estate(tmp_path: Path) -> Iterator[Week]:
    week = Week(tmp_path)
    yield week
    week.courier.stop()
    week.close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver(SECRET)
    receiver.start()
    yield receiver
    receiver.stop()


def sequences(receiver: Receiver) -> list[int]:
    return [int(post.event["sequence"]) for post in receiver.taken]


def subscribed(estate: Week, url: str) -> None:
    with estate.store.write() as db:
        db.execute(
            "INSERT INTO subscriptions(id, url, secret, types, max_severity, communities, cursor, created_at, disabled)"
            " VALUES ('sub_1',?,?,'[]',3,'[]',0,0,'')",
            (url, estate.vault.seal(SECRET.encode(), "subscription:sub_1")),
        )


def pulled(call: Callable[..., httpx.Response], token: dict[str, str], after: int) -> list[dict[str, Any]]:
    """Page by page, as a backend that comes back does."""
    items: list[dict[str, Any]] = []
    while True:
        page = call("GET", f"/v1/alerts/changes?after={after}&limit=7", token).json()
        if not page["items"]:
            return items
        items += page["items"]
        after = page["next"]


def test_a_backend_that_was_away_for_a_week_gets_everything_and_can_prove_it(
    estate: Week, receiver: Receiver, call: Callable[..., httpx.Response], address: str
) -> None:
    subscribed(estate, receiver.url)
    estate.courier.start()
    lived(estate, 1)
    before = estate.last
    estate.until_taken(receiver, set(range(1, before + 1)))
    receiver.stop()

    lived(estate, 7)
    missed = set(range(before + 1, estate.last + 1))
    assert len(missed) > 40
    assert not missed & set(sequences(receiver))

    receiver.start()
    estate.until_taken(receiver, missed, or_dead=True)
    given_up = estate.given_up()
    assert estate.courier.replay("sub_1") == len(given_up)
    estate.until_taken(receiver, missed)
    for alert in {post.event["subject"] for post in receiver.taken}:
        came = dict.fromkeys(int(post.event["sequence"]) for post in receiver.taken if post.event["subject"] == alert)
        in_turn = [seq for seq in came if seq not in given_up]
        assert in_turn == sorted(in_turn), "in order per alert"

    token = estate.token("alerts:read")
    items = pulled(call, token, before)
    numbers = [item["seq"] for item in items]
    assert numbers == list(range(before + 1, estate.last + 1)), "no number is left out"
    kept = next(post.event["chain"] for post in receiver.taken if post.event["sequence"] == str(before))
    assert proved(items, kept), "and the chain goes on from the last delivery before the absence"
    assert not proved(items[1:], kept)
    delivered = {post.event["sequence"]: post.event["chain"] for post in receiver.taken}
    assert delivered.items() >= {str(item["seq"]): item["hash"] for item in items}.items()
    with listening(address, token, **{"Last-Event-ID": str(before)}) as coming:
        streamed = [next(coming) for _ in numbers]
    assert [int(seq) for seq, _, _ in streamed] == numbers
    assert [data for _, _, data in streamed] == items
    assert missed <= set(numbers)
