"""Vzenith (臻识) lane cameras with the barrier on their relays: device/{sn}/message/up|down/{name}.

Firmware before v1.1.5 has {sn}/device/message/... instead; both are in the field. ivs_result lies directly in the
payload, everything else in payload.body. Topics can be set freely: option `prefix` stands before all of them, `up` and
`down` are all that stands before the name, and the camera is who its envelope says. The serial number of the envelope
is who speaks; the one inside the result is that of a module and may differ. The camera's `direction` is relative to the
camera, so the lane's is the registry's.
"""

from __future__ import annotations

import binascii
from collections.abc import Callable
from datetime import datetime, tzinfo

import msgspec
from msgspec import Raw, Struct

from devices.errors import DecodeError
from devices.events import (
    BarrierMoved,
    CommandAnswered,
    CommandResult,
    Event,
    FrameCaptured,
    Heartbeat,
    ListAnswered,
    ListReported,
    LoopChanged,
    PlateCaptured,
    VendorNotice,
    evidence_key,
)
from devices.model import Decoded, Device, ListLimits, Protocol, Reading
from devices.protocols.vzenith_orders import COMMANDS, encode, roots
from devices.protocols.vzenith_wire import (
    NO_PLATE,
    Alive,
    Envelope,
    Gate,
    Input,
    Lock,
    Offline,
    PlateList,
    Result,
    Snapshot,
    plate_color,
)
from devices.protocols.wire import (
    address_of,
    epoch_time,
    inner,
    integer,
    label,
    leftover,
    name,
    only,
    parse,
    percent,
    picture,
    same_device,
    text,
    unwrapped,
)

_TRIGGERS = {1: "auto", 2: "external_io", 4: "software", 8: "virtual_loop"}
_NOT_ARRIVING = {64: "vehicle_staying", 65: "vehicle_staying_ended", 66: "vehicle_turned_back"}
"""Triggers of a vehicle that has been seen before: a second look at it must not open a second time."""
_OFF, _ON = 0, 1
_ORDERS = frozenset(
    {
        "gpio_out",
        "gate_direct_open",
        "white_list_operator",
        "snapshot",
        "tts_voice",
        "set_time",
        "reboot_dev",
        "get_io_lock_status",
    }
)
_CHOSEN = frozenset({"prefix", "up", "down"})
_OUTPUTS = 4
_MOST_LISTED = 5000

_ENVELOPE = msgspec.json.Decoder(Envelope)
_RESULT = msgspec.json.Decoder(Result)
_INPUT = msgspec.json.Decoder(Input)
_GATE = msgspec.json.Decoder(Gate)
_SNAPSHOT = msgspec.json.Decoder(Snapshot | None)
_ALIVE = msgspec.json.Decoder(Alive | None)
_PLATES = msgspec.json.Decoder(PlateList | None)
_LOCKS = msgspec.json.Decoder(list[Lock] | Lock | None)
_OFFLINE = msgspec.json.Decoder(Offline | None)
_UNDERSTOOD = frozenset(Result.__struct_encode_fields__)


class _Said(Struct, frozen=True):
    """One message on its way through a handler. `body`: what was inside its wrappings."""

    address: str
    name: str
    received_at: datetime
    envelope: Envelope
    body: Raw


# -- up ---------------------------------------------


def decode(topic: str, payload: bytes, received_at: datetime, zone: tzinfo) -> Decoded:
    """One message of a camera. Its times count from 1970, so the site's zone is not asked.

    :raises DecodeError: the message is not one of this protocol.
    """
    del zone
    owner, leaf, is_reply = _split(topic)
    envelope = parse(_ENVELOPE, payload)
    address = owner or address_of(text(envelope.sn))
    same_device(address, envelope.sn)
    body = inner(envelope.payload, "body") or envelope.payload
    said = _Said(address, label(envelope.name) or leaf[:128], received_at, envelope, body)
    if is_reply:
        return _reply(said)
    return _NAMES.get(said.name, _notice)(said)


def _split(topic: str) -> tuple[str, str, bool]:
    """Who speaks ("" on a topic the site chose), about what, and whether it answers a command."""
    match topic.split("/"):
        case ["device", sn, "message", "up", leaf] | [sn, "device", "message", "up", leaf]:
            return address_of(sn), leaf, False
        case ["device", sn, "message", "down", leaf, "reply"] | [sn, "device", "message", "down", leaf, "reply"]:
            return address_of(sn), leaf, True
        case [_, *_, leaf, "reply"] if leaf in _ORDERS:
            return "", leaf, True
        case [_, *_, leaf] if leaf in _UP:
            return "", leaf, False
    raise DecodeError("not a topic of this protocol")


def _plate(said: _Said) -> Decoded:
    found = inner(said.body, "AlarmInfoPlate", "result", "PlateResult")
    found = unwrapped(found) if found is not None else None
    if found is None and said.name == "quick_ivs_result":
        return _notice(said)
    if found is None:
        raise DecodeError("payload does not fit the protocol")
    result = parse(_RESULT, found)
    image = picture(result.full) or picture(result.small)
    evidence = evidence_key(image) if image else ""
    taken_at = result.at or epoch_time(said.envelope.timestamp)
    at = taken_at or said.received_at
    trigger, plate_id = integer(result.trigger) or 0, name(result.plate_id)
    event: Event
    if trigger in _NOT_ARRIVING:
        event = VendorNotice(at=at, name=_NOT_ARRIVING[trigger], code=str(trigger), evidence=evidence)
    else:
        event = PlateCaptured(
            at=at,
            plate="" if integer(result.encrypted) == 1 else _licence(text(result.license)),
            confidence=percent(result.confidence),
            evidence=evidence,
            plate_color=plate_color(result.color),
            forged=integer(result.fake) == 1,
            trigger=_TRIGGERS.get(trigger, str(trigger)),
            vendor=leftover(found, _UNDERSTOOD),
        )
    record = name(f"plate:{plate_id}") if plate_id else ""
    stored = integer(result.offline) == 1
    return only(said.address, event, image, record=record, timed=taken_at is not None, stored=stored)


def _licence(sent: str) -> str:
    """The plate, from base64 of UTF-8 or as it is; "" where there is none to speak of."""
    try:
        plate = binascii.a2b_base64(sent, strict_mode=True).decode()
    except ValueError:
        plate = sent
    if not plate.isalnum() and plate not in NO_PLATE:
        plate = sent  # it only looked like base64
    return "" if plate in NO_PLATE or len(plate) > 16 else plate


def _alive(said: _Said) -> Decoded:
    alive = parse(_ALIVE, said.body) or Alive()
    at = epoch_time(alive.timestamp) or epoch_time(said.envelope.timestamp)
    return only(said.address, Heartbeat(at=at or said.received_at), timed=at is not None)


def _loop(said: _Said) -> Decoded:
    found = inner(said.body, "AlarmGioIn", "result", "TriggerResult")
    if found is None:
        raise DecodeError("payload does not fit the protocol")
    trigger = parse(_INPUT, found)
    source, value = integer(trigger.source), integer(trigger.value)
    if value not in (_OFF, _ON):  # a pulse says neither that the loop is occupied nor that it is free
        return _notice(said, code=label(trigger.value))
    if source is None or not 0 <= source < 256:
        raise DecodeError("payload does not fit the protocol")
    at = epoch_time(said.envelope.timestamp)
    event = LoopChanged(at=at or said.received_at, loop=source, occupied=value == _ON)
    return only(said.address, event, timed=at is not None)


def _gate(said: _Said) -> Decoded:
    gate = parse(_GATE, said.body)
    status = integer(gate.status)
    if integer(gate.connected) != 1 or status not in (0, 1):
        return _notice(said, code=f"{label(gate.connected)}/{label(gate.status)}"[:128])
    at = epoch_time(said.envelope.timestamp)
    return only(said.address, BarrierMoved(at=at or said.received_at, open=status == 1), timed=at is not None)


def _snapshot(said: _Said) -> Decoded:
    snapshot = parse(_SNAPSHOT, said.body) or Snapshot()
    if not (image := picture(snapshot.image)):
        return _notice(said, code=label(snapshot.code))
    at = epoch_time(said.envelope.timestamp)
    event = FrameCaptured(at=at or said.received_at, evidence=evidence_key(image))
    return only(said.address, event, image, timed=at is not None)


def _kept(said: _Said) -> Decoded:
    """How many results the camera keeps that it could not send."""
    return _notice(said, code=label((parse(_OFFLINE, said.body) or Offline()).count))


def _notice(said: _Said, *, code: str = "") -> Decoded:
    at = epoch_time(said.envelope.timestamp)
    event = VendorNotice(at=at or said.received_at, name=said.name, code=code)
    return only(said.address, event, timed=at is not None)


def _reply(said: _Said) -> Decoded:
    """The camera took the command or not. Its time is left aside: its clock was seen minutes behind the command."""
    command_id, code = name(said.envelope.id), label(said.envelope.code)
    if not command_id:
        raise DecodeError("an answer without the command's id")
    if code != "200":
        return _result(said, command_id, CommandResult.FAILED, code or "no code")
    match said.name:
        case "white_list_operator":
            return _list(said, command_id)
        case "get_io_lock_status" | "set_io_lock_status" | "io_lock":
            return _locks(said)
        case "gpio_out" | "gate_direct_open" | "snapshot":
            return _result(said, command_id, CommandResult.ACCEPTED)
    return _result(said, command_id, CommandResult.DONE)


def _result(said: _Said, command_id: str, result: CommandResult, reason: str = "") -> Decoded:
    event = CommandAnswered(at=said.received_at, command_id=command_id, result=result, reason=reason)
    return only(said.address, event, timed=False)


def _list(said: _Said, command_id: str) -> Decoded:
    """What the list holds, where that was asked; else that all that was to be changed is changed."""
    found = parse(_PLATES, said.body) or PlateList()
    state = label(found.state)
    if state not in ("", "200"):
        return _result(said, command_id, CommandResult.FAILED, state)
    if not label(found.operator).startswith("select"):
        return only(said.address, ListAnswered(at=said.received_at, command_id=command_id, rest=True), timed=False)
    several = found.records if isinstance(found.records, list) else [found.records] if found.records else []
    if len(several) > _MOST_LISTED:
        raise DecodeError("too many entries")
    entries = tuple(plate for one in several if (plate := _licence(text(one.plate))))
    total = integer(found.total)
    count = len(entries) if total is None else max(0, total)
    report = ListReported(at=said.received_at, what="plates", count=count, entries=entries)
    done = CommandAnswered(at=said.received_at, command_id=command_id, result=CommandResult.DONE)
    return Decoded(address=said.address, readings=tuple(Reading(event=one, timed=False) for one in (report, done)))


def _locks(said: _Said) -> Decoded:
    """Which outputs are locked, as output:status; a list, or one object."""
    found = parse(_LOCKS, said.body)
    locks = found if isinstance(found, list) else [found] if found else []
    shown = (f"{label(one.output) or label(one.io)}:{label(one.status)}" for one in locks[:_OUTPUTS])
    event = VendorNotice(at=said.received_at, name=said.name, code=",".join(shown)[:128])
    return only(said.address, event, timed=False)


_NAMES: dict[str, Callable[[_Said], Decoded]] = {
    "ivs_result": _plate,
    "keep_alive": _alive,
    "gpio_in": _loop,
    "barr_gate_status": _gate,
    "snapshot": _snapshot,
    "quick_ivs_result": _plate,
    "offline_record": _kept,
}
_UP = frozenset({*_NAMES, "serial_data", "lanectrl_result", "offline_count"})

# -- where ---------------------------------------------


def topics_of(device: Device) -> tuple[str, ...]:
    """The topics of a camera whose site chose its own."""
    up, down = roots(device)
    return (f"{up}/+", f"{down}/+/reply") if _CHOSEN & device.options.keys() else ()


def orders_of(device: Device) -> tuple[str, ...]:
    """Where such a camera listens."""
    return (f"{roots(device)[1]}/#",) if _CHOSEN & device.options.keys() else ()


PROTOCOL = Protocol(
    name="vzenith",
    topics=(
        "device/+/message/up/+",
        "device/+/message/down/+/reply",
        "+/device/message/up/+",
        "+/device/message/down/+/reply",
    ),
    orders=("device/+/message/down/#", "+/device/message/down/#"),
    decode=decode,
    encode=encode,
    commands=COMMANDS,
    heartbeat_s=10.0,
    topics_of=topics_of,
    orders_of=orders_of,
    lists=ListLimits(put=100, remove=1),
)
"""Cameras that send keep_alive every 10 s."""
