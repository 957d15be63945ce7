"""Digest as cameras speak it: checked against the client of requests, and replayed."""

from __future__ import annotations

from typing import Any

import pytest
from requests.auth import HTTPDigestAuth
from requests.utils import parse_dict_header

from api import digest
from api.digest import Digests, Verdict

TARGET = "/ingest/hik_camera/CAM1?x=1"
TOKEN = "abcdEFGH23456789"


def answered(challenge: str, *, user: str = "cam-1", password: str = TOKEN, times: int = 1) -> str:
    """What a client makes of a challenge, the last of so many requests with one nonce."""
    auth: Any = HTTPDigestAuth(user, password)
    auth.init_per_thread_state()
    auth._thread_local.chal = parse_dict_header(challenge.removeprefix("Digest "))
    headers = [auth.build_digest_header("POST", f"http://gateway{TARGET}") for _ in range(times)]
    return headers[-1].removeprefix("Digest ")


def check(digests: Digests, given: str, *, now: float = 100.0, method: str = "POST", target: str = TARGET) -> Verdict:
    return digests.check(method, target, given, {"cam-1", "CAM1"}, TOKEN, now)


@pytest.mark.parametrize("n", [0, 1])
def test_a_camera_that_knows_the_token_is_known_by_each_algorithm(n: int) -> None:
    digests = Digests()
    challenge = digests.challenges(100.0)[n]
    assert check(digests, answered(challenge)) is Verdict.GOOD
    assert check(digests, answered(challenge, times=2)) is Verdict.GOOD


def test_what_was_recorded_and_sent_again_is_stale() -> None:
    digests = Digests()
    given = answered(digests.challenges(100.0)[0], times=3)
    assert check(digests, given) is Verdict.GOOD
    assert check(digests, given) is Verdict.STALE
    assert check(digests, answered(digests.challenges(100.0)[0], times=2)) is Verdict.STALE


def test_a_nonce_ends_and_the_client_is_told_so() -> None:
    digests = Digests()
    given = answered(digests.challenges(100.0)[0])
    assert check(digests, given, now=100.0 + digest.NONCE_FOR_S + 1) is Verdict.STALE
    assert "stale=true" in digests.challenges(500.0, stale=True)[0]


def test_a_nonce_of_another_gateway_is_not_taken() -> None:
    assert check(Digests(), answered(Digests().challenges(100.0)[0])) is Verdict.STALE


def test_what_was_forgotten_does_not_become_new_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(digest, "NONCES_KEPT", 2)
    digests = Digests()
    old = answered(digests.challenges(100.0)[0])
    assert check(digests, old) is Verdict.GOOD
    for n in range(1, 4):
        assert check(digests, answered(digests.challenges(100.0 + n)[0]), now=100.0 + n) is Verdict.GOOD
    assert check(digests, old, now=104.0) is Verdict.STALE


def test_another_password_user_method_or_address_proves_nothing() -> None:
    digests = Digests()
    challenge = digests.challenges(100.0)[0]
    assert check(digests, answered(challenge, password="wrong")) is Verdict.WRONG
    assert check(digests, answered(challenge, user="cam-2")) is Verdict.WRONG
    assert check(digests, answered(challenge), method="PUT") is Verdict.WRONG
    assert check(digests, answered(challenge), target="/ingest/hik_camera/CAM2") is Verdict.WRONG


def test_a_camera_of_the_older_kind_counts_nothing() -> None:
    digests = Digests()
    challenge = digests.challenges(100.0)[1].replace('qop="auth", ', "")
    given = answered(challenge)
    assert "nc=" not in given
    assert check(digests, given) is Verdict.GOOD


@pytest.mark.parametrize(
    "given",
    ["", "garbage", 'username="cam-1"', 'username="cam-1", realm="linli", algorithm=MD5-sess', "=" * 5000, 'x="' * 900],
)
def test_garbage_proves_nothing(given: str) -> None:
    assert check(Digests(), given) is Verdict.WRONG
