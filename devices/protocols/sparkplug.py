"""Sparkplug B 3.0 (https://sparkplug.eclipse.org/specification/): spBv1.0/{group}/{message type}/{edge node}/{device}.

We are a host application. An edge node is `group:node`, a device behind it `group:node:device` (a colon or percent sign
within a name is %3A or %25). What a metric means is an option of the registration (`devices.protocols.values`).

    NBIRTH: born, aliases named, seq begins --> NDATA, DBIRTH, DDATA, DDEATH: seq counts on, 255 is followed by 0
    a gap in seq, an alias or a device without its birth --> Rebirth asked for (NCMD), at most every 10 s
    NDEATH with the bdSeq of the last NBIRTH --> the node and all its devices are gone; another bdSeq: an old will

The conversation lives in memory only (`follow`): after a restart the next message asks for a rebirth. A command has no
answer here but the metric's new value.
"""

from __future__ import annotations

from datetime import datetime, timedelta, tzinfo
from typing import NamedTuple

from msgspec import Struct
from msgspec.structs import replace

from devices.effects import CloseBarrier, Command, OpenPassage, Reboot, SetLamp
from devices.errors import DecodeError, UnsupportedCommandError
from devices.events import DeviceStatusChanged, OfflineReason, VendorNotice
from devices.model import Decoded, Device, Outgoing, Protocol, Reading
from devices.protocols import sparkplug_wire as wire
from devices.protocols import values
from devices.protocols.sparkplug_wire import TYPES, Metric, Payload
from devices.protocols.values import Value
from devices.protocols.wire import milliseconds_time

ROOT = "spBv1.0"
REBIRTH = "Node Control/Rebirth"
REBIRTH_EVERY = timedelta(seconds=10)
ALIASES_AT_MOST = 10_000
"""Of one edge node, its devices included."""
DEVICES_AT_MOST = 1_000
COMMANDS: frozenset[type[Command]] = frozenset({OpenPassage, CloseBarrier, SetLamp, Reboot})
_NODE, _DEVICE = frozenset({"NBIRTH", "NDATA", "NDEATH"}), frozenset({"DBIRTH", "DDATA", "DDEATH"})
_OWN = ("Node Control/", "Device Control/", "bdSeq")
"""Metrics about the conversation itself, not about what is measured."""
_UNKNOWN = "values whose birth was not heard"


class _Said(NamedTuple):
    """A message taken apart: `device` is "" for the node itself."""

    kind: str
    group: str
    node: str
    device: str
    payload: Payload
    at: datetime
    names: tuple[str | None, ...]


class Node(Struct, frozen=True):
    """What is remembered of an edge node. `aliases`: (device, alias) -> name. `seq`: the last one heard."""

    born: bool = False
    bd_seq: int | None = None
    seq: int = 0
    devices: frozenset[str] = frozenset()
    aliases: dict[tuple[str, int], str] = {}
    asked_at: datetime | None = None


# -- up ---------------------------------------------


def decode(topic: str, payload: bytes, received_at: datetime, zone: tzinfo) -> Decoded:
    """One message, as far as it can be understood alone: `follow` knows the aliases and the order.

    :raises DecodeError: the message is not one of this protocol.
    """
    del zone
    match topic.split("/"):
        case ["STATE", _] | ["spBv1.0", "STATE", _]:  # the first was that of Sparkplug 2.2
            return Decoded(address="STATE", ignored="whether a host application is there")
        case [root, group, kind, node] if root == ROOT and kind in _NODE:
            device = ""
        case [root, group, kind, node, device] if root == ROOT and kind in _DEVICE and device:
            pass
        case _:
            raise DecodeError("not a topic of this protocol")
    read = wire.read(payload)
    said = _Said(kind, group, node, device, read, received_at, tuple(metric.name for metric in read.metrics))
    return _told(said, {})


def address_of(group: str, node: str, device: str = "") -> str:
    """The address of a node, or of a device behind it.

    :raises DecodeError: it is too long, or could not be part of a topic.
    """
    parts = [part.replace("%", "%25").replace(":", "%3A") for part in (group, node, device) if part]
    if not group or not node or len(":".join(parts)) > 128:
        raise DecodeError("bad device id")
    return ":".join(values.plain_address(part) for part in parts)


def _told(said: _Said, options: dict[str, str]) -> Decoded:
    """What a message whose metrics are named says of its device."""
    address = address_of(said.group, said.node, said.device)
    at = _time(said.payload.timestamp)
    found: tuple[Reading, ...] = ()
    if said.kind.endswith("DEATH"):
        # The will is written when the node connects, so only the death of a device has a time.
        timed = at is not None and said.kind == "DDEATH"
        gone = DeviceStatusChanged(at=at if at and timed else said.at, online=False, reason=OfflineReason.WILL)
        return _decoded(said, address, (Reading(event=gone, timed=timed),))
    if said.kind.endswith("BIRTH"):
        boot = _bd_seq(said.payload)
        born = DeviceStatusChanged(at=at or said.at, online=True, boot_id="" if boot is None else str(boot))
        found = (Reading(event=born, timed=at is not None),)
    found += values.readings(_values(said), options)
    if not found and any(name is not None for name in said.names):
        found = (Reading(event=VendorNotice(at=at or said.at, name=said.kind), timed=at is not None),)
    return _decoded(said, address, found)


def _decoded(said: _Said, address: str, found: tuple[Reading, ...]) -> Decoded:
    session = f"{said.group}/{said.node}"
    return Decoded(address=address, readings=found, ignored="" if found else _UNKNOWN, raw=said, session=session)


def _values(said: _Said) -> list[Value]:
    found = []
    for name, metric in zip(said.names, said.payload.metrics, strict=True):
        if name is None or metric.value is None or name.startswith(_OWN):
            continue
        at = _time(metric.timestamp) or _time(said.payload.timestamp)
        value = metric.value if isinstance(metric.value, bool | str) else float(metric.value)
        found.append(Value(name, value, at or said.at, at is not None, metric.is_historical))
    return found


def _time(milliseconds: int | None) -> datetime | None:
    return milliseconds_time(milliseconds)


def _bd_seq(payload: Payload) -> int | None:
    found = next((metric.value for metric in payload.metrics if metric.name == "bdSeq"), None)
    return found if isinstance(found, int) else None


def interpret(decoded: Decoded, device: Device) -> Decoded:
    """Metrics as the registration says they are meant."""
    if decoded.raw is None or not device.options:
        return decoded
    return replace(decoded, readings=(told := _told(decoded.raw, device.options)).readings, ignored=told.ignored)


# -- the conversation ---------------------------------------------


def follow(memory: Node | None, decoded: Decoded, received_at: datetime) -> tuple[Node, Decoded]:
    """See the table at the top.

    :raises DecodeError: a birth names more than an edge node has.
    """
    node, said = memory or Node(), decoded.raw
    match said.kind:
        case "NBIRTH":
            born = Node(born=True, bd_seq=_bd_seq(said.payload), seq=said.payload.seq or 0)
            return _named(born, said), decoded
        case "NDEATH":
            return _died(node, said, decoded)
    expected = (node.seq + 1) % 256
    in_order = node.born and said.payload.seq == expected
    node = replace(node, seq=said.payload.seq if said.payload.seq is not None else expected)
    match said.kind:
        case "DBIRTH":
            if len(node.devices) >= DEVICES_AT_MOST:
                raise DecodeError("too many devices behind one node")
            node = _named(replace(node, devices=node.devices | {said.device}), said)
        case "DDEATH":
            node = replace(node, devices=node.devices - {said.device})
        case _:
            in_order = in_order and (not said.device or said.device in node.devices)
    names = tuple(
        node.aliases.get((said.device, m.alias)) if m.name is None and m.alias is not None else m.name
        for m in said.payload.metrics
    )
    decoded = _told(said._replace(names=names), {})
    if in_order and None not in names:
        return node, decoded
    return _asked(node, said, decoded, received_at)


def _named(node: Node, said: _Said) -> Node:
    aliases = {key: name for key, name in node.aliases.items() if key[0] != said.device}
    for metric in said.payload.metrics:
        if metric.name is not None and metric.alias is not None:
            aliases[said.device, metric.alias] = metric.name
    if len(aliases) > ALIASES_AT_MOST:
        raise DecodeError("too many aliases of one node")
    return replace(node, aliases=aliases)


def _died(node: Node, said: _Said, decoded: Decoded) -> tuple[Node, Decoded]:
    bd_seq = _bd_seq(said.payload)
    if node.born and bd_seq is not None and node.bd_seq is not None and bd_seq != node.bd_seq:
        return node, replace(decoded, readings=(), raw=None, ignored="the will of an earlier connection")
    gone = tuple(_told(said._replace(device=device), {}) for device in sorted(node.devices))
    return replace(node, born=False, devices=frozenset()), replace(decoded, others=gone)


def _asked(node: Node, said: _Said, decoded: Decoded, at: datetime) -> tuple[Node, Decoded]:
    """Something was missed: have the node say everything anew."""
    if node.asked_at is not None and timedelta() <= at - node.asked_at < REBIRTH_EVERY:
        return node, decoded
    asking = rebirth(said.group, said.node, at)
    return replace(node, asked_at=at), replace(decoded, replies=(asking,))


# -- down ---------------------------------------------


def rebirth(group: str, node: str, now: datetime) -> Outgoing:
    """The request to an edge node to say its births again."""
    return _written(f"{ROOT}/{group}/NCMD/{node}", {REBIRTH: True}, now)


def encode(command: Command, command_id: str, device: Device, now: datetime) -> Outgoing:
    """The NCMD or DCMD that carries `command`. Ids do not travel: the metric's new value is the answer.

    :raises UnsupportedCommandError: the command is none of `PROTOCOL.commands`, or no option says what to write.
    """
    del command_id
    if type(command) not in COMMANDS:
        raise UnsupportedCommandError(f"sparkplug has no message for {type(command).__name__}")
    group, node, *rest = (part.replace("%3A", ":").replace("%25", "%") for part in f"{device.address}:".split(":"))
    behind = next((part for part in rest if part), "")
    topic = f"{ROOT}/{group}/DCMD/{node}/{behind}" if behind else f"{ROOT}/{group}/NCMD/{node}"
    if isinstance(command, Reboot):
        name = "Device Control/Reboot" if behind else "Node Control/Reboot"
        return _written(topic, {device.options.get("set_reboot", name): True}, now)
    return _written(topic, dict(values.written(command, device)), now)


def _written(topic: str, told: dict[str, bool | int], now: datetime) -> Outgoing:
    at = int(now.timestamp() * 1000)
    metrics = tuple(
        Metric(name=n, timestamp=at, datatype=TYPES["Boolean" if isinstance(v, bool) else "Int32"], value=v)
        for n, v in told.items()
    )
    return Outgoing(topic=topic, payload=wire.write(Payload(timestamp=at, metrics=metrics)))


PROTOCOL = Protocol(
    name="sparkplug",
    topics=(*(f"{ROOT}/+/{kind}/+" for kind in sorted(_NODE)), *(f"{ROOT}/+/{kind}/+/+" for kind in sorted(_DEVICE))),
    orders=(f"{ROOT}/+/NCMD/+", f"{ROOT}/+/DCMD/+/+", f"{ROOT}/STATE/+"),
    decode=decode,
    encode=encode,
    commands=COMMANDS,
    heartbeat_s=0,
    interpret=interpret,
    follow=follow,
)
"""Sparkplug reports by exception and has no heartbeat: the death certificate is the broker's will."""
