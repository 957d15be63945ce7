"""What every protocol that is posted holds to, and what garbage costs."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devices.effects import COMMANDS, Command
from devices.errors import DecodeError, UnsupportedCommandError
from devices.model import Device, HttpPart, HttpPush
from devices.protocols import PROTOCOLS
from devices.protocols.markup import MAX_DEPTH, MAX_ELEMENTS, MAX_XML, parse_xml
from devices.protocols.pieces import MAX_PIECES, split
from tests.devices.hostile import GARBAGE_COSTS, NESTED, NOW, ROTTEN, ZONE, cost
from tests.devices.posts import bent, bodies, push, received_safely

OURS = ("hik_access", "hik_anpr", "hik_camera", "dahua", "vzenith_push", "claa")
POSTING = (*OURS, "oem_face")
CONTENTS = [content for vendor in POSTING for content in bodies(vendor)]
MB = 1024 * 1024
GARBAGE = [
    b"\x00" * MB,
    b"<" * MB,
    b"<a>" * (MB // 3),
    b"<a>" + b"<b/>" * (MAX_XML // 4 - 10) + b"</a>",
    b"<a>" + b"&amp;" * (MAX_XML // 5 - 10) + b"</a>",
    b"{" * MB,
    b'{"a":' * (MB // 5),
    b"[" * MB,
    b'{"EventNotificationAlert":' + b" " * MB + b"}",
    b"--b\n" * (MB // 4),
    b"--b\n\n" + b"Code=" * (MB // 5),
    b"Code=;" * (MB // 6),
    b"Code=VideoMotion;action=Start;index=0;data=" + b"{" * MB,
    b"9" * MB,
]


@pytest.mark.parametrize("name", POSTING)
@given(posted=bent(CONTENTS))
@settings(max_examples=150, deadline=None)
def test_whatever_is_posted_only_a_decode_error_escapes(name: str, posted: HttpPush) -> None:
    received_safely(PROTOCOLS[name], posted)


@pytest.mark.parametrize("name", POSTING)
def test_rotten_posts_are_refused(name: str) -> None:
    for content in (*ROTTEN, NESTED):
        received_safely(PROTOCOLS[name], push(content))
    received_safely(PROTOCOLS[name], HttpPush(address="D1", parts=()))


@pytest.mark.parametrize("name", POSTING)
def test_a_megabyte_of_garbage_costs_next_to_nothing(name: str) -> None:
    for content in GARBAGE:
        posted = push(content)
        assert cost(lambda posted=posted: received_safely(PROTOCOLS[name], posted)) < GARBAGE_COSTS, content[:20]


@pytest.mark.parametrize("name", OURS)
@pytest.mark.parametrize("kind", sorted(COMMANDS))
def test_a_command_is_encoded_or_refused_as_registered(name: str, kind: str) -> None:
    protocol, later = PROTOCOLS[name], datetime(2026, 3, 2, tzinfo=UTC)
    more = {"set_lamp": {"level_pct": 3.0}, "speak": {"text": "hello"}}.get(kind, {})
    if kind == "answer_credential":
        more = {"reply_to": "1", "allowed": True}
    command: Command = COMMANDS[kind](not_after=later, **more)
    device = Device(id="d", kind="face_gate", protocol=name, address="D1")
    if type(command) in protocol.commands:
        assert protocol.encode(command, "c-1", device, NOW)
    else:
        with pytest.raises(UnsupportedCommandError):
            protocol.encode(command, "c-1", device, NOW)


@pytest.mark.parametrize("name", ["hik_access", "hik_anpr", "hik_camera", "dahua"])
@given(status=st.integers(100, 599), content=st.binary(max_size=200) | st.sampled_from(ROTTEN))
@settings(max_examples=100, deadline=None)
def test_whatever_a_device_replies_only_a_decode_error_escapes(name: str, status: int, content: bytes) -> None:
    answered = PROTOCOLS[name].answered
    assert answered is not None
    try:
        decoded = answered("c-1", status, content, NOW)
    except DecodeError:
        return
    assert decoded.readings


@pytest.mark.parametrize("name", OURS)
def test_what_speaks_http_has_no_topic_but_the_older_push(name: str) -> None:
    if name == "vzenith_push":
        return
    assert PROTOCOLS[name].topics == ()
    with pytest.raises(DecodeError):
        PROTOCOLS[name].decode("any/topic", b"{}", NOW, ZONE)


def test_an_element_s_name_has_no_namespace_and_several_of_one_name_are_a_list() -> None:
    tree = parse_xml(b'<x:A xmlns:x="u" y="1"><x:b> 1 </x:b><c/><b>2</b><b>3</b><d><e>4</e></d></x:A>')
    assert tree == ("A", {"b": ["1", "2", "3"], "c": "", "d": {"e": "4"}})


@pytest.mark.parametrize(
    "document",
    [
        b'<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>',
        b'<!DOCTYPE a SYSTEM "file:///etc/passwd"><a/>',
        b"<!DOCTYPE a><a/>",
        b"<a>&b;</a>",
        b'<?xml version="1.0" encoding="zip"?><a>\xff</a>',
        b"<a>" * (MAX_DEPTH + 1) + b"</a>" * (MAX_DEPTH + 1),
        b"<a>" + b"<b/>" * MAX_ELEMENTS + b"</a>",
        b"<a>" + b" " * MAX_XML + b"</a>",
        b"<a></b>",
        b"<a/><a/>",
    ],
)
def test_xml_that_is_a_weapon_or_none_is_refused(document: bytes) -> None:
    with pytest.raises(DecodeError):
        parse_xml(document)


def test_pieces_are_cut_at_their_boundary_whatever_length_they_claim() -> None:
    body = b"--b\r\nContent-Type: text/plain\r\nContent-Length: 1\r\n\r\none\r\n--b\n\ntwo\n--b--\r\n"
    assert [(part.media, part.body) for part in split(body)] == [("text/plain", b"one"), ("", b"two")]
    with pytest.raises(DecodeError):
        split(b"--b\nx\n" * (MAX_PIECES + 1))


def test_a_picture_in_a_piece_stays_as_it_is() -> None:
    picture = b"\xff\xd8\xff\r\n\r\n\x00\n\xff\xd9"
    (part,) = split(
        b'--b\r\nContent-Disposition: form-data; name="Picture"\r\nContent-Type: image/jpeg\r\n\r\n'
        + picture
        + b"\r\n--b--"
    )
    assert part == HttpPart(name="Picture", media="image/jpeg", body=picture)
