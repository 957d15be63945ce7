"""The bytes of NAS luminaire controllers (UL20xx), taken apart into the objects that the maker's own decoder gives.

Source: the public repository nasys/nas-codecs, firmware 1.0.x and 1.1.x. Numbers are little-endian. Ports: 23 status
(1.1), 24 status (1.0), 25 usage (1.0), 26 usage (1.1), 60 answers to commands (an echo), 61 notifications and alerts,
99 boot and refused downlinks.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from devices.codecs.fields import bits
from devices.errors import DecodeError

BROADCAST, EVERY = 0xFE, 0xFF
_NONE = 0xFF
_USAGE = (
    ("active_energy__Wh", 4),
    ("active_power__W", 2),
    ("load_side_energy__Wh", 4),
    ("load_side_power__W", 2),
    ("power_factor", 1),
    ("mains_voltage__V", 1),
    ("driver_operating_time__s", 4),
    ("lamp_on_time__s", 4),
)
"""What the bits of a usage record say is there, lowest first: name and bytes."""
_DALI = (
    "driver_error",
    "lamp_failure",
    "lamp_on",
    "limit_error",
    "fade_running",
    "reset_state",
    "missing_short_address",
    "power_failure",
)
_ALERTS = ("voltage_alert_in_24h", "lamp_error_alert_in_24h", "power_alert_in_24h", "power_factor_alert_in_24h")
_METERING = (
    "lamp_error_alert",
    "over_current_alert",
    "under_voltage_alert",
    "over_voltage_alert",
    "low_power_factor_alert",
)
_REFUSALS = {
    0x02: "unknown_fport",
    0x03: "packet_size_short",
    0x04: "packet_size_long",
    0x05: "value_error",
    0x06: "protocol_parse_error",
    0x07: "reserved_flag_set",
    0x08: "invalid_flag_combination",
    0x09: "unavailable_feature_request",
    0x0A: "unsupported_header",
    0x0B: "unreachable_hw_request",
    0x0C: "address_not_available",
    0x0D: "internal_error",
    0x0E: "packet_size_error",
    0x81: "profile_id_seq_error",
    0x82: "profile_destination_error",
    0x83: "profile_days_error",
    0x84: "profile_step_count_error",
    0x85: "profile_step_value_error",
    0x86: "profile_step_unsorted_error",
}
_SOURCES = {0x01: ("ldr_input", 1), 0x02: ("light_sensor__lx", 2), 0x03: ("d4i_light_sensor__lx", 2)}
_DIG_INPUT, _TILT = 0x04, 0x08


class Bytes:
    """A payload read from its start. Reading past its end is the device's mistake."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def left(self) -> int:
        return len(self._data) - self._at

    def raw(self, size: int) -> bytes:
        """:raises DecodeError: there are not so many left."""
        if self.left < size:
            raise DecodeError("payload too short")
        self._at += size
        return self._data[self._at - size : self._at]

    def number(self, size: int = 1, *, signed: bool = False) -> int:
        return int.from_bytes(self.raw(size), "little", signed=signed)

    def flags(self) -> list[bool]:
        return bits(self.number())


def taken_apart(f_port: int, data: bytes) -> dict[str, Any]:
    """The packet as an object.

    :raises DecodeError: the port or the bytes are none of this device.
    """
    parser = _PORTS.get(f_port)
    if parser is None:
        raise DecodeError("no port of a luminaire controller")
    return parser(Bytes(data))


def address(raw: int) -> str:
    """A DALI address byte in words."""
    if raw == 0x01:
        return "analog_0_10v"
    if raw in (BROADCAST, EVERY):
        return "dali_broadcast" if raw == BROADCAST else "all_devices"
    return f"dali_group_{raw >> 1 & 0xF}" if raw & 0x80 else f"dali_single_{raw >> 1 & 0x3F}"


def _dali(data: Bytes) -> dict[str, Any]:
    raw = data.number()
    flags = bits(0 if raw == _NONE else raw)
    return dict(zip(_DALI, flags, strict=True))


def _level(raw: int) -> int | str:
    return "resume" if raw == _NONE else raw


def _status_1_0(data: Bytes) -> dict[str, Any]:
    packet: dict[str, Any] = {"packet_type": "status_packet", "device_epoch": data.number(4)}
    flags = data.flags()
    packet["status"] = {
        "dali_error_external": flags[0],
        "dali_connection_error": flags[1],
        "ldr_input_on": flags[2],
        "dig_input_on": flags[4],
        "hardware_error": flags[5],
        "internal_relay_closed": flags[7],
    }
    packet |= _radio(data)
    sent = data.flags()
    packet["active_alerts"] = dict(zip(_ALERTS, sent[4:], strict=True))
    if sent[1]:
        packet["ldr_input_value"] = data.number()
    packet["profiles"] = []
    while data.left:
        _profile, _version, where, _days = (data.number() for _ in range(4))
        packet["profiles"].append({"address": address(where), "dimming_level__percent": _level(data.number())})
    return packet


def _radio(data: Bytes) -> dict[str, Any]:
    rssi = -data.number()
    snr, degrees = data.number(signed=True), data.number(signed=True)
    return {"downlink_rssi__dBm": rssi, "downlink_snr__dB": snr, "mcu_temperature__C": degrees}


def _status_1_1(data: Bytes) -> dict[str, Any]:
    header = data.number()
    if header not in (0, 1):
        raise DecodeError("unknown kind of status packet")
    packet: dict[str, Any] = {"packet_type": "status_packet", "device_epoch": data.number(4)}
    flags = data.flags()
    packet["status"] = {
        "dali_connection_error": flags[1],
        "metering_com_error": flags[5],
        "ext_rtc_warning": flags[6],
        "internal_relay_closed": flags[7],
    }
    if header:
        data.flags()  # open drain output, commissioning app
    packet |= _radio(data)
    sends_alerts = True
    if not header:
        sent = data.flags()
        sends_alerts = sent[4]
        if sent[1]:
            packet["ldr_input_value"] = data.number()
    if sends_alerts:
        packet["active_alerts"] = dict(zip(_ALERTS, data.flags()[4:], strict=True))
    if header:
        packet["sensor_source"] = _sensors(Bytes(data.raw(data.number())))
    packet["dimming_source"] = []
    while data.left:
        where, _reason, level = (data.number() for _ in range(3))
        packet["dimming_source"].append(
            {"address": address(where), "dimming_level__percent": _level(level), "status": _dali(data)}
        )
    return packet


def _sensors(data: Bytes) -> dict[str, Any]:
    """What is measured besides; a source that is new to us ends the reading of this part only."""
    found: dict[str, Any] = {}
    while data.left:
        source = data.number()
        if source in _SOURCES:
            name, size = _SOURCES[source]
            raw = data.number(size)
            found[name] = raw if size == 1 else _lux(raw)
        elif source == _DIG_INPUT:
            found["dig_input_1_on"] = data.flags()[0]
        elif source == _TILT:
            degrees = data.number()
            found["tilt_sensor__deg"] = None if degrees == _NONE else degrees
        else:
            break
    return found


def _lux(raw: int) -> float | None:
    """Logarithmic: 4000 steps for a factor of ten, from a thousandth of a lux."""
    return None if raw == 0xFFFF else round(10 ** ((raw & 0x7FFF) / 4000) / 1000, 3)


def _usage(data: Bytes) -> dict[str, Any]:
    records = []
    while data.left:
        raw = data.number()
        record: dict[str, Any] = {"address": "internal_measurement" if raw == EVERY else address(raw)}
        for present, (name, size) in zip(data.flags(), _USAGE, strict=True):
            if present:
                record[name] = data.number(size)
        if record.get("power_factor") is not None:
            raw_factor = record.pop("power_factor")
            record |= {} if raw_factor == _NONE else {"power_factor": raw_factor / 100}
        records.append(record)
    return {"packet_type": "usage_packet", "consumption": records}


def _usage_1_1(data: Bytes) -> dict[str, Any]:
    if data.number() != 0:
        raise DecodeError("unknown kind of usage packet")
    return _usage(data)


def _echo(data: Bytes) -> dict[str, Any]:
    """An answer repeats the command; what is asked of the drivers follows it."""
    header = data.number()
    if header == 0x00:
        found = []
        while data.left > 1:
            found.append({"address": address(data.number()), "status": _dali(data)})
        return {"packet_type": "dali_status_request", "dali_statuses": found}
    if header == 0x06 and data.left >= 8:
        pairs = {data.number(): data.number() for _ in range(4)}
        inputs = {"dig": pairs.get(1), "ldr": pairs.get(2)}
        known = {name: raw for name, raw in inputs.items() if raw not in (None, _NONE)}
        return {"packet_type": "interface_request", **known, "internal_relay_closed": bool(pairs.get(4, 0) & 1)}
    if header not in (0x01, 0x09):
        return {"packet_type": _ANSWERS.get(header, "unknown_answer")}
    levels = []
    while data.left:
        where, level = data.number(), data.number()
        if header != 0x01:
            data.number()  # minutes
        levels.append({"address": address(where), "dimming_level__percent": _level(level)})
    return {"packet_type": "manual_dimming" if header == 0x01 else "manual_timed_dimming", "destination": levels}


_ANSWERS = {
    0x03: "custom_dali_request",
    0x04: "custom_dali_command",
    0x05: "status_usage_request",
    0x06: "interface_request",
    0x07: "driver_memory_read",
    0x08: "driver_memory_write",
    0x0A: "address_dali_driver",
    0x0B: "dali_identify",
    0x0C: "open_drain_output_control",
}


def _notification(data: Bytes) -> dict[str, Any]:
    header, second = data.number(), data.number()
    match header:
        case 0x80:
            long = second >> 4 == 4
            on = {"dig_input_on": bool(second & 1)} if long else {}
            counter = data.number(4 if long else 2)
            return {"packet_type": "dig_input_notification", **on, "dig_input_event_counter": counter}
        case 0x81:
            on_now = data.flags()[0]
            level = data.number()
            return {"packet_type": "ldr_input_notification", "ldr_input_on": on_now, "ldr_input_value": level}
        case 0x83:
            drivers = []
            while data.left:
                drivers.append({"address": address(data.number()), "status": _dali(data)})
            return {"packet_type": "dali_driver_alert", "drivers": drivers}
        case 0x84:
            alerts = dict(zip(_METERING, bits(second)[:5], strict=True))
            power, volts, factor = data.number(2), data.number(2), data.number() / 100
            figures = {"power__W": power, "voltage__V": volts, "power_factor": factor}
            return {"packet_type": "metering_alert", **alerts, **figures}
        case 0x85:
            return {"packet_type": "light_sensor_notification", "active_dim_step": second}
    raise DecodeError("unknown kind of notification")


def _boot(data: Bytes) -> dict[str, Any]:
    header = data.number()
    if header == 0x13:
        port, reason = data.number(), data.number()
        why = _REFUSALS.get(reason, f"code_{reason}")
        return {"packet_type": "invalid_downlink_packet", "downlink_from_fport": port, "error_reason": why}
    if header != 0:
        raise DecodeError("unknown kind of boot packet")
    serial = f"{data.number(4):08X}"
    version = ".".join(str(data.number()) for _ in range(3))
    packet = {"packet_type": "boot_packet", "device_serial": serial, "firmware_version": version}
    data.raw(4 + 1 + 1 + 1 + 1)  # time, wiring, features, DALI supply, drivers
    reset = bits(data.number()) if data.left else [False] * 8
    return packet | {"reset_reason": [name for at, name in ((1, "watchdog_reset"), (2, "soft_reset")) if reset[at]]}


_PORTS: dict[int, Callable[[Bytes], dict[str, Any]]] = {
    23: _status_1_1,
    24: _status_1_0,
    25: _usage,
    26: _usage_1_1,
    60: _echo,
    61: _notification,
    99: _boot,
}
