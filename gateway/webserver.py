"""How the HTTP server is held to its bounds: by uvicorn's settings, and by hanging up on who dawdles over a request."""

from __future__ import annotations

import asyncio
from typing import Any

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

REQUEST_WITHIN_S = 60.0
"""A request must be here whole by then, from the connection or the last answer on: 42 MB of photos take 7 Mbit/s."""
CONNECTIONS_AT_MOST = 400
"""Further ones get 503. They must never use up the files the process may open: the engine needs some."""


class Impatient(H11Protocol):
    """uvicorn's HTTP/1.1, without the time without end it gives a client for its request."""

    request_within_s = REQUEST_WITHIN_S
    _patience: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn has it
        super().connection_made(transport)
        self._watch()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._watch()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        self._relax()
        super().connection_lost(exc)

    def _watch(self) -> None:
        if self.conn.their_state not in (h11.IDLE, h11.SEND_BODY):
            self._relax()  # it is our turn
        elif self._patience is None:
            self._patience = self.loop.call_later(self.request_within_s, self.transport.close)

    def _relax(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None


def config(app: Any) -> uvicorn.Config:
    """The server's settings: no access log (addresses hold plates and ids), no name of the software."""
    return uvicorn.Config(
        app,
        http=Impatient,
        ws="none",
        log_level="warning",
        access_log=False,
        server_header=False,
        limit_concurrency=CONNECTIONS_AT_MOST,
        timeout_graceful_shutdown=2,
    )
