"""Tasmota: tele/{topic}/..., stat/{topic}/..., and commands on cmnd/{topic}/...

Source: Tasmota's documentation (MQTT, JSON status responses, commands). Its FullTopic can put the prefix last
({topic}/tele/...): option `layout` = prefix-last. Times are local to the device without a zone, or with one (SetOption
52); old firmware writes them with dots. A device that has no time yet is in 1970. ENERGY values may be lists, one for
each phase. State texts can be translated.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime, tzinfo
from typing import Any

import msgspec

from devices.effects import Command, Reboot, SetLamp
from devices.errors import DecodeError
from devices.events import (
    DeviceStatusChanged,
    Event,
    Heartbeat,
    LampFault,
    LampFaulted,
    LampMeasured,
    OfflineReason,
    SensorMeasured,
    VendorNotice,
)
from devices.model import Decoded, Device, Outgoing, Protocol, Reading
from devices.protocols.roots import no_message, one_channel, path, switched_on
from devices.protocols.wire import label, local_time, number, only, parse

_PREFIXES = ("tele", "stat")
_POWER = re.compile(r"POWER(\d{0,2})")
_CLOCK_SET = "2000"
"""Before this year the device's clock was not set."""
_METRICS = {
    "Temperature": "temperature_c",
    "Humidity": "humidity_pct",
    "DewPoint": "dew_point_c",
    "Pressure": "pressure_hpa",
    "Illuminance": "illuminance_lx",
    "Distance": "distance_cm",
    "CarbonDioxide": "co2_ppm",
    "CO2": "co2_ppm",
    "TVOC": "tvoc_ppb",
    "PM2.5": "pm2_5_ug_m3",
    "PM10": "pm10_ug_m3",
    "Moisture": "moisture_pct",
    "Range": "range",
}
_ALARMS = {"POWER_LOW": LampFault.LOW_POWER, "POWER_HIGH": LampFault.HIGH_POWER}
_TEMPERATURES = frozenset(("Temperature", "DewPoint"))

Fields = dict[str, Any]
_FIELDS = msgspec.json.Decoder(Fields)

# -- up ---------------------------------------------


def decode(topic: str, payload: bytes, received_at: datetime, zone: tzinfo) -> Decoded:
    """A state, a measurement, an alarm or the last will of a device.

    :raises DecodeError: the message is not one of this protocol.
    """
    match topic.split("/"):
        case [prefix, *name, leaf] if prefix in _PREFIXES and name:
            address = path(name)
        case [*name, prefix, leaf] if prefix in _PREFIXES and name:
            address = path(name)
        case _:
            raise DecodeError("not a topic of this protocol")
    if payload[:1] != b"{":
        return _plain(address, leaf, payload[:64].decode(errors="replace").strip(), received_at)
    handler = _LEAVES.get(leaf)
    if handler is None:
        return Decoded(address=address, ignored="the device's own settings")
    fields = parse(_FIELDS, payload)
    inside = fields.get("StatusSNS", fields.get("StatusSTS", fields))
    if not isinstance(inside, dict):
        raise DecodeError("payload does not fit the protocol")
    at = _time(inside.get("Time"), zone)
    return _told(address, handler(inside, at or received_at), timed=at is not None)


def _time(written: Any, zone: tzinfo) -> datetime | None:
    if not isinstance(written, str):
        return None
    date, _, clock = written.replace(" ", "T", 1).partition("T")
    return None if date < _CLOCK_SET else local_time(f"{date.replace('.', '-')}T{clock}", zone)


def _told(address: str, said: list[tuple[str, Event]], *, timed: bool) -> Decoded:
    if not said:
        return Decoded(address=address, ignored="answers a command the gateway does not send")
    readings = tuple(Reading(event=event, timed=timed) for _, event in said)
    return Decoded(address=address, readings=readings, raw=tuple(channel for channel, _ in said))


def _plain(address: str, leaf: str, word: str, received_at: datetime) -> Decoded:
    """A message of one word: the last will, a switch, a threshold."""
    if leaf == "LWT":
        online = word.lower() == "online"
        reason = OfflineReason.NONE if online else OfflineReason.WILL
        return only(address, DeviceStatusChanged(at=received_at, online=online, reason=reason), timed=False)
    on = switched_on(word)
    if (relay := _POWER.fullmatch(leaf)) is not None and on is not None:
        level = 100.0 if on else 0.0
        return _told(address, [(relay[1] or "1", LampMeasured(at=received_at, level_pct=level))], timed=False)
    if leaf in _ALARMS and on is not None:
        return _told(address, [("", LampFaulted(at=received_at, fault=_ALARMS[leaf], active=on))], timed=False)
    return _told(address, [("", VendorNotice(at=received_at, name=leaf[:128], code=label(word)))], timed=False)


def _state(fields: Fields, at: datetime) -> list[tuple[str, Event]]:
    """Each relay, dimmed where there is a dimmer. A state without a relay is a sign of life."""
    found: list[tuple[str, Event]] = []
    dimmer = _number(fields.get("Dimmer"))
    level = dimmer if dimmer is not None and 0 <= dimmer <= 100 else 100.0
    for key, value in fields.items():
        relay = _POWER.fullmatch(key)
        on = switched_on(value) if relay and isinstance(value, str) else None
        if relay and on is not None:
            found.append((relay[1] or "1", LampMeasured(at=at, level_pct=level if on else 0.0)))
    return found or ([("", Heartbeat(at=at))] if "Uptime" in fields else [])


def _sensor(fields: Fields, at: datetime) -> list[tuple[str, Event]]:
    """The meter, and each figure of each sensor; a second one of a kind has a number in its name."""
    energy = fields.get("ENERGY")
    found: list[tuple[str, Event]] = [("", _meter(energy, at))] if isinstance(energy, dict) else []
    fahrenheit = fields.get("TempUnit") == "F"
    times: dict[str, int] = {}
    for name, sensor in fields.items():
        if name == "ENERGY" or not isinstance(sensor, dict):
            continue
        for key, metric in _METRICS.items():
            value = _number(sensor.get(key))
            if value is None:
                continue
            times[metric] = times.get(metric, 0) + 1
            numbered = metric if times[metric] == 1 else f"{metric}_{times[metric]}"
            value = (value - 32) / 1.8 if fahrenheit and key in _TEMPERATURES else value
            found.append(("", SensorMeasured(at=at, metric=numbered, value=round(value, 3))))
    return found or [("", Heartbeat(at=at))]


def _meter(energy: Fields, at: datetime) -> Event:
    """Power and current of all phases together, the voltage of the first."""
    volts = energy.get("Voltage")
    return LampMeasured(
        at=at,
        active_power_w=_sum(energy.get("Power")),
        supply_voltage_v=_number(volts[0] if isinstance(volts, list) and volts else volts),
        supply_current_a=_sum(energy.get("Current")),
        active_energy_kwh=_sum(energy.get("Total")),
    )


def _number(value: Any) -> float | None:
    return number(value) if isinstance(value, int | float | str) else None


def _sum(value: Any) -> float | None:
    values = [n for item in (value if isinstance(value, list) else [value]) if (n := _number(item)) is not None]
    return sum(values) if values else None


def _started(fields: Fields, at: datetime) -> list[tuple[str, Event]]:
    """INFO1 after a start: the firmware. INFO2 (addresses) and INFO3 are not for us."""
    inside = fields.get("Info1", fields)
    version = inside.get("Version") if isinstance(inside, dict) else None
    firmware = label(version) if isinstance(version, str) else ""
    return [("", DeviceStatusChanged(at=at, online=True, firmware=firmware))]


_LEAVES: dict[str, Callable[[Fields, datetime], list[tuple[str, Event]]]] = {
    "STATE": _state,
    "RESULT": _state,
    "STATUS11": _state,
    "SENSOR": _sensor,
    "STATUS8": _sensor,
    "STATUS10": _sensor,
    "INFO1": _started,
    "UPTIME": _state,
}


def interpret(decoded: Decoded, device: Device) -> Decoded:
    """The relay that is registered (option `channel`, 1 without it), as the device's kind reads it."""
    return one_channel(decoded, device, "1")


# -- down ---------------------------------------------


def encode(command: Command, command_id: str, device: Device, now: datetime) -> Outgoing:
    """Power, Dimmer or Restart as plain text; the device answers on stat/{topic}/RESULT, without an id.

    Reads the options `output` (relay, the default, takes 0 or more than 0; dimmer), `channel` and `layout`.

    :raises UnsupportedCommandError: the command is none of `PROTOCOL.commands`.
    """
    del command_id, now
    channel = device.options.get("channel", "")
    match command:
        case SetLamp(level_pct=level) if device.options.get("output") == "dimmer":
            leaf, word = f"Dimmer{channel}", str(round(level))
        case SetLamp(level_pct=level):
            leaf, word = f"Power{channel}", "ON" if level > 0 else "OFF"
        case Reboot():
            leaf, word = "Restart", "1"
        case _:
            raise no_message("tasmota", command)
    last = device.options.get("layout") == "prefix-last"
    topic = f"{device.address}/cmnd/{leaf}" if last else f"cmnd/{device.address}/{leaf}"
    return Outgoing(topic=topic, payload=word.encode())


def topics_of(device: Device) -> tuple[str, ...]:
    """The topics of a device whose FullTopic is not the usual one."""
    if device.options.get("layout") == "prefix-last":
        return (f"{device.address}/tele/+", f"{device.address}/stat/+")
    return (f"tele/{device.address}/+", f"stat/{device.address}/+") if "/" in device.address else ()


PROTOCOL = Protocol(
    name="tasmota",
    topics=("tele/+/+", "stat/+/+"),
    orders=("cmnd/+/+",),
    decode=decode,
    encode=encode,
    commands=frozenset({SetLamp, Reboot}),
    heartbeat_s=300.0,
    interpret=interpret,
    topics_of=topics_of,
    retained=("tele/+/LWT",),
)
"""TelePeriod is 300 s."""
