"""Devices behind a ThingsBoard gateway: one message for several, values as they are registered, commands as RPC."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from msgspec.structs import replace

from devices.commands import number_of
from devices.effects import CloseBarrier, OpenPassage, Reboot, SetLamp, Speak
from devices.errors import DecodeError, UnsupportedCommandError
from devices.events import (
    CommandAnswered,
    CommandResult,
    CoverMoved,
    DeviceStatusChanged,
    LampMeasured,
    OfflineReason,
    SensorMeasured,
    VendorNotice,
)
from devices.model import Decoded, Device, Outgoing
from devices.protocols import tb_gateway
from devices.protocols.tb_gateway import PROTOCOL
from tests.devices.hostile import NOW, ROTTEN, ZONE, bent, fixture, fixtures, read_safely, to_bytes

AT = datetime(2026, 3, 1, 23, 25, 9, 250_000, tzinfo=UTC)
LATER = AT + timedelta(seconds=1)
PUMP = Device(
    id="pump",
    kind="light",
    protocol="tb_gateway",
    address="Pump 3",
    options={"level_pct": "level", "active_power_w": "power"},
)


def decode(name: str) -> Decoded:
    topic, payload = fixture("tb_gateway", name)
    return PROTOCOL.decode(topic, to_bytes(payload), NOW, ZONE)


def test_devices_come_and_go() -> None:
    assert decode("connect").address == "Pump 3"
    assert decode("connect").readings[0].event == DeviceStatusChanged(at=NOW, online=True)
    gone = DeviceStatusChanged(at=NOW, online=False, reason=OfflineReason.GOODBYE)
    assert decode("disconnect").readings[0].event == gone


def test_one_message_of_telemetry_speaks_of_each_device() -> None:
    pump, lid = decode("telemetry"), decode("telemetry").others[0]
    assert [r.event for r in pump.readings] == [
        SensorMeasured(at=AT, metric="level", value=40),
        SensorMeasured(at=AT, metric="power", value=22.5),
        SensorMeasured(at=LATER, metric="level", value=41),
    ]
    assert (lid.address, [r.event for r in lid.readings]) == (
        "Lid 8",
        [SensorMeasured(at=AT, metric="open", value=1)],
    )
    assert all(r.timed for r in pump.readings)
    assert [r.timed for r in decode("telemetry-untimed").readings] == [False, False]


def test_values_mean_what_the_registration_says() -> None:
    told = tb_gateway.interpret(decode("telemetry"), PUMP)
    assert [r.event for r in told.readings] == [
        LampMeasured(at=AT, level_pct=40, active_power_w=22.5),
        LampMeasured(at=LATER, level_pct=41),
    ]
    lid = Device(id="lid", kind="cover", protocol="tb_gateway", address="Lid 8", options={"cover_open": "open"})
    told = tb_gateway.interpret(decode("telemetry").others[0], lid)
    assert [r.event for r in told.readings] == [CoverMoved(at=AT, open=True)]


def test_attributes_are_values_without_a_time() -> None:
    assert [r.event for r in decode("attributes").readings] == [
        SensorMeasured(at=NOW, metric="limit", value=80),
    ]
    assert decode("attributes-request").readings[0].event == VendorNotice(at=NOW, name="attributes/request", code="4")


def test_texts_that_may_name_somebody_are_not_kept() -> None:
    said = PROTOCOL.decode("v1/gateway/attributes", b'{"Pump 3": {"ownerName": "Lisi", "note": "a b c"}}', NOW, ZONE)
    assert [r.event for r in said.readings] == [VendorNotice(at=NOW, name="ownerName")]


@pytest.mark.parametrize("name", ["rpc", "attributes-update"])
def test_what_we_said_ourselves_is_left_alone(name: str) -> None:
    assert decode(name).ignored == "said by the platform"


def test_an_answer_is_matched_by_number() -> None:
    done = CommandAnswered(at=NOW, command_id="77", result=CommandResult.ACCEPTED)
    assert decode("rpc-answer").readings[0].event == done
    refused = CommandAnswered(at=NOW, command_id="78", result=CommandResult.FAILED, reason="jammed")
    assert decode("rpc-refused").readings[0].event == refused


def test_a_command_is_an_rpc_whose_id_is_a_number() -> None:
    message = PROTOCOL.encode(SetLamp(not_after=NOW, level_pct=60), "c-1", PUMP, NOW)
    topic, payload = fixture("tb_gateway", "rpc")
    payload["data"]["id"] = number_of("c-1")
    assert isinstance(message, Outgoing)
    assert (message.topic, json.loads(message.payload)) == (topic, payload)
    for command, method in ((OpenPassage, "open"), (CloseBarrier, "close"), (Reboot, "reboot")):
        told = PROTOCOL.encode(command(not_after=NOW), "c-1", PUMP, NOW)
        assert isinstance(told, Outgoing)
        assert json.loads(told.payload)["data"]["method"] == method
    with pytest.raises(UnsupportedCommandError):
        PROTOCOL.encode(Speak(not_after=NOW, text="x"), "c-1", PUMP, NOW)


@given(bent(fixtures("tb_gateway")))
def test_only_decode_errors_escape(message: tuple[str, bytes]) -> None:
    decoded = read_safely(PROTOCOL, *message)
    for part in (decoded, *decoded.others) if decoded else ():
        tb_gateway.interpret(part, PUMP)


@pytest.mark.parametrize("payload", ROTTEN)
@pytest.mark.parametrize("topic", PROTOCOL.topics)
def test_rotten_payloads_are_refused(payload: bytes, topic: str) -> None:
    with pytest.raises(DecodeError):
        PROTOCOL.decode(topic, payload, NOW, ZONE)


def test_parameters_of_a_method_are_an_option_and_have_to_be_an_object() -> None:
    pump = replace(PUMP, options={"rpc_open": 'toggle_gpio {"pin": 1}', "rpc_close": "toggle_gpio pin"})
    told = PROTOCOL.encode(OpenPassage(not_after=NOW), "c-1", pump, NOW)
    assert isinstance(told, Outgoing)
    assert json.loads(told.payload)["data"] == {"id": number_of("c-1"), "method": "toggle_gpio", "params": {"pin": 1}}
    with pytest.raises(UnsupportedCommandError, match="rpc_close"):
        PROTOCOL.encode(CloseBarrier(not_after=NOW), "c-1", pump, NOW)
