"""What a chaos run says in each protocol is found again in what the gateway would journal of it, told again or not."""

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest

from devices import registry
from devices.model import Decoded, HttpPart, HttpPush
from simulators.chaos_protocols import WORDS
from simulators.chaos_words import Out, Scene, Words

NOON = datetime(2026, 11, 23, 4, 0, 0, 123456, tzinfo=UTC)
ZONE = ZoneInfo("Asia/Shanghai")


def understood(words: Words, out: Out) -> Decoded:
    """What the gateway makes of it."""
    protocol = registry.protocols()[words.protocol]
    device = words.device("c1")
    if protocol.receive is not None and words.posts:
        push = HttpPush(address=device.address, parts=(HttpPart(media=out.where, body=out.payload),))
        decoded = protocol.receive(push, NOON, ZONE)
    else:
        decoded = protocol.decode(out.where, out.payload, NOON, ZONE)
    assert decoded.address in (device.address, "")
    return protocol.interpret(decoded, device) if protocol.interpret is not None else decoded


def marked(words: Words, out: Out) -> list[tuple[int, Any]]:
    """The numbers found in it, and what the gateway knows each by."""
    found = []
    for reading in understood(words, out).readings:
        at_us = (reading.event.at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
        body = msgspec.to_builtins(reading.event) | {"at": at_us}
        if body["type"] == words.event and (n := words.found(body)) is not None:
            found.append((n, reading.record_id or (reading.event.at if reading.timed else None)))
    return found


@pytest.mark.parametrize("name", WORDS)
def test_a_number_said_is_the_number_found(name: str) -> None:
    words = WORDS[name]
    scene = Scene(address=words.device("c1").address, n=1234, at=NOON)
    ((n, known_by),) = marked(words, words.says(scene))
    assert n == 1234
    assert (known_by is None) == words.loose


@pytest.mark.parametrize("name", [name for name, words in WORDS.items() if words.repeats])
def test_a_record_told_again_is_known_by_the_same(name: str) -> None:
    words = WORDS[name]
    scene = Scene(address=words.device("c1").address, n=1234, at=NOON)
    first, again = words.says(scene), words.says(msgspec.structs.replace(scene, again=True))
    assert marked(words, first) == marked(words, again)
    if not any(reading.record_id for reading in understood(words, first).readings):
        assert first == again  # known by its bytes


def test_twelve_protocols_and_more_are_spoken_of_both_sorts() -> None:
    assert len(WORDS) + 1 >= 12
    assert sum(words.posts for words in WORDS.values()) >= 3
