"""Vbar (酷豆) VF and DW access terminals, DejaOS firmware: {prefix}access_device/{v1|v2}/event|cmd/{name}.

What terminals say has no name in the topic: `uuid` in the payload is who speaks, so any could speak for another.
Nothing opens by that: an answer to a credential goes to the terminal of that name, which takes it only if it has asked
under this `serialNo` itself. Times are seconds since 1970, codes are text. A terminal that is not sure asks us
(access_online) and opens by itself on "000000"; it keeps a record until access_reply. On connect it also sends its
Wi-Fi password (`psk`): nothing of that is read. Sources: the vendor's open firmware and interface document of VF105.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, tzinfo

import msgspec
from msgspec import Struct

from devices.errors import DecodeError
from devices.events import (
    AccessDenied,
    AccessGranted,
    CommandAnswered,
    CommandResult,
    CredentialPresented,
    DeviceStatusChanged,
    DoorChanged,
    Event,
    Hazard,
    HazardDetected,
    Heartbeat,
    ListAnswered,
    ListRefusal,
    Method,
    OfflineReason,
    TamperDetected,
    VendorNotice,
    evidence_key,
)
from devices.model import Decoded, Device, ListLimits, Outgoing, Protocol, Reading
from devices.protocols.vf_orders import COMMANDS, encode, prefix
from devices.protocols.vf_wire import ERROR, OK, ROOT, Access, Alarm, Connect, Envelope, Refused
from devices.protocols.wire import (
    Scalar,
    address_of,
    epoch_time,
    integer,
    label,
    name,
    only,
    parse,
    picture,
    text,
)

_VERSIONS = ("v1", "v2")
_MOST = 1000
"""Entries of one message; a v1 terminal that was away tells 500 records at once."""
_LISTS = frozenset({"insertPermission", "delPermission", "insertUser", "delUser"})
_MOVES = "control"

_ENVELOPE = msgspec.json.Decoder(Envelope)
_ACCESS = msgspec.json.Decoder(list[Access] | Access)
_ALARM = msgspec.json.Decoder(Alarm)
_CONNECT = msgspec.json.Decoder(Connect | None)
_REFUSED = msgspec.json.Decoder(list[Refused | Scalar] | Refused | Scalar)


class _Said(Struct, frozen=True):
    """One message on its way through a handler. `base`: what its topics begin with, version included."""

    base: str
    version: str
    name: str
    address: str
    received_at: datetime
    envelope: Envelope

    @property
    def at(self) -> datetime | None:
        return epoch_time(self.envelope.time)


# -- up ---------------------------------------------


def decode(topic: str, payload: bytes, received_at: datetime, zone: tzinfo) -> Decoded:
    """One message of a terminal. Its times count from 1970, so the site's zone is not asked.

    :raises DecodeError: the message is not one of this protocol.
    """
    del zone
    match topic.split("/"):
        case [*start, version, sort, leaf] if start and version in _VERSIONS and sort in ("event", "cmd"):
            base = "/".join((*start, version))
        case _:
            raise DecodeError("not a topic of this protocol")
    if not start[-1].endswith(ROOT):  # a prefix is put before it as it is, with its / or without
        raise DecodeError("not a topic of this protocol")
    envelope = parse(_ENVELOPE, payload)
    said = _Said(base, version, leaf[:128], address_of(text(envelope.uuid)), received_at, envelope)
    if sort == "cmd":
        if not leaf.endswith("_reply"):
            raise DecodeError("not a topic of this protocol")
        return _answered(said)
    return _EVENTS.get(leaf, _notice)(said)


def _reply(said: _Said) -> tuple[Outgoing, ...]:
    """Tells a terminal that its message is safe."""
    body = {"serialNo": name(said.envelope.serial), "code": OK}
    topic = f"{said.base}/event/{said.address}/{said.name}_reply"
    return (Outgoing(topic=topic, payload=msgspec.json.encode(body)),)


def _acknowledged(said: _Said, decoded: Decoded) -> Decoded:
    return msgspec.structs.replace(decoded, replies=_reply(said))


def _connected(said: _Said) -> Decoded:
    connect = parse(_CONNECT, said.envelope.data)
    firmware = label(connect.firmware) if connect else ""
    event = DeviceStatusChanged(at=said.at or said.received_at, online=True, firmware=firmware)
    return _acknowledged(said, only(said.address, event, timed=said.at is not None))


def _heartbeat(said: _Said) -> Decoded:
    return only(said.address, Heartbeat(at=said.at or said.received_at), timed=said.at is not None)


def _offline(said: _Said) -> Decoded:
    """The last will: its time is that of the connection, so it says nothing of when the terminal went."""
    event = DeviceStatusChanged(at=said.received_at, online=False, reason=OfflineReason.WILL)
    return only(said.address, event, timed=False)


def _accesses(said: _Said) -> Decoded:
    """Who passed or was refused: a list, of one in newer firmware."""
    found = parse(_ACCESS, said.envelope.data)
    several = found if isinstance(found, list) else [found]
    if not 0 < len(several) <= _MOST:
        raise DecodeError("no record, or too many")
    images: list[bytes] = []
    readings = tuple(_access(said, access, n, images) for n, access in enumerate(several))
    return Decoded(address=said.address, readings=readings, images=tuple(images), replies=_reply(said))


def _access(said: _Said, access: Access, n: int, images: list[bytes]) -> Reading:
    method, who, passed = access.method, access.who(said.version), access.passed(said.version)
    # Elsewhere `code` is the card's number or the PIN, which a record does not need.
    image = picture(access.code) if method is Method.FACE and isinstance(access.code, str) else b""
    evidence = evidence_key(image) if image else ""
    if image and image not in images:
        images.append(image)
    at = access.at
    if at is None:  # without it a record kept for days could not be told from somebody at the door now
        raise DecodeError("a record without a time")
    vendor = {"credential_type": label(access.type)} if method is Method.UNKNOWN else {}
    event: Event
    if passed is None:
        event = VendorNotice(at=at, name="access", code=label(access.result), evidence=evidence, vendor=vendor)
    elif passed:
        event = AccessGranted(
            at=at, method=method, person=who, evidence=evidence, similarity=access.similarity, vendor=vendor
        )
    else:
        reason = access.refusal(who)
        event = AccessDenied(at=at, method=method, reason=reason, person=who, evidence=evidence, vendor=vendor)
    return Reading(event=event, record_id=_record(said, access, n))


def _record(said: _Said, access: Access, n: int) -> str:
    """v1 tells its records again under another `serialNo`, and knows them by their times."""
    if said.version == "v1":
        parts = (label(access.seen) or label(access.time), label(access.type), name(access.permission))
        return name(f"access:{'/'.join(parts)}/{label(access.result)}")
    serial = name(said.envelope.serial)
    return name(f"access:{serial}:{n}") if serial else ""


def _asked(said: _Said) -> Decoded:
    """May this card, code or PIN open? The answer is an `AnswerCredential`."""
    access = parse(_ACCESS, said.envelope.data)
    asked = access[0] if isinstance(access, list) and len(access) == 1 else access
    if isinstance(asked, list):
        raise DecodeError("payload does not fit the protocol")
    serial, value = name(said.envelope.serial), asked.credential
    if not serial or not value:
        raise DecodeError("a question without a number or without a credential")
    at = asked.at or said.at
    event = CredentialPresented(
        at=at or said.received_at,
        method=asked.method,
        value=value,
        reply_to=name(f"{said.version}/{serial}"),
    )
    return only(said.address, event, record=name(f"online:{serial}"), timed=at is not None)


def _alarm(said: _Said) -> Decoded:
    """256 door contact (0 open, 1 closed), 257 fire, 258 housing (interface document, 5.2). Others are kept."""
    alarm = parse(_ALARM, said.envelope.data)
    at, value = said.at or said.received_at, integer(alarm.value)
    event: Event
    match integer(alarm.type), value:
        case (256, 0 | 1):
            event = DoorChanged(at=at, open=value == 0)
        case (257, 0 | 1):
            event = HazardDetected(at=at, hazard=Hazard.SMOKE, active=value == 1)
        case (258, 0 | 1):
            event = TamperDetected(at=at, active=value == 1)
        case _:
            event = VendorNotice(at=at, name="alarm", code=f"{label(alarm.type)}/{label(alarm.value)}"[:128])
    return _acknowledged(said, only(said.address, event, timed=said.at is not None))


def _notice(said: _Said) -> Decoded:
    event = VendorNotice(at=said.at or said.received_at, name=said.name, code=label(said.envelope.code))
    return only(said.address, event, timed=said.at is not None)


def _answered(said: _Said) -> Decoded:
    command_id, code = name(said.envelope.serial), label(said.envelope.code)
    if not command_id:
        raise DecodeError("an answer without the command's id")
    command = said.name.removesuffix("_reply")
    at = said.received_at
    event: Event
    if command in _LISTS and (refused := _refusals(said, code)) is not None:
        event = ListAnswered(at=at, command_id=command_id, refused=refused, rest=True)
    elif code == OK:
        taken = CommandResult.ACCEPTED if command == _MOVES else CommandResult.DONE
        event = CommandAnswered(at=at, command_id=command_id, result=taken)
    else:
        event = CommandAnswered(at=at, command_id=command_id, result=CommandResult.FAILED, reason=code or "no code")
    return only(said.address, event, timed=False)


def _refusals(said: _Said, code: str) -> tuple[ListRefusal, ...] | None:
    """Whom the terminal did not take, by registry id; None where it failed as a whole and says so in words. What was
    not found and so could not be removed is gone.
    """
    if code == OK:
        return ()
    found = parse(_REFUSED, said.envelope.data)
    several = [one for one in (found if isinstance(found, list) else [found]) if isinstance(one, Refused)]
    if not several or len(several) > _MOST or code != ERROR:
        return None
    refused = {name(one.user) or name(one.permission) or name(one.id): label(one.reason) for one in several}
    gone = said.name.startswith("del")
    return tuple(
        ListRefusal(entry=entry, reason=reason or code)
        for entry, reason in refused.items()
        if entry and not (gone and reason.endswith("not found"))
    )


_EVENTS: dict[str, Callable[[_Said], Decoded]] = {
    "connect": _connected,
    "heartbeat": _heartbeat,
    "offline": _offline,
    "access": _accesses,
    "access_online": _asked,
    "alarm": _alarm,
}

# -- where ---------------------------------------------


def topics_of(device: Device) -> tuple[str, ...]:
    """The topics of a terminal with a prefix."""
    start = prefix(device)
    return (f"{start}{ROOT}/+/event/+", f"{start}{ROOT}/+/cmd/+") if start else ()


def orders_of(device: Device) -> tuple[str, ...]:
    """Where such a terminal listens."""
    start, sn = prefix(device), device.address
    return (f"{start}{ROOT}/+/cmd/{sn}/+", f"{start}{ROOT}/+/event/{sn}/+") if start else ()


PROTOCOL = Protocol(
    name="vf",
    topics=(f"{ROOT}/+/event/+", f"{ROOT}/+/cmd/+"),
    orders=(f"{ROOT}/+/cmd/+/+", f"{ROOT}/+/event/+/+"),
    decode=decode,
    encode=encode,
    commands=COMMANDS,
    heartbeat_s=60.0,
    topics_of=topics_of,
    orders_of=orders_of,
    lists=ListLimits(put=50, remove=100, photo_bytes=0),
)
"""Heartbeats can be off (sys.heart_en) or slower; then the device's `heartbeat_s` says so."""
