"""The way of alert changes to one receiver: a thread of its own, with an event loop on which several POSTs are under
way at once, and the cursor in the database. Only that thread touches the line's state.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from typing import Any
from urllib.parse import quote, urlsplit

import msgspec
import structlog

from devices.alerts import Alert
from gateway.delivery import Endpoint, Kind, Outcome
from gateway.evidencelinks import new_link
from gateway.lanes import Lanes, Parcel
from gateway.latest import Row
from gateway.metrics import DELIVERIES
from gateway.pseudonyms import Pseudonyms
from gateway.settings import Settings
from gateway.store import Store, us
from gateway.subscriptions import Letter, Subscription, Subscriptions
from gateway.vault import Vault
from gateway.webhooks import cloud_event, sign

IN_FLIGHT = 8
WAITING_AT_MOST = 512
HELD_AT_MOST = 20_000
"""So many changes behind the cursor are remembered; further ones stay in the database."""
READ_ROWS = 256
SAVE_EVERY_S = 0.25
"""The cursor is written at most this often: what is lost with it is only delivered again, under the same id."""
SECRETS_EVERY_S = 10.0
"""So often secrets and places are read anew."""
REFUSALS_AT_MOST = 5
"""So often one change may be refused where others are taken; who takes none is tried for `retry_days`."""
TROUBLE_AFTER_S = 60.0
STORE_AGAIN_S = 1.0

_log = structlog.get_logger(__name__)
_decode = msgspec.json.Decoder(Alert).decode


class Line:
    """The way to one receiver. `trouble`: what is wrong with it, in words, "" if nothing. `over`: it said 410 Gone."""

    def __init__(
        self,
        subscription: Subscription,
        store: Store,
        tables: Subscriptions,
        vault: Vault,
        settings: Settings,
        backoff: Callable[[int], float],
        clock: Callable[[], float],
    ) -> None:
        self._clock = clock
        self._subscription = subscription
        self._store = store
        self._tables = tables
        self._settings = settings
        self._backoff = backoff
        self._vault = vault
        self._pseudonyms = Pseudonyms(vault)
        self._endpoint = Endpoint(
            subscription.url,
            allow=[ip_network(network) for network in settings.webhooks.allow],
            timeout_s=settings.webhooks.timeout_s,
            connections=IN_FLIGHT,
        )
        self._secrets: list[bytes] = []
        self._secrets_until = 0.0
        self._above: dict[str, frozenset[str]] = {}
        self._lanes = Lanes(subscription.cursor)
        self._given_up = tables.given_up(subscription.id, subscription.cursor)
        self._replaying: set[int] = set()
        self._arrived: list[int] = []
        self._dead: list[Letter] = []
        self._saved = subscription.cursor
        self._saved_at = -SAVE_EVERY_S
        self._flying = 0
        self._failures = 0
        self._failing_since = 0.0
        self._paused_until = 0.0
        self._taken_at = 0.0
        self._look = True
        self._look_at_letters = True
        self._stopping = False
        self._gone = ""
        self.trouble = ""
        self.over = False
        self._awake = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._run()), name=f"courier-{subscription.id}", daemon=True
        )
        self._thread.start()

    def tell(self) -> None:
        """There may be new changes. Never blocks."""
        if not self._look:
            self._look = True
            self._poke()

    def wake(self) -> None:
        """There may be new changes, or dead letters to replay. Never blocks."""
        self._look = self._look_at_letters = True
        self._poke()

    def refresh(self) -> None:
        """Its secret may be another one, or there are dead letters to replay. Never blocks."""
        self._secrets_until = 0.0
        self.wake()

    def ask_to_stop(self) -> None:
        """Let it finish what is on its way."""
        self._stopping = True
        self._poke()

    def join(self) -> None:
        """Wait until it has."""
        self._thread.join()

    def _poke(self) -> None:
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile, and with it the line
                self._loop.call_soon_threadsafe(self._awake.set)

    # -- its thread ---------------------------------------------------------------------------------------------------

    async def _run(self) -> None:
        self._loop = asyncio.get_running_loop()
        try:
            async with asyncio.TaskGroup() as flights:
                while not self._stopping:
                    await self._sleep(self._step(flights))
        except Exception:  # noqa: BLE001 - the supervisor of this thread: said on /health, and the other lines go on
            self.trouble = f"delivery to {self._host} met an error of our own; restart the gateway and read its log"
            _log.exception("courier_line_stopped", subscription=self._subscription.id)
        try:
            self._save(force=True)
        except sqlite3.OperationalError as error:
            _log.warning("courier_cannot_write", error=str(error))
        self._endpoint.close()

    def _step(self, flights: asyncio.TaskGroup) -> float | None:
        """Do what can be done now; seconds until there is more to do by itself, None: never."""
        self._awake.clear()
        try:
            self._load()
            self._send(flights)
            self._save(force=False)
        except sqlite3.OperationalError as error:
            _log.warning("courier_cannot_write", error=str(error))
            return STORE_AGAIN_S
        return self._pause()

    async def _sleep(self, pause: float | None) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(pause):
                await self._awake.wait()

    @property
    def _host(self) -> str:
        return urlsplit(self._subscription.url).hostname or self._subscription.id

    def _load(self) -> None:
        """Take new changes out of the database, no more than can be worked on, and the secrets as they now are."""
        if self._clock() >= self._secrets_until:
            self._secrets = self._tables.secrets(self._subscription.id, us(datetime.now(UTC)))
            self._secrets_until = self._clock() + SECRETS_EVERY_S
            self._above.clear()
        if not self._look or self._lanes.waiting >= WAITING_AT_MOST or self._lanes.held >= HELD_AT_MOST:
            return
        self._look = False  # before reading: what is written from here on sets it again
        try:
            if self._look_at_letters:
                self._look_at_letters = False
                self._load_letters()
            rows = self._store.latest.after(self._lanes.newest, READ_ROWS)
        except sqlite3.OperationalError:
            self._look = self._look_at_letters = True
            raise
        for found in rows:
            alert = _decode(found["body"])
            if found["seq"] in self._given_up or not self._subscription.wants(alert, self._places_above):
                self._lanes.skip(found["seq"])
            else:
                self._lanes.add(self._parcel(found, alert, 0))
        if len(rows) == READ_ROWS:
            self._look = True

    def _places_above(self, place: str) -> frozenset[str]:
        if place not in self._above:
            self._above[place] = self._tables.above(place)
        return self._above[place]

    def _load_letters(self) -> None:
        """Take up again the dead letters somebody asked for."""
        for row, change in self._tables.to_replay(self._subscription.id):
            if row not in self._replaying:
                self._load_again(row, change)

    def _load_again(self, row: int, change: int) -> None:
        found = self._store.reader.execute("SELECT * FROM alert_changes WHERE seq=?", (change,)).fetchone()
        if found is not None:
            self._replaying.add(row)
            self._lanes.add(self._parcel(dict(found), _decode(found["body"]), row))

    def _parcel(self, change: Row, alert: Alert, row: int) -> Parcel:
        source = f"/linli/{quote(self._settings.community)}"  # a URI reference, whatever a community is called
        said: dict[str, Any] = cloud_event(
            change,
            alert,
            source=source,
            pseudonym=lambda value: self._shown(value, alert),
            evidence=self._link(alert),
        )
        # A database set back to a backup gives its numbers anew: the hash tells the two changes of one number apart.
        name = f"{self._subscription.id}.{change['seq']}" + (f".{change['hash'][:8]}" if change["hash"] else "")
        return Parcel(seq=change["seq"], alert=alert.id, id=name, body=msgspec.json.encode(said), row=row)

    def _shown(self, subject: str, alert: Alert) -> str:
        if self._subscription.clear_text:
            return subject
        return self._pseudonyms.of(self._store.reader, alert.community, subject)

    def _link(self, alert: Alert) -> str | None:
        if not alert.evidence or not self._subscription.evidence_hours:
            return None
        until = datetime.now(UTC) + timedelta(hours=self._subscription.evidence_hours)
        token = new_link(self._vault, subscription=self._subscription.id, key=alert.evidence, until=until)
        return f"/v1/evidence-links/{token}"

    def _send(self, flights: asyncio.TaskGroup) -> None:
        """Put parcels on their way: several at a time, or a single one to see whether the receiver is back."""
        now = self._clock()
        while self._flying < self._may_fly and now >= self._paused_until:
            parcel = self._lanes.take(now)
            if parcel is None:
                return
            parcel.attempts += 1
            parcel.first_tried, parcel.tried = parcel.first_tried or now, now
            self._flying += 1
            flights.create_task(self._deliver(parcel, self._failures))

    @property
    def _may_fly(self) -> int:
        return 1 if self._failures else IN_FLIGHT

    async def _deliver(self, parcel: Parcel, launched: int) -> None:
        headers = sign(self._secrets, parcel.id, int(time.time()), parcel.body)
        outcome = await self._endpoint.post(parcel.body, headers, self._clock())
        self._flying -= 1
        self._judge(parcel, launched, outcome)
        self._awake.set()

    def _pause(self) -> float | None:
        """Seconds until there is something to do by itself; None: never."""
        now = self._clock()
        moments = []
        if self._look and self._lanes.waiting < WAITING_AT_MOST and self._lanes.held < HELD_AT_MOST:
            return 0.0
        if self._flying < self._may_fly and (due := self._lanes.next_at(now)) is not None:
            moments.append(max(due, self._paused_until))
        if self._unsaved:
            moments.append(self._saved_at + SAVE_EVERY_S)
        return max(0.0, min(moments) - now) if moments else None

    # -- what became of it --------------------------------------------------------------------------------------------

    def _judge(self, parcel: Parcel, launched: int, outcome: Outcome) -> None:
        DELIVERIES.labels(outcome.kind.value).inc()
        now = self._clock()
        if outcome.kind is Kind.UNAVAILABLE:
            self._unavailable(parcel, launched, outcome, now)
            return
        self._failures, self._failing_since, self.trouble = 0, 0.0, ""
        if outcome.kind is Kind.TAKEN:
            self._taken_at = now
            self._lanes.done(parcel)
            if parcel.row:
                self._arrived.append(parcel.row)
        elif outcome.kind is Kind.GONE:
            self._gone = outcome.reason
        elif parcel.attempts >= REFUSALS_AT_MOST and parcel.first_tried < self._taken_at < parcel.tried:
            self._give_up(parcel, outcome.reason)
        else:
            if now - parcel.first_tried >= TROUBLE_AFTER_S:
                self.trouble = (
                    f"the receiver at {self._host} refuses alerts ({outcome.reason}); check it and its secret"
                )
            self._again(parcel, outcome, now)

    def _again(self, parcel: Parcel, outcome: Outcome, now: float) -> None:
        if now - parcel.first_tried >= self._settings.webhooks.retry_days * 86400:
            self._give_up(parcel, outcome.reason)
        else:
            self._lanes.put_back(parcel, now + max(self._backoff(parcel.attempts), outcome.retry_after_s))

    def _unavailable(self, parcel: Parcel, launched: int, outcome: Outcome, now: float) -> None:
        if launched == self._failures:  # those that were on their way together fail together, and count once
            self._failures += 1
            self._failing_since = self._failing_since or now
            self._paused_until = now + max(self._backoff(self._failures), outcome.retry_after_s)
        if now - self._failing_since >= TROUBLE_AFTER_S:
            self.trouble = f"the receiver at {self._host} takes no alerts ({outcome.reason}); check it and its address"
        self._again(parcel, outcome, now)

    def _give_up(self, parcel: Parcel, reason: str) -> None:
        _log.warning("alert_not_delivered", subscription=self._subscription.id, change=parcel.seq, reason=reason)
        DELIVERIES.labels("dead").inc()
        self._dead.append(Letter(change=parcel.seq, reason=reason, attempts=parcel.attempts, row=parcel.row))
        self._lanes.done(parcel)

    @property
    def _unsaved(self) -> bool:
        return bool(self._dead or self._arrived or self._lanes.cursor != self._saved)

    def _save(self, *, force: bool) -> None:
        """Write how far we are, in one transaction, not too often."""
        now = self._clock()
        if self._gone:
            self._tables.disable(self._subscription.id, self._gone)
            _log.warning("subscription_disabled", subscription=self._subscription.id, reason=self._gone)
            self._stopping, self._gone, self.over = True, "", True
        if not self._unsaved or (now - self._saved_at < SAVE_EVERY_S and not force):
            return
        cursor = self._lanes.cursor
        self._tables.progress(
            self._subscription.id, cursor, now_us=us(datetime.now(UTC)), dead=self._dead, replayed=self._arrived
        )
        self._replaying -= {*self._arrived, *(letter.row for letter in self._dead)}
        self._dead, self._arrived, self._saved, self._saved_at = [], [], cursor, now
