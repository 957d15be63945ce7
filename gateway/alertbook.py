"""The open alerts in memory, and how effects, people and time change them. One open alert per key, whatever comes at
once. What an alert is hidden behind, belongs to and who is told of it is decided here too, by the pure rules of
`devices.suppression`, `devices.incidents` and `devices.escalation`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Container, Iterator
from datetime import datetime, timedelta

from msgspec.structs import replace

from devices import alerts, escalation, incidents, suppression
from devices.alert_types import ALERT_TYPES
from devices.alerts import Alert, Condition, alert_key
from devices.effects import ClearAlert, RaiseAlert
from devices.escalation import LEVELS, Ladders, Level
from devices.kinds.common import earliest
from devices.model import Device
from gateway.actions import NotFoundError, Transitioned
from gateway.alertmoves import Transition, after_action, new_alert
from gateway.alertplaces import Places
from gateway.budget import FLOOD, Load
from gateway.changes import AlertChange, Changes
from gateway.roster import Roster
from gateway.schedule import Schedule
from gateway.settings import Budget, Delays

REPEAT_EVERY = timedelta(seconds=60)
"""A condition that goes on is counted each time and announced at most this often."""
_OF_THE_CONDITION = frozenset({"raised", "reopened", "repeated"})
RESTING_AT_MOST = 1024
GATEWAY = "gateway"
"""Stands for a device in what the gateway tells of itself."""
_SHOWN = ("condition", "acknowledged_at", "disposition", "shelved_until", "work", "assignee")
"""What a person or a backend can change of an alert."""


class AlertBook:
    """Open alerts by key and id. What has long been over and waits for a person only rests in the database: `find`
    reads an alert by its id, `find_latest` that of a key which is open or was raised last. `lately`: what was raised
    within the last minutes before we began; `closed`: what was closed then. `ladders`: see `devices.escalation`.
    `schedule` is for alerts alone: their deadlines count while the broker is away, too. `route`: the levels that are
    told of a type.
    """

    def __init__(
        self,
        open_alerts: list[Alert],
        find: Callable[[str], Alert | None],
        find_latest: Callable[[str], Alert | None],
        *,
        lately: list[AlertChange],
        closed: list[Alert],
        ladders: Ladders,
        route: Callable[[str], tuple[str, ...]],
        roster: Roster,
        budget: Budget,
        delays: Delays,
        schedule: Schedule,
    ) -> None:
        self._by_key = {alert.key: alert for alert in open_alerts}
        self._by_id = {alert.id: alert for alert in open_alerts}
        self._closed = {alert.key: alert for alert in closed}
        self._resting: dict[str, str] = {}
        """By key the open alerts that are in the database only."""
        self._announced: dict[str, datetime] = {}
        self._find, self._find_latest = find, find_latest
        self._ladders, self._roster, self.schedule = ladders, roster, schedule
        self._route = route
        self._load, self._delays = Load(budget, lately), delays
        self._room = RESTING_AT_MOST
        self._places = Places(open_alerts, lately)
        for alert in open_alerts:
            self.schedule.want(("alert", alert.id), self._due(alert))

    @property
    def open(self) -> list[Alert]:
        """The open alerts in memory: all that are active, and those that were until lately."""
        return list(self._by_key.values())

    def _current(self, key: str, batch: Changes, turn: Changes) -> Alert | None:
        """The alert that stands for a key: the open one, else the one closed last."""
        return turn.current.get(key) or batch.current.get(key) or self._by_key.get(key) or self._closed.get(key)

    def _standing(self, key: str, batch: Changes, turn: Changes, *, late: bool) -> Alert | None:
        """The alert that stands for a key, wherever it is kept: an open one may rest though a closed one is at hand,
        and what is late may be about one that was closed long ago.
        """
        held = self._current(key, batch, turn)
        if (held is not None and held.open) or not (late or key in self._resting):
            return held
        kept = self._find_latest(key)
        kept = kept and (self._latest(kept.id, batch, turn) or kept)
        return kept if kept is not None and (held is None or kept.open) else held

    def _takes(self, known: Alert, at: datetime, now: datetime, *, late: bool) -> bool:
        """Whether what is reported now, and happened at `at`, is about this alert rather than a new one."""
        if known.open:
            return True
        return alerts.tells_of(known, at=at) if late else alerts.may_reopen(known, now=now)

    def _latest(self, alert_id: str, batch: Changes, turn: Changes) -> Alert | None:
        return turn.alerts.get(alert_id) or batch.alerts.get(alert_id) or self._by_id.get(alert_id)

    def stands(self, key: str, batch: Changes, turn: Changes) -> bool:
        """Its condition is known to hold already."""
        known = self._current(key, batch, turn)
        return known is not None and known.open and known.condition is Condition.ACTIVE

    # -- what effects do ---------------------------------------------------------------------------------------------

    def raise_(
        self,
        effect: RaiseAlert,
        device: Device,
        event_id: bytes,
        now: datetime,
        *,
        late: bool,
        batch: Changes,
        turn: Changes,
    ) -> None:
        """Open, reopen or count up."""
        key = alert_key(device.community, device.id, effect.code, effect.instance)
        known = self._standing(key, batch, turn, late=late)
        if known is not None and self._takes(known, effect.at, now, late=late):
            again = alerts.raised_again(
                known, at=effect.at, now=now, evidence=effect.evidence, detail=effect.detail, late=late
            )
            reopened = again.condition is not known.condition
            if reopened:
                again = self._in_context(replace(again, suppressed_by=""), now, batch, turn)
            self._announce(known, again, "reopened" if reopened else "repeated", now, batch, turn, rarely=not reopened)
            return
        new = new_alert(effect, device, key, event_id, now, late=late)
        alert = self._in_context(replace(new, grid=self._roster.grid_of(device)), now, batch, turn)
        if not escalation.rests(alert):
            alert = escalation.begun(alert, now, self._on_duty)
        self._announce(None, alert, "raised", now, batch, turn)
        if effect.code != FLOOD and self._load.floods(device.community, now, batch, turn):
            self._flood(device.community, event_id, now, batch, turn)

    def _flood(self, community: str, cause: bytes, now: datetime, batch: Changes, turn: Changes) -> None:
        """More than the desk can take in: from now on maintenance waits behind this alert."""
        desk = Device(id=GATEWAY, kind="", protocol="", address="", community=community)
        known = self._current(alert_key(community, desk.id, FLOOD), batch, turn)
        if known is None or known.condition is not Condition.ACTIVE:
            effect = RaiseAlert(code=FLOOD, at=now)
            self.raise_(effect, desk, bytes(reversed(cause)), now, late=False, batch=batch, turn=turn)

    def clear(self, effect: ClearAlert, device: Device, now: datetime, *, batch: Changes, turn: Changes) -> None:
        """The condition is over."""
        known = self._current(alert_key(device.community, device.id, effect.code, effect.instance), batch, turn)
        if known is None or not known.open:
            return
        after = alerts.ending(known, at=effect.at, now=now, delay=self._delays.off(known.type))
        if after is not known:
            waits = after.condition is Condition.ACTIVE
            self._announce(known, after, "ending" if waits else "cleared", now, batch, turn, silently=waits)

    # -- what people and backends do ---------------------------------------------------------------------------------

    def transition(self, action: Transition, now: datetime, *, batch: Changes, turn: Changes) -> Transitioned:
        """What a person or a backend does with an alert.

        :raises NotFoundError: there is no such alert.
        :raises AlertError: its state does not allow it.
        """
        alert = self._latest(action.alert, batch, turn) or self._find(action.alert)
        if alert is None:
            raise NotFoundError(f"there is no alert {action.alert}")
        after, change, reason = after_action(alert, action, now)
        if after is not alert:
            after = self._announce(alert, after, change, now, batch, turn, actor=action.by, reason=reason)
        changed = tuple(field for field in _SHOWN if getattr(alert, field) != getattr(after, field))
        return Transitioned(alert=after, changed=changed)

    # -- what time does ----------------------------------------------------------------------------------------------

    def _on_duty(self, level: Level, alert: Alert, now: datetime) -> tuple[str, ...]:
        """Who is told at a level; nobody where the alert's type does not go there."""
        return self._roster.on_duty(level, alert, now) if level in self._route(alert.type) else ()

    def _due(self, alert: Alert) -> datetime | None:
        return earliest(alert.shelved_until, self._over_at(alert), escalation.deadline(alert, self._ladders))

    def _over_at(self, alert: Alert) -> datetime | None:
        """When it is over without anybody saying so."""
        if alert.type == FLOOD and alert.condition is Condition.ACTIVE:
            return self._load.over_at(alert.community) or alert.raised_at
        return alert.clears_at

    def deadline(self, alert_id: str, batch: Changes, turn: Changes) -> datetime | None:
        """When something happens to this alert by itself."""
        alert = self._latest(alert_id, batch, turn)
        return self._due(alert) if alert is not None and alert.open else None

    def tick(self, alert_id: str, now: datetime, *, batch: Changes, turn: Changes) -> None:
        """Its time has come: shelving ends, an ending is final, the next level is told."""
        alert = self._latest(alert_id, batch, turn)
        if alert is None or not alert.open:
            return
        if alert.shelved_until is not None and now >= alert.shelved_until:
            alert = self._announce(alert, alerts.unshelved(alert), "unshelved", now, batch, turn)
        over_at = self._over_at(alert)
        if over_at is not None and now >= over_at:
            alert = self._digest(alert, batch, turn) if alert.type == FLOOD else alert
            alert = self._announce(alert, alerts.cleared(alert, at=over_at), "cleared", now, batch, turn)
        due = escalation.deadline(alert, self._ladders)
        if due is not None and now >= due:
            after = escalation.climbed(alert, now, self._on_duty)
            change = "lapsed" if escalation.owned(alert) else "escalated"
            told = ", ".join((LEVELS[after.rung], *after.informed))
            self._announce(alert, after, change, now, batch, turn, reason=told if change == "escalated" else "")

    def clock_set(self, by: timedelta, now: datetime, *, batch: Changes, turn: Changes) -> None:
        """Our own clock was set by so much: what is being timed goes on with what was left of it."""
        for held in self._around(iter(list(self._by_id)), batch, turn):
            moved = alerts.clock_set(held, by)
            if moved is not held:
                self._announce(None, moved, "", now, batch, turn, silently=True)

    def reckon_anew(self, by: timedelta) -> None:
        """The same for what is not kept on the disk."""
        self._load.clock_set(by)
        self._places.clock_set(by)
        self._announced = {alert: at + by for alert, at in self._announced.items()}

    def orphaned(self, why: Callable[[Alert], str], now: datetime, batch: Changes, turn: Changes) -> None:
        """Devices were removed or moved: what nothing would ever end is over (`why`: the reason, "" for none). What
        latches stays for a person.
        """
        for held in self._around(iter(list(self._by_id)), batch, turn):
            reason = why(held) if held.condition is Condition.ACTIVE else ""
            after = alerts.cleared(held, at=now) if reason else held
            if after is not held:
                self._announce(held, after, "cleared", now, batch, turn, reason=reason)

    def _digest(self, flood: Alert, batch: Changes, turn: Changes) -> Alert:
        """A flood that ends says how much waited behind it, and of what."""
        behind = self._around(self._places.reached_by(flood), batch, turn)
        folded = Counter(held.type for held in behind if held.suppressed_by == flood.id)
        return replace(flood, detail={**flood.detail, "folded": folded.total(), "folded_by_type": dict(folded)})

    # -- context -----------------------------------------------------------------------------------------------------

    def _in_context(self, alert: Alert, now: datetime, batch: Changes, turn: Changes) -> Alert:
        """The alert behind what explains it, and in its incident."""
        root = self._root_of(alert, batch, turn)
        if root is not None:
            return replace(alert, suppressed_by=root.id, incident=root.incident or root.id)
        key = (alert.community, ALERT_TYPES[alert.type].cause)
        latest = turn.incidents.get(key) or batch.incidents.get(key) or self._places.incidents.get(key)
        turn.incidents[key] = incidents.joined(latest, alert.id, now)
        return replace(alert, incident=turn.incidents[key].incident)

    def _root_of(self, alert: Alert, batch: Changes, turn: Changes) -> Alert | None:
        """What explains it and is not itself explained away."""
        for held in self._around(self._places.roots_of(alert), batch, turn, types=suppression.ROOTS):
            if suppression.explains(held, alert):
                above = self._latest(held.suppressed_by, batch, turn) if held.suppressed_by else None
                # Only what explains the alert itself: a flood hides a flapping device, but not that it is away.
                return above if above is not None and suppression.explains(above, alert) else held
        return None

    def _around(
        self, ids: Iterator[str], batch: Changes, turn: Changes, types: Container[str] = ALERT_TYPES
    ) -> Iterator[Alert]:
        """These alerts as they stand now, and all of these types that this batch has changed so far."""
        fresh, older, by_id = turn.alerts, batch.alerts, self._by_id
        yield from [held for held in fresh.values() if held.type in types]
        yield from [held for held in older.values() if held.type in types and held.id not in fresh]
        yield from [by_id[one] for one in ids if one in by_id and one not in fresh and one not in older]

    def _hide_and_show(self, root: Alert, now: datetime, batch: Changes, turn: Changes) -> None:
        """A cause came or went: what it explains goes behind it, or comes out again."""
        if root.type not in suppression.ROOTS:
            return
        active = root.condition is Condition.ACTIVE
        for alert in self._around(self._places.reached_by(root), batch, turn):
            if active and not alert.suppressed_by and alert.open and suppression.explains(root, alert):
                hidden = replace(alert, suppressed_by=root.id, incident=root.incident or root.id)
                self._announce(alert, hidden, "suppressed", now, batch, turn)
            elif not active and alert.suppressed_by == root.id and alert.condition is Condition.ACTIVE:
                other = self._root_of(replace(alert, suppressed_by=""), batch, turn)
                shown = replace(alert, suppressed_by=other.id if other else "")
                self._announce(alert, shown, "suppressed" if other else "released", now, batch, turn)

    # -- the record --------------------------------------------------------------------------------------------------

    def _announce(
        self,
        before: Alert | None,
        alert: Alert,
        change: str,
        now: datetime,
        batch: Changes,
        turn: Changes,
        *,
        rarely: bool = False,
        silently: bool = False,
        actor: str = "gateway",
        reason: str = "",
    ) -> Alert:
        if before is not None:
            alert = escalation.followed(before, alert, now, self._on_duty)
        turn.alerts[alert.id] = alert
        held = self._current(alert.key, batch, turn)
        if alert.open or held is None or held.id == alert.id:
            turn.current[alert.key] = alert
        self.schedule.want(("alert", alert.id), self._due(alert))
        last = turn.announced.get(alert.id) or batch.announced.get(alert.id) or self._announced.get(alert.id)
        if silently or (rarely and abs(now - (last or alert.raised_at)) < REPEAT_EVERY):
            return alert
        if change in _OF_THE_CONDITION:
            turn.announced[alert.id] = now
        turn.alert_changes.append(AlertChange(alert, change, actor, reason, now))
        if before is None or before.condition is not alert.condition:
            self._hide_and_show(alert, now, batch, turn)
        return alert

    def adopt(self, batch: Changes, now: datetime) -> None:
        """The batch is safe: its alerts are the truth now."""
        self._announced.update(batch.announced)
        self._places.adopt(batch)
        self._load.adopt(batch, now)
        for alert in batch.alerts.values():
            if not alert.open:
                self._by_id.pop(alert.id, None)
                self._announced.pop(alert.id, None)
                self.schedule.forget(("alert", alert.id))
        for key, alert in batch.current.items():
            if self._resting.get(key) == alert.id:
                del self._resting[key]
            if alert.open:
                self._by_key[key] = self._by_id[alert.id] = alert
                self._closed.pop(key, None)
            else:
                self._by_key.pop(key, None)
                self._closed[key] = alert
        if len(self._by_key) > self._room:
            self._let_rest(now)
        if len(self._closed) > 1024:
            self._closed = {k: a for k, a in self._closed.items() if alerts.may_reopen(a, now=now)}

    def _let_rest(self, now: datetime) -> None:
        for alert in self.open:
            over = alert.cleared_at is not None and now - alert.cleared_at > alerts.REOPEN_WITHIN
            if over and self._due(alert) is None:
                del self._by_key[alert.key], self._by_id[alert.id]
                self._resting[alert.key] = alert.id
                self._places.forget(alert)
                self._announced.pop(alert.id, None)
        self._room = max(RESTING_AT_MOST, 2 * len(self._by_key))
