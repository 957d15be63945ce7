"""The rules of a terminal's list, as tables; and, however things interleave, how they end."""

from __future__ import annotations

import tempfile
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from msgspec.structs import replace

from devices.events import ListAnswered, ListRefusal, ListReported
from devices.model import ListLimits
from devices.protocols import PROTOCOLS
from gateway import listplan
from gateway.listplan import Batch, Candidate, Entry, EntryState, list_of
from gateway.residents import ESTATE
from tests.gateway.shell import START
from tests.gateway.terminal import TERMINAL, Estate, Terminal

HELD, SENT, WANTED, REFUSED, REMOVING = (
    EntryState.HELD,
    EntryState.SENT,
    EntryState.WANTED,
    EntryState.REFUSED,
    EntryState.REMOVING,
)


def row(state: EntryState, *, revision: str = "r1", **more: Any) -> Entry:
    return Entry(entry="a", revision=revision, state=state, at=START, **more)


@pytest.mark.parametrize(
    ("wanted", "held", "batch"),
    [
        ({}, None, None),
        ({"a": "r1"}, None, Batch(put=("a",))),
        ({"a": "r1"}, row(HELD), None),
        ({"a": "r2"}, row(HELD), Batch(put=("a",))),
        ({"a": "r1"}, row(WANTED), Batch(put=("a",))),
        ({"a": "r1"}, row(REFUSED), None),
        ({"a": "r2"}, row(REFUSED), Batch(put=("a",))),
        ({"a": "r1"}, row(REMOVING), Batch(put=("a",))),
        ({}, row(HELD), Batch(remove=("a",))),
        ({}, row(WANTED), Batch(remove=("a",))),
        ({}, row(REFUSED), Batch(remove=("a",))),
        ({}, row(REMOVING), Batch(remove=("a",))),
        ({}, row(REMOVING, not_before=START + timedelta(seconds=1)), None),
        ({"b": "r1"}, row(HELD), Batch(remove=("a",))),
        ({"b": "r1"}, row(SENT, waiting=True), None),
    ],
)
def test_the_next_batch(wanted: dict[str, str], held: Entry | None, batch: Batch | None) -> None:
    assert listplan.plan(wanted, {"a": held} if held else {}, START, at_most=10) == batch


def test_what_failed_last_comes_last() -> None:
    rows = {
        name: replace(row(WANTED), entry=name, at=START + timedelta(seconds=age))
        for name, age in (("a", 3), ("b", 1), ("c", 2))
    }
    batch = listplan.plan(dict.fromkeys("abcn", "r1"), rows, START, at_most=3)
    assert batch == Batch(put=("n", "b", "c"))


@pytest.mark.parametrize(
    ("before", "took", "refused", "after"),
    [
        (row(SENT, command="c", waiting=True), True, False, HELD),
        (row(SENT, command="c", waiting=True), False, True, REFUSED),
        (row(WANTED, command="c"), True, False, HELD),
        (row(REMOVING, command="c", waiting=True), True, False, None),
        (row(REMOVING, command="c", waiting=True), False, True, REMOVING),
        (row(SENT, command="other", waiting=True), True, False, SENT),
        (row(HELD, command="c"), False, True, HELD),
    ],
)
def test_what_an_answer_makes_of_an_entry(before: Entry, took: bool, refused: bool, after: EntryState | None) -> None:
    event = ListAnswered(
        at=START,
        command_id="c",
        took=("a", "stranger") if took else (),
        refused=(ListRefusal(entry="a", reason="no face"),) if refused else (),
    )
    changes = listplan.answered({"a": before}, event, START)
    now = changes.get("a", before)
    assert (now.state if now else None) == after
    if refused and changes:
        assert now is not None
        assert (now.reason, now.waiting) == ("no face", False)


def test_no_answer_leaves_in_doubt_what_was_in_the_batch() -> None:
    rows = {
        "a": row(SENT, command="c", waiting=True),
        "b": replace(row(REMOVING, command="c", waiting=True), entry="b"),
        "d": replace(row(SENT, command="other", waiting=True), entry="d"),
    }
    after = listplan.unanswered(rows, "c", START)
    assert {name: changed and (changed.state, changed.waiting) for name, changed in after.items()} == {
        "a": (WANTED, False),
        "b": (REMOVING, False),
    }


@pytest.mark.parametrize(
    ("count", "entries", "after"),
    [
        (1, ("a",), {"gone": None}),
        (1, (), {}),
        (0, (), {"a": WANTED, "gone": None}),
        (1, ("x",), {"a": WANTED, "gone": None}),
        (2, ("a", "gone"), {}),
        (9, (), {}),
    ],
)
def test_what_a_device_says_it_holds(count: int, entries: tuple[str, ...], after: dict[str, EntryState | None]) -> None:
    rows = {"a": row(HELD), "gone": replace(row(REMOVING), entry="gone")}
    later = START + timedelta(seconds=1)
    changes = listplan.reported(rows, ListReported(at=later, what="persons", count=count, entries=entries), later)
    assert {name: changed.state if changed else None for name, changed in changes.items()} == after


def test_an_old_report_does_not_count_a_copy_as_removed() -> None:
    rows = {"gone": replace(row(REMOVING), entry="gone")}
    assert listplan.reported(rows, ListReported(at=START, what="persons", count=0), START) == {}


NOW = START
PERSON = Candidate(person="p", scope=ESTATE, terminals=True, granted_at=NOW, until=NOW + timedelta(days=1), photo="key")


@pytest.mark.parametrize(
    ("person", "building", "at", "sent"),
    [
        (PERSON, "b1", NOW, True),
        (PERSON, "", NOW, True),
        (replace(PERSON, terminals=False), "b1", NOW, False),
        (replace(PERSON, photo=""), "b1", NOW, False),
        (replace(PERSON, scope="building:b1"), "b1", NOW, True),
        (replace(PERSON, scope="building:b1"), "b2", NOW, False),
        (replace(PERSON, scope="building:b1"), "", NOW, False),
        (replace(PERSON, scope="building:"), "", NOW, False),
        (PERSON, "b1", NOW - timedelta(seconds=1), False),
        (PERSON, "b1", NOW + timedelta(days=1), False),
    ],
)
def test_who_may_lie_on_a_terminal(person: Candidate, building: str, at: datetime, sent: bool) -> None:
    assert bool(listplan.wanted_persons([person], replace(TERMINAL, building=building), at)) is sent


def test_a_device_that_does_not_answer_is_left_alone_longer_and_asked_less() -> None:
    assert [listplan.backoff(n).total_seconds() for n in (0, 1, 2, 3, 40)] == [0, 5, 10, 20, 3600]
    assert [listplan.batch_size("persons", n) for n in (0, 1, 5, 40)] == [50, 25, 1, 1]


def test_a_terminal_that_takes_no_photograph_or_forgets_nobody_is_not_kept_supplied() -> None:
    keeps = {name: list_of(replace(TERMINAL, protocol=name), PROTOCOLS[name]) for name in ("native", "oem_face", "vf")}
    assert keeps == {"native": "persons", "oem_face": "persons", "vf": None}
    forgetful = replace(PROTOCOLS["native"], lists=ListLimits(remove=0))
    assert list_of(TERMINAL, forgetful) is None


PEOPLE = ("ann", "bob", "cho", "dee")


class Estates(RuleBasedStateMachine):
    """Registry changes, answers, losses and restarts in any order, on the real store, engine and worker."""

    def __init__(self) -> None:
        super().__init__()
        self._folder = tempfile.TemporaryDirectory()
        self.estate = Estate(Path(self._folder.name))
        self.terminal = Terminal()
        self.orders: list[dict[str, Any]] = []
        self.allowed: set[str] = set()

    def teardown(self) -> None:
        self._come_to_rest()
        self.estate.close()
        self._folder.cleanup()

    @initialize()
    def begin(self) -> None:
        self.terminal.hello(self.estate)

    @rule(person=st.sampled_from(PEOPLE), here=st.booleans(), copies=st.booleans())
    def enrol_or_withdraw(self, person: str, here: bool, copies: bool) -> None:
        known = {resident.id for resident in self.estate.directory.people()}
        if person in known:
            self.estate.withdraw(person)
            self.allowed.discard(person)
        else:
            self.estate.enrol(person, scope="building:b1" if here else "building:b2", terminals=copies)
            if here and copies:
                self.allowed.add(person)

    @rule(person=st.sampled_from(PEOPLE), copies=st.booleans())
    def renew(self, person: str, copies: bool) -> None:
        if person in {resident.id for resident in self.estate.directory.people()}:
            until = self.estate.now + timedelta(days=30)
            self.estate.directory.residents.renew(
                person,
                scope="estate",
                until=until,
                recorded_by="desk",
                terminals=copies,
                now=self.estate.now,
            )
            (self.allowed.add if copies else self.allowed.discard)(person)

    @rule(seconds=st.sampled_from((0.2, 1.0, 20.0, 120.0)))
    def time_passes(self, seconds: float) -> None:
        self.estate.work(seconds)
        for order in self.terminal.hear(self.estate):
            assert {entry["id"] for entry in order["command"]["put"]} <= self.allowed
            self.orders.append(order)

    @precondition(lambda self: self.orders)
    @rule(answers=st.booleans(), carries_out=st.booleans())
    def an_order_arrives(self, answers: bool, carries_out: bool) -> None:
        order = self.orders.pop(0)
        if carries_out:
            event = self.terminal.obey(order)
            if answers:
                self.terminal.say(self.estate, "list_answered", **event)

    @rule()
    def the_terminal_loses_power(self) -> None:
        self.orders.clear()
        self.terminal.forget(self.estate)

    @rule()
    def the_terminal_goes_and_comes(self) -> None:
        self.orders.clear()
        self.terminal.vanish(self.estate)
        self.estate.work()
        self.terminal.hello(self.estate)

    @rule()
    def the_gateway_restarts(self) -> None:
        self.estate.close()
        self.estate = Estate(Path(self._folder.name), self.estate.now + timedelta(seconds=2))

    @rule(person=st.sampled_from(PEOPLE))
    def the_terminal_takes_a_dislike(self, person: str) -> None:
        self.terminal.refuses ^= {person}

    @invariant()
    def nothing_is_held_that_is_not_on_record(self) -> None:
        on_record = {entry for (entry,) in self.estate.rows("SELECT entry FROM list_entries")}
        assert self.terminal.held.keys() <= on_record

    def _come_to_rest(self) -> None:
        self.terminal.refuses.clear()
        self.orders.clear()
        self.terminal.hello(self.estate)
        self.estate.lists.resync(TERMINAL, self.estate.now)
        for _ in range(30):
            self.estate.work(400.0)
            self.terminal.hello(self.estate)
            self.terminal.serve(self.estate)
        assert self.terminal.held.keys() == self.allowed
        states = self.estate.rows("SELECT DISTINCT state FROM list_entries")
        assert states == ([("held",)] if self.allowed else [])


TestEstates = Estates.TestCase
TestEstates.settings = settings(
    max_examples=25, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
)
