"""A second connection to a broker, for what we tell others: publishes and waits for the PUBACK.

Not the devices' connection (`gateway.mqtt`): a server that stalls must not hold up a door. It has a thread of its own;
`heard` is called there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import paho.mqtt.client as paho
import structlog
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.reasoncodes import ReasonCode

from gateway.mqtt import Where
from gateway.network_thread import NetworkThread

PUBACK_WITHIN_S = 10.0
_log = structlog.get_logger(__name__)


class Outlet:
    """`sessions` counts connections: after each what is to be known there has to be said anew. `changed` is called when
    it is connected, from that thread. `trouble`: why it is not, in words.
    """

    def __init__(
        self,
        where: Where,
        *,
        client_id: str,
        changed: Callable[[], None] = lambda: None,
        topics: tuple[str, ...] = (),
        heard: Callable[[str, bytes], None] | None = None,
        will: tuple[str, bytes] | None = None,
    ) -> None:
        self._where, self._topics, self._changed = where, topics, changed
        self._heard = heard
        self.sessions = 0
        self.connected = False
        self.trouble = "not connected yet"
        client = paho.Client(CallbackAPIVersion.VERSION2, client_id=client_id, clean_session=True)
        if where.username:
            client.username_pw_set(where.username, where.password or None)
        if where.tls:
            client.tls_set()
        if will is not None:
            client.will_set(will[0], will[1], qos=1, retain=True)
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_message = self._on_message
        self._client = client
        self._network = NetworkThread(client, where.host, where.port, trouble=self._cannot)

    def start(self) -> None:
        """Begin to connect, and go on trying."""
        self._network.start()

    def stop(self) -> None:
        """Leave in good order."""
        self._network.stop()
        self.connected = False

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> bool:
        """Whether the broker has it: False when it did not say so in time."""
        if not self.connected:
            return False
        try:
            sent = self._client.publish(topic, payload, qos=1, retain=retain)
            sent.wait_for_publish(PUBACK_WITHIN_S)
        except (ValueError, RuntimeError) as error:  # a topic or size MQTT forbids; the connection is gone
            self.trouble = str(error)
            return False
        return bool(sent.is_published()) and self.connected

    def tell(self, topic: str, payload: bytes) -> None:
        """Publish without waiting: for answers given where `heard` is called."""
        self._client.publish(topic, payload, qos=1)

    def _cannot(self, trouble: str) -> None:
        self.trouble = trouble

    def _on_connect(self, client: paho.Client, _user: Any, _flags: Any, reason: ReasonCode, _props: Any) -> None:
        if reason.is_failure:
            self.trouble = f"refused: {reason}"
            return
        self.connected, self.trouble = True, ""
        self.sessions += 1
        if self._topics:
            client.subscribe([(topic, 1) for topic in self._topics])
        self._changed()

    def _on_disconnect(self, _client: Any, _user: Any, _flags: Any, reason: ReasonCode, _props: Any) -> None:
        if self.connected:
            _log.warning("outlet_lost", host=self._where.host, reason=str(reason))
        self.connected = False
        self.trouble = self.trouble or f"connection lost: {reason}"

    def _on_message(self, _client: Any, _user: Any, message: paho.MQTTMessage) -> None:
        if self._heard is not None:
            self._heard(message.topic, bytes(message.payload))
