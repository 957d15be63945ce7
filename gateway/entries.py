"""What a batch of changes, or a backend's revision, says in the ledger. Pure but for the pseudonyms it is given.

Nothing personal is in clear: a person, a plate, who asked and who was assigned are pseudonyms; free text (reasons) is
left out. So a withdrawal has nothing to erase here.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import msgspec
from msgspec import Struct

from devices import escalation
from devices.alert_types import ALERT_TYPES
from devices.commands import CommandRecord
from devices.events import (
    AccessDenied,
    AccessGranted,
    DeviceStatusChanged,
    Event,
    Listing,
    PlateChecked,
    SceneAccepted,
)
from gateway.changes import AlertChange, Changes
from gateway.store import us
from gateway.syncbook import Answer

GATEWAY = "gateway"
"""Who acted where no person did; not a pseudonym."""

Pseudonym = Callable[[str, str], str]
"""community and value -> a keyed hash."""
CommunityOf = Callable[[str], str]

_json = msgspec.json.Encoder(order="sorted")


class Entry(Struct, frozen=True, gc=False):
    """A row before it is chained. `at`: microseconds since 1970 UTC."""

    at: int
    kind: str
    body: bytes


def entry(at: int, kind: str, body: dict[str, Any]) -> Entry:
    """A row with `body` as canonical JSON."""
    return Entry(at, kind, _json.encode(body))


def revision(now: datetime, source: str, answer: Answer) -> dict[str, Any]:
    """What the row of a backend's revision says: what it did in numbers, when, and a digest of what was sent that tells
    nothing without the nonce its sender was given (`gateway.syncbook.committed`).
    """
    return {
        "added": len(answer.added),
        "at": us(now),
        "base": answer.base,
        "changed": len(answer.changed),
        "digest": answer.digest,
        "refused": len(answer.refused),
        "removed": len(answer.removed),
        "revision": answer.revision,
        "section": answer.section,
        "source": source,
        "unchanged": answer.unchanged,
    }


def entries(batch: Changes, community_of: CommunityOf, pseudonym: Pseudonym) -> list[Entry]:
    """The rows of a batch: decisions and devices that came or went, then alerts, then commands."""
    said = []
    for row in batch.events:
        speaks = _FACTS.get(type(row.event))
        if speaks is not None:
            community = community_of(row.device)
            kind, body = speaks(row.event, community, pseudonym)
            body["community"], body["device"] = community, row.device
            if row.late:
                body["late"] = True
            said.append(entry(us(row.event.at), kind, body))
    said += [entry(us(change.at), "alert", _alert(change, pseudonym)) for change in batch.alert_changes]
    for record in batch.commands.values():
        said.append(entry(us(record.updated_at), "command", _command(record, community_of(record.device), pseudonym)))
    return said


def _granted(event: AccessGranted, community: str, pseudonym: Pseudonym) -> tuple[str, dict[str, Any]]:
    person = pseudonym(community, event.person) if event.person else ""
    return "access", {"decision": "granted", "method": event.method, "person": person}


def _denied(event: AccessDenied, community: str, pseudonym: Pseudonym) -> tuple[str, dict[str, Any]]:
    person = pseudonym(community, event.person) if event.person else ""
    return "access", {
        "decision": "denied",
        "method": event.method,
        "person": person,
        "reason": event.reason,
    }


def _vehicle(event: PlateChecked, community: str, pseudonym: Pseudonym) -> tuple[str, dict[str, Any]]:
    let_in = event.listing in (Listing.ALLOW, Listing.VISITOR)
    return "access", {
        "decision": "vehicle_let_in" if let_in else "vehicle_refused",
        "listing": event.listing,
        "vehicle": pseudonym(community, event.plate),
    }


def _status(event: DeviceStatusChanged, _community: str, _pseudonym: Pseudonym) -> tuple[str, dict[str, Any]]:
    return "device", {"online": event.online, "reason": event.reason}


def _scene(event: SceneAccepted, community: str, pseudonym: Pseudonym) -> tuple[str, dict[str, Any]]:
    return "scene", {"by": _by(event.by, community, pseudonym), "change": "accepted"}


_FACTS: dict[type[Event], Callable[[Any, str, Pseudonym], tuple[str, dict[str, Any]]]] = {
    AccessGranted: _granted,
    AccessDenied: _denied,
    PlateChecked: _vehicle,
    DeviceStatusChanged: _status,
    SceneAccepted: _scene,
}


def _by(actor: str, community: str, pseudonym: Pseudonym) -> str:
    return actor if actor in ("", GATEWAY) else pseudonym(community, actor)


def _alert(change: AlertChange, pseudonym: Pseudonym) -> dict[str, Any]:
    alert = change.alert
    return {
        "acknowledged": alert.acknowledged_at is not None,
        "alert": alert.id,
        "assignee": _by(alert.assignee, alert.community, pseudonym),
        "building": alert.building,
        "by": _by(change.actor, alert.community, pseudonym),
        "change": change.change,
        "community": alert.community,
        "condition": alert.condition.value,
        "count": alert.count,
        "device": alert.device,
        "disposition": alert.disposition.value if alert.disposition else "",
        "grid": alert.grid,
        "late": alert.late,
        "open": alert.open,
        "rests": escalation.rests(alert),
        "severity": int(alert.severity),
        "six_zero": ALERT_TYPES[alert.type].six_zero,
        "subject": pseudonym(alert.community, alert.subject) if alert.subject else "",
        "test": alert.test,
        "type": alert.type,
        "work": alert.work.value,
    }


def _command(record: CommandRecord, community: str, pseudonym: Pseudonym) -> dict[str, Any]:
    return {
        "by": _by(record.requested_by, community, pseudonym),
        "command": record.id,
        "community": community,
        "device": record.device,
        "status": record.status.value,
        "type": record.type,
    }
