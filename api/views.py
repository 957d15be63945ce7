"""From what the gateway holds to what the API shows. What a caller may not see is not made at all."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any

import msgspec

from api import schemas
from api.auth import Caller
from api.facade import Gateway
from api.tokens import OPERATOR
from devices.alert_types import ALERT_TYPES
from devices.alerts import Alert
from devices.commands import LISTS, CommandRecord, name_of
from devices.effects import COMMANDS
from devices.escalation import LEVELS
from devices.kinds.link import PARAMS as LINK_PARAMS
from devices.model import Device, DeviceKind, Protocol
from gateway.actions import NotFoundError
from gateway.attached import StreamState
from gateway.entries import GATEWAY
from gateway.latest import Row
from gateway.listplan import HOLDS, list_of
from gateway.lists import ListView
from gateway.presencebook import Inside
from gateway.pseudonyms import Pseudonyms
from gateway.residents import Resident
from gateway.scenarios.vehicles import Lot
from gateway.store import when
from gateway.vault import Vault
from gateway.vehicles import Vehicle
from gateway.webhooks import impersonal_key

_PERSONAL = ("plate", "person", "evidence", "vehicle", "value", "granted", "opened_for")
"""A key of a device's state with one of these words in its name is not shown."""
_TIME = re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+(Z|[+-]\d\d:\d\d)")

_EVERYWHERE = frozenset({"reboot", "sync_time"})
_USES: Mapping[str, frozenset[str]] = {
    "face_gate": frozenset({"open_passage", "speak", "take_snapshot"}) | _EVERYWHERE,
    "barrier": frozenset({"open_passage", "close_barrier", "speak", "take_snapshot"}) | _EVERYWHERE,
    "light": frozenset({"set_lamp"}) | _EVERYWHERE,
    "camera": frozenset({"speak", "take_snapshot"}) | _EVERYWHERE,
    "cover": _EVERYWHERE,
    "bay": _EVERYWHERE,
    "sensor": _EVERYWHERE,
}
"""The commands our own kinds have a use for; a plug-in's kind takes whatever its protocol speaks. Lists are kept by the
gateway itself (`gateway.lists`): nobody sends one by hand."""
_NEEDS: Mapping[str, str] = {"face_gate": "open_passage", "barrier": "open_passage", "light": "set_lamp"}
"""Without this command a device of the kind only reports."""

_decode_alert = msgspec.json.Decoder(Alert).decode
json_of = msgspec.json.Encoder().encode
"""JSON of fields that are already right: to have pages checked again by their models takes four times as long."""
read_command = msgspec.json.Decoder(CommandRecord).decode


def alert_fields(alert: Alert, gateway: Gateway, caller: Caller) -> dict[str, Any]:
    """The fields of an `AlertView`; `subject` and `identified` only for a caller who may see people."""
    kind = ALERT_TYPES[alert.type]
    device = gateway.directory.device(alert.device)
    seen = {name: getattr(alert, name) for name in schemas.AlertView.model_fields if hasattr(alert, name)}
    seen |= {
        "severity": int(alert.severity),
        "title": {"zh": kind.title_zh, "en": kind.title_en},
        "steps": {"zh": kind.steps_zh, "en": kind.steps_en},
        "acknowledged": None
        if alert.acknowledged_at is None
        else {"at": alert.acknowledged_at, "by": alert.acknowledged_by, "reason": alert.acknowledged_reason},
        "suppressed_by": alert.suppressed_by or None,
        "level": LEVELS[alert.rung],
        "informed": list(alert.informed),
        "device_name": device.name if device else "",
        "evidence": f"/v1/evidence/{alert.evidence}" if alert.evidence else None,
        "six_zero": kind.six_zero,
        "service": kind.service,
    }
    if not caller.may("people:read"):
        seen.pop("subject", None)
        pseudonyms, reader = _pseudonyms(gateway.vault), gateway.store.reader
        seen["key"] = impersonal_key(alert, lambda value: pseudonyms.of(reader, alert.community, value))
        if seen["acknowledged"]:
            seen["acknowledged"]["reason"] = _words(alert.acknowledged_reason, alert.acknowledged_by, caller)
        return seen
    return seen | {"identified": _identified(alert, gateway)}


@lru_cache(maxsize=2)
def _pseudonyms(vault: Vault) -> Pseudonyms:
    return Pseudonyms(vault)


def _words(reason: str, actor: str, caller: Caller) -> str:
    """What somebody typed may name anybody: only for who may see people, and for who typed it."""
    own = actor in (GATEWAY, caller.name) or actor.startswith(caller.name + OPERATOR)
    return reason if own or caller.may("people:read") else ""


def _identified(alert: Alert, gateway: Gateway) -> dict[str, Any] | None:
    """The fields of an `IdentifiedPerson`."""
    if not alert.subject:
        return None
    try:
        resident = gateway.directory.residents.get(alert.subject)
    except NotFoundError:
        return None
    return {
        "person": resident.id,
        "name": resident.name,
        "distance": alert.detail.get("distance"),
        "threshold": alert.detail.get("threshold"),
        "photo": photo_path(resident.id),
    }


def incident_view(row: sqlite3.Row) -> schemas.IncidentView:
    """A row of the query in `api.routes.load`."""
    plain = {name: row[name] for name in ("community", "severity", "alerts", "hidden")}
    return schemas.IncidentView(id=row["incident"], since=when(row["since"]), latest=when(row["latest"]), **plain)


def history_entry(row: Row, caller: Caller) -> schemas.HistoryEntry:
    """One row of `alert_changes`, without the alert."""
    return schemas.HistoryEntry(**_change(row, caller))


def change_fields(row: Row, gateway: Gateway, caller: Caller) -> dict[str, Any]:
    """The fields of an `AlertChangeView`: a row of `alert_changes` with the alert as it then stood."""
    alert = alert_fields(_decode_alert(row["body"]), gateway, caller)
    return _change(row, caller) | {"alert": alert, "hash": row["hash"], "ledger": row["ledger"]}


def _change(row: Row, caller: Caller) -> dict[str, Any]:
    reason = _words(row["reason"], row["actor"], caller)
    return {name: row[name] for name in ("seq", "change", "actor")} | {"reason": reason, "at": when(row["at"])}


def commands_of(device: Device, protocols: Mapping[str, Protocol]) -> list[str]:
    """What a device can be told: what its protocol has a message for and its kind has a use for. What only the gateway
    says by itself is not among it.
    """
    protocol = protocols.get(device.protocol)
    spoken = {name_of(command) for command in protocol.commands if command in COMMANDS.values()} if protocol else set()
    return sorted(spoken & _USES.get(device.kind, spoken - LISTS))


def warnings_of(device: Device, protocols: Mapping[str, Protocol], kinds: Mapping[str, DeviceKind[Any]]) -> list[str]:
    """What will not work with this device as it is registered, in words, with what to do: told when it is registered
    and not at night.
    """
    found = []
    protocol, kind = protocols.get(device.protocol), kinds.get(device.kind)
    need = _NEEDS.get(device.kind)
    if protocol and need and need not in {name_of(command) for command in protocol.commands}:
        found.append(
            f"{device.protocol} has no message for {need}: this {device.kind} reports only and cannot be commanded; "
            "wire its relay to a controller that can, or choose the protocol that can"
        )
    if device.param(HOLDS, 0.0) and protocol and list_of(device, protocol) is None:
        found.append(
            f"{HOLDS}: {device.protocol} has no list for a {device.kind}; it is not kept supplied, so let the gateway "
            "decide there"
        )
    if kind is not None:
        known = {*kind.params, *LINK_PARAMS}
        found += [
            f"params.{name}: a {device.kind} has no such limit; it has {', '.join(sorted(known))}"
            for name in sorted(device.params.keys() - known)
        ]
    return found


def device_view(
    device: Device,
    gateway: Gateway,
    protocols: Mapping[str, Protocol],
    kinds: Mapping[str, DeviceKind[Any]],
    state: bytes | None,
) -> schemas.DeviceView:
    """A device with what is known of it. `state` is its row in `states`."""
    body = msgspec.json.decode(state) if state else {}
    link, kind = (body.get("link"), body.get("kind", body)) if isinstance(body, dict) else (None, {})
    shown = impersonal(kind)
    stream = gateway.stream(device.id)
    troubles = [stream.trouble] if stream and stream.mend else []
    return schemas.DeviceView(
        **msgspec.to_builtins(device),
        online=gateway.online(device.id),
        last_seen=gateway.last_seen(device.id),
        clock_offset_s=link.get("clock_offset_s") if isinstance(link, dict) else None,
        state=shown if isinstance(shown, dict) else {},
        commands=commands_of(device, protocols),
        warnings=warnings_of(device, protocols, kinds) + troubles,
        stream=stream_view(stream) if stream else None,
    )


def stream_view(stream: StreamState) -> schemas.StreamView:
    """How a device's event stream stands."""
    return schemas.StreamView(**{name: getattr(stream, name) for name in schemas.StreamView.model_fields})


def impersonal(value: Any) -> Any:
    """The same without anything that could tell of a person, at any depth: figures, switches and times remain."""
    match value:
        case dict():
            shown = {name: inner for name, inner in value.items() if not any(word in name for word in _PERSONAL)}
            return {name: impersonal(inner) for name, inner in shown.items()}
        case list():
            return [impersonal(inner) for inner in value]
        case str():
            return value if _TIME.fullmatch(value) else None
        case _:
            return value


def command_view(record: CommandRecord) -> schemas.CommandView:
    """A command; what it says of entries of a list stays inside."""
    fields = {name: getattr(record, name) for name in schemas.CommandView.model_fields if hasattr(record, name)}
    return schemas.CommandView(**fields, final=record.status.final)


def list_view(device: Device, held: ListView, gateway: Gateway, caller: Caller) -> schemas.DeviceListView:
    """A device's list. A plate is shown to who may see vehicles, a name to who may see people."""
    refusals = []
    for entry, reason in held.refused:
        shown = entry if held.what == "persons" or caller.may("vehicles:read") else ""
        name = _name_of(entry, gateway) if held.what == "persons" and caller.may("people:read") else ""
        refusals.append(schemas.ListRefusalView(entry=shown, reason=reason, name=name))
    return schemas.DeviceListView(
        device=device.id,
        what=held.what,
        refusals=refusals,
        doubted=held.doubted,
        failures=held.failures,
        **held.counts,
    )


def _name_of(person: str, gateway: Gateway) -> str:
    try:
        return gateway.directory.residents.get(person).name
    except NotFoundError:
        return ""


def photo_path(person: str) -> str:
    """Where the photo of a resident is."""
    return f"/v1/people/{person}/photo"


def resident_fields(resident: Resident) -> dict[str, Any]:
    """The fields of a `ResidentView`."""
    photo = photo_path(resident.id) if resident.templates else None
    fields: dict[str, Any] = msgspec.to_builtins(resident)
    return fields | {"photo": photo}


def vehicle_view(vehicle: Vehicle) -> schemas.VehicleView:
    """A vehicle."""
    return schemas.VehicleView(**{name: getattr(vehicle, name) for name in vehicle.__struct_fields__})


def inside_view(one: Inside, now: datetime) -> schemas.InsideView:
    """A vehicle thought to be inside."""
    stay = one.stay
    entered = stay.entered_at or now
    return schemas.InsideView(
        key=one.key,
        plate=stay.plate,
        read=stay.read,
        listing=stay.listing,
        entered_at=entered,
        lane=stay.barrier,
        evidence=stay.evidence,
        hours=round((now - entered).total_seconds() / 3600, 2),
        probability=round(one.probability, 4),
        overdue_since=one.overdue_at,
        to_look_for=one.waits,
        seen_at=stay.seen_at,
    )


def lot_view(lot: Lot) -> schemas.LotView:
    """The public bays of a community."""
    return schemas.LotView(
        bays=len(lot.bays), taken=sum(lot.bays.values()), full_since=lot.full_since, turned_away=lot.turned_away
    )
