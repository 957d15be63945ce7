import json
import sqlite3
from datetime import UTC, datetime

import pytest
import urllib3
from standardwebhooks.webhooks import Webhook

from simulators.backend import Backend
from simulators.backend.store import Books
from simulators.backend.trust import Trust
from simulators.client import ApiError

pytest_plugins = ["simulators.testing"]
SECRET = "whsec_" + "B" * 40


def deliver(backend, *, webhook_id="msg_1", secret=None, body=None, more=None):
    event = {"specversion": "1.0", "id": "e1", "source": "linli", "type": "linli.alert.raised", "data": {"id": "a1"}}
    data = json.dumps(event if body is None else body)
    now = datetime.now(UTC)
    headers = {
        "webhook-id": webhook_id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": Webhook(secret or backend.secrets[0]).sign(webhook_id, now, data),
        "content-type": "application/cloudevents+json",
    }
    return urllib3.request(
        "POST", backend.url, body=data, headers=headers | (more or {}), retries=False, timeout=5
    ).status


def control(backend, **mood):
    url = backend.url.replace("/hook", "/control")
    return urllib3.request("POST", url, body=json.dumps(mood), timeout=5).status


def received(backend):
    return urllib3.request("GET", backend.url.replace("/hook", "/received"), timeout=5).json()


def test_a_signed_alert_is_kept_and_answered_with_204(receiving_backend):
    assert deliver(receiving_backend) == 204
    assert received(receiving_backend)["ids"] == ["msg_1"]
    assert received(receiving_backend)["alerts"] == ["a1"]


def test_a_repeated_delivery_is_kept_once(receiving_backend):
    assert [deliver(receiving_backend), deliver(receiving_backend)] == [204, 204]
    assert (received(receiving_backend)["count"], received(receiving_backend)["duplicates"]) == (1, 1)


def test_a_delivery_signed_with_another_secret_is_refused_and_counted(receiving_backend):
    other = "whsec_" + "A" * 40
    assert deliver(receiving_backend, secret=other) == 401
    assert (received(receiving_backend)["count"], received(receiving_backend)["bad_signatures"]) == (0, 1)
    assert control(receiving_backend, secret=other) == 200
    assert deliver(receiving_backend, secret=other) == 204


def test_what_is_not_a_cloudevent_is_refused(receiving_backend):
    assert deliver(receiving_backend, body={"hello": "world"}) == 422


@pytest.mark.parametrize("status", [500, 410])
def test_it_fails_when_told_to_and_keeps_nothing(receiving_backend, status):
    assert control(receiving_backend, status=status) == 200
    assert deliver(receiving_backend) == status
    assert received(receiving_backend)["count"] == 0
    assert control(receiving_backend) == 200
    assert deliver(receiving_backend) == 204


def test_it_vanishes_when_told_to(receiving_backend):
    control(receiving_backend, vanish=True)
    with pytest.raises(urllib3.exceptions.HTTPError):
        deliver(receiving_backend)


def test_a_restart_remembers_what_was_received(tmp_path):
    path = tmp_path / "backend.db"
    first = Backend(secret=SECRET, store=path, testing=True)
    first.start()
    assert deliver(first) == 204
    first.stop()
    second = Backend(secret=SECRET, store=path, testing=True)
    second.start()
    assert deliver(second) == 204
    assert deliver(second, webhook_id="msg_3") == 204
    assert (received(second)["ids"], received(second)["duplicates"]) == (["msg_1", "msg_3"], 1)
    second.stop()


@pytest.mark.parametrize(
    "more",
    [
        {"webhook-signature": "hello"},
        {"webhook-signature": "v1,%%%"},
        {"webhook-signature": "v1"},
        {"webhook-timestamp": "nan"},
        {"webhook-timestamp": "1"},
        {"webhook-id": "msg_2"},
    ],
)
def test_a_signature_that_is_none_is_answered_401_and_not_with_silence(receiving_backend, more):
    assert deliver(receiving_backend, more=more) == 401
    assert received(receiving_backend)["count"] == 0


@pytest.mark.parametrize(
    "data",
    [
        {"type": "door_forced", "severity": "<b>", "work": "none"},
        {"type": "door_forced", "severity": 9, "work": "none"},
        {"type": "door_forced", "severity": 1, "work": "king"},
        {"type": "door_forced", "severity": 1, "title": "<img src=x>"},
        {"type": "door_forced", "severity": 1, "place": ["x"]},
        {"type": ["x"], "severity": 1},
    ],
)
def test_an_alert_of_another_shape_is_refused_and_spoils_no_case(receiving_backend, data):
    event = {"specversion": "1.0", "id": "e1", "source": "linli", "type": "t", "subject": "a1", "sequence": "1"}
    assert deliver(receiving_backend, body=event | {"data": data}) == 422
    assert receiving_backend.books.cases(open_only=False) == []
    good = {"type": "door_forced", "severity": 1, "work": "none"}
    assert deliver(receiving_backend, body=event | {"data": good}) == 204
    assert len(receiving_backend.books.cases(open_only=True)) == 1


def test_a_delivery_that_cannot_be_kept_is_asked_for_again(receiving_backend, monkeypatch):
    def full(*_):
        raise sqlite3.OperationalError("database or disk is full")

    with monkeypatch.context() as patched:
        patched.setattr(receiving_backend.books, "deliver", full)
        assert deliver(receiving_backend) == 503
    assert deliver(receiving_backend) == 204


@pytest.mark.parametrize("secret", ["whsec_", "hello", "whsec_%%%", "whsec_" + "A" * 8])
def test_a_secret_nothing_can_be_verified_with_is_refused_at_the_start(tmp_path, secret):
    with pytest.raises(ValueError, match="secret"):
        Backend(secret=secret, store=tmp_path / "backend.db")


class Subscribing:
    """The gateway's part of subscribing; `cut`: what is answered is lost on the way."""

    def __init__(self):
        self.known, self.cut = {}, False

    def subscriptions(self):
        return [{"id": name} | one for name, one in self.known.items()]

    def subscribe(self, url, *, secret):
        same = [n for n, one in self.known.items() if (one["url"], one["secret"]) == (url, secret)]
        name = same[0] if same else f"s{len(self.known)}-{secret[-4:]}"
        self.known.setdefault(name, {"url": url, "secret": secret, "disabled": "", "old": ""})
        return self._answered({"id": name})

    def unsubscribe(self, name):
        del self.known[name]

    def rotate(self, name, secret, *, overlap_hours):
        one = self.known[name]
        if one["secret"] != secret:
            one["old"], one["secret"] = one["secret"], secret
        return self._answered({"old_until": "2026-05-02T00:00:00Z"})

    def _answered(self, answer):
        if self.cut:
            raise ApiError("cut")
        return answer


@pytest.fixture
def trust(tmp_path):
    books = Books(tmp_path / "trust.db")
    yield Trust(books, clock=lambda: datetime(2026, 5, 1, tzinfo=UTC).timestamp())
    books.close()


def test_a_subscription_whose_answer_was_lost_is_found_again_and_its_secret_known(trust):
    gateway = Subscribing()
    gateway.known["orphan"] = {"url": "http://b/hook", "secret": "lost", "disabled": "", "old": ""}
    gateway.cut = True
    with pytest.raises(ApiError):
        trust.subscribe(gateway, "http://b/hook")
    gateway.cut = False
    trust.subscribe(gateway, "http://b/hook")
    assert [one["secret"] for one in gateway.known.values()] == trust.secrets()


def test_a_rotated_secret_is_trusted_before_the_gateway_uses_it_and_the_old_one_until_its_end(trust):
    gateway = Subscribing()
    trust.subscribe(gateway, "http://b/hook")
    [first] = trust.secrets()
    gateway.cut = True
    with pytest.raises(ApiError):
        trust.rotate(gateway)
    [one] = gateway.known.values()
    assert {one["secret"], one["old"]} <= set(trust.secrets())
    gateway.cut = False
    trust.subscribe(gateway, "http://b/hook")
    assert (trust.secrets(), one["old"]) == ([one["secret"], first], first)
    trust._clock = lambda: datetime(2026, 5, 3, tzinfo=UTC).timestamp()
    assert trust.secrets() == [one["secret"]]
