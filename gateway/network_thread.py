"""paho's network loop in a thread of its own, by `poll`.

paho's own thread waits with `select`, which takes no descriptor above 1023; a gateway that serves many desks and reads
many cameras has more, and its client would reconnect for ever.
"""

from __future__ import annotations

import os
import select
import ssl
import threading
import time
from collections.abc import Callable
from typing import Any

import paho.mqtt.client as paho

TEND_S = 1.0
"""How often paho looks after its pings while nothing comes."""
RETRY_LEAST_S, RETRY_MOST_S = 1.0, 60.0
GOODBYE_S = 5.0


class NetworkThread:
    """Connects, and goes on trying. Publishing and subscribing are safe from any thread: they queue and wake it up.

    `trouble` is told in words why the broker cannot be reached. One connection at most is open at any time.
    """

    def __init__(self, client: paho.Client, host: str, port: int, *, trouble: Callable[[str], None]) -> None:
        self._client, self._host, self._port, self._trouble = client, host, port, trouble
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._stopping = threading.Event()
        self._retry_s = 0.0
        # With this callback set paho leaves writing to us: it would write from whatever thread publishes.
        client.on_socket_register_write = lambda *_: os.eventfd_write(self._wake, 1)
        self._thread = threading.Thread(target=self._run, name="mqtt-network", daemon=True)

    def start(self) -> None:
        """Begin to connect."""
        self._thread.start()

    def stop(self) -> None:
        """Write what waits, say goodbye and end."""
        self._stopping.set()
        os.eventfd_write(self._wake, 1)
        if self._thread.ident is not None:
            self._thread.join()
        self._client.on_socket_register_write = None
        os.close(self._wake)

    def _run(self) -> None:
        while not self._stopping.is_set():
            if self._client.socket() is None:
                self._connect()
            else:
                self._turn()
        self._client.disconnect()
        give_up = time.monotonic() + GOODBYE_S
        while self._client.socket() is not None and time.monotonic() < give_up:
            self._turn()

    def _connect(self) -> None:
        if self._stopping.wait(self._retry_s):
            return
        self._retry_s = min(max(self._retry_s * 2, RETRY_LEAST_S), RETRY_MOST_S)
        try:
            self._client.connect(self._host, self._port, keepalive=30)
        except (OSError, ValueError) as error:
            self._trouble(f"cannot reach the broker at {self._host}:{self._port}: {error}")

    def _turn(self) -> None:
        sock: Any = self._client.socket()
        poll = select.poll()
        poll.register(self._wake, select.POLLIN)
        poll.register(sock, select.POLLIN | (select.POLLOUT if self._client.want_write() else 0))
        held = sock.pending() if isinstance(sock, ssl.SSLSocket) else 0
        ready = dict(poll.poll(0 if held else TEND_S * 1000))
        if ready.pop(self._wake, 0):
            os.eventfd_read(self._wake)
        if held or any(events & ~select.POLLOUT for events in ready.values()):
            self._client.loop_read()
        if self._client.want_write():
            self._client.loop_write()
        self._client.loop_misc()
        if self._client.is_connected():
            self._retry_s = RETRY_LEAST_S
