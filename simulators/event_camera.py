"""A camera or terminal whose events are fetched: an endless multipart answer on its own HTTP server, behind digest, as
Hikvision (alertStream) and Dahua (eventManager) serve it; a terminal also keeps its events and is asked for them.

It can do what real ones do: restart in the middle of a part, send garbage, fall silent, refuse a password.
"""

from __future__ import annotations

import json
import socket
import ssl
import threading
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from simulators.http_asking import Asking

HIKVISION = "/ISAPI/Event/notification/alertStream"
DAHUA = "/cgi-bin/eventManager.cgi?action=attach&codes=[All]&heartbeat=5"
HISTORY = "/ISAPI/AccessControl/AcsEvent?format=json"
BOUNDARY = "MIME_boundary"
PAGE = 2
"""Records in a page of the history, however many are asked for: some firmware gives few."""


class EventCamera:
    """Listens on 127.0.0.1. `kept`: records it is asked for, each with a `time`. `streams`: how often its stream was
    given, `refused`: how often a wrong password was shown, `asked`: every path asked for.
    """

    def __init__(
        self,
        path: str = HIKVISION,
        *,
        username: str = "admin",
        password: str = "cam-pass-1",  # noqa: S107 - a drawn camera's
        tls: Path | None = None,
    ) -> None:
        self.path, self.username, self.password = path, username, password
        self.asking = Asking(username, password)
        self.kept: list[dict[str, Any]] = []
        self.asked: list[str] = []
        self.streams = self.refused = 0
        self._tls = tls
        self._lines: list[socket.socket] = []
        self._changed = threading.Condition()
        self._server = self._listen(0)
        self.port: int = self._server.server_address[1]
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}"

    def _listen(self, port: int) -> ThreadingHTTPServer:
        camera = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                camera.serve(self)

            def do_POST(self) -> None:
                camera.serve(self)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - as the base class has it
                """Nothing is logged."""

        server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        server.daemon_threads = True
        if self._tls is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(self._tls)
            server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        return server

    def close(self) -> None:
        """Switch it off: every line breaks, and nobody listens."""
        self._server.shutdown()
        self._server.server_close()
        self.hang_up()

    def restart(self) -> None:
        """Switch it on again, at the same address."""
        self._server = self._listen(self.port)

    def hang_up(self) -> None:
        """Break every stream off where it is."""
        with self._changed:
            self._lines.clear()  # each is closed by the thread that serves it
            self._changed.notify_all()

    # -- what it is asked ---------------------------------------------

    def serve(self, request: BaseHTTPRequestHandler) -> None:
        """One request."""
        body = request.rfile.read(int(request.headers.get("Content-Length", "0")))
        with self._changed:
            self.asked.append(request.path)
        if not self.asking.knows(request):
            with self._changed:
                self.refused += "Authorization" in request.headers
            _answer(request, 401, b"", **{"WWW-Authenticate": self.asking.challenge})
        elif request.command == "POST" and request.path == HISTORY:
            _answer(request, 200, self._page(json.loads(body)["AcsEventCond"]), **{"Content-Type": "application/json"})
        elif request.path == self.path:
            self._stream(request)
        else:
            _answer(request, 404, b"")

    def _stream(self, request: BaseHTTPRequestHandler) -> None:
        request.close_connection = True
        line = request.connection
        with self._changed:  # who has read the head hears whatever is said from then on
            request.send_response(200)
            request.send_header("Content-Type", f"multipart/mixed; boundary={BOUNDARY}")
            request.end_headers()
            self._lines.append(line)
            self.streams += 1
            self._changed.notify_all()
            self._changed.wait_for(lambda: line not in self._lines)

    def _page(self, condition: dict[str, Any]) -> bytes:
        since, until = (datetime.fromisoformat(condition[key]) for key in ("startTime", "endTime"))
        found = [one for one in self.kept if since <= datetime.fromisoformat(one["time"]) <= until]
        start = condition["searchResultPosition"]
        page = found[start : start + PAGE]
        more = start + len(page) < len(found)
        status = "MORE" if more else "OK" if page else "NO MATCH"
        answer = {"searchID": condition["searchID"], "responseStatusStrg": status, "numOfMatches": len(page)}
        return json.dumps({"AcsEvent": answer | {"totalMatches": len(found), "InfoList": page}}).encode()

    # -- what it says ---------------------------------------------

    def say(self, body: bytes, media: str = "application/xml", *pictures: bytes) -> bool:
        """One event with its pictures, to whoever listens; whether anybody does."""
        parts = [_part(media, body), *(_part("image/jpeg", picture) for picture in pictures)]
        return self.send(b"".join(parts))

    def alert(self, kind: str, at: datetime, *, active: bool = True, picture: bytes = b"") -> bool:
        """A Hikvision camera's EventNotificationAlert."""
        return self.say(alert(kind, at, active=active), "application/xml", *([picture] if picture else []))

    def send(self, raw: bytes) -> bool:
        """Any bytes, as they are; whether anybody listens."""
        with self._changed:
            lines = list(self._lines)
        for line in lines:
            try:
                line.sendall(raw)
            except OSError:  # whoever listened has gone
                with self._changed:
                    if line in self._lines:
                        self._lines.remove(line)
                    self._changed.notify_all()
        return bool(lines)


def alert(kind: str, at: datetime, *, active: bool = True) -> bytes:
    """An EventNotificationAlert of channel 1."""
    return (
        '<EventNotificationAlert version="2.0" xmlns="http://www.hikvision.com/ver20/XMLSchema">'
        f"<channelID>1</channelID><dateTime>{at.isoformat(timespec='seconds')}</dateTime>"
        f"<activePostCount>1</activePostCount><eventType>{kind}</eventType>"
        f"<eventState>{'active' if active else 'inactive'}</eventState></EventNotificationAlert>"
    ).encode()


def _part(media: str, body: bytes) -> bytes:
    head = f"--{BOUNDARY}\r\nContent-Type: {media}\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body + b"\r\n"


def _answer(request: BaseHTTPRequestHandler, status: int, body: bytes, **headers: str) -> None:
    request.send_response(status)
    for key, value in {"Content-Length": str(len(body)), **headers}.items():
        request.send_header(key, value)
    request.end_headers()
    request.wfile.write(body)
