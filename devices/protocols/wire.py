"""What every decoder needs at its edge: parsing, times, pictures and ids. All raise `DecodeError` and nothing else."""

from __future__ import annotations

import binascii
import math
import re
from datetime import UTC, datetime, tzinfo
from itertools import islice
from typing import TypeVar

import msgspec
from msgspec import Raw

from devices.errors import DecodeError
from devices.events import Event
from devices.model import Decoded, Reading

MAX_PAYLOAD = 8 * 1024 * 1024
"""Bytes of one message; more is refused unread."""
MAX_VALUES = 20_000
"""Commas in one message: more values than any device has to say, and more than are read in a few milliseconds."""
MAX_IMAGE = 4 * 1024 * 1024
"""Bytes of one picture, decoded."""
MAX_NAME = 128
"""Characters of a `devices.events.Name`."""

_ADDRESS = re.compile(r"[A-Za-z0-9_.:-]{1,64}")
_FIRST_YEAR, _END_YEAR = 1970, 2100
_COUNTED = (10, 13)
"""Digits of seconds and of milliseconds since 1970, in this century."""
_MILLISECONDS_FROM = 100_000_000_000
"""Seconds reach this in the year 5138, so a larger timestamp counts milliseconds."""

Scalar = str | int | float | bool | None
"""A value that some firmware sends as text and some as a number."""

T = TypeVar("T")


def parse(decoder: msgspec.json.Decoder[T], payload: bytes | Raw) -> T:
    """The payload as the decoder's type. The reason never quotes the payload: it may hold personal data."""
    if len(memoryview(payload)) > MAX_PAYLOAD:
        raise DecodeError("payload too large")
    if isinstance(payload, bytes) and payload.count(b",") > MAX_VALUES:
        raise DecodeError("too many values")
    try:
        return decoder.decode(payload)
    except msgspec.ValidationError as error:
        raise DecodeError("payload does not fit the protocol") from error
    except RecursionError as error:
        raise DecodeError("payload nested too deeply") from error
    except ValueError as error:  # malformed JSON, bytes that are not UTF-8, integers of thousands of digits
        raise DecodeError("payload is not JSON") from error


_OBJECT = msgspec.json.Decoder(dict[str, Raw])
_SCALAR = msgspec.json.Decoder(Scalar)
_LIST = msgspec.json.Decoder(list[Raw])


def inner(raw: bytes | Raw, *path: str) -> Raw | None:
    """What lies under these keys, unparsed; None where a key is absent or its holder is not an object."""
    found: bytes | Raw = raw
    for key in path:
        if bytes(memoryview(found)[:1]) != b"{":
            return None
        held = parse(_OBJECT, found).get(key)
        if held is None:
            return None
        found = held
    return found if isinstance(found, Raw) else Raw(found)


def unwrapped(raw: Raw) -> Raw:
    """The object in a list of one, or the value as it is."""
    if bytes(memoryview(raw)[:1]) != b"[":
        return raw
    found = parse(_LIST, raw)
    if len(found) != 1:
        raise DecodeError("payload does not fit the protocol")
    return found[0]


def address_of(text: str) -> str:
    """A device's name as it stands in a topic or a payload, checked.

    :raises DecodeError: it is empty, too long, or holds what does not belong into a topic.
    """
    if _ADDRESS.fullmatch(text) is None:
        raise DecodeError("bad device id")
    return text


def same_device(topic: str, payload: Scalar) -> None:
    """Only who may publish on a topic speaks for its device, so another name in the payload is refused."""
    named = text(payload)
    if named and named != topic:
        raise DecodeError("device id in topic and payload differ")


def text(value: Scalar) -> str:
    """The value as text without surrounding blanks; "" for none."""
    if value is None or isinstance(value, bool):
        return ""
    try:
        return str(value).strip()
    except ValueError as error:  # more digits than Python turns into text
        raise DecodeError("number out of range") from error


def name(value: Scalar) -> str:
    """The value as an id. A shortened id would be another one, so one that is too long is refused."""
    found = text(value)
    if len(found) > MAX_NAME:
        raise DecodeError("id too long")
    return found


def label(value: Scalar) -> str:
    """The value as text for people, shortened where it is too long."""
    return text(value)[:MAX_NAME]


def number(value: Scalar) -> float | None:
    """The value as a finite number, None where it is not one."""
    if value is None or isinstance(value, bool):
        return None
    try:
        found = float(value)
    except (ValueError, OverflowError):
        return None
    return found if math.isfinite(found) else None


def integer(value: Scalar) -> int | None:
    """The value as a whole number that fits 63 bits, None where it is not one."""
    found = number(value)
    return int(found) if found is not None and found == int(found) and abs(found) < 2**63 else None


def percent(value: Scalar) -> float | None:
    """A figure from 0 to 100 as a fraction, None where it is not one."""
    found = number(value)
    return found / 100 if found is not None and 0 <= found <= 100 else None


def utc(at: datetime) -> datetime:
    """An aware time in UTC.

    :raises DecodeError: no device of ours can mean that year.
    """
    if at.tzinfo is not UTC:
        try:
            at = at.astimezone(UTC)
        except (OverflowError, ValueError) as error:
            raise DecodeError("time out of range") from error
    if not _FIRST_YEAR <= at.year < _END_YEAR:
        raise DecodeError("time out of range")
    return at


def local_time(value: Scalar, zone: tzinfo) -> datetime | None:
    """A vendor's "2026-04-10 09:43:25" (or with a T, an offset of its own, or as a count from 1970) in UTC; None where
    there is none.

    :raises DecodeError: it is not a time, such as 0000-00-00.
    """
    written = text(value)
    if not written:
        return None
    if written.isdecimal() and len(written) in _COUNTED:
        return epoch_time(written)
    try:
        at = datetime.fromisoformat(written)
    except ValueError as error:
        raise DecodeError("bad time") from error
    return utc(at if at.tzinfo else at.replace(tzinfo=zone))


def epoch_time(value: Scalar, microseconds: Scalar = None) -> datetime | None:
    """Seconds (or milliseconds) since 1970 in UTC; None where there are none.

    :raises DecodeError: no device of ours can mean that year.
    """
    seconds = number(value)
    if seconds is None or seconds <= 0:
        return None
    if seconds >= _MILLISECONDS_FROM:
        seconds /= 1000
    micro = number(microseconds) or 0
    try:
        at = datetime.fromtimestamp(int(seconds), UTC)
    except (OverflowError, OSError, ValueError) as error:
        raise DecodeError("time out of range") from error
    part = micro if 0 <= micro < 1_000_000 else 0
    return utc(at).replace(microsecond=int(part) or int(seconds % 1 * 1_000_000))


def picture(encoded: str | None) -> bytes:
    """A base64 picture, bare or as a data URL; b"" where there is none or what is there is no base64.

    A terminal with a broken picture still has something to say, so that is not an error.

    :raises DecodeError: the picture is larger than `MAX_IMAGE`.
    """
    if not encoded:
        return b""
    if encoded.startswith("data:"):
        encoded = encoded.partition(",")[2]
    if len(encoded) > MAX_IMAGE * 2:
        raise DecodeError("image too large")
    try:
        image = binascii.a2b_base64(encoded, strict_mode=True)
    except ValueError:
        image = _wrapped(encoded)
    if len(image) > MAX_IMAGE:
        raise DecodeError("image too large")
    return image


_BREAKS = b" \t\r\n"


def _wrapped(encoded: str) -> bytes:
    """Base64 broken into lines, as some firmware sends it."""
    try:
        return binascii.a2b_base64(encoded.encode(errors="replace").translate(None, _BREAKS), strict_mode=True)
    except ValueError:
        return b""


LEFTOVERS = 32
"""So many unknown fields of one message are kept, ..."""
LEFTOVERS_SEEN = 256
"""...out of so many, ..."""
LEFTOVER_LENGTH = 64
"""...and no value longer than this, in characters."""
_PERSONAL = re.compile(
    r"name|card|phone|tel|mobile|birth|address|addr|person|owner|user|pass|pwd|secret|token|key"
    r"|pic|image|photo|face|feature|plate|licen|url|uri|host|mac|ip$",
    re.IGNORECASE,
)


def milliseconds_time(value: Scalar) -> datetime | None:
    """Milliseconds since 1970 in UTC, to the millisecond; None where there are none.

    :raises DecodeError: no device of ours can mean that year.
    """
    told = integer(value)
    return epoch_time(told // 1000, told % 1000 * 1000) if told is not None and told > 0 else None


def leftover(raw: bytes | Raw, known: frozenset[str]) -> dict[str, str | int | float | bool]:
    """The scalar fields of an object that are not `known`, for `Event.vendor`: no text of any length, and nothing whose
    name sounds like a person, a secret, a picture or an address.
    """
    kept: dict[str, str | int | float | bool] = {}
    for key, value in islice(parse(_OBJECT, raw).items(), LEFTOVERS_SEEN):
        if len(kept) >= LEFTOVERS:
            break
        if key in known or len(key) > LEFTOVER_LENGTH or _PERSONAL.search(key):
            continue
        if bytes(memoryview(value)[:1]) in b"{[n":
            continue
        try:
            found = _SCALAR.decode(value)
        except ValueError:  # a number no machine can hold
            continue
        if found is not None and not (isinstance(found, str) and len(found) > LEFTOVER_LENGTH):
            kept[key] = found
    return kept


def no_topic(topic: str, payload: bytes, received_at: datetime, zone: tzinfo) -> Decoded:
    """`Protocol.decode` of what speaks HTTP only.

    :raises DecodeError: always; no topic is its.
    """
    del topic, payload, received_at, zone
    raise DecodeError("this protocol speaks HTTP")


def only(
    address: str, event: Event, image: bytes = b"", *, record: str = "", timed: bool = True, stored: bool = False
) -> Decoded:
    """A message that says one thing, with its picture if it has one. The other names are those of `Reading`."""
    reading = Reading(event=event, record_id=record, timed=timed, stored=stored)
    return Decoded(address=address, readings=(reading,), images=(image,) if image else ())
