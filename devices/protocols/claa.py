"""Alarms of the CLAA LoRa platform (中兴克拉): rows of its alarm query, posted here by whoever asks the platform.

alarmcode is a text and differs per product, so the product decides what an alarm means. Times are local without a zone.
deveui is "slot@deveui" where a node has several sensors; such a sensor's address here is "slot:deveui".
confirmstate (from recorded answers): 0 not confirmed, 1 alarm, 2 false alarm, 3 recovered, 4 other.
"""

from __future__ import annotations

from datetime import datetime, tzinfo

import msgspec
from msgspec import Struct, field

from devices.effects import Command
from devices.errors import DecodeError, UnsupportedCommandError
from devices.events import CoverMoved, Event, Hazard, HazardDetected, Vendor, VendorNotice
from devices.model import Decoded, Device, HttpCall, HttpPush, Protocol, Reading
from devices.protocols.wire import Scalar, address_of, integer, label, local_time, name, no_topic, parse, text

_MAX_ROWS = 200
_FALSE, _RECOVERED = 2, 3
_COVER = "dc20"
_HAZARDS = {
    "watersense": Hazard.WATER_LEAK,
    "smoke": Hazard.SMOKE,
    "gas": Hazard.GAS,
    "sos": Hazard.SOS,
    "infrared": Hazard.INTRUSION,
}
"""Part of `devtype` -> what such a sensor warns of. dc20 and watersense are recorded, the others named alike."""


class _Row(Struct, frozen=True):
    deveui: Scalar
    alarmid: Scalar = None
    alarmcode: Scalar = None
    alarmlevel: Scalar = None
    devtype: Scalar = None
    alarmtime: Scalar = None
    cleartime: Scalar = None
    confirmstate: Scalar = None


class _Page(Struct, frozen=True):
    rows: list[_Row] | None = None
    data: list[_Row] | None = None
    listed: list[_Row] | None = field(name="list", default=None)


_ROW, _ROWS, _PAGE = msgspec.json.Decoder(_Row), msgspec.json.Decoder(list[_Row]), msgspec.json.Decoder(_Page)


def receive(push: HttpPush, received_at: datetime, zone: tzinfo) -> Decoded:
    """One row, a list of rows, or a page of them under rows, data or list: all of the device it is posted for.

    :raises DecodeError: it is not one of this protocol, or speaks of another device.
    """
    rows = _rows(push.parts[0].body if push.parts else b"")
    if not rows:
        return Decoded(address=push.address, ignored="no alarms")
    if len(rows) > _MAX_ROWS:
        raise DecodeError("too many records in one message")
    if any(_address(row) != push.address for row in rows):
        raise DecodeError("device id in path and payload differ")
    return Decoded(address=push.address, readings=tuple(_reading(row, received_at, zone) for row in rows))


def _rows(body: bytes) -> list[_Row]:
    if body.lstrip().startswith(b"["):
        return parse(_ROWS, body)
    page = parse(_PAGE, body)
    for held in (page.rows, page.data, page.listed):
        if held is not None:
            return held
    return [parse(_ROW, body)]


def _address(row: _Row) -> str:
    return address_of(text(row.deveui).replace("@", ":"))


def _reading(row: _Row, received_at: datetime, zone: tzinfo) -> Reading:
    over_at = local_time(row.cleartime, zone)
    over = over_at is not None or integer(row.confirmstate) in (_FALSE, _RECOVERED)
    at = over_at if over else local_time(row.alarmtime, zone)
    alarm = name(row.alarmid)
    return Reading(
        event=_meaning(row, at or received_at, active=not over),
        record_id=name(f"claa:{alarm}:{'over' if over else 'on'}") if alarm else "",
        timed=at is not None,
    )


def _meaning(row: _Row, at: datetime, *, active: bool) -> Event:
    product = label(row.devtype).lower()
    vendor: Vendor = {"alarmcode": label(row.alarmcode)[:32], "alarmlevel": label(row.alarmlevel)[:32]}
    if _COVER in product:
        return CoverMoved(at=at, open=active, vendor=vendor)
    for part, hazard in _HAZARDS.items():
        if part in product:
            return HazardDetected(at=at, hazard=hazard, active=active, vendor=vendor)
    return VendorNotice(
        at=at, name=product or "alarm", code=f"{label(row.alarmcode)[:64]}/{'on' if active else 'over'}"
    )


def encode(command: Command, command_id: str, device: Device, now: datetime) -> HttpCall:
    """Nothing can be told to these sensors.

    :raises UnsupportedCommandError: always.
    """
    del command_id, device, now
    raise UnsupportedCommandError(f"claa has no message for {type(command).__name__}")


PROTOCOL = Protocol(
    name="claa",
    topics=(),
    decode=no_topic,
    encode=encode,
    commands=frozenset(),
    heartbeat_s=0.0,
    receive=receive,
)
"""Sensors that report when something happens; the platform's query says nothing of who is silent."""
