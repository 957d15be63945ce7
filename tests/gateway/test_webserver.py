"""The HTTP server against clients that dawdle, over real sockets."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
import uvicorn

from gateway import webserver

WHOLE = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\n1234"


async def app(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "http":
        body = (await receive())["body"]
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"ok" if body == b"1234" else b"no"})


@pytest.fixture
def port(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    monkeypatch.setattr(webserver.Impatient, "request_within_s", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = uvicorn.Server(webserver.config(app))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        yield listening.getsockname()[1]
        server.should_exit = True
        thread.join(10)


@pytest.mark.parametrize("begun", [b"", b"GET / HT", WHOLE[:40], WHOLE[:-1], WHOLE + b"GET / HT"])
def test_a_client_that_never_ends_its_request_is_hung_up_on(port: int, begun: bytes):
    with closing(socket.create_connection(("127.0.0.1", port), 10)) as client:
        client.sendall(begun)
        answer = b""
        while received := client.recv(4096):  # b"": the server has closed the connection
            answer += received
        assert answer.endswith(b"ok") == begun.startswith(WHOLE)


def test_an_answer_does_not_name_the_software(port: int):
    with closing(socket.create_connection(("127.0.0.1", port), 10)) as client:
        client.sendall(WHOLE)
        assert b"uvicorn" not in client.recv(4096).lower()
