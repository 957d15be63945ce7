"""Which passes let somebody through, and which keep a photograph off a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from devices.events import DenyReason
from devices.model import Device
from gateway.listplan import Candidate
from gateway.passes import Pass, Passes, PassKind, refusal
from gateway.store import Store

NOW = datetime(2026, 5, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
DOOR = Device(id="d", kind="face_gate", protocol="native", address="D", building="3")
WHO = Candidate(person="res_1", scope="estate", terminals=True, granted_at=NOW - HOUR, until=NOW + 10 * HOUR, photo="p")


def a_pass(*, start: float = -1, end: float = 5, scope: str = "estate") -> Pass:
    times = {"valid_from": NOW + start * HOUR, "valid_to": NOW + end * HOUR}
    return Pass(id=f"p{start}{end}{scope}", person="res_1", kind=PassKind.TEMPORARY, scope=scope, **times)


@pytest.mark.parametrize(
    ("passes", "expected"),
    [
        ([], DenyReason.CREDENTIAL_NOT_ENABLED),
        ([a_pass()], None),
        ([a_pass(end=0)], DenyReason.CREDENTIAL_EXPIRED),
        ([a_pass(start=0)], None),
        ([a_pass(start=1)], DenyReason.CREDENTIAL_NOT_ACTIVE),
        ([a_pass(scope="building:9")], DenyReason.UNAUTHORIZED),
        ([a_pass(end=-0.5), a_pass(scope="building:3")], None),
    ],
)
def test_one_pass_in_force_here_is_enough(passes: list[Pass], expected: DenyReason | None):
    assert refusal(passes, DOOR, NOW) is expected


@pytest.fixture
def passes(tmp_path: Path) -> Iterator[Passes]:
    store = Store(tmp_path / "linli.db")
    made = Passes(store)
    yield made
    store.close()


def give(passes: Passes, *given: Pass) -> None:
    with passes._store.write() as db:
        passes.write(db, given, ())
    passes.load()


def test_a_photograph_lies_on_a_terminal_no_longer_than_pass_and_consent_allow(passes: Passes):
    assert list(passes.narrowed([WHO], DOOR, NOW)) == [WHO], "who never had a pass"
    give(passes, a_pass(end=5))
    assert [(c.granted_at, c.until) for c in passes.narrowed([WHO], DOOR, NOW)] == [(NOW - HOUR, NOW + 5 * HOUR)]
    assert list(passes.narrowed([WHO], DOOR, NOW + 6 * HOUR)) == []


def test_a_pass_for_another_building_puts_no_photograph_on_this_terminal(passes: Passes):
    give(passes, a_pass(scope="building:9"))
    assert list(passes.narrowed([WHO], DOOR, NOW)) == []
