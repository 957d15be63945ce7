"""HTTP: deliveries at /hook, the page at /, what the page asks for below /api/.

It listens on 127.0.0.1 and answers to that name only, so that nobody's page reaches it by a name of their own. Put a
proxy with TLS before it to have it elsewhere (`--name`). Everything below /api/ but signing in needs a session.
"""

from __future__ import annotations

import json
import threading
import time
from http.cookies import CookieError, SimpleCookie
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote, urlsplit

import msgspec
from msgspec import Struct

from devices.alerts import Work
from simulators.backend import anew
from simulators.backend.accounts import SESSION_S, LockedError, WrongError
from simulators.backend.cases import NEXT, Case, not_apart
from simulators.backend.work import TakenError

if TYPE_CHECKING:
    from simulators.backend.core import Backend

BODY_AT_MOST = 1 << 20
WAIT_S = 20.0
SILENT_S = 60.0
"""So long a connection may say nothing."""
CONNECTIONS = 200
PAGE = Path(__file__).parent / "page"
COOKIE = "linli_backend"
_MEDIA = {".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
FILES = {"/" + path.relative_to(PAGE).as_posix(): path for path in PAGE.rglob("*") if path.suffix in _MEDIA}
"""Everything that is served; a path is looked up here and never joined."""
_CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; "
    "frame-ancestors 'none'; form-action 'none'"
)


class StepBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What somebody did on the page; `person`: whom they send."""

    work: Work
    person: str = ""
    reason: str = ""


class SignIn(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Name and password."""

    name: str
    password: str


class Server(ThreadingHTTPServer):
    """One thread for each connection, and no more of them than `CONNECTIONS`."""

    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], backend: Backend, *, name: str = "") -> None:
        self.backend = backend
        self._room = threading.BoundedSemaphore(CONNECTIONS)
        super().__init__(address, _Handler)
        host, port = self.server_address[:2]
        self.hosts = {f"{known}:{port}" for known in (str(host), "localhost")} | ({name} if name else set())

    def process_request(self, request: Any, client_address: Any) -> None:
        """Turned away at once rather than kept waiting: the gateway tries again."""
        if not self._room.acquire(blocking=False):
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """One connection, to its end."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._room.release()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = SILENT_S
    server: Server

    def do_POST(self) -> None:
        body = self._body()
        if body is None:
            return
        if self.path == "/hook":
            self._hook(body)
        elif self.path == "/control" and self.server.backend.testing:
            self._control(body)
        elif not self.path.startswith("/api/"):
            self._answer(404)
        elif not self._own():
            self._answer(403, {"detail": "this comes from the backend's own page only"})
        elif self.path == "/api/sign-in":
            self._sign_in(body)
        elif not (operator := self._operator()):
            self._answer(401, {"detail": "sign in first"})
        elif self.path == "/api/sign-out":
            self.server.backend.accounts.sign_out(self._session())
            self._answer(204, cookie=_cookie("", 0))
        elif self.path.startswith("/api/cases/") and self.path.endswith("/steps"):
            alert = unquote(self.path.removeprefix("/api/cases/").removesuffix("/steps"))
            self._step(alert, operator, body)
        else:
            self._answer(404)

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        backend = self.server.backend
        if self._body() is None:
            return
        if parts.path == "/received" and backend.testing:
            self._answer(200, backend.received())
        elif not parts.path.startswith("/api/"):
            self._file("/index.html" if parts.path == "/" else parts.path)
        elif not (operator := self._operator()):
            self._answer(401, {"detail": "sign in first", "operators": len(backend.accounts.names())})
        elif parts.path == "/api/cases":
            self._cases(parse_qs(parts.query), operator)
        elif parts.path.startswith("/api/cases/"):
            self._case(unquote(parts.path.removeprefix("/api/cases/")), operator)
        else:
            self._answer(404)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class names it so
        """Says nothing: what matters is on the page."""

    def _body(self) -> bytes | None:
        """What was sent with the request; None: it is answered already. Whatever could be read as the next request, by
        us or by a proxy, ends the connection.
        """
        given = self.headers.get_all("Content-Length") or ["0"]
        known = given[0].isascii() and given[0].isdecimal()
        length = int(given[0][:9]) if known else 0
        body = b""
        wrong = 0
        if self.headers.get("Transfer-Encoding") or len(given) > 1 or not known:
            wrong = 400
        elif length > BODY_AT_MOST:
            wrong = 413
        elif self.headers.get("Host") not in self.server.hosts:
            wrong = 421
        else:
            body = self.rfile.read(length)
            wrong = 0 if len(body) == length else 400
        if wrong:
            self.close_connection = True
            self._answer(wrong)
        return None if wrong else body

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

    # -- who asks -----------------------------------------------------------------------------------------------------

    def _own(self) -> bool:
        """Sent by a script of our own page: no form can say that it is JSON."""
        origin = self.headers.get("Origin")
        host = self.headers.get("Host")
        own = origin is None or origin in (f"http://{host}", f"https://{host}")
        return own and self.headers.get("Content-Type") == "application/json"

    def _session(self) -> str:
        cookies: SimpleCookie = SimpleCookie()
        try:
            cookies.load(self.headers.get("Cookie", ""))
        except CookieError:
            return ""
        return cookies[COOKIE].value if COOKIE in cookies else ""

    def _operator(self) -> str:
        return self.server.backend.accounts.operator(self._session())

    def _sign_in(self, body: bytes) -> None:
        try:
            given = msgspec.json.decode(body, type=SignIn)
            token = self.server.backend.accounts.sign_in(given.name, given.password, self.client_address[0])
        except (msgspec.DecodeError, msgspec.ValidationError):
            self._answer(422, {"detail": "a name and a password"})
        except WrongError:
            self._answer(401, {"code": "wrong", "detail": "name and password do not belong together"})
        except LockedError as error:
            more = {"code": "locked", "wait_s": error.wait_s}
            self._answer(429, more | {"detail": "too many attempts"})
        else:
            self._answer(204, cookie=_cookie(token, int(SESSION_S)))

    # -- the page -----------------------------------------------------------------------------------------------------

    def _cases(self, query: dict[str, list[str]], operator: str) -> None:
        """The list, as soon as it is newer than the version the page has."""
        since = query.get("since", ["0"])[0]
        backend = self.server.backend
        waits = since.isascii() and since.isdecimal() and since != "0"
        version = backend.books.changed(int(since[:18]), WAIT_S) if waits else 0
        if backend.books.closed:
            self._answer(503)
            return
        if not self._operator():  # signed out, or removed, while it waited
            self._answer(401, {"detail": "sign in first"})
            return
        office = backend.office
        version = version or backend.books.version
        cases = backend.books.cases(open_only=query.get("all", ["0"])[0] != "1")
        code, words = office.trouble if office else ("no_gateway", "no gateway was named (--api)")
        self._answer(
            200,
            {
                "version": version,
                "me": operator,
                "cases": [_shown(case, operator) for case in cases],
                "account": msgspec.to_builtins(backend.books.account()),
                "waiting": len(backend.books.waiting()),
                "anew": anew.shown(backend.books),
                "trouble": {"code": code, "text": words} if code else None,
                "people": msgspec.to_builtins(list(office.roster.staff)) if office else [],
                "anybody": office.roster.anybody if office else "",
            },
        )

    def _case(self, alert: str, operator: str) -> None:
        books = self.server.backend.books
        case = books.case(alert)
        if case is None:
            self._answer(404, {"detail": "there is no such case"})
        else:
            self._answer(200, _shown(case, operator) | {"history": books.history(alert)})

    def _step(self, alert: str, operator: str, body: bytes) -> None:
        """409: it is not possible, or somebody was faster; the case as it stands now. 202: the gateway is away, and is
        told when it is back.
        """
        office, books = self.server.backend.office, self.server.backend.books
        if office is None:
            self._answer(403, {"detail": "it only receives: no gateway was named (--api)"})
            return
        try:
            wish = msgspec.json.decode(body, type=StepBody)
            done = office.step(alert, wish.work, operator=operator, person=wish.person, reason=wish.reason)
        except (msgspec.DecodeError, msgspec.ValidationError) as error:
            self._answer(422, {"detail": str(error)})
        except LookupError:
            self._answer(404, {"detail": "there is no such case"})
        except TakenError as error:
            case = books.case(alert)
            shown = _shown(case, operator) if case else None
            self._answer(409, {"detail": str(error), "refusal": error.refusal, "case": shown})
        else:
            case = books.case(alert)
            self._answer(200 if done else 202, _shown(case, operator) if case else {})

    def _file(self, path: str) -> None:
        found = FILES.get(path)
        if found is None:
            self._answer(404)
            return
        data = found.read_bytes()
        self._head(200, f"{_MEDIA[found.suffix]}; charset=utf-8", len(data))
        self.wfile.write(data)

    def _answer(self, status: int, body: dict[str, Any] | None = None, *, cookie: str = "") -> None:
        data = json.dumps(body, ensure_ascii=False).encode() if body is not None else b""
        self._head(status, "application/json" if body is not None else "", len(data), cookie)
        self.wfile.write(data)

    def _head(self, status: int, media: str, length: int, cookie: str = "") -> None:
        self.send_response(status)
        if media:
            self.send_header("Content-Type", media)
        if status != 204:
            self.send_header("Content-Length", str(length))
        if cookie:
            self.send_header("Set-Cookie", cookie)
        if self.close_connection:
            self.send_header("Connection", "close")
        for name, value in (("Content-Security-Policy", _CSP), ("X-Content-Type-Options", "nosniff")):
            self.send_header(name, value)
        self.send_header("Cache-Control", "no-store")
        self.end_headers()


def _cookie(token: str, seconds: int) -> str:
    return f"{COOKIE}={token}; HttpOnly; SameSite=Strict; Path=/; Max-Age={seconds}"


def _shown(case: Case, operator: str) -> dict[str, Any]:
    """As the page shows it to an operator: with what they may do."""
    fields: dict[str, Any] = msgspec.to_builtins(case)
    possible = [work.value for work in NEXT[case.work] if not_apart(case, work, operator) is None]
    barred = next((done for work in NEXT[case.work] if (done := not_apart(case, work, operator)) is not None), None)
    return fields | {"next": possible, "barred_by": barred.value if barred else ""}
