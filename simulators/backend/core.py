"""The backend put together: its books, the office that works on them, and the HTTP server before both."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from msgspec import Struct

from simulators.backend import events
from simulators.backend.cases import Roster
from simulators.backend.events import DeliveryError, Kept
from simulators.backend.server import Server
from simulators.backend.store import Books
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
    receives. `subscribe`: it asks the gateway for deliveries itself, once.
    """

    def __init__(
        self,
        *,
        secret: str,
        store: Path,
        port: int = 0,
        api: str = "",
        token: str = "",
        host: str = "127.0.0.1",
        roster: Roster | None = None,
        claim_within_s: float = 900.0,
        auto: bool = False,
        subscribe: bool = False,
    ) -> None:
        self.mood = Mood()
        self.books = Books(store)
        kept = self.books.fact("secret")
        self.secrets = [one for one in (secret, kept) if one]
        self._client = Client(api, token) if api else None
        self._subscribe = subscribe
        self.office = (
            Office(self.books, self._client, roster or Roster(), claim_within_s=claim_within_s, auto=auto)
            if self._client
            else None
        )
        self._server = Server((host, port), self)
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
        if self._subscribe and self._client:
            self._subscribed(self._client)
        if self.office:
            self.office.start()

    def _subscribed(self, client: Client) -> None:
        """Its own subscription, made once; the secret is kept, for it is told only then."""
        known = {one["id"]: one for one in client.subscriptions()}
        mine = known.get(self.books.fact("subscription"))
        if mine is None or mine["url"] != self.url or mine["disabled"]:
            made = client.subscribe(self.url)
            self.books.remember("secret", made["secret"])
            self.books.remember("subscription", made["id"])
            self.secrets.append(made["secret"])

    def stop(self) -> None:
        """End in good order."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
        if self.office:
            self.office.stop()
        self.books.close()

    def take(self, headers: Mapping[str, str], body: bytes) -> int:
        """Judges one delivery; gives the HTTP status: 204 kept or known, 401 badly signed, 422 not a CloudEvent."""
        try:
            cloud = events.read(self.secrets, headers, body)
        except DeliveryError as error:
            self.count(error.what)
            return error.status
        alert = cloud.subject or str(cloud.data.get("id", ""))
        kept = Kept(
            webhook_id=headers["webhook-id"], received_at=time.time(), event=cloud.id, type=cloud.type, alert=alert
        )
        if self.books.deliver(kept, cloud) and self.office:
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
