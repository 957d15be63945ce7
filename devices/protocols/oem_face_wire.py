"""What OEM face terminals put on the wire: their keys, misspelt as they are; `devices.protocols.oem_face` reads it."""

from __future__ import annotations

from datetime import datetime, tzinfo

import msgspec
from msgspec import Raw, Struct, field

from devices.protocols.wire import Scalar, inner, integer, local_time, name, number, parse, text, unwrapped

_LATE, _REPLAYED = 0, 2
"""`Sendintime` of a record sent late, `PushType` of one asked for again."""


_SCALAR = msgspec.json.Decoder(Scalar)
_CODE_KEYS = ("CardNum", "cardNum", "CardNo", "cardNo", "QRCode", "qrCode", "QRCodeInfo", "qrcode", "Code", "code")
"""Where a reader puts what it read; only CardInfo.CardNum was seen, the others are the family's spellings."""
_BODY_C = (30.0, 45.0)
"""A body's temperature; anything else is Fahrenheit or a sensor that measured nothing."""


class Envelope(Struct, frozen=True):
    operator: str
    wrapped: Raw = field(name="info", default=Raw(b"{}"))
    message_id: Scalar = field(name="messageId", default=None)
    code: Scalar = None
    snap_pic: str | None = field(name="SanpPic", default=None)
    plate_pic: str | None = field(name="PlatePic", default=None)

    @property
    def info(self) -> Raw:
        """An object; some firmware wraps it into a list of one."""
        return unwrapped(self.wrapped)


class Info(Struct, frozen=True):
    """The keys of all messages, MQTT and HTTP; what a message lacks stays None."""

    facesluice: Scalar = field(name="facesluiceId", default=None)
    device: Scalar = field(name="deviceId", default=None)
    http_device: Scalar = field(name="DeviceID", default=None)
    local: Scalar = field(name="time", default=None)
    snapped: Scalar = field(name="snapTime", default=None)
    created: Scalar = field(name="CreateTime", default=None)
    http_time: Scalar = field(name="Time", default=None)
    pic: str | None = None
    result: Scalar = None
    status: Scalar = field(name="Status", default=None)

    @property
    def owner(self) -> str:
        return text(self.facesluice) or text(self.device) or text(self.http_device)

    def at(self, zone: tzinfo) -> datetime | None:
        return local_time(self.local or self.snapped or self.created or self.http_time, zone)


class Record(Info, frozen=True):
    custom: Scalar = field(name="customId", default=None)
    http_custom: Scalar = field(name="CustomizeID", default=None)
    person: Scalar = field(name="personId", default=None)
    http_person: Scalar = field(name="PersonID", default=None)
    record: Scalar = field(name="RecordID", default=None)
    snap: Scalar = field(name="SnapID", default=None)
    http_record: Scalar = field(name="nRecordIndex", default=None)
    verdict: Scalar = field(name="VerifyStatus", default=None)
    person_type: Scalar = field(name="PersonType", default=None)
    similarity: Scalar = field(name="similarity1", default=None)
    http_similarity: Scalar = field(name="Similarity1", default=None)
    in_time: Scalar = field(name="Sendintime", default=None)
    push: Scalar = field(name="PushType", default=None)
    direction: Scalar = None
    temperature: Scalar = None
    http_temperature: Scalar = field(name="Temperature", default=None)
    http_direction: Scalar = field(name="Direction", default=None)
    verify: Scalar = field(name="VerfyType", default=None)

    @property
    def stored(self) -> bool:
        return integer(self.in_time) == _LATE or integer(self.push) == _REPLAYED

    @property
    def body_temperature_c(self) -> float | None:
        """What a thermal terminal measured, None where it measured nothing."""
        sent = self.temperature if self.temperature is not None else self.http_temperature
        found = number(text(sent).rstrip("℃C° "))
        return found if found is not None and _BODY_C[0] <= found <= _BODY_C[1] else None

    @property
    def way(self) -> str:
        """Which way somebody went, "" where the terminal writes that it does not know ("unknow")."""
        found = text(self.direction) or text(self.http_direction)
        return "" if found.lower() in ("unknow", "unknown") else found[:128]

    @property
    def who(self) -> str:
        if custom := name(self.custom) or name(self.http_custom):
            return custom
        local = name(self.person) or name(self.http_person)
        return name(f"terminal:{local}") if local else ""


class Read(Info, frozen=True):
    """What a card, code or identity card reader sends."""

    card: Raw = field(name="CardInfo", default=Raw(b"null"))
    code: Raw = field(name="QRCodeInfo", default=Raw(b"null"))


def presented(info: Raw, read: Read) -> str:
    """The number or text that was read, "" where there is none. It is in an object of its own or directly in `info`."""
    for holder in (unwrapped(read.card), unwrapped(read.code), info):
        for key in _CODE_KEYS:
            found = inner(holder, key)
            if found is None or bytes(memoryview(found)[:1]) in (b"{", b"["):
                continue
            if value := name(parse(_SCALAR, found)):
                return value
    return ""


class Plate(Info, frozen=True):
    plate: Scalar = field(name="LicencePlate", default=None)
    color: Scalar = field(name="PlateColour", default=None)
