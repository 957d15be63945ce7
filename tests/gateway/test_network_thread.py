"""A second connection to a real broker: from a process with many descriptors, and through the broker's end."""

from __future__ import annotations

import os
import queue
import resource
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from devices import registry
from gateway.broker import GATEWAY_USER, Broker
from gateway.mqtt import Where
from gateway.network_thread import NetworkThread
from gateway.outlet import Outlet
from gateway.rights import device_rights
from gateway.settings import Mqtt

WITHIN_S = 15.0


class Watched(Outlet):
    """An outlet that tells when it is connected and what it hears."""

    def __init__(self, where: Where) -> None:
        self.there, self.got = threading.Event(), threading.Event()
        self.said: list[bytes] = []
        super().__init__(where, client_id="outlet", changed=self.there.set, topics=("told/#",), heard=self._keep)

    def _keep(self, _topic: str, payload: bytes) -> None:
        self.said.append(payload)
        self.got.set()


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    settings = Mqtt(listen=f"127.0.0.1:{port}", sync="interval")
    broker = Broker(settings, tmp_path / "broker", rights=device_rights(registry.protocols().values()))
    broker.start()
    yield broker
    broker.stop()


@pytest.fixture
def outlet(broker: Broker) -> Iterator[Watched]:
    outlet = Watched(
        Where(host=broker.host, port=broker.port, username=GATEWAY_USER, password=broker.passwords[GATEWAY_USER])
    )
    yield outlet
    outlet.stop()


@pytest.fixture
def many_descriptors() -> Iterator[None]:
    """Everything opened from here on has a number `select` cannot take."""
    limit, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if most < 2048:
        pytest.skip("no more than 2,048 descriptors are allowed here")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(limit, 2048), most))
    held = [os.open(os.devnull, os.O_RDONLY) for _ in range(1100)]
    yield
    for descriptor in held:
        os.close(descriptor)
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, most))


def test_a_process_with_over_a_thousand_descriptors_still_speaks_and_hears(
    many_descriptors: None, outlet: Watched
) -> None:
    outlet.start()
    assert outlet.there.wait(WITHIN_S), outlet.trouble
    assert outlet.publish("told/a", b"1")
    assert outlet.got.wait(WITHIN_S)
    assert outlet.said == [b"1"]


def test_it_comes_back_when_the_broker_does(broker: Broker, outlet: Watched) -> None:
    outlet.start()
    assert outlet.there.wait(WITHIN_S), outlet.trouble
    outlet.there.clear()
    broker.stop()
    assert not outlet.publish("told/a", b"lost")
    broker.start()
    assert outlet.there.wait(WITHIN_S), outlet.trouble
    assert outlet.sessions == 2
    assert outlet.publish("told/a", b"2")


def test_why_there_is_no_connection_is_told(broker: Broker) -> None:
    broker.stop()
    troubles: queue.SimpleQueue[str] = queue.SimpleQueue()
    network = NetworkThread(paho.Client(CallbackAPIVersion.VERSION2), broker.host, broker.port, trouble=troubles.put)
    network.start()
    assert troubles.get(timeout=WITHIN_S).startswith(f"cannot reach the broker at {broker.host}:{broker.port}: ")
    network.stop()


def test_an_outlet_that_never_started_can_be_stopped(broker: Broker) -> None:
    Watched(Where(host=broker.host, port=broker.port)).stop()
