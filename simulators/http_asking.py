"""How a device with an HTTP server asks for the password: digest as Hikvision and Dahua do it, MD5, qop auth."""

from __future__ import annotations

import hashlib
import re
import secrets
from http.server import BaseHTTPRequestHandler

REALM = "IP Camera"
_PAIR = re.compile(r'(\w+)="?([^",]*)"?')


class Asking:
    """Knows who shows the password. `nonce` may be replaced, as devices do."""

    def __init__(self, username: str, password: str) -> None:
        self.username, self.password = username, password
        self.nonce = secrets.token_hex(8)

    @property
    def challenge(self) -> str:
        """The value of WWW-Authenticate."""
        return f'Digest qop="auth", nonce="{self.nonce}", algorithm=MD5, realm="{REALM}"'

    def knows(self, request: BaseHTTPRequestHandler) -> bool:
        """Whether the request shows the password; without a username nothing is asked."""
        if not self.username:
            return True
        said = dict(_PAIR.findall(request.headers.get("Authorization", "")))
        who = _md5(f"{self.username}:{REALM}:{self.password}")
        what = _md5(f"{request.command}:{request.path}")
        middle = f"{said.get('nc')}:{said.get('cnonce')}:auth"
        return said.get("response") == _md5(f"{who}:{self.nonce}:{middle}:{what}")


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
