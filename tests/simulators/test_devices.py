import base64
import importlib
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import msgspec
import pytest

from devices.effects import (
    OpenPassage,
    PersonEntry,
    Reboot,
    Speak,
    SyncPersons,
    SyncPlates,
    SyncTime,
    TakeSnapshot,
)
from devices.events import CommandAnswered, CommandResult, FrameCaptured
from devices.protocols import PROTOCOLS
from simulators.device import World
from simulators.estate import Estate, Happening, What, day
from simulators.fleet import simulated
from simulators.ledger import Ledger
from simulators.pictures import Pictures

NOW = datetime(2026, 3, 2, 8, tzinfo=UTC)


def world_of(estate):
    return World(estate=estate, pictures=Pictures(estate), ledger=Ledger(), boot="b00t", first_record=1000)


def the(estate, kind, protocol):
    return next(d for d in estate.devices() if (d.kind, d.protocol) == (kind, protocol))


def show_face(estate, device):
    person = estate.residents()[0]
    return Happening(at=NOW, what=What.FACE_SHOWN, device=device.id, person=person.id)


def open_command(command_id, not_after):
    body = {"id": command_id, "not_after": not_after, "command": {"type": "open_passage", "method": "face"}}
    return msgspec.json.encode(body)


def test_a_native_gate_opens_answers_and_shuts():
    estate = Estate(1)
    world, device = world_of(estate), the(estate, "face_gate", "native")
    gate = simulated(device, world)
    gate.happen(show_face(estate, device), NOW)
    said = gate.told(gate.hears[0], open_command("c1", NOW + timedelta(seconds=5)), NOW)
    bodies = [msgspec.json.decode(one.message.payload) for one in said]
    assert [b.get("result") or b["event"]["type"] for b in bodies] == [
        "accepted",
        "door_changed",
        "done",
        "access_taken",
        "door_changed",
    ]
    assert (world.ledger.openings, world.ledger.double_openings, world.ledger.stray_openings) == (1, 0, 0)


def told(player, command, now=NOW):
    message = PROTOCOLS["native"].encode(command, "c-1", player.device, now)
    said = player.told(message.topic, message.payload, now)
    return [PROTOCOLS["native"].decode(s.message.topic, s.message.payload, NOW, UTC).readings[0].event for s in said]


def test_every_native_device_does_the_routine():
    estate = Estate(1)
    until = NOW + timedelta(seconds=5)
    for kind in ("face_gate", "barrier", "camera", "light", "cover", "bay"):
        player = simulated(the(estate, kind, "native"), world_of(estate), timedelta(seconds=-40))
        (spoken,) = told(player, Speak(not_after=until, text="hello"))
        assert spoken.result is CommandResult.DONE
        _, beat = told(player, SyncTime(not_after=until))
        assert beat.at == NOW
        before = player.hello(NOW)[0].message.payload
        accepted, hello, *_ = told(player, Reboot(not_after=until))
        assert (accepted.result, hello.online) == (CommandResult.ACCEPTED, True)
        assert hello.boot_id not in before.decode()
        last = told(player, TakeSnapshot(not_after=until))[-1]
        assert isinstance(last, FrameCaptured) is (kind in ("face_gate", "barrier", "camera"))


def test_a_native_gate_keeps_a_list_refuses_some_and_loses_it_with_its_power():
    estate = Estate(1)
    gate = simulated(the(estate, "face_gate", "native"), world_of(estate))
    gate.routine.refuses = {"bob"}
    until = NOW + timedelta(seconds=5)
    put = (PersonEntry(id="ann", photo=b"x"), PersonEntry(id="bob", photo=b"x"), PersonEntry(id="cho"))
    _, answer = told(gate, SyncPersons(not_after=until, put=put, remove=("eve",)))
    assert (answer.took, [r.entry for r in answer.refused]) == (("ann", "eve"), ["bob", "cho"])
    assert list(gate.routine.held) == ["ann"]
    *_, report = told(gate, Reboot(not_after=until))
    assert (report.what, report.count, gate.routine.held) == ("persons", 0, {})
    (unable,) = told(gate, SyncPlates(not_after=until))
    assert unable.result is CommandResult.FAILED


def test_a_native_gate_refuses_a_command_that_is_too_old():
    estate = Estate(1)
    world = world_of(estate)
    gate = simulated(the(estate, "face_gate", "native"), world)
    said = gate.told(gate.hears[0], open_command("c1", NOW - timedelta(seconds=1)), NOW)
    assert msgspec.json.decode(said[0].message.payload)["result"] == "failed"
    assert (world.ledger.openings, world.ledger.commands_late) == (0, 1)


def test_a_second_opening_for_one_face_counts_as_double():
    ledger = Ledger()
    ledger.presented("gate", NOW, welcome=True)
    ledger.opened("gate", "c1", NOW)
    ledger.opened("gate", "c2", NOW)
    assert (ledger.openings, ledger.double_openings, ledger.stray_openings) == (2, 1, 0)


def test_an_opening_with_nobody_there_counts_as_stray():
    ledger = Ledger()
    ledger.opened("gate", "c1", NOW)
    assert (ledger.stray_openings, ledger.double_openings) == (1, 0)


def test_an_opening_for_a_stranger_counts_as_wrong():
    ledger = Ledger()
    ledger.presented("gate", NOW, welcome=False)
    ledger.opened("gate", "c1", NOW)
    assert ledger.wrong_openings == 1


def test_an_oem_terminal_acknowledges_an_unlock():
    estate = Estate(1)
    world, device = world_of(estate), the(estate, "face_gate", "oem_face")
    terminal = simulated(device, world)
    unlock = {"operator": "Unlock", "messageId": "m1", "info": {"uid": "1", "openDoor": "1", "Showinfo": ""}}
    (said,) = terminal.told(terminal.hears[0], msgspec.json.encode(unlock), NOW)
    assert said.message.topic == f"mqtt/face/{device.address}/Ack"
    assert msgspec.json.decode(said.message.payload)["operator"] == "Unlock-Ack"
    assert world.ledger.openings == 1


def test_a_vzenith_camera_answers_where_it_was_told_and_raises_the_arm():
    estate = Estate(1)
    world, device = world_of(estate), the(estate, "barrier", "vzenith")
    camera = simulated(device, world)
    order = {"id": "x1", "name": "gpio_out", "payload": {"type": "gpio_out", "body": {"io": 0, "value": 2}}}
    said = camera.told(camera.hears[0], msgspec.json.encode(order), NOW)
    assert said[0].message.topic == f"device/{device.address}/message/down/gpio_out/reply"
    statuses = [msgspec.json.decode(s.message.payload)["payload"] for s in said[1:]]
    assert [s["body"].get("gate_status") for s in statuses] == [1, None, None, 0]


@pytest.mark.parametrize("garbage", [b"", b"{", b"\xff\xfe", b'{"id": 7}', b'{"command": []}'])
def test_no_device_trips_over_a_command_it_cannot_read(garbage):
    estate = Estate(1)
    world = world_of(estate)
    for device in estate.devices():
        for topic in (player := simulated(device, world)).hears:
            assert player.told(topic, garbage, NOW) == []
    assert world.ledger.openings == 0


def test_vzenith_hides_the_plate_in_base64():
    estate = Estate(1)
    camera = simulated(device := the(estate, "barrier", "vzenith"), world_of(estate))
    plate = estate.vehicles()[0].plate
    (said,) = camera.happen(Happening(at=NOW, what=What.CAR_ARRIVED, device=device.id, plate=plate), NOW)
    result = msgspec.json.decode(said.message.payload)["payload"]["AlarmInfoPlate"]["result"]["PlateResult"]
    assert base64.b64decode(result["license"]).decode() == plate
    assert base64.b64decode(result["full_image_content"]).startswith(b"\xff\xd8")


@pytest.mark.parametrize("name", ["native", "oem_face", "vzenith"])
def test_what_the_devices_say_is_understood(name):
    module = pytest.importorskip(f"devices.protocols.{name}")
    protocols = importlib.import_module("devices.protocols").PROTOCOLS
    if name not in protocols:
        pytest.skip(f"devices.protocols does not offer {name} ({module.__name__}) yet")
    decode = protocols[name].decode
    estate = Estate(1)
    world = world_of(estate)
    players = {d.id: simulated(d, world) for d in estate.devices() if d.protocol == name}
    understood = 0
    for happening in day(estate, start=NOW, seconds=60, rate=2):
        if player := players.get(happening.device):
            for later in player.happen(happening, NOW):
                decoded = decode(later.message.topic, later.message.payload, NOW, ZoneInfo(player.device.zone))
                assert decoded.readings, (later.message.topic, decoded.ignored)
                assert decoded.address == player.device.address
                assert abs(decoded.readings[0].event.at - NOW) < timedelta(seconds=2)
                understood += 1
    for player in players.values():
        for later in [*player.hello(NOW), *player.beat(NOW), *player.bye(NOW)]:
            decode(later.message.topic, later.message.payload, NOW, ZoneInfo(player.device.zone))
    assert understood


@pytest.mark.parametrize("name", ["native", "oem_face", "vzenith"])
def test_a_device_opens_on_the_command_its_protocol_encodes(name):
    pytest.importorskip(f"devices.protocols.{name}")
    protocols = importlib.import_module("devices.protocols").PROTOCOLS
    if name not in protocols:
        pytest.skip(f"devices.protocols does not offer {name} yet")
    estate = Estate(1)
    world = world_of(estate)
    device = next(d for d in estate.devices() if d.protocol == name and d.kind in ("face_gate", "barrier"))
    player = simulated(device, world)
    message = protocols[name].encode(OpenPassage(not_after=NOW + timedelta(seconds=5)), "c-1", device, NOW)
    assert message.topic in player.hears
    said = player.told(message.topic, message.payload, NOW)
    assert world.ledger.openings == 1
    answer = protocols[name].decode(said[0].message.topic, said[0].message.payload, NOW, ZoneInfo(device.zone))
    assert isinstance(answer.readings[0].event, CommandAnswered)
    assert answer.readings[0].event.command_id == "c-1"
