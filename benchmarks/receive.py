"""The measuring ends, each a process of its own: what arrived, and when.

    python -m benchmarks.receive commands PORT    commands to devices on the broker
    python -m benchmarks.receive echo PORT        the bare limit: publishes each event back as if it were a command
    python -m benchmarks.receive webhook PORT     a backend's HTTP server
    python -m benchmarks.receive stream URL       the live stream, with the bearer token in $BENCH_TOKEN

Prints `ready`; after SIGTERM one JSON line for each arrival: [address, at, arrived_ns], `at` as in `benchmarks.paced`.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import threading
import time
import urllib.request
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from benchmarks.ground import at_once
from devices.kinds.face_gate import PARAMS

OPEN_WITHIN = timedelta(seconds=PARAMS["open_within_s"][0])
"""A door's command may be carried out so long after the card was shown: this leads back to when it was."""

Row = tuple[str, str, int]
_arrived: list[tuple[str, bytes, int]] = []
_stop = threading.Event()


def _mqtt(port: int, client_id: str, topic: str, qos: int, on_message: Any) -> paho.Client:
    client = paho.Client(CallbackAPIVersion.VERSION2, client_id=client_id, protocol=paho.MQTTv311)
    subscribed = threading.Event()
    client.on_message = on_message
    client.on_socket_open = at_once
    client.on_connect = lambda c, *_: c.subscribe(topic, qos=qos)
    client.on_subscribe = lambda *_: subscribed.set()
    client.connect("127.0.0.1", port)
    client.loop_start()
    if not subscribed.wait(10):
        raise SystemExit("the broker did not take the subscription")
    return client


def commands(port: int) -> list[Row]:
    def arrived(_c: Any, _u: Any, message: paho.MQTTMessage) -> None:
        _arrived.append((message.topic, bytes(message.payload), time.monotonic_ns()))

    client = _mqtt(port, "bench-commands", "linli/v1/+/command", 0, arrived)
    _until_told()
    client.loop_stop()
    return [(topic.split("/")[2], _shown_at(json.loads(body)), ns) for topic, body, ns in _arrived]


def _shown_at(body: dict[str, Any]) -> str:
    if "event" in body:
        return str(body["event"]["at"])
    shown = datetime.fromisoformat(body["not_after"]) - OPEN_WITHIN
    return shown.isoformat().replace("+00:00", "Z")


def echo(port: int) -> list[Row]:
    def back(client: paho.Client, _u: Any, message: paho.MQTTMessage) -> None:
        client.publish(message.topic.replace("/event", "/command"), message.payload, qos=0)

    client = _mqtt(port, "bench-echo", "linli/v1/+/event", 1, back)
    _until_told()
    client.disconnect()
    client.loop_stop()
    return []


class _Backend(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        _arrived.append(("", body, time.monotonic_ns()))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Nothing: it is being measured."""


def webhook(port: int) -> list[Row]:
    server = ThreadingHTTPServer(("127.0.0.1", port), _Backend)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    _until_told()
    found = [(json.loads(body)["data"], ns) for _, body, ns in _arrived]
    return [(data["device"], _zulu(data["first_seen"]), ns) for data, ns in found if data["change"] == "raised"]


def stream(url: str) -> list[Row]:
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {os.environ['BENCH_TOKEN']}"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        threading.Thread(target=_follow, args=(answer,), daemon=True).start()
        _until_told()
    found = [(json.loads(line[6:]), ns) for _, line, ns in _arrived]
    return [
        (said["alert"]["device"], _zulu(said["alert"]["first_seen"]), ns)
        for said, ns in found
        if said.get("change") == "raised"
    ]


def _follow(answer: Any) -> None:
    with contextlib.suppress(AttributeError, ValueError, OSError):  # it is closed under our reading, at the end
        _arrived.extend(("", line, time.monotonic_ns()) for line in answer if line.startswith(b"data: "))


def _zulu(moment: str) -> str:
    return datetime.fromisoformat(moment).astimezone(UTC).isoformat().replace("+00:00", "Z")


def _until_told() -> None:
    signal.signal(signal.SIGTERM, lambda *_: _stop.set())
    print("ready", flush=True)
    _stop.wait()


def main() -> None:
    by_port: dict[str, Callable[[int], list[Row]]] = {"commands": commands, "echo": echo, "webhook": webhook}
    what, where = sys.argv[1], sys.argv[2]
    rows = stream(where) if what == "stream" else by_port[what](int(where))
    sys.stdout.write("".join(f"{json.dumps(row)}\n" for row in rows))
    sys.stdout.flush()
    os._exit(0)  # a connection that is being read has nothing more to say


if __name__ == "__main__":
    main()
