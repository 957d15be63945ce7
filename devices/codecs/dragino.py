"""Dragino nodes: doors, leaks, distances, levels and climate.

The bytes of the LDS01/LDS02/LWL02 family are read here (two bytes: battery in mV with the door in bit 15 and the leak
in bit 14; the mode; counters); all others by the object of Dragino's own decoder in the network server. Source: the
public repository dragino/dragino-end-node-decoder. Keys differ between products (Bat, BAT_V, BatV), and some values are
text with their unit ("850 mm").
"""

from __future__ import annotations

import re
from typing import Any

from devices.codecs.fields import boolean, numeric
from devices.codecs.model import Codec, Uplink
from devices.effects import Command, Reboot
from devices.errors import DecodeError, UnsupportedCommandError
from devices.events import (
    BatteryMeasured,
    DeviceStatusChanged,
    DoorChanged,
    Event,
    Hazard,
    HazardDetected,
    SensorMeasured,
    VendorNotice,
)
from devices.model import Device, Reading

_DOOR, _LEAK, _BOTH = 1, 2, 3
_LENGTH = 10
_EMPTY_V, _FULL_V = 2.5, 3.0
"""Two AAA cells: below 2.5 V the node stops; a linear scale between is close enough to say "change it"."""
_LITHIUM_EMPTY_V, _LITHIUM_FULL_V = 3.0, 3.6
"""The -LB models' Li-SOCl2 cell."""
_METRICS = {
    "distance": "distance_mm",
    "distance1": "distance_mm",
    "dis1": "distance_mm",
    "distance2": "distance_2_mm",
    "dis2": "distance_2_mm",
    "distance3": "distance_3_mm",
    "water_deep_cm": "depth_cm",
    "water_pressure_kpa": "pressure_kpa",
    "tempc_sht": "temperature_c",
    "tempc_ds": "probe_temperature_c",
    "temp_ds18b20": "probe_temperature_c",
    "temp": "temperature_c",
    "temperature": "temperature_c",
    "hum_sht": "humidity_pct",
    "humidity": "humidity_pct",
    "ill_lx": "illuminance_lx",
    "idc_intput_ma": "input_ma",
    "vdc_intput_v": "input_v",
    "door_open_times": "door_open_count",
    "water_leak_times": "water_leak_count",
    "last_door_open_duration": "door_open_min",
    "last_water_leak_duration": "water_leak_min",
    "total_pulse": "pulse_count",
    "water_flow_value": "water_flow_l",
    "activity": "occupancy",
}
_BATTERY = ("bat_v", "batv", "bat", "battery", "battery_v")
_ALARM = ("alarm", "distance_alarm", "interrupt_alarm")
_VOLTS = re.compile(r"[\d.]+")


def decode(uplink: Uplink) -> tuple[Reading, ...]:
    """A door, a leak, a figure and the battery's voltage as a charge."""
    found = uplink.decoded if isinstance(uplink.decoded, dict) and uplink.decoded else None
    said = {str(k).lower(): v for k, v in (_bytes(uplink) if found is None else found).items()}
    events: list[Event] = [*_states(uplink, said), *_figures(uplink, said)]
    if (charge := _charge(said)) is not None:
        events.append(BatteryMeasured(at=uplink.at, level_pct=charge))
    if (firmware := said.get("firmware_version")) is not None and isinstance(firmware, str | int):
        events.append(DeviceStatusChanged(at=uplink.at, online=True, firmware=str(firmware)[:64]))
    return uplink.says(*events)


def _states(uplink: Uplink, said: dict[str, Any]) -> list[Event]:
    doors = (boolean(said.get(key)) for key in ("door_open_status", "door1_open_status"))
    events: list[Event] = [DoorChanged(at=uplink.at, open=is_open) for is_open in doors if is_open is not None]
    if (leaks := boolean(said.get("water_leak_status"))) is not None:
        events.append(HazardDetected(at=uplink.at, hazard=Hazard.WATER_LEAK, active=leaks))
    events += [VendorNotice(at=uplink.at, name=f"dragino.{key}", code="1") for key in _ALARM if boolean(said.get(key))]
    return events


def _figures(uplink: Uplink, said: dict[str, Any]) -> list[Event]:
    values = ((metric, numeric(said.get(key))) for key, metric in _METRICS.items())
    return [SensorMeasured(at=uplink.at, metric=metric, value=value) for metric, value in values if value is not None]


def _charge(said: dict[str, Any]) -> float | None:
    """The charge in percent, from volts."""
    found = next((said[key] for key in _BATTERY if key in said), None)
    text = _VOLTS.search(found) if isinstance(found, str) else None
    volts = numeric(text.group() if text else found)
    if volts is None:
        return None
    volts = volts / 1000 if volts > 100 else volts
    empty, full = (_EMPTY_V, _FULL_V) if volts <= _FULL_V else (_LITHIUM_EMPTY_V, _LITHIUM_FULL_V)
    return round(min(100.0, max(0.0, (volts - empty) / (full - empty) * 100)), 1)


def _bytes(uplink: Uplink) -> dict[str, Any]:
    data = uplink.data
    if len(data) != _LENGTH or data[2] not in (_DOOR, _LEAK, _BOTH):
        raise DecodeError("no packet of a door or leak sensor")
    mode = data[2]
    said: dict[str, Any] = {"bat_v": (int.from_bytes(data[:2]) & 0x3FFF) / 1000}
    times, minutes = int.from_bytes(data[3:6]), int.from_bytes(data[6:9])
    if mode in (_DOOR, _BOTH):
        said |= {"door_open_status": data[0] >> 7 & 1, "alarm": data[9] & 1}
    if mode in (_LEAK, _BOTH):
        said["water_leak_status"] = data[0] >> 6 & 1
    if mode == _DOOR:
        said |= {"door_open_times": times, "last_door_open_duration": minutes}
    if mode == _LEAK:
        said |= {"water_leak_times": times, "last_water_leak_duration": minutes}
    return said


def encode(command: Command, device: Device) -> tuple[int, bytes]:
    """Reboot is 04 FF on any port (Dragino's downlink commands, the same for all end nodes).

    :raises UnsupportedCommandError: for everything else.
    """
    del device
    if isinstance(command, Reboot):
        return 1, b"\x04\xff"
    raise UnsupportedCommandError(f"a Dragino node has no message for {type(command).__name__}")


CODEC = Codec(name="dragino", decode=decode, encode=encode, commands=frozenset({Reboot}))
