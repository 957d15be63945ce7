"""What a broken or lying device can send: real messages bent out of shape, and what every answer to them must be."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
from hypothesis import strategies as st

from devices.errors import DecodeError
from devices.events import evidence_key
from devices.model import Decoded, Protocol

NOW = datetime(2026, 3, 1, 23, 15, 30, tzinfo=UTC)
ZONE = ZoneInfo("Asia/Shanghai")
FIXTURES = Path(__file__).resolve().parents[1] / "fixtures"
JPEG = b"\xff\xd8\xff\xe0an invented picture\xff\xd9"

Message = tuple[str, Any]
"""A topic and a payload."""

_odd = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from([10**30, -(10**30), 10**5000, 2**63, -1, 0, 2, 1e308, 5e-324]),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(),
    st.sampled_from(
        ["0000-00-00 00:00:00", "9999-12-31T23:59:59-12:00", "0001-01-01 00:00:00", "\x00", "\ud800", "  "]
    ),
    st.sampled_from(["NaN", "inf", "1" * 5000, "x" * 200, "...", "data:image/jpeg;base64,abc", "{sn}", "²"]),
    st.just([]),
    st.just({}),
    st.recursive(st.none(), lambda inside: st.lists(inside, max_size=2) | st.dictionaries(st.text(), inside)),
)


def fixture(vendor: str, name: str) -> Message:
    """One recorded message."""
    file = json.loads((FIXTURES / vendor / f"{name}.json").read_text(encoding="utf-8"))
    return file["topic"], file["payload"]


def fixtures(vendor: str) -> list[Message]:
    """Every recorded message of a vendor that comes from a device."""
    files = [json.loads(path.read_text(encoding="utf-8")) for path in sorted((FIXTURES / vendor).glob("*.json"))]
    return [(file["topic"], file["payload"]) for file in files if file["direction"] == "up"]


def _leaves(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(leaf for key, below in inside for leaf in _leaves(below, (*path, key)))]


def _put(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    if not path:
        return new
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = _put(value[path[0]], path[1:], new)
    return copy


def to_bytes(payload: Any) -> bytes:
    """JSON as a careless device writes it: lone surrogates and endless numbers included."""
    if isinstance(payload, int) and abs(payload) > 10**4000:
        return b"1" * 5000
    if isinstance(payload, dict):
        return b"{" + b",".join(to_bytes(str(k)) + b":" + to_bytes(v) for k, v in payload.items()) + b"}"
    if isinstance(payload, list):
        return b"[" + b",".join(map(to_bytes, payload)) + b"]"
    return json.dumps(payload).encode()


@st.composite
def bent(draw: st.DrawFn, messages: list[Message]) -> tuple[str, bytes]:
    """A message with some values replaced, or with bytes cut out or put in, or with another's topic."""
    topic, payload = draw(st.sampled_from(messages))
    for _ in range(draw(st.integers(0, 3))):
        payload = _put(payload, draw(st.sampled_from(_leaves(payload))), draw(_odd))
    content = to_bytes(payload)
    if draw(st.booleans()):
        start = draw(st.integers(0, len(content)))
        content = content[:start] + draw(st.binary(max_size=8)) + content[start + draw(st.integers(0, 8)) :]
    if draw(st.integers(0, 4)) == 0:
        topic = draw(st.one_of(st.text(), st.sampled_from(messages).map(lambda m: m[0])))
    return topic, content


def read_safely(protocol: Protocol, topic: str, payload: bytes) -> Decoded | None:
    """Decode; None for a `DecodeError`. What comes out must be fit to be stored: valid, in UTC, and its pictures real.

    Anything else that is raised fails the test.
    """
    decoded, reason = None, ""
    try:
        decoded = protocol.decode(topic, payload, NOW, ZONE)
    except DecodeError as error:
        reason = error.reason
    if decoded is None:
        assert 0 < len(reason) < 64
        return None
    assert decoded.readings or decoded.ignored
    keys = {evidence_key(image) for image in decoded.images}
    for reading in decoded.readings:
        event = reading.event
        assert msgspec.json.decode(msgspec.json.encode(event), type=type(event)) == event
        assert event.at.tzinfo is UTC
        evidence = getattr(event, "evidence", "")
        assert not evidence or evidence in keys
        assert len(reading.record_id) <= 128
    for reply in decoded.replies:
        assert reply.topic
        msgspec.json.decode(reply.payload)
    return decoded


NESTED = b'{"operator":"RecPush","name":"ivs_result","payload":' + b"[" * 100_000
ROTTEN = [
    b"",
    b"null",
    b"[]",
    b"7",
    b'"text"',
    b"{}",
    b"\x00",
    b"\xff\xfe{}",
    b'{"operator":"\xff"}',
    b"{" * 10_000,
    NESTED,
    b'{"event":' * 50_000,
    b'{"payload":{"body":' + b"[" * 50_000,
]
"""Payloads no protocol of ours allows."""


def cost(work: Callable[[], object], rounds: int = 3) -> float:
    """What a piece of work costs the processor, in the time the same machine takes to hash eight megabytes (about
    10 ms on the ones this was written on): a bound on it holds on a slow machine, and beside other work, too.
    """

    def least(doing: Callable[[], object]) -> float:
        took = []
        for _ in range(rounds):
            began = time.process_time()
            doing()
            took.append(time.process_time() - began)
        return min(took)

    return least(work) / least(lambda: hashlib.blake2b(_EIGHT_MB).digest())


_EIGHT_MB = bytes(8 * 2**20)
GARBAGE_COSTS = 0.75
"""So much at most for a megabyte that means nothing: some 5 ms and what a neighbour adds."""
