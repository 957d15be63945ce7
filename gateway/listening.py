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
from gateway.network_thread import NetworkThread

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

    def unreachable(trouble: str) -> None:
        refused.append(trouble)
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
    network = NetworkThread(client, broker.host, broker.port, trouble=unreachable)
    network.start()
    try:
        if not listening.wait(CONNECT_WITHIN_S) or refused:
            why = ", ".join(refused) or "no answer"
            raise RefusedError(
                f"cannot listen to every topic ({why}): see /health; the gateway's user needs the right to read #"
            )
        stop.wait(seconds)
    finally:
        network.stop()
