"""Reads an archive of vendor messages, one JSON file each: what would we understand of it? Pure part of `linli decode`.

A file is {protocol, topic, direction, payload}: `direction` up (device to platform) or down, `payload` an object, or a
text where the message is no JSON. Where the topic is no topic but a remark ("(decoded LoRaWAN uplink, fPort 23)"), the
payload is the object of a LoRaWAN codec, which the name of the protocol tells.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime, tzinfo
from functools import partial
from typing import Any

import msgspec
from msgspec import Raw, Struct

from devices.codecs import CODECS, Uplink
from devices.errors import DecodeError
from devices.model import Decoded, HttpPart, HttpPush, Protocol, Reading
from devices.protocols.wire import Scalar, inner, parse, text, unwrapped

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
SPOKEN = {
    "chirpstack": "chirpstack",
    "frigate": "frigate",
    "home-assistant-discovery": "home_assistant",
    "homie": "homie",
    "oem facial recognition": "oem_face",
    "onvif": "onvif",
    "shelly": "shelly",
    "sparkplug": "sparkplug",
    "tasmota": "tasmota",
    "thingsboard-gateway": "tb_gateway",
    "ttn": "ttn",
    "vbar": "vf",
    "zigbee2mqtt": "zigbee2mqtt",
    "伊兰度": "yld",
    "臻识 vzenith": "vzenith",
}
"""What a file calls its protocol (start of the text, lower case) -> our name, where a site chose topics of its own."""
CODED = {
    "bosch parking": "bosch_parking",
    "dragino": "dragino",
    "lorawan-power-and-light-control": "milesight",
    "milesight": "milesight",
    "nas": "nas_luminaire",
}
"""What a file calls its protocol -> the codec of its decoded object."""
_PORT = re.compile(r"fPort (\d{1,3})")
PLACEHOLDER = re.compile(r"\{[^{}/]*\}")
_OWN_IDS = (
    ("info", "facesluiceId"),
    ("info", "deviceId"),
    ("info", "DeviceID"),
    ("sn",),
    ("deveui",),
    ("device_id",),
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
_ANY = msgspec.json.Decoder(Any)


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
    if file.topic.startswith("("):
        return _decoded(file, received_at)
    topic = _filled(file)
    protocol = _listening(topic, protocols) or protocols.get(_named(file.protocol, SPOKEN))
    if protocol is None:
        return {"ignored": f"no protocol of ours listens on topic {file.topic}"}
    return _told(protocol, partial(protocol.decode, topic, _payload(file.payload), received_at, zone))


def _told(protocol: Protocol, decode: Callable[[], Decoded]) -> dict[str, Any]:
    try:
        decoded = decode()
    except DecodeError as error:
        return {"protocol": protocol.name, "error": error.reason}
    readings = tuple(reading for part in (decoded, *decoded.others) for reading in part.readings)
    return _line(protocol.name, readings, decoded.ignored)


def _posted(file: _File, protocol: Protocol, received_at: datetime, zone: tzinfo) -> Decoded:
    """What came over HTTP: the answer to a call of ours, or a post of the device its payload names."""
    body = _payload(file.payload)
    if file.topic == "(HTTP response)" and protocol.answered is not None:
        return protocol.answered("placeholder", 200, body, received_at)
    if protocol.receive is None:
        raise DecodeError("this protocol takes no posts")
    address = _own_id(file.payload).replace("@", ":")
    return protocol.receive(HttpPush(address=address, parts=(HttpPart(body=body),)), received_at, zone)


def _line(name: str, readings: tuple[Reading, ...], ignored: str) -> dict[str, Any]:
    if ignored:
        return {"protocol": name, "ignored": ignored}
    return {"protocol": name, "events": [msgspec.to_builtins(r.event) for r in readings]}


def _named(protocol: str, names: Mapping[str, str]) -> str:
    return next((ours for start, ours in names.items() if protocol.lower().startswith(start)), "")


def _decoded(file: _File, received_at: datetime) -> dict[str, Any]:
    """What the codec makes of the object that its maker's own decoder gave."""
    name = _named(file.protocol, CODED)
    if not name:
        return {"ignored": f"not a message but {file.topic.strip('()')[:80]}"}
    port = _PORT.search(file.topic)
    try:
        found = parse(_ANY, file.payload)
        found = _published(found) if file.topic == "(as published)" else found
        if isinstance(found, dict) and "packet_type" in found and name == "milesight":
            name = "nas_luminaire"  # both makers' lights lie in one folder
        uplink = Uplink(
            f_port=int(port[1]) if port else 0, data=b"", decoded=found, at=received_at, received_at=received_at
        )
        readings = CODECS[name].decode(uplink)
    except DecodeError as error:
        return {"protocol": name, "error": error.reason}
    return _line(name, readings, "" if readings else "nothing in it for us")


def _published(frame: Any) -> Any:
    """The object inside an envelope of ChirpStack v3, as its web page shows it."""
    inside = frame.get("payload") if isinstance(frame, dict) else None
    written = inside.get("objectJSON") if isinstance(inside, dict) else None
    return parse(_ANY, written.encode()) if isinstance(written, str) else frame


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
    return PLACEHOLDER.sub(lambda _: _own_id(file.payload), re.sub(r"^\{prefix\}(?!/)", "", topic))


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
