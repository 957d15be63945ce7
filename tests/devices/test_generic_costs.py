"""A megabyte of anything, to any of the generic protocols, is refused or understood within milliseconds."""

from __future__ import annotations

import pytest

from devices.protocols import PROTOCOLS
from tests.devices.hostile import GARBAGE_COSTS, cost, read_safely

SIZE = 2**20
GARBAGE = {
    "numbers": b'{"a":[' + b"1," * (SIZE // 2) + b"1]}",
    "keys": b"{" + b",".join(b'"%x":1' % n for n in range(100_000)) + b"}",
    "nested": b'{"a":' + b"[" * SIZE,
    "objects": b'{"a":[' + b'{"b":1},' * (SIZE // 8) + b"{}]}",
    "text": b'{"a":"' + b"x" * SIZE + b'"}',
    "bytes": bytes(range(256)) * (SIZE // 256),
    "digits": b"1" * SIZE,
}
TOPICS = {
    "home_assistant": ["homeassistant/light/x/config", "homeassistant/sensor/x/state"],
    "homie": ["homie/5/d/$description", "homie/5/d/n/p", "homie/5/d/$state"],
    "sparkplug": ["spBv1.0/g/NDATA/n"],
    "tb_gateway": ["v1/gateway/telemetry", "v1/gateway/attributes", "v1/gateway/rpc"],
}


@pytest.mark.parametrize("kind", GARBAGE)
@pytest.mark.parametrize(("name", "topic"), [(name, topic) for name in TOPICS for topic in TOPICS[name]])
def test_garbage_costs_milliseconds(name: str, topic: str, kind: str) -> None:
    assert cost(lambda: read_safely(PROTOCOLS[name], topic, GARBAGE[kind])) < GARBAGE_COSTS
