"""The cost of decoding one message, by protocol, over the fixtures of the tests, which show each kind of message once.

The limit is msgspec's decode of the same bytes into plain objects, which checks and names nothing. A protocol that is
not JSON (Sparkplug on the wire, Homie's texts) has no such limit, so it has its cost only.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from statistics import geometric_mean
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from devices import registry
from devices.archive import matches
from devices.errors import DecodeError
from devices.model import Protocol
from devices.protocols import sparkplug_wire

FIXTURES = Path(__file__).resolve().parents[1] / "tests" / "fixtures"
NOW = datetime(2026, 3, 1, 23, 15, 30, tzinfo=UTC)
ZONE = ZoneInfo("Asia/Shanghai")
NATIVE: list[tuple[str, Any]] = [
    (
        "linli/v1/gate-1/event",
        {"id": "r-1", "event": {"type": "door_changed", "at": "2026-03-01T23:15:30Z", "open": True}},
    ),
    ("linli/v1/gate-1/heartbeat", {"boot_id": "b-1", "at": "2026-03-01T23:15:30Z"}),
    ("linli/v1/gate-1/answer", {"command_id": "c-1", "result": "done", "at": "2026-03-01T23:15:30Z"}),
]
"""The native protocol has its types for fixtures, so three of its messages stand here."""

Message = tuple[str, bytes]


def _bytes(name: str, payload: Any) -> bytes:
    if name == "sparkplug":
        return sparkplug_wire.write(sparkplug_wire.read(msgspec.json.encode(payload)))
    return payload.encode() if isinstance(payload, str) else json.dumps(payload, ensure_ascii=False).encode()


def _messages(protocol: Protocol) -> list[Message]:
    """Every fixture of a protocol that comes from a device over MQTT and is understood."""
    found = list(NATIVE) if protocol.name == "native" else []
    for path in sorted((FIXTURES / protocol.name).glob("*.json")):
        file = json.loads(path.read_text(encoding="utf-8"))
        if file["direction"] == "up" and any(matches(topic, file["topic"]) for topic in protocol.topics):
            found.append((file["topic"], file["payload"]))
    return [said for said in ((t, _bytes(protocol.name, p)) for t, p in found) if _understood(protocol, said)]


def _understood(protocol: Protocol, said: Message) -> bool:
    try:
        protocol.decode(*said, NOW, ZONE)
    except DecodeError:
        return False
    return True


def _is_json(payload: bytes) -> bool:
    try:
        return isinstance(msgspec.json.decode(payload), dict)
    except msgspec.DecodeError:
        return False


def _fastest_us(work: Callable[[], None], rounds: int, each: int) -> float:
    """Microseconds of one of `each` decodes; the fastest round, for the others were disturbed."""
    times = []
    for _ in range(rounds):
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return min(times) / each * 1e6


def _measured(protocol: Protocol, messages: list[Message], rounds: int, loops: int) -> dict[str, float]:
    decode, plain = protocol.decode, msgspec.json.Decoder().decode
    objects = [said for said in messages if _is_json(said[1])]

    def ours(said: list[Message]) -> None:
        for topic, payload in said:
            for _ in range(loops):
                decode(topic, payload, NOW, ZONE)

    def bare() -> None:
        for _, payload in objects:
            for _ in range(loops):
                plain(payload)

    figures = {"messages": len(messages), "us": _fastest_us(lambda: ours(messages), rounds, len(messages) * loops)}
    if len(objects) * 2 > len(messages):
        each = len(objects) * loops
        figures["bare_us"] = _fastest_us(bare, rounds, each)
        figures["ratio"] = _fastest_us(lambda: ours(objects), rounds, each) / figures["bare_us"]
    return {name: round(figure, 2) for name, figure in figures.items()}


def run(rounds: int, loops: int) -> dict[str, Any]:
    """{name, protocols: {protocol: {messages, us, bare_us, ratio}}, ratio}; the last is the geometric mean."""
    found = {
        name: _measured(protocol, messages, rounds, loops)
        for name, protocol in sorted(registry.protocols().items())
        if (messages := _messages(protocol))
    }
    ratios = [figures["ratio"] for figures in found.values() if "ratio" in figures]
    return {"name": "decode", "protocols": found, "ratio": round(geometric_mean(ratios), 2)}
