"""Sparkplug B: births, aliases, sequence numbers and deaths; the wire held to the official schema."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from devices.effects import OpenPassage, Reboot, SetLamp, Speak
from devices.errors import DecodeError, UnsupportedCommandError
from devices.events import DeviceStatusChanged, LampMeasured, OfflineReason, SensorMeasured
from devices.model import Decoded, Device, Outgoing
from devices.protocols import sparkplug
from devices.protocols.sparkplug import PROTOCOL, Node, follow
from devices.protocols.sparkplug_wire import TYPES, Metric, Payload, read, write
from tests.devices.hostile import GARBAGE_COSTS, NOW, ROTTEN, ZONE, bent, cost, fixture, fixtures, read_safely

AT = datetime(2026, 3, 1, 23, 25, 9, 250_000, tzinfo=UTC)
LAMP = Device(
    id="lamp",
    kind="light",
    protocol="sparkplug",
    address="Yard:cabinet-3:lamp-a",
    options={"level_pct": "Lamp/Level", "active_power_w": "Lamp/Power", "set_level_pct": "Lamp/Level"},
)


def wired(name: str) -> tuple[str, bytes]:
    """A fixture as it is on the wire."""
    topic, payload = fixture("sparkplug", name)
    return topic, write(read(json.dumps(payload).encode()))


def say(memory: Node | None, name: str, **changes: Any) -> tuple[Node, Decoded]:
    """A fixture, followed after what was remembered."""
    topic, payload = wired(name)
    payload = write(replace(read(payload), **changes))
    return follow(memory, PROTOCOL.decode(topic, payload, NOW, ZONE), NOW)


def asks(decoded: Decoded) -> bool:
    return [(reply.topic, read(reply.payload).metrics[0].name) for reply in decoded.replies] == [
        ("spBv1.0/Yard/NCMD/cabinet-3", "Node Control/Rebirth")
    ]


def born() -> Node:
    node, _ = say(None, "node-birth")
    return say(node, "device-birth")[0]


def test_json_and_wire_are_two_views_of_one_message() -> None:
    for topic, payload in fixtures("sparkplug"):
        content = json.dumps(payload).encode()
        one = PROTOCOL.decode(topic, content, NOW, ZONE)
        other = PROTOCOL.decode(topic, write(read(content)), NOW, ZONE)
        assert one.readings == other.readings


def test_a_birth_says_who_is_there_and_how_things_stand() -> None:
    _, decoded = say(None, "node-birth")
    assert decoded.address == "Yard:cabinet-3"
    assert [r.event for r in decoded.readings] == [
        DeviceStatusChanged(at=AT, online=True, boot_id="7"),
        SensorMeasured(at=AT, metric="cabinet_temperature", value=31.5),
        SensorMeasured(at=AT, metric="cabinet_door", value=0.0),
    ]


def test_an_alias_means_what_the_birth_said_and_the_registration_makes_of_it() -> None:
    node, _ = say(born(), "node-data")
    node, decoded = say(node, "device-data-by-alias")
    assert not decoded.replies
    told = sparkplug.interpret(decoded, LAMP)
    assert [r.event for r in told.readings] == [LampMeasured(at=AT, level_pct=80, active_power_w=45)]
    _, decoded = say(node, "device-data-historical")
    assert [r.stored for r in decoded.readings] == [True]


def test_a_gap_asks_for_a_rebirth_once_and_what_was_understood_counts() -> None:
    node, decoded = say(born(), "node-data", seq=9)
    assert asks(decoded)
    assert decoded.readings
    node, decoded = say(node, "node-data", seq=12)
    assert not decoded.replies
    node = replace(node, asked_at=NOW - timedelta(seconds=11))
    assert asks(say(node, "node-data", seq=20)[1])


def test_the_sequence_begins_anew_after_255() -> None:
    node = replace(born(), seq=255)
    assert not say(node, "node-data", seq=0)[1].replies


def test_data_without_a_birth_asks_for_one() -> None:
    _, decoded = say(None, "device-data-by-alias")
    assert asks(decoded)
    assert decoded.ignored == "values whose birth was not heard"
    assert asks(say(say(None, "node-birth")[0], "device-data-historical", seq=1)[1])


def test_the_death_of_a_node_is_the_death_of_its_devices() -> None:
    node, decoded = say(born(), "node-death")
    gone = [(part.address, part.readings[0].event) for part in (decoded, *decoded.others)]
    will = DeviceStatusChanged(at=NOW, online=False, reason=OfflineReason.WILL)
    assert gone == [("Yard:cabinet-3", will), ("Yard:cabinet-3:lamp-a", will)]
    assert asks(say(node, "node-data", seq=2)[1])


def test_an_old_will_changes_nothing() -> None:
    node = replace(born(), bd_seq=8)
    after, decoded = say(node, "node-death")
    assert after == node
    assert decoded.ignored == "the will of an earlier connection"
    assert sparkplug.interpret(decoded, replace(LAMP, address="Yard:cabinet-3")).ignored


def test_a_devices_death_is_its_own() -> None:
    node, decoded = say(born(), "device-death", seq=2)
    assert decoded.readings[0].event == DeviceStatusChanged(at=AT, online=False, reason=OfflineReason.WILL)
    assert not node.devices
    assert node.born


def test_a_node_with_too_many_aliases_is_refused() -> None:
    node, many = born(), 1000
    payload = write(Payload(metrics=tuple(Metric(name=f"m{n}", alias=n, value=1) for n in range(many))))
    births = [PROTOCOL.decode(f"spBv1.0/Yard/DBIRTH/x/{n}", payload, NOW, ZONE) for n in range(11)]
    for birth in births[: sparkplug.ALIASES_AT_MOST // many - 1]:
        node, _ = follow(node, birth, NOW)
    node, _ = follow(node, births[-2], NOW) if len(node.aliases) + many <= sparkplug.ALIASES_AT_MOST else (node, None)
    with pytest.raises(DecodeError, match="aliases"):
        follow(node, births[-1], NOW)


def test_odd_names_stay_apart() -> None:
    assert sparkplug.address_of("a:b", "c") == "a%3Ab:c"
    assert sparkplug.address_of("a", "b:c") == "a:b%3Ac"
    odd = replace(LAMP, address=sparkplug.address_of("a:b", "c", "d%"))
    assert PROTOCOL.encode(Reboot(not_after=NOW), "c-1", odd, NOW).topic == "spBv1.0/a:b/DCMD/c/d%"  # type: ignore[union-attr]


@pytest.mark.parametrize(("command", "name"), [(SetLamp(not_after=NOW, level_pct=60), "lamp-level"), (None, "rebirth")])
def test_what_goes_down_is_what_the_specification_shows(command: SetLamp | None, name: str) -> None:
    topic, payload = fixture("sparkplug", name)
    message = PROTOCOL.encode(command, "c-1", LAMP, AT) if command else sparkplug.rebirth("Yard", "cabinet-3", AT)
    assert isinstance(message, Outgoing)
    assert message.topic == topic
    assert read(message.payload) == read(json.dumps(payload).encode())


def test_what_no_option_names_cannot_be_commanded() -> None:
    for command in (OpenPassage(not_after=NOW), Speak(not_after=NOW, text="x")):
        with pytest.raises(UnsupportedCommandError):
            PROTOCOL.encode(command, "c-1", LAMP, NOW)


# -- the wire ---------------------------------------------


def official() -> Any:
    """The Payload class of Protocol Buffers itself, from the field numbers of sparkplug_b.proto."""
    kinds = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="sparkplug_b.proto", package="tahu", syntax="proto2")
    metric = file.message_type.add(name="Metric")
    for number, name, kind in (
        (1, "name", kinds.TYPE_STRING),
        (2, "alias", kinds.TYPE_UINT64),
        (3, "timestamp", kinds.TYPE_UINT64),
        (4, "datatype", kinds.TYPE_UINT32),
        (5, "is_historical", kinds.TYPE_BOOL),
        (7, "is_null", kinds.TYPE_BOOL),
        (10, "int_value", kinds.TYPE_UINT32),
        (11, "long_value", kinds.TYPE_UINT64),
        (12, "float_value", kinds.TYPE_FLOAT),
        (13, "double_value", kinds.TYPE_DOUBLE),
        (14, "boolean_value", kinds.TYPE_BOOL),
        (15, "string_value", kinds.TYPE_STRING),
        (16, "bytes_value", kinds.TYPE_BYTES),
    ):
        metric.field.add(name=name, number=number, type=kind, label=kinds.LABEL_OPTIONAL)
    payload = file.message_type.add(name="Payload")
    payload.field.add(name="timestamp", number=1, type=kinds.TYPE_UINT64, label=kinds.LABEL_OPTIONAL)
    payload.field.add(
        name="metrics", number=2, type=kinds.TYPE_MESSAGE, type_name=".tahu.Metric", label=kinds.LABEL_REPEATED
    )
    payload.field.add(name="seq", number=3, type=kinds.TYPE_UINT64, label=kinds.LABEL_OPTIONAL)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("tahu.Payload"))


OFFICIAL = official()
VALUES = [
    ("Boolean", True, "boolean_value", True),
    ("Int8", -5, "int_value", 2**32 - 5),
    ("Int32", -70_000, "int_value", 2**32 - 70_000),
    ("Int64", -(2**40), "long_value", 2**64 - 2**40),
    ("UInt32", 2**32 - 1, "int_value", 2**32 - 1),
    ("UInt64", 2**63, "long_value", 2**63),
    ("Float", 0.5, "float_value", 0.5),
    ("Double", 1e-9, "double_value", 1e-9),
    ("String", "楼", "string_value", "楼"),
]


@pytest.mark.parametrize(("kind", "value", "member", "told"), VALUES)
def test_every_kind_of_value_is_written_as_protocol_buffers_writes_it(
    kind: str, value: Any, member: str, told: Any
) -> None:
    theirs = OFFICIAL(timestamp=1_772_407_509_250, seq=200)
    theirs.metrics.add(name="A/B", alias=2**40, timestamp=5, datatype=TYPES[kind], is_historical=True, **{member: told})
    metric = Metric(name="A/B", alias=2**40, timestamp=5, datatype=TYPES[kind], is_historical=True, value=value)
    ours = Payload(timestamp=1_772_407_509_250, metrics=(metric,), seq=200)
    assert write(ours) == theirs.SerializeToString()
    assert read(theirs.SerializeToString()) == ours


def test_what_we_do_not_need_is_skipped() -> None:
    theirs = OFFICIAL()
    theirs.metrics.add(name="picture", datatype=17, bytes_value=b"\x00" * 300)
    theirs.metrics.add(name="level", is_null=True)
    found = read(theirs.SerializeToString() + b"\x2a\x03abc")
    assert [(m.name, m.value) for m in found.metrics] == [("picture", None), ("level", None)]


# -- hostile ---------------------------------------------

WIRED = [wired(name) for name in ("node-birth", "device-birth", "node-data", "device-data-by-alias", "node-death")]


@given(bent(fixtures("sparkplug")))
def test_only_decode_errors_escape(message: tuple[str, bytes]) -> None:
    read_safely(PROTOCOL, *message)


@given(st.lists(st.tuples(st.sampled_from(WIRED), st.integers(0, 200), st.binary(max_size=6)), max_size=8))
def test_no_conversation_of_broken_messages_breaks_ours(messages: list[tuple[tuple[str, bytes], int, bytes]]) -> None:
    memory: Node | None = None
    for (topic, payload), start, junk in messages:
        broken = payload[:start] + junk + payload[start + len(junk) :]
        decoded = read_safely(PROTOCOL, topic, broken)
        if decoded is None or not decoded.session:
            continue
        try:
            memory, told = follow(memory, decoded, NOW)
        except DecodeError:
            continue
        for part in (told, *told.others):
            sparkplug.interpret(part, LAMP)
            assert part.readings or part.ignored


@pytest.mark.parametrize("payload", ROTTEN)
def test_rotten_payloads_are_refused(payload: bytes) -> None:
    read_safely(PROTOCOL, "spBv1.0/Yard/NDATA/x", payload)


@pytest.mark.parametrize("junk", [b"\x12\x00", b"\xff", b"\x12\xff\xff\x3f", b"{", b"\x0a\x01a", b"["])
def test_a_megabyte_of_garbage_costs_milliseconds(junk: bytes) -> None:
    payload = (junk * (2**20 // len(junk)))[: 2**20]
    assert cost(lambda: read_safely(PROTOCOL, "spBv1.0/Yard/NDATA/x", payload)) < GARBAGE_COSTS


def test_a_value_that_is_no_single_value_is_passed_over_in_the_json_view_too() -> None:
    table = {"name": "Table", "dataType": "DataSet", "value": {"rows": []}}
    plain = {"name": "Level", "type": "Int32", "value": 4}
    found = read(json.dumps({"metrics": [table, plain]}).encode())
    assert [(m.name, m.value, m.datatype) for m in found.metrics] == [("Table", None, 0), ("Level", 4, TYPES["Int32"])]


@pytest.mark.parametrize("topic", ["STATE/linli", "spBv1.0/STATE/linli"])
def test_a_hosts_state_is_nobodys_event(topic: str) -> None:
    assert PROTOCOL.decode(topic, b"ONLINE", NOW, ZONE).ignored
