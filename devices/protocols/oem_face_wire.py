"""What OEM face terminals put on the wire: their keys, misspelt as they are; `devices.protocols.oem_face` reads it."""

from __future__ import annotations

from datetime import datetime, tzinfo

from msgspec import Raw, Struct, field

from devices.protocols.wire import Scalar, integer, local_time, name, text

_LATE, _REPLAYED = 0, 2
"""`Sendintime` of a record sent late, `PushType` of one asked for again."""


class Envelope(Struct, frozen=True):
    operator: str
    info: Raw = Raw(b"{}")
    message_id: Scalar = field(name="messageId", default=None)
    code: Scalar = None
    snap_pic: str | None = field(name="SanpPic", default=None)
    plate_pic: str | None = field(name="PlatePic", default=None)


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
    status: Scalar = field(name="VerifyStatus", default=None)
    person_type: Scalar = field(name="PersonType", default=None)
    similarity: Scalar = field(name="similarity1", default=None)
    http_similarity: Scalar = field(name="Similarity1", default=None)
    in_time: Scalar = field(name="Sendintime", default=None)
    push: Scalar = field(name="PushType", default=None)
    direction: Scalar = None

    @property
    def stored(self) -> bool:
        return integer(self.in_time) == _LATE or integer(self.push) == _REPLAYED

    @property
    def who(self) -> str:
        if custom := name(self.custom) or name(self.http_custom):
            return custom
        local = name(self.person) or name(self.http_person)
        return name(f"terminal:{local}") if local else ""


class CardInfo(Struct, frozen=True):
    number: Scalar = field(name="CardNum", default=None)


class Card(Info, frozen=True):
    card: CardInfo | None = field(name="CardInfo", default=None)


class Plate(Info, frozen=True):
    plate: Scalar = field(name="LicencePlate", default=None)
    color: Scalar = field(name="PlateColour", default=None)
