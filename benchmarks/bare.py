"""The limit: a bare paho subscriber with a trivial callback (`python -m benchmarks.bare PORT COUNT`)."""

from __future__ import annotations

import json
import sys
import threading
import time
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

CLIENT = "bare-subscriber"


def main() -> None:
    port, total = int(sys.argv[1]), int(sys.argv[2])
    client = paho.Client(CallbackAPIVersion.VERSION2, client_id=CLIENT, clean_session=False, protocol=paho.MQTTv311)
    times: list[float] = []
    done = threading.Event()

    def on_message(_client: Any, _user: Any, _message: paho.MQTTMessage) -> None:
        times.append(time.monotonic())
        if len(times) >= total:
            done.set()

    subscribed = threading.Event()
    client.on_message = on_message
    client.on_connect = lambda c, *_: c.subscribe("linli/v1/+/event", qos=1)
    client.on_subscribe = lambda *_: subscribed.set()
    client.connect("127.0.0.1", port)
    client.loop_start()
    if total:
        done.wait(300)
    else:
        subscribed.wait(10)
    client.disconnect()
    client.loop_stop()
    if total:
        lo, hi = len(times) // 10, len(times) * 9 // 10
        rate = (hi - lo) / (times[hi] - times[lo]) if len(times) == total else 0
        print(json.dumps({"rate": round(rate), "received": len(times)}))


if __name__ == "__main__":
    main()
