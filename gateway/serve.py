"""`linli run`: the gateway and its HTTP server as one process, from its first signal to its last."""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import structlog
import uvicorn

from gateway import logs, webserver
from gateway.runtime import Gateway
from gateway.settings import Settings, SettingsError

log = structlog.get_logger()

CONNECT_WITHIN_S = 5.0


class _Server(uvicorn.Server):
    """uvicorn, stopped by us rather than by its own signal handlers."""

    @contextlib.contextmanager
    def capture_signals(self) -> Any:
        yield


def serve(settings: Settings, app_factory: Callable[[Gateway], Any]) -> int:
    """Run until SIGINT or SIGTERM. Prints `ready http://host:port` on stdout once everything is up.

    A broker elsewhere that cannot be reached is waited for a while; then `/health` says so.
    """
    logs.configure(settings.log_level)
    started = time.monotonic()
    listening = _listen(settings)
    gc.disable()
    gateway = Gateway(settings)
    gc.freeze()  # what is there now stays: walking it again and again would stop an estate with many alerts for a while
    gc.enable()
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    app = app_factory(gateway)
    server = _Server(webserver.config(app))
    web = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, name="http", daemon=True)
    try:
        gateway.start()
        web.start()
        give_up = time.monotonic() + CONNECT_WITHIN_S
        while not (server.started and gateway.connected) and time.monotonic() < give_up and not stop.is_set():
            stop.wait(0.02)
        host, port = listening.getsockname()[:2]
        log.info("ready", seconds=round(time.monotonic() - started, 2), pid=os.getpid())
        sys.stdout.write(f"ready http://{host}:{port}\n")
        sys.stdout.flush()
        while not stop.wait(0.5):
            gateway.watch()
            if not gateway.engine.alive:
                log.error("engine_dead")
                return 1
    finally:
        app.state.feed.close()
        server.should_exit = True
        if web.is_alive():
            web.join(5)
        gateway.stop()
        log.info("stopped")
    return 0


def _listen(settings: Settings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.http.host else socket.AF_INET
    # The protocol is named because asyncio looks at it: without it answers wait 40 ms for Nagle and a delayed ACK.
    sock = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((settings.http.host, settings.http.port))
    except OSError as error:
        sock.close()
        raise SettingsError(
            f"http: {settings.http.host}:{settings.http.port} cannot be listened on: {error.strerror}; set http.port"
        ) from error
    return sock
