"""Listening to the whole broker for a while, on a connection of its own: for topics that no protocol listens on."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from gateway.actions import RefusedError
from gateway.discovery import Discovery
from gateway.mqtt import Where

CONNECT_WITHIN_S = 5.0


def listen(
    broker: Where,
    discovery: Discovery,
    *,
    client_id: str,
    ours: list[str],
    seconds: float,
    stop: threading.Event,
) -> None:
    """Note what is said on topics outside `ours` (filters the gateway listens on, or speaks on itself) for so long.

    Nothing is acknowledged or kept: QoS 0, a clean session, no retained messages.

    :raises RefusedError: the broker cannot be reached, or does not let us listen to everything.
    """
    listening = threading.Event()
    refused: list[str] = []

    def connected(client: paho.Client, *_: Any) -> None:
        client.subscribe("#", qos=0)

    def subscribed(_client: paho.Client, _data: Any, _mid: int, codes: list[Any], *_: Any) -> None:
        refused.extend(str(code) for code in codes if code.is_failure)
        listening.set()

    def heard(_client: paho.Client, _data: Any, message: paho.MQTTMessage) -> None:
        topic = message.topic
        if not message.retain and not any(paho.topic_matches_sub(known, topic) for known in ours):
            discovery.unheard(topic, bytes(message.payload), datetime.now(UTC))

    client = paho.Client(CallbackAPIVersion.VERSION2, client_id=client_id, clean_session=True, protocol=paho.MQTTv311)
    if broker.username:
        client.username_pw_set(broker.username, broker.password)
    if broker.tls:
        client.tls_set()
    client.on_connect, client.on_subscribe, client.on_message = connected, subscribed, heard
    try:
        client.connect(broker.host, broker.port)
    except OSError as error:
        raise RefusedError("the broker cannot be reached just now; see /health") from error
    client.loop_start()
    try:
        if not listening.wait(CONNECT_WITHIN_S) or refused:
            raise RefusedError("the broker does not let the gateway listen to every topic; allow its user to read #")
        stop.wait(seconds)
    finally:
        client.disconnect()
        client.loop_stop()
