"""Topics of software whose root the operator chooses, and devices of several switches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec.structs import replace

from devices.effects import Command
from devices.errors import DecodeError, UnsupportedCommandError
from devices.events import LampFaulted, LampMeasured
from devices.model import Decoded, Device, Outgoing
from devices.protocols.fit import fitted

MAX_ADDRESS = 128
_OFF = frozenset(("off", "0", "false", "aus", "no", "关", "关闭"))
_ON = frozenset(("on", "1", "true", "an", "ein", "yes", "开", "打开"))
"""Tasmota's state texts can be translated; those of other languages than these are not guessed."""


def path(levels: Sequence[str]) -> str:
    """A device's name made of topic levels: people give such names, so any letters do, and blanks.

    :raises DecodeError: it is empty, too long, or holds what no topic may.
    """
    found = "/".join(levels)
    if not found or len(found) > MAX_ADDRESS or not all(levels) or not found.isprintable() or {"+", "#"} & set(found):
        raise DecodeError("bad device id")
    return found


def switched_on(word: str) -> bool | None:
    """A switch's state in one of its usual words; None for any other."""
    folded = word.strip().lower()
    return True if folded in _ON else False if folded in _OFF else None


def one_channel(decoded: Decoded, device: Device, default: str) -> Decoded:
    """Of the lamps of one device that one which is registered (option `channel`), read as the device's kind reads it.

    `decoded.raw` names the channel of each reading, "" for what is the whole device's.
    """
    channels: Any = decoded.raw
    if not isinstance(channels, tuple):
        return fitted(decoded, device)
    wanted = device.options.get("channel", default)
    kept = tuple(
        reading
        for reading, channel in zip(decoded.readings, channels, strict=True)
        if channel in ("", wanted) or not isinstance(reading.event, LampMeasured | LampFaulted)
    )
    if not kept:
        return replace(decoded, readings=(), raw=None, ignored="another channel of the device")
    return fitted(replace(decoded, readings=kept, raw=None), device)


def no_message(protocol: str, command: Command) -> UnsupportedCommandError:
    """What `encode` raises for a command it has no message for."""
    return UnsupportedCommandError(f"{protocol} has no message for {type(command).__name__}")


def nothing_to_send(protocol: str) -> Any:
    """The `encode` of a protocol without commands."""

    def encode(command: Command, command_id: str, device: Device, now: Any) -> Outgoing:
        del command_id, device, now
        raise no_message(protocol, command)

    return encode
