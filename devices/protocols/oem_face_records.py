"""What OEM face terminals saw: those they know, strangers, things thrown, plates. What is around it, and who sends it
here, is `devices.protocols.oem_face`.
"""

from __future__ import annotations

from datetime import datetime, tzinfo
from typing import Any

import msgspec
from msgspec import Struct

from devices.errors import DecodeError
from devices.events import (
    AccessDenied,
    AccessGranted,
    DenyReason,
    Event,
    FaceCaptured,
    Method,
    ObjectDetected,
    PlateCaptured,
    SensorMeasured,
    Vendor,
    VendorNotice,
    evidence_key,
)
from devices.model import Decoded, Outgoing, Reading
from devices.protocols.oem_face_wire import Envelope, Plate, Record
from devices.protocols.wire import integer, label, leftover, name, only, percent, picture, text

_GRANTED, _REFUSED, _STRANGER = 1, 2, 3
_BLOCK_LIST = 1
_SNAP_ACK, _RECORD_ACK = 1, 2
_UNDERSTOOD = frozenset(key for sort in (Record, Plate) for key in sort.__struct_encode_fields__) | {"scene"}
_PLATE_COLORS = ("", "blue", "yellow", "white", "black", "green", "yellow_green", "gradient_green")


class Said(Struct, frozen=True):
    """One message on its way through a handler."""

    address: str
    base: str
    received_at: datetime
    zone: tzinfo
    envelope: Envelope
    info: Any
    http: bool


def reply(said: Said, operator: str, message_id: str, info: dict[str, Any]) -> tuple[Outgoing, ...]:
    """A message back to who speaks; none to one that posts, which is answered in another way."""
    if said.http:
        return ()
    body = {"operator": operator, **({"messageId": message_id} if message_id else {}), "info": info}
    return (Outgoing(topic=f"{said.base}/{said.address}", payload=msgspec.json.encode(body)),)


def _push_ack(said: Said, kind: int, record: str) -> tuple[Outgoing, ...]:
    if not record:
        return ()
    plain = record.isascii() and record.isdecimal() and len(record) <= 18
    info = {"PushAckType": kind, "SnapOrRecordID": int(record) if plain else record}
    return reply(said, "PushAck", f"{kind}-{record}", info)


def clock(said: Said) -> datetime | None:
    """The terminal's time, None where it has none: one without a clock is there all the same."""
    try:
        at: datetime | None = said.info.at(said.zone)
    except DecodeError:
        return None
    return at


def _moment(said: Said) -> datetime:
    """When a record was made. Without it a replay could not be told from somebody at the door now."""
    at: datetime | None = said.info.at(said.zone)
    if at is None:
        raise DecodeError("a record without a time")
    return at


def recognised(said: Said) -> Decoded:
    """What the terminal decided about a face."""
    info: Record = said.info
    image = picture(info.pic or said.envelope.snap_pic)
    at = _moment(said)
    event = _verdict(info, at, evidence_key(image) if image else "", further(said))
    record = name(info.record) or name(info.http_record)
    decoded = only(said.address, event, image, record=name(f"Rec:{record}") if record else "", stored=info.stored)
    readings = decoded.readings + _temperature(info, at, record)
    return msgspec.structs.replace(decoded, readings=readings, replies=_push_ack(said, _RECORD_ACK, record))


def _temperature(info: Record, at: datetime, record: str) -> tuple[Reading, ...]:
    """A thermal terminal measures whoever stands before it; the reading names nobody."""
    if (measured := info.body_temperature_c) is None:
        return ()
    event = SensorMeasured(at=at, metric="body_temperature_c", value=measured)
    return (Reading(event=event, record_id=name(f"Temp:{record}") if record else "", stored=info.stored),)


def further(said: Said) -> Vendor:
    """What else stood in the message."""
    return leftover(said.envelope.info, _UNDERSTOOD)


def _verdict(info: Record, at: datetime, evidence: str, vendor: Vendor) -> Event:
    status, blocked = integer(info.verdict), integer(info.person_type) == _BLOCK_LIST
    if blocked or status == _REFUSED:
        reason = DenyReason.UNAUTHORIZED
        return AccessDenied(
            at=at,
            method=Method.FACE,
            reason=reason,
            person=info.who,
            evidence=evidence,
            blocked=blocked,
            vendor=vendor,
        )
    if status == _STRANGER:
        reason = DenyReason.UNKNOWN_CREDENTIAL
        return AccessDenied(at=at, method=Method.FACE, reason=reason, evidence=evidence, vendor=vendor)
    if status != _GRANTED:  # 0 is no verdict; 22 and 24 are listed by the vendor without a meaning
        return VendorNotice(at=at, name="RecPush", code=label(info.verdict), evidence=evidence, vendor=vendor)
    return AccessGranted(
        at=at,
        method=Method.FACE,
        person=info.who,
        evidence=evidence,
        similarity=percent(info.similarity if info.similarity is not None else info.http_similarity),
        direction=info.way,
        vendor=vendor,
    )


def stranger(said: Said) -> Decoded:
    """A face the terminal does not know: ours to look at, if there is a picture."""
    info: Record = said.info
    at, image = _moment(said), picture(info.pic or said.envelope.snap_pic)
    event: Event = FaceCaptured(at=at, evidence=evidence_key(image), vendor=further(said))
    if not image:
        reason = DenyReason.UNKNOWN_CREDENTIAL
        event = AccessDenied(at=at, method=Method.FACE, reason=reason, vendor=further(said))
    snap = name(info.snap) or name(info.http_record)
    decoded = only(said.address, event, image, record=name(f"Snap:{snap}") if snap else "", stored=info.stored)
    readings = decoded.readings + _temperature(info, at, snap)
    return msgspec.structs.replace(decoded, readings=readings, replies=_push_ack(said, _SNAP_ACK, snap))


def thrown(said: Said) -> Decoded:
    """Something was thrown from a window (高空抛物)."""
    image = picture(said.info.pic)
    evidence = evidence_key(image) if image else ""
    return only(said.address, ObjectDetected(at=_moment(said), label="thrown_object", evidence=evidence), image)


def vehicle(said: Said) -> Decoded:
    """A plate, seen by the cameras of the family."""
    info: Plate = said.info
    image, at, plate = picture(said.envelope.plate_pic), info.at(said.zone), text(info.plate)
    color = integer(info.color) or 0
    event = PlateCaptured(
        at=at or said.received_at,
        plate=plate if len(plate) <= 16 else "",
        plate_color=_PLATE_COLORS[color] if 0 <= color < len(_PLATE_COLORS) else "",
        evidence=evidence_key(image) if image else "",
    )
    return only(said.address, event, image, timed=at is not None)
