"""Whatever the broker, the network and the power do: the same facts give the same alerts."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from devices.alert_types import ALERT_TYPES
from devices.alerts import Condition, Disposition
from devices.model import Device
from gateway.actions import DisposeAlert
from gateway.mqtt import Message
from tests.gateway.shell import START, Shell

QUIET = {"heartbeat_s": 1e6}
"""A restart gives everybody time to be heard again, so who falls silent does so later: not what is asked here."""
DOORS = tuple(
    Device(
        id=f"door-{n}",
        kind="face_gate",
        protocol="native",
        address=f"D{n}",
        community="c1",
        building="b1",
        params=QUIET,
    )
    for n in range(2)
)
LAMPS = tuple(
    Device(id=f"lamp-{n}", kind="light", protocol="native", address=f"S{n}", community="c1", uplink="u", params=QUIET)
    for n in range(2)
)


class Fact(NamedTuple):
    """What a device says, so many seconds after the fact before."""

    device: Device
    kind: str
    fields: dict[str, Any]
    after_s: int


def _facts(devices: tuple[Device, ...], kind: str, **fields: Any) -> st.SearchStrategy[Fact]:
    return st.builds(
        Fact,
        device=st.sampled_from(devices),
        kind=st.just(kind),
        fields=st.fixed_dictionaries({name: st.sampled_from(values) for name, values in fields.items()}),
        after_s=st.sampled_from([1, 7, 45, 400, 700]),
    )


FACTS = st.one_of(
    _facts(DOORS, "door_alarmed", state=["DoorForcedOpen", "DoorOpenTooLong", "Normal"]),
    _facts(DOORS, "door_changed", open=[True, False]),
    _facts(DOORS, "access_denied", method=["card"], reason=["UnknownCredential"]),
    _facts(LAMPS, "lamp_faulted", fault=["lampFailure", "flicker", "supplyLoss"], active=[True, False]),
)
CLOSE = "the guard closes what is over"
STORIES = st.lists(FACTS | _facts(DOORS[:1], CLOSE), min_size=1, max_size=14)
STORY = settings(max_examples=20, phases=(Phase.explicit, Phase.reuse, Phase.generate))
"""A story takes a tenth of a second, so a failing one is shown as it was found."""
OF_THE_ALERT = (
    *("id", "type", "severity", "condition", "count", "first_seen", "last_seen", "raised_at", "cleared_at", "incident"),
    *("suppressed_by", "rung", "informed", "unowned_since", "cycles", "clears_at"),
)


def said(fact: Fact, n: int, at: datetime, now: datetime) -> Message:
    """The message of a fact: of its own time, received now."""
    body = {"id": f"r{n}", "event": {"type": fact.kind, "at": at.isoformat(), **fact.fields}}
    payload = msgspec.json.encode(body)
    return Message(f"linli/v1/{fact.device.address}/event", payload, 1, 1, retained=False, epoch=1, received_at=now)


def told(story: list[Fact], deliver: Callable[[Shell, list[Message], int], Shell]) -> list[dict[str, Any]]:
    """Every alert there is once a story was told; `deliver` hands over what came since the last time, and the number of
    the fact.
    """
    with tempfile.TemporaryDirectory() as folder:
        shell = Shell(Path(folder), START, devices=(*DOORS, *LAMPS))
        for n, fact in enumerate(story):
            wait(shell, fact.after_s)
            if fact.kind == CLOSE:
                close_what_is_over(shell)
            messages = [] if fact.kind == CLOSE else [said(fact, n, shell.now, shell.now)]
            shell = deliver(shell, messages, n)
        wait(shell, 120)
        rows = shell.rows("SELECT id FROM alerts ORDER BY id")
        found = [shell.journal.kept.alert(name) for (name,) in rows]
        assert shell.engine.bugs == 0
        shell.close()
    return [{name: getattr(alert, name) for name in OF_THE_ALERT} for alert in found]


def wait(shell: Shell, seconds: int) -> None:
    """Time passes as it does: every deadline is met when it is due."""
    end = shell.now + timedelta(seconds=seconds)
    while (due := min((s.next() for s in shell.engine._running() if s.next()), default=end)) < end:
        shell.now = max(shell.now, due)
        shell.engine._round([], [])
        shell.settle()
    shell.now = end
    shell.pass_time(0)


def close_what_is_over(shell: Shell) -> None:
    for alert in sorted(shell.hub.alerts.open, key=lambda held: held.id):
        if alert.condition is Condition.CLEARED or ALERT_TYPES[alert.type].latch:
            shell.ask(DisposeAlert(by="guard", alert=alert.id, disposition=Disposition.TRUE, reason="seen to"))


def plainly(shell: Shell, messages: list[Message], _n: int) -> Shell:
    shell.take(*messages)
    return shell


@STORY
@given(STORIES, st.data())
def test_any_redelivery_gives_the_same_alerts(story: list[Fact], data: st.DataObject) -> None:
    before: list[Message] = []

    def deliver(shell: Shell, messages: list[Message], _n: int) -> Shell:
        before.extend(messages)
        again = data.draw(st.lists(st.sampled_from(before), max_size=3)) if before else []
        together = data.draw(
            st.permutations([*messages, *(replace(m, received_at=shell.now, dup=True) for m in again)])
        )
        shell.take(*together)
        return shell

    assert told(story, deliver) == told(story, plainly)


def _held(state: str) -> Fact:
    return Fact(DOORS[0], "door_alarmed", {"state": state}, 7)


CLOSED_AND_BACK = [_held("DoorOpenTooLong"), _held("Normal"), Fact(DOORS[0], CLOSE, {}, 7), _held("DoorOpenTooLong")]


@STORY
@example(CLOSED_AND_BACK, {2})
@given(STORIES, st.sets(st.integers(0, 13)))
def test_a_restart_at_any_point_gives_the_same_alerts(story: list[Fact], restarts: set[int]) -> None:
    def deliver(shell: Shell, messages: list[Message], n: int) -> Shell:
        shell.take(*messages)
        if n not in restarts:
            return shell
        folder = Path(shell.settings.data_dir)
        shell.close()  # whatever was in memory only is gone
        again = Shell(folder, shell.now, devices=())
        again.take(*(replace(message, dup=True) for message in messages))  # the acknowledgement was lost with us
        return again

    assert told(story, deliver) == told(story, plainly)


@STORY
@given(STORIES, st.data())
def test_what_several_devices_say_in_another_order_gives_the_same_alerts(
    story: list[Fact], data: st.DataObject
) -> None:
    """MQTT keeps the order of one device's messages; between devices it is nobody's."""
    now = START + timedelta(seconds=30)
    spoken = [fact for fact in story if fact.kind != CLOSE]
    plain = [said(fact, n, START + timedelta(seconds=n), now) for n, fact in enumerate(spoken)]
    queues = [
        [message for message, fact in zip(plain, spoken, strict=True) if fact.device is device]
        for device in (*DOORS, *LAMPS)
    ]
    mixed: list[Message] = []
    while any(queues):
        queue = data.draw(st.sampled_from([queue for queue in queues if queue]))
        mixed.append(queue.pop(0))
    assert once(mixed) == once(plain)


def once(messages: list[Message]) -> list[tuple[Any, ...]]:
    with tempfile.TemporaryDirectory() as folder:
        shell = Shell(Path(folder), START + timedelta(seconds=30), devices=(*DOORS, *LAMPS))
        for message in messages:
            shell.take(message)
        shell.pass_time(0)  # what is due by now is due in every order
        rows = shell.rows("SELECT key, condition, open FROM alerts ORDER BY key")
        counts = [(a.key, a.count) for a in shell.hub.alerts.open]
        shell.close()
    return [*rows, *sorted(counts)]


@STORY
@given(st.integers(0, 2), st.booleans())
def test_a_millisecond_apart_on_two_connections_is_one_alert(apart_ms: int, one_batch: bool) -> None:
    with tempfile.TemporaryDirectory() as folder:
        shell = Shell(Path(folder), START, devices=DOORS)
        fact = Fact(DOORS[0], "door_alarmed", {"state": "DoorForcedOpen"}, 0)
        first = said(fact, 1, START, START)
        second = replace(said(fact, 2, START + timedelta(milliseconds=apart_ms), START), epoch=2)
        if one_batch:
            shell.take(first, second)
        else:
            shell.take(first)
            shell.take(second)
        assert [(a.type, a.count) for a in shell.hub.alerts.open] == [("door_forced", 2)]
        assert shell.rows("SELECT count(*) FROM alerts") == [(1,)]
        assert shell.engine.bugs == 0, "found one after the other only because the database refused two"
        shell.close()
