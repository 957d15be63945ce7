"""A terminal's own list over the real broker: supplied, refused, forgotten, and carried on with after a kill -9."""

import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from devices.model import Device
from simulators.device import Later, NativeDevice, World
from simulators.estate import Estate
from simulators.fleet import simulated
from simulators.ledger import Ledger
from simulators.pictures import Pictures
from tests.e2e.running import Address, Peer, RunningGateway, eventually, running

pytestmark = pytest.mark.e2e
PLATES = 1_200


class Player(Peer):
    """A simulated native device on a connection of its own. While `deaf` it loses every command."""

    def __init__(self, broker: Address, device: Device, estate: Estate) -> None:
        world = World(estate=estate, pictures=Pictures(estate), ledger=Ledger(), boot="b1", first_record=1)
        player = simulated(device, world)
        assert isinstance(player, NativeDevice)
        self.player = player
        self.routine: Any = player.routine
        self.deaf = False
        self.commands = 0
        self.heard_one = threading.Event()
        super().__init__(broker, f"device-{device.address}", hears=player.hears)
        self.client.on_message = lambda _c, _u, m: self._told(m.topic, m.payload)
        self._speak(player.hello(datetime.now(UTC)))

    def _told(self, topic: str, payload: bytes) -> None:
        self.commands += 1
        if not self.deaf:
            self._speak(self.player.told(topic, payload, datetime.now(UTC)))
        self.heard_one.set()

    def _speak(self, said: list[Later]) -> None:
        for later in said:
            self.client.publish(later.message.topic, later.message.payload, qos=1)


@pytest.fixture(scope="module")
def estate() -> Estate:
    return Estate(1)


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[RunningGateway]:
    with running(tmp_path, workers=1) as found:
        yield found


def held(gateway: RunningGateway, device: str, **counts: int) -> bool:
    found = gateway.get(f"/v1/devices/{device}/list")
    return {name: found[name] for name in ("wanted", "sent", "held", "refused", "removing") if found[name]} == counts


def test_a_face_gate_is_supplied_with_who_agreed_and_forgets_who_withdraws(
    gateway: RunningGateway, estate: Estate
) -> None:
    gateway.put_device("gate-1", "face_gate", building="3", params={"holds_list": 1})
    gate = Player(gateway.broker, Device(id="gate-1", kind="face_gate", protocol="native", address="gate-1"), estate)
    pictures = Pictures(estate)
    people = [resident.id for resident in estate.residents()[:4]]
    agreed, refused, elsewhere, never = people
    gate.routine.refuses = {refused}
    for person, more in (
        (agreed, {"consent_terminals": True}),
        (refused, {"consent_terminals": True}),
        (elsewhere, {"consent_terminals": True, "consent_scope": "building:9"}),
        (never, {}),
    ):
        gateway.enrol(f"Name of {person}", photos=pictures.enrolment(person)[:1], id=person, **more)
    eventually(lambda: held(gateway, "gate-1", held=1, refused=1), within=30, what="the list")
    assert list(gate.routine.held) == [agreed]
    (refusal,) = gateway.get("/v1/devices/gate-1/list")["refusals"]
    assert refusal == {"entry": refused, "reason": "refused", "name": f"Name of {refused}"}

    restarted = gateway.api.post("/v1/devices/gate-1/commands", json={"type": "reboot"}, params={"wait": 10}).json()
    assert restarted["status"] == "done", restarted
    eventually(lambda: list(gate.routine.held) == [agreed], what="the list after the restart")

    gate.deaf = True
    receipt = gateway.api.delete(f"/v1/residents/{agreed}").json()
    assert receipt["terminals"] == ["gate-1"]
    path = f"/v1/receipts/{receipt['receipt']}"
    assert gateway.get(path)["terminals"] == ["gate-1"]
    gate.deaf = False
    gateway.api.post("/v1/devices/gate-1/list/resync").raise_for_status()
    eventually(lambda: gateway.get(path)["terminals"] == [], what="the confirmation")
    assert gate.routine.held == {}
    assert gateway.bugs() == []
    gate.close()


def test_a_gateway_killed_in_the_middle_carries_on_to_the_last_plate(gateway: RunningGateway, estate: Estate) -> None:
    gateway.put_device("lane-1", "barrier", params={"holds_list": 1})
    lane = Player(gateway.broker, Device(id="lane-1", kind="barrier", protocol="native", address="lane-1"), estate)
    rows = "\n".join(f"粤B{n:05}" for n in range(PLATES))
    gateway.api.post("/v1/vehicles/import", content=f"plate\n{rows}\n".encode()).raise_for_status()
    assert lane.heard_one.wait(15)
    gateway.kill()
    gateway.begin()
    lane._speak(lane.player.hello(datetime.now(UTC)))
    eventually(lambda: held(gateway, "lane-1", held=PLATES), within=120, what="the whole list")
    assert len(lane.routine.held) == PLATES
    gateway.api.delete("/v1/vehicles/粤B00007").raise_for_status()
    eventually(lambda: held(gateway, "lane-1", held=PLATES - 1), what="the removal")
    assert "粤B00007" not in lane.routine.held
    assert gateway.bugs() == []
    lane.close()
