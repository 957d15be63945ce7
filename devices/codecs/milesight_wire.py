"""The bytes of Milesight nodes: channel, type, value, one after another. One table says what lies where.

Source: the public repository Milesight-IoT/SensorDecoders and the makers' user guides. Numbers are little-endian. The
value's length follows from channel and type, so an unknown pair ends the reading. Some pairs mean different things in
different models: those are read only when the device's option `model` (em300-mcs, ws301...) says which it is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from devices.errors import DecodeError

Fields = dict[str, Any]
Rule = tuple[int, Callable[[bytes], Fields]]
"""So many bytes, and what they say, under the names of the maker's own decoder."""

_FAILED, _OUT_OF_RANGE, _WARMING = 0xFFFF, 0xFFFD, 0xFFFE


def _u(data: bytes) -> int:
    return int.from_bytes(data, "little")


def _s(data: bytes) -> int:
    return int.from_bytes(data, "little", signed=True)


def _number(name: str, size: int, divisor: float = 1, *, signed: bool = False) -> Rule:
    """An unsigned two-byte value may say instead that the probe failed, is out of range or warms up."""

    def read(data: bytes) -> Fields:
        raw = _s(data) if signed else _u(data)
        if size == 2 and _u(data) in (_FAILED, _OUT_OF_RANGE, _WARMING):
            return {f"{name}_error": f"{_u(data):04x}"}
        return {name: raw / divisor if divisor != 1 else raw}

    return size, read


def _word(name: str, *words: str) -> Rule:
    return 1, lambda data: {name: words[data[0]] if data[0] < len(words) else f"code_{data[0]}"}


def _text(name: str, size: int) -> Rule:
    return size, lambda data: {name: data.hex()}


def _version(name: str, size: int) -> Rule:
    return size, lambda data: {name: "v" + ".".join(f"{byte:x}" for byte in data)}


def _both(*rules: Rule) -> Rule:
    """Values that follow each other."""

    def read(data: bytes) -> Fields:
        found: Fields = {}
        at = 0
        for size, rule in rules:
            found |= rule(data[at : at + size])
            at += size
        return found

    return sum(size for size, _ in rules), read


def _stored(*rules: Rule) -> Rule:
    """A record from the node's memory: seconds since 1970, then its values."""
    size, read = _both(_number("timestamp", 4), *rules)
    return size, lambda data: {"history": [read(data)]}


def _skip(size: int) -> Rule:
    return size, lambda _: {}


def _switches(count: int) -> Callable[[bytes], Fields]:
    return lambda data: {f"switch_{n + 1}": "on" if data[0] >> n & 1 else "off" for n in range(count)}


def _regions(first: int) -> Rule:
    return 8, lambda data: {f"region_{first + n}_count": count for n, count in enumerate(data)}


def _people(data: bytes) -> Fields:
    mask = int.from_bytes(data[2:4])
    regions = {f"region_{n + 1}": mask >> n & 1 for n in range(min(data[1], 16))}
    return {"people_count_all": data[0], "region_count": data[1], **regions}


def _tilt_em310(data: bytes) -> Fields:
    angles = {f"angle_{axis}": _s(data[2 * n : 2 * n + 2]) / 100 for n, axis in enumerate("xyz")}
    states = {f"threshold_{a}": "trigger" if data[6] >> n & 1 else "normal" for n, a in enumerate("xyz")}
    return angles | states


def _tilt_em320(data: bytes) -> Fields:
    """The lowest bit of each angle says whether its threshold was crossed."""
    raw = {axis: _s(data[2 * n : 2 * n + 2]) for n, axis in enumerate("xyz")}
    angles = {f"angle_{axis}": (value >> 1) / 100 for axis, value in raw.items()}
    return angles | {f"threshold_{axis}": "trigger" if value & 1 else "normal" for axis, value in raw.items()}


TEMPERATURE, HUMIDITY = _number("temperature", 2, 10, signed=True), _number("humidity", 1, 2)
DISTANCE, POSITION = _number("distance", 2), _word("position", "normal", "tilt")
MAGNET, LEAK = _word("magnet_status", "close", "open"), _word("leakage_status", "normal", "leak")
_ALARM = ("threshold_alarm_release", "threshold_alarm")

CHANNELS: Mapping[tuple[int, int], Rule] = {
    # every node: the "attributes" it sends after joining
    (0xFF, 0x01): _text("ipso_version", 1),
    (0xFF, 0x08): _text("sn", 6),
    (0xFF, 0x09): _version("hardware_version", 2),
    (0xFF, 0x0A): _version("firmware_version", 2),
    (0xFF, 0x0B): (1, lambda _: {"device_status": "on"}),
    (0xFF, 0x0F): _word("lorawan_class", "Class A", "Class B", "Class C", "Class CtoB"),
    (0xFF, 0x16): _text("sn", 8),
    (0xFF, 0x1F): (4, lambda data: {"firmware_version": ".".join(map(str, data))}),
    (0xFF, 0xFE): (1, lambda _: {"reset_event": "reset"}),
    (0xFF, 0xFF): _version("tsl_version", 2),
    (0x01, 0x75): _number("battery", 1),
    # climate, level and tilt: EM300 to EM500, AM100, GS301
    (0x02, 0x67): TEMPERATURE,
    (0x03, 0x67): TEMPERATURE,
    (0x09, 0x67): TEMPERATURE,
    (0x03, 0x68): HUMIDITY,
    (0x04, 0x68): HUMIDITY,
    (0x83, 0x67): _both(TEMPERATURE, _word("temperature_alarm", *_ALARM)),
    (0x89, 0x67): _both(TEMPERATURE, _word("temperature_alarm", *_ALARM)),
    (0x83, 0xD7): _both(
        TEMPERATURE, _number("temperature_mutation", 2, 10, signed=True), _number("temperature_alarm_code", 1)
    ),
    (0x03, 0x82): DISTANCE,
    (0x04, 0x82): DISTANCE,
    (0x83, 0x82): _both(DISTANCE, _word("distance_alarm", *_ALARM)),
    (0x84, 0x82): _both(DISTANCE, _word("distance_alarm", *_ALARM)),
    (0x88, 0x00): (1, lambda _: {"tamper_status": "uninstalled"}),
    (0x03, 0x77): _number("depth", 2),
    (0x03, 0x7B): _number("pressure_kpa", 2),
    (0x03, 0x94): _number("illuminance", 4),
    (0x04, 0xCA): _number("moisture", 2, 100),
    (0x05, 0x7F): _number("electricity", 2),
    (0x06, 0x73): _number("pressure", 2, 10),
    (0x09, 0x73): _number("pressure", 2, 10),
    (0x07, 0x7D): _number("co2", 2),
    (0x08, 0x7D): _number("tvoc", 2),
    (0x05, 0x6A): _number("activity", 2),
    (0x03, 0xCF): (7, _tilt_em310),
    (0x03, 0xD4): (6, _tilt_em320),
    (0x05, 0xC8): _number("pulse", 4),
    (0x04, 0xD6): _number("remaining", 1),
    (0x06, 0x00): MAGNET,
    # a gas detector, GS101
    (0x05, 0x8E): _word("gas_status", "normal", "alarm"),
    (0x06, 0x01): _word("valve_status", "off", "on"),
    (0x07, 0x01): _word("relay_output_status", "off", "on"),
    (0x08, 0x90): _number("life_remain_s", 4),
    # power, sockets and switches: WS50x, WS52x, WS558, CT101
    (0x03, 0x74): _number("voltage", 2, 10),
    (0x04, 0x80): _number("active_power", 4),
    (0x05, 0x81): _number("power_factor", 1),
    (0x06, 0x83): _number("power_consumption", 4),
    (0x07, 0xC9): _number("current_ma", 2),
    (0x08, 0x70): _word("socket_status", "off", "on"),
    (0x08, 0x31): (2, lambda data: _switches(8)(data[1:])),
    (0x08, 0x29): (1, _switches(3)),
    (0xFF, 0x29): (1, _switches(3)),
    (0xFF, 0x26): _word("power_consumption_enable", "disable", "enable"),
    (0xFF, 0x2E): _word("button", "none", "short press", "long press", "double press"),
    (0xFF, 0x34): _both(_number("button_id", 1), _skip(2)),
    (0x03, 0x97): _number("total_current", 4, 100),
    (0x04, 0x98): _number("current", 2, 100),
    (0x84, 0x98): _both(
        _number("current_max", 2, 100), _number("current_min", 2, 100), _number("current", 2, 100), _skip(1)
    ),
    # a counter of people, VS121
    (0x04, 0xC9): (4, _people),
    (0x05, 0xCC): _both(_number("people_in", 2), _number("people_out", 2)),
    (0x0D, 0xCC): _both(_number("people_total_in", 2), _number("people_total_out", 2)),
    (0x06, 0xCD): _number("people_count_max", 1),
    (0x07, 0xD5): _regions(1),
    (0x08, 0xD5): _regions(9),
    (0x0E, 0xE4): _both(_skip(1), _number("dwell_time_avg", 2), _number("dwell_time_max", 2)),
    (0x0F, 0x85): _skip(4),
}
"""What is the same in every model."""

_CLIMATE = (TEMPERATURE, HUMIDITY)
_MODELS: Mapping[str, Mapping[tuple[int, int], Rule]] = {
    "em300-th": {(0x20, 0xCE): _stored(*_CLIMATE)},
    "em300-mcs": {(0x20, 0xCE): _stored(*_CLIMATE, MAGNET)},
    "em300-sld": {(0x05, 0x00): LEAK, (0x20, 0xCE): _stored(*_CLIMATE, LEAK)},
    "em300-zld": {(0x05, 0x00): LEAK, (0x20, 0xCE): _stored(*_CLIMATE, LEAK)},
    "em300-mld": {(0x05, 0x00): LEAK, (0x20, 0xCE): _stored(_skip(3), LEAK)},
    "em300-di": {(0x05, 0x00): _word("gpio", "low", "high")},
    "em310-udl": {(0x04, 0x00): POSITION},
    "em320-th": {(0x20, 0xCE): _stored(*_CLIMATE)},
    "em400": {(0x05, 0x00): POSITION},
    "em500-co2": {(0x05, 0x7D): _number("co2", 2)},
    "em500-swl": {(0x20, 0xCE): _stored(_number("depth", 2))},
    "em500-udl": {(0x20, 0xCE): _stored(DISTANCE)},
    "em500-smtc": {
        (0x20, 0xCE): _stored(_number("electricity", 2), TEMPERATURE, _number("moisture", 2, 100)),
        (0x04, 0x68): _number("moisture", 1, 2),
    },
    "gs101": {(0xFF, 0x3F): _number("device_alarm_code", 1)},
    "gs301": {(0x04, 0x7D): _number("nh3", 2, 100), (0x05, 0x7D): _number("h2s", 2, 100)},
    "ws202": {(0x03, 0x00): _word("pir", "normal", "trigger"), (0x04, 0x00): _word("daylight", "dark", "light")},
    "ws203": {(0x05, 0x00): _word("occupancy", "vacant", "occupied")},
    "ws301": {(0x03, 0x00): MAGNET, (0x04, 0x00): _word("tamper_status", "installed", "uninstalled")},
    "ws303": {(0x03, 0x00): LEAK},
    "ws52": {(0xFF, 0x3F): (1, lambda data: {"power_outage_alarm": "power_outage" if data[0] == 0xFF else "normal"})},
    "vs330": {(0x04, 0x8E): _word("occupancy", "vacant", "occupied")},
    "vs34": {(0x03, 0x00): _word("occupancy", "vacant", "occupied")},
}
"""What only these models mean by a pair: a model begins with the name here."""

_GS524N_LENGTH = 6
_GS524N_EVENTS = {
    0x01: "alarm",
    0x02: "silent",
    0x04: "low battery",
    0x05: "failover",
    0x07: "normal",
    0x0A: "removed",
    0x0B: "installed",
    0x0E: "testing alarm with normal battery",
    0x0F: "testing alarm with low battery",
}
_ANSWERS = (0xFE, 0xFF, 0xF8, 0xF9)
"""Channels on which a node repeats a configuration it was sent."""


def taken_apart(data: bytes, model: str) -> Fields:
    """Every field of a message, under the names of the maker's own decoder.

    :raises DecodeError: its first channel is none of this maker, or a value is cut off.
    """
    if model.startswith("gs524"):
        return _smoke(data)
    rules = dict(CHANNELS)
    for name, own in _MODELS.items():
        if model.startswith(name):
            rules |= own
    found: Fields = {}
    at = 0
    while at + 1 < len(data):
        pair = (data[at], data[at + 1])
        rule = rules.get(pair)
        if rule is None:
            return _ended(found, pair) if any(data[at:]) else found  # some pad with zeros
        size, read = rule
        value = data[at + 2 : at + 2 + size]
        if len(value) < size:
            raise DecodeError("payload too short")
        said = read(value)
        if "history" in said:
            said["history"] = [*found.get("history", ()), *said["history"]]
        found |= said
        at += 2 + size
    return found


def _ended(found: Fields, pair: tuple[int, int]) -> Fields:
    """The rest cannot be read: what came before it stands, and the pair is named so that nobody wonders."""
    if not found and pair[0] not in _ANSWERS:
        raise DecodeError("unknown channel: is option model set?")
    name = "downlink_answer" if pair[0] in _ANSWERS else "unread_from_channel"
    return found | {name: f"{pair[0]:02x}{pair[1]:02x}"}


def _smoke(data: bytes) -> Fields:
    if len(data) != _GS524N_LENGTH or data[1] >> 4 != 1:
        raise DecodeError("no packet of a smoke sensor")
    return {
        "type": "smoke sensor",
        "event": _GS524N_EVENTS.get(data[1] & 0xF, f"code_{data[1] & 0xF}"),
        "battery": data[2],
        "concentration": data[3],
        "temperature": int.from_bytes(data[4:5], signed=True),
    }
