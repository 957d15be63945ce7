import json
import time
from datetime import UTC, datetime
from ipaddress import ip_network
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from devices.alert_types import ALERT_TYPES, Severity
from devices.alerts import Alert
from gateway import webhooks
from gateway.store import us
from gateway.vault import Vault
from gateway.webhooks import BlockedError, Network, cloud_event, public_detail, resolve_allowed, secret_bytes, sign

NOW = datetime(2024, 5, 1, 8, 30, tzinfo=UTC)
EVERYWHERE = (ip_network("0.0.0.0/0"), ip_network("::/0"))
SECRET = "whsec_" + "QUJDREVGR0hJSktMTU5PUFFSU1RVVldY"
VAULT = Vault(bytes(32))


def pseudonym(value: str) -> str:
    return VAULT.digest(value).hex()[:32]


def alert(**more: Any) -> Alert:
    given = {
        "id": "7d9f0f0e-0000-5000-8000-000000000001",
        "key": "c1/barrier-1/blocklisted_plate/veh_1",
        "type": "blocklisted_plate",
        "severity": Severity.P1,
        "community": "c1",
        "building": "b3",
        "device": "barrier-1",
        "instance": "veh_1",
        "first_seen": NOW,
        "last_seen": NOW,
        "raised_at": NOW,
        "subject": "苏A00001",
        "evidence": "ab" * 32,
        "detail": {"listing": "block", "plate": "苏A00001", "owner": "zhang", "dwell_s": 4.5, "embedding": [0.1] * 128},
    }
    return Alert(**{**given, **more})


def event(of: Alert, change: str = "raised") -> dict[str, Any]:
    row = {"seq": 42, "change": change, "at": us(NOW), "reason": "Zhang San says", "actor": "desk"}
    return cloud_event(row, of, source="/linli/c1", pseudonym=pseudonym)


def test_an_alert_becomes_a_cloud_event() -> None:
    said = event(alert())
    data = said.pop("data")
    assert said == {
        "specversion": "1.0",
        "id": "42.7d9f0f0e-0000-5000-8000-000000000001",
        "source": "/linli/c1",
        "type": "cn.linli.alert.raised.v1",
        "subject": "7d9f0f0e-0000-5000-8000-000000000001",
        "time": "2024-05-01T08:30:00Z",
        "datacontenttype": "application/json",
        "sequence": "42",
        "sequencetype": "Integer",
    }
    assert data["severity"] == 1
    assert data["place"] == {"community": "c1", "grid": "", "building": "b3"}
    assert data["evidence"] == "/v1/evidence/" + "ab" * 32
    assert data["six_zero"] == "零发案"
    assert data["detail"] == {"listing": "block", "dwell_s": 4.5}


def test_nothing_personal_leaves() -> None:
    said = json.dumps(event(alert()), ensure_ascii=False)
    for secret in ("苏A00001", "veh_1", "zhang", "Zhang", "0.1"):
        assert secret not in said
    assert event(alert())["data"]["subject"] == pseudonym("苏A00001")


def test_an_instance_that_is_no_registry_id_is_told() -> None:
    said = event(alert(instance="door-2", subject="", type="door_forced"))
    assert said["data"]["key"] == "c1/barrier-1/door_forced/door-2"


@given(
    st.dictionaries(
        st.sampled_from(["plate", "level_pct", "person_id", "a b", "code", "n"]),
        st.one_of(st.text(max_size=40), st.floats(), st.booleans(), st.none(), st.lists(st.floats())),
    )
)
def test_detail_that_leaves_is_json_and_short(detail: dict[str, Any]) -> None:
    told = public_detail(detail)
    json.dumps(told, allow_nan=False)
    assert set(told) <= {"level_pct", "code", "n"}
    assert all(not isinstance(value, str) or len(value) <= 32 for value in told.values())


@pytest.mark.parametrize("code", list(ALERT_TYPES))
def test_every_type_of_alert_can_be_said(code: str) -> None:
    said = event(alert(type=code, severity=ALERT_TYPES[code].severity), "cleared")
    assert said["type"] == "cn.linli.alert.cleared.v1"
    assert said["data"]["title"]["zh"] == ALERT_TYPES[code].title_zh


@given(body=st.text().map(str.encode), msg_id=st.text("abc._0123", min_size=1))
def test_receivers_can_verify_the_signature(body: bytes, msg_id: str) -> None:
    headers = sign([secret_bytes(SECRET)], msg_id, int(time.time()), body)
    Webhook(SECRET).verify(body, headers, json_parse=False)
    with pytest.raises(WebhookVerificationError):
        Webhook(SECRET).verify(body + b"!", headers, json_parse=False)


def test_the_published_vector_comes_out_as_published() -> None:
    key = secret_bytes("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    headers = sign([key], "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_both_secrets_verify_while_one_takes_over() -> None:
    other = "whsec_" + "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    headers = sign([secret_bytes(SECRET), secret_bytes(other)], "sub_1.1", int(time.time()), b"{}")
    for secret in (SECRET, other):
        Webhook(secret).verify(b"{}", headers)


@pytest.mark.parametrize("secret", ["whsec_", "whsec_not base64!", "whsec_QUI"])
def test_a_broken_secret_is_refused(secret: str) -> None:
    with pytest.raises(ValueError, match="signing secret"):
        secret_bytes(secret)


ALWAYS_BLOCKED = [
    "ftp://127.0.0.1/x",
    "file:///etc/passwd",
    "http:///nohost",
    "http://user:pw@127.0.0.1/",
    "http://127.0.0.1:99999/",
    "http://169.254.169.254/latest/meta-data",
    "http://[fe80::1]/",
    "http://[fd00:ec2::254]/",
    "http://100.100.100.200/",
    "http://168.63.129.16/",
    "http://[::ffff:169.254.169.254]/",
    "http://[2002:a9fe:a9fe::1]/",
    "http://[64:ff9b::a9fe:a9fe]/",
    "http://0.0.0.0/",
    "http://[::]/",
    "http://224.0.0.1/",
    "http://255.255.255.255/",
    "http://2852039166/",
]
PRIVATE = [
    "http://127.0.0.1/",
    "http://[::1]/",
    "http://10.1.2.3/",
    "http://192.168.1.10:8080/hook",
    "http://[::ffff:10.0.0.1]/",
    "http://2130706433/",
    "http://[fc00::1]/",
    "http://[fec0::1]/",
    "http://0x7f.1/",
    "http://0177.0.0.1/",
    "http://127.1/",
    "http://100.64.0.1/",
    "http://[::ffff:7f00:1]/",
]


@pytest.mark.parametrize("url", ALWAYS_BLOCKED)
@pytest.mark.parametrize("allow", [EVERYWHERE, ()])
def test_some_addresses_are_never_called(url: str, allow: tuple[Network, ...]) -> None:
    with pytest.raises(BlockedError):
        resolve_allowed(url, allow)


@pytest.mark.parametrize("url", PRIVATE)
def test_private_addresses_are_called_only_where_allowed(url: str) -> None:
    assert resolve_allowed(url, allow=EVERYWHERE).ip
    with pytest.raises(BlockedError, match=r"webhooks\.allow"):
        resolve_allowed(url, allow=())


def test_a_public_address_is_called() -> None:
    target = resolve_allowed("https://93.184.215.14/hook?a=1", allow=())
    assert target == ("93.184.215.14", "93.184.215.14", 443, True, "/hook?a=1")


def test_one_bad_address_among_a_names_several_blocks_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def resolve(*_: object, **__: object) -> list[Any]:
        return [(2, 1, 6, "", ("93.184.215.14", 80)), (2, 1, 6, "", ("169.254.169.254", 80))]

    monkeypatch.setattr(webhooks.socket, "getaddrinfo", resolve)
    with pytest.raises(BlockedError):
        resolve_allowed("http://backend.example/", allow=EVERYWHERE)


def test_a_chinese_name_is_called_by_its_ascii_form(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []

    def resolve(host: object, *_: object, **__: object) -> list[Any]:
        asked.append(host)
        return [(2, 1, 6, "", ("93.184.215.14", 80))]

    monkeypatch.setattr(webhooks.socket, "getaddrinfo", resolve)
    target = resolve_allowed("http://网格.example/", allow=EVERYWHERE)
    assert [target.host] == asked == ["xn--0xvs72c.example"]
    with pytest.raises(BlockedError):
        resolve_allowed(f"http://{'网' * 80}.example/", allow=EVERYWHERE)
