"""Devices behind a sub-gateway that speaks the ThingsBoard gateway API (v1/gateway/...): a message carries several.

Times are milliseconds in `ts`; without it a value is of now. What a key means is an option of the registration
(`devices.protocols.values`). Both directions share v1/gateway/rpc and v1/gateway/attributes, so what we said ourselves
comes back and is left alone. Request ids are whole numbers: a command goes under a number made of its id
(`devices.commands.number_of`). Source: https://thingsboard.io/docs/reference/gateway-mqtt-api/.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, tzinfo
from typing import Any

import msgspec
from msgspec import Struct

from devices.commands import number_of
from devices.effects import CloseBarrier, Command, OpenPassage, Reboot, SetLamp
from devices.errors import DecodeError, UnsupportedCommandError
from devices.events import CommandAnswered, CommandResult, DeviceStatusChanged, Event, OfflineReason, VendorNotice
from devices.model import Decoded, Device, Outgoing, Protocol, Reading
from devices.protocols import values
from devices.protocols.values import Value, plain_address
from devices.protocols.wire import integer, label, milliseconds_time, parse

ROOT = "v1/gateway"
DEVICES_AT_MOST = 200
"""In one message."""


class _Named(Struct):
    device: str = ""
    id: str | int | float | None = None
    type: str | int | float | bool | None = None
    data: Any = None


_NAMED = msgspec.json.Decoder(_Named)
_TOLD = msgspec.json.Decoder(dict[str, Any])


def decode(topic: str, payload: bytes, received_at: datetime, zone: tzinfo) -> Decoded:
    """One message of the sub-gateway; the first device's part, and the others' in `others`.

    :raises DecodeError: the message is not one of this protocol.
    """
    del zone
    values.check_size(payload)
    if topic.startswith("v1/devices/me/"):
        return Decoded(address="me", ignored="said of the connection, and the broker does not tell whose it is")
    handler = _TOPICS.get(topic)
    if handler is None:
        raise DecodeError("not a topic of this protocol")
    return handler(payload, received_at)


def _one(address: str, event: Event) -> Decoded:
    return Decoded(address=plain_address(address), readings=(Reading(event=event, timed=False),))


def _connect(payload: bytes, at: datetime) -> Decoded:
    return _one(parse(_NAMED, payload).device, DeviceStatusChanged(at=at, online=True))


def _disconnect(payload: bytes, at: datetime) -> Decoded:
    return _one(parse(_NAMED, payload).device, DeviceStatusChanged(at=at, online=False, reason=OfflineReason.GOODBYE))


def _telemetry(payload: bytes, at: datetime) -> Decoded:
    return _all({name: list(_series(held, at)) for name, held in _devices(payload).items()}, at, "telemetry")


def _attributes(payload: bytes, at: datetime) -> Decoded:
    told = _devices(payload)
    if isinstance(told.get("device"), str) and "data" in told:
        return Decoded(address=plain_address(told["device"]), ignored="said by the platform")
    return _all({name: list(_values(held, at, timed=False)) for name, held in told.items()}, at, "attributes")


def _devices(payload: bytes) -> dict[str, Any]:
    told = parse(_TOLD, payload)
    if not told or len(told) > DEVICES_AT_MOST:
        raise DecodeError("no device, or too many, in one message")
    return told


def _series(held: Any, received_at: datetime) -> Iterator[Value]:
    """[{ts, values}, ...], or values alone."""
    if not isinstance(held, list) or len(held) > values.VALUES_AT_MOST:
        raise DecodeError("payload does not fit the protocol")
    for point in held:
        if not isinstance(point, dict):
            raise DecodeError("payload does not fit the protocol")
        at = milliseconds_time(_plain(point.get("ts")))
        inner = point.get("values", point if "ts" not in point else {})
        yield from _values(inner, at or received_at, timed=at is not None)


def _values(held: Any, at: datetime, *, timed: bool) -> Iterator[Value]:
    if not isinstance(held, dict):
        raise DecodeError("payload does not fit the protocol")
    for name, value in held.items():
        if isinstance(value, bool | str):
            yield Value(name, value, at, timed)
        elif isinstance(value, int | float) and abs(value) < 1e300:
            yield Value(name, float(value), at, timed)


def _plain(value: Any) -> str | int | float | None:
    return value if isinstance(value, str | int | float) and not isinstance(value, bool) else None


def _all(told: dict[str, list[Value]], at: datetime, what: str) -> Decoded:
    parts = [_part(plain_address(name), tuple(held), at, what, {}) for name, held in told.items()]
    return msgspec.structs.replace(parts[0], others=tuple(parts[1:]))


def _part(address: str, told: tuple[Value, ...], at: datetime, what: str, options: dict[str, str]) -> Decoded:
    found = values.readings(told, options)
    if not found:  # texts only, which are not kept
        found = (Reading(event=VendorNotice(at=at, name=what), timed=False),)
    return Decoded(address=address, readings=found, raw=(told, at, what))


def interpret(decoded: Decoded, device: Device) -> Decoded:
    """Values as the registration says they are meant."""
    if decoded.raw is None:
        return decoded
    told, at, what = decoded.raw
    return _part(decoded.address, told, at, what, device.options)


def _asked(payload: bytes, at: datetime) -> Decoded:
    """It wants to know an attribute; we keep none for it."""
    asked = parse(_NAMED, payload)
    return _one(asked.device, VendorNotice(at=at, name="attributes/request", code=label(asked.id)))


def _claimed(payload: bytes, at: datetime) -> Decoded:
    """Somebody may claim these devices; the secret is not kept."""
    return _all({name: [] for name in _devices(payload)}, at, "claim")


def _rpc(payload: bytes, at: datetime) -> Decoded:
    said = parse(_NAMED, payload)
    if said.id is None:
        return Decoded(address=plain_address(said.device), ignored="said by the platform")
    number = integer(said.id)
    if number is None or number < 0:
        raise DecodeError("an answer without the command's id")
    data = said.data if isinstance(said.data, dict) else {}
    failed = data.get("success") is False or "error" in data
    reason = label(_plain(data.get("error"))) if failed else ""
    # It is the sub-gateway that answers: it took the command; whether anything moved, a sensor says.
    result = CommandResult.FAILED if failed else CommandResult.ACCEPTED
    return _one(said.device, CommandAnswered(at=at, command_id=str(number), result=result, reason=reason))


_TOPICS: dict[str, Callable[[bytes, datetime], Decoded]] = {
    f"{ROOT}/connect": _connect,
    f"{ROOT}/disconnect": _disconnect,
    f"{ROOT}/telemetry": _telemetry,
    f"{ROOT}/attributes": _attributes,
    f"{ROOT}/attributes/request": _asked,
    f"{ROOT}/claim": _claimed,
    f"{ROOT}/rpc": _rpc,
}


def encode(command: Command, command_id: str, device: Device, now: datetime) -> Outgoing:
    """The RPC that carries `command`. `rpc_open`, `rpc_close`, `rpc_lamp` and `rpc_reboot` among the device's options
    name its methods, with parameters of their own behind a blank (`toggle_gpio {"pin": 1}`); otherwise they are open,
    close, setLevel and reboot.

    :raises UnsupportedCommandError: the command is none of `PROTOCOL.commands`, or the parameters are no JSON object.
    """
    del now
    option, usual = _METHODS.get(type(command), ("", ""))
    if not option:
        raise UnsupportedCommandError(f"tb_gateway has no message for {type(command).__name__}")
    method, _, written = device.options.get(option, usual).partition(" ")
    try:
        params = _TOLD.decode(written or "{}")
    except msgspec.DecodeError as error:
        raise UnsupportedCommandError(f"option {option} of {device.id} is a method and a JSON object") from error
    if isinstance(command, SetLamp):
        params.setdefault("level", command.level_pct)
    body = {"device": device.address, "data": {"id": number_of(command_id), "method": method, "params": params}}
    return Outgoing(topic=f"{ROOT}/rpc", payload=msgspec.json.encode(body))


_METHODS: dict[type[Command], tuple[str, str]] = {
    OpenPassage: ("rpc_open", "open"),
    CloseBarrier: ("rpc_close", "close"),
    SetLamp: ("rpc_lamp", "setLevel"),
    Reboot: ("rpc_reboot", "reboot"),
}

PROTOCOL = Protocol(
    name="tb_gateway",
    topics=tuple(sorted(_TOPICS)),
    orders=(f"{ROOT}/rpc", f"{ROOT}/attributes", f"{ROOT}/attributes/response"),
    decode=decode,
    encode=encode,
    commands=frozenset(_METHODS),
    heartbeat_s=0,
    interpret=interpret,
)
"""The sub-gateway says connect and disconnect for its devices; the API has no heartbeat."""
