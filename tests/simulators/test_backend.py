import json
from datetime import UTC, datetime

import pytest
import urllib3
from standardwebhooks.webhooks import Webhook

from simulators.backend import Backend

pytest_plugins = ["simulators.testing"]
SECRET = "whsec_" + "B" * 40


def deliver(backend, *, webhook_id="msg_1", secret=None, body=None):
    event = {"specversion": "1.0", "id": "e1", "source": "linli", "type": "linli.alert.raised", "data": {"id": "a1"}}
    data = json.dumps(event if body is None else body)
    now = datetime.now(UTC)
    headers = {
        "webhook-id": webhook_id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": Webhook(secret or backend.secrets[0]).sign(webhook_id, now, data),
        "content-type": "application/cloudevents+json",
    }
    return urllib3.request("POST", backend.url, body=data, headers=headers, retries=False, timeout=5).status


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
    first = Backend(secret=SECRET, store=path)
    first.start()
    assert deliver(first) == 204
    first.stop()
    second = Backend(secret=SECRET, store=path)
    second.start()
    assert deliver(second) == 204
    assert deliver(second, webhook_id="msg_3") == 204
    assert (received(second)["ids"], received(second)["duplicates"]) == (["msg_1", "msg_3"], 1)
    second.stop()
