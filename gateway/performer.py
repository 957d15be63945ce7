"""What every effect does: the table `Performer._effects`. All of it lands in `Changes`; nothing here reads a clock, a
socket or a disk.

Questions the registry answers at once come back as events of the same turn; questions for vision become jobs, commands
become sendings, and all of it is committed together or not at all.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import structlog
from msgspec import Struct
from msgspec.structs import replace

from devices.alerts import alert_key
from devices.effects import (
    AnswerCredential,
    CheckCredential,
    CheckPlate,
    ClearAlert,
    CloseBarrier,
    Command,
    Effect,
    IdentifyFace,
    MatchPlate,
    OpenPassage,
    RaiseAlert,
    ReadPlate,
    Reboot,
    RecordPoint,
    Report,
    SetLamp,
    Speak,
    SyncTime,
    TakeSnapshot,
    WatchScene,
)
from devices.errors import UnsupportedCommandError
from devices.events import CredentialChecked, Event, PlateChecked
from devices.kinds import barrier
from devices.model import Device
from gateway import delays, plates
from gateway.alertbook import AlertBook
from gateway.changes import Changes, Job, Point
from gateway.commandbook import CommandBook
from gateway.directory import Directory
from gateway.reader import event_id
from gateway.schedule import Schedule
from gateway.settings import Settings
from gateway.states import States

log = structlog.get_logger()

_STANDING: tuple[type[Effect], ...] = (RaiseAlert, ClearAlert, RecordPoint, Report)


class Cause(Struct, frozen=True, gc=False):
    """Why something is done: by whose event, known since when. `standing`: it was retained, so it says how things stand
    and not that something happens: nothing is asked and nothing moves for it. `waited`: it was held back long enough.
    """

    device: Device
    id: bytes
    now: datetime
    late: bool
    standing: bool = False
    waited: bool = False


class Performer:
    """Carries effects out, in the hub's turn and on its states."""

    def __init__(
        self,
        *,
        directory: Directory,
        settings: Settings,
        alerts: AlertBook,
        commands: CommandBook,
        states: States,
        schedule: Schedule,
    ) -> None:
        self._directory = directory
        self._settings = settings
        self._alerts = alerts
        self._commands = commands
        self._states = states
        self._schedule = schedule
        self._effects: dict[type[Effect], Callable[[Any, Cause, Changes, Changes], list[Event]]] = {
            RaiseAlert: self._raise_alert,
            ClearAlert: self._clear_alert,
            OpenPassage: self._command,
            AnswerCredential: self._command,
            CloseBarrier: self._command,
            SetLamp: self._command,
            Speak: self._command,
            TakeSnapshot: self._command,
            Reboot: self._command,
            SyncTime: self._command,
            CheckCredential: self._check_credential,
            CheckPlate: self._check_plate,
            MatchPlate: self._match_plate,
            IdentifyFace: self._ask_vision,
            ReadPlate: self._ask_vision,
            WatchScene: self._ask_vision,
            RecordPoint: self._record_point,
            Report: self._report,
        }

    def perform(
        self, effects: list[Effect], cause: Cause, batch: Changes, turn: Changes, *, salt: bytes
    ) -> list[Event]:
        """Do what is asked for; facts that follow from it at once. `salt` tells apart who asks for the same fact."""
        facts: list[Event] = []
        if not effects:
            return facts
        if cause.standing:
            effects = [effect for effect in effects if isinstance(effect, _STANDING)]
        for n, effect in enumerate(effects):
            own = replace(cause, id=event_id(cause.now, cause.id, salt, bytes([n])))
            facts += self._effects[type(effect)](effect, own, batch, turn)
        return facts

    def perform_for_others(
        self, effects: list[Effect], now: datetime, name: tuple[str, str], batch: Changes, turn: Changes
    ) -> list[tuple[list[Event], Cause]]:
        """Effects of a policy's deadline: they name their device themselves. Facts that follow, each with its cause."""
        found = []
        for n, effect in enumerate(effects):
            device = self._directory.device(getattr(effect, "device", ""))
            if device is not None:
                key = event_id(now, name[0].encode(), name[1].encode(), bytes([n]))
                cause = Cause(device, key, now, late=False, waited=name[0] == delays.NAME)
                found.append((self._effects[type(effect)](effect, cause, batch, turn), cause))
        return found

    def _target(self, effect: RaiseAlert | ClearAlert | Command, cause: Cause) -> Device:
        return (self._directory.device(effect.device) if effect.device else None) or cause.device

    def _raise_alert(self, effect: RaiseAlert, cause: Cause, batch: Changes, turn: Changes) -> list[Event]:
        device = self._target(effect, cause)
        if cause.late or cause.waited or not self._held_back(effect, device, cause.now, batch, turn):
            self._alerts.raise_(effect, device, cause.id, cause.now, late=cause.late, batch=batch, turn=turn)
        return []

    def _held_back(self, effect: RaiseAlert, device: Device, now: datetime, batch: Changes, turn: Changes) -> bool:
        """Its condition has to hold for longer first: it waits among the states (`gateway.delays`)."""
        wait = self._settings.delays.on(effect.code)
        if not wait:
            return False
        key = alert_key(device.community, device.id, effect.code, effect.instance)
        name = (delays.NAME, key)
        held = self._states.policy(name, batch, turn)
        if effect.at + wait <= now or self._alerts.stands(key, batch, turn):
            if held is not None:
                turn.policies[name] = None
            return False
        if held is None:
            if not self._states.has_room(name, batch):
                return False
            due = effect.at + wait
            turn.policies[name] = delays.Held(effect=replace(effect, device=device.id), due=due)
            self._schedule.want(("policy", *name), due)
        return True

    def _clear_alert(self, effect: ClearAlert, cause: Cause, batch: Changes, turn: Changes) -> list[Event]:
        device = self._target(effect, cause)
        name = (delays.NAME, alert_key(device.community, device.id, effect.code, effect.instance))
        if self._settings.delays.on(effect.code) and self._states.policy(name, batch, turn) is not None:
            turn.policies[name] = None
        self._alerts.clear(effect, device, cause.now, batch=batch, turn=turn)
        return []

    def _command(self, effect: Command, cause: Cause, batch: Changes, turn: Changes) -> list[Event]:
        target = self._target(effect, cause)
        if self._states.online(target, batch, turn) and effect.not_after > cause.now:
            try:
                command = replace(effect, device=target.id)
                self._commands.send(command, cause.id.hex(), target, cause.now, turn, by="gateway")
            except UnsupportedCommandError as error:
                log.warning("command_unsupported", device=target.id, reason=str(error))
        return []

    def _check_credential(self, effect: CheckCredential, cause: Cause, _b: Changes, _t: Changes) -> list[Event]:
        allowed, person, reason = self._directory.check_credential(effect.method, effect.value, cause.device, cause.now)
        checked = CredentialChecked(
            at=max(effect.at, cause.now),
            presented_at=effect.at,
            method=effect.method,
            allowed=allowed,
            person=person,
            reason=reason,
            reply_to=effect.reply_to,
        )
        return [checked]

    def _check_plate(self, effect: CheckPlate, cause: Cause, batch: Changes, turn: Changes) -> list[Event]:
        checked = plates.checked(effect, self._directory, cause.now)
        return [replace(checked, elsewhere=self._elsewhere(checked, cause.device, batch, turn))]

    def _match_plate(self, effect: MatchPlate, cause: Cause, batch: Changes, turn: Changes) -> list[Event]:
        matched = plates.matched(effect, self._directory, cause.now)
        return [replace(matched, elsewhere=self._elsewhere(matched, cause.device, batch, turn))]

    def _elsewhere(self, event: PlateChecked, here: Device, batch: Changes, turn: Changes) -> str:
        """Another lane of the community that has just let this vehicle through; "" for none."""
        for lane in self._directory.lanes(here.community) if here.kind == "barrier" and event.vehicle else ():
            held = (
                self._states.device(lane, batch, turn).kind if lane.id != here.id and self._states.knows(lane) else None
            )
            if isinstance(held, barrier.Barrier) and barrier.let_through(held, event.plate, event.captured_at, lane):
                return lane.id
        return ""

    def _ask_vision(
        self, effect: IdentifyFace | ReadPlate | WatchScene, cause: Cause, _b: Changes, turn: Changes
    ) -> list[Event]:
        job = Job(cause.id.hex(), cause.device.id, effect)
        turn.jobs[job.id] = job
        return []

    def _record_point(self, effect: RecordPoint, cause: Cause, _b: Changes, turn: Changes) -> list[Event]:
        turn.points.append(Point(effect.device or cause.device.id, effect.metric, effect.at, effect.value))
        return []

    def _report(self, effect: Report, _cause: Cause, _b: Changes, _t: Changes) -> list[Event]:
        return [effect.event]
