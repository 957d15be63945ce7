"""NB-IoT manhole covers: /city/{city}/well/status/{device}, with a leading slash.

Source: a published design of such a cover; no named maker's document is public. `ts` is seconds since 1970, `tilt`
degrees, `battery` percent, `status` normal or abnormal. A tilt is judged by the cover's own limit (`tilt_max_deg`).
"""

from __future__ import annotations

from datetime import datetime, tzinfo

import msgspec
from msgspec import Raw, Struct

from devices.errors import DecodeError
from devices.events import BatteryMeasured, CoverMoved, Event, Heartbeat, VendorNotice
from devices.model import Decoded, Protocol, Reading
from devices.protocols.roots import nothing_to_send
from devices.protocols.wire import Scalar, address_of, epoch_time, label, leftover, number, parse, same_device

_OPEN_DEG = 45
"""A cover that stands this steep is open."""
_OPEN = frozenset(("open", "opened", "moved", "lost"))
_WELL = frozenset(("normal", "ok", "closed", ""))
_KNOWN = frozenset(("device_id", "tilt", "battery", "status", "ts"))


class _Status(Struct, frozen=True):
    device_id: Scalar = None
    tilt: Scalar = None
    battery: Scalar = None
    status: Scalar = None
    ts: Scalar = None


_STATUS = msgspec.json.Decoder(_Status)


def decode(topic: str, payload: bytes, received_at: datetime, zone: tzinfo) -> Decoded:
    """How a cover lies. What is abnormal without a tilt counts as open: somebody may fall in.

    :raises DecodeError: the message is not one of this protocol.
    """
    del zone
    match topic.split("/"):
        case ["", "city", _, "well", "status", device]:
            address = address_of(device)
        case _:
            raise DecodeError("not a topic of this protocol")
    found = parse(_STATUS, payload)
    same_device(address, found.device_id)
    own = epoch_time(found.ts)
    at = own or received_at
    events = [*_position(found, at), *_charge(found, at)] or [Heartbeat(at=at)]
    extra = leftover(Raw(payload), _KNOWN)
    events[0] = msgspec.structs.replace(events[0], vendor=extra) if extra else events[0]
    return Decoded(address=address, readings=tuple(Reading(event=e, timed=own is not None) for e in events))


def _position(found: _Status, at: datetime) -> list[Event]:
    tilt, word = number(found.tilt), label(found.status).lower()
    is_open = word in _OPEN or (tilt is not None and abs(tilt) >= _OPEN_DEG) or (tilt is None and word not in _WELL)
    events: list[Event] = []
    if tilt is not None or is_open or word:
        events.append(CoverMoved(at=at, open=is_open, tilt_deg=None if tilt is None else abs(tilt)))
    if word not in _WELL:
        events.append(VendorNotice(at=at, name="cover.status", code=word))
    return events


def _charge(found: _Status, at: datetime) -> list[Event]:
    level = number(found.battery)
    fits = level is not None and 0 <= level <= 100
    return [BatteryMeasured(at=at, level_pct=level)] if fits and level is not None else []


PROTOCOL = Protocol(
    name="nbiot_cover",
    topics=("/city/+/well/status/+",),
    decode=decode,
    encode=nothing_to_send("nbiot_cover"),
    commands=frozenset(),
    heartbeat_s=86_400.0,
)
"""A cover sleeps, and says once a day that it is there."""
