"""What a Hikvision terminal kept while nobody listened: its event search (ISAPI, AcsEvent), page by page, oldest first.

Records carry the serialNo the live event had, so that what was heard already is known. `InfoList` is read by
`devices.protocols.hik_access`, like a page that is posted.
"""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Struct, field

from devices.errors import DecodeError
from devices.model import Device, History, HttpCall
from devices.protocols.wire import Scalar, integer, parse, text

_PAGE = 30
"""The vendor's own limit is 30 on older firmware."""
_PATH = "/ISAPI/AccessControl/AcsEvent?format=json"


class _Found(Struct, frozen=True):
    status: Scalar = field(name="responseStatusStrg", default=None)
    matches: Scalar = field(name="numOfMatches", default=None)


class _Answer(Struct, frozen=True):
    found: _Found | None = field(name="AcsEvent", default=None)


_ANSWER = msgspec.json.Decoder(_Answer)


def call(device: Device, since: datetime, until: datetime, position: int) -> HttpCall:
    """Ask for the page from record `position` on. A search keeps its id over its pages: it is made of what is asked."""
    zone = ZoneInfo(device.zone)
    condition = {
        "searchID": f"{since:%Y%m%d%H%M%S}-{until:%Y%m%d%H%M%S}",
        "searchResultPosition": position,
        "maxResults": _PAGE,
        "major": 0,
        "minor": 0,
        "startTime": since.astimezone(zone).isoformat(timespec="seconds"),
        "endTime": until.astimezone(zone).isoformat(timespec="seconds"),
    }
    body = msgspec.json.encode({"AcsEventCond": condition})
    return HttpCall(method="POST", path=_PATH, payload=body, media="application/json")


def following(body: bytes, position: int) -> int | None:
    """Where the page behind this one begins; None: this was the last.

    :raises DecodeError: it is no page of the history.
    """
    found = parse(_ANSWER, body).found
    if found is None:
        raise DecodeError("payload does not fit the protocol")
    matches = integer(found.matches) or 0
    return position + matches if matches > 0 and text(found.status).upper() == "MORE" else None


HISTORY = History(call=call, following=following)
