"""Operators of the reference backend: passwords, sessions, the brake on guessing; and what strangers get to see."""

from __future__ import annotations

import http.client
import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from simulators.backend import Backend
from simulators.backend.accounts import (
    SESSION_S,
    TRIES_OF_A_NAME,
    TRIES_OF_AN_ADDRESS,
    WINDOW_S,
    AccountError,
    Accounts,
    LockedError,
    WrongError,
)
from simulators.backend.server import COOKIE
from simulators.backend.store import Books

GOOD = "correct horse 42"


class Clock:
    now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def books(tmp_path: Path) -> Iterator[Books]:
    made = Books(tmp_path / "backend.db")
    yield made
    made.close()


@pytest.fixture
def accounts(books: Books, clock: Clock) -> Accounts:
    made = Accounts(books, clock=clock)
    made.put("w-1", GOOD)
    return made


def test_who_signs_in_is_known_until_the_shift_is_over_also_after_a_restart(
    accounts: Accounts, clock: Clock, tmp_path: Path
):
    token = accounts.sign_in("w-1", GOOD, "a")
    other = Books(tmp_path / "backend.db")
    assert Accounts(other, clock=clock).operator(token) == "w-1"
    other.close()
    clock.now += SESSION_S + 1
    assert accounts.operator(token) == ""


def test_neither_password_nor_session_stands_in_the_file(accounts: Accounts, tmp_path: Path):
    token = accounts.sign_in("w-1", GOOD, "a")
    content = b"".join(path.read_bytes() for path in tmp_path.glob("backend.db*"))
    assert GOOD.encode() not in content
    assert token.encode() not in content
    assert (tmp_path / "backend.db").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    ("name", "password"), [("w-1", "wrong horse 42"), ("nobody", GOOD), ("", ""), ("w-1", "\ud800")]
)
def test_a_wrong_name_or_password_lets_nobody_in(accounts: Accounts, name: str, password: str):
    with pytest.raises(WrongError):
        accounts.sign_in(name, password, "a")


def test_too_many_wrong_passwords_lock_the_name_for_a_while_even_for_the_right_one(accounts: Accounts, clock: Clock):
    for _ in range(TRIES_OF_A_NAME):
        with pytest.raises(WrongError):
            accounts.sign_in("w-1", "wrong horse 42", "a")
    with pytest.raises(LockedError) as told:
        accounts.sign_in("w-1", GOOD, "b")
    assert 0 < told.value.wait_s <= WINDOW_S
    clock.now += told.value.wait_s
    assert accounts.operator(accounts.sign_in("w-1", GOOD, "b")) == "w-1"


def test_guessing_side_by_side_gains_nothing(accounts: Accounts):
    def guess(_: int) -> str:
        try:
            accounts.sign_in("w-1", "wrong horse 42", "a")
        except (WrongError, LockedError) as error:
            return type(error).__name__
        return "in"

    with ThreadPoolExecutor(8) as pool:
        told = list(pool.map(guess, range(TRIES_OF_A_NAME + 4)))
    assert (told.count("WrongError"), told.count("LockedError")) == (TRIES_OF_A_NAME, 4)


def test_an_address_that_tries_one_name_after_the_other_is_stopped_and_fills_no_table(accounts: Accounts, books: Books):
    for n in range(TRIES_OF_AN_ADDRESS):
        with pytest.raises(WrongError):
            accounts.sign_in(f"name-{n}", GOOD, "a")
    for n in range(3):
        with pytest.raises(LockedError):
            accounts.sign_in(f"other-{n}", GOOD, "a")
    assert books.rows("SELECT count(*) AS n FROM attempts")[0]["n"] == 2 * TRIES_OF_AN_ADDRESS


def test_a_new_password_or_a_removal_ends_every_session(accounts: Accounts):
    token = accounts.sign_in("w-1", GOOD, "a")
    accounts.put("w-1", "another horse 43")
    assert accounts.operator(token) == ""
    with pytest.raises(WrongError):
        accounts.sign_in("w-1", GOOD, "a")
    token = accounts.sign_in("w-1", "another horse 43", "a")
    assert accounts.remove("w-1")
    assert (accounts.operator(token), accounts.remove("w-1")) == ("", False)


@pytest.mark.parametrize(("name", "password"), [("w-2", "short"), ("", GOOD), ("a b", GOOD), ("w-2", "x" * 201)])
def test_what_is_no_name_or_no_password_is_refused(accounts: Accounts, name: str, password: str):
    with pytest.raises(AccountError):
        accounts.put(name, password)


def test_an_operator_is_made_and_ended_on_the_command_line(tmp_path: Path):
    def user(*more: str, said: str = "") -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "simulators.backend", "user", *more, "--store", str(tmp_path / "b.db")]
        return subprocess.run(command, input=said, capture_output=True, text=True, check=False, encoding="utf-8")

    assert user("add", "w-1", said="short\n").returncode == 1
    assert user("add", "w-1", said=f"{GOOD}\n").returncode == 0
    assert user("list").stdout == "w-1\n"
    books = Books(tmp_path / "b.db")
    assert Accounts(books).sign_in("w-1", GOOD, "a")
    books.close()
    assert "is gone" in user("remove", "w-1").stdout
    assert "no operator" in user("remove", "w-1").stdout


# -- over HTTP -------------------------------------------------------------------------------------------------------


@pytest.fixture
def backend(tmp_path: Path) -> Iterator[Backend]:
    made = Backend(secret="whsec_" + "B" * 40, store=tmp_path / "http.db")
    made.accounts.put("w-1", GOOD)
    made.start()
    yield made
    made.stop()


def ask(backend: Backend, method: str, path: str, body: Any = None, **headers: str) -> http.client.HTTPResponse:
    port = int(backend.page.rsplit(":", 1)[1].strip("/"))
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    given = {"Content-Type": "application/json"} | {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request(method, path, json.dumps(body) if body is not None else None, given)
    answer = connection.getresponse()
    answer.read()
    connection.close()
    return answer


def signed_in(backend: Backend) -> str:
    answer = ask(backend, "POST", "/api/sign-in", {"name": "w-1", "password": GOOD})
    assert answer.status == 204
    cookie = answer.headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    return cookie.split(";")[0]


def test_nothing_is_shown_or_done_without_signing_in(backend: Backend):
    for method, path in (
        ("GET", "/api/cases"),
        ("GET", "/api/cases/a"),
        ("POST", "/api/cases/a/steps"),
        ("GET", "/api/"),
    ):
        assert ask(backend, method, path, {} if method == "POST" else None).status == 401
        assert ask(backend, method, path, {} if method == "POST" else None, Cookie=f"{COOKIE}=guess").status == 401
    assert ask(backend, "GET", "/").status == 200
    cookie = signed_in(backend)
    assert ask(backend, "GET", "/api/cases", Cookie=cookie).status == 200
    assert ask(backend, "POST", "/api/sign-out", {}, Cookie=cookie).status == 204
    assert ask(backend, "GET", "/api/cases", Cookie=cookie).status == 401


def test_nobody_can_make_it_misbehave_or_trust_another_secret_unless_it_is_there_for_tests(backend: Backend):
    assert ask(backend, "POST", "/control", {"secret": "whsec_" + "A" * 40, "status": 410}).status == 404
    assert ask(backend, "GET", "/received").status == 404


def test_another_page_cannot_act_with_the_operators_session_nor_read_by_a_name_of_its_own(backend: Backend):
    cookie = signed_in(backend)
    step = {"work": "claimed"}
    for headers in ({"Origin": "http://evil.example"}, {"Content_Type": "text/plain"}, {"Origin": "null"}):
        assert ask(backend, "POST", "/api/cases/a/steps", step, Cookie=cookie, **headers).status == 403
    assert ask(backend, "GET", "/api/cases", Cookie=cookie, Host="evil.example:9000").status == 421
    assert (
        ask(backend, "POST", "/api/sign-in", {"name": "w-1", "password": GOOD}, Origin="http://evil.example").status
        == 403
    )


@pytest.mark.parametrize(
    "head",
    [
        "POST /hook HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "POST /hook HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0\r\nContent-Length: 40\r\n\r\n",
        "POST /hook HTTP/1.1\r\nHost: {host}\r\nContent-Length: -1\r\n\r\n",
        "POST /hook HTTP/1.1\r\nHost: {host}\r\nContent-Length: 99999999\r\n\r\n",
    ],
)
def test_a_body_of_doubtful_length_ends_the_connection(backend: Backend, head: str):
    host = backend.page.removeprefix("http://").strip("/")
    name, port = host.split(":")
    with socket.create_connection((name, int(port)), timeout=10) as line:
        line.sendall((head.format(host=host) + f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n").encode())
        said = b""
        try:
            while piece := line.recv(65536):
                said += piece
        except ConnectionResetError:
            pass
    assert said.count(b"HTTP/1.1 ") == 1
    assert b" 400 " in said or b" 413 " in said


def test_wrong_passwords_over_http_are_answered_401_and_then_429(backend: Backend):
    wrong = {"name": "w-1", "password": "wrong horse 42"}
    told = [ask(backend, "POST", "/api/sign-in", wrong).status for _ in range(TRIES_OF_A_NAME + 1)]
    assert told == [401] * TRIES_OF_A_NAME + [429]
    for body in ({}, {"name": 7, "password": []}, [], "x"):
        assert ask(backend, "POST", "/api/sign-in", body).status == 422
