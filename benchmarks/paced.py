"""A publisher that keeps a rate: `python -m benchmarks.paced PORT RATE SECONDS MIX`, MIX of `MIXES` below.

Prints one JSON line for each message sent: [what, address, at, sent_ns]. `at` is the event's own time as an ISO text,
by which an answer is told to be an answer to it; `sent_ns` is CLOCK_MONOTONIC, which all processes here share.
"""

from __future__ import annotations

import itertools
import json
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime

import msgspec
import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from benchmarks.ground import at_once
from benchmarks.publisher import DEVICES

MIXES = {
    "cards": ("card",),
    "records": ("record",),
    "plates": ("plate",),
    "mixed": ("plate", *("record",) * 9),
}
"""What is sent in turn: `card` asks for a door, `plate` is a stranger's and raises an alert, `record` is a record."""
LANES = 20
CARDS = 100


def card(n: int) -> str:
    return f"BENCH{n % CARDS:08d}"


def gate(n: int) -> str:
    return f"gate-{n % DEVICES:02d}"


def lane(n: int) -> str:
    return f"lane-{n % LANES:02d}"


def _event(what: str, n: int) -> tuple[str, dict[str, object]]:
    match what:
        case "card":
            return gate(n), {"type": "credential_presented", "method": "card", "value": card(n)}
        case "plate":
            return lane(n), {"type": "plate_captured", "plate": f"苏E{n % 100000:05d}", "confidence": 0.98}
    return gate(n), {
        "type": "access_granted",
        "method": "face",
        "person": f"P{n % 100000:08d}",
        "similarity": 0.9731,
        "direction": "in" if n & 1 else "out",
    }


def messages(mix: str, run: int) -> Iterator[tuple[str, str, str, bytes]]:
    """(what, address, at, payload) for ever; `run` keeps the numbers of one run apart from another's."""
    for n, what in zip(itertools.count(), itertools.cycle(MIXES[mix])):
        address, event = _event(what, run + n)
        at = datetime.now(UTC).isoformat().replace("+00:00", "Z")
        body = {"id": f"r{run + n:012d}", "event": event | {"at": at}, "stored": False, "firmware": "BENCH-1.0.0"}
        yield what, address, at, msgspec.json.encode(body)


def main() -> None:
    port, rate, seconds, mix = int(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3]), sys.argv[4]
    run = time.time_ns() // 1_000_000 % 10**11
    client = paho.Client(CallbackAPIVersion.VERSION2, client_id=f"paced-{run}", protocol=paho.MQTTv311)
    client.max_inflight_messages_set(20_000)
    client.max_queued_messages_set(0)
    client.on_socket_open = at_once
    client.connect("127.0.0.1", port)
    client.loop_start()
    while not client.is_connected():
        time.sleep(0.01)
    sent: list[tuple[str, str, str, int]] = []
    endless = messages(mix, run)
    begin = time.monotonic()
    for n in range(int(rate * seconds)):
        pause = begin + n / rate - time.monotonic()
        if pause > 0:
            time.sleep(pause)
        what, address, at, payload = next(endless)
        sent.append((what, address, at, time.monotonic_ns()))
        last = client.publish(f"linli/v1/{address}/event", payload, qos=1)
    last.wait_for_publish(30)
    client.disconnect()
    client.loop_stop()
    sys.stdout.write("".join(f"{json.dumps(row)}\n" for row in sent))


if __name__ == "__main__":
    main()
