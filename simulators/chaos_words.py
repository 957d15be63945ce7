"""What it takes to speak a protocol in a chaos run: numbered messages whose number is found again in what they become.

The number lies in whatever the protocol can carry it in: a count of energy, a water level, a plate, a person's id, a
track. `again`: the record is told again as a device of this make does it by itself (marked as late, under another
serial number); one that has no such way sends the same bytes.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Struct, field

from devices.model import Device

SITE = ZoneInfo("Asia/Shanghai")
BASE = 1000
"""Numbers begin above it, so that a water level made of one is no high water."""
_NUMBER = re.compile(r"[a-z]*(\d+)", re.IGNORECASE)


class Session(Struct, kw_only=True):
    """A connection's count of its births and of the messages since, for a protocol that has one (Sparkplug)."""

    births: int = 0
    seq: int = 0

    def next(self) -> int:
        """The number of the next message, 0 to 255."""
        self.seq = (self.seq + 1) % 256
        return self.seq


class Scene(Struct, frozen=True, kw_only=True):
    """Who speaks, of record `n` made at `at`, UTC."""

    address: str
    n: int
    at: datetime
    again: bool = False
    session: Session = field(default_factory=Session)


class Out(Struct, frozen=True):
    """What is published, or posted; `where`: the topic, or the Content-Type."""

    where: str
    payload: bytes
    retain: bool = False


class Words(Struct, frozen=True, kw_only=True):
    """A protocol. `says`: a numbered message; `event`: the type of event it becomes; `found`: its number in that event,
    whose `at` are microseconds since 1970, as the device said it.

    `posts`: over HTTP (`digest`: as who shows the token so). `repeats`: records have an identity, so a device may tell
    one again; `loose`: messages have neither record nor time, so nobody can tell a repetition. `answers`: the record an
    answer of the gateway names, held and told again until then. `places`: tells a position; `greets`: what is said when
    connected; `will`: what the broker says when the device vanishes; `asked`: it is to greet again.
    """

    protocol: str
    kind: str
    event: str
    says: Callable[[Scene], Out]
    found: Callable[[dict[str, Any]], int | None]
    address: str = ""
    options: dict[str, str] = {}
    posts: bool = False
    digest: bool = False
    repeats: bool = True
    loose: bool = False
    hears: tuple[str, ...] = ()
    answers: Callable[[bytes], int | None] | None = None
    places: Callable[[Scene, bool], Out] | None = None
    greets: Callable[[Scene, bool], list[Out]] | None = None
    will: Callable[[Scene], Out] | None = None
    asked: Callable[[bytes], bool] = lambda _payload: False

    def device(self, community: str) -> Device:
        """The device that speaks so, as it is registered."""
        address = self.address or f"{self.protocol}-1"
        return Device(
            id=f"{self.protocol}-1",
            kind=self.kind,
            protocol=self.protocol,
            address=address,
            community=community,
            options=self.options,
        )


# -- what a number is carried in ---------------------------------------------


def figure(field: str, per: float = 1) -> Callable[[dict[str, Any]], int | None]:
    """The number is a figure, `per` times as large as it is there."""

    def found(body: dict[str, Any]) -> int | None:
        value = body.get(field)
        return None if value is None else round(value * per)

    return found


def named(field: str) -> Callable[[dict[str, Any]], int | None]:
    """The number is part of a name."""

    def found(body: dict[str, Any]) -> int | None:
        match = _NUMBER.fullmatch(body.get(field, ""))
        return int(match[1]) if match else None

    return found


def in_vendor(field: str) -> Callable[[dict[str, Any]], int | None]:
    """The number is in a field the gateway only keeps."""

    def found(body: dict[str, Any]) -> int | None:
        value = body.get("vendor", {}).get(field)
        return None if value is None else int(value)

    return found


def micros(body: dict[str, Any]) -> int:
    """The number is in the microseconds of the time."""
    return int(body["at"] % 1_000_000)


def as_json(where: str, body: Any, *, retain: bool = False) -> Out:
    """A message in JSON."""
    return Out(where, msgspec.json.encode(body), retain)


def local(at: datetime) -> str:
    """As a device writes its local time."""
    return at.astimezone(SITE).strftime("%Y-%m-%d %H:%M:%S")


def milliseconds(at: datetime) -> int:
    """Since 1970."""
    return int(at.timestamp() * 1000)
