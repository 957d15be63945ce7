"""What Hikvision devices post: an EventNotificationAlert, in XML (with either namespace or none) or in JSON, alone or
as the first part of a multipart body with its pictures behind it; and what they answer. `hik_*` read it.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Raw, Struct, field

from devices.effects import Command, Reboot, SyncTime
from devices.errors import DecodeError, UnsupportedCommandError
from devices.events import CommandAnswered, CommandResult
from devices.model import Attachment, Decoded, Device, HttpCall, HttpPart, HttpPush
from devices.protocols.markup import fit, parse_xml
from devices.protocols.pieces import is_picture, parts_of
from devices.protocols.wire import MAX_IMAGE, Scalar, integer, label, local_time, only, parse, text

XML = "application/xml"
_CLOCK_SET = datetime(2020, 1, 1, tzinfo=UTC)
"""Before this a device has not been told the time: it says 1970, and an old record says what it likes."""
_OK, _OK_AFTER_REBOOT = 1, 7
ALERT_STREAM = Attachment(path="/ISAPI/Event/notification/alertStream", silent_s=60.0)
"""Firmware breathes in it every 1 to 30 s (heartBeat, or an inactive videoloss); some that breathes never is attached
to anew each minute."""


class Alert(Struct, frozen=True):
    """The keys every alert has. An empty element arrives as "", so what may be one is no plain object."""

    kind: Scalar = field(name="eventType", default=None)
    state: Scalar = field(name="eventState", default=None)
    written: Scalar = field(name="dateTime", default=None)
    channel: Scalar = field(name="channelID", default=None)
    dyn_channel: Scalar = field(name="dynChannelID", default=None)
    count: Scalar = field(name="activePostCount", default=None)

    @property
    def type(self) -> str:
        """The event type; firmware differs in its case."""
        return label(self.kind).lower()

    @property
    def active(self) -> bool:
        return text(self.state).lower() != "inactive"

    @property
    def camera(self) -> str:
        """Channel 1 of a camera, or the channel of a recorder."""
        return label(self.channel) or label(self.dyn_channel) or "1"


class _Status(Struct, frozen=True):
    code: Scalar = field(name="statusCode", default=None)
    sub: Scalar = field(name="subStatusCode", default=None)


class _Envelope(Struct, frozen=True):
    inside: Raw = field(name="EventNotificationAlert", default=Raw(b""))


_STATUS = msgspec.json.Decoder(_Status)
_ENVELOPE = msgspec.json.Decoder(_Envelope)
A = TypeVar("A")


def document(push: HttpPush, shape: type[A]) -> tuple[A, tuple[bytes, ...]]:
    """The alert of a post, and its pictures, the largest scene first as the device puts them.

    :raises DecodeError: there is none, or it does not fit.
    """
    parts = parts_of(push)
    said = next((part for part in parts if not is_picture(part) and part.body.strip()), None)
    if said is None:
        raise DecodeError("a post without an event")
    return _read(said.body, shape), tuple(_pictures(parts))


def _read(body: bytes, shape: type[A]) -> A:
    body = body.lstrip(b"\xef\xbb\xbf \t\r\n")
    if body.startswith(b"<"):
        return fit(parse_xml(body)[1], shape)
    inside = parse(_ENVELOPE, body).inside
    return parse(msgspec.json.Decoder(shape), inside if memoryview(inside) else body)


def _pictures(parts: Iterable[HttpPart]) -> Iterable[bytes]:
    """Of a plate the scene comes before the cut-out, whatever their order."""
    found = [part for part in parts if is_picture(part) and part.body]
    if any(len(part.body) > MAX_IMAGE for part in found):
        raise DecodeError("image too large")
    return (part.body for part in sorted(found, key=lambda part: part.name.startswith("licensePlate")))


def moment(written: Scalar, zone: Any) -> datetime | None:
    """When it happened; None where the device has no clock.

    :raises DecodeError: it is not a time.
    """
    at = local_time(written, zone)
    return at if at is not None and at >= _CLOCK_SET else None


# -- commands ---------------------------------------------


def system_call(command: Command, device: Device, now: datetime) -> HttpCall:
    """What every device of this maker can be told (ISAPI, System): to restart, and what time it is.

    :raises UnsupportedCommandError: it is another command.
    """
    match command:
        case Reboot():
            return HttpCall(method="PUT", path="/ISAPI/System/reboot")
        case SyncTime():
            local = now.astimezone(ZoneInfo(device.zone)).isoformat(timespec="seconds")
            body = f"<Time><timeMode>manual</timeMode><localTime>{local}</localTime></Time>"
            return HttpCall(method="PUT", path="/ISAPI/System/time", payload=body.encode(), media=XML)
        case _:
            raise UnsupportedCommandError(f"{device.protocol} has no message for {type(command).__name__}")


def answered(command_id: str, status: int, body: bytes, now: datetime) -> Decoded:
    """A ResponseStatus, in XML or JSON. Code 1 is OK and 7 OK after a restart: the device took it, no more than that.

    :raises DecodeError: the body is neither.
    """
    said = fit(parse_xml(body)[1], _Status) if body.lstrip().startswith(b"<") else _status(body)
    code = integer(said.code)
    taken = status < 300 and code in (None, _OK, _OK_AFTER_REBOOT)
    event = CommandAnswered(
        at=now,
        command_id=command_id,
        result=CommandResult.ACCEPTED if taken else CommandResult.FAILED,
        reason="" if taken else f"HTTP {status}, statusCode {code} {label(said.sub)}".strip()[:128],
    )
    return only("", event, timed=False)


def _status(body: bytes) -> _Status:
    return parse(_STATUS, body) if body.strip() else _Status()
