"""Lanes through the whole engine: votes, the register, and who is told."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from msgspec.structs import replace

from devices.effects import CheckPlate, MatchPlate, PlateLook
from devices.events import Listing, PlateCharacter, PlateText, PlateVerdict
from gateway import plates
from gateway.vehicles import Vehicle
from tests.gateway.shell import BARRIER, START, Shell
from vision.grammar import grammar_of

OURS, BLOCKED, OLD = "沪A1B234", "沪B00001", "沪C55555"
OUT = replace(BARRIER, id="lane-2", address="L2", direction="out")


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    run = Shell(tmp_path, devices=(BARRIER, OUT))
    for plate, listing in ((OURS, Listing.ALLOW), (BLOCKED, Listing.BLOCK)):
        run.directory.put_vehicle(Vehicle(plate=plate, id="", listing=listing))
    run.directory.put_vehicle(Vehicle(plate=OLD, id="", listing=Listing.ALLOW, valid_to=START))
    for lane in (BARRIER, OUT):
        run.take(run.message(f"linli/v1/{lane.address}/status", {"online": True, "boot_id": "b"}))
    yield run
    run.close()


def look(number: int, plate: str, doubts: dict[int, float] | None = None, *, sure: bool = True) -> PlateLook:
    grammar = grammar_of(plate)
    characters = tuple(PlateCharacter(c, (doubts or {}).get(at, 0.97)) for at, c in enumerate(plate))
    text = PlateText(plate=plate, characters=characters, sure=sure, grammar=grammar.name if grammar else "")
    return PlateLook(at=START + timedelta(seconds=number), evidence=f"e{number}", reading=text)


def ask(shell: Shell, *looks: PlateLook, camera: str = "") -> plates.PlateChecked:
    *others, last = looks
    question = MatchPlate(look=last, at=START, others=tuple(others), camera_plate=camera)
    return plates.matched(question, shell.directory, START)


def test_two_looks_outvote_one(shell: Shell) -> None:
    found = ask(shell, look(0, OURS), look(1, OURS), look(2, "沪A18234", {3: 0.5}, sure=False))
    assert (found.verdict, found.plate, found.frames, found.looks) == (PlateVerdict.EXACT, OURS, 2, ("e2", "e0", "e1"))


def test_a_misread_plate_is_found_with_how_it_was_read(shell: Shell) -> None:
    found = ask(shell, look(0, "沪A18234", {3: 0.6}), look(1, "沪A18234", {3: 0.6}))
    assert (found.verdict, found.plate, found.read, found.listing) == (
        PlateVerdict.SIMILAR,
        OURS,
        "沪A18234",
        Listing.ALLOW,
    )
    assert "8→B at 4" in found.why


def test_the_car_in_front_does_not_vote_on_the_one_behind(shell: Shell) -> None:
    found = ask(shell, look(0, OURS), look(1, OURS), look(2, "粤C98766"))
    assert (found.verdict, found.plate, found.looks) == (PlateVerdict.UNKNOWN, "粤C98766", ("e2",))


def test_a_disagreement_with_the_camera_shows_and_an_agreement_counts(shell: Shell) -> None:
    other = ask(shell, look(0, OURS), camera="粤C98766")
    assert (other.camera_plate, other.frames) == ("粤C98766", 1)
    same = ask(shell, look(0, OURS, sure=False), camera=OURS)
    assert (same.camera_plate, same.frames, same.sure) == ("", 2, False)


def test_the_blocklist_takes_a_sure_look_or_two(shell: Shell) -> None:
    guess = ask(shell, look(0, BLOCKED, sure=False))
    assert (guess.verdict, guess.listing, guess.near_block) == (PlateVerdict.UNSURE, Listing.UNKNOWN, True)
    assert ask(shell, look(0, BLOCKED)).listing is Listing.BLOCK
    assert ask(shell, look(0, BLOCKED, sure=False), look(1, BLOCKED, sure=False)).listing is Listing.BLOCK


def test_a_plate_near_the_blocklist_is_for_a_person(shell: Shell) -> None:
    found = ask(shell, look(0, "沪B0000I"))
    assert (found.verdict, found.listing, found.near_block) == (PlateVerdict.UNSURE, Listing.UNKNOWN, True)


def test_a_vehicle_out_of_its_dates_is_found_and_not_let_in(shell: Shell) -> None:
    found = plates.checked(CheckPlate(plate="沪C·55555", at=START, captured_at=START), shell.directory, START)
    assert (found.verdict, found.listing) == (PlateVerdict.EXACT, Listing.EXPIRED)


def test_a_vehicle_added_or_removed_counts_at_once(shell: Shell) -> None:
    assert ask(shell, look(0, "浙D7Q888", {3: 0.5})).verdict is PlateVerdict.UNKNOWN
    shell.directory.put_vehicle(Vehicle(plate="浙D70888", id="", listing=Listing.ALLOW))
    assert ask(shell, look(0, "浙D7Q888", {3: 0.5})).verdict is PlateVerdict.SIMILAR
    shell.directory.remove_vehicle("浙D70888")
    assert ask(shell, look(0, "浙D7Q888", {3: 0.5})).verdict is PlateVerdict.UNKNOWN


def test_the_lane_beside_does_not_open_for_the_same_car(shell: Shell) -> None:
    shell.say(BARRIER, "plate_captured", plate=OURS, direction="in")
    opened = [topic for topic, body in shell.wire.published if body["command"]["type"] == "open_passage"]
    shell.now += timedelta(seconds=4)
    shell.say(OUT, "plate_captured", plate=OURS, direction="out")
    assert opened == ["linli/v1/L1/command"]
    assert len(shell.wire.published) == 1
    shell.now += timedelta(seconds=60)
    shell.say(OUT, "plate_captured", plate=OURS, direction="out")
    assert [topic for topic, _ in shell.wire.published] == ["linli/v1/L1/command", "linli/v1/L2/command"]


def test_a_cameras_plate_that_resembles_a_registered_one_is_told_to_a_person_without_the_plate(shell: Shell) -> None:
    shell.say(BARRIER, "plate_captured", plate="沪AIB234", direction="in")
    assert shell.alerts() == [("plate_unsure", "active", 1)]
    (alert,) = shell.hub.alerts.open
    vehicle = shell.directory.vehicle(OURS)
    assert vehicle is not None
    assert alert.detail["candidates"] == [vehicle.id]
    assert not any(plate in str(alert.detail) for plate in (OURS, "沪AIB234"))
    shell.say(BARRIER, "vehicle_passed", direction="in")
    assert [condition for _, condition, _ in shell.alerts() if condition == "active"] == []
