"""Which secrets sign what comes in: written down before the gateway is told, so that no kill leaves deliveries nobody
can verify, and kept through an overlap when they are changed.
"""

from __future__ import annotations

import base64
import secrets
import time
from collections.abc import Callable
from datetime import datetime

from simulators.backend.store import Books
from simulators.client import Client

OVERLAP_HOURS = 24.0


class Trust:
    """The secrets of its own subscription. `clock`: s since 1970."""

    def __init__(self, books: Books, *, clock: Callable[[], float] = time.time) -> None:
        self._books, self._clock = books, clock

    def secrets(self) -> list[str]:
        """Those that are good now: the present one, one being changed to, and the one before until its overlap ends."""
        fact = self._books.fact
        old = fact("old_secret") if self._clock() < float(fact("old_until") or 0) else ""
        return [one for one in (fact("secret"), fact("next_secret"), old) if one]

    def subscribe(self, client: Client, url: str) -> None:
        """Its own subscription, made once; every other to the same address is one whose secret was lost, and goes.

        :raises simulators.client.ApiError: the gateway refuses, or is not there.
        """
        secret = self._books.fact("secret")
        if not secret:
            secret = new_secret()
            self._books.remember("secret", secret)
        before = self._books.fact("subscription")
        known = {one["id"]: one for one in client.subscriptions()}
        mine = known.get(before)
        if mine is None or mine["url"] != url or mine["disabled"]:
            if mine is not None:
                client.unsubscribe(before)
            before = str(client.subscribe(url, secret=secret)["id"])
            self._books.remember("subscription", before)
        for name, one in known.items():
            if one["url"] == url and name != before:
                client.unsubscribe(name)
        if self._books.fact("next_secret"):
            self.rotate(client)

    def rotate(self, client: Client) -> None:
        """Sign with a new secret from now on. Broken off at any point it is done again with the same one.

        :raises simulators.client.ApiError: the gateway refuses, or is not there.
        """
        books = self._books
        after = books.fact("next_secret") or new_secret()
        books.remember("next_secret", after)
        told = client.rotate(books.fact("subscription"), after, overlap_hours=OVERLAP_HOURS)
        until = datetime.fromisoformat(told["old_until"]).timestamp()
        books.remember_all(
            {"old_secret": books.fact("secret"), "old_until": str(until), "secret": after, "next_secret": ""}
        )


def new_secret() -> str:
    """32 random bytes, as Standard Webhooks writes them."""
    return "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()
