"""Pseudonyms of people and plates: an HMAC with a key of each community, sealed in the database.

The same subject has the same pseudonym within its community and another one elsewhere. Forgetting a community's key
makes all of its pseudonyms nobody's.
"""

from __future__ import annotations

import hmac
import secrets
import sqlite3

from gateway.vault import Vault


class Pseudonyms:
    """Makes pseudonyms. Uses `db` of the calling thread; keys are made outside any transaction, on first use."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault
        self._keyed: dict[str, hmac.HMAC] = {}

    def of(self, db: sqlite3.Connection, community: str, value: str) -> str:
        """32 hex digits that stand for `value`.

        :raises gateway.vault.VaultError: the master key is not the one the community's key was sealed with.
        """
        keyed = self._keyed.get(community) or self._key(db, community)
        keyed = keyed.copy()  # cheaper than taking up the key anew for each
        keyed.update(value.encode())
        return keyed.hexdigest()[:32]

    def _key(self, db: sqlite3.Connection, community: str) -> hmac.HMAC:
        about = f"pseudonyms:{community}"
        fresh = self._vault.seal(secrets.token_bytes(32), about)
        select = "SELECT key FROM pseudonym_keys WHERE community=?"
        row = db.execute(select, (community,)).fetchone()
        if row is None:
            db.execute("INSERT OR IGNORE INTO pseudonym_keys(community, key) VALUES (?,?)", (community, fresh))
            row = db.execute(select, (community,)).fetchone()
        self._keyed[community] = hmac.new(self._vault.open(row[0], about), digestmod="sha256")
        return self._keyed[community]
