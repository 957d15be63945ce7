"""Vendors' doors and barriers at the real broker, played by the simulator: lists go down and are answered, a picture is
taken, an opening is shown by the arm, a clock is set, and a device that falls silent is an alert.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from devices.model import Device
from simulators.device import World
from simulators.estate import Estate
from simulators.fleet import simulated
from simulators.ledger import Ledger
from simulators.pictures import Pictures
from tests.e2e.running import Peer, RunningGateway, eventually, running

pytestmark = pytest.mark.e2e
ESTATE = Estate(1)
OUT_OF_STEP = timedelta(minutes=-2)


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGateway]:
    with running(tmp_path_factory.mktemp("doors"), workers=1) as found:
        yield found


class Played(Peer):
    """A simulated device on a connection of its own; what it says later it says at once."""

    def __init__(self, gateway: RunningGateway, device: Device, clock: timedelta = timedelta(0)) -> None:
        world = World(estate=ESTATE, pictures=Pictures(ESTATE), ledger=Ledger(), boot="b1", first_record=1)
        self.player: Any = simulated(device, world, clock)
        self.told: list[str] = []
        super().__init__(gateway.broker, f"device-{device.address}", hears=self.player.hears)
        self.client.on_message = lambda _c, _u, m: self._told(m.topic, m.payload)
        self.speak(self.player.hello(datetime.now(UTC)))
        self.speak(self.player.beat(datetime.now(UTC)))

    def _told(self, topic: str, payload: bytes) -> None:
        self.told.append(topic)
        self.speak(self.player.told(topic, payload, datetime.now(UTC)))

    def speak(self, said: list[Any]) -> None:
        for later in said:
            self.client.publish(later.message.topic, later.message.payload, qos=1)


def registered(gateway: RunningGateway, kind: str, protocol: str, address: str, **more: Any) -> Device:
    gateway.put_device(f"{protocol}-1", kind, protocol, address=address, **more)
    return Device(id=f"{protocol}-1", kind=kind, protocol=protocol, address=address)


def held(gateway: RunningGateway, device: Device) -> dict[str, int]:
    found = gateway.get(f"/v1/devices/{device.id}/list")
    return {name: found[name] for name in ("wanted", "sent", "held", "refused", "removing") if found[name]}


def command(gateway: RunningGateway, device: Device, **body: Any) -> dict[str, Any]:
    answer = gateway.api.post(f"/v1/devices/{device.id}/commands", json=body, params={"wait": 10})
    assert answer.status_code in (200, 201, 202), answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_an_oem_terminal_is_given_its_persons_and_forgets_who_withdraws(gateway: RunningGateway) -> None:
    gate = registered(gateway, "face_gate", "oem_face", "7700123", params={"holds_list": 1})
    terminal = Played(gateway, gate)
    first, second = (resident.id for resident in ESTATE.residents()[:2])
    for person in (first, second):
        photos = Pictures(ESTATE).enrolment(person)[:1]
        gateway.enrol(f"Name of {person}", photos=photos, id=person, consent_terminals=True)
    eventually(lambda: held(gateway, gate) == {"held": 2}, within=30, what="the list")
    assert terminal.player.persons.keys() == {first, second}
    receipt = gateway.api.delete(f"/v1/residents/{first}").json()
    assert receipt["terminals"] == [gate.id]
    path = f"/v1/receipts/{receipt['receipt']}"
    eventually(lambda: gateway.get(path)["terminals"] == [], what="the confirmation")
    assert terminal.player.persons.keys() == {second}
    assert command(gateway, gate, type="speak", text="welcome.wav")["status"] == "done"
    spoken = gateway.api.post(f"/v1/devices/{gate.id}/commands", json={"type": "speak", "text": "请通行"})
    assert (spoken.status_code, "reads no text" in spoken.json()["detail"]) == (409, True)
    terminal.close()


def test_a_vzenith_camera_is_given_its_plates_takes_a_picture_and_shows_that_it_has_opened(
    gateway: RunningGateway,
) -> None:
    # First the plates: a camera whose list is to be empty has all of it at once, and would be asked about that.
    gateway.api.post("/v1/vehicles/import", content="plate\n粤B00001\n粤B00002\n".encode()).raise_for_status()
    lane = registered(gateway, "barrier", "vzenith", "0badcafe-01020304", params={"holds_list": 1})
    camera = Played(gateway, lane)
    eventually(lambda: held(gateway, lane) == {"held": 2}, within=30, what="the list")
    assert camera.player.plates.keys() == {"粤B00001", "粤B00002"}
    gateway.api.delete("/v1/vehicles/粤B00001").raise_for_status()
    eventually(lambda: held(gateway, lane) == {"held": 1}, what="the removal")
    assert camera.player.plates.keys() == {"粤B00002"}
    # Asked once it had all of them. What it loses by itself is seen when it is asked again, hours later.
    (report,) = eventually(lambda: gateway.events(lane.id, "list_reported"), what="its report")
    assert report["count"] >= 1
    assert command(gateway, lane, type="take_snapshot")["status"] == "done"
    (frame,) = gateway.events(lane.id, "frame_captured")
    assert frame["evidence"]
    assert command(gateway, lane, type="open_passage")["status"] == "done"
    assert {event["open"] for event in gateway.events(lane.id, "barrier_moved")} == {True, False}
    camera.close()


def test_a_das_device_sets_its_clock_by_ours_and_is_an_alert_while_it_is_silent(gateway: RunningGateway) -> None:
    door = registered(gateway, "face_gate", "das", "2130042", params={"heartbeat_s": 1})
    device = Played(gateway, door, clock=OUT_OF_STEP)
    eventually(lambda: abs(device.player.clock) < timedelta(seconds=5), what="the clock")
    device.speak(device.player.beat(datetime.now(UTC)))
    assert set(device.told) == {"sys/linli/2130042/thing/ntp/response", "sys/linli/2130042/thing/heart/response"}

    def alerts(state: str) -> list[dict[str, Any]]:
        found = gateway.get("/v1/alerts", device=door.id, type="device_offline")["items"]
        return [alert for alert in found if alert["condition"] == state]

    eventually(lambda: alerts("active"), within=30, what="the alert")

    def back() -> list[dict[str, Any]]:
        device.speak(device.player.beat(datetime.now(UTC)))
        return alerts("cleared")

    eventually(back, within=30, what="its end")
    device.close()


def test_a_yld_terminal_is_told_on_its_own_topic_and_its_answer_is_matched(gateway: RunningGateway) -> None:
    gate = registered(gateway, "face_gate", "yld", "YLD0042")
    terminal = Peer(gateway.broker, "yld", hears=["face.YLD0042.request"])
    terminal.say("online.response", {"sn": "YLD0042"})
    eventually(lambda: gateway.get(f"/v1/devices/{gate.id}")["online"], what="the terminal")
    for code, status in ((0, "done"), (9, "failed")):
        asked = gateway.api.post(f"/v1/devices/{gate.id}/commands", json={"type": "open_passage"}).json()
        topic, told = terminal.next()
        assert (topic, told["cmd"], told["cmd_id"]) == ("face.YLD0042.request", "gpio control", asked["id"])
        terminal.say("face.YLD0042.response", {"cmd_id": told["cmd_id"], "cmd": told["cmd"], "code": code})

        def ended(command: str = asked["id"], expected: str = status) -> bool:
            return bool(gateway.get(f"/v1/commands/{command}")["status"] == expected)

        eventually(ended, what=status)
    terminal.close()
    assert gateway.bugs() == []
