import ssl
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from gateway.delivery import Kind, Outcome
from gateway.webhooks import secret_bytes, sign
from tests.gateway.receiver import Receiver, Sender

SECRET = "whsec_" + "QUJDREVGR0hJSktMTU5PUFFSU1RVVldY"


def certificate(folder: Path, host: str) -> tuple[Path, Path]:
    """A self-signed certificate for `host`, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "cert.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(secret)
    return folder / "cert.pem", folder / "key.pem"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver(SECRET)
    receiver.start()
    yield receiver
    receiver.stop()


def secured(receiver: Receiver, folder: Path, host: str) -> Path:
    cert, key = certificate(folder, host)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    assert receiver._server is not None
    receiver._server.socket = context.wrap_socket(receiver._server.socket, server_side=True)
    return cert


def post(url: str) -> Outcome:
    sender = Sender(url)
    outcome = sender.post(b"{}", sign([secret_bytes(SECRET)], "sub_1.1", int(time.time()), b"{}"))
    sender.close()
    return outcome


def test_the_checked_address_must_answer_for_the_name(
    receiver: Receiver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(secured(receiver, tmp_path, "localhost")))
    assert post(f"https://localhost:{receiver.port}/hook") == Outcome(Kind.TAKEN)
    assert post(f"https://127.0.0.1:{receiver.port}/hook").kind is Kind.UNAVAILABLE
    assert len(receiver.posts) == 1


def test_a_certificate_nobody_vouches_for_gets_nothing(receiver: Receiver, tmp_path: Path) -> None:
    secured(receiver, tmp_path, "localhost")
    assert post(f"https://localhost:{receiver.port}/hook").kind is Kind.UNAVAILABLE
    assert receiver.posts == []


MEANINGS = {
    200: Kind.TAKEN,
    204: Kind.TAKEN,
    301: Kind.REFUSED,
    404: Kind.REFUSED,
    410: Kind.GONE,
    408: Kind.UNAVAILABLE,
    502: Kind.UNAVAILABLE,
}


@pytest.mark.parametrize(("status", "kind"), MEANINGS.items())
def test_every_answer_has_its_meaning(receiver: Receiver, status: int, kind: Kind) -> None:
    receiver.answer = lambda *_: (status, {})
    assert post(receiver.url).kind is kind


def test_a_receiver_that_is_not_there_is_unavailable() -> None:
    assert post("http://127.0.0.1:9/").kind is Kind.UNAVAILABLE
    assert post("http://169.254.169.254/").kind is Kind.UNAVAILABLE
