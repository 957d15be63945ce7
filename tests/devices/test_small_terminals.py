"""DAS and YLD terminals, of which little is published: what is known of them, both ways."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.effects import Command, OpenPassage, PersonEntry, Reboot, SetLamp, SyncPersons
from devices.errors import UnsupportedCommandError
from devices.events import CommandAnswered, CommandResult, DeviceStatusChanged, Event, Heartbeat
from devices.model import Decoded, Device, Outgoing, Protocol
from devices.protocols import das, yld
from tests.devices.hostile import NOW, ROTTEN, ZONE, bent, fixture, fixtures, read_safely

AT = datetime(2026, 3, 1, 23, 15, 9, tzinfo=UTC)
AT_MS, NOW_MS = 1772406909000, 1772406930000


def say(protocol: Protocol, name: str) -> Decoded:
    topic, payload = fixture(protocol.name, name)
    return protocol.decode(topic, json.dumps(payload).encode(), NOW, ZONE)


@pytest.mark.parametrize(
    ("protocol", "name", "event"),
    [
        (das.PROTOCOL, "heart", Heartbeat(at=AT)),
        (das.PROTOCOL, "ntp", Heartbeat(at=AT)),
        (yld.PROTOCOL, "opened", CommandAnswered(at=NOW, command_id="c-1", result=CommandResult.DONE)),
        (yld.PROTOCOL, "refused", CommandAnswered(at=NOW, command_id="c-1", result=CommandResult.FAILED, reason="9")),
        (yld.PROTOCOL, "online", DeviceStatusChanged(at=NOW, online=True)),
    ],
)
def test_each_kind_of_message_says_one_thing(protocol: Protocol, name: str, event: Event) -> None:
    (reading,) = say(protocol, name).readings
    assert reading.event == event
    assert reading.timed == (event.at == AT)


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("heart", {"id": "7", "time": NOW_MS, "interval": 30}),
        ("ntp", {"id": "8", "deviceSendTime": AT_MS, "serverRecvTime": NOW_MS, "serverSendTime": NOW_MS}),
    ],
)
def test_a_das_device_is_answered_with_our_time(name: str, answer: dict[str, Any]) -> None:
    (reply,) = say(das.PROTOCOL, name).replies
    assert (reply.topic, json.loads(reply.payload)) == (f"sys/p1/d1/thing/{name}/response", answer)


def sent(command: Command, **options: str) -> tuple[str, Any]:
    gate = Device(id="g", kind="face_gate", protocol="yld", address="Y1", options=options)
    message = yld.PROTOCOL.encode(command, "c-1", gate, NOW)
    assert isinstance(message, Outgoing)
    return message.topic, json.loads(message.payload)


@pytest.mark.parametrize(("name", "command"), [("open", OpenPassage(not_after=NOW)), ("reboot", Reboot(not_after=NOW))])
def test_a_command_is_worded_as_the_deployed_client_words_it(name: str, command: Command) -> None:
    assert sent(command) == fixture("yld", name)


@pytest.mark.parametrize(
    "command",
    [
        SyncPersons(not_after=NOW, put=(PersonEntry(id="r-1"),)),
        SyncPersons(not_after=NOW, remove=("r-1",)),
        SetLamp(not_after=NOW, level_pct=1),
    ],
)
def test_what_has_no_message_is_refused_before_it_is_sent(command: Command) -> None:
    with pytest.raises(UnsupportedCommandError):
        sent(command)
    with pytest.raises(UnsupportedCommandError):
        das.PROTOCOL.encode(command, "c-1", Device(id="g", kind="face_gate", protocol="das", address="d1"), NOW)


@pytest.mark.parametrize("protocol", [das.PROTOCOL, yld.PROTOCOL], ids=lambda p: p.name)
@given(data=st.data())
def test_a_bent_message_or_rubbish_is_read_or_refused_and_nothing_else(protocol: Protocol, data: st.DataObject) -> None:
    messages = fixtures(protocol.name)
    read_safely(protocol, *data.draw(bent(messages)))
    topic, _ = data.draw(st.sampled_from(messages))
    read_safely(protocol, topic, data.draw(st.binary() | st.sampled_from(ROTTEN)))
