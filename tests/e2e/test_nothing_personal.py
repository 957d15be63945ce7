"""Known names, plates, cards and ids are pushed through everything; then every outgoing thing is searched for them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import httpx
import pytest

from tests.e2e.running import NativeDevice, Peer, RunningGateway, eventually, linli

pytestmark = pytest.mark.e2e

RESIDENT, OWNER, WORKER, TYPED = "欧阳测试甲", "司马测试乙", "上官测试丙", "诸葛测试丁"
ALLOWED, BLOCKED, UNKNOWN = "浙A5J8K9", "苏E66X66", "皖B77Y77"
CARD, CONTACT, NOTE = "CARD-7F3A-SECRET", "tel:+8613900001234", "note-about-the-owner"
PERSONAL = (RESIDENT, OWNER, WORKER, TYPED, ALLOWED, BLOCKED, UNKNOWN, CARD, CONTACT, NOTE)


class Sink:
    """Keeps every byte it is sent."""

    def __init__(self) -> None:
        self.came: list[str] = []
        sink = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                sink.came.append(f"{self.path} {self.headers} {body}")
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                """Quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/hook"
        Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGateway]:
    made = RunningGateway(tmp_path_factory.mktemp("estate"), sync="interval")
    made.config.write_text('log_level = "DEBUG"\n' + made.config.read_text(encoding="utf-8"), encoding="utf-8")
    try:
        made.begin()
        yield made
    finally:
        made.stop()
        made.api.close()


@pytest.fixture(scope="module")
def backend(gateway: RunningGateway) -> Iterator[httpx.Client]:
    """A backend as its role is: it may not see people."""
    headers = {"Authorization": f"Bearer {gateway.token('backend')}"}
    with httpx.Client(base_url=gateway.api.base_url, headers=headers, timeout=15) as client:
        yield client


@pytest.fixture(scope="module")
def sink(gateway: RunningGateway, backend: httpx.Client) -> Iterator[Sink]:
    sink = Sink()
    assert backend.post("/v1/subscriptions", json={"url": sink.url}).status_code == 201
    lived(gateway)
    last = gateway.rows("SELECT max(seq) FROM alert_changes")[0][0]
    eventually(lambda: len(sink.came) >= last, what="every delivery")
    yield sink
    sink.stop()


def lived(gateway: RunningGateway) -> None:
    """People, cars and mistakes, until each kind of alert about somebody stands, and somebody has typed a name."""
    gateway.put_device("gate-1", "face_gate", params={"forced_detection": 0})
    gateway.put_device("lane-1", "barrier", direction="in")
    gateway.enrol(RESIDENT, cards=CARD)
    for plate, listing in ((ALLOWED, "allow"), (BLOCKED, "block")):
        body = {"listing": listing, "owner": OWNER, "note": NOTE}
        assert gateway.api.put(f"/v1/vehicles/{plate}", json=body).is_success
    worker = {"id": "w-1", "name": WORKER, "level": "grid_worker", "places": ["c-1"], "contact": CONTACT}
    assert gateway.api.put("/v1/staff", json={"items": [worker]}).is_success
    gate, lane = NativeDevice(gateway.broker, "gate-1"), NativeDevice(gateway.broker, "lane-1")
    try:
        gate.event("credential_presented", method="card", value=CARD)
        gate.command()
        for _ in range(3):
            gate.event("credential_presented", method="card", value=f"{CARD}-LOST")
            gate.event("access_denied", method="card", reason="Unauthorized", person=RESIDENT)
        for plate in (ALLOWED, BLOCKED, UNKNOWN):
            lane.event("plate_captured", plate=plate, confidence=0.99)
        gate.say("linli/v1/gate-1/event", f'{{"event": {{"type": "no such", "name": "{RESIDENT}", '.encode())
        gate.say("linli/v1/gate-1/event", {"id": "x", "event": {"type": "plate_captured", "plate": [ALLOWED]}})
        stranger = Peer(gateway.broker, "stranger")
        stranger.say("linli/v1/nobody/event", {"id": "y", "event": {"type": "door_changed", "name": RESIDENT}})
        stranger.close()
        gateway.api.post("/ingest/hik_access/nobody/token", content=f"name={RESIDENT}&plate={ALLOWED}".encode())
        found = eventually(lambda: gateway.get("/v1/alerts", type="blocklisted_plate")["items"], what="the alert")
        eventually(lambda: gateway.get("/v1/alerts", type="repeated_refusal")["items"], what="the refusals")
        said = {"reason": f"{TYPED} says that {ALLOWED} belongs to {OWNER}"}
        assert gateway.api.post(f"/v1/alerts/{found[0]['id']}/acknowledge", json=said).is_success
    finally:
        gate.close()
        lane.close()


def searched(text: str, gateway: RunningGateway) -> list[str]:
    """What of the known people stands in it, ids of the register and digests of plates and faces among them."""
    ids = [row[0] for table in ("people", "vehicles") for row in gateway.rows(f"SELECT id FROM {table}")]
    assert len(ids) == 3
    return [personal for personal in (*PERSONAL, *ids) if personal in text or json.dumps(personal)[1:-1] in text]


def test_webhooks(gateway: RunningGateway, sink: Sink) -> None:
    assert len(sink.came) > 3
    assert searched("\n".join(sink.came), gateway) == []


@pytest.mark.parametrize("path", ["/v1/alerts/changes?limit=500", "/v1/alerts", "/v1/devices", "/health", "/metrics"])
def test_what_a_backend_can_ask_for(path: str, gateway: RunningGateway, sink: Sink, backend: httpx.Client) -> None:
    assert sink.came
    answer = backend.get(path) if path != "/metrics" else httpx.get(f"{backend.base_url}/metrics", trust_env=False)
    assert answer.status_code in (200, 503), answer.text
    assert searched(answer.text, gateway) == []


def test_each_alert_with_its_history(gateway: RunningGateway, sink: Sink, backend: httpx.Client) -> None:
    assert sink.came
    alerts = backend.get("/v1/alerts", params={"limit": 500}).json()["items"]
    text = "".join(backend.get(f"/v1/alerts/{alert['id']}").text for alert in alerts)
    assert "blocklisted_plate" in text
    assert searched(text, gateway) == []


def test_the_live_stream(gateway: RunningGateway, sink: Sink, backend: httpx.Client) -> None:
    assert sink.came
    last = gateway.rows("SELECT max(seq) FROM alert_changes")[0][0]
    heard = []
    with backend.stream("GET", "/v1/stream", headers={"Last-Event-ID": "0"}) as answer:
        for line in answer.iter_lines():
            heard.append(line)
            if line.startswith("data: ") and f'"seq":{last},' in line:
                break
    assert searched("\n".join(heard), gateway) == []


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", f"/v1/vehicles/{ALLOWED}"),
        ("GET", "/v1/residents"),
        ("POST", "/v1/subscriptions"),
        ("GET", f"/v1/alerts/{TYPED}x"),
    ],
)
def test_the_words_of_a_refusal(
    method: str, path: str, gateway: RunningGateway, sink: Sink, backend: httpx.Client
) -> None:
    assert sink.came
    answer = backend.request(method, path, json={"url": [RESIDENT]} if method == "POST" else None)
    assert answer.status_code >= 400
    assert not {RESIDENT, OWNER, NOTE} & set(searched(answer.text, gateway))


def test_the_exported_ledger_and_the_report(gateway: RunningGateway, sink: Sink, tmp_path: Path) -> None:
    assert sink.came
    config = ("--config", str(gateway.config))
    assert linli("ledger", "export", str(tmp_path / "ledger.jsonl"), *config).code == 0
    name = re.search(r"\d{4}-(\d\d)", gateway.get("/v1/alerts")["items"][0]["raised_at"])
    assert name
    quarter = f"{name[0][:4]}Q{(int(name[1]) + 2) // 3}"
    assert linli("report", "quarter", quarter, "--out", str(tmp_path / "out"), *config).code == 0
    files = [tmp_path / "ledger.jsonl", *(tmp_path / "out").iterdir()]
    assert len(files) == 4
    for file in files:
        assert searched(file.read_text(encoding="utf-8"), gateway) == [], file.name


def test_the_log_at_its_most_talkative(gateway: RunningGateway, sink: Sink) -> None:
    assert sink.came
    log = (gateway.config.parent / "gateway.log").read_text(encoding="utf-8", errors="replace")
    assert '"level": "' in log
    assert searched(log, gateway) == []


def test_a_contract_may_say_otherwise(gateway: RunningGateway, sink: Sink) -> None:
    """The same search finds what it should find."""
    assert sink.came
    assert {BLOCKED, OWNER} <= set(searched(gateway.api.get("/v1/alerts/changes?limit=500").text, gateway))
