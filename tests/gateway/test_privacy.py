"""What a device may read and do on the real broker, and what of a person stands where."""

from __future__ import annotations

import queue
import socket
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from devices import registry
from gateway import parts
from gateway.broker import DEVICE_USER, GATEWAY_USER, Broker
from gateway.rights import device_rights, subjects
from gateway.settings import Mqtt, Settings, SettingsError

WITHIN_S = 10.0
UP = ("linli/v1/G1/event", "mqtt/face/T1/Rec", "device/C1/message/up/ivs_result")
DOWN = ("linli/v1/G1/command", "mqtt/face/T1", "device/C1/message/down/gpio_out", "C1/device/message/down/gpio_out")


class Client:
    """One MQTT client, as whoever it says it is."""

    def __init__(self, broker: Broker, user: str, name: str) -> None:
        self.heard: queue.Queue[tuple[str, bytes]] = queue.Queue()
        self._granted: queue.Queue[list[bool]] = queue.Queue()
        there = threading.Event()
        self.client = paho.Client(CallbackAPIVersion.VERSION2, client_id=name, reconnect_on_failure=False)
        self.client.username_pw_set(user, broker.passwords[user])
        self.client.on_connect = lambda *_: there.set()
        self.client.on_subscribe = lambda _c, _u, _m, codes, _p: self._granted.put([not c.is_failure for c in codes])
        self.client.on_message = lambda _c, _u, message: self.heard.put((message.topic, message.payload))
        self.client.connect(broker.host, broker.port)
        self.client.loop_start()
        assert there.wait(WITHIN_S)

    def may_subscribe(self, *topics: str, qos: int = 1) -> list[bool]:
        self.client.subscribe([(topic, qos) for topic in topics])
        return self._granted.get(timeout=WITHIN_S)

    def say(self, topic: str, body: bytes, *, retain: bool = False) -> None:
        self.client.publish(topic, body, qos=1, retain=retain).wait_for_publish(WITHIN_S)

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    rights = device_rights(registry.protocols().values())
    settings = Mqtt(listen=f"127.0.0.1:{port}", sync="interval")
    broker = Broker(settings, tmp_path_factory.mktemp("data") / "broker", rights=rights)
    broker.start()
    yield broker
    broker.stop()


@pytest.fixture
def gateway(broker: Broker) -> Iterator[Client]:
    client = Client(broker, GATEWAY_USER, "the-gateway")
    yield client
    client.close()


@pytest.fixture
def device(broker: Broker) -> Iterator[Client]:
    client = Client(broker, DEVICE_USER, "a-device")
    yield client
    client.close()


@pytest.mark.parametrize("qos", [0, 1])
def test_a_device_reads_nobodys_faces_and_nothing_of_the_brokers_own(device: Client, qos: int):
    forbidden = ("#", "+/+/+/+", "linli/v1/+/event", "linli/#", *UP, "$JS/#", "$SYS/#", "$MQTT/#", "$MQTT/sub/#")
    for topic in forbidden:
        assert device.may_subscribe(topic, qos=qos) == [False], topic


def test_a_device_hears_its_orders(gateway: Client, device: Client):
    assert all(device.may_subscribe(*DOWN))
    for topic in DOWN:
        gateway.say(topic, b"open")
        assert device.heard.get(timeout=WITHIN_S) == (topic, b"open")
    assert device.may_subscribe("device/C1/message/down/#") == [True]


def test_a_device_cannot_open_another_ones_door_or_delete_the_brokers_streams(gateway: Client, device: Client):
    assert all(gateway.may_subscribe(*DOWN, *UP))
    for topic in (*DOWN, "$JS/API/STREAM/PURGE/$MQTT_msgs", "$JS/API/STREAM/DELETE/$MQTT_msgs"):
        device.say(topic, b"forged")
        device.say(topic, b"forged", retain=True)
    for topic in UP:
        device.say(topic, b"a fact")
    assert [gateway.heard.get(timeout=WITHIN_S) for _ in UP] == [(topic, b"a fact") for topic in UP]
    assert gateway.heard.empty()


def test_a_mqtt_filter_is_the_same_set_of_nats_subjects():
    assert subjects("linli/v1/+/event") == ["linli.v1.*.event"]
    assert subjects("device/+/down/#") == ["device.*.down", "device.*.down.>"]
    assert subjects("tele/lamp.01/X") == ["tele.lamp//01.X"]
    assert subjects("/a") == ["/.a"]
    assert subjects("#") == [">"]


def test_the_brokers_secrets_are_its_owners_only(broker: Broker):
    folder = broker._folder
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    for name in ("passwords.json", "nats.conf"):
        assert stat.S_IMODE((folder / name).stat().st_mode) == 0o600


def test_nobody_can_guess_the_session_of_the_gateway(broker: Broker, tmp_path: Path):
    other = Broker(Mqtt(listen="127.0.0.1:1"), tmp_path / "broker", rights={})
    again = Broker(Mqtt(listen="127.0.0.1:1"), tmp_path / "broker", rights={})
    assert len({broker.client_id_suffix, other.client_id_suffix}) == 2
    assert other.client_id_suffix == again.client_id_suffix


@pytest.mark.parametrize(
    "url", ["mqqt://gate:hunter2@broker", "mqtt://gate:hunter2@broker:99999", "gate:hunter2@broker"]
)
def test_a_wrong_broker_address_is_refused_without_its_password(url: str, tmp_path: Path):
    with pytest.raises(SettingsError) as refused:
        parts.broker_address(Settings(data_dir=str(tmp_path), mqtt=Mqtt(url=url)), None)
    assert "mqtt.url" in str(refused.value)
    assert "hunter2" not in str(refused.value)
