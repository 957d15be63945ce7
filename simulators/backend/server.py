"""HTTP: deliveries at /hook, the page at /, what the page asks for below /api/, and how to make it misbehave in tests.

It has no login: it listens on 127.0.0.1, and answers no page but its own. A real backend puts its own accounts before.
"""

from __future__ import annotations

import json
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote, urlsplit

import msgspec
from msgspec import Struct

from devices.alerts import Work
from simulators.backend.cases import NEXT, Case
from simulators.backend.work import TakenError

if TYPE_CHECKING:
    from simulators.backend.core import Backend

BODY_AT_MOST = 1 << 20
WAIT_S = 20.0
PAGE = Path(__file__).parent / "page"
_MEDIA = {".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
FILES = {"/" + path.relative_to(PAGE).as_posix(): path for path in PAGE.rglob("*") if path.suffix in _MEDIA}
"""Everything that is served; a path is looked up here and never joined."""
_CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; "
    "frame-ancestors 'none'; form-action 'none'"
)


class StepBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What somebody did on the page."""

    work: Work
    person: str
    reason: str = ""


class Server(ThreadingHTTPServer):
    """One thread for each connection."""

    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], backend: Backend) -> None:
        self.backend = backend
        super().__init__(address, _Handler)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def do_POST(self) -> None:
        given = self.headers.get("Content-Length") or "0"
        if not given.isdecimal() or int(given) > BODY_AT_MOST:
            self.close_connection = True
            self._answer(413)
            return
        body = self.rfile.read(int(given))
        if self.path == "/control":
            self._control(body)
        elif self.path.startswith("/api/cases/") and self.path.endswith("/steps"):
            self._step(unquote(self.path.removeprefix("/api/cases/").removesuffix("/steps")), body)
        elif self.path == "/hook":
            self._hook(body)
        else:
            self._answer(404)

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        backend = self.server.backend
        if parts.path == "/received":
            self._answer(200, backend.received())
        elif parts.path == "/api/cases":
            self._cases(parse_qs(parts.query))
        elif parts.path.startswith("/api/cases/"):
            self._case(unquote(parts.path.removeprefix("/api/cases/")))
        else:
            self._file("/index.html" if parts.path == "/" else parts.path)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class names it so
        """Says nothing: what matters is in GET /received."""

    # -- deliveries ---------------------------------------------------------------------------------------------------

    def _hook(self, body: bytes) -> None:
        backend = self.server.backend
        mood = backend.mood
        if mood.slow_s:
            time.sleep(mood.slow_s)
        if mood.vanish:
            backend.count("refused_on_purpose")
            self.close_connection = True
        elif mood.status != 204:
            backend.count("refused_on_purpose")
            self._answer(mood.status)
        else:
            self._answer(backend.take({k.lower(): v for k, v in self.headers.items()}, body))

    def _control(self, body: bytes) -> None:
        """Takes {status, slow_s, vanish} for its mood and {secret} for one more secret to trust."""
        backend = self.server.backend
        try:
            wish = msgspec.json.decode(body, type=dict[str, Any])
            if secret := wish.pop("secret", ""):
                backend.secrets.append(str(secret))
            backend.mood = msgspec.convert(wish, type=type(backend.mood))
        except (msgspec.DecodeError, msgspec.ValidationError) as error:
            self._answer(422, {"error": str(error)})
            return
        self._answer(200, msgspec.to_builtins(backend.mood))

    # -- the page -----------------------------------------------------------------------------------------------------

    def _cases(self, query: dict[str, list[str]]) -> None:
        """The list, as soon as it is newer than the version the page has."""
        since = query.get("since", ["0"])[0]
        backend = self.server.backend
        version = backend.books.changed(int(since), WAIT_S) if since.isdecimal() and since != "0" else 0
        if backend.books.closed:
            self._answer(503)
            return
        office = backend.office
        version = version or backend.books.version
        cases = backend.books.cases(open_only=query.get("all", ["0"])[0] != "1")
        self._answer(
            200,
            {
                "version": version,
                "cases": [_shown(case) for case in cases],
                "account": msgspec.to_builtins(backend.books.account()),
                "waiting": len(backend.books.waiting()),
                "trouble": office.trouble if office else "no gateway was named (--api)",
                "people": msgspec.to_builtins(list(office.roster.staff)) if office else [],
                "anybody": office.roster.anybody if office else "",
            },
        )

    def _case(self, alert: str) -> None:
        books = self.server.backend.books
        case = books.case(alert)
        if case is None:
            self._answer(404, {"detail": "there is no such case"})
        else:
            self._answer(200, _shown(case) | {"history": books.history(alert)})

    def _step(self, alert: str, body: bytes) -> None:
        """409: somebody was faster; the case as it stands now. 202: the gateway is away, and told when it is back."""
        office, books = self.server.backend.office, self.server.backend.books
        origin = self.headers.get("Origin")
        own = origin is None or origin == f"http://{self.headers.get('Host')}"
        if office is None or not own or self.headers.get("Content-Type") != "application/json":
            self._answer(403, {"detail": "steps come from the backend's own page"})
            return
        try:
            wish = msgspec.json.decode(body, type=StepBody)
            done = office.step(alert, wish.work, person=wish.person, reason=wish.reason)
        except (msgspec.DecodeError, msgspec.ValidationError) as error:
            self._answer(422, {"detail": str(error)})
        except LookupError:
            self._answer(404, {"detail": "there is no such case"})
        except TakenError as error:
            case = books.case(alert)
            self._answer(409, {"detail": str(error), "case": _shown(case) if case else None})
        else:
            case = books.case(alert)
            self._answer(200 if done else 202, _shown(case) if case else {})

    def _file(self, path: str) -> None:
        found = FILES.get(path)
        if found is None:
            self._answer(404)
            return
        data = found.read_bytes()
        self._head(200, f"{_MEDIA[found.suffix]}; charset=utf-8", len(data))
        self.wfile.write(data)

    def _answer(self, status: int, body: dict[str, Any] | None = None) -> None:
        data = json.dumps(body, ensure_ascii=False).encode() if body is not None else b""
        self._head(status, "application/json" if body is not None else "", len(data))
        self.wfile.write(data)

    def _head(self, status: int, media: str, length: int) -> None:
        self.send_response(status)
        if media:
            self.send_header("Content-Type", media)
        if status != 204:
            self.send_header("Content-Length", str(length))
        for name, value in (("Content-Security-Policy", _CSP), ("X-Content-Type-Options", "nosniff")):
            self.send_header(name, value)
        self.send_header("Cache-Control", "no-store")
        self.end_headers()


def _shown(case: Case) -> dict[str, Any]:
    fields: dict[str, Any] = msgspec.to_builtins(case)
    return fields | {"next": [work.value for work in NEXT[case.work]]}
