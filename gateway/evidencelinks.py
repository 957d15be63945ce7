"""Links to pictures for receivers without a token: each to one picture, for one subscription, for a time, counted.

A link is sealed, so it can be neither read nor made by anybody else, and costs nothing to make. Only looks are written
down, in `evidence_looks`. It ends at once when its subscription ends or may show no pictures any more.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from datetime import datetime

import msgspec
from msgspec import Struct

from gateway.store import Store, us
from gateway.vault import Vault, VaultError

LOOKS_AT_MOST = 20
"""So often one link can be followed."""
TOKEN_AT_MOST = 600
_ABOUT = "evidence-link"


class LinkError(ValueError):
    """The link was never good, or is not any more; the text says which."""


class _Link(Struct, frozen=True, array_like=True):
    """`until`: microseconds since 1970 UTC."""

    subscription: str
    key: str
    until: int


def new_link(vault: Vault, *, subscription: str, key: str, until: datetime) -> str:
    """The token of a link to the picture `key`."""
    sealed = vault.seal(msgspec.json.encode(_Link(subscription, key, us(until))), _ABOUT)
    return base64.urlsafe_b64encode(sealed).decode().rstrip("=")


def followed(store: Store, vault: Vault, token: str, now: datetime) -> str:
    """The picture's key; this look is counted.

    :raises LinkError: it is no link of ours, its time or its looks are over, or its subscription may not show pictures.
    """
    link = _opened(vault, token)
    name = hashlib.sha256(token.encode()).digest()
    if link.until <= us(now):
        raise LinkError("the link's time is over")
    with store.write() as db:
        db.execute("DELETE FROM evidence_looks WHERE until <= ?", (us(now),))
        row = db.execute(
            "SELECT 1 FROM subscriptions WHERE id = ? AND disabled = '' AND evidence_hours > 0", (link.subscription,)
        ).fetchone()
        if row is None:
            raise LinkError("the receiver it was made for may not see pictures any more")
        looks = db.execute(
            "INSERT INTO evidence_looks(link, subscription, until, looks) VALUES (?,?,?,1)"
            " ON CONFLICT(link) DO UPDATE SET looks = looks + 1 RETURNING looks",
            (name, link.subscription, link.until),
        ).fetchone()[0]
        if looks > LOOKS_AT_MOST:
            raise LinkError(f"the link was followed {LOOKS_AT_MOST} times already")
    return link.key


def _opened(vault: Vault, token: str) -> _Link:
    if len(token) > TOKEN_AT_MOST:
        raise LinkError("this is no link of this gateway")
    try:
        sealed = base64.urlsafe_b64decode(token.encode("ascii") + b"=" * (-len(token) % 4))
        return msgspec.json.decode(vault.open(sealed, _ABOUT), type=_Link)
    except (UnicodeEncodeError, binascii.Error, VaultError, msgspec.DecodeError) as error:
        raise LinkError("this is no link of this gateway") from error
