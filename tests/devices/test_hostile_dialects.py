"""Every protocol against what a broken or lying device can send: read or refused, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.errors import DecodeError
from devices.kinds import KINDS
from devices.model import Device, Protocol
from devices.protocols import PROTOCOLS
from tests.devices.hostile import ROTTEN, bent, fixtures, read_safely

NAMES = (
    "chirpstack",
    "ttn",
    "zigbee2mqtt",
    "tasmota",
    "shelly",
    "ebyte",
    "nbiot_cover",
    "frigate",
    "onvif",
)
EVERY = pytest.mark.parametrize("protocol", [PROTOCOLS[name] for name in NAMES], ids=NAMES)
OPTIONS = st.dictionaries(
    st.sampled_from(["codec", "channel", "button", "model"]),
    st.sampled_from(
        ["nas_luminaire", "milesight", "dragino", "bosch_parking", "0", "1", "l2", "sos", "ws301", "em400"]
    ),
)


def interpreted(protocol: Protocol, topic: str, payload: bytes, kind: str, options: dict[str, str]) -> None:
    """What is read must also mean something, or be refused, for a device of any kind and options."""
    decoded = read_safely(protocol, topic, payload)
    if decoded is None or protocol.interpret is None:
        return
    device = Device(id="d", kind=kind, protocol=protocol.name, address=decoded.address, options=options)
    said, reason = decoded, "read"
    try:
        said = protocol.interpret(decoded, device)
    except DecodeError as error:
        reason = error.reason
    assert 0 < len(reason) < 64
    assert said.readings or said.ignored
    assert said.address == decoded.address


@EVERY
@given(data=st.data(), kind=st.sampled_from(list(KINDS)), options=OPTIONS)
def test_a_bent_message_is_read_or_refused(protocol: Protocol, data: Any, kind: str, options: dict[str, str]) -> None:
    topic, payload = data.draw(bent(fixtures(protocol.name)))
    interpreted(protocol, topic, payload, kind, options)


@EVERY
@given(data=st.data(), payload=st.binary() | st.sampled_from(ROTTEN) | st.text().map(str.encode))
def test_rubbish_is_read_or_refused(protocol: Protocol, data: Any, payload: bytes) -> None:
    topic, _ = data.draw(st.sampled_from(fixtures(protocol.name)))
    interpreted(protocol, topic, payload, "sensor", {})
