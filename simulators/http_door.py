"""A door or barrier with an HTTP server of its own, as Hikvision builds them: asks for digest, obeys, says so.

It can also misbehave as real ones do: move and lose the reply, answer late, send a redirect, refuse.
"""

from __future__ import annotations

import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

from simulators.http_asking import REALM, Asking

OK = b"<ResponseStatus><statusCode>1</statusCode><statusString>OK</statusString></ResponseStatus>"
INVALID = b"<ResponseStatus><statusCode>4</statusCode><subStatusCode>notSupport</subStatusCode></ResponseStatus>"
JPEG = b"\xff\xd8\xff\xe0a drawn picture\xff\xd9"


class Told(NamedTuple):
    """A call that was carried out."""

    method: str
    path: str
    body: bytes


class HttpDoor:
    """Listens on 127.0.0.1; `told` is what it has done. `username` "": it asks for nothing.

    `reply`: "status" (as it should), "none" (it moves, and the line breaks), "late" (when `release` is set),
    "redirect", "basic" (it offers no digest), "refuse" (with its own code).
    """

    def __init__(
        self,
        *,
        username: str = "admin",
        password: str = "door-pass-1",  # noqa: S107 - a drawn door's
        reply: str = "status",
        tls: Any = None,
    ) -> None:
        self.username, self.password, self.reply = username, password, reply
        self._asking = Asking(username, password)
        self.told: list[Told] = []
        self.asked = 0
        self.together = 0
        self.release = threading.Event()
        self.arrived = threading.Event()
        self._inside = 0
        self._lock = threading.Lock()
        door = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                door.serve(self)

            def do_PUT(self) -> None:
                door.serve(self)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - as the base class has it
                """Nothing is logged."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        if tls is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(tls)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self._server.server_address[1]}"

    def close(self) -> None:
        """Stop listening."""
        self.release.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)

    def serve(self, request: BaseHTTPRequestHandler) -> None:
        """One request: ask for the password, or obey."""
        body = request.rfile.read(int(request.headers.get("Content-Length", "0")))
        with self._lock:
            self.asked += 1
        if not self._asking.knows(request):
            offer = f'Basic realm="{REALM}"' if self.reply == "basic" else self._asking.challenge
            self._answer(request, 401, b"", {"WWW-Authenticate": offer})
            return
        if self.reply == "redirect":
            self._answer(request, 302, b"", {"Location": f"{self.url}/ISAPI/elsewhere"})
            return
        self._obey(request, Told(request.command, request.path, body))

    def _obey(self, request: BaseHTTPRequestHandler, told: Told) -> None:
        with self._lock:
            self._inside += 1
            self.together = max(self.together, self._inside)
            if self.reply != "refuse":
                self.told.append(told)
        self.arrived.set()
        if self.reply == "late":
            self.release.wait(30)
        with self._lock:
            self._inside -= 1
        if self.reply == "none":
            request.close_connection = True
            request.connection.close()
        elif self.reply == "refuse":
            self._answer(request, 403, INVALID)
        elif told.path.endswith("/picture"):
            self._answer(request, 200, JPEG, {"Content-Type": "image/jpeg"})
        else:
            self._answer(request, 200, OK, {"Content-Type": "application/xml"})

    def _answer(
        self, request: BaseHTTPRequestHandler, status: int, body: bytes, headers: dict[str, str] | None = None
    ) -> None:
        request.send_response(status)
        for key, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            request.send_header(key, value)
        request.end_headers()
        request.wfile.write(body)
