"""How a device introduces itself to Home Assistant: the retained message homeassistant/{component}/{object}/config.

Short keys are the abbreviations of https://www.home-assistant.io/integrations/mqtt/ (those that matter here); ~ at the
start or the end of a topic is the base topic. One message of homeassistant/device/{id}/config introduces several
components. Of templates only the plain `{{ value_json.a.b }}` is understood.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from devices.errors import DecodeError
from devices.model import Offer
from devices.protocols.values import plain_address
from devices.protocols.wire import parse

PREFIX = "homeassistant"
SHORT = {
    "avty": "availability",
    "avty_t": "availability_topic",
    "bri_scl": "brightness_scale",
    "cmd_t": "command_topic",
    "cmps": "components",
    "dev": "device",
    "dev_cla": "device_class",
    "evt_typ": "event_types",
    "p": "platform",
    "pl_avail": "payload_available",
    "pl_cls": "payload_close",
    "pl_lock": "payload_lock",
    "pl_not_avail": "payload_not_available",
    "pl_off": "payload_off",
    "pl_on": "payload_on",
    "pl_open": "payload_open",
    "pl_prs": "payload_press",
    "pl_stop": "payload_stop",
    "pl_unlk": "payload_unlock",
    "stat_clsd": "state_closed",
    "stat_locked": "state_locked",
    "stat_off": "state_off",
    "stat_on": "state_on",
    "stat_open": "state_open",
    "stat_t": "state_topic",
    "stat_unlocked": "state_unlocked",
    "t": "topic",
    "uniq_id": "unique_id",
    "unit_of_meas": "unit_of_measurement",
    "val_tpl": "value_template",
}
KEPT = frozenset(
    {
        "availability_topic",
        "brightness",
        "brightness_scale",
        "command_topic",
        "device_class",
        "schema",
        "state_topic",
        "unit_of_measurement",
        "value_template",
        *(
            f"payload_{x}"
            for x in ["available", "close", "lock", "not_available", "off", "on", "open", "press", "unlock"]
        ),
        *(f"state_{x}" for x in ["closed", "locked", "off", "on", "open", "unlocked"]),
    }
)
"""What of an introduction becomes an option of the registration; the rest is for people or for Home Assistant."""
KINDS = {
    "binary_sensor": "cover",
    "cover": "barrier",
    "event": "camera",
    "light": "light",
    "lock": "face_gate",
    "sensor": "cover",
    "switch": "light",
}
"""What a component is most likely here: a proposal, to be corrected by the person who registers it."""
_BY_CLASS = {
    "occupancy": "bay",
    "door": "face_gate",
    "garage_door": "barrier",
    "motion": "camera",
    "doorbell": "face_gate",
}
_TEMPLATE = re.compile(
    r"\{\{-?\s*value_json((?:\.[A-Za-z_]\w*|\[['\"][^'\"\]]+['\"]\])+)\s*(?:\|\s*(?:float|int)\s*)?-?\}\}"
)
_STEP = re.compile(r"\.([A-Za-z_]\w*)|\[['\"]([^'\"\]]+)['\"]\]")
_CONFIG = msgspec.json.Decoder(dict[str, Any])
COMPONENTS_AT_MOST = 50


def offers(topic: str, payload: bytes) -> tuple[Offer, ...]:
    """Who is introduced, with the options they would be registered with; nobody where the introduction is taken back.

    :raises DecodeError: it is no introduction.
    """
    return tuple(
        Offer(address=address, kind=_kind(options), options=options)
        for address, options in introduced(topic, payload).items()
    )


def introduced(topic: str, payload: bytes) -> dict[str, dict[str, str]]:
    """The options of each component a message introduces, by address (`component.object`).

    :raises DecodeError: it is no introduction.
    """
    component, address = named(topic)
    if not payload:
        return {}
    config = _long(parse(_CONFIG, payload))
    if component != "device":
        return {address: {"component": component, **_options(config, config)}}
    parts = config.get("components")
    if not isinstance(parts, dict) or len(parts) > COMPONENTS_AT_MOST:
        raise DecodeError("payload does not fit the protocol")
    found = {}
    for key, held in parts.items():
        part = _long(held) if isinstance(held, dict) else {}
        if isinstance(part.get("platform"), str):
            name = plain_address(f"{part['platform']}.{address.partition('.')[2]}.{key}")
            found[name] = {"component": part["platform"], **_options(part, config)}
    return found


def named(topic: str) -> tuple[str, str]:
    """Component and address of a topic homeassistant/{component}/[{node}/]{object}/{leaf}.

    :raises DecodeError: it is none.
    """
    match topic.split("/"):
        case [prefix, component, *names, _] if prefix == PREFIX and 1 <= len(names) <= 2:
            return component, plain_address(".".join((component, *names)))
    raise DecodeError("not a topic of this protocol")


def path_of(template: str) -> tuple[str, ...] | None:
    """The keys a template goes along: `{{ value_json.a.b }}` is a, b; None where it does more than that."""
    found = _TEMPLATE.fullmatch(template.strip())
    return tuple(dotted or quoted for dotted, quoted in _STEP.findall(found[1])) if found else None


def _long(config: dict[str, Any]) -> dict[str, Any]:
    """With long keys, and topics with their base."""
    base = config.get("~")
    config = {SHORT.get(key, key): value for key, value in config.items()}
    if isinstance(base, str):
        config = {key: _based(value, base) if key.endswith("topic") else value for key, value in config.items()}
    availability = config.get("availability")
    first = availability[0] if isinstance(availability, list) and availability else None
    if isinstance(first, dict):
        about = {SHORT.get(key, key): value for key, value in first.items()}
        config.setdefault("availability_topic", _based(about.get("topic"), base if isinstance(base, str) else ""))
        for key in ("payload_available", "payload_not_available"):
            if key in about:
                config.setdefault(key, about[key])
    return config


def _based(topic: Any, base: str) -> Any:
    if not isinstance(topic, str):
        return topic
    if topic.startswith("~"):
        return base + topic[1:]
    return topic[:-1] + base if topic.endswith("~") else topic


def _options(config: dict[str, Any], shared: dict[str, Any]) -> dict[str, str]:
    options = {}
    for key in sorted(KEPT):
        value = config.get(key, shared.get(key))
        if isinstance(value, bool):
            value = str(value).lower()
        if isinstance(value, str | int | float) and len(str(value)) <= 256:
            options[key] = str(value)
    return options


def _kind(options: dict[str, str]) -> str:
    return _BY_CLASS.get(options.get("device_class", ""), KINDS.get(options["component"], "camera"))
