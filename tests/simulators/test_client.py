"""The client against the API's own description of its bodies, where the API is there."""

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from simulators.client import ApiError, Client, register
from simulators.estate import Estate
from simulators.pictures import Pictures


@pytest.fixture
def gateway():
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def answer(self):
            body = self.rfile.read(int(self.headers["Content-Length"] or 0))
            asked.append((self.command, self.path, self.headers, body))
            data = json.dumps({"id": "x", "templates": 1, "refused": []}).encode()
            self.send_response(401 if self.headers["Authorization"] != "Bearer good" else 201)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_PUT = do_POST = answer  # noqa: N815

        def log_message(self, format, *args):  # noqa: A002
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}", asked
    server.shutdown()
    server.server_close()


def test_a_whole_estate_is_registered(gateway):
    url, asked = gateway
    estate = Estate(1)
    counts = register(Client(url, "good"), estate, Pictures(estate))
    assert counts["devices"] == len(estate.devices())
    assert counts["templates"] == len(estate.residents())
    people = [body for method, path, _, body in asked if path == "/v1/residents"]
    assert all(body.count(b"\xff\xd8\xff") == 2 and b'name="consent_scope"' in body for body in people)


def test_what_is_registered_is_what_the_api_takes(gateway):
    schemas = pytest.importorskip("api.schemas")
    url, asked = gateway
    estate = Estate(1)
    client = Client(url, "good")
    register(client, estate, Pictures(estate))
    client.subscribe("http://127.0.0.1:1/hook")
    client.work("a1", "claimed", assignee="grid-worker-1")
    bodies = {
        "/v1/devices/": schemas.DeviceBody,
        "/v1/vehicles/": schemas.VehicleBody,
        "/v1/subscriptions": schemas.SubscriptionBody,
        "/v1/alerts/": schemas.WorkUpdate,
    }
    for prefix, shape in bodies.items():
        sent = [body for _, path, _, body in asked if path.startswith(prefix)]
        assert sent
        for body in sent:
            shape.model_validate_json(body)


def test_a_refusal_is_told_with_its_status(gateway):
    with pytest.raises(ApiError, match="401"):
        Client(gateway[0], "bad").device(Estate(1).devices()[0])
