"""Event streams taken apart: the same parts however the bytes arrive, bounded, and no error but the decoder's."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.errors import DecodeError
from devices.model import HttpPart
from devices.protocols.event_stream import EventStream, Splitter

JPEG = b"\xff\xd8\xff\xe0 drawn \r\n\r\n bytes\xff\xd9"
BOUNDARY = b"boundary"
MOST = 4096


def part(body: bytes, media: str = "application/xml", *, length: int | None = -1) -> bytes:
    """One part as cameras send it; `length` None: without a Content-Length."""
    said = len(body) if length == -1 else length
    declared = b"" if said is None else b"Content-Length: %d\r\n" % said
    return b"--boundary\r\nContent-Type: " + media.encode() + b"\r\n" + declared + b"\r\n" + body + b"\r\n"


def pieces(raw: bytes, cuts: list[int]) -> list[bytes]:
    edges = [0, *sorted(cut % (len(raw) + 1) for cut in cuts), len(raw)]
    return [raw[a:b] for a, b in pairwise(edges)]


def read(raw: bytes, cuts: list[int] | None = None, *, most: int = MOST) -> tuple[list[tuple[HttpPart, ...]], str]:
    """The events of a whole stream, and the reason it could not be read to its end."""
    stream, found = EventStream(BOUNDARY, most), []
    try:
        for chunk in pieces(raw, cuts or []):
            stream.write(chunk)
            while (event := stream.next()) is not None:
                found.append(event)
            assert stream.held <= 2 * most + len(chunk) + 256
    except DecodeError as error:
        return found, error.reason
    return found + stream.end(), ""


def bodies(events: list[tuple[HttpPart, ...]]) -> list[list[bytes]]:
    return [[one.body for one in event] for event in events]


texts = st.binary(max_size=60).filter(
    lambda b: b.strip() and not b.startswith((b"\xff\xd8\xff", b"\x89PNG")) and not re.search(rb"--boundary|[\r\n]$", b)
)
cuts = st.lists(st.integers(0, 10_000), max_size=12)


@given(
    st.lists(st.tuples(texts, st.integers(0, 2), st.sampled_from([-1, None, 3, 9999])), min_size=1, max_size=6), cuts
)
def test_any_chunking_gives_the_same_events(said: list[tuple[bytes, int, int | None]], cut: list[int]) -> None:
    raw = b"".join(part(t, length=length) + part(JPEG, "image/jpeg") * n for t, n, length in said) + b"--boundary--\r\n"
    events, reason = read(raw, cut)
    assert reason == ""
    assert bodies(events) == [[t, *[JPEG] * n] for t, n, _ in said]


hostile = st.binary(max_size=300) | st.lists(
    st.sampled_from(
        [b"--boundary", b"--boundary\r\n", b"\r\n", b"\n", b"\r\n\r\n", b"--", b"Content-Length: 3", b"a:b", JPEG, b"x"]
    )
    | st.binary(max_size=5),
    max_size=30,
).map(b"".join)


@given(hostile, cuts)
def test_garbage_is_read_alike_by_any_chunking_and_raises_only_the_decode_error(raw: bytes, cut: list[int]) -> None:
    assert read(raw, cut, most=100) == read(raw, most=100)


@given(hostile, cuts)
def test_settling_at_any_moment_raises_nothing_and_makes_no_blank_part(raw: bytes, cut: list[int]) -> None:
    stream = EventStream(BOUNDARY, 100)
    try:
        for chunk in pieces(raw, cut):
            stream.write(chunk)
            found = [*iter(stream.next, None), *stream.settle()]
            assert all(one.body.strip() or one.media for event in found for one in event)
    except DecodeError as error:
        assert error.reason == "a part too long"  # noqa: PT017 - it may be raised or not


def test_a_part_without_end_is_refused_before_it_fills_the_memory() -> None:
    splitter = Splitter(BOUNDARY, MOST)
    splitter.write(b"--boundary\r\n\r\n")
    for _ in range(MOST // 100):
        splitter.write(b"x" * 100)
        assert splitter.next() is None
    splitter.write(b"x" * 300)
    with pytest.raises(DecodeError, match="too long"):
        splitter.next()


@pytest.mark.parametrize("named", [b"boundary", b"--boundary"])
def test_a_boundary_is_known_with_and_without_its_dashes(named: bytes) -> None:
    splitter = Splitter(named, MOST)
    splitter.write(b"\r\n" + part(b"<a/>") + b"--boundary\n")
    found = splitter.next()
    assert found is not None
    assert (found.media, found.body) == ("application/xml", b"<a/>")


@pytest.mark.parametrize("named", [b"", b"----", b"x" * 71])
def test_what_is_no_boundary_is_refused(named: bytes) -> None:
    with pytest.raises(DecodeError, match="no boundary"):
        Splitter(named, MOST)


def test_a_boundary_that_begins_like_ours_is_not_ours() -> None:
    events, _ = read(part(b"one\r\n--boundary2\r\ntwo") + b"--boundary--\r\n")
    assert bodies(events) == [[b"one\r\n--boundary2\r\ntwo"]]


def test_a_last_part_is_whole_by_its_own_length_once_the_line_is_quiet() -> None:
    stream = EventStream(BOUNDARY, MOST)
    stream.write(part(b"<a/>"))
    assert stream.next() is None
    assert bodies(stream.settle()) == [[b"<a/>"]]
    assert (stream.waits, stream.settle()) == (False, [])
    stream.write(part(b"<b/>"))
    assert stream.next() is None
    assert bodies(stream.end()) == [[b"<b/>"]]


@pytest.mark.parametrize("length", [None, 100])
def test_a_part_that_may_go_on_waits_for_its_boundary(length: int | None) -> None:
    stream = EventStream(BOUNDARY, MOST)
    stream.write(part(b"<a/>", length=length))
    assert (stream.next(), stream.settle(), stream.waits) == (None, [], True)
    stream.write(b"--boundary\r\n")
    assert (stream.next(), bodies(stream.settle())) == (None, [[b"<a/>"]])


def test_an_event_waits_for_the_picture_that_has_begun() -> None:
    stream = EventStream(BOUNDARY, MOST)
    whole = part(b"<a/>") + part(JPEG, "image/jpeg")
    stream.write(whole[:-20])
    assert (stream.next(), stream.settle()) == (None, [])
    stream.write(whole[-20:])
    assert (stream.next(), bodies(stream.settle())) == (None, [[b"<a/>", JPEG]])


def test_what_a_reboot_cuts_off_is_lost_and_what_came_before_it_is_not() -> None:
    stream = EventStream(BOUNDARY, MOST)
    stream.write(part(b"<a/>") + part(JPEG, "image/jpeg")[:-20])
    assert stream.next() is None
    assert bodies(stream.end()) == [[b"<a/>"]]
    assert stream.held > 0


def test_garbage_between_two_parts_is_a_part_of_its_own() -> None:
    events, _ = read(part(b"<a/>") + b"--boundary\r\n\x00\x01 no headers\r\n" + part(b"<b/>") + b"--boundary--\r\n")
    assert bodies(events) == [[b"<a/>"], [b"\x00\x01 no headers"], [b"<b/>"]]


def test_more_pictures_than_any_event_has_stand_alone() -> None:
    events, _ = read(part(b"<a/>") + part(JPEG, "image/jpeg") * 12 + b"--boundary--\r\n")
    assert [len(event) for event in events] == [9, 4]
