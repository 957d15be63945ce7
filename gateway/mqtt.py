"""Our end of MQTT: paho, driven by the engine's own thread, acknowledging by hand.

The engine reads what the socket holds, commits it, then acknowledges: while it commits, the next messages gather in the
socket and the broker. No second thread, no queue of ours, no timer.
"""

from __future__ import annotations

import math
import socket
import ssl
import time
from collections.abc import Collection
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote, urlsplit

import msgspec
import paho.mqtt.client as paho
import structlog
from msgspec import Struct
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode
from paho.mqtt.reasoncodes import ReasonCode

from gateway.settings import SettingsError

log = structlog.get_logger()

RETRY_FIRST_S, RETRY_MOST_S = 0.2, 5.0
BATCH_BYTES = 32 * 1024 * 1024
"""A batch ends here even if more has arrived, so that a flood of pictures stays within memory."""
FILTERS_AT_MOST = 1_000
"""So many topic filters we ask of a broker of somebody else's."""
FILTERS_AT_ONCE = 50


class Where(Struct, frozen=True, kw_only=True):
    """Where a broker is and who we are to it."""

    host: str
    port: int
    username: str = ""
    password: str = ""
    tls: bool = False


def where(url: str, setting: str) -> Where:
    """The broker of mqtt://[user:password@]host[:port] or mqtts://...

    :raises SettingsError: it is something else; it is not quoted, for there may be a password in it.
    """
    parts = urlsplit(url)
    try:
        port = parts.port
    except ValueError:
        port = 0
    if parts.scheme not in ("mqtt", "mqtts") or not parts.hostname or port == 0:
        raise SettingsError(f"{setting} is mqtt://[user:password@]host[:port] or mqtts://..., and is something else")
    tls = parts.scheme == "mqtts"
    return Where(
        host=parts.hostname,
        port=port or (8883 if tls else 1883),
        username=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
        tls=tls,
    )


class Message(Struct, frozen=True, gc=False):
    """One message as it arrived. `epoch` numbers the connection: packet ids start anew with each. `dup`: the broker had
    delivered it before and got no acknowledgement.
    """

    topic: str
    payload: bytes
    mid: int
    qos: int
    retained: bool
    epoch: int
    received_at: datetime
    dup: bool = False


class Mqtt:
    """One session with the broker, kept over reconnects.

    `topics`: what we listen on whatever is registered; a broker that refuses one of these is no use to us. `listen`
    adds those of registered devices; `refused`: which of them the broker, or its limit, did not allow. `host_id`: the
    Sparkplug host application we are, whose STATE is retained; "" for none.
    """

    def __init__(
        self,
        *,
        host: str,
        port: int,
        client_id: str,
        username: str = "",
        password: str = "",
        tls: bool = False,
        keepalive_s: int = 30,
        topics: list[str],
        host_id: str = "",
        filters_at_most: int = FILTERS_AT_MOST,
    ) -> None:
        self._address = (host, port)
        self._keepalive_s = keepalive_s
        self._topics = topics
        self._state_topic = f"spBv1.0/STATE/{host_id}" if host_id else ""
        self._born_ms = 0
        self._room = max(0, filters_at_most - len(topics))
        self._own: set[str] = set()
        self._asked: dict[int, list[str]] = {}
        self._wanted: list[str] = []
        self._ask_at = math.inf
        self.refused: set[str] = set()
        self._arrived: list[Message] = []
        self._arrived_bytes = 0
        self.epoch = 0
        self.connected = False
        self.trouble = "not connected yet"
        self._retry_at = 0.0
        self._retry_s = RETRY_FIRST_S
        client = paho.Client(
            CallbackAPIVersion.VERSION2,
            client_id=client_id,
            clean_session=False,
            protocol=paho.MQTTv311,
            manual_ack=True,
            reconnect_on_failure=False,
        )
        client.connect_timeout = 2
        if username:
            client.username_pw_set(username, password)
        if tls:
            client.tls_set()
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_subscribe = self._on_subscribe
        client.on_message = self._on_message
        # With this callback set paho leaves writing to us, so that a batch of acknowledgements goes out together.
        client.on_socket_register_write = lambda *_: None
        self._client = client

    # -- the connection ---------------------------------------------------------------------------------------------

    def socket(self) -> socket.socket | None:
        """For `select`; None while there is no connection."""
        found: Any = self._client.socket()
        return found if isinstance(found, socket.socket) else None

    def wants_write(self) -> bool:
        """Something waits to be sent."""
        return bool(self._client.want_write())

    def holds_more(self) -> bool:
        """TLS has decrypted more than was read, which no `poll` on the socket tells."""
        found: Any = self._client.socket()
        return isinstance(found, ssl.SSLSocket) and found.pending() > 0

    def tend(self) -> None:
        """Reconnect when it is time, ping, write what waits."""
        if self.socket() is None:
            self._reconnect()
        else:
            self._client.loop_misc()
            if self._wanted and time.monotonic() >= self._ask_at:
                self._ask()
            self.flush()

    def _reconnect(self) -> None:
        if time.monotonic() < self._retry_at:
            return
        self._retry_at = time.monotonic() + self._retry_s
        self._retry_s = min(self._retry_s * 2, RETRY_MOST_S)
        if self._state_topic:  # the will carries the time of its birth (Sparkplug 3.0, 5.14)
            self._born_ms = int(time.time() * 1000)
            self._client.will_set(self._state_topic, self._state(online=False), qos=1, retain=True)
        try:
            self._client.connect(*self._address, keepalive=self._keepalive_s)
        except (OSError, ValueError) as error:
            self._lost(f"cannot reach the broker at {self._address[0]}:{self._address[1]}: {error}")
            return
        sock = self.socket()
        if sock is not None:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def _lost(self, trouble: str) -> None:
        if self.connected or self.trouble != trouble:
            log.warning("broker_lost", trouble=trouble)
        self.connected = False
        self.trouble = trouble

    def _on_connect(self, _client: paho.Client, _user: Any, _flags: Any, reason: ReasonCode, _props: Any) -> None:
        if reason.is_failure:
            self._lost(f"the broker refused us: {reason}; check mqtt.url and its user and password")
            return
        self.epoch += 1
        self._asked.clear()
        self.refused.clear()
        self._wanted = self._topics
        self._ask()
        self._subscribe(self._own)

    def _ask(self) -> None:
        """For the topics we cannot do without, and again for those that were refused: a broker under load refuses what
        it takes a little later.
        """
        self._ask_at = math.inf
        self._client.subscribe([(topic, 1) for topic in self._wanted])

    def _subscribe(self, own: Collection[str]) -> None:
        topics = sorted(own)
        for start in range(0, len(topics), FILTERS_AT_ONCE):
            part = topics[start : start + FILTERS_AT_ONCE]
            _, mid = self._client.subscribe([(topic, 1) for topic in part])
            if mid is not None:
                self._asked[mid] = part

    def listen(self, topics: Collection[str], *, again: Collection[str] = ()) -> None:
        """Listen on these topics of registered devices, no longer on those named before. `again`: ask anew for what is
        retained under these, because somebody is registered now whom it may concern.
        """
        own = set(sorted(topics)[: self._room])
        gone, new = self._own - own, own - self._own
        self._own = own
        self.refused = (self.refused & own) | (set(topics) - own)
        if self.socket() is None or not self.epoch:
            return
        if gone:
            self._client.unsubscribe(sorted(gone))
        self._subscribe({*new, *again})

    def _on_subscribe(self, _client: Any, _user: Any, mid: int, codes: list[ReasonCode], _props: Any) -> None:
        own = self._asked.pop(mid, None)
        if own is not None:
            self.refused.update(topic for topic, code in zip(own, codes, strict=False) if code.is_failure)
            return
        lacking = [topic for topic, code in zip(self._wanted, codes, strict=False) if code.is_failure]
        if lacking:
            self._wanted, self._ask_at = lacking, time.monotonic() + RETRY_MOST_S
            few = ", ".join(lacking[:3])
            self._lost(f"the broker refused a subscription ({few}); give our user the right to read every device topic")
            return
        self._wanted = []
        self.connected = True
        self.trouble = ""
        self._retry_s = RETRY_FIRST_S
        if self._state_topic:
            self._client.publish(self._state_topic, self._state(online=True), qos=1, retain=True)
        log.info("broker_connected", epoch=self.epoch)

    def _state(self, *, online: bool) -> bytes:
        return msgspec.json.encode({"online": online, "timestamp": self._born_ms})

    def _on_disconnect(self, _client: Any, _user: Any, _flags: Any, reason: ReasonCode, _props: Any) -> None:
        self._lost(f"connection to the broker lost: {reason}")

    def disconnect(self) -> None:
        """Leave; what was not acknowledged comes again on the next connection."""
        if self._state_topic and self.connected:
            self._client.publish(self._state_topic, self._state(online=False), qos=1, retain=True)
        self._client.disconnect()
        self.flush()
        self._arrived.clear()
        self._arrived_bytes = 0
        self.connected = False
        self._retry_at = time.monotonic() + RETRY_FIRST_S

    # -- messages ---------------------------------------------------------------------------------------------------

    def _on_message(self, _client: Any, _user: Any, message: paho.MQTTMessage) -> None:
        try:
            topic = message.topic
        except UnicodeDecodeError:
            topic = "\ufffd"  # no protocol listens there: it is quarantined like any other unknown topic
        self._arrived_bytes += len(message.payload)
        self._arrived.append(
            Message(
                topic,
                bytes(message.payload),
                message.mid,
                message.qos,
                message.retain,
                self.epoch,
                datetime.now(UTC),
                message.dup,
            )
        )

    def read(self, limit: int) -> list[Message]:
        """What has arrived, at most `limit` messages; empty when there is nothing."""
        loop_read = self._client.loop_read
        arrived = self._arrived
        while len(arrived) < limit and self._arrived_bytes < BATCH_BYTES:
            before = len(arrived)
            if loop_read() is not MQTTErrorCode.MQTT_ERR_SUCCESS or len(arrived) == before:
                break
        self._arrived = []
        self._arrived_bytes = 0
        return arrived

    def ack(self, message: Message) -> None:
        """Acknowledge; a packet id of an earlier connection means another message by now, so it is dropped."""
        if message.qos and message.epoch == self.epoch:
            self._client.ack(message.mid, message.qos)

    def publish(self, topic: str, payload: bytes, qos: int) -> bool:
        """Publish once, not retained. False when there is no connection, or MQTT forbids the topic: nothing is queued
        for later.
        """
        if not self.connected:
            return False
        try:
            return self._client.publish(topic, payload, qos=qos).rc is MQTTErrorCode.MQTT_ERR_SUCCESS
        except ValueError as error:
            log.warning("not_publishable", trouble=str(error))
            return False

    def flush(self) -> None:
        """Send what waits."""
        if self.socket() is not None and self._client.want_write():
            self._client.loop_write()
