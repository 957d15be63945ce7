"""The lists of terminals that decide by themselves: whatever happens on the way, they end as the register says."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from devices.events import Listing
from gateway.actions import NotFoundError
from gateway.vehicles import Vehicle
from simulators.device import Later, World
from simulators.estate import Estate as Town
from simulators.fleet import simulated
from simulators.ledger import Ledger
from simulators.pictures import Pictures
from tests.gateway.terminal import LANE, TERMINAL, Estate, Terminal, bring_together


@pytest.fixture
def estate(tmp_path: Path) -> Iterator[Estate]:
    made = Estate(tmp_path)
    yield made
    made.close()


@pytest.fixture
def terminal(estate: Estate) -> Terminal:
    made = Terminal()
    made.hello(estate)
    return made


def test_residents_who_agreed_reach_the_terminal_with_their_dates_and_without_their_names(estate, terminal) -> None:
    for person in ("ann", "bob"):
        estate.enrol(person)
    bring_together(estate, terminal)
    assert sorted(terminal.held) == ["ann", "bob"]
    assert terminal.held["ann"]["photo"]
    assert terminal.held["ann"]["name"] == ""
    assert terminal.held["ann"]["valid_to"]
    assert estate.counts() == {"held": 2}
    assert estate.rows("SELECT DISTINCT status, requested_by FROM commands") == [("done", "lists")]


def test_nobody_is_sent_who_did_not_agree_to_it_at_this_place(estate, terminal) -> None:
    estate.enrol("no-copies", terminals=False)
    estate.enrol("elsewhere", scope="building:b2")
    estate.enrol("here", scope="building:b1")
    bring_together(estate, terminal)
    assert list(terminal.held) == ["here"]


def test_a_consent_for_one_building_sends_no_photo_to_a_gate_of_the_whole_estate(tmp_path) -> None:
    estate = Estate(tmp_path, devices=(replace(TERMINAL, building=""),))
    terminal = Terminal()
    terminal.hello(estate)
    estate.enrol("one-building", scope="building:b1")
    estate.enrol("everywhere")
    bring_together(estate, terminal)
    assert list(terminal.held) == ["everywhere"]
    estate.close()


def test_a_terminal_that_is_away_is_supplied_when_it_is_back(estate, terminal) -> None:
    terminal.vanish(estate)
    estate.enrol("ann")
    estate.work()
    assert terminal.hear(estate) == []
    assert estate.counts() == {"wanted": 1}
    terminal.hello(estate)
    bring_together(estate, terminal)
    assert list(terminal.held) == ["ann"]


def test_a_refused_person_is_named_and_tried_again_only_when_something_changes(estate, terminal) -> None:
    terminal.refuses = {"bob"}
    for person in ("ann", "bob"):
        estate.enrol(person)
    bring_together(estate, terminal)
    assert estate.lists.view(TERMINAL, estate.now).refused == [("bob", "no face found")]
    assert estate.counts() == {"held": 1, "refused": 1}
    assert estate.rows("SELECT status, reason FROM commands") == [("done", "1 entries refused")]
    estate.work(3600)
    assert terminal.hear(estate) == []
    terminal.refuses = set()
    estate.directory.residents.renew(
        "bob", scope="estate", until=estate.now + timedelta(days=9), recorded_by="desk", terminals=True, now=estate.now
    )
    bring_together(estate, terminal)
    assert estate.counts() == {"held": 2}


def test_withdrawal_goes_first_and_the_receipt_names_the_terminal_until_it_confirms(estate, terminal) -> None:
    estate.enrol("ann")
    bring_together(estate, terminal)
    terminal.vanish(estate)
    estate.enrol("bob")
    receipt = estate.directory.withdraw("ann", estate.evidence, estate.now)
    assert receipt.terminals == ("term-1",)
    estate.work()
    terminal.hello(estate)
    estate.work()
    (order,) = terminal.hear(estate)
    assert (order["command"]["remove"], order["command"]["put"]) == (["ann"], [])
    assert estate.directory.residents.receipt(receipt.receipt).terminals == ("term-1",)
    terminal.say(estate, "list_answered", **terminal.obey(order))
    estate.work()
    assert estate.directory.residents.receipt(receipt.receipt).terminals == ()
    bring_together(estate, terminal)
    assert list(terminal.held) == ["bob"]
    with pytest.raises(NotFoundError):
        estate.directory.residents.receipt("wdr_unknown")


def test_a_photo_withdrawn_while_it_was_opened_is_in_no_batch(estate, terminal) -> None:
    estate.enrol("ann")
    estate.enrol("bob")
    opened = estate.directory.residents.photo

    def and_then_withdrawn(person: str, photos: object) -> bytes | None:
        found = opened(person, photos)
        if person == "ann":
            estate.withdraw("ann")
        return found

    estate.directory.residents.photo = and_then_withdrawn
    estate.work()
    (order,) = terminal.hear(estate)
    assert [entry["id"] for entry in order["command"]["put"]] == ["bob"]
    assert estate.rows("SELECT entry FROM list_entries") == [("bob",)]


def test_a_consent_that_ends_takes_the_person_off_the_terminal(estate, terminal) -> None:
    estate.enrol("ann", days=1)
    bring_together(estate, terminal)
    estate.work(86_400)
    terminal.hello(estate)
    bring_together(estate, terminal)
    assert terminal.held == {}
    assert estate.rows("SELECT count(*) FROM list_entries") == [(0,)]


def test_a_lost_answer_is_asked_for_again_later_each_time(estate, terminal) -> None:
    estate.enrol("ann")
    estate.work()
    assert len(terminal.hear(estate)) == 1
    estate.work(30)
    assert terminal.hear(estate) == []
    estate.work(70)  # the command expires
    estate.work(1)
    assert terminal.hear(estate) == []
    assert estate.lists.view(TERMINAL, estate.now).failures == 1
    estate.work(5)
    assert terminal.serve(estate) == 1
    estate.work()
    assert estate.counts() == {"held": 1}
    assert estate.lists.view(TERMINAL, estate.now).failures == 0


def test_an_answer_that_comes_after_all_still_counts(estate, terminal) -> None:
    estate.enrol("ann")
    estate.work()
    (order,) = terminal.hear(estate)
    estate.work(100)
    assert estate.counts() == {"wanted": 1}
    terminal.say(estate, "list_answered", **terminal.obey(order))
    estate.work(0.1)
    assert estate.counts() == {"held": 1}


def test_a_batch_written_down_before_a_crash_and_never_sent_is_sent_after_it(tmp_path) -> None:
    estate = Estate(tmp_path)
    Terminal().hello(estate)
    estate.enrol("ann")
    estate.lists._submit = lambda _action: (_ for _ in ()).throw(KeyboardInterrupt)  # type: ignore[assignment]
    with pytest.raises(KeyboardInterrupt):
        estate.work()
    assert estate.rows("SELECT state, waiting FROM list_entries") == [("sent", 1)]
    estate.close()
    again = Estate(tmp_path, estate.now + timedelta(seconds=5))
    terminal = Terminal()
    terminal.hello(again)
    bring_together(again, terminal)
    assert list(terminal.held) == ["ann"]
    again.close()


def test_a_terminal_that_lost_its_list_gets_it_again(estate, terminal) -> None:
    for person in ("ann", "bob"):
        estate.enrol(person)
    bring_together(estate, terminal)
    terminal.forget(estate)
    estate.work()
    assert estate.lists.view(TERMINAL, estate.now).doubted
    assert terminal.hear(estate) == []  # it has a while to say what it holds
    estate.work(20)
    bring_together(estate, terminal)
    assert sorted(terminal.held) == ["ann", "bob"]


def test_a_terminal_that_restarts_and_names_its_list_is_sent_only_what_it_lacks(estate, terminal) -> None:
    for person in ("ann", "bob"):
        estate.enrol(person)
    bring_together(estate, terminal)
    terminal.boot += 1
    terminal.hello(estate)
    estate.work()
    del terminal.held["bob"]
    terminal.say(estate, "list_reported", what="persons", count=1, entries=["ann"])
    estate.work()
    (order,) = terminal.hear(estate)
    assert [entry["id"] for entry in order["command"]["put"]] == ["bob"]


def test_fewer_entries_than_it_took_put_the_whole_list_in_doubt(estate, terminal) -> None:
    for person in ("ann", "bob"):
        estate.enrol(person)
    bring_together(estate, terminal)
    terminal.say(estate, "list_reported", what="persons", count=2)
    estate.work()
    assert terminal.hear(estate) == []
    terminal.say(estate, "list_reported", what="persons", count=1)
    estate.work()
    (order,) = terminal.hear(estate)
    assert len(order["command"]["put"]) == 2


def test_a_replaced_terminal_and_an_operators_wish_send_everything_again(estate, terminal) -> None:
    estate.enrol("ann")
    bring_together(estate, terminal)
    estate.lists.resync(TERMINAL, estate.now)
    estate.work()
    assert terminal.serve(estate) == 1
    estate.work()
    estate.directory.put_device(replace(TERMINAL, address="T2"))
    other = Terminal(replace(TERMINAL, address="T2"))
    other.hello(estate)
    bring_together(estate, other)
    assert list(other.held) == ["ann"]


def test_a_terminal_that_is_to_hold_nothing_any_more_is_emptied(estate, terminal) -> None:
    estate.enrol("ann")
    bring_together(estate, terminal)
    estate.directory.put_device(replace(TERMINAL, params={"heartbeat_s": 100_000}))
    bring_together(estate, terminal)
    assert terminal.held == {}


def test_photos_go_in_batches_of_two_megabytes_and_one_too_large_is_named(estate, terminal) -> None:
    for n in range(5):
        estate.enrol(f"p{n}", size=900_000)
    estate.enrol("poster", size=2_100_000)
    bring_together(estate, terminal)
    assert [len(order["command"]["put"]) for order in terminal.heard] == [2, 2, 1]
    assert estate.lists.view(TERMINAL, estate.now).refused == [
        ("poster", "the photo is larger than the 2048 KB this terminal takes; enrol a smaller one")
    ]
    estate.work(60)
    assert terminal.hear(estate) == []


def test_a_removal_that_is_refused_is_tried_again_later(estate, terminal) -> None:
    estate.enrol("ann")
    bring_together(estate, terminal)
    estate.withdraw("ann")
    estate.work()
    (order,) = terminal.hear(estate)
    refusal = {"entry": "ann", "reason": "busy"}
    terminal.say(estate, "list_answered", command_id=order["id"], took=[], refused=[refusal])
    estate.work()
    assert terminal.hear(estate) == []
    assert estate.lists.view(TERMINAL, estate.now).refused == [("ann", "busy")]
    estate.work(601)
    assert terminal.serve(estate) == 1
    assert terminal.held == {}


def test_plates_reach_a_barrier_and_leave_it(tmp_path) -> None:
    estate = Estate(tmp_path, devices=(LANE,))
    barrier = Terminal(LANE)
    barrier.hello(estate)
    until = estate.now + timedelta(hours=2)
    for plate, listing, valid_to in (
        ("粤B12345", Listing.ALLOW, None),
        ("粤B54321", Listing.BLOCK, None),
        ("粤B11111", Listing.VISITOR, until),
    ):
        estate.directory.put_vehicle(Vehicle(plate=plate, id="", listing=listing, valid_to=valid_to))
    bring_together(estate, barrier)
    assert {plate: entry["blocked"] for plate, entry in barrier.held.items()} == {
        "粤B12345": False,
        "粤B54321": True,
        "粤B11111": False,
    }
    estate.directory.put_vehicle(Vehicle(plate="粤B12345", id="", listing=Listing.BLOCK))
    estate.directory.remove_vehicle("粤B54321")
    estate.work(7200)
    bring_together(estate, barrier)
    assert {plate: entry["blocked"] for plate, entry in barrier.held.items()} == {"粤B12345": True}
    estate.close()


def test_a_camera_that_can_be_asked_is_asked_in_its_turn_and_given_again_what_it_lost(tmp_path) -> None:
    lane = replace(LANE, protocol="vzenith", address="0badcafe-01020304")
    estate = Estate(tmp_path, devices=(lane,))
    world = World(estate=Town(1), pictures=Pictures(Town(1)), ledger=Ledger(), boot="b", first_record=1)
    camera: Any = simulated(lane, world)

    def serve(wait_s: float = 1.0) -> None:
        estate.work(wait_s)
        for said in [*camera.beat(estate.now), *answers(camera, estate)]:
            estate.take(estate.message(said.message.topic, said.message.payload))
        estate.work()

    estate.directory.put_vehicle(Vehicle(plate="粤B12345", id="", listing=Listing.ALLOW))
    for _ in range(4):
        serve()
    assert (camera.plates.keys(), estate.counts(lane)) == ({"粤B12345"}, {"held": 1})
    camera.plates.clear()
    for _ in range(4):
        serve(60)
    assert camera.plates == {}, "nobody asks all the time"
    serve(6 * 3600)
    for _ in range(4):
        serve()
    assert camera.plates.keys() == {"粤B12345"}
    records = [json.loads(body) for (body,) in estate.rows("SELECT body FROM commands")]
    assert [r["status"] for r in records if r["type"] == "report_lists"] == ["done", "done"]
    estate.close()


def answers(camera: Any, estate: Estate) -> list[Later]:
    """What the camera says to what is on the wire."""
    orders = [(topic, json.dumps(body).encode()) for topic, body in estate.wire.published]
    estate.wire.published.clear()
    return [later for topic, body in orders if "/down/" in topic for later in camera.told(topic, body, estate.now)]


def test_no_photo_and_no_name_of_a_batch_stays_anywhere(estate, terminal, capfd) -> None:
    estate.enrol("ann")
    bring_together(estate, terminal)
    estate.withdraw("ann")
    bring_together(estate, terminal)
    stored = b"".join(path.read_bytes() for path in estate.settings.data.rglob("*") if path.is_file())
    for secret in (b"\xff\xd8annann", b"Name of ann"):
        assert secret not in stored
    printed = "".join(capfd.readouterr())
    assert "Name of" not in printed
    assert "annann" not in printed
