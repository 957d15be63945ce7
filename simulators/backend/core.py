"""The backend put together: its books, the office that works on them, and the HTTP server before both."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from simulators.backend import events
from simulators.backend.accounts import Accounts
from simulators.backend.cases import Roster
from simulators.backend.events import DeliveryError, Kept, check_secret
from simulators.backend.server import Server
from simulators.backend.store import Books
from simulators.backend.trust import Trust
from simulators.backend.work import Office
from simulators.client import Client


class Mood(Struct, frozen=True, kw_only=True):
    """How it behaves: `status` it answers to everything (204: it works), after `slow_s` seconds; `vanish`: it drops
    the connection. What it does not answer with 204 it does not keep.
    """

    status: int = 204
    slow_s: float = 0.0
    vanish: bool = False


class Backend:
    """The backend as an object: `start`, `stop`, and what it has received. Port 0: any free one. Without `api` it only
    receives. `subscribe`: it asks the gateway for deliveries itself, once; `rotate`: with a new secret from now on.
    `testing`: anybody may see what it received and make it misbehave (/received, /control).

    :raises ValueError: nothing can be verified with `secret`.
    """

    def __init__(
        self,
        *,
        secret: str,
        store: Path,
        port: int = 0,
        name: str = "",
        api: str = "",
        token: str = "",
        host: str = "127.0.0.1",
        roster: Roster | None = None,
        claim_within_s: float = 900.0,
        auto: bool = False,
        subscribe: bool = False,
        rotate: bool = False,
        testing: bool = False,
    ) -> None:
        self.mood = Mood()
        if secret:
            check_secret(secret)
        self.books = Books(store)
        self.trust = Trust(self.books)
        self.accounts = Accounts(self.books)
        self.secrets = [secret] if secret else []
        """What is trusted besides the secrets of its own subscription."""
        self.testing = testing
        self._client = Client(api, token) if api else None
        self._subscribe, self._rotate = subscribe, rotate
        self.office = (
            Office(
                self.books,
                self._client,
                roster or Roster(),
                claim_within_s=claim_within_s,
                auto=auto,
                subscribe=self._subscribed,
            )
            if self._client
            else None
        )
        self._server = Server((host, port), self, name=name)
        self._thread = threading.Thread(target=self._server.serve_forever, name="receiving-backend", daemon=True)

    @property
    def page(self) -> str:
        """Where the page is."""
        host, port = self._server.server_address[:2]
        return f"http://{host!s}:{port}/"

    @property
    def url(self) -> str:
        """Where deliveries go."""
        return f"{self.page}hook"

    def start(self) -> None:
        """Listen, and begin to work.

        :raises ApiError: it is to subscribe, and the gateway refuses or is not there.
        """
        self._thread.start()
        self._subscribed()
        if self._client and self._subscribe and self._rotate:
            self.trust.rotate(self._client)
        if self.office:
            self.office.start()

    def _subscribed(self) -> None:
        if self._subscribe and self._client:
            self.trust.subscribe(self._client, self.url)

    def stop(self) -> None:
        """End in good order."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
        if self.office:
            self.office.stop()
        self.books.close()

    def take(self, headers: Mapping[str, str], body: bytes) -> int:
        """Judges one delivery; gives the HTTP status: 204 kept or known, 401 badly signed, 422 not a CloudEvent
        of an alert, 503 it cannot be kept just now.
        """
        try:
            cloud = events.read([*self.secrets, *self.trust.secrets()], headers, body)
        except DeliveryError as error:
            self.count(error.what)
            return error.status
        alert = cloud.subject or str(cloud.data.get("id", ""))
        kept = Kept(
            webhook_id=headers["webhook-id"], received_at=time.time(), event=cloud.id, type=cloud.type, alert=alert
        )
        try:
            new = self.books.deliver(kept, cloud)
        except msgspec.ValidationError:
            self.count("not_cloudevents")
            return 422
        except sqlite3.OperationalError:  # the disk is full, say: it is sent again
            return 503
        if new and self.office:
            self.office.wake()
        return 204

    def count(self, what: str) -> None:
        """One more of what is only counted."""
        self.books.counts[what] += 1

    def received(self) -> dict[str, Any]:
        """What GET /received answers."""
        kept = self.books.received()
        counts = self.books.counts
        names = ("duplicates", "bad_signatures", "not_cloudevents", "refused_on_purpose")
        return {
            "count": len(kept),
            "ids": [one.webhook_id for one in kept],
            "events": [one.event for one in kept],
            "alerts": sorted({one.alert for one in kept}),
            "types": dict(Counter(one.type for one in kept)),
            **{name: counts[name] for name in names},
            "work_sent": self.office.sent if self.office else 0,
            "work_refused": self.office.refused if self.office else 0,
        }
