"""Lamps, plugs, sensors and covers that speak MQTT themselves: every kind of message, commands, topics of one's own."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from devices.effects import OpenPassage, Reboot, SetLamp
from devices.errors import DecodeError, UnsupportedCommandError
from devices.model import Outgoing, Protocol
from devices.protocols import ebyte, nbiot_cover, shelly, tasmota, zigbee2mqtt
from tests.devices.hostile import NOW, ZONE, fixture
from tests.devices.said import AT, registered, say, told, wire

Z2M, TASMOTA, SHELLY, EBYTE, COVER = (m.PROTOCOL for m in (zigbee2mqtt, tasmota, shelly, ebyte, nbiot_cover))
WELL = "device_status_changed online=True"


@pytest.mark.parametrize(
    ("name", "events"),
    [
        ("lamp", ["lamp_measured level_pct=50.0"]),
        ("lamp-off", ["lamp_measured level_pct=0.0"]),
        ("two-switches", ["lamp_measured level_pct=100.0", "lamp_measured level_pct=0.0"]),
        (
            "plug",
            [
                "lamp_measured level_pct=100.0 active_power_w=12.5 supply_voltage_v=229.0 supply_current_a=0.06 active_energy_kwh=3.5"  # noqa: E501
            ],
        ),
        (
            "climate",
            [
                "sensor_measured metric=temperature_c value=21.5",
                "sensor_measured metric=humidity_pct value=40.0",
                "battery_measured level_pct=77.0",
            ],
        ),
        ("door", ["door_changed open=True", "tamper_detected", "vendor_notice name=battery_low"]),
        ("leak", ["hazard_detected hazard=water_leak"]),
        ("smoke-test", ["hazard_detected hazard=smoke test=True"]),
        ("motion", ["sensor_measured metric=occupancy value=1.0", "sensor_measured metric=illuminance_lx value=12.0"]),
        ("button", ["vendor_notice name=button code=single"]),
        ("panic", ["hazard_detected hazard=sos"]),
        ("silent", ["heartbeat"]),
        ("available", [WELL]),
        ("away", ["device_status_changed online=False reason=missed_heartbeats"]),
        ("bridge-online", [WELL]),
        ("joined", [WELL]),
        ("left", ["device_status_changed online=False reason=goodbye"]),
        ("response", ["vendor_notice name=bridge.permit_join code=ok"]),
    ],
)
def test_zigbee2mqtt_speaks(name: str, events: list[str]) -> None:
    assert told(say(Z2M, name)) == events


@pytest.mark.parametrize(
    ("name", "events"),
    [
        ("state", ["lamp_measured level_pct=40.0"]),
        ("state-zone", ["lamp_measured level_pct=0.0"]),
        ("state-no-clock", ["lamp_measured level_pct=100.0"]),
        ("state-bare", ["heartbeat"]),
        ("two-relays", ["lamp_measured level_pct=100.0", "lamp_measured level_pct=0.0"]),
        (
            "energy",
            ["lamp_measured active_power_w=12.0 supply_voltage_v=229.0 supply_current_a=0.06 active_energy_kwh=3.5"],
        ),
        (
            "phases",
            ["lamp_measured active_power_w=30.0 supply_voltage_v=229.0 supply_current_a=0.75 active_energy_kwh=3.5"],
        ),
        ("status8", ["lamp_measured active_power_w=0.0"]),
        (
            "climate",
            [
                "sensor_measured metric=temperature_c value=21.5",
                "sensor_measured metric=humidity_pct value=40.0",
                "sensor_measured metric=temperature_c_2 value=10.0",
            ],
        ),
        ("result", ["lamp_measured level_pct=100.0"]),
        ("power", ["lamp_measured level_pct=0.0"]),
        ("online", [WELL]),
        ("offline", ["device_status_changed online=False reason=last_will"]),
        ("alarm", ["lamp_faulted fault=lampPowerTooHigh"]),
        ("margin", ["vendor_notice name=VOLTAGE_LOW code=ON"]),
        ("info", [f"{WELL} firmware=13.4.0(tasmota)"]),
        ("prefix-last", ["lamp_measured level_pct=100.0"]),
    ],
)
def test_tasmota_speaks(name: str, events: list[str]) -> None:
    assert told(say(TASMOTA, name)) == events


@pytest.mark.parametrize(
    ("name", "events"),
    [
        ("switch", ["lamp_measured level_pct=100.0 active_power_w=12.5"]),
        (
            "full",
            [
                "lamp_measured level_pct=0.0 active_power_w=0.0 supply_voltage_v=229.5 supply_current_a=0.0 active_energy_kwh=3.5 temperature_c=40.0",  # noqa: E501
                "lamp_faulted fault=lampPowerTooHigh",
                "lamp_measured level_pct=100.0",
            ],
        ),
        ("cloud", ["heartbeat"]),
        ("brightness", ["heartbeat"]),
        ("button", ["vendor_notice name=button code=single_push"]),
        ("light", ["lamp_measured level_pct=40.0"]),
        (
            "climate",
            [
                "sensor_measured metric=temperature_c value=21.5",
                "sensor_measured metric=humidity_pct value=40.0",
                "battery_measured level_pct=77.0",
            ],
        ),
        ("flood", ["hazard_detected hazard=water_leak"]),
        ("input", ["sensor_measured metric=digital_input value=1.0"]),
        ("online", [WELL]),
        ("offline", ["device_status_changed online=False reason=last_will"]),
        ("answer", ["command_answered command_id=c-1 result=done"]),
        ("answer-failed", ["command_answered command_id=c-1 result=failed reason=-105"]),
    ],
)
def test_shelly_speaks(name: str, events: list[str]) -> None:
    assert told(say(SHELLY, name)) == events


METER = "lamp_measured vendor={'mode': 3} level_pct=100.0 supply_voltage_v=229.5 supply_current_a=0.5"


@pytest.mark.parametrize(
    ("protocol", "name", "events"),
    [
        (EBYTE, "state", [METER, "lamp_measured level_pct=0.0"]),
        (
            EBYTE,
            "fault",
            ["vendor_notice vendor={'over_current_alarm': 1, 'leak_fault': 0} name=ebyte.over_current_alarm code=1"],
        ),
        (EBYTE, "alive", ["heartbeat"]),
        (COVER, "closed", ["cover_moved open=False tilt_deg=1.5", "battery_measured level_pct=89.0"]),
        (
            COVER,
            "tilted",
            [
                "cover_moved open=False tilt_deg=22.5",
                "vendor_notice name=cover.status code=abnormal",
                "battery_measured level_pct=10.0",
            ],
        ),
        (COVER, "open", ["cover_moved open=True tilt_deg=80.0", "vendor_notice name=cover.status code=abnormal"]),
        (
            COVER,
            "abnormal",
            ["cover_moved vendor={'rssi': -90} open=True", "vendor_notice name=cover.status code=abnormal"],
        ),
        (COVER, "alive", ["heartbeat"]),
    ],
)
def test_a_breaker_and_a_cover_speak(protocol: Protocol, name: str, events: list[str]) -> None:
    assert told(say(protocol, name)) == events


@pytest.mark.parametrize(
    ("protocol", "name"),
    [
        (Z2M, "interview"),
        (Z2M, "log"),
        (Z2M, "own"),
        (TASMOTA, "result-other"),
        (TASMOTA, "settings"),
        (EBYTE, "other"),
        (EBYTE, "own"),
    ],
)
def test_what_says_nothing_to_us_is_ignored_for_a_reason(protocol: Protocol, name: str) -> None:
    decoded = say(protocol, name)
    assert decoded.ignored
    assert not decoded.readings


SECOND = datetime(2026, 3, 1, 23, 15, 9, tzinfo=UTC)


@pytest.mark.parametrize(
    ("protocol", "name", "at"),
    [
        (Z2M, "lamp", SECOND),
        (Z2M, "lamp-off", NOW),
        (TASMOTA, "state", SECOND),
        (TASMOTA, "state-zone", SECOND),
        (TASMOTA, "status8", SECOND),
        (TASMOTA, "state-no-clock", NOW),
        (TASMOTA, "result", NOW),
        (SHELLY, "switch", AT),
        (SHELLY, "light", NOW),
        (COVER, "closed", SECOND),
    ],
)
def test_the_devices_own_time_is_taken_where_it_has_one(protocol: Protocol, name: str, at: datetime) -> None:
    (first, *_) = say(protocol, name).readings
    assert (first.event.at, first.timed) == (at, at != NOW)


@pytest.mark.parametrize(
    ("protocol", "name", "address"),
    [
        (Z2M, "lamp", "楼道/灯 1"),
        (Z2M, "available", "lamp-1"),
        (Z2M, "bridge-online", "bridge"),
        (Z2M, "left", "lamp-1"),
        (TASMOTA, "state", "lamp-1"),
        (TASMOTA, "prefix-last", "house/3"),
        (SHELLY, "offline", "house/3/shelly"),
        (SHELLY, "answer", "shelly1-00000000aa01"),
        (EBYTE, "state", "S0000001"),
    ],
)
def test_a_device_is_named_by_its_topic(protocol: Protocol, name: str, address: str) -> None:
    assert say(protocol, name).address == address


def test_under_another_base_topic_a_name_is_another_device() -> None:
    decoded = Z2M.decode("cellar/lamp-1", wire({"state": "ON"}), NOW, ZONE)
    assert decoded.address == "cellar/lamp-1"
    assert Z2M.topics_of is not None
    assert Z2M.topics_of(registered("zigbee2mqtt", base="cellar")) == ("cellar/#",)
    assert Z2M.topics_of(registered("zigbee2mqtt")) == ()


@pytest.mark.parametrize(
    ("protocol", "options", "address", "topics"),
    [
        (TASMOTA, {}, "lamp-1", ()),
        (TASMOTA, {}, "house/3", ("tele/house/3/+", "stat/house/3/+")),
        (TASMOTA, {"layout": "prefix-last"}, "house/3", ("house/3/tele/+", "house/3/stat/+")),
        (SHELLY, {}, "lamp-1", ()),
        (SHELLY, {}, "a/b", ("a/b/events/rpc", "a/b/online", "a/b/status/+", "a/b/linli/rpc")),
    ],
)
def test_topics_of_a_root_of_ones_own(
    protocol: Protocol, options: dict[str, str], address: str, topics: tuple[str, ...]
) -> None:
    assert protocol.topics_of is not None
    assert protocol.topics_of(registered(protocol.name, address=address, **options)) == topics


@pytest.mark.parametrize(
    ("protocol", "name", "options", "events"),
    [
        (Z2M, "two-switches", {"channel": "l2"}, ["lamp_measured level_pct=0.0"]),
        (TASMOTA, "two-relays", {}, ["lamp_measured level_pct=100.0"]),
        (TASMOTA, "two-relays", {"channel": "2"}, ["lamp_measured level_pct=0.0"]),
        (TASMOTA, "power", {}, []),
        (SHELLY, "full", {"channel": "1"}, ["lamp_measured level_pct=100.0"]),
        (EBYTE, "state", {"channel": "2"}, ["lamp_measured level_pct=0.0"]),
    ],
)
def test_of_several_lamps_the_one_registered_speaks(
    protocol: Protocol, name: str, options: dict[str, str], events: list[str]
) -> None:
    assert protocol.interpret is not None
    decoded = protocol.interpret(say(protocol, name), registered(protocol.name, **options))
    assert told(decoded) == events
    assert bool(decoded.ignored) is not bool(events)


@pytest.mark.parametrize(
    ("protocol", "options", "level", "topic", "payload"),
    [
        (Z2M, {}, 40, "zigbee2mqtt/lamp-1/set", {"state": "ON", "brightness": 102}),
        (Z2M, {}, 0, "zigbee2mqtt/lamp-1/set", {"state": "OFF"}),
        (Z2M, {"output": "relay", "channel": "l2"}, 40, "zigbee2mqtt/lamp-1/set", {"state_l2": "ON"}),
        (Z2M, {"base": "cellar"}, 0, "lamp-1/set", {"state": "OFF"}),
        (TASMOTA, {}, 40, "cmnd/lamp-1/Power", "ON"),
        (TASMOTA, {"channel": "2"}, 0, "cmnd/lamp-1/Power2", "OFF"),
        (TASMOTA, {"output": "dimmer"}, 40, "cmnd/lamp-1/Dimmer", "40"),
        (TASMOTA, {"layout": "prefix-last"}, 40, "lamp-1/cmnd/Power", "ON"),
        (EBYTE, {"channel": "2"}, 40, "yibaite/lamp-1-set", None),
        (SHELLY, {"output": "dimmer"}, 40, "lamp-1/rpc", None),
    ],
)
def test_a_lamp_is_told_in_its_own_language(
    protocol: Protocol, options: dict[str, str], level: float, topic: str, payload: Any
) -> None:
    lamp = registered(protocol.name, **options)
    message = protocol.encode(SetLamp(not_after=NOW, level_pct=level), "c-1", lamp, AT)
    assert isinstance(message, Outgoing)
    assert message.topic == topic
    if isinstance(payload, str):
        assert message.payload.decode() == payload
    elif payload is not None:
        assert json.loads(message.payload) == payload


@pytest.mark.parametrize(
    ("protocol", "address", "level"),
    [(Z2M, "lamp-1", 40), (SHELLY, "shelly1-00000000aa01", 100), (EBYTE, "S0000001", 100)],
)
def test_a_command_is_the_recorded_one_field_by_field(protocol: Protocol, address: str, level: float) -> None:
    lamp = registered(protocol.name, address=address)
    message = protocol.encode(SetLamp(not_after=NOW, level_pct=level), "c-1", lamp, AT)
    assert isinstance(message, Outgoing)
    assert (message.topic, json.loads(message.payload)) == fixture(protocol.name, "set")


def test_what_restarts_is_told_so() -> None:
    lamp = registered("tasmota")
    message = TASMOTA.encode(Reboot(not_after=NOW), "c-1", lamp, AT)
    assert message == Outgoing(topic="cmnd/lamp-1/Restart", payload=b"1")
    assert b'"Shelly.Reboot"' in SHELLY.encode(Reboot(not_after=NOW), "c-1", lamp, AT).payload


@pytest.mark.parametrize("protocol", [Z2M, TASMOTA, SHELLY, EBYTE, COVER], ids=lambda p: p.name)
def test_a_lamp_opens_no_door(protocol: Protocol) -> None:
    with pytest.raises(UnsupportedCommandError):
        protocol.encode(OpenPassage(not_after=NOW), "c-1", registered(protocol.name), AT)


@pytest.mark.parametrize("protocol", [Z2M, TASMOTA, SHELLY, EBYTE, COVER], ids=lambda p: p.name)
@pytest.mark.parametrize("topic", ["", "a", "a/b", "zigbee2mqtt/+", "tele//STATE", "/online"])
def test_a_topic_of_somebody_else_is_refused(protocol: Protocol, topic: str) -> None:
    if protocol is Z2M and topic == "a/b":
        return  # any first level may be a base topic
    with pytest.raises(DecodeError):
        protocol.decode(topic, b"{}", NOW, ZONE)
