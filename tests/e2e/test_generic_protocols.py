"""Sparkplug B, Homie, Home Assistant and ThingsBoard's gateway API on the real broker: seen, alerted, told, shown."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from devices.model import Device
from simulators.device import Simulated, World
from simulators.estate import Estate, Happening, What
from simulators.fleet import simulated
from simulators.generic_lamps import lamps
from simulators.ledger import Ledger
from simulators.link import Broker, Link
from simulators.pictures import Pictures
from tests.e2e.running import Peer, RunningGateway, eventually

pytestmark = pytest.mark.e2e
LAMPS = {device.protocol: device for device in lamps("c1")}


class Played:
    """A simulated device on its own connection, obeying what it is told."""

    def __init__(self, gateway: RunningGateway, device: Device) -> None:
        estate = Estate(1)
        world = World(estate=estate, pictures=Pictures(estate), ledger=Ledger(), boot="b00t", first_record=1)
        self.player = simulated(device, world)
        to = Broker(
            host="127.0.0.1", port=gateway.broker.port, user=gateway.broker.user, password=gateway.broker.password
        )
        self.link = Link(to, [self.player], client_id=f"sim-{device.id}", heard=self._heard, connected=self._greets)
        self.link.open()
        assert self.link.ready.wait(15)

    def happens(self, what: What) -> None:
        self._say(lambda now: self.player.happen(Happening(at=now, what=what, device=self.player.device.id), now))

    def _greets(self, _players: Sequence[Simulated]) -> None:
        self._say(self.player.hello)

    def _heard(self, topic: str, payload: bytes) -> None:
        self._say(lambda now: self.player.told(topic, payload, now))

    def _say(self, words: Callable[[datetime], Sequence[Any]]) -> None:
        for later in words(datetime.now(UTC)):
            self.link.publish(later.message)


def register(gateway: RunningGateway, device: Device) -> None:
    body = msgspec.to_builtins(device)
    gateway.put_device(body.pop("id"), body.pop("kind"), body.pop("protocol"), **body)


@pytest.fixture(scope="module")
def played(running_gateway: RunningGateway) -> Iterator[dict[str, Played]]:
    with ExitStack() as ends:
        found = {}
        for name, device in LAMPS.items():
            register(running_gateway, device)
            found[name] = Played(running_gateway, device)
            ends.callback(found[name].link.close)
        for device in LAMPS.values():
            eventually(lambda d=device: running_gateway.get(f"/v1/devices/{d.id}")["online"], what=device.id)  # type: ignore[misc]
        yield found


@pytest.mark.parametrize("name", [name for name in LAMPS if name != "home_assistant"])
def test_a_failed_lamp_raises_an_alert(running_gateway: RunningGateway, played: dict[str, Played], name: str) -> None:
    lamp = played[name]
    lamp.happens(What.LAMP_FAILED)
    where = {"device": LAMPS[name].id, "type": "lamp_out"}
    eventually(lambda: running_gateway.get("/v1/alerts", **where)["items"], what="the alert")
    lamp.happens(What.LAMP_MENDED)
    eventually(lambda: running_gateway.get("/v1/alerts", **where)["items"][0]["condition"] == "cleared")


@pytest.mark.parametrize("name", LAMPS)
def test_a_lamp_that_is_dimmed_shows_it_and_the_command_is_done(
    running_gateway: RunningGateway, played: dict[str, Played], name: str
) -> None:
    assert name in played
    body = {"type": "set_lamp", "level_pct": 60}
    asked = running_gateway.api.post(f"/v1/devices/{LAMPS[name].id}/commands", json=body)
    assert asked.status_code == 202, asked.text
    command = asked.json()["id"]
    eventually(lambda: running_gateway.get(f"/v1/commands/{command}")["status"] == "done", what="the outcome")
    assert not running_gateway.bugs()


def test_a_homie_device_that_was_there_before_is_known_from_what_is_retained(running_gateway: RunningGateway) -> None:
    peer = Peer(running_gateway.broker, "an-old-lid")
    for leaf, text in (("$state", b"ready"), ("lid/open", b"true")):
        peer.say(f"homie/5/old-lid/{leaf}", text, retain=True)
    eventually(lambda: running_gateway.rows("SELECT 1 FROM quarantine WHERE address='homie:old-lid'"))
    running_gateway.put_device("old-lid", "cover", "homie", options={"cover_open": "lid/open"})
    found = eventually(lambda: running_gateway.get("/v1/alerts", device="old-lid", type="cover_open")["items"])
    assert [alert["count"] for alert in found] == [1]
    assert running_gateway.get("/v1/devices/old-lid")["online"]
    peer.close()


def test_who_announces_itself_to_home_assistant_is_set_aside_for_discovery_and_heard_once_registered(
    running_gateway: RunningGateway,
) -> None:
    peer = Peer(running_gateway.broker, "a-box")
    config = {"name": "Lid", "dev_cla": "opening", "stat_t": "yard/box8/lid", "val_tpl": "{{ value_json.open }}"}
    topic = "homeassistant/binary_sensor/box8/config"
    peer.say(topic, {**config, "pl_on": "yes", "pl_off": "no"}, retain=True)
    who = "home_assistant:binary_sensor.box8"
    eventually(lambda: running_gateway.rows("SELECT 1 FROM quarantine WHERE address=? AND topic=?", who, topic))
    options = {
        "component": "binary_sensor",
        "device_class": "opening",
        "payload_on": "yes",
        "payload_off": "no",
        "state_topic": "yard/box8/lid",
        "value_template": "{{ value_json.open }}",
    }
    running_gateway.put_device("box-8", "cover", "home_assistant", address="binary_sensor.box8", options=options)

    def opened() -> Any:
        peer.say("yard/box8/lid", {"open": "yes"})
        return running_gateway.get("/v1/alerts", device="box-8", type="cover_open")["items"]

    eventually(opened, what="the alert")
    peer.close()


def test_an_edge_node_that_vanishes_is_offline_at_once(
    running_gateway: RunningGateway, played: dict[str, Played]
) -> None:
    played["sparkplug"].link.bounce()
    device = LAMPS["sparkplug"].id
    eventually(lambda: [e for e in running_gateway.events(device, "device_status_changed") if not e["online"]])
    eventually(lambda: running_gateway.get(f"/v1/devices/{device}")["online"], what="its rebirth")


def test_a_device_cannot_be_registered_with_a_topic_where_a_door_listens(running_gateway: RunningGateway) -> None:
    body = {
        "kind": "light",
        "protocol": "home_assistant",
        "address": "x",
        "options": {"component": "light", "state_topic": "linli/v1/gate-1/command"},
    }
    refused = running_gateway.api.put("/v1/devices/evil", json=body)
    assert refused.status_code == 422, refused.text
    assert "device listens there" in refused.text
