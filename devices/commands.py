"""The life of one command: published once or not at all, and done only when the device or its sensor says so. Pure.

sent -> accepted -> done               the device took it, and the door sensor (or its answer) shows it
     -> failed(reason)                 it refused, or could not be reached
     -> expired                        no answer in time; it may or may not have happened
accepted -> done_unverified            it took it, and no sensor can show it
"""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum

from msgspec import Struct
from msgspec.structs import replace

from devices.effects import AnswerCredential, CloseBarrier, Command, OpenPassage
from devices.events import BarrierMoved, CommandAnswered, CommandResult, DoorChanged, Event, LampMeasured

ANSWER_WITHIN = timedelta(seconds=5)
"""How long after `not_after` an answer or a sensor may still come."""


class CommandStatus(StrEnum):
    """Where a command stands."""

    SENT = "sent"
    ACCEPTED = "accepted"
    DONE = "done"
    FAILED = "failed"
    EXPIRED = "expired"
    DONE_UNVERIFIED = "done_unverified"

    @property
    def final(self) -> bool:
        """Nothing more will happen to it."""
        return self not in (CommandStatus.SENT, CommandStatus.ACCEPTED)


class CommandRecord(Struct, frozen=True, kw_only=True):
    """One command as it stands. Times UTC. `requested_by`: a token's name, or "gateway" for our own decisions."""

    id: str
    device: str
    type: str
    requested_by: str
    requested_at: datetime
    not_after: datetime
    status: CommandStatus
    reason: str = ""
    updated_at: datetime
    level_pct: float | None = None


def answered(record: CommandRecord, event: CommandAnswered) -> CommandRecord:
    """The device's own answer. A command that is finished stays as it is."""
    if record.status.final:
        return record
    status = {
        CommandResult.ACCEPTED: CommandStatus.ACCEPTED,
        CommandResult.DONE: CommandStatus.DONE,
        CommandResult.FAILED: CommandStatus.FAILED,
    }[event.result]
    return replace(record, status=status, reason=event.reason, updated_at=event.at)


def sensed(record: CommandRecord, event: Event) -> CommandRecord:
    """A sensor of the same device reported; where that shows the command's effect, it is done."""
    if record.status.final or event.at < record.requested_at - timedelta(seconds=1):
        return record
    match record.type, event:
        case (OpenPassage.__struct_config__.tag, DoorChanged(open=True) | BarrierMoved(open=True)):
            shown = True
        case (CloseBarrier.__struct_config__.tag, BarrierMoved(open=False)):
            shown = True
        case (_, LampMeasured(level_pct=float(level))) if record.level_pct is not None:
            shown = abs(level - record.level_pct) <= 1
        case _:
            shown = False
    return replace(record, status=CommandStatus.DONE, reason="", updated_at=event.at) if shown else record


def deadline(record: CommandRecord) -> datetime | None:
    """When waiting ends; None once finished."""
    return None if record.status.final else record.not_after + ANSWER_WITHIN


def overdue(record: CommandRecord, now: datetime) -> CommandRecord:
    """The wait is over: what was accepted counts as done without proof, what was not answered has expired."""
    due = deadline(record)
    if due is None or now < due:
        return record
    if record.status is CommandStatus.ACCEPTED:
        return replace(record, status=CommandStatus.DONE_UNVERIFIED, reason="no sensor confirmed it", updated_at=now)
    return replace(record, status=CommandStatus.EXPIRED, reason="no answer from the device", updated_at=now)


def recorded(command: Command, command_id: str, *, by: str, now: datetime) -> CommandRecord:
    """The record of a command about to be published. No device answers the answer to its own question."""
    return CommandRecord(
        id=command_id,
        device=command.device,
        type=str(command.__struct_config__.tag),
        requested_by=by,
        requested_at=now,
        not_after=command.not_after,
        status=CommandStatus.ACCEPTED if isinstance(command, AnswerCredential) else CommandStatus.SENT,
        updated_at=now,
        level_pct=getattr(command, "level_pct", None),
    )
