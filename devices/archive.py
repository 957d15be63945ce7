"""Reads an archive of vendor messages, one JSON file each: what would we understand of it? Pure part of `linli decode`.

A file is {protocol, topic, direction, payload}: `direction` up (device to platform) or down, `payload` an object, or a
text where the message is no JSON.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime, tzinfo
from functools import partial
from typing import Any

import msgspec
from msgspec import Raw, Struct

from devices.errors import DecodeError
from devices.model import Decoded, HttpPart, HttpPush, Protocol
from devices.protocols.wire import Scalar, inner, text, unwrapped

HTTP_TOPICS = {"/Subscribe/": "oem_face"}
"""Where a vendor posts the same messages over HTTP: start of the path -> name of the protocol."""
HTTP_PROTOCOLS = {
    "Hikvision ISAPI AccessControllerEvent": "hik_access",
    "Hikvision ISAPI ANPR": "hik_anpr",
    "Hikvision ISAPI EventNotificationAlert": "hik_camera",
    "Hikvision ISAPI": "hik_access",
    "Dahua": "dahua",
    "CLAA": "claa",
}
"""What speaks HTTP and has no topic: start of an archive's name for the protocol -> ours."""
PLACEHOLDER = re.compile(r"\{[^{}/]*\}")
_OWN_IDS = (
    ("info", "facesluiceId"),
    ("info", "deviceId"),
    ("info", "DeviceID"),
    ("sn",),
    ("deveui",),
)
"""Where a payload names its device, to fill in a topic that reads mqtt/face/{deviceId}/Rec."""


class _File(Struct, frozen=True):
    topic: str
    payload: Raw
    direction: str = "up"
    protocol: str = ""


_FILE = msgspec.json.Decoder(_File)
_TEXT = msgspec.json.Decoder(str)
_SCALAR = msgspec.json.Decoder(Scalar)


def decode_file(
    content: bytes, protocols: Mapping[str, Protocol], *, received_at: datetime, zone: tzinfo
) -> dict[str, Any]:
    """What one file says: {protocol, events: [...]}, or {ignored: why}, or {error: why}.

    `events` are canonical events as plain objects with their `type`; `received_at` stands in where a message has no
    time; `zone` is the device's. Never raises.
    """
    try:
        file = _FILE.decode(content)
    except (ValueError, RecursionError):
        return {"error": "not an archived message: {topic, direction, payload} expected"}
    if file.direction == "down":
        return {"ignored": "sent by the platform"}
    for start, name in HTTP_PROTOCOLS.items():
        if file.protocol.startswith(start) and name in protocols:
            return _told(protocols[name], partial(_posted, file, protocols[name], received_at, zone))
    topic = _filled(file)
    decode = (topic, _payload(file.payload), received_at, zone)
    protocol = _listening(topic, protocols) or next(
        (p for p in protocols.values() if p.topics_of is not None and _understands(p, *decode)), None
    )
    if protocol is None:
        return {"ignored": f"no protocol of ours listens on topic {file.topic}"}
    return _told(protocol, partial(protocol.decode, *decode))


def _understands(protocol: Protocol, topic: str, payload: bytes, received_at: datetime, zone: tzinfo) -> bool:
    """Whether this could be a topic that a site chose itself, which only a device's registration could tell."""
    try:
        return bool(protocol.decode(topic, payload, received_at, zone).address)
    except DecodeError:
        return False


def _told(protocol: Protocol, decode: Callable[[], Decoded]) -> dict[str, Any]:
    try:
        decoded = decode()
    except DecodeError as error:
        return {"protocol": protocol.name, "error": error.reason}
    if decoded.ignored:
        return {"protocol": protocol.name, "ignored": decoded.ignored}
    return {"protocol": protocol.name, "events": [msgspec.to_builtins(r.event) for r in decoded.readings]}


def _posted(file: _File, protocol: Protocol, received_at: datetime, zone: tzinfo) -> Decoded:
    """What came over HTTP: the answer to a call of ours, or a post of the device its payload names."""
    body = _payload(file.payload)
    if file.topic == "(HTTP response)" and protocol.answered is not None:
        return protocol.answered("placeholder", 200, body, received_at)
    if protocol.receive is None:
        raise DecodeError("this protocol takes no posts")
    address = _own_id(file.payload).replace("@", ":")
    return protocol.receive(HttpPush(address=address, parts=(HttpPart(body=body),)), received_at, zone)


def matches(topic_filter: str, topic: str) -> bool:
    """Whether an MQTT filter (with + and #) takes this topic."""
    wanted, levels = topic_filter.split("/"), topic.split("/")
    if wanted[-1] == "#":
        wanted = wanted[:-1]
        levels = levels[: len(wanted)]
    return len(wanted) == len(levels) and all(w in ("+", level) for w, level in zip(wanted, levels, strict=True))


def _listening(topic: str, protocols: Mapping[str, Protocol]) -> Protocol | None:
    for start, name in HTTP_TOPICS.items():
        if topic.startswith(start):
            return protocols.get(name)
    return next((p for p in protocols.values() if any(matches(f, topic) for f in p.topics)), None)


def _payload(raw: Raw) -> bytes:
    """The bytes as they were on the wire: an object's own, or those of a text."""
    found = bytes(raw)
    try:
        return _TEXT.decode(found).encode()
    except ValueError:  # no text: an object
        return found


def _filled(file: _File) -> str:
    """The topic without an archivist's remark in brackets, its placeholders filled with the payload's own id."""
    topic = file.topic.partition(" (")[0]
    return PLACEHOLDER.sub(lambda _: _own_id(file.payload), topic.removeprefix("{prefix}"))


def _own_id(payload: Raw) -> str:
    for path in _OWN_IDS:
        try:
            holder = inner(payload, *path[:-1]) if path[:-1] else payload
            found = inner(unwrapped(holder), path[-1]) if holder is not None else None
            own = text(_SCALAR.decode(found)) if found is not None else ""
        except ValueError:
            continue
        if own:
            return own
    return "placeholder"
