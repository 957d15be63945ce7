"""What a device that asks for the password is shown: the RFC's own figures, and what our own server takes."""

from __future__ import annotations

import pytest

from api.digest import Digests, Verdict
from gateway.digest import authorization, challenge_of

RFC_2617 = (
    'Digest realm="testrealm@host.com", qop="auth,auth-int", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093", '
    'opaque="5ccc069c403ebaf9f0171e9517f40e41"'
)


def test_the_answer_is_the_one_of_the_rfc() -> None:
    challenge = challenge_of([RFC_2617])
    assert challenge is not None
    shown = authorization(
        challenge,
        username="Mufasa",
        password="Circle Of Life",
        method="GET",
        target="/dir/index.html",
        cnonce="0a4f113b",
    )
    assert 'response="6629fae49393a05397450978507c4ef1"' in shown
    assert 'opaque="5ccc069c403ebaf9f0171e9517f40e41"' in shown


def test_the_better_algorithm_is_taken_and_our_own_server_takes_the_answer() -> None:
    digests = Digests()
    challenge = challenge_of(reversed(digests.challenges(100.0)))
    assert challenge is not None
    assert challenge.algorithm == "SHA-256"
    shown = authorization(challenge, username="cam-1", password="密码", method="GET", target="/x?y=1", cnonce="7")
    given = shown.removeprefix("Digest ")
    assert digests.check("GET", "/x?y=1", given, {"cam-1"}, "wrong", 100.0) is Verdict.WRONG
    assert digests.check("GET", "/x?y=1", given, {"cam-1"}, "密码", 100.0) is Verdict.GOOD


def test_an_old_camera_that_knows_no_qop_is_answered_without_one() -> None:
    challenge = challenge_of(['Digest realm="IP Camera", nonce="abc"'])
    assert challenge is not None
    shown = authorization(challenge, username="u", password="p", method="GET", target="/", cnonce="7")
    assert "qop" not in shown
    assert "cnonce" not in shown


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Basic realm=x",
        "Digest",
        'Digest realm="x"',
        'Digest nonce="n", algorithm=MD5-sess',
        'Digest nonce="n", qop="auth-int"',
    ],
)
def test_what_cannot_be_answered_is_no_challenge(header: str) -> None:
    assert challenge_of([header]) is None
