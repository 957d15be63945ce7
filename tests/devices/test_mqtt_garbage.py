"""A megabyte of garbage on a topic of a door or barrier costs next to nothing, whatever it is made of."""

from __future__ import annotations

import time

import pytest

from devices.protocols import PROTOCOLS
from tests.devices.hostile import fixtures, read_safely

MB = 1024 * 1024
WITHIN_S = 0.005


def filled(before: bytes, unit: bytes, after: bytes) -> bytes:
    return before + unit * ((MB - len(before) - len(after)) // len(unit)) + after


GARBAGE = {
    "zeros": b"\x00" * MB,
    "digits": b"9" * MB,
    "lists": b"[" * MB,
    "objects": b'{"a":' * (MB // 5),
    "text": b'"' + b"a" * MB + b'"',
    "values": filled(b'{"info":[', b"0,", b"0]}"),
    "keys": b"{" + b",".join(b'"k%d":1' % n for n in range(MB // 10)) + b"}",
    "persons": filled(
        b'{"operator":"EditPersonsNew-Ack","messageId":"m","info":{"facesluiceId":"7700123","AddSucInfo":[',
        b'{"customId":"a"},',
        b"{}]}}",
    ),
    "ids": filled(b'{"operator":"QueryPerson-Ack","info":{"facesluiceId":"7700123","customId":"', b"a,", b'"}}'),
    "records": filled(
        b'{"uuid":"VF000042","serialNo":"1","time":1,"data":[', b'{"type":200,"result":1,"time":1772406909},', b"{}]}"
    ),
    "plates": filled(
        b'{"id":"i","name":"white_list_operator","code":200,"payload":{"body":{"operator_type":"select","dldb_rec":[',
        b'{"plate":"A1"},',
        b"{}]}}}",
    ),
    "broken picture": filled(
        b'{"operator":"RecPush","info":{"facesluiceId":"7700123","time":"2026-03-01 00:00:00","pic":"',
        b"/9j/ *",
        b'"}}',
    ),
}


@pytest.mark.parametrize("name", ["oem_face", "vf", "das", "yld", "vzenith"])
def test_a_megabyte_of_garbage_costs_next_to_nothing(name: str) -> None:
    for topic in {topic for topic, _ in fixtures(name)}:
        for what, payload in GARBAGE.items():
            times = []
            for _ in range(5):
                begun = time.process_time()
                read_safely(PROTOCOLS[name], topic, payload)
                times.append(time.process_time() - begun)
            assert min(times) < WITHIN_S, (topic, what, min(times))
