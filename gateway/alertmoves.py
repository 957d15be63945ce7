"""An alert as it begins, and what people and backends do with one. Pure."""

from __future__ import annotations

import uuid
from datetime import datetime

from devices import alerts
from devices.alert_types import ALERT_TYPES
from devices.alerts import Alert
from devices.effects import RaiseAlert
from devices.model import Device
from gateway.actions import AcknowledgeAlert, DisposeAlert, ShelveAlert, WorkOnAlert

Transition = AcknowledgeAlert | DisposeAlert | ShelveAlert | WorkOnAlert


def new_alert(effect: RaiseAlert, device: Device, key: str, event_id: bytes, now: datetime, *, late: bool) -> Alert:
    """As it is raised. Its id follows from the event that raised it."""
    return Alert(
        id=str(uuid.uuid5(uuid.UUID(bytes=event_id), key)),
        key=key,
        type=effect.code,
        severity=ALERT_TYPES[effect.code].severity,
        community=device.community,
        building=device.building,
        device=device.id,
        uplink=device.uplink or "default",
        instance=effect.instance,
        first_seen=effect.at,
        last_seen=effect.at,
        raised_at=now,
        confidence=effect.confidence,
        evidence=effect.evidence,
        subject=effect.subject,
        detail=effect.detail,
        late=late,
        unowned_since=now,
    )


def after_action(alert: Alert, action: Transition, now: datetime) -> tuple[Alert, str, str]:
    """The alert after an action, the name of the change, and its reason."""
    match action:
        case AcknowledgeAlert(by=by, reason=reason):
            return alerts.acknowledged(alert, by=by, reason=reason, now=now), "acknowledged", reason
        case DisposeAlert(by=by, reason=reason, disposition=disposition):
            after = alerts.disposed(alert, disposition=disposition, by=by, reason=reason, now=now)
            return after, "disposed", reason
        case ShelveAlert(until=until, reason=reason):
            return alerts.shelved(alert, until=until, reason=reason, now=now), "shelved", reason
        case WorkOnAlert(work=work, assignee=assignee, reason=reason, if_work=if_work, step=step):
            after = alerts.worked(alert, work=work, assignee=assignee, now=now, if_work=if_work, step=step)
            return after, "work", reason
