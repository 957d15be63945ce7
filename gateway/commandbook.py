"""The unfinished commands in memory: published once, then followed until the device or its sensor tells the outcome."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime

from msgspec.structs import replace

from devices import commands
from devices.commands import CommandRecord
from devices.effects import Command, SyncPersons
from devices.events import CommandAnswered, CommandResult, Event, ListAnswered
from devices.model import Device, Outgoing, Protocol
from gateway import metrics
from gateway.changes import Changes, Sending
from gateway.schedule import Schedule


class CommandBook:
    """Every command without an outcome yet."""

    def __init__(self, protocols: Mapping[str, Protocol], schedule: Schedule) -> None:
        self._protocols = protocols
        self._schedule = schedule
        self._open: dict[str, CommandRecord] = {}
        self._open_of: dict[str, dict[str, None]] = {}  # by device: in the order of sending

    def send(
        self,
        command: Command,
        command_id: str,
        device: Device,
        now: datetime,
        turn: Changes,
        *,
        by: str,
        key: str = "",
        boot_id: str = "",
    ) -> CommandRecord:
        """Record a command as sent and have it published once the record is safe. A crash in between loses it.
        `boot_id`: the device's now, so that a restart shows.

        :raises UnsupportedCommandError: the device's protocol has no message for it.
        """
        message = self._protocols[device.protocol].encode(command, command_id, device, now)
        if isinstance(command, SyncPersons) and isinstance(message, Outgoing):
            # A broker keeps QoS 1 on its disk for who is away, and a photograph must lie nowhere.
            message = replace(message, qos=0)
        if key:
            turn.keys[command_id] = key
        turn.sendings.append(Sending(message, device.id, command_id, command.not_after))
        return self._settle(commands.recorded(command, command_id, by=by, now=now, boot_id=boot_id), turn)

    def _settle(self, record: CommandRecord, turn: Changes) -> CommandRecord:
        turn.commands[record.id] = record
        self._schedule.want(("command", record.id), commands.deadline(record))
        if record.status.final:
            metrics.COMMANDS.labels(record.type, record.status).inc()
        return record

    def take_up(self, record: CommandRecord) -> None:
        """One published before we stopped: it is never published again, only its answer is awaited."""
        self._hold(record)
        self._schedule.want(("command", record.id), commands.deadline(record))

    def _record(self, command: str, batch: Changes, turn: Changes) -> CommandRecord | None:
        return turn.commands.get(command) or batch.commands.get(command) or self._open.get(command)

    def deadline(self, command: str, batch: Changes, turn: Changes) -> datetime | None:
        """When waiting for its outcome ends."""
        record = self._record(command, batch, turn)
        return commands.deadline(record) if record else None

    def overdue(self, command: str, now: datetime, *, batch: Changes, turn: Changes) -> None:
        """The wait is over."""
        record = self._record(command, batch, turn)
        if record is not None:
            self._settle(commands.overdue(record, now), turn)

    def unsent(self, command: str, reason: str, now: datetime, *, batch: Changes, turn: Changes) -> None:
        """The broker did not take it: it has not happened, and will not."""
        record = self._record(command, batch, turn)
        if record is not None:
            answer = CommandAnswered(at=now, command_id=command, result=CommandResult.FAILED, reason=reason)
            self._settle(commands.answered(record, answer), turn)

    def answered(self, event: CommandAnswered, device: Device, *, batch: Changes, turn: Changes) -> None:
        """The device answers one of its own commands; an answer to somebody else's is no answer."""
        record = self._record(self._meant(event.command_id, device, batch, turn), batch, turn)
        if record is not None and record.device == device.id and not record.status.final:
            self._settle(commands.answered(record, event), turn)

    def listed(self, event: ListAnswered, device: Device, *, batch: Changes, turn: Changes) -> None:
        """The device says what it took of a list it was sent."""
        record = self._record(event.command_id, batch, turn)
        if record is not None and record.device == device.id and not record.status.final:
            self._settle(commands.listed(record, event), turn)

    def waits(self, device: Device) -> bool:
        """A command of this device, published before, has no outcome yet."""
        return device.id in self._open_of

    def _meant(self, command: str, device: Device, batch: Changes, turn: Changes) -> str:
        """The id of a command of this device that is answered by its number only."""
        if not command.isdecimal() or self._record(command, batch, turn) is not None:
            return command
        waiting = {**self._open_of.get(device.id, {}), **batch.commands, **turn.commands}
        return next((held for held in waiting if str(commands.number_of(held)) == command), command)

    def sensed(self, event: Event, device: Device, *, batch: Changes, turn: Changes) -> None:
        """A sensor of the device may show what its commands did."""
        self._look(device, lambda record: commands.sensed(record, event), batch, turn)

    def clocked(self, offset_s: float, device: Device, now: datetime, *, batch: Changes, turn: Changes) -> None:
        """The device's clock was measured: its time minus ours, seconds."""
        self._look(device, lambda record: commands.clocked(record, offset_s, now), batch, turn)

    def _look(
        self, device: Device, look: Callable[[CommandRecord], CommandRecord], batch: Changes, turn: Changes
    ) -> None:
        for command in {**self._open_of.get(device.id, {}), **batch.commands, **turn.commands}:
            record = self._record(command, batch, turn)
            if record is not None and record.device == device.id and not record.status.final:
                after = look(record)
                if after is not record:
                    self._settle(after, turn)

    def adopt(self, batch: Changes) -> None:
        """The batch is safe: what it changed is the truth now."""
        for record in batch.commands.values():
            if record.status.final:
                self._let_go(record)
            else:
                self._hold(record)

    def _hold(self, record: CommandRecord) -> None:
        self._open[record.id] = record
        self._open_of.setdefault(record.device, {})[record.id] = None

    def _let_go(self, record: CommandRecord) -> None:
        self._open.pop(record.id, None)
        others = self._open_of.get(record.device, {})
        others.pop(record.id, None)
        if not others:
            self._open_of.pop(record.device, None)
