"""YLD (伊兰度) face terminals, version 0.2: commands on face.{sn}.request, answers on face.{sn}.response, with dots.

The commands are from a deployed client; what the terminal answers is not published. So an answer is taken by the names
its family uses: the command's `cmd_id` with a code of 0 or 200 (or nothing) is done, anything else has failed. What
terminals say on topics they share (face.response, online.response) is kept as a notice: it names who speaks by itself.

Persons are not sent: the terminal wants an address to fetch the photo from, and no way to remove somebody is known, so
that a withdrawn consent could not be honoured.
"""

from __future__ import annotations

from datetime import datetime, tzinfo
from typing import Any

import msgspec
from msgspec import Struct

from devices.effects import Command, OpenPassage, Reboot
from devices.errors import DecodeError, UnsupportedCommandError
from devices.events import CommandAnswered, CommandResult, DeviceStatusChanged, VendorNotice
from devices.model import Decoded, Device, Outgoing, Protocol
from devices.protocols.wire import Scalar, address_of, label, name, only, parse, text

_SHARED = ("face.response", "online.response")
_OK = frozenset({"", "0", "200"})
_VERSION = "0.2"


class _Answer(Struct, frozen=True):
    cmd_id: Scalar = None
    cmd: Scalar = None
    code: Scalar = None
    result: Scalar = None
    sn: Scalar = None
    client_id: Scalar = None
    device_sn: Scalar = None


_ANSWER = msgspec.json.Decoder(_Answer)


def decode(topic: str, payload: bytes, received_at: datetime, zone: tzinfo) -> Decoded:
    """One message of a terminal. It says no times.

    :raises DecodeError: the message is not one of this protocol.
    """
    del zone
    if topic in _SHARED:
        answer = parse(_ANSWER, payload)
        address = address_of(text(answer.device_sn) or text(answer.sn) or text(answer.client_id))
        if topic == "online.response":
            return only(address, DeviceStatusChanged(at=received_at, online=True), timed=False)
        notice = VendorNotice(at=received_at, name=label(answer.cmd) or "face", code=label(answer.code))
        return only(address, notice, timed=False)
    match topic.split("."):
        case ["face", sn, "response"]:
            return _answered(address_of(sn), parse(_ANSWER, payload), received_at)
    raise DecodeError("not a topic of this protocol")


def _answered(address: str, answer: _Answer, received_at: datetime) -> Decoded:
    command_id, code = name(answer.cmd_id), label(answer.code) or label(answer.result)
    if not command_id:
        notice = VendorNotice(at=received_at, name=label(answer.cmd) or "face", code=label(answer.code))
        return only(address, notice, timed=False)
    taken = code in _OK or code.lower() in ("ok", "success")
    event = CommandAnswered(
        at=received_at,
        command_id=command_id,
        result=CommandResult.DONE if taken else CommandResult.FAILED,
        reason="" if taken else code,
    )
    return only(address, event, timed=False)


def encode(command: Command, command_id: str, device: Device, now: datetime) -> Outgoing:
    """The message that carries `command`. Option `client_id`: who we are to the terminal (default "linli").

    :raises UnsupportedCommandError: the terminal has no message for this.
    """
    del now
    match command:
        case OpenPassage():
            said: dict[str, Any] = {"cmd": "gpio control", "ctrl_type": "on"}
        case Reboot():
            said = {"cmd": "reboot_cam"}
        case _:
            raise UnsupportedCommandError(f"yld has no message for {type(command).__name__}")
    envelope = {"client_id": device.options.get("client_id", "linli"), "cmd_id": command_id, "version": _VERSION}
    return Outgoing(topic=f"face.{device.address}.request", payload=msgspec.json.encode(envelope | said))


def topics_of(device: Device) -> tuple[str, ...]:
    """A terminal's own topic: MQTT has no wildcard within a level."""
    return (f"face.{device.address}.response",)


def orders_of(device: Device) -> tuple[str, ...]:
    """Where it listens."""
    return (f"face.{device.address}.request",)


PROTOCOL = Protocol(
    name="yld",
    topics=_SHARED,
    decode=decode,
    encode=encode,
    commands=frozenset({OpenPassage, Reboot}),
    heartbeat_s=0.0,
    topics_of=topics_of,
    orders_of=orders_of,
)
"""No heartbeat is known, so silence says nothing."""
