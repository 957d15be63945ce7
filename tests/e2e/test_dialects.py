"""Lamps, sensors, covers and cameras in their own dialects, against the real gateway and its real broker."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import NamedTuple

import pytest

from devices.model import Device
from simulators.device import Later, Simulated, World
from simulators.estate import Estate, Happening, What
from simulators.fleet import simulated
from simulators.ledger import Ledger
from simulators.link import Broker, Link
from simulators.pictures import Pictures
from tests.e2e.running import RunningGateway, eventually

pytestmark = pytest.mark.e2e

ESTATE = Estate(1)


class Case(NamedTuple):
    """A device, what happens to it, the alert that raises, and how its lamp can be set (0: it has none)."""

    device: Device
    what: What
    number: int = 0
    alert: str = ""
    level_pct: float = 0


def _device(
    kind: str, protocol: str, address: str, *, params: dict[str, float] | None = None, **options: str
) -> Device:
    return Device(
        id=f"{protocol}-1", kind=kind, protocol=protocol, address=address, params=params or {}, options=options
    )


NAS = _device("light", "chirpstack", "70b3d5e75e00aa01", codec="nas_luminaire", application="estate")
CASES = [
    Case(NAS, What.LAMP_FAILED, alert="lamp_out", level_pct=40),
    Case(_device("light", "zigbee2mqtt", "lamp-z"), What.LAMP_READ, level_pct=40),
    Case(_device("light", "tasmota", "lamp-t", output="dimmer"), What.LAMP_READ, level_pct=40),
    Case(_device("light", "shelly", "lamp-s", output="dimmer"), What.LAMP_READ, level_pct=40),
    Case(_device("sensor", "ttn", "leak-1", codec="milesight", application="estate"), What.WATER_READ, 1, "water_leak"),
    Case(_device("cover", "nbiot_cover", "well-1"), What.COVER_OPENED, alert="cover_open"),
    Case(_device("camera", "frigate", "gate", params={"dwell_s": 1}), What.OBJECT_SEEN, 7, "zone_intrusion"),
    Case(_device("camera", "onvif", "cam-1"), What.CAMERA_COVERED, alert="camera_signal_lost"),
]


class Played:
    """One simulated device on a connection of its own."""

    def __init__(self, gateway: RunningGateway, device: Device) -> None:
        world = World(
            estate=ESTATE,
            pictures=Pictures(ESTATE),
            ledger=Ledger(),
            boot="b00t",
            first_record=int(datetime.now(UTC).timestamp()) * 1000,
        )
        self.player: Simulated = simulated(device, world)
        address = gateway.broker
        broker = Broker(host="127.0.0.1", port=address.port, user=address.user, password=address.password)
        self.link = Link(
            broker,
            [self.player],
            client_id=f"sim-{device.id}",
            heard=lambda topic, payload: self.say(self.player.told(topic, payload, datetime.now(UTC))),
            connected=lambda _: self.say(self.player.hello(datetime.now(UTC))),
        )

    def say(self, words: list[Later]) -> None:
        for later in words:
            self.link.publish(later.message, later.record)


@pytest.fixture(params=CASES, ids=lambda case: case.device.protocol)
def case(request: pytest.FixtureRequest) -> Case:
    found: Case = request.param
    return found


@pytest.fixture
def played(running_gateway: RunningGateway, case: Case) -> Iterator[Played]:
    device = case.device
    more = {"params": device.params, "options": device.options}
    running_gateway.put_device(device.id, device.kind, device.protocol, address=device.address, **more)
    playing = Played(running_gateway, device)
    playing.link.open()
    assert playing.link.ready.wait(15)
    yield playing
    playing.link.close()


def test_what_happens_becomes_an_alert_and_what_is_commanded_is_answered(
    running_gateway: RunningGateway, case: Case, played: Played
) -> None:
    device = case.device
    eventually(lambda: running_gateway.get(f"/v1/devices/{device.id}")["online"], what="the device")
    if case.level_pct:
        body = {"type": "set_lamp", "level_pct": case.level_pct}
        asked = running_gateway.api.post(f"/v1/devices/{device.id}/commands", json=body)
        assert asked.status_code == 202, asked.text
        url = f"/v1/commands/{asked.json()['id']}"
        eventually(lambda: running_gateway.get(url)["status"] == "done", what="the answer")
    now = datetime.now(UTC)
    played.say(played.player.happen(Happening(at=now, what=case.what, device=device.id, number=case.number), now))
    if case.alert:
        found = eventually(
            lambda: running_gateway.get("/v1/alerts", device=device.id, type=case.alert)["items"], what="the alert"
        )
        assert [alert["condition"] for alert in found] == ["active"]
    assert running_gateway.bugs() == []
