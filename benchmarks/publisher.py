"""A publisher process, as fast as the broker takes: `python -m benchmarks.publisher PORT COUNT [FIRST]`."""

from __future__ import annotations

import sys
import time
from datetime import UTC, datetime

import msgspec
import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

DEVICES = 50
IN_FLIGHT = 2000


def message(n: int) -> tuple[str, bytes]:
    """An access decision of a gate: about 225 bytes on the wire, as a terminal sends it."""
    body = {
        "id": f"r{n:012d}",
        "event": {
            "type": "access_granted",
            "at": datetime.now(UTC).isoformat().replace("+00:00", "Z"),
            "method": "face",
            "person": f"P{n % 100000:08d}",
            "similarity": 0.9731,
            "direction": "in" if n & 1 else "out",
        },
        "stored": False,
        "firmware": "BENCH-1.0.0-20261123",
    }
    return f"linli/v1/gate-{n % DEVICES:02d}/event", msgspec.json.encode(body)


def main() -> None:
    port, total = int(sys.argv[1]), int(sys.argv[2])
    first = int(sys.argv[3]) if len(sys.argv) > 3 else 0
    client = paho.Client(CallbackAPIVersion.VERSION2, client_id=f"publisher-{first}", protocol=paho.MQTTv311)
    client.max_inflight_messages_set(IN_FLIGHT)
    client.max_queued_messages_set(0)
    acked = 0

    def on_publish(*_: object) -> None:
        nonlocal acked
        acked += 1

    client.on_publish = on_publish
    client.connect("127.0.0.1", port)
    client.loop_start()
    for n in range(total):
        client.publish(*message(first + n), qos=1)
        while n - acked > IN_FLIGHT:
            time.sleep(0.002)
    give_up = time.monotonic() + 60
    while acked < total and time.monotonic() < give_up:
        time.sleep(0.01)
    client.loop_stop()
    client.disconnect()
    sys.exit(0 if acked == total else 1)


if __name__ == "__main__":
    main()
