"""API tokens: `linli_<id>_<secret>`. Only a hash of the secret is kept; scopes say what a token may do.

The secret has 256 random bits, so a plain SHA-256 of it is as strong as a slow password hash.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import secrets
import sqlite3
from collections.abc import Iterable
from datetime import datetime, timedelta

from msgspec import Struct

from gateway.schema import FIRST_SOURCE
from gateway.store import Store, us, when

SCOPES: dict[str, str] = {
    "alerts:read": "see alerts and their feed",
    "alerts:write": "acknowledge, shelve and close alerts, and report work on them",
    "devices:read": "see devices and their state",
    "devices:write": "register, change and remove devices",
    "commands:write": "open doors and barriers, dim lamps",
    "people:read": "see who residents are",
    "people:write": "enrol residents and forget them",
    "vehicles:read": "see registered vehicles",
    "vehicles:write": "register and import vehicles",
    "places:write": "change communities, grids and buildings",
    "sync:write": "bring places, staff, passes and vehicles up to the governance backend's revisions",
    "subscriptions:write": "manage webhook subscriptions",
    "evidence:read": "see captured pictures",
    "metrics:read": "read the gateway's metrics",
}
ROLES: dict[str, tuple[str, ...]] = {
    "desk": (
        "alerts:read",
        "alerts:write",
        "devices:read",
        "commands:write",
        "people:read",
        "vehicles:read",
        "evidence:read",
    ),
    "backend": ("alerts:read", "alerts:write", "devices:read", "subscriptions:write", "sync:write"),
    "admin": tuple(SCOPES),
}
"""What a role may do: the security desk, a governance backend, the property company's administrator."""

_TOKEN = re.compile(r"^linli_([0-9a-f]{12})_([0-9a-f]{64})$")


OPERATOR = " / "
"""Between the name of a token and who of a backend did something with it, in the record."""
_SOURCE = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")


class Token(Struct, frozen=True, kw_only=True):
    """A token as it is kept: without its secret. `source`: whose entries it synchronises; a new token of the same
    source goes on where the old one ended.
    """

    id: str
    name: str
    scopes: frozenset[str]
    source: str = FIRST_SOURCE
    created_at: datetime
    expires_at: datetime | None = None
    revoked_at: datetime | None = None

    def valid(self, now: datetime) -> bool:
        """Neither revoked nor expired."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


def create_token(
    store: Store,
    *,
    name: str,
    scopes: Iterable[str],
    now: datetime,
    days: float | None = None,
    source: str = FIRST_SOURCE,
) -> tuple[Token, str]:
    """A new token and, this once, its text.

    :raises ValueError: a scope is unknown, the name is empty, or the source is no name for one.
    """
    wanted = frozenset(scopes)
    if unknown := wanted - SCOPES.keys():
        raise ValueError(f"there is no scope {', '.join(sorted(unknown))}; there are {', '.join(SCOPES)}")
    if not name.strip():
        raise ValueError("a token needs a name: it stands in the record of what is done with it")
    if OPERATOR in name:
        raise ValueError(
            f"a token's name has no {OPERATOR.strip()!r} between blanks: behind it stands who of a backend did it"
        )
    if not _SOURCE.fullmatch(source):
        raise ValueError("a source has 1 to 64 small letters, digits, . _ and -, first a letter or digit")
    token = Token(
        id=secrets.token_hex(6),
        name=name.strip(),
        scopes=wanted,
        source=source,
        created_at=now,
        expires_at=now + timedelta(days=days) if days is not None else None,
    )
    secret = secrets.token_hex(32)
    expires = us(token.expires_at) if token.expires_at else None
    with store.write() as db:
        db.execute(
            "INSERT INTO tokens(id, hash, name, scopes, created_at, expires_at, source) VALUES(?, ?, ?, ?, ?, ?, ?)",
            (token.id, _hash(secret), token.name, json.dumps(sorted(wanted)), us(now), expires, source),
        )
    return token, f"linli_{token.id}_{secret}"


def tokens(store: Store) -> list[Token]:
    """Every token, oldest first."""
    return [_token(row) for row in store.reader.execute("SELECT * FROM tokens ORDER BY created_at, id")]


def revoke_token(store: Store, token_id: str, now: datetime) -> bool:
    """End a token at once; says whether there is one with this id. Revoking twice keeps the first time."""
    with store.write() as db:
        done = db.execute("UPDATE tokens SET revoked_at = coalesce(revoked_at, ?) WHERE id = ?", (us(now), token_id))
        return done.rowcount == 1


def authenticate(store: Store, text: str, now: datetime) -> Token | None:
    """The token a caller presents, None when it is not one, or no longer."""
    found = _TOKEN.match(text)
    if found is None:
        return None
    row = store.reader.execute("SELECT * FROM tokens WHERE id = ?", (found.group(1),)).fetchone()
    if row is None or not hmac.compare_digest(row["hash"], _hash(found.group(2))):
        return None
    token = _token(row)
    return token if token.valid(now) else None


def _hash(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()


def _token(row: sqlite3.Row) -> Token:
    return Token(
        id=row["id"],
        name=row["name"],
        scopes=frozenset(json.loads(row["scopes"])),
        source=row["source"],
        created_at=when(row["created_at"]),
        expires_at=when(row["expires_at"]) if row["expires_at"] is not None else None,
        revoked_at=when(row["revoked_at"]) if row["revoked_at"] is not None else None,
    )
