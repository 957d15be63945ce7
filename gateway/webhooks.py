"""What leaves the estate: an alert as a CloudEvent without anything personal, its signature, and where it may go.

CloudEvents 1.0 JSON (with the `sequence` extension), signed after Standard Webhooks v1 (HMAC-SHA256).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import ipaddress
import math
import re
import socket
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from devices.alert_types import ALERT_TYPES
from devices.alerts import Alert, alert_key
from gateway.feed import told_at
from gateway.store import when

SECRET_PREFIX = "whsec_"  # noqa: S105 - a prefix
DETAILS_AT_MOST = 32

_CODE = re.compile(r"[a-z][a-z0-9_.:-]{0,31}", re.ASCII)
_PERSONAL = re.compile(r"person|plate|vehicle|face|name|card|owner|phone|subject|embedding|template|photo|image")
_PERSONAL_VALUE = re.compile(r"(?:res|veh|tpl|con)_")
_METADATA = frozenset(
    ipaddress.ip_address(a)
    for a in ("169.254.169.254", "fd00:ec2::254", "100.100.100.200", "192.0.0.192", "168.63.129.16")
)
"""Where clouds keep the credentials of their machines; some of these look like ordinary addresses."""

Pseudonym = Callable[[str], str]
"""A keyed hash: the same subject has the same one, and nobody outside can find out whose."""


# -- what is said -----------------------------------------------------------------------------------------------------


def cloud_event(
    change: Mapping[str, Any], alert: Alert, *, source: str, pseudonym: Pseudonym, evidence: str | None = None
) -> dict[str, Any]:
    """One row of `alert_changes` and the alert as it then stood, as a CloudEvent ready for JSON.

    It says nothing personal: no name, plate, picture or vector; of a person's reasons and names nothing; `subject` of
    the alert is what `pseudonym` makes of it; `detail` keeps numbers, booleans and short codes. Times are RFC 3339,
    UTC. `evidence`: where the receiver finds the picture, if not where everybody does. `chain` and `ledger`: see
    `gateway.feed`.
    """
    return {
        "specversion": "1.0",
        "id": f"{change['seq']}.{alert.id}",
        "source": source,
        "type": f"cn.linli.alert.{change['change']}.v1",
        "subject": alert.id,
        "time": _time(when(change["at"])),
        "datacontenttype": "application/json",
        "sequence": str(change["seq"]),
        "sequencetype": "Integer",
        **({"chain": change["hash"], "ledger": change["ledger"]} if change.get("hash") else {}),
        "data": _data(change, alert, pseudonym, evidence),
    }


def _data(change: Mapping[str, Any], alert: Alert, pseudonym: Pseudonym, evidence: str | None) -> dict[str, Any]:
    kind = ALERT_TYPES[alert.type]
    return {
        "alert": alert.id,
        "key": impersonal_key(alert, pseudonym),
        "change": change["change"],
        "type": alert.type,
        "severity": int(alert.severity),
        "title": {"zh": kind.title_zh, "en": kind.title_en},
        "steps": {"zh": kind.steps_zh, "en": kind.steps_en},
        "place": {"community": alert.community, "grid": alert.grid, "building": alert.building},
        "device": alert.device,
        "condition": str(alert.condition),
        "open": alert.open,
        "acknowledged_at": _time(alert.acknowledged_at),
        "disposition": str(alert.disposition) if alert.disposition else None,
        "shelved_until": _time(alert.shelved_until),
        "suppressed_by": alert.suppressed_by or None,
        "work": str(alert.work),
        "work_at": _time(alert.work_at),
        "count": alert.count,
        "confidence": alert.confidence,
        "first_seen": _time(alert.first_seen),
        "last_seen": _time(alert.last_seen),
        "raised_at": _time(alert.raised_at),
        "cleared_at": _time(alert.cleared_at),
        "six_zero": kind.six_zero,
        "service": kind.service,
        "evidence": evidence or (f"/v1/evidence/{alert.evidence}" if alert.evidence else None),
        "subject": pseudonym(alert.subject) if alert.subject else None,
        "detail": public_detail(alert.detail),
        "late": alert.late,
        "test": alert.test,
    }


def impersonal_key(alert: Alert, pseudonym: Pseudonym) -> str:
    """The alert's key, with what `pseudonym` makes of a person's or a vehicle's id in it."""
    # An instance may be a registry id, or whatever a plug-in put there.
    plain = not alert.instance or (not alert.subject and said(alert.instance))
    instance = alert.instance if plain else pseudonym(alert.instance)
    return alert_key(alert.community, alert.device, alert.type, instance)


def public_detail(detail: Mapping[str, Any]) -> dict[str, int | float | bool | str]:
    """What of an alert's small facts may leave: numbers, booleans and short codes, and nothing named after a person."""
    return {
        name: value
        for name, value in list(detail.items())[:DETAILS_AT_MOST]
        if _CODE.fullmatch(name) and not _PERSONAL.search(name) and said(value)
    }


def said(value: Any) -> bool:
    """Whether a fact may leave as it is: a number, a boolean or a short code that is no id of the register."""
    if isinstance(value, str):
        return bool(_CODE.fullmatch(value)) and not _PERSONAL_VALUE.match(value)
    return isinstance(value, bool | int) or (isinstance(value, float) and math.isfinite(value))


def _time(moment: datetime | None) -> str | None:
    return told_at(moment) if moment else None


# -- who said it ------------------------------------------------------------------------------------------------------


def secret_bytes(secret: str) -> bytes:
    """The key inside a `whsec_...` secret.

    :raises ValueError: it is not one.
    """
    try:
        key = base64.b64decode(secret.removeprefix(SECRET_PREFIX), validate=True)
    except binascii.Error as error:
        raise ValueError("a signing secret is whsec_ and base64") from error
    if not key:
        raise ValueError("a signing secret is not empty")
    return key


def sign(secrets: Sequence[bytes], msg_id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """The Standard Webhooks headers for `body`, with one signature for each secret that is good just now.
    `timestamp`: now, seconds since 1970.
    """
    signed = f"{msg_id}.{timestamp}.".encode() + body
    made = [base64.b64encode(hmac.digest(secret, signed, hashlib.sha256)).decode() for secret in secrets]
    signatures = " ".join(f"v1,{signature}" for signature in made)
    return {"webhook-id": msg_id, "webhook-timestamp": str(timestamp), "webhook-signature": signatures}


# -- where it may go --------------------------------------------------------------------------------------------------


class BlockedError(ValueError):
    """Nothing may be sent to this address; the text says why."""


class Target(NamedTuple):
    """A checked place to connect to: the address `ip`, and the name it must answer for. `path` with its query."""

    ip: str
    host: str
    port: int
    secure: bool
    path: str


Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def resolve_allowed(url: str, allow: Sequence[Network]) -> Target:
    """Find where a URL leads, and check it. Connect to `ip` and to nothing else: asked again, the name may lead
    elsewhere. `allow`: networks of loopback and private addresses that may be called.

    :raises BlockedError: it is not http(s), carries a password, or leads where nothing may be sent.
    :raises OSError: the name cannot be resolved just now.
    """
    try:
        parts = urlsplit(url)
        secure = parts.scheme == "https"
        port = parts.port or (443 if secure else 80)
    except ValueError as error:
        raise BlockedError(f"not a URL: {error}") from error
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise BlockedError("only http:// and https:// addresses with a host are called")
    if parts.username is not None or parts.password is not None:
        raise BlockedError("an address with a user or a password in it is not called")
    try:
        host = parts.hostname.encode("idna").decode("ascii")  # as it stands in the Host header and in certificates
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except UnicodeError as error:
        raise BlockedError("the host is not a possible name") from error
    for *_, where in found:
        _check(str(where[0]).split("%", 1)[0], allow)
    first = min(found, key=lambda entry: entry[0] != socket.AF_INET)  # on an estate IPv6 is often announced and broken
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Target(str(first[4][0]), host, port, secure, path)


def _check(address: str, allow: Sequence[Network]) -> None:
    ip = ipaddress.ip_address(address)
    if isinstance(ip, ipaddress.IPv6Address):
        for inner in (ip.ipv4_mapped, ip.sixtofour, ip.teredo[1] if ip.teredo else None):
            if inner is not None:
                _check(str(inner), allow)
        if ip.ipv4_mapped is not None:
            return
    if ip in _METADATA:
        raise BlockedError("the address belongs to a cloud's metadata service")
    if ip.is_link_local or ip.is_multicast or ip.is_unspecified or (ip.is_reserved and not ip.is_loopback):
        raise BlockedError("link-local, multicast, unspecified and reserved addresses are not called")
    site_local = isinstance(ip, ipaddress.IPv6Address) and ip.is_site_local  # fec0::/10, which counts as global
    if (site_local or not ip.is_global) and not any(ip in network for network in allow):
        raise BlockedError("loopback and private addresses are called only where webhooks.allow lists their network")
