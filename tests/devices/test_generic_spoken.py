"""The simulated lamps of the generic protocols and their decoders show what the other got wrong."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from devices.archive import matches
from devices.effects import SetLamp
from devices.events import CommandAnswered, DeviceStatusChanged, Event, LampFaulted, LampMeasured
from devices.model import Device, Outgoing
from devices.protocols import PROTOCOLS
from simulators.device import Later, Simulated, World
from simulators.estate import Estate, Happening, What
from simulators.fleet import simulated
from simulators.generic_lamps import lamps
from simulators.ledger import Ledger
from simulators.pictures import Pictures
from tests.devices.hostile import NOW, ZONE

ESTATE = Estate(1)


class Heard:
    """The gateway's end for one device: what it understands of what was said."""

    def __init__(self, device: Device) -> None:
        self.device = device
        self.protocol = PROTOCOLS[device.protocol]
        self.memory: Any = None
        self.replies: list[Outgoing] = []

    def events(self, said: Iterable[Later]) -> list[Event]:
        return [event for later in said for event in self._understood(later.message)]

    def _understood(self, message: Outgoing) -> list[Event]:
        protocol = self.protocol
        own = protocol.topics_of(self.device) if protocol.topics_of else ()
        assert any(matches(topic, message.topic) for topic in (*protocol.topics, *own)), message.topic
        decoded = protocol.decode(message.topic, message.payload, NOW, ZONE)
        if protocol.follow:
            self.memory, decoded = protocol.follow(self.memory, decoded, NOW)
        assert decoded.address in ("", self.device.address)
        assert protocol.interpret
        decoded = protocol.interpret(decoded, self.device)
        self.replies += decoded.replies
        return [reading.event for reading in decoded.readings]


def world() -> World:
    return World(estate=ESTATE, pictures=Pictures(ESTATE), ledger=Ledger(), boot="b00t", first_record=1000)


def player(device: Device) -> tuple[Simulated, Heard]:
    return simulated(device, world()), Heard(device)


LAMPS = {device.protocol: device for device in lamps("c1")}


@pytest.mark.parametrize("name", LAMPS)
def test_a_lamp_comes_measures_fails_and_goes(name: str) -> None:
    lamp, heard = player(LAMPS[name])
    assert [e.online for e in heard.events(lamp.hello(NOW)) if isinstance(e, DeviceStatusChanged)][-1]
    read = Happening(at=NOW, what=What.LAMP_READ, device=lamp.device.id)
    measured = heard.events(lamp.happen(read, NOW))
    assert [e.level_pct for e in measured if isinstance(e, LampMeasured)] == [0]
    broken = heard.events(lamp.happen(Happening(at=NOW, what=What.LAMP_FAILED, device=lamp.device.id), NOW))
    if name != "home_assistant":  # its schema has no word for it
        assert [e.active for e in broken if isinstance(e, LampFaulted)] == [True]
    assert lamp.will is not None
    for gone in (lamp.bye(NOW), [Later(message=lamp.will)]):
        assert [e.online for e in heard.events(gone) if isinstance(e, DeviceStatusChanged)] == [False]
    assert not heard.replies


@pytest.mark.parametrize("name", LAMPS)
def test_a_lamp_is_dimmed_and_shows_it(name: str) -> None:
    lamp, heard = player(LAMPS[name])
    heard.events(lamp.hello(NOW))
    message = heard.protocol.encode(SetLamp(not_after=NOW, level_pct=60), "c-1", lamp.device, NOW)
    assert isinstance(message, Outgoing)
    assert message.topic in lamp.hears
    own = heard.protocol.orders_of(lamp.device) if heard.protocol.orders_of else ()
    assert any(matches(topic, message.topic) for topic in (*heard.protocol.orders, *own))
    told = heard.events(lamp.told(message.topic, message.payload, NOW))
    assert [e.level_pct for e in told if isinstance(e, LampMeasured)] == [pytest.approx(60, abs=0.5)]
    assert bool([e for e in told if isinstance(e, CommandAnswered)]) is (name == "tb_gateway")


def test_a_host_that_missed_the_birth_hears_it_again() -> None:
    lamp, heard = player(LAMPS["sparkplug"])
    lamp.hello(NOW)
    assert not heard.events(lamp.happen(Happening(at=NOW, what=What.LAMP_READ, device="x"), NOW))
    [asking] = heard.replies
    assert asking.topic in lamp.hears
    assert heard.events(lamp.told(asking.topic, asking.payload, NOW))
    assert heard.events(lamp.happen(Happening(at=NOW, what=What.LAMP_READ, device="x"), NOW))
    assert len(heard.replies) == 1
