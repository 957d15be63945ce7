"""Who speaks and is not registered: remembered in bounded memory, guessed at, and shown without what they say."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.protocols import PROTOCOLS
from gateway.discovery import KEPT, SAMPLES_A_SECOND, Discovery
from gateway.masking import MOST_BYTES, masked
from gateway.rights import subjects, topic_of
from tests.gateway.shell import START, Shell


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    made = Shell(tmp_path)
    yield made
    made.close()


@pytest.mark.parametrize(
    ("payload", "shown"),
    [
        ({"name": "王小明", "card": "0012345678"}, {"name": "汉汉汉", "card": "9999999999"}),
        ({"plate": "粤B12345", "on": True, "none": None}, {"plate": "汉A99999", "on": True, "none": None}),
        ({"list": [{"n": 12.5}, -7]}, {"list": [{"n": "99.9"}, "-9"]}),
        ({"粤B12345": 1, "王小明": 2}, {"汉A99999": "9", "汉汉汉": "9"}),
        ({"pic": "x" * 500}, {"pic": "A" * 24 + "…"}),
        ([1] * 100, ["9"] * 24),
    ],
)
def test_values_are_masked_by_shape_and_keys_are_kept(payload: object, shown: object) -> None:
    assert json.loads(masked(json.dumps(payload).encode())) == shown


def test_what_is_not_json_is_masked_too() -> None:
    assert masked("<a id='7'><owner>王小明</owner></a>".encode()) == "<a><owner>汉汉汉</owner></a>"
    assert masked(b"call 13800001111") == "AAAA 99999999999"
    assert masked(b"\xff\xfe\x00") == "3 bytes, not text"
    assert masked(b"1" * (MOST_BYTES + 1)) == f"{MOST_BYTES + 1} bytes"
    assert masked(b"[" * 5000).startswith("[[")


@given(st.text(alphabet="abcXYZ0189王粤", min_size=4, max_size=20), st.text(max_size=8))
def test_no_value_survives_masking(value: str, key: str) -> None:
    shown = masked(json.dumps({key: value, "k": [value]}).encode())
    inner = json.loads(shown)["k"][0]
    assert set(inner) <= set("A9汉…")


def test_an_unknown_device_is_remembered_with_its_protocol_and_kind(shell: Shell) -> None:
    body = {"id": "1", "event": {"type": "lamp_measured", "at": START.isoformat(), "level_pct": 40}}
    for _ in range(3):
        shell.take(shell.message("linli/v1/LAMP-77/event", body))
    (found,) = shell.discovery.found()
    assert (found.protocol, found.address, found.kind, found.count, found.heard) == (
        "native",
        "LAMP-77",
        "light",
        3,
        True,
    )
    assert "lamp_measured" not in found.sample
    assert json.loads(found.sample)["event"]["level_pct"] == "99"
    assert shell.discovery.found([("native", "LAMP-77")]) == []


def test_a_topic_nobody_listens_on_is_matched_by_its_end() -> None:
    discovery = Discovery(PROTOCOLS)
    discovery.unheard("estate-7/linli/v1/G9/event", b"{}", START)
    discovery.unheard("tele/plug-1/STATE-OF-NOTHING", b"{}", START)
    found = {one.topic: (one.protocol, one.heard) for one in discovery.found()}
    assert found["estate-7/linli/v1/G9/event"] == ("native", False)
    assert found["tele/plug-1/STATE-OF-NOTHING"][1] is False


def test_whoever_invents_names_fills_no_memory_and_costs_little() -> None:
    discovery = Discovery({})
    for n in range(KEPT + 100):
        discovery.unheard(f"made/up/{n}", b'{"a":1}', START + timedelta(microseconds=n))
    found = discovery.found()
    assert len(found) == KEPT
    assert found[0].topic == f"made/up/{KEPT + 99}"
    assert sum(1 for one in found if one.sample) <= SAMPLES_A_SECOND


@pytest.mark.parametrize("topic", ["a/b", "tele/lamp.01/X", "/a/b", "a//b", "one"])
def test_a_topic_survives_the_way_through_the_broker(topic: str) -> None:
    (subject,) = subjects(topic)
    assert topic_of(subject) == topic
