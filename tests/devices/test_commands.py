"""What shows that a command was carried out, command by command."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from devices import commands
from devices.commands import CommandRecord, CommandStatus
from devices.effects import (
    CloseBarrier,
    Command,
    OpenPassage,
    PersonEntry,
    PlateEntry,
    Reboot,
    SetLamp,
    Speak,
    SyncPersons,
    SyncPlates,
    SyncTime,
    TakeSnapshot,
)
from devices.events import (
    BarrierMoved,
    CommandAnswered,
    CommandResult,
    DeviceStatusChanged,
    DoorChanged,
    Event,
    FrameCaptured,
    Heartbeat,
    LampMeasured,
    ListAnswered,
    ListRefusal,
)

NOW = datetime(2026, 3, 1, 8, 0, tzinfo=UTC)
LATER = NOW + timedelta(seconds=2)
UNTIL = {"not_after": NOW + timedelta(seconds=5), "device": "d"}
PERSONS = SyncPersons(**UNTIL, put=(PersonEntry(id="ann"), PersonEntry(id="bob")), remove=("eve",))


def sent(command: Command, boot_id: str = "one") -> CommandRecord:
    return commands.recorded(command, "c-1", by="desk", now=NOW, boot_id=boot_id)


def answer(result: CommandResult) -> CommandAnswered:
    return CommandAnswered(at=LATER, command_id="c-1", result=result, reason="why")


@pytest.mark.parametrize(
    ("command", "event", "shown"),
    [
        (OpenPassage(**UNTIL), DoorChanged(at=LATER, open=True), True),
        (OpenPassage(**UNTIL), BarrierMoved(at=LATER, open=True), True),
        (OpenPassage(**UNTIL), DoorChanged(at=LATER, open=False), False),
        (OpenPassage(**UNTIL), DoorChanged(at=NOW - timedelta(seconds=9), open=True), False),
        (CloseBarrier(**UNTIL), BarrierMoved(at=LATER, open=False), True),
        (CloseBarrier(**UNTIL), BarrierMoved(at=LATER, open=True), False),
        (SetLamp(**UNTIL, level_pct=40), LampMeasured(at=LATER, level_pct=40.6), True),
        (SetLamp(**UNTIL, level_pct=40), LampMeasured(at=LATER, level_pct=80), False),
        (SetLamp(**UNTIL, level_pct=40), LampMeasured(at=LATER), False),
        (TakeSnapshot(**UNTIL), FrameCaptured(at=LATER, evidence="e"), True),
        (TakeSnapshot(**UNTIL), DoorChanged(at=LATER, open=True), False),
        (Reboot(**UNTIL), DeviceStatusChanged(at=LATER, online=True, boot_id="two"), True),
        (Reboot(**UNTIL), DeviceStatusChanged(at=LATER, online=True, boot_id="one"), False),
        (Reboot(**UNTIL), DeviceStatusChanged(at=LATER, online=False), False),
        (Reboot(**UNTIL), Heartbeat(at=LATER, boot_id="two"), True),
        (Reboot(**UNTIL), Heartbeat(at=LATER), False),
        (Speak(**UNTIL, text="hello"), FrameCaptured(at=LATER, evidence="e"), False),
    ],
)
def test_what_shows_that_it_was_done(command: Command, event: Event, shown: bool) -> None:
    after = commands.sensed(sent(command), event)
    assert after.status is (CommandStatus.DONE if shown else CommandStatus.SENT)
    assert commands.sensed(after, event) is after or not shown


def test_a_device_without_boot_ids_shows_its_restart_by_coming_back() -> None:
    record = sent(Reboot(**UNTIL), boot_id="")
    assert commands.sensed(record, Heartbeat(at=LATER)).status is CommandStatus.SENT
    assert commands.sensed(record, DeviceStatusChanged(at=LATER, online=True)).status is CommandStatus.DONE


def test_a_clock_counts_as_set_when_it_is_measured_right_after_the_order() -> None:
    record = sent(SyncTime(**UNTIL))
    assert commands.clocked(record, 0.2, NOW) is record
    assert commands.clocked(record, -40.0, LATER) is record
    assert commands.clocked(record, 4.0, LATER).status is CommandStatus.DONE
    other = sent(Reboot(**UNTIL))
    assert commands.clocked(other, 0.0, LATER) is other


@pytest.mark.parametrize(
    ("command", "status"),
    [
        (Speak(**UNTIL, text="hello"), CommandStatus.DONE),
        (OpenPassage(**UNTIL), CommandStatus.DONE),
        (TakeSnapshot(**UNTIL), CommandStatus.ACCEPTED),
        (Reboot(**UNTIL), CommandStatus.ACCEPTED),
        (SyncTime(**UNTIL), CommandStatus.ACCEPTED),
        (PERSONS, CommandStatus.ACCEPTED),
    ],
)
def test_done_is_believed_only_of_what_nothing_else_shows(command: Command, status: CommandStatus) -> None:
    after = commands.answered(sent(command), answer(CommandResult.DONE))
    assert after.status is status
    failed = commands.answered(after, answer(CommandResult.FAILED))
    assert failed.status is (CommandStatus.DONE if status is CommandStatus.DONE else CommandStatus.FAILED)


def test_a_list_is_done_when_every_entry_is_answered_for() -> None:
    record = sent(PERSONS)
    assert record.entries == ("ann", "bob", "eve")
    first = commands.listed(record, ListAnswered(at=LATER, command_id="c-1", took=("ann",)))
    assert (first.status, first.entries) == (CommandStatus.ACCEPTED, ("bob", "eve"))
    refusal = ListRefusal(entry="bob", reason="no face")
    last = commands.listed(first, ListAnswered(at=LATER, command_id="c-1", took=("eve", "x"), refused=(refusal,)))
    assert (last.status, last.reason, last.entries) == (CommandStatus.DONE, "1 entries refused", ())


def test_a_list_of_which_nothing_was_taken_has_failed() -> None:
    record = sent(SyncPlates(**UNTIL, put=(PlateEntry(plate="粤B12345"), PlateEntry(plate="粤B54321"))))
    refusals = tuple(ListRefusal(entry=plate) for plate in record.entries)
    once = commands.listed(record, ListAnswered(at=LATER, command_id="c-1", refused=refusals[:1]))
    assert once.status is CommandStatus.ACCEPTED
    after = commands.listed(once, ListAnswered(at=LATER, command_id="c-1", refused=refusals))
    assert (after.status, after.reason) == (CommandStatus.FAILED, "2 entries refused")


def test_what_was_accepted_and_never_shown_is_done_unverified_and_keeps_no_entries() -> None:
    record = commands.answered(sent(PERSONS), answer(CommandResult.ACCEPTED))
    due = commands.deadline(record)
    assert due is not None
    assert commands.overdue(record, due - timedelta(seconds=1)) is record
    after = commands.overdue(record, due)
    assert (after.status, after.entries) == (CommandStatus.DONE_UNVERIFIED, ())
    assert commands.overdue(sent(PERSONS), due).status is CommandStatus.EXPIRED
