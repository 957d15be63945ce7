"""One paho connection of a chaos run, which keeps what is not confirmed and sends it again."""

from __future__ import annotations

import socket
import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from simulators.chaos_ledger import Key
from simulators.chaos_words import Out
from simulators.link import Broker

IN_FLIGHT = 5
"""So many messages a device sends ahead of their confirmation. All that are under way anywhere must be confirmed well
within a keepalive also by a slow disk, or every connection breaks and sends them all again, and never gets done.
"""
KEEPALIVE_S = 60


class Connection:
    """What is published with a key is in `acked` once confirmed; until then it is sent again after every reconnection.
    `publish` and `settle` belong to one thread. `will` is asked before each attempt to connect. `epoch` counts the
    connections that stand.
    """

    def __init__(
        self,
        broker: Broker,
        name: str,
        hears: Sequence[str],
        heard: Callable[[str, bytes], None],
        *,
        will: Callable[[], Out] | None = None,
        in_flight: int = IN_FLIGHT,
    ) -> None:
        self.acked: set[Key] = set()
        self.epoch = 0
        self._will = will
        self._hears = [(topic, 1) for topic in hears]
        self._pending: dict[int, Key | None] = {}
        self._confirmed: deque[int] = deque()
        self._ready = threading.Event()
        self._standing = False
        # A device that has a session of its own for each connection (a will) begins with a clean one.
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=name, clean_session=will is not None)
        self._client.max_inflight_messages_set(in_flight)
        self._client.reconnect_delay_set(1, 1)
        # The confirmation is only noted here: paho holds a lock of its own, so no lock of ours may be asked for.
        self._client.on_publish = lambda _c, _u, mid, _r, _p: self._confirmed.append(mid)
        self._client.on_pre_connect = self._before
        self._client.on_connect = self._connected
        self._client.on_subscribe = lambda *_: self._stands()
        self._client.on_message = lambda _c, _u, message: heard(message.topic, bytes(message.payload))
        self._client.connect_async(broker.host, broker.port, KEEPALIVE_S)
        self._client.loop_start()

    def _before(self, client: mqtt.Client, _user: Any) -> None:
        self._standing = False
        if self._will is not None:
            will = self._will()
            client.will_set(will.where, will.payload, qos=1, retain=will.retain)

    def _connected(self, client: mqtt.Client, _user: Any, _flags: Any, reason: Any, _props: Any) -> None:
        if reason.is_failure:
            return
        if self._hears:
            client.subscribe(self._hears)
        else:
            self._stands()

    def _stands(self) -> None:
        self.epoch += 1
        self._standing = True
        self._ready.set()

    @property
    def up(self) -> bool:
        """Whether it stands, as far as paho knows: connected, and what it hears subscribed to, so that it counts in
        `epoch`.
        """
        return self._standing and bool(self._client.is_connected())

    def await_ready(self, seconds: float) -> bool:
        """Whether it has connected once within so many seconds."""
        return self._ready.wait(seconds)

    def publish(self, topic: str, payload: bytes, key: Key | None, qos: int = 1, *, retain: bool = False) -> None:
        """Hand over a message."""
        mid = self._client.publish(topic, payload, qos=qos, retain=retain).mid
        if qos:
            self._pending[mid] = key

    def settle(self) -> int:
        """Note what was confirmed; how much is not."""
        while self._confirmed:
            key = self._pending.pop(self._confirmed.popleft(), None)
            if key is not None:
                self.acked.add(key)
        return len(self._pending)

    def tear(self) -> None:
        """Cut the connection, as a lost cable does."""
        torn = self._client.socket()
        if isinstance(torn, socket.socket):
            try:
                torn.shutdown(socket.SHUT_RDWR)
            except OSError:
                return  # it was gone already, which is what was wanted

    def close(self) -> None:
        """Leave."""
        self._client.disconnect()
        self._client.loop_stop()
