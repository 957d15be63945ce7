"""Bad input through the real broker: every kind ends where it should; a healthy device beside it notices nothing."""

import json
import socket
import struct
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from tests.e2e.poisons import NOW, POISONS, Poison, notice
from tests.e2e.running import Address, NativeDevice, Peer, RunningGateway, eventually, now, running

pytestmark = pytest.mark.e2e
KINDS = {"native": "face_gate", "oem_face": "face_gate", "vzenith": "barrier"}


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGateway]:
    with running(tmp_path_factory.mktemp("poison"), workers=1) as found:
        for n, poison in enumerate(POISONS):
            kind = KINDS[poison.protocol]
            found.put_device(
                f"bad-{n}", kind, poison.protocol, params={"face_answer_s": 60} if kind == "face_gate" else {}
            )
        for name in ("healthy", "fence"):
            found.put_device(name, "camera")
        yield found


@pytest.fixture(scope="module")
def villain(gateway: RunningGateway) -> Iterator[Peer]:
    peer = Peer(gateway.broker, "villain")
    yield peer
    peer.close()


class Healthy:
    """A good device that speaks all the time, and knows what the broker has taken."""

    def __init__(self, broker: Address) -> None:
        self.taken: list[int] = []
        self._peer = Peer(broker, "healthy")
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        number = 0
        while not self._over.wait(0.02):
            number += 1
            message = {"id": str(number), "event": {"type": "vendor_notice", "at": now(), "name": f"n-{number}"}}
            self._peer.say("linli/v1/healthy/event", message)
            self.taken.append(number)

    def end(self) -> None:
        self._over.set()
        self._thread.join()
        self._peer.close()


@pytest.fixture(scope="module", autouse=True)
def healthy(gateway: RunningGateway) -> Iterator[Healthy]:
    device = Healthy(gateway.broker)
    yield device
    device.end()


def fence(gateway: RunningGateway, villain: Peer) -> None:
    """Wait until the gateway has worked off what was sent before."""
    name = f"fence-{id(object())}-{now()}"
    event = {"type": "vendor_notice", "at": now(), "name": name}
    villain.say("linli/v1/fence/event", {"event": event})
    eventually(lambda: any(event["name"] == name for event in gateway.events("fence", "vendor_notice")))


def quarantined(gateway: RunningGateway, topic: str) -> list[str]:
    return [row[0] for row in gateway.rows("SELECT reason FROM quarantine WHERE topic=?", topic)]


def journalled(gateway: RunningGateway, device: str) -> list[dict[str, Any]]:
    """All a device has said, but for its coming and going."""
    found = gateway.rows(
        "SELECT type, late, body FROM events WHERE device=? AND type<>'device_status_changed' ORDER BY seq", device
    )
    return [{"type": type_, "late": bool(late), **json.loads(body)} for type_, late, body in found]


@pytest.mark.parametrize(("n", "poison"), list(enumerate(POISONS)), ids=[poison.name for poison in POISONS])
def test_bad_input_ends_where_it_should(gateway: RunningGateway, villain: Peer, n: int, poison: Poison) -> None:
    me = f"bad-{n}"
    topic = poison.topic.format(me=me)
    payload = poison.payload.replace(NOW.encode(), now().encode())
    before = len(quarantined(gateway, topic))
    for _ in range(poison.times):
        villain.say(topic, payload, qos=poison.qos)
    if poison.reason:
        eventually(lambda: len(quarantined(gateway, topic)) > before, what="quarantine")
        assert quarantined(gateway, topic)[before:] == [poison.reason]
        size = gateway.rows("SELECT size FROM quarantine WHERE topic=? ORDER BY seq DESC LIMIT 1", topic)
        assert size == [(len(payload),)]
    if poison.stored:
        eventually(lambda: any(event["type"] == poison.stored for event in journalled(gateway, me)), what=poison.stored)
    fence(gateway, villain)
    events = journalled(gateway, me)
    stored = [event for event in events if event["type"] == poison.stored]
    assert [event["late"] for event in stored] == ([poison.late] if poison.stored else [])
    assert [event.get("outcome") for event in stored if event["type"] == "face_identified"] in ([], ["unreadable"])
    assert bool(events) == bool(poison.stored)
    assert len(quarantined(gateway, topic)) == before + bool(poison.reason)
    assert gateway.get("/v1/commands", device=me)["items"] == [], "bad input moved something"
    assert gateway.bugs() == []


# -- what no MQTT library would send ---------------------------------------------


def mqtt_text(text: bytes) -> bytes:
    return struct.pack(">H", len(text)) + text


def packet(kind: int, body: bytes) -> bytes:
    length, left = b"", len(body)
    while True:
        left, digit = divmod(left, 128)
        length += bytes([digit | (128 if left else 0)])
        if not left:
            return bytes([kind]) + length + body


def publish_raw(broker: Address, topic: bytes, payload: bytes) -> str:
    """Send one QoS 1 publish whatever it is; what the broker does: "puback" or "closed"."""
    who = mqtt_text(b"raw") + mqtt_text(broker.user.encode()) + mqtt_text(broker.password.encode())
    with closing(socket.create_connection(("127.0.0.1", broker.port), 10)) as sock:
        sock.sendall(packet(0x10, mqtt_text(b"MQTT") + bytes([4, 0xC2, 0, 60]) + who))
        assert sock.recv(4) == b"\x20\x02\x00\x00"
        try:
            sock.sendall(packet(0x32, mqtt_text(topic) + b"\x00\x07" + payload))
            answer = sock.recv(4)
        except (ConnectionResetError, BrokenPipeError):
            return "closed"
    return "puback" if answer[:1] == b"\x40" else "closed"


@pytest.mark.parametrize(
    "topic",
    [b"linli/v1/a+b/event", b"linli/v1/+/event", b"linli/v1/#", b"linli/v1/a\x00b/event", b"linli/v1/a b/event"],
    ids=["plus", "only_plus", "hash", "nul", "blank"],
)
def test_the_broker_closes_on_a_topic_that_is_none(gateway: RunningGateway, villain: Peer, topic: bytes) -> None:
    before = gateway.rows("SELECT count(*) FROM quarantine")
    assert publish_raw(gateway.broker, topic, notice(at=now())) == "closed"
    fence(gateway, villain)
    assert gateway.rows("SELECT count(*) FROM quarantine") == before


def test_the_broker_closes_on_ten_megabytes(gateway: RunningGateway, villain: Peer) -> None:
    assert publish_raw(gateway.broker, b"linli/v1/bad-0/event", notice(at=now()) + b" " * 10_000_000) == "closed"
    fence(gateway, villain)


def test_a_topic_that_is_not_utf8_harms_nobody(gateway: RunningGateway, villain: Peer) -> None:
    assert publish_raw(gateway.broker, b"linli/v1/\xff\xfe/event", notice(at=now())) in ("puback", "closed")
    fence(gateway, villain)
    assert gateway.bugs() == []


# -- what needs more than one message ---------------------------------------------


def test_another_devices_answer_to_a_command_changes_nothing(gateway: RunningGateway) -> None:
    for name in ("asked", "nosy"):
        gateway.put_device(name, "face_gate")
    asked, nosy = NativeDevice(gateway.broker, "asked"), NativeDevice(gateway.broker, "nosy")
    eventually(lambda: gateway.get("/v1/devices/asked")["online"])
    command = gateway.api.post("/v1/devices/asked/commands", json={"type": "open_passage"}).json()["id"]
    nosy.answer(command, "done")
    nosy.event("door_changed", open=True)
    eventually(lambda: gateway.events("nosy", "command_answered") and gateway.events("nosy", "door_changed"))
    assert gateway.get(f"/v1/commands/{command}")["status"] == "sent"
    asked.answer(command, "failed")
    eventually(lambda: gateway.get(f"/v1/commands/{command}")["status"] == "failed")
    asked.close()
    nosy.close()


def test_a_command_forged_by_a_device_reaches_nobody_and_the_operator_is_told(
    gateway: RunningGateway, villain: Peer
) -> None:
    gateway.put_device("victim", "face_gate")
    victim = NativeDevice(gateway.broker, "victim")
    eventually(lambda: gateway.get("/v1/devices/victim")["online"])
    villain.say("linli/v1/victim/command", {"id": "forged", "command": {"type": "open_passage"}}, retain=True)
    eventually(lambda: "refused devices what they may not do" in str(gateway.api.get("/health").json()["problems"]))
    asked = gateway.api.post("/v1/devices/victim/commands", json={"type": "open_passage"}).json()["id"]
    assert victim.command()["id"] == asked, "the forged command came through"
    victim.answer(asked, "failed")
    victim.close()


def test_a_retained_event_is_ignored_when_it_comes_again_from_the_shelf(
    gateway: RunningGateway, villain: Peer, healthy: Healthy
) -> None:
    gateway.put_device("retainer", "face_gate")
    villain.say("linli/v1/retainer/event", notice(at=now()), retain=True)
    eventually(lambda: gateway.events("retainer", "vendor_notice"))
    gateway.kill()
    gateway.begin()
    eventually(lambda: gateway.counted("linli_ignored", "retained") >= 1)
    assert len(gateway.events("retainer", "vendor_notice")) == 1


def test_the_healthy_device_beside_all_this_is_stored_once_and_whole(gateway: RunningGateway, healthy: Healthy) -> None:
    eventually(lambda: len(healthy.taken) >= 50)
    taken = list(healthy.taken)
    eventually(lambda: set(taken) <= set(_healthy_numbers(gateway)), within=30)  # unacknowledged: again after 10 s
    assert max(_healthy_numbers(gateway).values()) == 1
    assert gateway.bugs() == []


def _healthy_numbers(gateway: RunningGateway) -> Counter[int]:
    return Counter(int(event["name"][2:]) for event in gateway.events("healthy", "vendor_notice"))
