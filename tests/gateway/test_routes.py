"""Topics of single devices: whose they are, what may be one, and what retained messages on them do."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path
from typing import Any

import pytest

from devices import registry
from devices.effects import Command
from devices.errors import UnsupportedCommandError
from devices.events import CoverMoved, CredentialPresented, DeviceStatusChanged, Method
from devices.model import Decoded, Device, Outgoing, Protocol, Reading
from devices.protocols import PROTOCOLS
from gateway.actions import ReloadDirectory
from gateway.refusals import InvalidError
from gateway.registration import known_names
from gateway.routes import overlap
from tests.gateway.shell import Shell

NOW = datetime(2026, 11, 23, 2, 0, tzinfo=UTC)


def _decode(topic: str, payload: bytes, received_at: datetime, _zone: tzinfo) -> Decoded:
    match payload.split():
        case [b"open" | b"shut" as word]:
            event: Any = CoverMoved(at=received_at, open=word == b"open")
        case [b"card", value]:
            event = CredentialPresented(at=received_at, method=Method.CARD, value=value.decode())
        case [b"both"]:
            moved = Reading(event=CoverMoved(at=received_at, open=True), timed=False)
            return Decoded(address="A1", readings=(moved,), others=(Decoded(address="A2", readings=(moved,)),))
        case _:
            event = DeviceStatusChanged(at=received_at, online=payload == b"on")
    address = topic.split("/")[1] if topic.startswith("lids/") else ""
    return Decoded(address=address, readings=(Reading(event=event, timed=False),))


def _encode(command: Command, *_: Any) -> Outgoing:
    raise UnsupportedCommandError(type(command).__name__)


LIDS = Protocol(
    name="lids",
    topics=("lids/+/state",),
    orders=("lids/+/order",),
    decode=_decode,
    encode=_encode,
    commands=frozenset(),
    heartbeat_s=0,
    retained=("#",),
    topics_of=lambda device: tuple(device.options[key] for key in ("topic",) if key in device.options),
    orders_of=lambda device: tuple(device.options[key] for key in ("listens",) if key in device.options),
)


@pytest.fixture(autouse=True)
def _installed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setitem(PROTOCOLS, LIDS.name, LIDS)
    known_names.cache_clear()
    yield
    known_names.cache_clear()


def lid(number: int, kind: str = "cover", **options: str) -> Device:
    return Device(id=f"lid-{number}", kind=kind, protocol="lids", address=f"A{number}", community="c1", options=options)


def test_a_device_is_heard_on_its_own_topic_as_soon_as_it_is_registered(tmp_path: Path) -> None:
    shell = Shell(tmp_path, devices=())
    shell.take(shell.message("yard/well", b"open"))
    assert shell.rows("SELECT reason FROM quarantine") == [("no protocol listens on this topic",)]
    shell.directory.put_device(lid(1, topic="yard/well"))
    shell.ask(ReloadDirectory(by="test"))
    shell.take(shell.message("yard/well", b"open"))
    assert shell.alerts() == [("cover_open", "active", 1)]
    shell.close()


def test_two_devices_may_share_a_topic_and_nobody_else_speaks_there(tmp_path: Path) -> None:
    shell = Shell(tmp_path, devices=(lid(1, topic="yard/+"), lid(2, topic="yard/+"), lid(3)))
    shell.take(shell.message("yard/well", b"open"))
    assert shell.rows("SELECT device FROM events WHERE type='cover_moved' ORDER BY 1") == [("lid-1",), ("lid-2",)]
    shell.take(shell.message("lids/A3/state", b"open"))
    assert shell.rows("SELECT count(*) FROM events WHERE device='lid-3' AND type='cover_moved'") == [(1,)]
    shell.close()


def test_one_message_may_speak_of_several_devices_and_strangers_are_set_aside(tmp_path: Path) -> None:
    shell = Shell(tmp_path, devices=(lid(1),))
    shell.take(shell.message("lids/A1/state", b"both"))
    assert shell.alerts() == [("cover_open", "active", 1)]
    assert shell.rows("SELECT address, reason FROM quarantine") == [("lids:A2", "unknown device")]
    shell.close()


def test_a_retained_message_counts_once_however_often_the_broker_repeats_it(tmp_path: Path) -> None:
    shell = Shell(tmp_path, devices=(lid(1, topic="yard/well"),))
    for _ in range(3):
        shell.take(shell.message("yard/well", b"open", retained=True))
    assert shell.alerts() == [("cover_open", "active", 1)]
    shell.take(shell.message("yard/well", b"shut"), shell.message("yard/well", b"shut", retained=True))
    shell.close()
    again = Shell(tmp_path, now=NOW + timedelta(minutes=1), devices=())
    again.take(again.message("yard/well", b"shut", retained=True))
    assert again.rows("SELECT count(*) FROM events WHERE type='cover_moved'") == [(2,)]
    # It was opened while the gateway was away: the same words as long ago, and news all the same.
    again.take(again.message("yard/well", b"open", retained=True))
    assert again.rows("SELECT count(*) FROM events WHERE type='cover_moved'") == [(3,)]
    again.close()


def is_open(shell: Shell) -> bool:
    """As the first lid is believed to be."""
    return shell.hub.states.devices["lid-1"].kind.open


def test_what_the_broker_delivers_again_after_something_newer_is_on_record_and_moves_nothing(tmp_path: Path) -> None:
    shell = Shell(tmp_path, devices=(lid(1, topic="yard/well"),))
    shell.take(shell.message("yard/well", b"open"), shell.message("yard/well", b"shut"))
    shell.take(shell.message("yard/well", b"open", dup=True))
    assert not is_open(shell)
    assert shell.rows("SELECT late FROM events WHERE type='cover_moved' ORDER BY seq") == [(0,), (0,), (1,)]
    # Of the next connection the retained message comes first, then what was not acknowledged before.
    shell.take(shell.message("yard/well", b"shut", retained=True, epoch=2))
    shell.take(shell.message("yard/well", b"open", dup=True, epoch=2))
    assert not is_open(shell)
    shell.close()


def test_what_the_broker_delivers_again_counts_while_nothing_newer_was_heard(tmp_path: Path) -> None:
    shell = Shell(tmp_path, devices=(lid(1, topic="yard/well"),))
    shell.take(shell.message("yard/well", b"shut"))
    shell.take(*(shell.message("yard/well", word, dup=True, epoch=2) for word in (b"shut", b"open")))
    assert is_open(shell)
    shell.close()


def test_a_device_registered_anew_is_told_from_what_is_retained(tmp_path: Path) -> None:
    shell = Shell(tmp_path, devices=(lid(1, topic="yard/well"),))
    shell.take(shell.message("yard/well", b"open", retained=True))
    shell.directory.remove_device("lid-1")
    shell.ask(ReloadDirectory(by="test"))
    shell.directory.put_device(lid(1, topic="yard/well"))
    shell.ask(ReloadDirectory(by="test"))
    shell.take(shell.message("yard/well", b"open", retained=True))
    assert shell.rows("SELECT count(*) FROM events WHERE type='cover_moved'") == [(2,)]
    shell.close()


def test_nothing_is_opened_or_asked_for_a_retained_message(tmp_path: Path) -> None:
    shell = Shell(tmp_path, devices=(lid(1, kind="face_gate"),))
    shell.take(shell.message("lids/A1/state", b"on"))
    shell.take(shell.message("lids/A1/state", b"card 4711", retained=True))
    assert "credential_checked" not in shell.events()
    shell.take(shell.message("lids/A1/state", b"card 4712"))
    assert "credential_checked" in shell.events()
    shell.close()


def test_a_retained_status_says_whether_a_device_is_there_and_a_retained_figure_does_not(tmp_path: Path) -> None:
    shell = Shell(tmp_path, devices=(lid(1, topic="yard/well"), lid(2, topic="yard/drain")))
    shell.take(shell.message("yard/well", b"on", retained=True), shell.message("yard/drain", b"shut", retained=True))
    assert shell.hub.states.devices["lid-1"].link.online
    assert shell.hub.states.devices["lid-2"].link.online is None
    shell.close()


@pytest.mark.parametrize(
    "topic",
    ["#", "+/state", "$SYS/x", "linli/v1/gate-1/command", "linli/#", "a b", "a/#/b", "a+", "/x", "lids/A1/order"],
)
def test_a_device_cannot_be_given_a_topic_where_others_are_told_something(tmp_path: Path, topic: str) -> None:
    shell = Shell(tmp_path, devices=())
    with pytest.raises(InvalidError, match="options"):
        shell.directory.put_device(lid(1, topic=topic))
    shell.close()


def test_a_device_cannot_be_given_ears_for_what_others_say(tmp_path: Path) -> None:
    shell = Shell(tmp_path, devices=())
    with pytest.raises(InvalidError, match="speak"):
        shell.directory.put_device(lid(1, listens="linli/v1/+/event"))
    shell.directory.put_device(lid(1, listens="yard/well/set"))
    shell.close()


@pytest.mark.parametrize(
    ("one", "other", "both"),
    [
        ("a/b", "a/b", True),
        ("a/+", "a/b", True),
        ("a/#", "a", True),
        ("a/#", "b/#", False),
        ("a/+/c", "a/b/d", False),
        ("a/b", "a/b/c", False),
        ("+/+", "a/b/#", True),
        ("a/b/#", "a/b/c/d", True),
    ],
)
def test_filters_overlap_where_a_topic_matches_both(one: str, other: str, both: bool) -> None:
    assert overlap(one, other) is both
    assert overlap(other, one) is both


def test_the_protocols_own_topics_and_orders_stay_apart() -> None:
    spoken = registry.protocols().values()
    for protocol in spoken:
        for topic in protocol.topics:
            for other in spoken:
                # One that begins with + has its own middle; a device of that name could not be registered twice.
                clash = [order for order in other.orders if "+" not in (order[0], topic[0]) and overlap(topic, order)]
                assert not clash or other.name == protocol.name, (protocol.name, topic, other.name, clash)
