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
        self._keys: dict[str, bytes] = {}

    def of(self, db: sqlite3.Connection, community: str, value: str) -> str:
        """32 hex digits that stand for `value`.

        :raises gateway.vault.VaultError: the master key is not the one the community's key was sealed with.
        """
        key = self._keys.get(community) or self._key(db, community)
        return hmac.digest(key, value.encode(), "sha256").hex()[:32]

    def _key(self, db: sqlite3.Connection, community: str) -> bytes:
        about = f"pseudonyms:{community}"
        fresh = self._vault.seal(secrets.token_bytes(32), about)
        select = "SELECT key FROM pseudonym_keys WHERE community=?"
        row = db.execute(select, (community,)).fetchone()
        if row is None:
            db.execute("INSERT OR IGNORE INTO pseudonym_keys(community, key) VALUES (?,?)", (community, fresh))
            row = db.execute(select, (community,)).fetchone()
        self._keys[community] = self._vault.open(row[0], about)
        return self._keys[community]
