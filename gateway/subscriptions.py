"""Who wants alerts: the subscriptions as the courier needs them, and what could not be delivered to them."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable

from msgspec import Struct

from devices.alerts import Alert
from gateway.store import Store
from gateway.vault import Vault
from gateway.webhooks import secret_bytes


class Subscription(Struct, frozen=True, kw_only=True):
    """One receiver. Empty `types`, `communities` or `places` (ids, from the building up to the district): all.
    `cursor`: the last `alert_changes.seq` it is done with. `disabled`: why nothing is delivered any more, "" while it
    is. What a contract with it may allow: `clear_text` (people and plates themselves instead of pseudonyms),
    `evidence_hours` (links to pictures, good for so long; 0: none).
    """

    id: str
    url: str
    types: tuple[str, ...] = ()
    max_severity: int = 3
    communities: tuple[str, ...] = ()
    places: tuple[str, ...] = ()
    clear_text: bool = False
    evidence_hours: float = 0.0
    cursor: int = 0
    disabled: str = ""

    def wants(self, alert: Alert, above: Callable[[str], frozenset[str]]) -> bool:
        """Whether it is to hear of this alert. `above`: a place and those it lies in. An alert keeps the grid in which
        it was raised, so that who heard of its beginning hears of its end, wherever its building belongs by then.
        """
        return (
            alert.severity <= self.max_severity
            and (not self.types or alert.type in self.types)
            and (not self.communities or alert.community in self.communities)
            and (
                not self.places
                or alert.building in self.places
                or not above(alert.grid or alert.community).isdisjoint(self.places)
            )
        )


class Letter(Struct, frozen=True, kw_only=True):
    """A change nobody took: `row` in the table of dead letters, 0 while it is not there yet."""

    change: int
    reason: str
    attempts: int
    row: int = 0


class Subscriptions:
    """The tables `subscriptions` and `dead_letters`. Safe to use from several threads."""

    def __init__(self, store: Store, vault: Vault) -> None:
        self._store = store
        self._vault = vault

    def all(self) -> list[Subscription]:
        """Every subscription, the oldest first."""
        rows = self._store.reader.execute("SELECT * FROM subscriptions ORDER BY created_at, id")
        return [_subscription(row) for row in rows]

    def secrets(self, name: str, now_us: int) -> list[bytes]:
        """The keys to sign with, the newest first; the one before it is among them while both are good. None if the
        subscription is gone.

        :raises gateway.vault.VaultError: the master key is not the one they were sealed with.
        """
        row = self._store.reader.execute(
            "SELECT secret, old_secret, old_until FROM subscriptions WHERE id=?", (name,)
        ).fetchone()
        if row is None:
            return []
        sealed = [row["secret"]] + ([row["old_secret"]] if row["old_secret"] and row["old_until"] > now_us else [])
        return [secret_bytes(self._vault.open(one, f"subscription:{name}").decode()) for one in sealed]

    def above(self, place: str) -> frozenset[str]:
        """A place and those it lies in, as the register has them now."""
        rows = self._store.reader.execute(
            "WITH RECURSIVE up(id) AS (VALUES (?) UNION SELECT parent FROM places JOIN up USING (id)) SELECT * FROM up",
            (place,),
        )
        return frozenset(row["id"] for row in rows if row["id"])

    def given_up(self, name: str, after: int) -> set[int]:
        """The changes after `after` that are dead letters already and wait for nobody."""
        rows = self._store.reader.execute(
            "SELECT change FROM dead_letters WHERE subscription=? AND change>?", (name, after)
        )
        return {row["change"] for row in rows}

    def to_replay(self, name: str) -> list[tuple[int, int]]:
        """Dead letters somebody asked for again: row and change."""
        rows = self._store.reader.execute(
            "SELECT seq, change FROM dead_letters WHERE subscription=? AND attempts=0 ORDER BY change", (name,)
        )
        return [(row["seq"], row["change"]) for row in rows]

    def replay(self, name: str) -> int:
        """Have every dead letter tried again; how many. Durable: `attempts` 0 says so."""
        with self._store.write() as db:
            return db.execute("UPDATE dead_letters SET attempts=0 WHERE subscription=?", (name,)).rowcount

    def progress(
        self, name: str, cursor: int, *, now_us: int, dead: Iterable[Letter] = (), replayed: Iterable[int] = ()
    ) -> None:
        """Write in one transaction how far a subscription is, what was given up, and which dead letters (rows) arrived.
        Nothing is written for a subscription that is gone.
        """
        with self._store.write() as db:
            gone = db.execute("UPDATE subscriptions SET cursor=max(cursor, ?) WHERE id=?", (cursor, name)).rowcount == 0
            if gone:
                return
            for letter in dead:
                if letter.row:
                    db.execute(
                        "UPDATE dead_letters SET at=?, reason=?, attempts=? WHERE seq=?",
                        (now_us, letter.reason, letter.attempts, letter.row),
                    )
                else:
                    db.execute(
                        "INSERT INTO dead_letters(subscription, change, at, reason, attempts) VALUES (?,?,?,?,?)",
                        (name, letter.change, now_us, letter.reason, letter.attempts),
                    )
            db.executemany("DELETE FROM dead_letters WHERE seq=?", [(row,) for row in replayed])

    def disable(self, name: str, why: str) -> None:
        """Deliver nothing to it any more."""
        with self._store.write() as db:
            db.execute("UPDATE subscriptions SET disabled=? WHERE id=?", (why, name))

    def dead_count(self) -> int:
        """How many changes wait for somebody to look at them."""
        found: int = self._store.reader.execute("SELECT count(*) FROM dead_letters").fetchone()[0]
        return found


def _subscription(row: sqlite3.Row) -> Subscription:
    return Subscription(
        id=row["id"],
        url=row["url"],
        types=tuple(json.loads(row["types"])),
        max_severity=row["max_severity"],
        communities=tuple(json.loads(row["communities"])),
        places=tuple(json.loads(row["places"])),
        clear_text=bool(row["clear_text"]),
        evidence_hours=row["evidence_hours"],
        cursor=row["cursor"],
        disabled=row["disabled"],
    )
