"""The Payload message of Sparkplug B on the wire: reading and writing the part of Protocol Buffers it needs.

Field numbers and data types are those of sparkplug_b.proto (org.eclipse.tahu.protobuf, Eclipse Sparkplug 3.0.0, section
6.4). Data sets, templates, bytes and properties are skipped. What an archive shows as JSON is the same message.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
from msgspec import Struct, field

from devices.errors import DecodeError
from devices.protocols.values import check_size
from devices.protocols.wire import MAX_PAYLOAD, parse

METRICS_AT_MOST = 1_000
OTHERS_AT_MOST = 50
"""Fields of one message, or of one metric, besides its metrics: more are garbage, and would only take time."""
_VARINT, _I64, _LEN, _I32 = 0, 1, 2, 5
_U64 = (1 << 64) - 1
_METRIC = 2 << 3 | _LEN

_NAMES = """Unknown Int8 Int16 Int32 Int64 UInt8 UInt16 UInt32 UInt64 Float Double Boolean String DateTime Text"""
TYPES = {name: number for number, name in enumerate(_NAMES.split())}
"""Data types that are one value, by name."""
_WIDE = frozenset({TYPES["Int64"], TYPES["UInt64"], TYPES["DateTime"]})
_FRACTIONS = frozenset({TYPES["Float"], TYPES["Double"]})
_SIGNED = {TYPES["Int8"]: 32, TYPES["Int16"]: 32, TYPES["Int32"]: 32, TYPES["Int64"]: 64}
"""Negative numbers travel as two's complement of so many bits."""


class Metric(Struct, frozen=True, kw_only=True):
    """One value. `name` None: only its `alias` is told. `timestamp`: ms since 1970."""

    name: str | None = None
    alias: int | None = None
    timestamp: int | None = None
    datatype: int = 0
    is_historical: bool = False
    value: bool | int | float | str | None = None


class Payload(Struct, frozen=True, kw_only=True):
    """One message. `seq` 0 to 255; none in a death of a node or a command."""

    timestamp: int | None = None
    metrics: tuple[Metric, ...] = ()
    seq: int | None = None


class _JsonMetric(Struct):
    name: str | None = None
    alias: int | None = None
    timestamp: int | None = None
    type_: str | int | None = field(default=None, name="dataType")
    datatype: str | int | None = None
    type: str | int | None = None
    historical: bool = field(default=False, name="isHistorical")
    value: Any = None


class _JsonPayload(Struct):
    timestamp: int | None = None
    metrics: list[_JsonMetric] = []
    seq: int | None = None


_JSON = msgspec.json.Decoder(_JsonPayload)


def read(payload: bytes) -> Payload:
    """The message. No Protocol Buffers message of this schema begins with {, so one that does is the JSON view of it.

    :raises DecodeError: it is no such message.
    """
    if len(payload) > MAX_PAYLOAD:
        raise DecodeError("payload too large")
    if payload.startswith(b"{"):
        check_size(payload)
        return _of_json(parse(_JSON, payload))
    timestamp = seq = None
    metrics: list[Metric] = []
    for number, value in _fields(payload):
        match number, value:
            case 1, int():
                timestamp = value
            case 2, bytes():
                if len(metrics) >= METRICS_AT_MOST:
                    raise DecodeError("too many values in one message")
                metrics.append(_metric(value))
            case 3, int():
                seq = value
    return Payload(timestamp=timestamp, metrics=tuple(metrics), seq=seq)


def _of_json(told: _JsonPayload) -> Payload:
    metrics = tuple(
        Metric(
            name=m.name,
            alias=m.alias,
            timestamp=m.timestamp,
            datatype=_type(m.type_ or m.datatype or m.type),
            is_historical=m.historical,
            value=m.value if isinstance(m.value, bool | int | float | str) else None,
        )
        for m in told.metrics[:METRICS_AT_MOST]
    )
    return Payload(timestamp=told.timestamp, metrics=metrics, seq=told.seq)


def _text(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise DecodeError("a text that is not UTF-8") from error


def _unpacked(form: str, raw: bytes) -> float | None:
    if len(raw) != struct.calcsize(form):
        raise DecodeError("payload does not fit the protocol")
    found: float = struct.unpack(form, raw)[0]
    return found if abs(found) <= 1e300 else None  # NaN and infinity are no figures


_MEMBERS: dict[int, tuple[str, type, Callable[[Any], Any]]] = {
    1: ("name", bytes, _text),
    2: ("alias", int, int),
    3: ("timestamp", int, int),
    4: ("datatype", int, int),
    5: ("is_historical", int, bool),
    10: ("value", int, int),
    11: ("value", int, int),
    12: ("value", bytes, lambda raw: _unpacked("<f", raw)),
    13: ("value", bytes, lambda raw: _unpacked("<d", raw)),
    14: ("value", int, bool),
    15: ("value", bytes, _text),
}
"""Field numbers of a metric: our name, how it travels, what it is."""


def _type(told: str | int | None) -> int:
    return TYPES.get(told, 0) if isinstance(told, str) else told or 0


def _metric(raw: bytes) -> Metric:
    told: dict[str, Any] = {}
    for number, held in _fields(raw):
        member, shape, convert = _MEMBERS.get(number, ("", object, bool))
        if member and isinstance(held, shape):
            told[member] = convert(held)
    bits, value = _SIGNED.get(told.get("datatype", 0), 0), told.get("value")
    if bits and isinstance(value, int) and value >> (bits - 1) & 1:
        told["value"] = (value & ((1 << bits) - 1)) - (1 << bits)
    return Metric(**told)


def _fields(raw: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Field numbers and values; those of fixed length as their bytes."""
    at, end, others = 0, len(raw), 0
    while at < end:
        key, at = _varint(raw, at)
        number, wire = key >> 3, key & 7
        others += key != _METRIC
        if others > OTHERS_AT_MOST:
            raise DecodeError("too many fields in one message")
        if wire == _VARINT:
            value, at = _varint(raw, at)
            yield number, value
            continue
        if wire == _LEN:
            size, at = _varint(raw, at)
        elif wire in (_I64, _I32):
            size = 8 if wire == _I64 else 4
        else:
            raise DecodeError("payload is not Protocol Buffers")
        if size > end - at:
            raise DecodeError("payload ends within a field")
        yield number, raw[at : at + size]
        at += size


def _varint(raw: bytes, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(raw):
            raise DecodeError("payload ends within a field")
        byte = raw[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & _U64, at
    raise DecodeError("payload is not Protocol Buffers")


# -- writing ---------------------------------------------


def write(payload: Payload) -> bytes:
    """The message as bytes. A metric without a value is told to be null (field 7)."""
    parts = [_field(1, payload.timestamp)] if payload.timestamp is not None else []
    parts += [_held(2, _written(metric)) for metric in payload.metrics]
    if payload.seq is not None:
        parts.append(_field(3, payload.seq))
    return b"".join(parts)


def _written(metric: Metric) -> bytes:
    parts = [_held(1, metric.name.encode())] if metric.name is not None else []
    for number, value in ((2, metric.alias), (3, metric.timestamp), (4, metric.datatype)):
        if value is not None:
            parts.append(_field(number, value))
    if metric.is_historical:
        parts.append(_field(5, 1))
    parts.append(_value(metric))
    return b"".join(parts)


def _value(metric: Metric) -> bytes:
    value = metric.value
    match value:
        case None:
            return _field(7, 1)
        case bool():
            return _field(14, int(value))
        case str():
            return _held(15, value.encode())
        case int() if metric.datatype not in _FRACTIONS:
            wide = metric.datatype in _WIDE
            return _field(11, value & _U64) if wide else _field(10, value & 0xFFFF_FFFF)
    single = metric.datatype == TYPES["Float"]
    return (_key(12, _I32) if single else _key(13, _I64)) + struct.pack("<f" if single else "<d", value)


def _key(number: int, wire: int) -> bytes:
    return _number(number << 3 | wire)


def _field(number: int, value: int) -> bytes:
    return _key(number, _VARINT) + _number(value)


def _held(number: int, raw: bytes) -> bytes:
    return _key(number, _LEN) + _number(len(raw)) + raw


def _number(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
