from random import Random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.model import Outgoing
from simulators.faults import Faults, Faulty, plan


def carried(faults, count=200):
    """Sends `count` messages and lets everything that was put off happen at the end."""
    out, later = [], []
    faulty = Faulty(
        faults,
        seed=1,
        publish=lambda device, message, record: out.append((record, message.payload)),
        later=lambda seconds, action: later.append(action),
    )
    for n in range(count):
        faulty.send(Outgoing(topic="t", payload=b'{"n": %d}' % n), device="d", record=str(n))
    for action in later:
        action()
    faulty.release()
    return out, faulty.tally


@given(seed=st.integers(), payload=st.binary(max_size=64))
def test_the_same_chance_gives_the_same_faults(seed, payload):
    faults = Faults(drop=0.2, duplicate=0.3, reorder=0.3, delay=0.3, poison=0.5)
    assert plan(faults, payload, Random(seed)) == plan(faults, payload, Random(seed))


def test_without_faults_everything_goes_out_once_in_order():
    out, _ = carried(Faults())
    assert [record for record, _ in out] == [str(n) for n in range(200)]


def test_duplicates_delays_and_reordering_lose_nothing():
    out, tally = carried(Faults(duplicate=0.2, reorder=0.2, delay=0.2))
    assert {record for record, _ in out} == {str(n) for n in range(200)}
    assert len(out) == 200 + tally.duplicated
    assert [record for record, _ in out] != sorted((record for record, _ in out), key=int)


def test_what_is_dropped_is_counted():
    out, tally = carried(Faults(drop=0.3))
    assert tally.dropped == 200 - len(out) > 0


def test_poison_comes_beside_the_good_message():
    out, tally = carried(Faults(poison=0.5))
    assert [record for record, _ in out if record] == [str(n) for n in range(200)]
    assert len(out) - 200 == tally.poisoned > 0


def test_a_share_is_between_nothing_and_all():
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"drop": 1.5}, type=Faults)
