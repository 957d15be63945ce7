"""How a device is reached over HTTP, and what it shows when it posts: sealed in the database, never shown again.

All methods may be called from any thread; nothing is kept in memory, so what was changed holds at once.
"""

from __future__ import annotations

import re
import secrets
import string
from collections.abc import Callable
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct

from gateway.refusals import InvalidError
from gateway.store import Store
from gateway.vault import Vault

TOKEN_LENGTH = 16
"""Characters of a push token: some terminals take no longer password. 16 out of 57 are 93 bits."""
_ALPHABET = "".join(c for c in string.ascii_letters + string.digits if c not in "0O1lI")
_HOST = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?|[0-9A-Fa-f:.]{2,45}")
_FINGERPRINT = re.compile(r"[0-9a-f]{64}")


class Access(Struct, frozen=True, kw_only=True):
    """One device's. `url`: scheme, host and port of its server, "" where it is never called. `fingerprint`: SHA-256
    of the certificate it must show, hex; "" for one a public authority has signed. `push_token`: what it shows when
    it posts, "" where it may not. `attach`: its event stream is attached to, at `url`.
    """

    url: str = ""
    username: str = ""
    password: str = ""
    fingerprint: str = ""
    push_token: str = ""
    attach: bool = False


_ACCESS = msgspec.json.Decoder(Access)


def new_token() -> str:
    """A fresh push token, with a letter and a digit in it, as some terminals demand of a password."""
    while True:
        token = "".join(secrets.choice(_ALPHABET) for _ in range(TOKEN_LENGTH))
        if any(c.isdigit() for c in token) and any(c.isalpha() for c in token):
            return token


class AccessBook:
    """Every device's access. Rows go with their device (`Directory.remove_device`). `listeners` are called after one
    was set, in the thread that set it; they never block.
    """

    def __init__(self, store: Store, vault: Vault) -> None:
        self._store, self._vault = store, vault
        self.listeners: list[Callable[[], None]] = []

    def of(self, device: str) -> Access:
        """A device's access; an empty one where none is set.

        :raises gateway.vault.VaultError: it was sealed with another master key.
        """
        row = self._store.reader.execute("SELECT sealed FROM device_access WHERE device = ?", (device,)).fetchone()
        return _ACCESS.decode(self._vault.open(row["sealed"], _about(device))) if row else Access()

    def put(self, device: str, access: Access) -> None:
        """Set a device's access.

        :raises InvalidError: its address or fingerprint is not acceptable; the text names the setting.
        """
        _check(device, access)
        sealed = self._vault.seal(msgspec.json.encode(access), _about(device))
        with self._store.write() as db:
            db.execute("INSERT OR REPLACE INTO device_access VALUES(?, ?)", (device, sealed))
        for listener in self.listeners:
            listener()


def refusal(status: int, challenges: list[str], access: Access) -> str:
    """What a device's answer says of its access; "" where it says nothing of it. `challenges`: its WWW-Authenticate."""
    if status == 401 and not access.username:
        return "it asks for a username and a password, which its access does not have"
    if status == 401 and not any("digest" in challenge.lower() for challenge in challenges):
        return "it offers no digest authentication; switch it on in the device"
    if status == 401:
        return "it refused the username or the password of its access"
    if 300 <= status < 400:
        return "it answered with a redirect, which is never followed; check the url of its access"
    return ""


def _about(device: str) -> str:
    return f"access:{device}"


def _check(device: str, access: Access) -> None:
    if access.url:
        _check_url(device, access.url)
    if access.fingerprint and not _FINGERPRINT.fullmatch(access.fingerprint):
        raise InvalidError(f"{device}: fingerprint is the certificate's SHA-256, 64 digits 0-9 a-f, without colons")
    if access.attach and not access.url:
        raise InvalidError(f"{device}: attach needs the url of the device, whose event stream is attached to")
    if access.fingerprint and not access.url.startswith("https:"):
        raise InvalidError(f"{device}: fingerprint belongs to a url that begins with https:")
    if any(c in access.username + access.password for c in "\r\n\x00"):
        raise InvalidError(f"{device}: username and password hold no control characters")


def _check_url(device: str, given: str) -> None:
    """Scheme, host and port, and nothing else: what is asked of the device is its protocol's business."""
    wrong = InvalidError(f"{device}: url is http://host[:port] or https://host[:port], without a path and a password")
    try:
        url = urlsplit(given)
        port = url.port
    except ValueError as error:
        raise wrong from error
    plain = url.path in ("", "/") and not (url.query or url.fragment or url.username or url.password)
    if url.scheme not in ("http", "https") or not plain or port == 0 or not _HOST.fullmatch(url.hostname or ""):
        raise wrong
