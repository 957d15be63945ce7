"""The hub: one fact after another goes through its device's link, its kind's machine and the policies, and every effect
they ask for lands in `Changes` (`Performer`). Nothing here reads a clock, a socket or a disk; the engine does.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from msgspec.structs import replace

from devices.alerts import Alert
from devices.commands import CommandRecord
from devices.effects import (
    CheckPlate,
    ClearAlert,
    Effect,
    RaiseAlert,
    RecordPoint,
)
from devices.errors import UnsupportedCommandError
from devices.events import (
    NAME_OF,
    BarrierMoved,
    CommandAnswered,
    CredentialPresented,
    DeviceStatusChanged,
    DoorChanged,
    Event,
    FrameCaptured,
    Heartbeat,
    LampMeasured,
    ListAnswered,
    Ticked,
    evidence_key,
)
from devices.kinds import link as links
from devices.model import Device, DeviceKind, Protocol, Reading
from gateway import delays, metrics, presencebook
from gateway.actions import NotFoundError, RefusedError, SendCommand
from gateway.alertbook import GATEWAY, AlertBook
from gateway.changes import Changes, DeviceState, EventRow, Sending
from gateway.commandbook import CommandBook
from gateway.directory import Directory
from gateway.performer import Cause, Performer
from gateway.policies import POLICIES
from gateway.policy import Policy
from gateway.presencebook import PresenceBook
from gateway.reader import Read, event_id
from gateway.schedule import Name, Schedule
from gateway.settings import Settings
from gateway.states import States

FACTS_PER_MESSAGE = 64
"""More facts than this out of one message is our own bug, not a device's."""
LOOK_AGAIN = timedelta(seconds=1)
_SENSORS = (DoorChanged, BarrierMoved, LampMeasured, FrameCaptured, DeviceStatusChanged)
_EVEN_LATE: tuple[type[Effect], ...] = (RaiseAlert, RecordPoint, CheckPlate)


class Hub:
    """All decisions, and the states they rest on."""

    def __init__(
        self,
        *,
        kinds: Mapping[str, DeviceKind[Any]],
        protocols: Mapping[str, Protocol],
        directory: Directory,
        settings: Settings,
        alerts: AlertBook,
        schedule: Schedule,
        policies: tuple[Policy, ...] = POLICIES,
    ) -> None:
        self._directory = directory
        self._settings = settings
        self.alerts = alerts
        self._policies = {policy.name: policy for policy in policies}
        heard = {type_ for policy in policies for type_ in policy.hears}
        self._hearing = {type_: tuple(p for p in policies if type_ in p.hears) for type_ in heard}
        self.schedule = schedule
        self.states = States(kinds=kinds, protocols=protocols, directory=directory, schedule=self.schedule)
        self.commands = CommandBook(protocols, self.schedule)
        self.presence = PresenceBook(directory, self.states, schedule, settings.policies)
        self._outcomes: dict[type[Event], Callable[..., None]] = {
            CommandAnswered: self.commands.answered,
            ListAnswered: self.commands.listed,
            **dict.fromkeys(_SENSORS, self.commands.sensed),
        }
        self._performer = Performer(
            directory=directory,
            settings=settings,
            alerts=alerts,
            commands=self.commands,
            states=self.states,
            schedule=schedule,
        )

    # -- facts ------------------------------------------------------------------------------------------------------

    def message(self, read: Read, seen: set[bytes], batch: Changes, turn: Changes) -> None:
        """Everything one message says, but for what was said before."""
        device, at = read.device, read.message.received_at
        fresh = False
        for event_key, reading in zip(read.ids, read.decoded.readings, strict=True):
            if event_key in seen or event_key in batch.ids or event_key in turn.ids:
                metrics.IGNORED.labels("already journalled").inc()
                continue
            fresh = True
            state = self.states.device(device, batch, turn)
            corrected, late = links.corrected(
                state.link, reading.event.at, at, timed=reading.timed, stored=reading.stored
            )
            event = reading.event if corrected == reading.event.at else replace(reading.event, at=corrected)
            standing = read.message.retained
            cause = Cause(device, event_key, at, late, standing)
            beat = isinstance(event, Heartbeat)
            facts: list[Event] = []
            # A retained figure does not show that its device is there now; a retained status says so.
            heard = not standing or isinstance(event, DeviceStatusChanged)
            if heard and (not late or (beat and not reading.stored)):
                state, facts = self._hear(reading, state, cause, batch, turn)
            if not beat:
                if reading.timed and not late:
                    turn.devices[device.id] = DeviceState(links.advance(state.link, corrected, at), state.kind)
                turn.ids.add(event_key)
                turn.events.append(EventRow(event_key, device.id, _without_secret(event), reading.event.at, at, late))
                facts += self._decide(event, cause, batch, turn)
            self._follow(facts, cause, batch, turn)
        for image in read.decoded.images if fresh else ():
            turn.captures[evidence_key(image)] = (device.id, at, image)
        for reply in read.decoded.replies:
            turn.sendings.append(Sending(reply, device.id, "", None))

    def _hear(
        self, reading: Reading, state: DeviceState, cause: Cause, batch: Changes, turn: Changes
    ) -> tuple[DeviceState, list[Event]]:
        """What a live message tells of the device itself: that it is there, its clock, its restarts."""
        device, now = cause.device, cause.now
        link, effects = links.decide(
            state.link,
            reading.event,
            device,
            received_at=now,
            timed=reading.timed,
            heartbeat_s=self.states.protocols[device.protocol].heartbeat_s,
        )
        state = DeviceState(link, state.kind)
        self.states.heard(device, link)
        self.states.keep(device, state, batch, turn, quiet_at=now if not effects else None)
        if self.commands.waits(device) and isinstance(reading.event, Heartbeat | DeviceStatusChanged):
            # A heartbeat is decided on by nobody else, yet it may show a restart or a clock set right.
            self.commands.sensed(replace(reading.event, at=now), device, batch=batch, turn=turn)
            if reading.timed:
                offset_s = (reading.event.at - now).total_seconds()
                self.commands.clocked(offset_s, device, now, batch=batch, turn=turn)
        live = replace(cause, late=False) if cause.late else cause
        return state, self._performer.perform(effects, live, batch, turn, salt=b"link")

    def fact(self, event: Event, device: Device, key: bytes, now: datetime, batch: Changes, turn: Changes) -> None:
        """A fact we found out ourselves (an answer of vision, a failed publish)."""
        cause = Cause(device, key, now, late=False)
        turn.ids.add(key)
        turn.events.append(EventRow(key, device.id, event, event.at, now, late=False))
        self._follow(self._decide(event, cause, batch, turn), cause, batch, turn)

    def _follow(self, facts: list[Event], cause: Cause, batch: Changes, turn: Changes) -> None:
        """Facts that followed from facts, until none is left."""
        if not facts:
            return
        queue = deque(facts)
        for n in range(FACTS_PER_MESSAGE):
            if not queue:
                return
            event = queue.popleft()
            key = event_id(event.at, cause.id, NAME_OF[type(event)].encode(), bytes([n]))
            turn.events.append(EventRow(key, cause.device.id, event, event.at, cause.now, cause.late))
            turn.ids.add(key)
            queue.extend(self._decide(event, replace(cause, id=key), batch, turn))
        raise RuntimeError(f"one fact led to more than {FACTS_PER_MESSAGE} others")

    def _decide(self, event: Event, cause: Cause, batch: Changes, turn: Changes) -> list[Event]:
        """What the device's kind and the policies make of one fact; facts that follow from it."""
        device = cause.device
        tells = self._outcomes.get(type(event))
        if tells is not None and not cause.standing:
            # A late one, too: a picture takes its time, and what happened after the command shows what it did.
            tells(event, device, batch=batch, turn=turn)
        kind = self.states.kinds[device.kind]
        state = self.states.device(device, batch, turn)
        if cause.late:
            # A late fact moves nothing: decided from the initial state, only its dangers and its figures count.
            _, effects = kind.decide(kind.initial, event, device)
            for policy in self._hearing.get(type(event), ()):
                if policy.even_late and policy.scope(event, device):
                    effects += policy.decide(policy.initial, event, device, self._settings.policies)[1]
            effects = [effect for effect in effects if isinstance(effect, _EVEN_LATE)]
            facts = self._performer.perform(effects, cause, batch, turn, salt=b"kind")
            known = self.presence.heard_late(event, device, batch, turn)
            return facts + self._performer.perform(known, replace(cause, late=False), batch, turn, salt=b"presence")
        after, effects = kind.decide(state.kind, event, device)
        if after is not state.kind:
            self.states.keep(device, DeviceState(state.link, after), batch, turn)
        self.schedule.want(("kind", device.id), kind.deadline(after, device))
        facts = self._performer.perform(effects, cause, batch, turn, salt=b"kind")
        for policy in self._hearing.get(type(event), ()):
            scope = policy.scope(event, device)
            if scope:
                facts += self._decide_policy(policy, scope, event, cause, batch, turn)
        known = self.presence.heard(event, device, batch, turn)
        return facts + self._performer.perform(known, cause, batch, turn, salt=b"presence") if known else facts

    def _decide_policy(
        self, policy: Policy, scope: str, event: Event, cause: Cause | None, batch: Changes, turn: Changes
    ) -> list[Event]:
        name = (policy.name, scope)
        state = self.states.policy(name, batch, turn) or policy.initial
        limits = self._settings.policies
        after, effects = policy.decide(state, event, cause.device if cause else None, limits)
        if after is not state and self.states.has_room(name, batch):
            turn.policies[name] = None if after == policy.initial else after
            self.schedule.want(("policy", *name), policy.deadline(after, limits))
        if cause is None:
            self._perform_for_others(effects, event.at, name, batch, turn)
            return []
        return self._performer.perform(effects, cause, batch, turn, salt=policy.name.encode())

    def _perform_for_others(
        self, effects: list[Effect], now: datetime, name: tuple[str, str], batch: Changes, turn: Changes
    ) -> None:
        for facts, cause in self._performer.perform_for_others(effects, now, name, batch, turn):
            self._follow(facts, cause, batch, turn)

    # -- deadlines --------------------------------------------------------------------------------------------------

    def tick(self, name: Name, now: datetime, batch: Changes, turn: Changes) -> None:
        """A deadline somebody wanted: ask again whether it is really due, and tell them."""
        what, *rest = name
        due = self._deadline(name, batch, turn)
        if due is None or due > now:
            self.want(name, due)
            return
        event = Ticked(at=now)
        if what == "command":
            self.commands.overdue(rest[0], now, batch=batch, turn=turn)
        elif what == "alert":
            self.alerts.tick(rest[0], now, batch=batch, turn=turn)
        elif what == "policy" and rest[0] in presencebook.NAMES:
            effects = self.presence.tick((rest[0], rest[1]), now, batch, turn)
            self._perform_for_others(effects, now, (rest[0], rest[1]), batch, turn)
        elif what == "policy":
            policy = self._policies[rest[0]]
            self._decide_policy(policy, rest[1], event, None, batch, turn)
        else:
            device = self._directory.device(rest[0])
            if device is not None:
                self._tick_device(what, device, event, batch, turn)
        again = self._deadline(name, batch, turn)
        # One that stays due although it was told is a bug of its kind: it shall not keep us busy.
        self.want(name, again and max(again, now + LOOK_AGAIN))

    def want(self, name: Name, due: datetime | None) -> None:
        """`name` is to be told at `due`."""
        (self.alerts.schedule if name[0] == "alert" else self.schedule).want(name, due)

    def clock_set(self, by: timedelta, now: datetime, batch: Changes, turn: Changes) -> None:
        """Our own clock was set by so much: no alert is raised, climbs or ends sooner or later for it."""
        self.alerts.clock_set(by, now, batch=batch, turn=turn)
        for name, held in self.states.policies.items():
            if isinstance(held, delays.Held) and name not in batch.policies:
                turn.policies[name] = moved = delays.clock_set(held, by)
                self.schedule.want(("policy", *name), moved.due)

    def registered(self, now: datetime, batch: Changes, turn: Changes) -> None:
        """Devices were added, changed or removed."""
        self.states.registered(now, turn)
        self.alerts.orphaned(self._why_gone, now, batch, turn)

    def _why_gone(self, alert: Alert) -> str:
        """Why nothing will ever end this alert by itself; "" when something may."""
        if alert.device == GATEWAY or alert.device in self._directory.aside:
            return ""
        device = self._directory.device(alert.device)
        if device is None:
            return "the device is not registered any more"
        return "" if device.community == alert.community else "the device was moved to another community"

    def _tick_device(self, what: str, device: Device, event: Ticked, batch: Changes, turn: Changes) -> None:
        state = self.states.device(device, batch, turn)
        cause = Cause(
            device,
            event_id(event.at, what.encode(), device.id.encode(), event.at.isoformat().encode()),
            event.at,
            late=False,
        )
        if what == "link":
            heartbeat_s = self.states.protocols[device.protocol].heartbeat_s
            after, effects = links.decide(
                state.link, event, device, received_at=event.at, timed=False, heartbeat_s=heartbeat_s
            )
            self.states.keep(device, DeviceState(after, state.kind), batch, turn)
        else:
            kind = self.states.kinds[device.kind]
            after_kind, effects = kind.decide(state.kind, event, device)
            self.states.keep(device, DeviceState(state.link, after_kind), batch, turn)
        if effects:
            turn.events.append(EventRow(cause.id, device.id, event, event.at, event.at, late=False))
            turn.ids.add(cause.id)
        self._follow(self._performer.perform(effects, cause, batch, turn, salt=what.encode()), cause, batch, turn)

    def _deadline(self, name: Name, batch: Changes, turn: Changes) -> datetime | None:
        what, *rest = name
        if what in ("command", "alert"):
            return (self.commands if what == "command" else self.alerts).deadline(rest[0], batch, turn)
        if what == "policy":
            state = self.states.policy((rest[0], rest[1]), batch, turn)
            return self._policies[rest[0]].deadline(state, self._settings.policies) if state else None
        device = self._directory.device(rest[0])
        if device is None or not self.states.knows(device):
            return None
        if device.id not in self.states.devices and device.id not in batch.devices:
            return None
        state_of = self.states.device(device, batch, turn)
        if what == "link":
            return links.deadline(state_of.link, self.states.interval(device))
        return self.states.kinds[device.kind].deadline(state_of.kind, device)

    # -- commands ---------------------------------------------------------------------------------------------------

    def request(
        self, action: SendCommand, command_id: str, now: datetime, batch: Changes, turn: Changes
    ) -> CommandRecord:
        """A command asked for through the API.

        :raises NotFoundError: there is no such device.
        :raises RefusedError: its protocol cannot, it is offline, or the time is over; nothing is queued for later.
        """
        device = self._directory.device(action.command.device)
        if device is None:
            raise NotFoundError(f"there is no device {action.command.device}")
        if not self.states.knows(device):
            raise RefusedError(f"{device.id}: its kind {device.kind} or protocol {device.protocol} is not installed")
        if not self.states.online(device, batch, turn):
            raise RefusedError(f"{device.id} is offline; a command is never queued: try again when it is back")
        if action.command.not_after <= now:
            raise RefusedError("not_after has passed already")
        try:
            return self.commands.send(
                action.command,
                action.command_id or command_id,
                device,
                now,
                turn,
                by=action.by,
                key=action.idempotency_key,
                boot_id=self.states.device(device, batch, turn).link.boot_id,
            )
        except UnsupportedCommandError as error:
            raise RefusedError(f"{device.id} ({device.protocol}) cannot do this: {error}") from error

    # -- from outside --------------------------------------------------------------------------------------------------

    def flooding(self, device_id: str, now: datetime, batch: Changes, turn: Changes) -> None:
        """A device sends more than anybody could mean: what is too much is set aside, and somebody is told."""
        device = self._directory.device(device_id)
        if device is not None:
            effect = RaiseAlert(code="device_flooding", at=now)
            key = event_id(now, b"flood", device_id.encode())
            self.alerts.raise_(effect, device, key, now, late=False, batch=batch, turn=turn)

    def broker(self, *, reachable: bool, now: datetime, batch: Changes, turn: Changes) -> None:
        """The broker went or came back: one alert instead of one for each device, whose silence then means nothing."""
        here = Device(id=GATEWAY, kind="", protocol="", address="", community=self._settings.community)
        if reachable:
            self.alerts.clear(ClearAlert(code="broker_offline", at=now), here, now, batch=batch, turn=turn)
        else:
            key = event_id(now, b"broker_offline")
            effect = RaiseAlert(code="broker_offline", at=now)
            self.alerts.raise_(effect, here, key, now, late=False, batch=batch, turn=turn)

    def adopt(self, batch: Changes, now: datetime) -> None:
        """The batch is safe: what it changed is the truth now."""
        self.states.adopt(batch)
        self.presence.adopt(batch)
        self.commands.adopt(batch)
        self.alerts.adopt(batch, now)
        for kind, count in Counter(type(row.event) for row in batch.events).items():
            metrics.EVENTS.labels(NAME_OF[kind]).inc(count)
        for change in batch.alert_changes:
            if change.change == "raised":
                metrics.ALERTS.labels(change.alert.type).inc()


def _without_secret(event: Event) -> Event:
    """As it is journalled: what opens a door (a card's number, a PIN) is decided on and never kept."""
    return replace(event, value="") if isinstance(event, CredentialPresented) else event
