"""What a Vzenith camera can be told; `devices.protocols.vzenith` reads what it says."""

from __future__ import annotations

import base64
from datetime import datetime, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from devices.effects import (
    CloseBarrier,
    Command,
    OpenPassage,
    PlateEntry,
    Reboot,
    ReportLists,
    Speak,
    SyncPlates,
    SyncTime,
    TakeSnapshot,
)
from devices.errors import UnsupportedCommandError
from devices.model import Device, Outgoing

COMMANDS: frozenset[type[Command]] = frozenset(
    {OpenPassage, CloseBarrier, TakeSnapshot, Speak, SyncTime, Reboot, SyncPlates, ReportLists},
)
_PULSE = 2
_TIME = "%Y-%m-%d %H:%M:%S"


def encode(command: Command, command_id: str, device: Device, now: datetime) -> Outgoing:
    """The message that carries `command`. The barrier is opened by a pulse on the relay the site wired to it, or by
    gate_direct_open (`direct_open` = 1), which firmware before v1.1.14 lacks. There is no falling back from one to the
    other: that the direct one was refused is known only to who sent it, and an opening is never sent twice.

    QoS 0: a broker keeps QoS 1 for a camera that is away, and this message says nothing about when it is too late.
    Reads `open_io`, `open_pulse_ms`, `close_io`, `close_pulse_ms` (500 to 5000 ms), `direct_open`, `volume` (of
    `Speak`) and `legacy_topics` (1: {sn}/device/...) of the device.

    :raises UnsupportedCommandError: the camera has no message for this.
    """
    order, body = _order(command, device, now)
    sn = device.address
    message: dict[str, Any] = {
        "id": command_id,
        "sn": sn,
        "name": order,
        "version": "1.0",
        "timestamp": int(now.timestamp()),
    }
    if body is not None:
        message["payload"] = {"type": "play_voice" if order == "tts_voice" else order, "body": body}
    return Outgoing(topic=f"{roots(device)[1]}/{order}", payload=msgspec.json.encode(message))


def _order(command: Command, device: Device, now: datetime) -> tuple[str, dict[str, Any] | None]:  # noqa: C901, PLR0911
    match command:
        case OpenPassage() if device.param("direct_open", 0):
            return "gate_direct_open", None
        case OpenPassage():
            return "gpio_out", _pulse(device.param("open_io", 0), device.param("open_pulse_ms", 1500))
        case CloseBarrier():
            return "gpio_out", _pulse(device.param("close_io", 1), device.param("close_pulse_ms", 3000))
        case TakeSnapshot():
            return "snapshot", {}
        case Speak(text=said):
            voice = base64.b64encode(said.encode()).decode()
            return "tts_voice", {"voice_data": voice, "voice_male": 0, "voice_volume": int(device.param("volume", 80))}
        case SyncTime():
            local = now.astimezone(ZoneInfo(device.zone))
            day = {"year": local.year, "month": local.month, "day": local.day}
            return "set_time", {**day, "hour": local.hour, "min": local.minute, "sec": local.second}
        case Reboot():
            return "reboot_dev", {}
        case ReportLists():
            return "white_list_operator", {"operator_type": "select", "plate": ""}
        case SyncPlates(put=(), remove=(plate,)):
            return "white_list_operator", {"operator_type": "delete", "plate": plate}
        case SyncPlates(put=plates, remove=()) if plates:
            records = [_record(plate, ZoneInfo(device.zone)) for plate in plates]
            return "white_list_operator", {"operator_type": "update_or_add", "dldb_rec": records}
    raise UnsupportedCommandError(f"vzenith has no message for this {type(command).__name__}")


def _pulse(io: float, pulse_ms: float) -> dict[str, Any]:
    return {"delay": int(pulse_ms), "io": int(io), "value": _PULSE}


def _record(entry: PlateEntry, zone: tzinfo) -> dict[str, Any]:
    """A row of the list; need_alarm makes it a row of the black list. Times are local."""
    begins, ends = entry.valid_from, entry.valid_to
    return {
        "context": "",
        "enable": 1,
        "enable_time": begins.astimezone(zone).strftime(_TIME) if begins else "2000-01-01 00:00:00",
        "need_alarm": int(entry.blocked),
        "overdue_time": ends.astimezone(zone).strftime(_TIME) if ends else "2099-12-31 23:59:59",
        "plate": entry.plate,
        "seg_time_end": "",
        "seg_time_start": "",
    }


def roots(device: Device) -> tuple[str, str]:
    """What its topics begin with, up and down: what the site chose (options `up` and `down`, or `prefix` before all of
    it), or one of the two layouts.
    """
    sn, options = device.address, device.options
    layout = f"{sn}/device/message" if device.param("legacy_topics", 0) else f"device/{sn}/message"
    start = "/".join(filter(None, (options.get("prefix", "").strip("/"), layout)))
    return options.get("up", "").strip("/") or f"{start}/up", options.get("down", "").strip("/") or f"{start}/down"
