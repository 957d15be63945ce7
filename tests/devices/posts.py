"""Recorded posts of devices that speak HTTP, whole or bent out of shape."""

from __future__ import annotations

import json
from typing import Any

import msgspec
from hypothesis import strategies as st

from devices.errors import DecodeError
from devices.events import Event, evidence_key
from devices.model import Decoded, HttpPart, HttpPush, Protocol
from tests.devices.hostile import FIXTURES, NOW, ZONE

Events = list[dict[str, Any]]


def body(vendor: str, name: str) -> bytes:
    """The body of one recorded post."""
    payload = json.loads((FIXTURES / vendor / f"{name}.json").read_text(encoding="utf-8"))["payload"]
    return payload.encode() if isinstance(payload, str) else json.dumps(payload, ensure_ascii=False).encode()


def bodies(vendor: str) -> list[bytes]:
    """Every recorded post of a vendor."""
    files = {path: json.loads(path.read_text(encoding="utf-8")) for path in sorted((FIXTURES / vendor).glob("*.json"))}
    return [body(vendor, path.stem) for path, file in files.items() if file["direction"] == "up"]


def push(content: bytes, *pictures: bytes, address: str = "D1", path: str = "") -> HttpPush:
    """A post of this body, with pictures behind it."""
    parts = [HttpPart(body=content), *(HttpPart(name="Picture", media="image/jpeg", body=p) for p in pictures)]
    return HttpPush(address=address, path=path, parts=tuple(parts))


def said(protocol: Protocol, vendor: str, name: str, *pictures: bytes, address: str = "D1") -> Decoded:
    """What one recorded post says."""
    assert protocol.receive is not None
    return protocol.receive(push(body(vendor, name), *pictures, address=address), NOW, ZONE)


def only_event(decoded: Decoded) -> Event:
    (reading,) = decoded.readings
    return reading.event


@st.composite
def bent(draw: st.DrawFn, contents: list[bytes]) -> HttpPush:
    """A post with bytes cut out, put in, doubled, or taken for a picture; under any path."""
    content = draw(st.sampled_from(contents) | st.binary(max_size=200))
    for _ in range(draw(st.integers(0, 3))):
        start = draw(st.integers(0, len(content)))
        wild = draw(
            st.binary(max_size=8) | st.sampled_from([b"<a>", b"&b;", b"]]>", b"1e999", b'"\\ud800"', b"9" * 400])
        )
        content = content[:start] + wild + content[start + draw(st.integers(0, 12)) :]
    parts = [HttpPart(name=draw(st.text(max_size=5)), media=draw(st.sampled_from(["", "image/jpeg"])), body=content)]
    if draw(st.booleans()):
        parts.append(HttpPart(body=draw(st.binary(max_size=20)), media="image/jpeg"))
    return HttpPush(address="D1", path=draw(st.text(max_size=5)), parts=tuple(parts[: draw(st.integers(0, 2))]))


def received_safely(protocol: Protocol, posted: HttpPush) -> None:
    """Only `DecodeError` escapes, and what comes out is fit to be stored."""
    assert protocol.receive is not None
    decoded, reason = None, ""
    try:
        decoded = protocol.receive(posted, NOW, ZONE)
    except DecodeError as error:
        reason = error.reason
    if decoded is None:
        assert 0 < len(reason) < 64
        return
    assert decoded.readings or decoded.ignored
    keys = {evidence_key(image) for image in decoded.images}
    for reading in decoded.readings:
        event = reading.event
        assert msgspec.json.decode(msgspec.json.encode(event), type=type(event)) == event
        assert not getattr(event, "evidence", "") or event.evidence in keys  # type: ignore[attr-defined]
        assert len(reading.record_id) <= 128
