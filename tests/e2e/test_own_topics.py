"""The embedded broker learns what a newly registered device may do, and drops nobody for it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from devices.model import Device
from devices.protocols import PROTOCOLS
from gateway.broker import DEVICE_USER, GATEWAY_USER, Broker
from gateway.mqtt import Mqtt
from gateway.rights import device_rights
from gateway.settings import Mqtt as MqttSettings
from simulators.gateway_process import free_port
from tests.e2e.running import eventually
from tests.gateway.test_routes import LIDS

pytestmark = pytest.mark.e2e
KNOWN = {**PROTOCOLS, LIDS.name: LIDS}
WELL = Device(
    id="well", kind="cover", protocol="lids", address="A1", options={"topic": "yard/well", "listens": "yard/ear"}
)


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    settings = MqttSettings(listen=f"127.0.0.1:{free_port()}", sync="interval")
    found = Broker(settings, tmp_path / "broker", rights=device_rights(KNOWN.values(), ()))
    found.start()
    yield found
    found.stop()


class Connection:
    """A device's connection that counts how often it was lost."""

    def __init__(self, broker: Broker) -> None:
        self.losses, self.heard = 0, threading.Event()
        self.client = paho.Client(CallbackAPIVersion.VERSION2, client_id="a-device")
        self.client.username_pw_set(DEVICE_USER, broker.passwords[DEVICE_USER])
        self.client.on_disconnect = self._lost
        self.client.on_message = lambda *_: self.heard.set()
        self.client.connect("127.0.0.1", broker.port)
        self.client.loop_start()
        eventually(self.client.is_connected)

    def _lost(self, *_: object) -> None:
        self.losses += 1


def gateways(broker: Broker) -> Mqtt:
    mqtt = Mqtt(
        host="127.0.0.1",
        port=broker.port,
        client_id="gateway",
        username=GATEWAY_USER,
        password=broker.passwords[GATEWAY_USER],
        topics=["lids/+/state"],
        filters_at_most=broker.filters_at_most,
    )
    eventually(lambda: (mqtt.tend(), mqtt.read(10), mqtt.connected)[-1])
    return mqtt


def heard(mqtt: Mqtt, payload: bytes) -> bool:
    """Whether the gateway's end hears this payload; everything it hears is acknowledged."""
    mqtt.tend()
    messages = mqtt.read(100)
    for message in messages:
        mqtt.ack(message)
    return any(message.payload == payload for message in messages)


def test_rights_and_subscriptions_follow_the_directory_and_no_connection_is_lost(broker: Broker) -> None:
    mqtt, device = gateways(broker), Connection(broker)
    mqtt.listen(["yard/well"])
    device.client.publish("yard/well", b"too early", qos=1).wait_for_publish(10)
    eventually(lambda: (heard(mqtt, b""), broker.violations)[-1], what="the broker's refusal")

    broker.allow(device_rights(KNOWN.values(), [WELL]))
    eventually(lambda: device.client.publish("yard/well", b"open", qos=1) and heard(mqtt, b"open"))
    device.client.subscribe("yard/ear", qos=1)
    eventually(lambda: mqtt.publish("yard/ear", b"hello", 1) and (heard(mqtt, b""), device.heard.wait(0.1))[-1])

    broker.allow(device_rights(KNOWN.values(), ()))
    before = broker.violations
    eventually(lambda: device.client.publish("yard/well", b"no more", qos=1) and broker.violations > before)
    assert device.losses == 0
    mqtt.disconnect()
    device.client.loop_stop()


def test_what_is_retained_is_heard_when_a_topic_is_listened_on_and_when_it_is_asked_for_again(broker: Broker) -> None:
    broker.allow(device_rights(KNOWN.values(), [WELL]))
    mqtt, device = gateways(broker), Connection(broker)
    before = broker.violations
    eventually(
        lambda: (
            device.client.publish("yard/well", b"shut", qos=1, retain=True).wait_for_publish(5) is None
            and broker.violations == before
        )
    )
    mqtt.listen(["yard/well"])
    eventually(lambda: heard(mqtt, b"shut"), what="the retained message")
    mqtt.listen(["yard/well"], again=["yard/well"])
    eventually(lambda: heard(mqtt, b"shut"), what="the retained message, asked for again")
    mqtt.listen([])

    def is_deaf() -> bool:
        """Whether of two messages only that of the shared topic arrives."""
        device.client.publish("yard/well", b"open", qos=1).wait_for_publish(10)
        device.client.publish("lids/A1/state", b"the last word", qos=1).wait_for_publish(10)
        seen: list[bytes] = []

        def last_word() -> bool:
            mqtt.tend()
            messages = mqtt.read(100)
            seen.extend(message.payload for message in messages)
            for message in messages:
                mqtt.ack(message)
            return b"the last word" in seen

        eventually(last_word)
        return b"open" not in seen

    eventually(is_deaf, what="the end of the subscription")
    mqtt.disconnect()
    device.client.loop_stop()


def test_more_topics_than_the_broker_gives_are_told_and_the_others_are_heard(broker: Broker) -> None:
    mqtt, device = gateways(broker), Connection(broker)
    broker.allow(device_rights(KNOWN.values(), [WELL]))
    mqtt.listen(["yard/well", *(f"zone/{n:04}" for n in range(broker.filters_at_most))])
    assert sorted(mqtt.refused) == [f"zone/{broker.filters_at_most - n:04}" for n in (2, 1)]
    eventually(lambda: device.client.publish("yard/well", b"open", qos=1) and heard(mqtt, b"open"))
    assert mqtt.connected
    assert len(mqtt.refused) == 2, "the broker itself refused some"
    mqtt.disconnect()
    device.client.loop_stop()


def test_a_broker_started_for_many_topics_gives_them_all(tmp_path: Path) -> None:
    settings = MqttSettings(listen=f"127.0.0.1:{free_port()}", sync="interval")
    found = Broker(settings, tmp_path / "broker", rights=device_rights(KNOWN.values()), filters=700)
    found.start()
    mqtt = gateways(found)
    mqtt.listen([f"zone/{n:04}" for n in range(699)])
    eventually(lambda: (heard(mqtt, b""), not mqtt._asked)[-1], what="every SUBACK")
    assert not mqtt.refused
    mqtt.disconnect()
    found.stop()
