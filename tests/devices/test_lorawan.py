"""ChirpStack and The Things Stack: envelopes, and codecs chosen by the registration."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices import registry
from devices.codecs import CODECS, Uplink
from devices.effects import OpenPassage, Reboot, SetLamp
from devices.errors import DecodeError, UnsupportedCommandError
from devices.model import Decoded, Device, Protocol
from devices.protocols import chirpstack, ttn
from devices.protocols.lorawan import NO_CODEC, UNKNOWN_CODEC, interpret
from tests.devices.hostile import NOW, fixture
from tests.devices.said import AT, registered, say, told

COMMAND = "11111111222243338444555555555555"
SERVERS = pytest.mark.parametrize("server", [chirpstack.PROTOCOL, ttn.PROTOCOL], ids=lambda p: p.name)


def uplink(data: str = "", port: int = 1, decoded: Any = None, **options: str) -> Uplink:
    return Uplink(f_port=port, data=bytes.fromhex(data), decoded=decoded, at=AT, received_at=NOW, options=options)


def read(codec: str, message: Uplink) -> list[str]:
    """What a codec makes of a message, as `told`."""
    return told(Decoded(address="a", readings=CODECS[codec].decode(message)))


@pytest.mark.parametrize(
    ("name", "events"),
    [
        ("status", ["battery_measured level_pct=88.5"]),
        ("status-mains", ["heartbeat"]),
        ("ack", [f"command_answered command_id={COMMAND} result=accepted"]),
        ("nack", [f"command_answered command_id={COMMAND} result=failed reason=not acknowledged by the device"]),
        ("log", ["vendor_notice name=chirpstack.UPLINK_MIC code=ERROR"]),
        ("up", ["heartbeat"]),
        ("up-v3", ["heartbeat"]),
        ("up-empty", ["heartbeat"]),
    ],
)
def test_chirpstack_speaks_for_its_devices(name: str, events: list[str]) -> None:
    decoded = say(chirpstack.PROTOCOL, name)
    assert told(decoded) == events
    assert decoded.address == "70b3d5e75e00aa01"
    assert decoded.readings[0].event.at == AT


@pytest.mark.parametrize("name", ["txack", "location"])
def test_what_chirpstack_says_about_itself_is_ignored_for_a_reason(name: str) -> None:
    assert say(chirpstack.PROTOCOL, name).ignored


@pytest.mark.parametrize(
    ("name", "events"),
    [
        ("ack", ["command_answered command_id=c-1 result=accepted"]),
        ("nack", ["command_answered command_id=c-1 result=failed reason=not acknowledged by the device"]),
        ("failed", ["command_answered command_id=c-1 result=failed reason=downlink_too_long"]),
        ("join", ["device_status_changed online=True boot_id=as:up:01AAAAAAAAAAAAAAAAAAAAAAAA"]),
        ("up", ["heartbeat"]),
    ],
)
def test_the_things_stack_speaks_for_its_devices(name: str, events: list[str]) -> None:
    assert told(say(ttn.PROTOCOL, name)) == events


@pytest.mark.parametrize("name", ["queued", "solved", "ack-of-another"])
def test_what_is_not_for_us_on_the_things_stack_is_ignored_for_a_reason(name: str) -> None:
    assert say(ttn.PROTOCOL, name).ignored


@SERVERS
def test_the_registration_says_what_a_payload_means(server: Protocol) -> None:
    said = interpret(say(server, "up"), registered(server.name, codec="nas_luminaire"))
    assert told(said) == ["lamp_measured level_pct=40.0"]
    (reading,) = said.readings
    assert reading.event.at == AT
    assert reading.record_id.endswith(":0")
    objects = interpret(say(server, "up-object"), registered(server.name, kind="sensor", codec="milesight"))
    assert told(objects) == ["battery_measured level_pct=92.0", "sensor_measured metric=temperature_c value=21.5"]
    assert len({r.record_id for r in objects.readings}) == 2


@SERVERS
def test_without_a_codec_a_payload_is_ignored_and_the_missing_option_named(server: Protocol) -> None:
    said = interpret(say(server, "up"), registered(server.name))
    assert (said.readings, said.ignored) == ((), NO_CODEC)
    assert interpret(say(server, "up"), registered(server.name, codec="acme")).ignored == UNKNOWN_CODEC


@SERVERS
def test_a_message_sent_again_has_the_same_record(server: Protocol) -> None:
    lamp = registered(server.name, codec="nas_luminaire")
    assert interpret(say(server, "up"), lamp).readings == interpret(say(server, "up"), lamp).readings


def test_a_stored_record_keeps_its_own_time() -> None:
    said = CODECS["milesight"].decode(uplink("20CE406F466310015D01", model="em300-sld"))
    assert {r.stored for r in said} == {True}
    assert {r.event.at for r in said} == {datetime.fromtimestamp(0x63466F40, UTC)}


@pytest.mark.parametrize(
    ("server", "options", "address"),
    [
        (chirpstack.PROTOCOL, {"application": "7e1f0c52-0000-4000-8000-000000000001"}, "70b3d5e75e00aa01"),
        (ttn.PROTOCOL, {"application": "estate@linli"}, "lamp-1"),
    ],
    ids=["chirpstack", "ttn"],
)
def test_a_lamp_is_dimmed_by_a_downlink(server: Protocol, options: dict[str, str], address: str) -> None:
    lamp = registered(server.name, address=address, codec="nas_luminaire", **options)
    command_id = COMMAND if server is chirpstack.PROTOCOL else "c-1"
    message = server.encode(SetLamp(not_after=NOW, level_pct=40), command_id, lamp, AT)
    topic, payload = fixture(server.name, "down")
    assert (message.topic, json.loads(message.payload)) == (topic, payload)  # type: ignore[union-attr]


@SERVERS
def test_what_a_device_cannot_be_told_is_refused(server: Protocol) -> None:
    whole = {"codec": "nas_luminaire", "application": "a"}
    for options in ({"application": "a"}, {"codec": "nas_luminaire"}, {**whole, "codec": "bosch_parking"}):
        with pytest.raises(UnsupportedCommandError):
            server.encode(SetLamp(not_after=NOW, level_pct=1), "c-1", registered(server.name, **options), AT)
    with pytest.raises(UnsupportedCommandError):
        server.encode(OpenPassage(not_after=NOW), "c-1", registered(server.name, **whole), AT)


@SERVERS
@pytest.mark.parametrize("topic", ["", "a/b", "application/1/device/x y/event/up", "v3/a/devices//up"])
def test_a_topic_of_somebody_else_is_refused(server: Protocol, topic: str) -> None:
    with pytest.raises(DecodeError):
        server.decode(topic, b"{}", NOW, UTC)


def test_a_third_party_codec_is_found_beside_ours() -> None:
    assert set(registry.codecs()) == {"nas_luminaire", "milesight", "dragino", "bosch_parking"}


# -- codecs ---------------------------------------------

OFF = "lamp_faulted fault={} active=False"
WELL = [OFF.format("lampFailure"), OFF.format("supplyLoss")]


@pytest.mark.parametrize(
    ("port", "data", "events"),
    [
        (60, "01FE64", ["lamp_measured level_pct=100.0"]),
        (60, "010432", ["lamp_measured level_pct=50.0"]),
        (60, "09FE1E05", ["lamp_measured level_pct=30.0"]),
        (60, "01FEFF", ["vendor_notice name=nas.manual_dimming"]),
        (60, "0602", ["vendor_notice name=nas.interface_request"]),
        (61, "83200202", ["lamp_faulted fault=lampFailure", OFF.format("supplyLoss")]),
        (61, "83200280", [OFF.format("lampFailure"), "lamp_faulted fault=supplyLoss"]),
        (61, "83200200", WELL),
        (
            61,
            "8405590000000A",
            [
                "lamp_measured active_power_w=89.0 supply_voltage_v=0.0",
                "lamp_faulted fault=lampFailure",
                "vendor_notice name=nas.under_voltage_alert",
            ],
        ),
        (
            61,
            "81200130",
            ["sensor_measured metric=light_input value=1.0", "sensor_measured metric=light_input_level value=48.0"],
        ),
        (61, "80200600", ["sensor_measured metric=digital_input_count value=6.0"]),
        (61, "8503", ["sensor_measured metric=light_sensor_step value=3.0"]),
        (26, "00FF03E80300001900", ["lamp_measured active_power_w=25.0 active_energy_kwh=1.0"]),
        (25, "0403E80300001900", ["lamp_measured active_power_w=25.0 active_energy_kwh=1.0"]),
        (99, "133C09", ["vendor_notice name=nas.invalid_downlink_packet code=unavailable_feature_request"]),
        (
            23,
            "01000000000000320916000201D2FE501900",
            ["lamp_measured level_pct=25.0 temperature_c=22.0", *WELL],
        ),
        (23, "00000000000032091602AAFE502800", ["lamp_measured level_pct=40.0 temperature_c=22.0", *WELL]),
        (
            24,
            "00000000024B041502AE05050AFF32",
            ["lamp_measured level_pct=50.0 temperature_c=21.0", "vendor_notice name=nas.dali_connection_error"],
        ),
    ],
)
def test_a_luminaire_controllers_bytes_are_read(port: int, data: str, events: list[str]) -> None:
    assert read("nas_luminaire", uplink(data, port)) == events


def test_a_luminaire_that_starts_says_its_firmware() -> None:
    (event,) = CODECS["nas_luminaire"].decode(uplink("00010203040102030000000000000000000004", 99))
    assert told(Decoded(address="a", readings=(event,)))[0].endswith("firmware=1.2.3")


@pytest.mark.parametrize(
    ("decoded", "events"),
    [
        (
            {"packet_type": "manual_dimming", "destination": [{"dimming_level__percent": 40}]},
            ["lamp_measured level_pct=40.0"],
        ),
        (
            {
                "data": {
                    "packet_type": {"value": "manual_dimming"},
                    "destination": [{"dimming_level__percent": {"value": 40, "raw": 40}}],
                }
            },
            ["lamp_measured level_pct=40.0"],
        ),
        (
            {"packet_type": "interface_request", "dig": "on", "ldr": 69},
            ["sensor_measured metric=digital_input value=1.0", "sensor_measured metric=light_input_level value=69.0"],
        ),
        ({"packet_type": "profile_config_packet"}, ["vendor_notice name=nas.profile_config_packet"]),
        (
            {"packet_type": "status_packet", "sensor_source": {"light_sensor__lx": "299.9", "tilt_sensor__deg": 3}},
            ["lamp_measured illuminance_lx=299.9", "sensor_measured metric=tilt_deg value=3.0"],
        ),
        ({}, []),
        (None, []),
        ("text", []),
    ],
)
def test_a_luminaire_controllers_object_is_read(decoded: Any, events: list[str]) -> None:
    assert read("nas_luminaire", uplink(decoded=decoded)) == events


@pytest.mark.parametrize(
    ("option", "address"), [("broadcast", 0xFE), ("single_2", 4), ("single_63", 126), ("group_3", 0x86)]
)
def test_a_dali_address_is_an_option(option: str, address: int) -> None:
    lamp = registered("ttn", dali=option)
    assert CODECS["nas_luminaire"].encode(SetLamp(not_after=NOW, level_pct=50), lamp) == (60, bytes((1, address, 50)))
    assert CODECS["nas_luminaire"].encode(Reboot(not_after=NOW), lamp) == (51, b"\xfe")


@pytest.mark.parametrize("option", ["single_64", "group_16", "single_x", "all", "single_" + "9" * 5000])
def test_a_dali_address_that_is_none_is_refused(option: str) -> None:
    with pytest.raises(UnsupportedCommandError):
        CODECS["nas_luminaire"].encode(SetLamp(not_after=NOW, level_pct=50), registered("ttn", dali=option))


TILTED = "sensor_measured metric=tilted value=1.0"


@pytest.mark.parametrize(
    ("model", "data", "events"),
    [
        (
            "em300-th",
            "01755C 0367D200 046850",
            [
                "battery_measured level_pct=92.0",
                "sensor_measured metric=temperature_c value=21.0",
                "sensor_measured metric=humidity_pct value=40.0",
            ],
        ),
        ("em300-mcs", "060001", ["door_changed open=True"]),
        ("em300-sld", "050001", ["hazard_detected hazard=water_leak"]),
        ("em310-udl", "03824408 040001", [TILTED, "sensor_measured metric=distance_mm value=2116.0"]),
        (
            "em400-tld",
            "8382410601",
            [
                "sensor_measured metric=distance_mm value=1601.0",
                "vendor_notice name=milesight.distance_alarm code=threshold_alarm",
            ],
        ),
        ("em500-swl", "0377FFFF", ["vendor_notice name=milesight.depth_error code=ffff"]),
        ("gs101", "058E01", ["hazard_detected hazard=gas"]),
        ("gs524n", "221164051C", None),
        (
            "gs524n",
            "221164051C40",
            [
                "hazard_detected hazard=smoke",
                "battery_measured level_pct=100.0",
                "sensor_measured metric=concentration value=5.0",
                "sensor_measured metric=temperature_c value=28.0",
            ],
        ),
        ("ws101", "FF2E01", ["vendor_notice name=button code=short press"]),
        (
            "ws202",
            "030001 040000",
            ["sensor_measured metric=occupancy value=1.0", "sensor_measured metric=daylight value=0.0"],
        ),
        ("ws301", "030000 040001", ["door_changed open=False", "tamper_detected"]),
        ("ws523", "FF3FFF 087001", ["lamp_measured level_pct=100.0", "lamp_faulted fault=supplyLoss"]),
        ("ws558", "08310002 04800A000000", ["lamp_measured level_pct=100.0 active_power_w=10.0"]),
        (
            "vs121",
            "05CC01000200",
            ["sensor_measured metric=people_in value=1.0", "sensor_measured metric=people_out value=2.0"],
        ),
        ("ct101", "0498B80B", ["sensor_measured metric=current_a value=30.0"]),
        (
            "em300-th",
            "01755C FF1000",
            ["battery_measured level_pct=92.0", "vendor_notice name=milesight.downlink_answer code=ff10"],
        ),
        (
            "em300-th",
            "01755C 779900",
            ["battery_measured level_pct=92.0", "vendor_notice name=milesight.unread_from_channel code=7799"],
        ),
        ("", "030001", None),
        ("", "0367D2", None),
    ],
)
def test_a_milesight_nodes_bytes_are_read(model: str, data: str, events: list[str] | None) -> None:
    if events is None:
        with pytest.raises(DecodeError):
            read("milesight", uplink(data, model=model))
    else:
        assert read("milesight", uplink(data, model=model)) == events


@pytest.mark.parametrize(
    ("decoded", "events"),
    [
        ({"position": "normal"}, ["sensor_measured metric=tilted value=0.0"]),
        ({"voltate": 229.0, "energy_sum": 3500}, ["lamp_measured supply_voltage_v=229.0 active_energy_kwh=3.5"]),
        ({"switch_1": "on", "switch_2": "off"}, ["lamp_measured level_pct=100.0"]),
        ({"tamper_status": "uninstalled"}, ["tamper_detected"]),
        ({"event": "testing alarm with normal battery"}, ["hazard_detected hazard=smoke test=True"]),
        ({"event": "normal"}, ["hazard_detected hazard=smoke active=False"]),
        ({"radar_quality": 3}, ["sensor_measured metric=radar_quality value=3.0"]),
        ({"imei": "860000000000000", "iccid": "89860000000000000000", "imsi": 460000000000000}, []),
        ({"data": [{"battery": 50}], "imei": "8"}, ["battery_measured level_pct=50.0"]),
        ({"button_event": {"status": "long press", "msgid": 5}}, ["vendor_notice name=button code=long press"]),
        ({"battery": 255}, []),
    ],
)
def test_a_milesight_nodes_object_is_read(decoded: Any, events: list[str]) -> None:
    assert read("milesight", uplink(decoded=decoded)) == events


def test_of_several_switches_the_one_registered_counts() -> None:
    decoded = {"switch_1": "on", "switch_2": "off"}
    assert read("milesight", uplink(decoded=decoded, channel="2")) == ["lamp_measured level_pct=0.0"]


@pytest.mark.parametrize(
    ("options", "level", "data"),
    [
        ({"model": "ws501"}, 40, "FF2911"),
        ({"model": "ws503", "channel": "3"}, 0, "FF2940"),
        ({"model": "ws523"}, 100, "0801FFFF"),
    ],
)
def test_a_milesight_switch_takes_on_and_off(options: dict[str, str], level: float, data: str) -> None:
    codec, device = CODECS["milesight"], registered("ttn", **options)
    assert codec.encode(SetLamp(not_after=NOW, level_pct=level), device) == (85, bytes.fromhex(data))
    assert codec.encode(Reboot(not_after=NOW), device) == (85, b"\xff\x10\xff")
    with pytest.raises(UnsupportedCommandError):
        codec.encode(SetLamp(not_after=NOW, level_pct=level), registered("ttn", model="em300-th"))


DOOR = [
    "door_changed open=True",
    "sensor_measured metric=door_open_count value=2.0",
    "sensor_measured metric=door_open_min value=3.0",
    "battery_measured level_pct=100.0",
]


@pytest.mark.parametrize(
    ("decoded", "data", "events"),
    [
        (None, "8BB8 01 000002 000003 00", DOOR),
        (
            None,
            "4BB8 02 000000 000000 00",
            [
                "hazard_detected hazard=water_leak",
                "sensor_measured metric=water_leak_count value=0.0",
                "sensor_measured metric=water_leak_min value=0.0",
                "battery_measured level_pct=100.0",
            ],
        ),
        (
            {"Bat": 3.6, "Distance": "850 mm"},
            "",
            ["sensor_measured metric=distance_mm value=850.0", "battery_measured level_pct=100.0"],
        ),
        (
            {"BatV": "3.3", "TempC_SHT": 21.5, "Hum_SHT": 40},
            "",
            [
                "sensor_measured metric=temperature_c value=21.5",
                "sensor_measured metric=humidity_pct value=40.0",
                "battery_measured level_pct=50.0",
            ],
        ),
        (
            {"DOOR_OPEN_STATUS": 0, "ALARM": 1},
            "",
            ["door_changed open=False", "vendor_notice name=dragino.alarm code=1"],
        ),
    ],
)
def test_a_dragino_node_is_read(decoded: Any, data: str, events: list[str]) -> None:
    assert read("dragino", uplink(data, decoded=decoded)) == events


@pytest.mark.parametrize(
    ("port", "data", "events"),
    [
        (1, "01", ["bay_changed occupied=True"]),
        (2, "00FD", ["bay_changed occupied=False", "sensor_measured metric=temperature_c value=-3.0"]),
        (
            3,
            "00" * 12 + "001703" + "0101",
            ["device_status_changed online=True firmware=0.23.3", "bay_changed occupied=True"],
        ),
    ],
)
def test_a_parking_sensor_is_read(port: int, data: str, events: list[str]) -> None:
    assert read("bosch_parking", uplink(data, port)) == events


@pytest.mark.parametrize(
    ("kind", "options", "decoded", "event"),
    [
        ("cover", {}, {"distance": 850}, "water_measured below_cover_cm=85.0"),
        ("cover", {}, {"position": "tilt"}, "cover_moved open=True"),
        ("cover", {}, {"magnet_status": "close"}, "cover_moved open=False"),
        ("bay", {}, {"occupancy": "occupied"}, "bay_changed occupied=True"),
        ("light", {}, {"illuminance": 12}, "lamp_measured illuminance_lx=12.0"),
        ("sensor", {"button": "sos"}, {"press": "short press"}, "hazard_detected hazard=sos"),
        ("sensor", {}, {"distance": 850}, "sensor_measured metric=distance_mm value=850.0"),
    ],
)
def test_a_figure_means_what_the_kind_of_the_device_makes_of_it(
    kind: str, options: dict[str, str], decoded: Any, event: str
) -> None:
    device = Device(id="d", kind=kind, protocol="ttn", address="lamp-1", options={"codec": "milesight", **options})
    heard = msgspec.structs.replace(say(ttn.PROTOCOL, "up-object"), raw=uplink(decoded=decoded))
    assert told(interpret(heard, device)) == [event]


KEYS = st.sampled_from(
    [
        "packet_type",
        "status",
        "data",
        "history",
        "timestamp",
        "battery",
        "dimming_source",
        "consumption",
        "value",
        "position",
        "switch_1",
        "event",
        "button_event",
        "BAT_V",
        "Distance",
        "occupied",
        "firmware_version",
        "drivers",
    ]
)
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inside: st.lists(inside, max_size=3) | st.dictionaries(KEYS | st.text(max_size=8), inside, max_size=5),
    max_leaves=20,
)


@pytest.mark.parametrize("codec", list(CODECS.values()), ids=list(CODECS))
@given(
    port=st.sampled_from([0, 1, 2, 3, 23, 24, 25, 26, 60, 61, 85, 99]),
    data=st.binary(max_size=242) | st.just(b""),
    decoded=st.dictionaries(KEYS, PLAIN, max_size=5) | PLAIN,
    model=st.sampled_from(["", "em300-sld", "em400-mud", "gs524n", "ws301", "ws523"]),
)
def test_a_codec_reads_or_refuses_and_nothing_else(
    codec: Any, port: int, data: bytes, decoded: Any, model: str
) -> None:
    message = Uplink(f_port=port, data=data, decoded=decoded, at=AT, received_at=NOW, options={"model": model})
    readings, reason = (), "read"
    try:
        readings = codec.decode(message)
    except DecodeError as error:
        reason = error.reason
    assert 0 < len(reason) < 64
    for reading in readings:
        event = reading.event
        assert msgspec.json.decode(msgspec.json.encode(event), type=type(event)) == event
        assert event.at.tzinfo is UTC
        assert event.at - AT < timedelta(days=40_000)
