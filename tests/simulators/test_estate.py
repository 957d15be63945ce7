from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulators.estate import DECK, Estate, What, day

START = datetime(2026, 3, 2, 8, tzinfo=UTC)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32), rate=st.floats(0.1, 5))
def test_the_same_seed_gives_the_same_estate_and_the_same_day(seed, rate):
    one, two = Estate(seed), Estate(seed)
    assert one.devices() == two.devices()
    assert one.residents() == two.residents()
    assert one.all_vehicles() == two.all_vehicles()
    assert list(day(one, start=START, seconds=60, rate=rate)) == list(day(two, start=START, seconds=60, rate=rate))


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_a_day_is_in_order_and_within_its_bounds(seed):
    happenings = list(day(Estate(seed), start=START, seconds=120, rate=3))
    assert happenings
    assert all(a.at <= b.at for a, b in pairwise(happenings))
    assert all(START <= h.at <= START + timedelta(seconds=120) for h in happenings)


def test_one_deck_holds_everything_that_can_happen():
    seen = {h.what for h in day(Estate(3), start=START, seconds=100, rate=2)}
    assert {what for what, _ in DECK} <= seen


def test_what_ends_by_itself_has_ended_when_the_day_is_over():
    happenings = list(day(Estate(4), start=START, seconds=300, rate=1))
    opened = [h.device for h in happenings if h.what is What.COVER_OPENED]
    assert opened
    assert sorted(opened) == sorted(h.device for h in happenings if h.what is What.COVER_SHUT)


def test_two_seeds_give_two_estates():
    assert Estate(1).all_vehicles() != Estate(2).all_vehicles()


def test_an_estate_has_every_kind_and_every_listing():
    estate = Estate(1)
    assert {d.kind for d in estate.devices()} == {"face_gate", "barrier", "camera", "light", "cover", "bay"}
    assert {v.listing for v in estate.all_vehicles()} == {"allow", "visitor", "block", ""}
    assert len({d.id for d in estate.devices()}) == len({d.address for d in estate.devices()}) == len(estate.devices())


def test_a_day_without_a_rate_is_refused():
    with pytest.raises(ValueError, match="rate"):
        next(day(Estate(1), start=START, seconds=1, rate=0))
