"""What a receiver may answer, said by a real socket."""

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from itertools import takewhile

import pytest

from gateway.connection import ANSWER_AT_MOST
from gateway.delivery import Kind, Outcome
from tests.gateway.receiver import Sender


class Raw:
    """Answers the nth request with the nth of `said`; None closes the connection instead. One connection at a time."""

    def __init__(self, said: list[bytes | None]) -> None:
        self.said = said
        self.requests: list[bytes] = []
        self.connections = 0
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = self._server.getsockname()[1]
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        while self.said:
            connection, _ = self._server.accept()
            self.connections += 1
            with connection, connection.makefile("rb") as file:
                while self.said and (request := b"".join(takewhile(lambda line: line.strip(), file))):
                    file.read(2)
                    self.requests.append(request)
                    answer = self.said.pop(0)
                    if answer is None:
                        break
                    connection.sendall(answer)
        self._server.close()


@pytest.fixture
def serve() -> Iterator[Callable[..., tuple[Raw, Sender]]]:
    opened = []

    def start(said: list[bytes | None], path: str = "/hook") -> tuple[Raw, Sender]:
        raw = Raw(said)
        url = f"http://127.0.0.1:{raw.port}{path}"
        opened.append(Sender(url))
        return raw, opened[-1]

    yield start
    for sender in opened:
        sender.close()


TAKEN = b"HTTP/1.1 204 No Content\r\n\r\n"
KEPT = {
    "no content": TAKEN,
    "a length": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    "chunks": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;x=1\r\nok\r\n0\r\nTrailer: t\r\n\r\n",
    "a hint before it": b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + TAKEN,
}
ONCE = {
    "the old HTTP": b"HTTP/1.0 200 OK\r\n\r\n",
    "a close": b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
    "too long an answer": b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (ANSWER_AT_MOST + 1),
    "too long a chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n" % (ANSWER_AT_MOST + 1)
    + b"x" * (ANSWER_AT_MOST + 1),
}
NO_ANSWER = {
    "not HTTP": b"SSH-2.0-OpenSSH_9.2\r\n",
    "endless headers": b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 200_000 + b"\r\n",
    "an endless line": b"HTTP/1.1 200 OK\r\na: " + b"b" * 1_000_000 + b"\r\n\r\n",
    "a chunk without a size": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\n",
    "another protocol": b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
}


@pytest.mark.parametrize("answer", KEPT.values(), ids=KEPT)
def test_the_connection_is_used_again_after(serve: Callable[..., tuple[Raw, Sender]], answer: bytes) -> None:
    raw, sender = serve([answer, answer])
    assert [sender.post(b"{}", {}), sender.post(b"{}", {})] == [Outcome(Kind.TAKEN)] * 2
    assert raw.connections == 1


@pytest.mark.parametrize("answer", ONCE.values(), ids=ONCE)
def test_the_connection_is_given_up_after(serve: Callable[..., tuple[Raw, Sender]], answer: bytes) -> None:
    raw, sender = serve([answer, TAKEN])
    assert [sender.post(b"{}", {}), sender.post(b"{}", {})] == [Outcome(Kind.TAKEN)] * 2
    assert raw.connections == 2


@pytest.mark.parametrize("answer", NO_ANSWER.values(), ids=NO_ANSWER)
def test_it_does_not_count_as_delivered(serve: Callable[..., tuple[Raw, Sender]], answer: bytes) -> None:
    _, sender = serve([answer])
    assert sender.post(b"{}", {}) == Outcome(Kind.UNAVAILABLE, "AnswerError")


@pytest.mark.parametrize(
    "begin", [b"HTT", b"HTTP/1.1 200 OK\r\na: ", b"HTTP/1.1 200 OK\r\nContent-Length: 9000\r\n\r\n"]
)
def test_an_answer_that_drips_in_is_not_waited_for_to_its_end(begin: bytes) -> None:
    server, dripped = socket.create_server(("127.0.0.1", 0)), []

    def drip() -> None:
        connection, _ = server.accept()
        with connection, contextlib.suppress(OSError):  # the sender has hung up
            connection.sendall(begin)
            while not threading.Event().wait(0.02):
                connection.sendall(b"x")
                dripped.append(1)

    threading.Thread(target=drip, daemon=True).start()
    url = f"http://127.0.0.1:{server.getsockname()[1]}/"
    sender = Sender(url, timeout_s=0.2)
    assert sender.post(b"{}", {}).kind is Kind.UNAVAILABLE
    assert len(dripped) < 1000, "bytes: a header may have 8192, an answer 65536"
    sender.close()
    server.close()


def test_a_connection_closed_while_it_was_kept_is_opened_again(serve: Callable[..., tuple[Raw, Sender]]) -> None:
    raw, sender = serve([TAKEN, None, TAKEN])
    assert [sender.post(b"{}", {}), sender.post(b"{}", {})] == [Outcome(Kind.TAKEN)] * 2
    assert raw.connections == 2


def test_a_redirect_is_not_followed(serve: Callable[..., tuple[Raw, Sender]]) -> None:
    there = b"HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/\r\nContent-Length: 0\r\n\r\n"
    raw, sender = serve([there])
    assert sender.post(b"{}", {}).kind is Kind.REFUSED
    assert len(raw.requests) == 1


def test_a_path_cannot_smuggle_a_header(serve: Callable[..., tuple[Raw, Sender]]) -> None:
    raw, sender = serve([TAKEN], path="/网格 hook?a=1&b=%20\x0bX: y")
    assert sender.post(b"{}", {"webhook-id": "sub_1.1"}) == Outcome(Kind.TAKEN)
    first, *headers = raw.requests[0].split(b"\r\n")
    assert first == b"POST /%E7%BD%91%E6%A0%BC%20hook?a=1&b=%20%0BX:%20y HTTP/1.1"
    assert f"Host: 127.0.0.1:{raw.port}".encode() in headers
