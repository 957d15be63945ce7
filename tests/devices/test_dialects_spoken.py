"""The simulated devices and the decoders were written apart from each other, so each shows what the other got wrong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from zoneinfo import ZoneInfo

import pytest

from devices.archive import matches
from devices.effects import CloseBarrier, Command, OpenPassage, SetLamp
from devices.events import NAME_OF, CommandAnswered
from devices.model import Decoded, Device, Outgoing
from devices.protocols import PROTOCOLS
from simulators.device import Later, World
from simulators.estate import Estate, day
from simulators.fleet import simulated
from simulators.ledger import Ledger
from simulators.pictures import Pictures
from tests.devices.hostile import NOW

ESTATE = Estate(1)


def world() -> World:
    return World(estate=ESTATE, pictures=Pictures(ESTATE), ledger=Ledger(), boot="b00t", first_record=1000)


def understood(device: Device, message: Outgoing) -> Decoded:
    protocol = PROTOCOLS[device.protocol]
    assert any(matches(topic, message.topic) for topic in protocol.topics), message.topic
    decoded = protocol.decode(message.topic, message.payload, NOW, ZoneInfo(device.zone))
    assert decoded.address == device.address
    return decoded


def events(device: Device, said: Iterable[Later]) -> list[str]:
    return [NAME_OF[type(r.event)] for later in said for r in understood(device, later.message).readings]


def test_everything_said_on_a_simulated_day_is_understood() -> None:
    here = world()
    players = {device.id: simulated(device, here) for device in ESTATE.devices()}
    heard: Counter[tuple[str, str]] = Counter()
    for player in players.values():
        said = [*player.hello(NOW), *player.beat(NOW), *player.bye(NOW)]
        heard.update((player.device.protocol, name) for name in events(player.device, said))
        if player.will is not None:
            assert not understood(player.device, player.will).readings[0].event.online  # type: ignore[attr-defined]
    for happening in day(ESTATE, start=NOW, seconds=40, rate=2):
        device = players[happening.device].device
        said = players[device.id].happen(happening, NOW)
        heard.update((device.protocol, name) for name in events(device, said))
    assert {protocol for protocol, _ in heard} == {"native", "oem_face", "vzenith"}
    assert {("oem_face", "face_captured"), ("vzenith", "plate_captured"), ("native", "face_captured")} <= heard.keys()


COMMANDS: list[Command] = [
    OpenPassage(not_after=NOW),
    CloseBarrier(not_after=NOW),
    SetLamp(not_after=NOW, level_pct=30),
]
CAN: dict[tuple[str, str], set[type[Command]]] = {
    ("face_gate", "native"): {OpenPassage},
    ("face_gate", "oem_face"): {OpenPassage},
    ("barrier", "native"): {OpenPassage, CloseBarrier},
    ("barrier", "vzenith"): {OpenPassage, CloseBarrier},
    ("light", "native"): {SetLamp},
}


@pytest.mark.parametrize(("kind", "dialect"), sorted(CAN))
def test_what_a_device_can_do_it_does_when_told_and_answers_under_the_commands_id(kind: str, dialect: str) -> None:
    device = next(d for d in ESTATE.devices() if (d.kind, d.protocol) == (kind, dialect))
    player, protocol = simulated(device, world()), PROTOCOLS[dialect]
    for command in COMMANDS:
        if type(command) not in CAN[kind, dialect]:
            continue
        message = protocol.encode(command, "c-1", device, NOW)
        assert message.topic in player.hears
        said = player.told(message.topic, message.payload, NOW)
        answers = [r.event for later in said for r in understood(device, later.message).readings]
        first = next(event for event in answers if isinstance(event, CommandAnswered))
        assert (first.command_id, first.result.value in ("accepted", "done")) == ("c-1", True)
