"""The simulated devices and the decoders were written apart from each other, so each shows what the other got wrong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest

from devices.archive import matches
from devices.effects import (
    AnswerCredential,
    CloseBarrier,
    Command,
    OpenPassage,
    PersonEntry,
    PlateEntry,
    ReportLists,
    SetLamp,
    SyncPersons,
    SyncPlates,
    TakeSnapshot,
)
from devices.events import (
    NAME_OF,
    CommandAnswered,
    CredentialPresented,
    DoorChanged,
    Event,
    FrameCaptured,
    Heartbeat,
    ListAnswered,
    ListRefusal,
    ListReported,
)
from devices.model import Decoded, Device, Outgoing
from devices.protocols import PROTOCOLS
from simulators.device import Later, Simulated, World
from simulators.estate import Estate, Happening, What, day
from simulators.fleet import simulated
from simulators.ledger import Ledger
from simulators.pictures import Pictures
from tests.devices.hostile import JPEG, NOW

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


def registered(kind: str, protocol: str, address: str) -> Device:
    return Device(id=f"{protocol}-1", kind=kind, protocol=protocol, address=address)


def answers(device: Device, player: Simulated, command: Command) -> list[Event]:
    message = PROTOCOLS[device.protocol].encode(command, "c-1", device, NOW)
    assert isinstance(message, Outgoing)
    assert any(matches(topic, message.topic) for topic in player.hears)
    said = player.told(message.topic, message.payload, NOW)
    return [r.event for later in said for r in understood(device, later.message).readings]


def test_a_terminal_takes_a_list_of_persons_and_refuses_one_of_them() -> None:
    device = registered("face_gate", "oem_face", "7700123")
    player = simulated(device, world())
    put = (PersonEntry(id="r-1", photo=JPEG), PersonEntry(id="r-2"))
    (answer,) = answers(device, player, SyncPersons(not_after=NOW, put=put))
    refused = (ListRefusal(entry="r-2", reason="464 no features found"),)
    assert answer == ListAnswered(at=NOW, command_id="c-1", took=("r-1",), refused=refused)
    (answer,) = answers(device, player, SyncPersons(not_after=NOW, remove=("r-1", "r-2")))
    assert answer == ListAnswered(at=NOW, command_id="c-1", took=("r-1", "r-2"))


def test_a_camera_takes_a_list_of_plates_and_says_what_it_holds() -> None:
    device = registered("barrier", "vzenith", "0badcafe-01020304")
    player = simulated(device, world())
    put = (PlateEntry(plate="沪A12345"), PlateEntry(plate="沪A12346"))
    done = [ListAnswered(at=NOW, command_id="c-1", rest=True)]
    assert answers(device, player, SyncPlates(not_after=NOW, put=put)) == done
    assert answers(device, player, SyncPlates(not_after=NOW, remove=("沪A12345",))) == done
    held, answer = answers(device, player, ReportLists(not_after=NOW))
    assert isinstance(answer, CommandAnswered)
    assert held == ListReported(at=NOW, what="plates", count=1, entries=("沪A12346",))
    accepted, frame = answers(device, player, TakeSnapshot(not_after=NOW))
    assert isinstance(accepted, CommandAnswered)
    assert isinstance(frame, FrameCaptured)


def test_a_vf_terminal_opens_once_for_the_answer_to_its_own_question() -> None:
    device = registered("face_gate", "vf", "VF000042")
    player = simulated(device, world())
    shown = Happening(at=NOW, what=What.CARD_SHOWN, device=device.id, card="0a1b")
    (question,) = player.happen(shown, NOW)
    asked = understood(device, question.message).readings[0].event
    assert isinstance(asked, CredentialPresented)
    allowed = AnswerCredential(not_after=NOW, reply_to=asked.reply_to, allowed=True)
    assert [type(event) for event in answers(device, player, allowed)] == [DoorChanged, DoorChanged]
    assert answers(device, player, allowed) == []


def test_a_das_device_sets_its_clock_by_the_answer() -> None:
    device = registered("face_gate", "das", "d1")
    player = simulated(device, world(), timedelta(minutes=-7))
    (question,) = player.hello(NOW)
    (reply,) = understood(device, question.message).replies
    player.told(reply.topic, reply.payload, NOW)
    (alive,) = player.beat(NOW)
    assert understood(device, alive.message).readings[0].event == Heartbeat(at=NOW)
