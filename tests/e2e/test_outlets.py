"""Whom the gateway tells besides: Home Assistant on the same broker, ThingsBoard elsewhere, Sparkplug's edge nodes."""

from __future__ import annotations

import json
import socket
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from gateway import announce
from gateway.broker import GATEWAY_USER, Broker
from gateway.mqtt import Mqtt
from gateway.rights import device_rights
from gateway.settings import Mqtt as MqttSettings
from simulators.gateway_process import free_port
from tests.e2e.running import NativeDevice, RunningGateway, eventually, running

pytestmark = pytest.mark.e2e


class Listener:
    """Somebody else's end of MQTT: keeps what was said last on each topic, and whether it was retained."""

    def __init__(self, port: int, user: str, password: str, *topics: str) -> None:
        self.said: dict[str, bytes] = {}
        self.retained: set[str] = set()
        self.all: list[tuple[str, Any]] = []
        self.there = threading.Event()
        self.client = paho.Client(CallbackAPIVersion.VERSION2, client_id=f"listener-{user}-{free_port()}")
        self.client.username_pw_set(user, password)
        self.client.on_connect = lambda client, *_: client.subscribe([(topic, 1) for topic in topics])
        self.client.on_subscribe = lambda *_: self.there.set()
        self.client.on_message = self._heard
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()
        assert self.there.wait(15)

    def _heard(self, _client: Any, _user: Any, message: paho.MQTTMessage) -> None:
        self.said[message.topic] = message.payload
        if message.retain:
            self.retained.add(message.topic)
        if message.payload[:1] == b"{":
            self.all.append((message.topic, json.loads(message.payload)))

    def json(self, topic: str) -> Any:
        return json.loads(self.said.get(topic) or b"null")

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


# -- Home Assistant ---------------------------------------------


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGateway]:
    with running(tmp_path_factory.mktemp("shown"), settings="[home_assistant]\nenabled = true") as gateway:
        yield gateway


def home_assistant(gateway: RunningGateway, *topics: str) -> Listener:
    passwords = json.loads((gateway.data / "broker" / "passwords.json").read_text(encoding="utf-8"))
    wanted = topics or ("homeassistant/#", f"{announce.ROOT}/+")
    return Listener(gateway.mqtt_port, announce.USER, passwords[announce.USER], *wanted)


def test_home_assistant_sees_a_device_its_door_its_alerts_and_its_end(shown: RunningGateway) -> None:
    shown.put_device("gate.1", "face_gate", address="gate-1", name="Gate 1", building="3", params={"held_open_s": 1})
    device = NativeDevice(shown.broker, "gate-1")
    there = home_assistant(shown)
    own = announce.object_id("gate.1")
    config, state = f"homeassistant/device/{own}/config", f"{announce.ROOT}/{own}"
    eventually(lambda: there.json(state) == {"online": "ON", "alerts": 0, "state": None}, what="its state")
    told = there.json(config)
    assert told["dev"] == {"ids": [own], "name": "Gate 1", "sa": "3"}
    assert {key: part.get("dev_cla") for key, part in told["cmps"].items()} == {
        "online": "connectivity",
        "alerts": None,
        "state": "door",
    }
    assert (told["stat_t"], told["avty_t"]) == (state, announce.THERE)
    assert there.said[announce.THERE] == b"online"

    device.event("door_changed", open=True)
    eventually(lambda: there.json(state) == {"online": "ON", "alerts": 1, "state": "ON"}, what="the open door")
    later = home_assistant(shown)
    eventually(lambda: {config, state} <= later.retained, what="what is retained")

    shown.api.delete("/v1/devices/gate.1")
    eventually(lambda: there.said[config] == b"" == there.said[state], what="its end")
    assert not shown.rows("SELECT topic FROM quarantine WHERE topic LIKE 'homeassistant/%'")
    for end in (device, there, later):
        end.close()


def test_what_a_dead_gateway_left_is_cleared_by_the_next(shown: RunningGateway) -> None:
    shown.put_device("lamp-9", "light")
    there = home_assistant(shown)
    config = f"homeassistant/device/{announce.object_id('lamp-9')}/config"
    eventually(lambda: there.said.get(config), what="the introduction")
    there.close()
    shown.kill()
    with sqlite3.connect(shown.data / "linli.db") as db:  # an operator mends it by hand
        db.execute("DELETE FROM devices WHERE id='lamp-9'")
    shown.begin()
    again = home_assistant(shown)
    eventually(lambda: again.said.get(announce.THERE) == b"online")
    eventually(lambda: not again.said.get(config), what="the stale introduction's end")
    again.close()


def test_home_assistant_hears_only_what_is_shown(shown: RunningGateway) -> None:
    shown.put_device("gate-2", "face_gate")
    there = home_assistant(shown, "linli/#", f"{announce.ROOT}/+")
    device = NativeDevice(shown.broker, "gate-2")
    eventually(lambda: there.json(f"{announce.ROOT}/{announce.object_id('gate-2')}"))
    assert not [topic for topic in there.said if topic.startswith("linli/v1")]
    there.close()
    device.close()


# -- ThingsBoard ---------------------------------------------


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """Another real broker, where ThingsBoard would be."""
    settings = MqttSettings(listen=f"127.0.0.1:{free_port()}", sync="interval")
    found = Broker(settings, tmp_path_factory.mktemp("board"), rights=device_rights([]))
    found.start()
    yield found
    found.stop()


@pytest.fixture(scope="module")
def telling(board: Broker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGateway]:
    url = f"mqtt://{GATEWAY_USER}:{board.passwords[GATEWAY_USER]}@127.0.0.1:{board.port}"
    settings = f'[thingsboard]\nurl = "{url}"\ncommands = ["set_lamp"]'
    with running(tmp_path_factory.mktemp("telling"), settings=settings) as gateway:
        yield gateway


def listener(board: Broker) -> Listener:
    return Listener(board.port, GATEWAY_USER, board.passwords[GATEWAY_USER], "v1/gateway/+")


def points(there: Listener, device: str) -> list[float]:
    told = [body[device] for topic, body in there.all if topic == "v1/gateway/telemetry" and device in body]
    return [p["values"]["level_pct"] for part in told for p in part if "level_pct" in p["values"]]


def test_thingsboard_gets_every_point_once_and_the_status_when_it_changes(
    telling: RunningGateway, board: Broker
) -> None:
    there = listener(board)
    telling.put_device("lamp-1", "light", params={"stair": 1})
    lamp = NativeDevice(telling.broker, "lamp-1")
    for level in (10, 20, 30):
        lamp.event("lamp_measured", level_pct=level)
    eventually(lambda: points(there, "lamp-1") == [10, 20, 30], what="the points")
    assert ("v1/gateway/connect", {"device": "lamp-1", "type": "light"}) in there.all
    online = {"online": True, "alerts_open": 0, "kind": "light"}
    eventually(lambda: ("v1/gateway/attributes", {"lamp-1": online}) in there.all, what="the status")

    telling.kill()
    telling.begin()
    lamp.event("lamp_measured", level_pct=40)
    eventually(lambda: 40 in points(there, "lamp-1"), what="the point after the restart")
    assert points(there, "lamp-1") == [10, 20, 30, 40]
    lamp.close()
    there.close()


def test_an_rpc_is_carried_out_only_where_the_settings_name_it(telling: RunningGateway, board: Broker) -> None:
    there = listener(board)
    telling.put_device("lamp-2", "light")
    lamp = NativeDevice(telling.broker, "lamp-2")
    eventually(lambda: telling.get("/v1/devices/lamp-2")["online"])

    def asked(number: int, method: str, params: Any) -> Any:
        body = {"device": "lamp-2", "data": {"id": number, "method": method, "params": params}}
        there.client.publish("v1/gateway/rpc", json.dumps(body), qos=1)

        def answer() -> Any:
            said = [b for t, b in there.all if t == "v1/gateway/rpc" and b.get("id") == number]
            return said and said[0]["data"]

        return eventually(answer, what=f"the answer to {method}")

    assert asked(1, "setLevel", {"level": 60})["success"] is True
    assert lamp.command()["command"] == {"type": "set_lamp", "level_pct": 60.0}
    assert asked(2, "open", {}) == {"success": False, "error": "not allowed: thingsboard.commands does not name it"}
    assert asked(3, "setLevel", {"level": 600})["success"] is False
    assert asked(4, "format", {})["success"] is False
    told = telling.rows("SELECT requested_by FROM commands WHERE device='lamp-2'")
    assert told == [("thingsboard",)]
    lamp.close()
    there.close()


# -- Sparkplug ---------------------------------------------


def test_edge_nodes_are_told_whether_their_host_is_there(board: Broker) -> None:
    user = {"username": GATEWAY_USER, "password": board.passwords[GATEWAY_USER]}
    host = Mqtt(host="127.0.0.1", port=board.port, client_id="host", topics=["x"], host_id="linli-1", **user)
    node, topic = Listener(board.port, *user.values(), "spBv1.0/STATE/+"), "spBv1.0/STATE/linli-1"

    def online() -> bool | None:
        host.tend()
        host.read(10)
        return (node.json(topic) or {}).get("online")

    eventually(lambda: online() is True, what="the host's birth")
    born = node.json(topic)["timestamp"]
    sock = host.socket()
    assert sock is not None
    sock.shutdown(socket.SHUT_RDWR)
    eventually(lambda: node.json(topic) == {"online": False, "timestamp": born}, what="the host's will")
    eventually(lambda: online() is True, what="its next birth")
    assert node.json(topic)["timestamp"] > born
    host.disconnect()
    eventually(lambda: node.json(topic)["online"] is False, what="its goodbye")
    late = Listener(board.port, *user.values(), "spBv1.0/STATE/+")
    eventually(lambda: topic in late.retained, what="what is retained")
    for end in (node, late):
        end.close()


def test_a_gateway_with_a_host_id_says_so(tmp_path: Path) -> None:
    with running(tmp_path, settings='[sparkplug]\nhost_id = "linli-1"') as gateway:
        broker = gateway.broker
        node = Listener(broker.port, broker.user, broker.password, "spBv1.0/STATE/+")
        eventually(lambda: (node.json("spBv1.0/STATE/linli-1") or {}).get("online"), what="the host's birth")
        node.close()
