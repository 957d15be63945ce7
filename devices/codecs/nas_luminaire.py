"""NAS luminaire controllers (UL20xx, DALI): status, usage, alerts and dimming.

Both the bytes (`devices.codecs.nas_wire`) and the decoded objects of the maker's codec are taken; units stand in the
keys after two underscores, an older decoder wraps each value as {value, unit, raw}. A command is answered by an echo of
its bytes on port 60, which shows the new level; a refused one by invalid_downlink_packet, which does not say which.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from devices.codecs.fields import boolean, items, numeric, words
from devices.codecs.model import Codec, Uplink
from devices.codecs.nas_wire import BROADCAST, taken_apart
from devices.effects import Command, Reboot, SetLamp
from devices.errors import UnsupportedCommandError
from devices.events import (
    DeviceStatusChanged,
    Event,
    LampFault,
    LampFaulted,
    LampMeasured,
    SensorMeasured,
    VendorNotice,
)
from devices.model import Device, Reading

_CONTROL_PORT, _RESTART_PORT = 60, 51
_DIM, _RESTART = 0x01, 0xFE

Packet = dict[str, Any]


def decode(uplink: Uplink) -> tuple[Reading, ...]:
    """The bytes where there are some, the decoded object otherwise.

    :raises DecodeError: the bytes are no packet of such a controller.
    """
    packet = taken_apart(uplink.f_port, uplink.data) if uplink.data else _plain(_inside(uplink.decoded))
    if not isinstance(packet, dict):
        return ()
    handler = _PACKETS.get(words(packet.get("packet_type")), _notice)
    return uplink.says(*handler(uplink, packet))


def _inside(decoded: Any) -> Any:
    """What lies in `data`, where the codec's own answer was passed on whole."""
    return decoded["data"] if isinstance(decoded, dict) and isinstance(decoded.get("data"), dict) else decoded


def _plain(value: Any, depth: int = 6) -> Any:
    """Without the {value, unit, raw} around each figure."""
    if not isinstance(value, dict) or depth == 0:
        return [_plain(item, depth - 1) for item in value] if isinstance(value, list) and depth else value
    return (
        _plain(value["value"], depth - 1) if "value" in value else {k: _plain(v, depth - 1) for k, v in value.items()}
    )


def _status(uplink: Uplink, packet: Packet) -> list[Event]:
    drivers = items(packet.get("dimming_source"))
    levels = [numeric(d.get("dimming_level__percent")) for d in drivers or items(packet.get("profiles"))]
    shown = [level for level in levels if level is not None and 0 <= level <= 100]
    sensors = _part(packet, "sensor_source")
    lux = numeric(sensors.get("light_sensor__lx", sensors.get("d4i_light_sensor__lx")))
    events: list[Event] = [
        LampMeasured(
            at=uplink.at,
            level_pct=max(shown, default=None),
            temperature_c=numeric(packet.get("mcu_temperature__C")),
            illuminance_lx=lux,
        )
    ]
    events += _driver_faults(uplink, drivers)
    alerts = _part(packet, "active_alerts") or _part(packet, "analog_interfaces")
    events += [VendorNotice(at=uplink.at, name=f"nas.{name}") for name, active in alerts.items() if boolean(active)]
    status = _part(packet, "status")
    events += [VendorNotice(at=uplink.at, name=f"nas.{name}") for name in _TROUBLES if boolean(status.get(name))]
    if (tilt := numeric(sensors.get("tilt_sensor__deg"))) is not None:
        events.append(SensorMeasured(at=uplink.at, metric="tilt_deg", value=tilt))
    return events


_TROUBLES = ("dali_connection_error", "dali_error_external", "metering_com_error", "ext_rtc_warning", "hardware_error")


def _driver_faults(uplink: Uplink, drivers: list[Packet]) -> list[Event]:
    """Any lamp that failed is a fault of the luminaire; that all are well is its end."""
    states = [_part(driver, "status") for driver in drivers]
    if not any(states):
        return []
    failed = any(boolean(s.get("lamp_failure")) for s in states)
    unpowered = any(boolean(s.get("power_failure")) for s in states)
    faults: list[Event] = [
        LampFaulted(at=uplink.at, fault=LampFault.LAMP_FAILURE, active=failed),
        LampFaulted(at=uplink.at, fault=LampFault.SUPPLY_LOSS, active=unpowered),
    ]
    errors = [name for name in ("driver_error", "limit_error") if any(boolean(s.get(name)) for s in states)]
    return [*faults, *(VendorNotice(at=uplink.at, name=f"nas.{name}") for name in errors)]


def _usage(uplink: Uplink, packet: Packet) -> list[Event]:
    """The controller's own meter where there is one, else the drivers' together: never both, they measure the same."""
    records = items(packet.get("consumption"))
    metered = [r for r in records if numeric(r.get("active_energy__Wh")) is not None] or records
    energy = _sum(metered, "active_energy__Wh")
    seconds = _sum(metered[:1], "lamp_on_time__s")
    hours = _sum(metered[:1], "lamp_on_time__h")
    event = LampMeasured(
        at=uplink.at,
        active_power_w=_sum(metered, "active_power__W"),
        active_energy_kwh=None if energy is None else energy / 1000,
        supply_voltage_v=_sum(metered[:1], "mains_voltage__V"),
        operating_hours_h=hours if seconds is None else round(seconds / 3600, 2),
    )
    return [event]


def _sum(records: list[Packet], name: str) -> float | None:
    values = [value for record in records if (value := numeric(record.get(name))) is not None]
    return sum(values) if values else None


def _dimmed(uplink: Uplink, packet: Packet) -> list[Event]:
    levels = [numeric(d.get("dimming_level__percent")) for d in items(packet.get("destination"))]
    shown = [level for level in levels if level is not None and 0 <= level <= 100]
    return [LampMeasured(at=uplink.at, level_pct=max(shown))] if shown else _notice(uplink, packet)


def _drivers(uplink: Uplink, packet: Packet) -> list[Event]:
    found = items(packet.get("drivers")) or items(packet.get("dali_statuses"))
    return _driver_faults(uplink, found) or _notice(uplink, packet)


def _metering(uplink: Uplink, packet: Packet) -> list[Event]:
    events: list[Event] = [
        LampMeasured(
            at=uplink.at,
            active_power_w=numeric(packet.get("power__W", packet.get("power"))),
            supply_voltage_v=numeric(packet.get("voltage__V", packet.get("voltage"))),
        )
    ]
    if boolean(packet.get("lamp_error_alert")):
        events.append(LampFaulted(at=uplink.at, fault=LampFault.LAMP_FAILURE))
    if boolean(packet.get("over_current_alert")):
        events.append(LampFaulted(at=uplink.at, fault=LampFault.HIGH_POWER))
    others = ("under_voltage_alert", "over_voltage_alert", "low_power_factor_alert")
    return [*events, *(VendorNotice(at=uplink.at, name=f"nas.{n}") for n in others if boolean(packet.get(n)))]


def _input(uplink: Uplink, packet: Packet) -> list[Event]:
    """The digital and the light input: what is wired to them is the installer's to know."""
    events: list[Event] = []
    for key, metric in _INPUTS.items():
        value = packet.get(key)
        state = boolean(value) if isinstance(value, bool | str) else None
        found = float(state) if state is not None else numeric(value)
        if found is not None:
            events.append(SensorMeasured(at=uplink.at, metric=metric, value=found))
    return events or _notice(uplink, packet)


_INPUTS = {
    "dig_input_on": "digital_input",
    "dig": "digital_input",
    "dig_on": "digital_input",
    "dig_input_event_counter": "digital_input_count",
    "dig_alert_counter": "digital_input_count",
    "ldr_input_on": "light_input",
    "ldr_on": "light_input",
    "ldr_input_value": "light_input_level",
    "ldr_value": "light_input_level",
    "ldr": "light_input_level",
    "active_dim_step": "light_sensor_step",
    "internal_relay_closed": "relay",
}


def _booted(uplink: Uplink, packet: Packet) -> list[Event]:
    firmware = words(packet.get("firmware_version"))
    boot = str(int(uplink.at.timestamp()))
    return [DeviceStatusChanged(at=uplink.at, online=True, boot_id=boot, firmware=firmware)]


def _refused(uplink: Uplink, packet: Packet) -> list[Event]:
    code = words(packet.get("error_reason"))
    return [VendorNotice(at=uplink.at, name="nas.invalid_downlink_packet", code=code)]


def _notice(uplink: Uplink, packet: Packet) -> list[Event]:
    kind = words(packet.get("packet_type"))
    return [VendorNotice(at=uplink.at, name=f"nas.{kind}"[:128])] if kind else []


def _part(packet: Packet, name: str) -> Packet:
    found = packet.get(name)
    return found if isinstance(found, dict) else {}


_PACKETS: dict[str, Callable[[Uplink, Packet], list[Event]]] = {
    "status_packet": _status,
    "usage_packet": _usage,
    "manual_dimming": _dimmed,
    "manual_timed_dimming": _dimmed,
    "dali_status_request": _drivers,
    "dali_driver_alert": _drivers,
    "metering_alert": _metering,
    "dig_input_notification": _input,
    "dig_input_alert": _input,
    "dig_alert": _input,
    "ldr_input_notification": _input,
    "ldr_input_alert": _input,
    "ldr_alert": _input,
    "light_sensor_notification": _input,
    "interface_request": _input,
    "boot_packet": _booted,
    "invalid_downlink_packet": _refused,
}

# -- down ---------------------------------------------


def encode(command: Command, device: Device) -> tuple[int, bytes]:
    """Dim (port 60: 01, address, percent) or restart (port 51: FE, firmware 1.1.x).

    Reads the option `dali`: broadcast (default), single_N (0 to 63) or group_N (0 to 15).

    :raises UnsupportedCommandError: the command is another one, or the address is none.
    """
    match command:
        case SetLamp(level_pct=level):
            return _CONTROL_PORT, bytes((_DIM, _address(device), round(min(100.0, max(0.0, level)))))
        case Reboot():
            return _RESTART_PORT, bytes((_RESTART,))
    raise UnsupportedCommandError(f"a luminaire controller has no message for {type(command).__name__}")


def _address(device: Device) -> int:
    kind, _, number = device.options.get("dali", "broadcast").partition("_")
    if kind == "broadcast":
        return BROADCAST
    most, start = {"single": (63, 0), "group": (15, 0x80)}.get(kind, (-1, 0))
    if not number.isdecimal() or int(number[:4]) > most:
        raise UnsupportedCommandError("option dali is broadcast, single_0 to single_63 or group_0 to group_15")
    return start | int(number) << 1


CODEC = Codec(name="nas_luminaire", decode=decode, encode=encode, commands=frozenset({SetLamp, Reboot}))
