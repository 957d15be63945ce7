"""Home Assistant's discovery: who introduces itself, what its states mean, what it is told."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.effects import CloseBarrier, Command, OpenPassage, Reboot, SetLamp
from devices.errors import DecodeError, UnsupportedCommandError
from devices.events import (
    BarrierMoved,
    BatteryMeasured,
    BayChanged,
    CoverMoved,
    DeviceStatusChanged,
    DoorChanged,
    Event,
    Hazard,
    HazardDetected,
    LampMeasured,
    ObjectDetected,
    OfflineReason,
    SensorMeasured,
    TamperDetected,
    VendorNotice,
)
from devices.model import Decoded, Device, Outgoing
from devices.protocols import home_assistant
from devices.protocols.home_assistant import PROTOCOL
from devices.protocols.home_assistant_config import offers, path_of
from tests.devices.hostile import NOW, ROTTEN, ZONE, bent, fixture, fixtures, read_safely, to_bytes


def payload_of(payload: Any) -> bytes:
    return payload.encode() if isinstance(payload, str) else to_bytes(payload)


def registered(name: str, kind: str = "", number: int = 0) -> Device:
    """The device of an introduction, registered as it is offered."""
    topic, payload = fixture("home_assistant", name)
    offer = offers(topic, payload_of(payload))[number]
    return Device(
        id="d", kind=kind or offer.kind, protocol="home_assistant", address=offer.address, options=offer.options
    )


def says(device: Device, payload: bytes, topic: str = "") -> list[Event]:
    topic = topic or device.options["state_topic"]
    decoded = PROTOCOL.decode(topic, payload, NOW, ZONE)
    return [r.event for r in home_assistant.interpret(decoded, device).readings]


def notice(name: str, code: str = "") -> VendorNotice:
    return VendorNotice(at=NOW, name=name, code=code)


def test_short_keys_and_the_base_topic_are_written_out() -> None:
    light = registered("light-config")
    assert (light.kind, light.address) == ("light", "light.stairs7")
    assert light.options == {
        "component": "light",
        "availability_topic": "yard/stairs7/lwt",
        "brightness": "true",
        "command_topic": "yard/stairs7/set",
        "schema": "json",
        "state_topic": "yard/stairs7/state",
    }
    assert PROTOCOL.topics_of
    assert PROTOCOL.orders_of
    assert PROTOCOL.topics_of(light) == ("yard/stairs7/lwt", "yard/stairs7/state")
    assert PROTOCOL.orders_of(light) == ("yard/stairs7/set",)


def test_an_introduction_is_a_notice_and_each_component_is_its_own_device() -> None:
    topic, payload = fixture("home_assistant", "two-components-config")
    decoded = PROTOCOL.decode(topic, to_bytes(payload), NOW, ZONE)
    told = [(part.address, part.readings[0].event) for part in (decoded, *decoded.others)]
    assert told == [
        ("binary_sensor.box8.lid", notice("announced", "binary_sensor")),
        ("sensor.box8.cell", notice("announced", "sensor")),
    ]
    lid, cell = registered("two-components-config"), registered("two-components-config", number=1)
    assert says(lid, b'{"lid": "ON", "cell": 61}') == [CoverMoved(at=NOW, open=True)]
    assert says(cell, b'{"lid": "ON", "cell": 61}') == [BatteryMeasured(at=NOW, level_pct=61)]


def test_an_empty_introduction_takes_it_back() -> None:
    topic, _ = fixture("home_assistant", "config-taken-back")
    assert [r.event for r in PROTOCOL.decode(topic, b"", NOW, ZONE).readings] == [notice("withdrawn")]
    assert offers(topic, b"") == ()


STATES: list[tuple[Device, bytes, list[Event]]] = [
    (registered("light-config"), b'{"state":"ON","brightness":51}', [LampMeasured(at=NOW, level_pct=20)]),
    (registered("light-config"), b'{"state":"OFF","brightness":51}', [LampMeasured(at=NOW, level_pct=0)]),
    (registered("switch-config"), b"ON", [LampMeasured(at=NOW, level_pct=100)]),
    (registered("switch-config", "face_gate"), b"OFF", [notice("switch", "off")]),
    (registered("door-config"), b'{"contact":{"open":true}}', [DoorChanged(at=NOW, open=True)]),
    (registered("door-config", "cover"), b'{"contact":{"open":true}}', [CoverMoved(at=NOW, open=True)]),
    (registered("temperature-config"), b'{"t": 77}', [SensorMeasured(at=NOW, metric="temperature_c", value=25)]),
    (registered("temperature-config"), b'{"t": "unavailable"}', [notice("sensor", "unavailable")]),
    (registered("barrier-config"), b"up", [BarrierMoved(at=NOW, open=True)]),
    (registered("barrier-config"), b"down", [BarrierMoved(at=NOW, open=False)]),
    (registered("barrier-config"), b"moving", [notice("cover", "moving")]),
    (registered("lock-config"), b"FREE", [notice("lock", "unlocked")]),
    (registered("lock-config"), b"LOCKED", [notice("lock", "locked")]),
    (registered("bell-config"), b'{"event_type":"press"}', [notice("doorbell", "press")]),
]


@pytest.mark.parametrize(("device", "payload", "events"), STATES)
def test_a_state_means_what_was_announced(device: Device, payload: bytes, events: list[Event]) -> None:
    assert says(device, payload) == events


@pytest.mark.parametrize(
    ("device_class", "kind", "event"),
    [
        ("smoke", "camera", HazardDetected(at=NOW, hazard=Hazard.SMOKE)),
        ("moisture", "cover", HazardDetected(at=NOW, hazard=Hazard.WATER_LEAK)),
        ("tamper", "cover", TamperDetected(at=NOW)),
        ("battery", "cover", notice("battery", "low")),
        ("motion", "camera", ObjectDetected(at=NOW, label="motion")),
        ("occupancy", "bay", BayChanged(at=NOW, occupied=True)),
        ("", "camera", notice("binary_sensor", "on")),
    ],
)
def test_a_binary_sensor_means_what_its_class_says(device_class: str, kind: str, event: Event) -> None:
    options = {"component": "binary_sensor", "state_topic": "yard/x", "device_class": device_class}
    device = Device(id="d", kind=kind, protocol="home_assistant", address="a", options=options)
    assert says(device, b"ON") == [event]


def test_availability_says_whether_it_is_there() -> None:
    lane = registered("barrier-config")
    assert says(lane, b"up", "yard/lane1/lwt") == [DeviceStatusChanged(at=NOW, online=True)]
    gone = DeviceStatusChanged(at=NOW, online=False, reason=OfflineReason.WILL)
    assert says(lane, b"down", "yard/lane1/lwt") == [gone]


@pytest.mark.parametrize(
    ("template", "path"),
    [
        ("{{ value_json.a.b }}", ("a", "b")),
        ("{{value_json['t'] | float}}", ("t",)),
        ("{{ value_json.a * 2 }}", None),
        ("{% if value %}1{% endif %}", None),
    ],
)
def test_only_plain_templates_are_understood(template: str, path: tuple[str, ...] | None) -> None:
    assert path_of(template) == path


def test_a_template_that_computes_is_refused_and_not_guessed() -> None:
    options = {"component": "sensor", "state_topic": "yard/x", "value_template": "{{ value_json.a * 2 }}"}
    device = Device(id="d", kind="light", protocol="home_assistant", address="a", options=options)
    with pytest.raises(DecodeError):
        says(device, b'{"a": 1}')


DIM, OFF = SetLamp(not_after=NOW, level_pct=50), SetLamp(not_after=NOW, level_pct=0)
ORDERS: list[tuple[str, Command, str]] = [
    ("light-config", DIM, "light-set"),
    ("switch-config", OFF, "switch-set"),
    ("barrier-config", OpenPassage(not_after=NOW), "barrier-set"),
    ("lock-config", OpenPassage(not_after=NOW), "lock-set"),
]


@pytest.mark.parametrize(("config", "command", "name"), ORDERS)
def test_a_command_goes_to_the_command_topic_in_the_devices_words(config: str, command: Command, name: str) -> None:
    topic, payload = fixture("home_assistant", name)
    message = PROTOCOL.encode(command, "c-1", registered(config), NOW)
    assert isinstance(message, Outgoing)
    told = json.loads(message.payload) if isinstance(payload, dict) else message.payload.decode()
    assert (message.topic, told) == (topic, payload)


def test_what_a_component_cannot_do_is_refused() -> None:
    for config, command in (
        ("light-config", OpenPassage(not_after=NOW)),
        ("lock-config", CloseBarrier(not_after=NOW)),
        ("bell-config", OpenPassage(not_after=NOW)),
        ("light-config", Reboot(not_after=NOW)),
    ):
        with pytest.raises(UnsupportedCommandError):
            PROTOCOL.encode(command, "c-1", registered(config), NOW)


CONFIGS = [message for message in fixtures("home_assistant") if message[0].endswith("/config")]


@given(bent(fixtures("home_assistant")))
def test_only_decode_errors_escape(message: tuple[str, bytes]) -> None:
    read_safely(PROTOCOL, *message)


@given(bent(CONFIGS))
def test_no_introduction_breaks_an_offer(message: tuple[str, bytes]) -> None:
    try:
        found = offers(*message)
    except DecodeError:
        return
    for offer in found:
        assert all(isinstance(value, str) and len(value) <= 256 for value in offer.options.values())


def read_state(device: Device, payload: bytes) -> Decoded | None:
    try:
        decoded = PROTOCOL.decode(device.options["state_topic"], payload, NOW, ZONE)
        return home_assistant.interpret(decoded, device)
    except DecodeError:
        return None


@given(st.sampled_from([device for device, *_ in STATES]), st.one_of(st.binary(max_size=40), st.sampled_from(ROTTEN)))
def test_no_state_breaks_a_registered_device(device: Device, payload: bytes) -> None:
    read_state(device, payload)


@pytest.mark.parametrize("payload", ROTTEN)
@pytest.mark.parametrize("leaf", ["config", "state"])
def test_rotten_payloads_are_refused_or_say_nothing(payload: bytes, leaf: str) -> None:
    read_safely(PROTOCOL, f"homeassistant/light/x/{leaf}", payload)
