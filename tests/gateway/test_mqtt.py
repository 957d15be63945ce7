"""The gateway's own connection, against a broker that refuses."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator

import pytest

from gateway.mqtt import Mqtt

ROUNDS = 400
_CONNACK = b"\x20\x02\x00\x00"
_SUBSCRIBE, _REFUSED, _GRANTED = 0x82, 0x80, 0x01


class Moody:
    """Speaks as much MQTT as it takes to refuse a subscription once and grant it when it is asked for again."""

    def __init__(self) -> None:
        self.answers: list[int] = []
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        connection, _ = self._listening.accept()
        with connection, contextlib.suppress(ConnectionError):
            while packet := connection.recv(4096):
                if packet[0] == 0x10:
                    connection.sendall(_CONNACK)
                elif packet[0] == _SUBSCRIBE:
                    self.answers.append(_GRANTED if self.answers else _REFUSED)
                    connection.sendall(b"\x90\x03" + packet[2:4] + bytes(self.answers[-1:]))

    def close(self) -> None:
        self._listening.close()
        self._thread.join(5)


@pytest.fixture
def broker() -> Iterator[Moody]:
    made = Moody()
    yield made
    made.close()


def test_a_refused_subscription_is_asked_for_again(broker: Moody, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.mqtt.RETRY_MOST_S", 0.05)
    mqtt = Mqtt(host="127.0.0.1", port=broker.port, client_id="c", topics=["linli/#"])
    pause = threading.Event()
    troubles = set()
    for _ in range(ROUNDS):
        mqtt.tend()
        if mqtt.socket():
            mqtt.read(10)
        troubles.add(mqtt.trouble)
        if mqtt.connected:
            break
        pause.wait(0.02)
    assert broker.answers == [_REFUSED, _GRANTED]
    assert mqtt.connected
    assert any("refused a subscription" in trouble for trouble in troubles)
    mqtt.disconnect()
