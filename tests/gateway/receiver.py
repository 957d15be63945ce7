"""A backend that takes webhooks: a real HTTP server that verifies signatures and can be told how to answer."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_network
from typing import Any, NamedTuple

from standardwebhooks.webhooks import Webhook

from gateway.delivery import Endpoint, Outcome


class Post(NamedTuple):
    """One POST as it came, and how it was answered."""

    id: str
    event: dict[str, Any]
    status: int


class Sender:
    """An endpoint that may call 127.0.0.1, on an event loop that runs while it posts."""

    def __init__(self, url: str, timeout_s: float = 5) -> None:
        self._runner = asyncio.Runner()
        self._endpoint = Endpoint(url, allow=[ip_network("127.0.0.0/8")], timeout_s=timeout_s, connections=1)

    def post(self, body: bytes, headers: dict[str, str]) -> Outcome:
        return self._runner.run(self._endpoint.post(body, headers, 0.0))

    def close(self) -> None:
        self._endpoint.close()
        self._runner.close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A sender that is gone is part of the story."""


class Receiver:
    """`answer(id, event, nth)` gives the status (and headers) of the nth POST, counted from 1."""

    def __init__(self, secret: str) -> None:
        self.secret = secret
        self.posts: list[Post] = []
        self.connections = 0
        self._sockets: list[socket.socket] = []
        self.answer: Callable[[str, dict[str, Any], int], tuple[int, dict[str, str]]] = lambda *_: (204, {})
        self._changed = threading.Condition()
        self.port = 0
        self._server: _Server | None = None

    def start(self) -> None:
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self) -> None:
                super().setup()
                receiver.connections += 1
                receiver._sockets.append(self.connection)

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                headers = dict(self.headers.items())
                Webhook(receiver.secret).verify(body, headers)
                said = json.loads(body)
                with receiver._changed:
                    nth = len(receiver.posts) + 1
                status, more = receiver.answer(headers["webhook-id"], said, nth)
                with receiver._changed:
                    receiver.posts.append(Post(headers["webhook-id"], said, status))
                    receiver._changed.notify_all()
                self.send_response(status)
                for name, value in more.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *args: Any) -> None:
                pass

        self._server = _Server(("127.0.0.1", self.port), Handler)
        self.port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None
        for connection in self._sockets:  # kept connections would go on being served
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self._sockets.clear()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"

    def wait(self, until: Callable[[], bool], timeout_s: float = 30) -> None:
        """Wait until something is true of what came."""
        with self._changed:
            assert self._changed.wait_for(until, timeout_s), self.posts

    @property
    def taken(self) -> list[Post]:
        return [post for post in self.posts if 200 <= post.status < 300]
