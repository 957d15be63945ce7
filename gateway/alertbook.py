"""The open alerts in memory, and how effects and people change them. One open alert per key, whatever comes at once."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import datetime, timedelta

from devices import alerts
from devices.alert_types import ALERT_TYPES
from devices.alerts import Alert, alert_key
from devices.effects import ClearAlert, RaiseAlert
from devices.model import Device
from gateway.actions import AcknowledgeAlert, DisposeAlert, NotFoundError, ShelveAlert, WorkOnAlert
from gateway.changes import AlertChange, Changes

REPEAT_EVERY = timedelta(seconds=60)
"""A condition that goes on is counted each time and announced at most this often."""
RESTING_AT_MOST = 1024

Transition = AcknowledgeAlert | DisposeAlert | ShelveAlert | WorkOnAlert


class AlertBook:
    """Open alerts by key and id. What has long been over and waits for a person only rests in the database: `find`
    reads an alert by its id, `find_open` the open one of a key.
    """

    def __init__(
        self,
        open_alerts: list[Alert],
        find: Callable[[str], Alert | None],
        find_open: Callable[[str], Alert | None],
    ) -> None:
        self._by_key = {alert.key: alert for alert in open_alerts}
        self._by_id = {alert.id: alert for alert in open_alerts}
        self._closed: dict[str, Alert] = {}
        self._announced: dict[str, datetime] = {}
        self._find, self._find_open = find, find_open
        self._room = RESTING_AT_MOST

    @property
    def open(self) -> list[Alert]:
        """The open alerts in memory: all that are active, and those that were until lately."""
        return list(self._by_key.values())

    def _current(self, key: str, batch: Changes, turn: Changes) -> Alert | None:
        """The alert that stands for a key: the open one, else the one closed last."""
        return turn.current.get(key) or batch.current.get(key) or self._by_key.get(key) or self._closed.get(key)

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
        kind = ALERT_TYPES[effect.code]
        key = alert_key(device.community, device.id, effect.code, effect.instance)
        known = self._current(key, batch, turn) or self._find_open(key)
        if known is not None and (known.open or alerts.may_reopen(known, now=now)):
            again = alerts.raised_again(known, at=effect.at, now=now, evidence=effect.evidence, late=late)
            reopened = again.condition is not known.condition
            self._announce(again, "reopened" if reopened else "repeated", now, batch, turn, rarely=not reopened)
            return
        alert = Alert(
            id=str(uuid.uuid5(uuid.UUID(bytes=event_id), key)),
            key=key,
            type=effect.code,
            severity=kind.severity,
            community=device.community,
            grid=device.grid,
            building=device.building,
            device=device.id,
            instance=effect.instance,
            first_seen=effect.at,
            last_seen=effect.at,
            raised_at=now,
            confidence=effect.confidence,
            evidence=effect.evidence,
            subject=effect.subject,
            detail=effect.detail,
            late=late,
        )
        self._announce(alert, "raised", now, batch, turn)

    def clear(self, effect: ClearAlert, device: Device, now: datetime, *, batch: Changes, turn: Changes) -> None:
        """The condition is over."""
        known = self._current(alert_key(device.community, device.id, effect.code, effect.instance), batch, turn)
        if known is None or not known.open:
            return
        after = alerts.cleared(known, at=effect.at)
        if after is not known:
            self._announce(after, "cleared", now, batch, turn)

    def transition(self, action: Transition, now: datetime, *, batch: Changes, turn: Changes) -> Alert:
        """What a person or a backend does with an alert.

        :raises NotFoundError: there is no such alert.
        :raises AlertError: its state does not allow it.
        """
        alert = turn.alerts.get(action.alert) or batch.alerts.get(action.alert) or self._by_id.get(action.alert)
        alert = alert or self._find(action.alert)
        if alert is None:
            raise NotFoundError(f"there is no alert {action.alert}")
        after, change, reason = _apply(alert, action, now)
        if after is not alert:
            self._announce(after, change, now, batch, turn, actor=action.by, reason=reason)
        return after

    def _announce(
        self,
        alert: Alert,
        change: str,
        now: datetime,
        batch: Changes,
        turn: Changes,
        *,
        rarely: bool = False,
        actor: str = "gateway",
        reason: str = "",
    ) -> None:
        turn.alerts[alert.id] = alert
        held = self._current(alert.key, batch, turn)
        if alert.open or held is None or held.id == alert.id:
            turn.current[alert.key] = alert
        last = turn.announced.get(alert.id) or batch.announced.get(alert.id) or self._announced.get(alert.id)
        if rarely and abs(now - (last or alert.raised_at)) < REPEAT_EVERY:
            return
        turn.announced[alert.id] = now
        turn.alert_changes.append(AlertChange(alert, change, actor, reason, now))

    def adopt(self, batch: Changes, now: datetime) -> None:
        """The batch is safe: its alerts are the truth now."""
        self._announced.update(batch.announced)
        for alert in batch.alerts.values():
            if not alert.open:
                self._by_id.pop(alert.id, None)
                self._announced.pop(alert.id, None)
        for key, alert in batch.current.items():
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
            if alert.cleared_at is not None and now - alert.cleared_at > alerts.REOPEN_WITHIN:
                del self._by_key[alert.key], self._by_id[alert.id]
                self._announced.pop(alert.id, None)
        self._room = max(RESTING_AT_MOST, 2 * len(self._by_key))


def _apply(alert: Alert, action: Transition, now: datetime) -> tuple[Alert, str, str]:
    """The alert after an action, the name of the change, and its reason."""
    match action:
        case AcknowledgeAlert(by=by, reason=reason):
            return alerts.acknowledged(alert, by=by, reason=reason, now=now), "acknowledged", reason
        case DisposeAlert(by=by, reason=reason, disposition=disposition):
            after = alerts.disposed(alert, disposition=disposition, by=by, reason=reason, now=now)
            return after, "disposed", reason
        case ShelveAlert(until=until, reason=reason):
            return alerts.shelved(alert, until=until, reason=reason, now=now), "shelved", reason
        case WorkOnAlert(work=work, assignee=assignee, reason=reason):
            return alerts.worked(alert, work=work, assignee=assignee, now=now), "work", reason
