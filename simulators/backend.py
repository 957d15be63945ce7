"""A small governance backend that receives alerts: checks the signature, keeps each one once and for good, answers 204.

`python -m simulators.backend --port N --secret whsec_... --store FILE` runs it as a process of its own that may be
killed at any instant: an answer is given only after the delivery is on disk, and a restart reads the file again.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import msgspec
from msgspec import Struct
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from simulators.client import ApiError, Client

WORKED = ("accepted", "assigned", "claimed", "on_site", "resolved")
BODY_AT_MOST = 1 << 20


class Cloud(Struct, frozen=True, kw_only=True):
    """The CloudEvents 1.0 attributes that must be there (JSON format)."""

    specversion: str
    id: str
    source: str
    type: str
    subject: str = ""
    time: str = ""
    data: dict[str, Any] = {}


class Mood(Struct, frozen=True, kw_only=True):
    """How it behaves: `status` it answers to everything (204: it works), after `slow_s` seconds; `vanish`: it drops
    the connection. What it does not answer with 204 it does not keep.
    """

    status: int = 204
    slow_s: float = 0.0
    vanish: bool = False


class Kept(Struct, frozen=True, kw_only=True):
    """One accepted delivery as the file holds it. `event`: the CloudEvent's id, `alert`: the alert's."""

    webhook_id: str
    received_at: float
    event: str
    type: str
    alert: str


class Store:
    """Accepted deliveries: a line of JSON each, on disk before it counts."""

    def __init__(self, path: Path) -> None:
        self.kept: dict[str, Kept] = {}
        self.order: list[str] = []
        self.counts: Counter[str] = Counter()
        self.lock = threading.Lock()
        whole = b""
        if path.exists():
            lines = path.read_bytes().splitlines(keepends=True)
            whole = b"".join(line for line in lines if line.endswith(b"\n"))
            for line in whole.splitlines():
                self._add(msgspec.json.decode(line, type=Kept))
        self._file = path.open("ab")
        self._file.truncate(len(whole))  # a line cut short by a kill was never answered

    def keep(self, kept: Kept) -> bool:
        """Whether it is new. On return it is on disk."""
        with self.lock:
            if kept.webhook_id in self.kept:
                self.counts["duplicates"] += 1
                return False
            self._file.write(msgspec.json.encode(kept) + b"\n")
            self._file.flush()
            os.fsync(self._file.fileno())
            self._add(kept)
            return True

    def close(self) -> None:
        self._file.close()

    def _add(self, kept: Kept) -> None:
        self.kept[kept.webhook_id] = kept
        self.order.append(kept.webhook_id)


class Backend:
    """The backend as an object: `start`, `stop`, and what it has received. Port 0: any free one."""

    def __init__(
        self, *, secret: str, store: Path, port: int = 0, api: str = "", token: str = "", host: str = "127.0.0.1"
    ) -> None:
        self.mood = Mood()
        self.secrets = [secret] if secret else []
        self.store = Store(store)
        self._worker = _Worker(Client(api, token)) if api else None
        self._server = _Server((host, port), self)
        self._thread = threading.Thread(target=self._server.serve_forever, name="receiving-backend", daemon=True)

    @property
    def url(self) -> str:
        """Where deliveries go."""
        host, port = self._server.server_address[:2]
        return f"http://{host!s}:{port}/hook"

    def start(self) -> None:
        self._thread.start()
        if self._worker:
            self._worker.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
        self.store.close()

    def take(self, headers: dict[str, str], body: bytes) -> int:
        """Judges one delivery; gives the HTTP status: 204 kept or known, 401 badly signed, 422 not a CloudEvent."""
        if not self._signed(headers, body):
            self._count("bad_signatures")
            return 401
        try:
            cloud = msgspec.json.decode(body, type=Cloud)
        except (msgspec.DecodeError, msgspec.ValidationError):
            self._count("not_cloudevents")
            return 422
        if cloud.specversion != "1.0":
            self._count("not_cloudevents")
            return 422
        alert = cloud.subject or str(cloud.data.get("id", ""))
        kept = Kept(
            webhook_id=headers["webhook-id"], received_at=time.time(), event=cloud.id, type=cloud.type, alert=alert
        )
        if self.store.keep(kept) and self._worker:
            self._worker.alerts.put(alert)
        return 204

    def received(self) -> dict[str, Any]:
        """What GET /received answers."""
        with self.store.lock:
            kept = [self.store.kept[key] for key in self.store.order]
            counts = {name: self.store.counts[name] for name in ("duplicates", "bad_signatures", "not_cloudevents")}
            return {
                "count": len(kept),
                "ids": [one.webhook_id for one in kept],
                "events": [one.event for one in kept],
                "alerts": sorted({one.alert for one in kept}),
                "types": dict(Counter(one.type for one in kept)),
                **counts,
                "refused_on_purpose": self.store.counts["refused_on_purpose"],
                "work_sent": self._worker.sent if self._worker else 0,
                "work_refused": self._worker.refused if self._worker else 0,
            }

    def refuse(self) -> None:
        """Counts a delivery turned away because it was told to."""
        self._count("refused_on_purpose")

    def _signed(self, headers: dict[str, str], body: bytes) -> bool:
        for secret in self.secrets:
            try:
                Webhook(secret).verify(body, headers)
            except WebhookVerificationError:
                continue
            return True
        return False

    def _count(self, name: str) -> None:
        with self.store.lock:
            self.store.counts[name] += 1


class _Worker:
    """Does the work of each new alert: tells the gateway every step, in order."""

    def __init__(self, client: Client) -> None:
        self.alerts: SimpleQueue[str] = SimpleQueue()
        self.sent = 0
        self.refused = 0
        self._client = client
        self._done: set[str] = set()

    def start(self) -> None:
        threading.Thread(target=self._run, name="governance-work", daemon=True).start()

    def _run(self) -> None:
        while True:
            alert = self.alerts.get()
            if alert in self._done:
                continue
            self._done.add(alert)
            for step in WORKED:
                try:
                    self._client.work(alert, step, assignee="grid-worker-1", key=f"{alert}-{step}")
                except ApiError:
                    self.refused += 1
                else:
                    self.sent += 1


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], backend: Backend) -> None:
        self.backend = backend
        super().__init__(address, _Handler)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_POST(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        if length > BODY_AT_MOST:
            self.close_connection = True
            self._answer(413)
            return
        body = self.rfile.read(length)
        if self.path == "/control":
            self._control(body)
            return
        backend = self.server.backend
        mood = backend.mood
        if mood.slow_s:
            time.sleep(mood.slow_s)
        if mood.vanish:
            backend.refuse()
            self.close_connection = True
        elif mood.status != 204:
            backend.refuse()
            self._answer(mood.status)
        else:
            self._answer(backend.take({k.lower(): v for k, v in self.headers.items()}, body))

    def do_GET(self) -> None:
        if self.path == "/received":
            self._answer(200, self.server.backend.received())
        else:
            self._answer(404)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class names it so
        """Says nothing: what matters is in GET /received."""

    def _control(self, body: bytes) -> None:
        """Takes {status, slow_s, vanish} for its mood and {secret} for one more secret to trust."""
        try:
            wish = msgspec.json.decode(body, type=dict[str, Any])
            if secret := wish.pop("secret", ""):
                self.server.backend.secrets.append(str(secret))
            self.server.backend.mood = msgspec.convert(wish, type=Mood)
        except (msgspec.DecodeError, msgspec.ValidationError) as error:
            self._answer(422, {"error": str(error)})
            return
        self._answer(200, msgspec.to_builtins(self.server.backend.mood))

    def _answer(self, status: int, body: dict[str, Any] | None = None) -> None:
        data = json.dumps(body).encode() if body is not None else b""
        self.send_response(status)
        if body is not None:
            self.send_header("Content-Type", "application/json")
        if status != 204:
            self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


def main() -> None:
    """Runs until it is told to end (SIGTERM, SIGINT); prints its address first."""
    parser = argparse.ArgumentParser(description="A governance backend that receives alerts.")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--secret", default="", help="whsec_...; more can be given through POST /control")
    parser.add_argument("--store", type=Path, required=True, help="file of accepted deliveries, one JSON line each")
    parser.add_argument("--api", default="", help="address of the gateway's API, to answer alerts with work statuses")
    parser.add_argument("--token", default=os.environ.get("LINLI_TOKEN", ""), help="bearer token of the API")
    options = parser.parse_args()
    backend = Backend(
        secret=options.secret, store=options.store, port=options.port, api=options.api, token=options.token
    )
    over = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: over.set())
    backend.start()
    print(json.dumps({"url": backend.url}), flush=True)  # noqa: T201 - whoever started us reads the address
    over.wait()
    backend.stop()


if __name__ == "__main__":
    main()
