"""Homie 5: what a device tells, what it means for how it is registered, what it is told."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given

from devices.effects import OpenPassage, Reboot, SetLamp
from devices.errors import UnsupportedCommandError
from devices.events import (
    CoverMoved,
    DeviceStatusChanged,
    Event,
    LampMeasured,
    OfflineReason,
    SensorMeasured,
    VendorNotice,
)
from devices.model import Decoded, Device, Offer, Outgoing
from devices.protocols import homie
from devices.protocols.homie import PROTOCOL
from tests.devices.hostile import NOW, ROTTEN, ZONE, bent, fixture, fixtures, read_safely, to_bytes

LIGHT = Device(
    id="stairs",
    kind="light",
    protocol="homie",
    address="stairs-2",
    options={"lamp_on": "light/power", "set_on": "light/power"},
)


def payload_of(payload: Any) -> bytes:
    return payload.encode() if isinstance(payload, str) else to_bytes(payload)


def decode(name: str) -> Decoded:
    topic, payload = fixture("homie", name)
    return PROTOCOL.decode(topic, payload_of(payload), NOW, ZONE)


def notice(name: str, code: str = "") -> VendorNotice:
    return VendorNotice(at=NOW, name=name, code=code)


def status(online: bool, reason: OfflineReason = OfflineReason.NONE) -> DeviceStatusChanged:
    return DeviceStatusChanged(at=NOW, online=online, reason=reason)


SAYS: dict[str, Event | None] = {
    "state-init": status(online=True),
    "state-ready": status(online=True),
    "state-sleeping": status(online=True),
    "state-lost": status(online=False, reason=OfflineReason.WILL),
    "state-disconnected": status(online=False, reason=OfflineReason.GOODBYE),
    "light-power": SensorMeasured(at=NOW, metric="light_power", value=1),
    "light-brightness": SensorMeasured(at=NOW, metric="light_brightness", value=35),
    "brightness-target": notice("light/brightness/$target", "60"),
    "temperature": SensorMeasured(at=NOW, metric="board_temperature", value=48.5),
    "mode": notice("light/mode"),
    "free-text": notice("board/note"),
    "empty-text": notice("board/note"),
    "alert": notice("$alert/overheated", "on"),
    "alert-over": notice("$alert/overheated"),
    "log": notice("$log", "warn"),
    "description": notice("$description", "3"),
    "broadcast": None,
}


@pytest.mark.parametrize("name", SAYS)
def test_every_message_says_one_thing(name: str) -> None:
    decoded = decode(name)
    assert [r.event for r in decoded.readings] == ([SAYS[name]] if SAYS[name] else [])
    assert bool(decoded.ignored) is (SAYS[name] is None)


def test_every_fixture_is_in_the_table() -> None:
    topics = {fixture("homie", name)[0] for name in SAYS}
    assert {topic for topic, _ in fixtures("homie")} <= topics


def test_a_value_means_what_the_registration_says() -> None:
    told = homie.interpret(decode("light-power"), LIGHT)
    assert [r.event for r in told.readings] == [LampMeasured(at=NOW, level_pct=100)]
    lid = Device(id="lid", kind="cover", protocol="homie", address="x", options={"cover_open": "!light/power"})
    assert [r.event for r in homie.interpret(decode("light-power"), lid).readings] == [CoverMoved(at=NOW, open=False)]


def test_a_text_is_kept_where_the_registration_says_so() -> None:
    lamp = Device(id="l", kind="light", protocol="homie", address="x", options={"text.mode": "light/mode"})
    assert [r.event for r in homie.interpret(decode("mode"), lamp).readings] == [notice("mode", "eco")]


def test_who_describes_itself_is_offered_with_what_it_can_be_told() -> None:
    topic, payload = fixture("homie", "description")
    options = {
        "lamp_on": "light/power",
        "set_on": "light/power",
        "level_pct": "light/brightness",
        "set_level_pct": "light/brightness",
        "battery_pct": "board/battery",
    }
    assert homie.offers(topic, to_bytes(payload)) == (Offer(address="stairs-2", kind="light", options=options),)
    assert homie.offers("homie/5/stairs-2/$state", b"ready") == ()


@pytest.mark.parametrize(
    ("options", "name"), [({"set_level_pct": "light/brightness"}, "brightness-set"), (LIGHT.options, "power-set")]
)
def test_a_lamp_is_told_in_the_words_of_the_specification(options: dict[str, str], name: str) -> None:
    lamp = Device(id="l", kind="light", protocol="homie", address="stairs-2", options=options)
    message = PROTOCOL.encode(SetLamp(not_after=NOW, level_pct=60), "c-1", lamp, NOW)
    topic, payload = fixture("homie", name)
    assert message == Outgoing(topic=topic, payload=payload.encode(), qos=1)


def test_what_no_option_names_cannot_be_commanded() -> None:
    for command in (OpenPassage(not_after=NOW), Reboot(not_after=NOW)):
        with pytest.raises(UnsupportedCommandError):
            PROTOCOL.encode(command, "c-1", LIGHT, NOW)


@given(bent(fixtures("homie")))
def test_only_decode_errors_escape(message: tuple[str, bytes]) -> None:
    decoded = read_safely(PROTOCOL, *message)
    if decoded is not None:
        homie.interpret(decoded, LIGHT)


@pytest.mark.parametrize("payload", ROTTEN)
@pytest.mark.parametrize("leaf", ["$state", "$description", "light/power"])
def test_rotten_payloads_are_refused_or_say_nothing(payload: bytes, leaf: str) -> None:
    read_safely(PROTOCOL, f"homie/5/stairs-2/{leaf}", payload)


@pytest.mark.parametrize(
    ("topic", "payload", "event"),
    [
        ("homie/lamp-4/$state", b"ready", status(online=True)),
        ("homie/lamp-4/$state", b"alert", notice("$state", "alert")),
        ("homie/lamp-4/light/power", b"true", SensorMeasured(at=NOW, metric="light_power", value=1)),
        ("homie/lamp-4/$nodes", b"light,board[]", None),
        ("homie/lamp-4/light/$properties", b"power", None),
    ],
)
def test_homie_4_says_the_same_in_other_places(topic: str, payload: bytes, event: Event | None) -> None:
    decoded = PROTOCOL.decode(topic, payload, NOW, ZONE)
    assert decoded.address == "lamp-4"
    assert [r.event for r in decoded.readings] == ([event] if event else [])


def test_homie_4_is_told_on_its_own_topics() -> None:
    lamp = Device(id="l", kind="light", protocol="homie", address="l4", options={"homie": "4", "set_on": "light/power"})
    message = PROTOCOL.encode(SetLamp(not_after=NOW, level_pct=0), "c-1", lamp, NOW)
    assert message == Outgoing(topic="homie/l4/light/power/set", payload=b"false", qos=1)
