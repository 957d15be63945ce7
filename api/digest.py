"""HTTP digest (RFC 7616) for devices that know nothing better: SHA-256 and MD5, qop "auth" or none.

A nonce is the time it was made and an HMAC of that, so none is kept. What is kept is the highest count (nc) each nonce
was used with: a request that was recorded and sent again is asked for a new nonce. Neither -sess nor auth-int.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections import OrderedDict
from collections.abc import Callable
from enum import Enum

REALM = "linli"
NONCE_FOR_S = 300
NONCES_KEPT = 10_000
_ALGORITHMS: dict[str, Callable[[bytes], hashlib._Hash]] = {"SHA-256": hashlib.sha256, "MD5": hashlib.md5}
"""Best first, as they are offered."""
_PAIR = re.compile(r'(\w+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,]*))')


class Verdict(Enum):
    """What a digest proves."""

    GOOD = "good"
    STALE = "stale"
    WRONG = "wrong"


class Digests:
    """Makes challenges and checks their answers. Times are seconds of any clock that only goes forward."""

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)
        self._counts: OrderedDict[str, int] = OrderedDict()
        self._forgotten = -1.0

    def challenges(self, now: float, *, stale: bool = False) -> list[str]:
        """Values for WWW-Authenticate, one for each algorithm."""
        nonce = self._nonce(int(now * 1000))
        more = ", stale=true" if stale else ""
        return [f'Digest realm="{REALM}", qop="auth", algorithm={name}, nonce="{nonce}"{more}' for name in _ALGORITHMS]

    def check(self, method: str, target: str, given: str, names: set[str], password: str, now: float) -> Verdict:
        """Whether `given` (what follows "Digest " in Authorization) shows that a device of one of these `names` knows
        the `password`, for this request and for the first time.
        """
        said = {key.lower(): quoted or bare for key, quoted, bare in _PAIR.findall(given[:4096])}
        algorithm = _ALGORITHMS.get(said.get("algorithm", "MD5").upper())
        if algorithm is None or said.get("username", "") not in names or said.get("realm") != REALM:
            return Verdict.WRONG
        if said.get("uri") != target or said.get("qop", "auth") != "auth":
            return Verdict.WRONG

        def digest(text: str) -> str:
            return algorithm(text.encode()).hexdigest()

        nonce = said.get("nonce", "")
        who = digest(f"{said['username']}:{REALM}:{password}")
        middle = f"{said.get('nc', '')}:{said.get('cnonce', '')}:auth:" if "qop" in said else ""
        expected = digest(f"{who}:{nonce}:{middle}{digest(f'{method}:{target}')}")
        if not hmac.compare_digest(expected.encode(), said.get("response", "").lower().encode()):
            return Verdict.WRONG
        return (
            Verdict.GOOD if self._first_time(nonce, said.get("nc") if "qop" in said else None, now) else Verdict.STALE
        )

    def _nonce(self, made_ms: int) -> str:
        stamp = made_ms.to_bytes(8, "big")
        return (stamp + hmac.digest(self._key, stamp, "sha256")[:16]).hex()

    def _first_time(self, nonce: str, count: str | None, now: float) -> bool:
        try:
            made_ms = int.from_bytes(bytes.fromhex(nonce)[:8], "big")
            used = int(count, 16) if count is not None else 0
        except ValueError:
            return False
        made = made_ms / 1000
        if made_ms >= 2**63 or not hmac.compare_digest(self._nonce(made_ms).encode(), nonce.encode()):
            return False
        if not made <= now + 1 <= made + NONCE_FOR_S or made <= self._forgotten:
            return False
        if count is None:  # a device of RFC 2069 counts nothing: its nonce holds for its time
            return True
        if used <= self._counts.get(nonce, 0):
            return False
        self._counts[nonce] = used
        self._counts.move_to_end(nonce)
        if len(self._counts) > NONCES_KEPT:  # what is forgotten must not become new again
            oldest, _ = self._counts.popitem(last=False)
            self._forgotten = max(self._forgotten, int.from_bytes(bytes.fromhex(oldest)[:8], "big") / 1000)
        return True
