"""Calls to real doors on 127.0.0.1: once, in time, told by what the door said and never by hope."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from devices.model import HttpCall
from gateway.access import Access, AccessBook
from gateway.caller import WAITING_AT_MOST, Caller
from gateway.inbox import Called, CommandUnsent, Inbox
from gateway.store import Store
from gateway.vault import Vault
from simulators.http_door import HttpDoor
from tests.e2e.running import eventually

OPEN = HttpCall(
    method="PUT", path="/ISAPI/AccessControl/RemoteControl/door/1", payload=b"<x/>", media="application/xml"
)


class Line:
    """A caller, its book, and what comes back."""

    def __init__(self, folder: Path) -> None:
        self.store = Store(folder / "linli.db")
        self.book = AccessBook(self.store, Vault.at(folder / "keys"))
        self.inbox = Inbox()
        self.now = datetime(2026, 11, 25, 8, 0, tzinfo=UTC)
        self.caller = Caller(self.book, self.inbox, clock=lambda: self.now)

    def door(self, door: HttpDoor, **more: Any) -> None:
        given = {"url": door.url, "username": door.username, "password": door.password, **more}
        self.book.put("door-1", Access(**given))

    def call(self, *, command: str = "c-1", within_s: float = 5, call: HttpCall = OPEN) -> str:
        return self.caller.call(call, "door-1", command, self.now + timedelta(seconds=within_s))

    def answer(self) -> Any:
        (item,) = eventually(self.inbox.take, what="the outcome of the call")
        return item.what

    def why(self) -> str:
        unsent = self.answer()
        assert isinstance(unsent, CommandUnsent)
        named, _, reason = unsent.reason.partition(": ")
        assert named == "door-1"
        return reason


@pytest.fixture
def line(tmp_path: Path) -> Iterator[Line]:
    made = Line(tmp_path)
    yield made
    made.caller.stop()
    made.store.close()


@pytest.fixture
def door() -> Iterator[HttpDoor]:
    made = HttpDoor()
    yield made
    made.close()


def test_a_door_that_asks_for_digest_is_opened_once(line: Line, door: HttpDoor) -> None:
    line.door(door)
    assert line.call() == ""
    called = line.answer()
    assert isinstance(called, Called)
    assert (called.command, called.status, b"<statusCode>1<" in called.body) == ("c-1", 200, True)
    assert [(told.method, told.path, told.body) for told in door.told] == [("PUT", OPEN.path, b"<x/>")]


def test_a_lost_reply_is_no_failure_and_no_second_call(line: Line, door: HttpDoor) -> None:
    door.reply = "none"
    line.door(door)
    line.call()
    eventually(lambda: not line.caller._waiting, what="the end of the call")
    assert len(door.told) == 1
    assert line.inbox.take() == []


def test_nothing_is_called_after_its_time(line: Line, door: HttpDoor) -> None:
    line.door(door)
    line.call(within_s=-1)
    assert line.why() == "not_after passed before it could be called"
    assert door.asked == 0


def test_what_waits_behind_a_slow_call_is_dropped_when_its_time_is_over(line: Line, door: HttpDoor) -> None:
    door.reply = "late"
    line.door(door)
    line.call(command="c-1")
    assert door.arrived.wait(10)
    line.call(command="c-2")
    line.now += timedelta(seconds=6)
    door.release.set()
    outcomes = eventually(lambda: len(line.inbox) == 2 and line.inbox.take())
    assert [item.what.command for item in outcomes] == ["c-1", "c-2"]
    assert isinstance(outcomes[1].what, CommandUnsent)
    assert len(door.told) == 1


def test_a_password_asked_for_too_late_is_not_given(line: Line, door: HttpDoor) -> None:
    line.door(door)
    times = iter([line.now, line.now + timedelta(seconds=6)])
    caller = Caller(line.book, line.inbox, clock=lambda: next(times))
    caller.call(OPEN, "door-1", "c-1", line.now + timedelta(seconds=5))
    assert "not_after passed" in line.why()
    assert (door.asked, door.told) == (1, [])
    caller.stop()


def test_one_call_at_a_time_for_each_device(line: Line, door: HttpDoor) -> None:
    line.door(door)
    for n in range(WAITING_AT_MOST):
        assert line.call(command=f"c-{n}") == ""
    outcomes = eventually(lambda: len(line.inbox) == WAITING_AT_MOST and line.inbox.take())
    assert [item.what.command for item in outcomes] == [f"c-{n}" for n in range(WAITING_AT_MOST)]
    assert door.together == 1


def test_too_many_calls_for_one_device_are_refused(line: Line, door: HttpDoor) -> None:
    door.reply = "late"
    line.door(door)
    refused = [line.call(command=f"c-{n}") for n in range(WAITING_AT_MOST + 2)]
    assert refused == [""] * (WAITING_AT_MOST + 1) + ["too many calls wait for this device"]


def test_who_stops_calls_nobody_any_more(line: Line, door: HttpDoor) -> None:
    line.door(door)
    line.caller.stop()
    assert line.call() == "the gateway is stopping"
    assert door.asked == 0


@pytest.mark.parametrize(
    ("reply", "access", "why"),
    [
        ("status", {"password": "wrong"}, "it refused the username or the password of its access"),
        ("status", {"username": "", "password": ""}, "it asks for a username and a password, which"),
        ("basic", {}, "it offers no digest authentication"),
        ("redirect", {}, "it answered with a redirect, which is never followed"),
        ("status", {"url": ""}, "the url of its access is not set"),
        ("status", {"url": "http://127.0.0.1:9"}, "it cannot be reached at the url of its access"),
    ],
)
def test_what_was_not_done_says_what_to_mend(line: Line, door: HttpDoor, reply: str, access: dict, why: str) -> None:
    door.reply = reply
    line.door(door, **access)
    line.call()
    told = line.why()
    assert told.startswith(why)
    assert "wrong" not in told
    assert door.told == []


def certificate(folder: Path) -> tuple[Path, str]:
    """A certificate that nobody but its camera has signed, and its fingerprint."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "camera")])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(x509.random_serial_number()).not_valid_before(now - timedelta(days=1))
    made = builder.not_valid_after(now + timedelta(days=1)).sign(key, hashes.SHA256())
    form = serialization.PrivateFormat.PKCS8
    pem = key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
    path = folder / "camera.pem"
    path.write_bytes(pem + made.public_bytes(serialization.Encoding.PEM))
    return path, hashlib.sha256(made.public_bytes(serialization.Encoding.DER)).hexdigest()


def test_a_camera_that_signs_for_itself_is_known_by_its_fingerprint(line: Line, tmp_path: Path) -> None:
    path, fingerprint = certificate(tmp_path)
    door = HttpDoor(tls=path)
    try:
        line.door(door, fingerprint=fingerprint)
        line.call()
        assert isinstance(line.answer(), Called)
        for other in ("00" * 32, ""):
            line.door(door, fingerprint=other)
            line.call()
            assert line.why().startswith("its certificate is not the one of its access")
        assert len(door.told) == 1
    finally:
        door.close()
