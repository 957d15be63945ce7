"""HTTP digest (RFC 7616) as a client: what is shown to a device that asks for the password. SHA-256 and MD5, qop "auth"
or none. The password itself is never sent, so Basic is not spoken.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping

from msgspec import Struct

_ALGORITHMS: Mapping[str, Callable[[bytes], hashlib._Hash]] = {"sha-256": hashlib.sha256, "md5": hashlib.md5}
"""Best first."""
_PAIR = re.compile(r'(\w+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,]*))')
_CHALLENGE_AT_MOST = 4096


class Challenge(Struct, frozen=True, kw_only=True):
    """What a device wants shown. `stale`: the password was right, only the nonce is used up."""

    realm: str
    nonce: str
    algorithm: str
    opaque: str = ""
    qop: bool = True
    stale: bool = False


def challenge_of(headers: Iterable[str]) -> Challenge | None:
    """The best digest challenge among the values of WWW-Authenticate; None where there is none we can answer."""
    found = [one for header in headers if (one := _read(header)) is not None]
    return min(found, key=lambda one: list(_ALGORITHMS).index(one.algorithm.lower()), default=None)


def _read(header: str) -> Challenge | None:
    scheme, _, rest = header.strip()[:_CHALLENGE_AT_MOST].partition(" ")
    if scheme.lower() != "digest":
        return None
    said = {key.lower(): quoted or bare for key, quoted, bare in _PAIR.findall(rest)}
    algorithm = said.get("algorithm", "MD5")
    qops = {one.strip().lower() for one in said.get("qop", "").split(",")} - {""}
    if not said.get("nonce") or algorithm.lower() not in _ALGORITHMS or (qops and "auth" not in qops):
        return None
    return Challenge(
        realm=said.get("realm", ""),
        nonce=said["nonce"],
        algorithm=algorithm,
        opaque=said.get("opaque", ""),
        qop=bool(qops),
        stale=said.get("stale", "").lower() == "true",
    )


def authorization(challenge: Challenge, *, username: str, password: str, method: str, target: str, cnonce: str) -> str:
    """The value of Authorization for the first request with this nonce. `target`: path and query as they are sent."""
    algorithm = _ALGORITHMS[challenge.algorithm.lower()]

    def digest(text: str) -> str:
        return algorithm(text.encode()).hexdigest()

    who, what = digest(f"{username}:{challenge.realm}:{password}"), digest(f"{method}:{target}")
    middle = f"00000001:{cnonce}:auth:" if challenge.qop else ""
    shown = {
        "username": _quoted(username),
        "realm": f'"{challenge.realm}"',
        "nonce": f'"{challenge.nonce}"',
        "uri": f'"{target}"',
        "algorithm": challenge.algorithm,
        "response": f'"{digest(f"{who}:{challenge.nonce}:{middle}{what}")}"',
    }
    if challenge.qop:
        shown |= {"qop": "auth", "nc": "00000001", "cnonce": f'"{cnonce}"'}
    if challenge.opaque:
        shown["opaque"] = f'"{challenge.opaque}"'
    return "Digest " + ", ".join(f"{key}={value}" for key, value in shown.items())


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
