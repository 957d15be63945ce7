"""The life of one command: published once or not at all, and done only when the device or its sensor says so. Pure.

sent -> accepted -> done               the device took it, and the door sensor (or its answer) shows it
     -> failed(reason)                 it refused, or could not be reached
     -> expired                        no answer in time; it may or may not have happened
accepted -> done_unverified            it took it, and no sensor can show it

What shows that a command was carried out is the table `_PROOFS`. A picture, a restart, a right clock and a list show
for themselves, so there a bare "done" of the device counts as accepted.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from enum import StrEnum

from msgspec import Struct
from msgspec.structs import replace

from devices.effects import (
    AnswerCredential,
    CloseBarrier,
    Command,
    OpenPassage,
    Reboot,
    SetLamp,
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
)

ANSWER_WITHIN = timedelta(seconds=5)
"""How long after `not_after` an answer or a sensor may still come."""
CLOCK_RIGHT_S = 5.0
"""A clock this close counts as set: vendors' times are whole seconds, and the way through a broker takes its own."""


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
    """One command as it stands. Times UTC. `requested_by`: a token's name, or "gateway" for our own decisions.

    `boot_id`: the device's as it was when a restart was asked for. `entries`: of a list, those it has not answered for
    yet, none once it is finished; `refused`: how many it did not take; `took`: it took at least one.
    """

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
    boot_id: str = ""
    entries: tuple[str, ...] = ()
    refused: int = 0
    took: bool = False


def name_of(kind: type[Command]) -> str:
    """The wire name of a command type."""
    return str(kind.__struct_config__.tag)


def _opened(_record: CommandRecord, event: Event) -> bool:
    return isinstance(event, DoorChanged | BarrierMoved) and event.open


def _closed(_record: CommandRecord, event: Event) -> bool:
    return isinstance(event, BarrierMoved) and not event.open


def _lit(record: CommandRecord, event: Event) -> bool:
    if not isinstance(event, LampMeasured) or event.level_pct is None or record.level_pct is None:
        return False
    return abs(event.level_pct - record.level_pct) <= 1


def _pictured(_record: CommandRecord, event: Event) -> bool:
    return isinstance(event, FrameCaptured)


def _restarted(record: CommandRecord, event: Event) -> bool:
    """A new boot id shows it; a device that has none shows it by saying that it has come."""
    if isinstance(event, Heartbeat | DeviceStatusChanged) and event.boot_id and record.boot_id:
        return event.boot_id != record.boot_id
    return isinstance(event, DeviceStatusChanged) and event.online and not record.boot_id


_PROOFS: Mapping[str, Callable[[CommandRecord, Event], bool]] = {
    name_of(OpenPassage): _opened,
    name_of(CloseBarrier): _closed,
    name_of(SetLamp): _lit,
    name_of(TakeSnapshot): _pictured,
    name_of(Reboot): _restarted,
}
"""By command type: whether an event of the same device shows that it was carried out."""
LISTS = frozenset({name_of(SyncPersons), name_of(SyncPlates)})
"""The commands that change a device's own list."""
_SHOWS_ITSELF = frozenset({name_of(TakeSnapshot), name_of(Reboot), name_of(SyncTime)}) | LISTS
_PATIENCE: Mapping[str, timedelta] = {
    name_of(TakeSnapshot): timedelta(seconds=15),
    name_of(SyncTime): timedelta(seconds=45),
    name_of(Reboot): timedelta(minutes=3),
    **dict.fromkeys(LISTS, timedelta(seconds=60)),
}
"""What takes longer than `ANSWER_WITHIN`: a clock shows in the next heartbeat, a face takes a terminal a second."""


def number_of(command_id: str) -> int:
    """A command's id for protocols that number their requests: 31 bits, the same for the same id. An answer may carry
    it in decimal in place of the id.
    """
    return zlib.crc32(command_id.encode()) & 0x7FFF_FFFF


def answered(record: CommandRecord, event: CommandAnswered) -> CommandRecord:
    """The device's own answer. A command that is finished stays as it is."""
    if record.status.final:
        return record
    status = {
        CommandResult.ACCEPTED: CommandStatus.ACCEPTED,
        CommandResult.DONE: CommandStatus.ACCEPTED if record.type in _SHOWS_ITSELF else CommandStatus.DONE,
        CommandResult.FAILED: CommandStatus.FAILED,
    }[event.result]
    return _now(record, status, event.reason, event.at)


def sensed(record: CommandRecord, event: Event) -> CommandRecord:
    """A sensor of the same device reported; where that shows the command's effect, it is done."""
    proof = _PROOFS.get(record.type)
    if proof is None or record.status.final or event.at < record.requested_at - timedelta(seconds=1):
        return record
    return _now(record, CommandStatus.DONE, "", event.at) if proof(record, event) else record


def clocked(record: CommandRecord, offset_s: float, at: datetime) -> CommandRecord:
    """The clock of the same device was measured at `at`: its time minus ours, seconds."""
    if record.type != name_of(SyncTime) or record.status.final or at <= record.requested_at:
        return record
    return _now(record, CommandStatus.DONE, "", at) if abs(offset_s) <= CLOCK_RIGHT_S else record


def listed(record: CommandRecord, event: ListAnswered) -> CommandRecord:
    """The device says what it took of a list. The command is finished when every entry is answered for: failed where it
    took none of them, else done, with the number refused as the reason.
    """
    if record.status.final or record.type not in LISTS:
        return record
    refused = {refusal.entry for refusal in event.refused} & set(record.entries)
    unsaid = () if event.rest else record.entries
    left = tuple(entry for entry in unsaid if entry not in refused and entry not in event.took)
    count = record.refused + len(refused)
    took = record.took or len(left) + len(refused) < len(record.entries)
    record = replace(record, entries=left, refused=count, took=took, updated_at=event.at)
    if left:
        return replace(record, status=CommandStatus.ACCEPTED)
    status = CommandStatus.DONE if took else CommandStatus.FAILED
    return _now(record, status, f"{count} entries refused" if count else "", event.at)


def deadline(record: CommandRecord) -> datetime | None:
    """When waiting ends; None once finished."""
    return None if record.status.final else record.not_after + _PATIENCE.get(record.type, ANSWER_WITHIN)


def overdue(record: CommandRecord, now: datetime) -> CommandRecord:
    """The wait is over: what was accepted counts as done without proof, what was not answered has expired."""
    due = deadline(record)
    if due is None or now < due:
        return record
    if record.status is CommandStatus.ACCEPTED:
        return _now(record, CommandStatus.DONE_UNVERIFIED, "no sensor confirmed it", now)
    return _now(record, CommandStatus.EXPIRED, "no answer from the device", now)


def _now(record: CommandRecord, status: CommandStatus, reason: str, at: datetime) -> CommandRecord:
    entries = () if status.final else record.entries
    return replace(record, status=status, reason=reason, updated_at=at, entries=entries)


def recorded(command: Command, command_id: str, *, by: str, now: datetime, boot_id: str = "") -> CommandRecord:
    """The record of a command about to be published. `boot_id`: the device's at this moment. No device answers the
    answer to its own question.
    """
    return CommandRecord(
        id=command_id,
        device=command.device,
        type=name_of(type(command)),
        requested_by=by,
        requested_at=now,
        not_after=command.not_after,
        status=CommandStatus.ACCEPTED if isinstance(command, AnswerCredential) else CommandStatus.SENT,
        updated_at=now,
        level_pct=getattr(command, "level_pct", None),
        boot_id=boot_id if isinstance(command, Reboot) else "",
        entries=_entries(command),
    )


def _entries(command: Command) -> tuple[str, ...]:
    match command:
        case SyncPersons(put=put, remove=remove):
            return (*(person.id for person in put), *remove)
        case SyncPlates(put=plates, remove=remove):
            return (*(vehicle.plate for vehicle in plates), *remove)
        case _:
            return ()
