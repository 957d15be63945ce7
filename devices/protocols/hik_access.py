"""Hikvision face terminals and access controllers: AccessControllerEvent posted over HTTP, doors opened over ISAPI.

The terminal decides by itself. The event lies under AccessControllerEvent (push), under AcsEvent or its InfoList
(history), sometimes below EventNotificationAlert, sometimes bare; the same fields are majorEventType, subEventType and
dateTime in the one, major, minor and time in the other. serialNo counts a device's events, so that a live event and
the same one out of the history are one. `name`, `cardNo` and `pictureURL` are never kept; a picture comes as a part.
"""

from __future__ import annotations

from datetime import datetime, tzinfo

from msgspec import field
from msgspec.structs import replace

from devices.effects import Command, OpenPassage, Reboot, SyncTime
from devices.errors import DecodeError
from devices.events import (
    AccessDenied,
    AccessGranted,
    DoorAlarmed,
    DoorChanged,
    DuressSignalled,
    Event,
    Heartbeat,
    TamperDetected,
    Vendor,
    VendorNotice,
    evidence_key,
)
from devices.model import Decoded, Device, HttpCall, HttpPush, Protocol, Reading
from devices.protocols import hik_access_codes as codes
from devices.protocols import hik_access_history
from devices.protocols.hik_wire import ALERT_STREAM, XML, Alert, answered, document, moment, system_call
from devices.protocols.wire import Scalar, integer, label, name, no_topic, only, text

_MAX_RECORDS = 200
"""Of one page of the history; the vendor's own limit is 30 to 100."""


class _Event(Alert, frozen=True):
    """One event, in either spelling; or (AcsEvent) the page of the history that holds some."""

    major_push: Scalar = field(name="majorEventType", default=None)
    minor_push: Scalar = field(name="subEventType", default=None)
    major_history: Scalar = field(name="major", default=None)
    minor_history: Scalar = field(name="minor", default=None)
    time: Scalar = None
    serial: Scalar = field(name="serialNo", default=None)
    employee: Scalar = field(name="employeeNoString", default=None)
    number: Scalar = field(name="employeeNo", default=None)
    current: Scalar = field(name="currentEvent", default=None)
    door: Scalar = field(name="doorNo", default=None)
    attendance: Scalar = field(name="attendanceStatus", default=None)
    mask: Scalar = None

    @property
    def code(self) -> tuple[int, int] | None:
        major = integer(self.major_push if self.major_push is not None else self.major_history)
        minor = integer(self.minor_push if self.minor_push is not None else self.minor_history)
        return None if major is None or minor is None else (major, minor)


class _Page(_Event, frozen=True):
    records: list[_Event] | None = field(name="InfoList", default=None)
    matches: Scalar = field(name="numOfMatches", default=None)


class _Post(_Event, frozen=True):
    """What is posted: an alert around an event, a page, or an event alone."""

    live: _Event | str | None = field(name="AccessControllerEvent", default=None)
    history: _Page | str | None = field(name="AcsEvent", default=None)


def receive(push: HttpPush, received_at: datetime, zone: tzinfo) -> Decoded:
    """One post of a terminal. `zone` stands in where a time has no offset.

    :raises DecodeError: it is not one of this protocol.
    """
    said, pictures = document(push, _Post)
    page = said.history if isinstance(said.history, _Page) else None
    if page is not None and (page.records is not None or page.matches is not None):
        return _history(push.address, page.records or [], received_at, zone)
    event = said.live if isinstance(said.live, _Event) else page or said
    if event.code is not None:
        reading = _reading(event, said.written or event.time, received_at, zone, pictures)
        images = pictures[:1] if getattr(reading.event, "evidence", "") else ()
        return Decoded(address=push.address, readings=(reading,), images=images)
    at = moment(said.written, zone)
    if said.type in ("heartbeat", "videoloss"):  # a terminal has no video to lose: this is how old firmware breathes
        return only(push.address, Heartbeat(at=at or received_at), timed=at is not None)
    if not said.type:
        raise DecodeError("payload does not fit the protocol")
    state = "active" if said.active else "inactive"
    return only(push.address, VendorNotice(at=at or received_at, name=said.type, code=state), timed=at is not None)


def _history(address: str, records: list[_Event], received_at: datetime, zone: tzinfo) -> Decoded:
    if len(records) > _MAX_RECORDS:
        raise DecodeError("too many records in one message")
    readings = tuple(
        replace(_reading(record, record.time, received_at, zone, ()), stored=True)
        for record in records
        if record.code is not None
    )
    return Decoded(
        address=address, readings=readings, ignored="" if readings else "a page of the history without events"
    )


def _reading(
    event: _Event, written: Scalar, received_at: datetime, zone: tzinfo, pictures: tuple[bytes, ...]
) -> Reading:
    at = moment(written, zone)
    serial = name(event.serial)
    return Reading(
        event=_meaning(event, at or received_at, evidence_key(pictures[0]) if pictures else ""),
        record_id=name(f"acs:{serial}") if serial else "",
        timed=at is not None,
        stored=text(event.current).lower() == "false" or event.current is False,
    )


def _meaning(event: _Event, at: datetime, evidence: str) -> Event:  # noqa: PLR0911 - one table after the other
    code = event.code or (0, 0)
    person, vendor = _person(event), _vendor(event, code)
    if (method := codes.GRANTED.get(code)) is not None:
        return AccessGranted(at=at, method=method, person=person, evidence=evidence, vendor=vendor)
    if code in codes.DENIED:
        how, why = codes.DENIED[code]
        return AccessDenied(at=at, method=how, reason=why, person=person, evidence=evidence, vendor=vendor)
    if (is_open := codes.DOOR.get(code)) is not None:
        return DoorChanged(at=at, open=is_open, vendor=vendor)
    if (alarm := codes.DOOR_ALARM.get(code)) is not None:
        return DoorAlarmed(at=at, state=alarm, vendor=vendor)
    if (taken_apart := codes.TAMPER.get(code)) is not None:
        return TamperDetected(at=at, active=taken_apart, vendor=vendor)
    if code == codes.DURESS:
        return DuressSignalled(at=at, person=person, vendor=vendor)
    number = f"{code[0]}/{code[1]}"
    return VendorNotice(at=at, name=codes.NOTICES.get(code, "acs"), code=number, evidence=evidence, vendor=vendor)


def _person(event: _Event) -> str:
    """The number the person has at the terminal: ours where our list is on it, else its own."""
    return name(event.employee) or name(event.number)


def _vendor(event: _Event, code: tuple[int, int]) -> Vendor:
    vendor: Vendor = {"major": code[0], "minor": code[1]}
    for key, value in (("attendance", event.attendance), ("mask", event.mask), ("door", event.door)):
        if said := label(value)[:32]:
            vendor[key] = said
    return vendor


def encode(command: Command, command_id: str, device: Device, now: datetime) -> HttpCall:
    """The call that carries `command`. Reads `door` (1) of the device.

    Source: ISAPI "RemoteControlDoor" (cmd open, close, alwaysOpen, alwaysClose, resume).

    :raises UnsupportedCommandError: the command is none of `PROTOCOL.commands`.
    """
    del command_id
    if isinstance(command, OpenPassage):
        path = f"/ISAPI/AccessControl/RemoteControl/door/{int(device.param('door', 1))}"
        body = b"<RemoteControlDoor><cmd>open</cmd></RemoteControlDoor>"
        return HttpCall(method="PUT", path=path, payload=body, media=XML)
    return system_call(command, device, now)


PROTOCOL = Protocol(
    name="hik_access",
    topics=(),
    decode=no_topic,
    encode=encode,
    commands=frozenset({OpenPassage, Reboot, SyncTime}),
    heartbeat_s=60.0,
    receive=receive,
    answered=answered,
    attachment=replace(ALERT_STREAM, history=hik_access_history.HISTORY),
)
"""Terminals with an HTTP listening host, told to send a heartbeat every 30 s (`docs/http-devices.md`)."""
