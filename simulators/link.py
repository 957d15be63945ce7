"""Carries simulated devices to the broker: one paho connection for one device with a last will, or for many without."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import unquote, urlsplit

import paho.mqtt.client as mqtt
from msgspec import Struct
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.reasoncodes import ReasonCode

from devices.model import Outgoing
from simulators.device import Simulated

KEEPALIVE_S = 15


class Broker(Struct, frozen=True, kw_only=True):
    """Where the broker is and who we are to it."""

    host: str
    port: int
    user: str = ""
    password: str = ""


def broker_at(url: str) -> Broker:
    """The broker of mqtt://user:password@host:port.

    :raises ValueError: the URL has another scheme or no host.
    """
    parts = urlsplit(url)
    if parts.scheme != "mqtt" or not parts.hostname:
        raise ValueError(f"a broker is given as mqtt://[user:password@]host[:port], not {url!r}")
    return Broker(
        host=parts.hostname,
        port=parts.port or 1883,
        user=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
    )


class Link:
    """One connection that `devices` share. `heard(topic, payload)` and `connected(devices)` are called in its thread.

    What is published with a record's key is in `acked` once the broker has confirmed it.
    """

    def __init__(
        self,
        broker: Broker,
        devices: Sequence[Simulated],
        *,
        client_id: str,
        heard: Callable[[str, bytes], None],
        connected: Callable[[Sequence[Simulated]], None],
    ) -> None:
        self.devices = devices
        self.ready = threading.Event()
        self.connects = 0
        self.refused = ""
        self.acked: set[str] = set()
        self.published = 0
        self._heard = heard
        self._connected = connected
        self._broker = broker
        self._changed = threading.Condition()
        self._early: set[int] = set()
        self._pending: dict[int, str] = {}
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=client_id, clean_session=True)
        if broker.user:
            self._client.username_pw_set(broker.user, broker.password)
        will = devices[0].will
        if will is not None:
            self._client.will_set(will.topic, will.payload, qos=1)
        self._client.reconnect_delay_set(1, 8)
        self._client.on_connect = self._on_connect
        self._client.on_subscribe = self._on_subscribe
        self._client.on_message = self._on_message
        self._client.on_publish = self._on_publish

    def open(self) -> None:
        """Begins to connect, and goes on trying."""
        self._client.connect_async(self._broker.host, self._broker.port, KEEPALIVE_S)
        self._client.loop_start()

    def close(self) -> None:
        """Disconnects in good order; the broker keeps the will to itself."""
        self._client.disconnect()
        self._client.loop_stop()

    def publish(self, message: Outgoing, record: str = "") -> None:
        """Hands a message to the connection, which keeps it while the broker is away. All go at QoS 1, to be counted.

        Our lock is not held meanwhile: paho confirms while it holds the lock that publishing takes.
        """
        mid = self._client.publish(message.topic, message.payload, qos=1).mid
        with self._changed:
            self.published += 1
            if mid in self._early:
                self._early.remove(mid)
                self._confirm(record)
            else:
                self._pending[mid] = record

    def drain(self, timeout: float) -> bool:
        """Waits up to `timeout` seconds for the broker to confirm everything; whether it has."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._pending, max(0.0, timeout))

    def bounce(self) -> None:
        """Tears the connection, as a lost cable does: the broker publishes the will and we connect again."""
        torn = self._client.socket()
        if isinstance(torn, socket.socket):
            try:
                torn.shutdown(socket.SHUT_RDWR)
            except OSError:
                return  # it was already gone, which is what was wanted

    def _on_connect(self, client: mqtt.Client, _data: Any, _flags: Any, reason: ReasonCode, _props: Any) -> None:
        if reason.is_failure:
            self.refused = str(reason)
            return
        self.refused = ""
        self.connects += 1
        if heard := [(topic, 1) for device in self.devices for topic in device.hears]:
            client.subscribe(heard)
        else:
            self._greeted()

    def _on_subscribe(self, _client: mqtt.Client, _data: Any, _mid: int, _codes: Any, _props: Any) -> None:
        self._greeted()

    def _greeted(self) -> None:
        self._connected(self.devices)
        self.ready.set()

    def _on_message(self, _client: mqtt.Client, _data: Any, message: mqtt.MQTTMessage) -> None:
        self._heard(message.topic, bytes(message.payload))

    def _on_publish(self, _client: mqtt.Client, _data: Any, mid: int, _reason: Any, _props: Any) -> None:
        with self._changed:
            if mid in self._pending:
                self._confirm(self._pending.pop(mid))
            else:
                self._early.add(mid)
            self._changed.notify_all()

    def _confirm(self, record: str) -> None:
        if record:
            self.acked.add(record)
