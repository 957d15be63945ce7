from hypothesis import given
from hypothesis import strategies as st

from gateway.lanes import Lanes, Parcel


def parcel(seq: int, alert: str, row: int = 0) -> Parcel:
    return Parcel(seq=seq, alert=alert, body=b"", row=row)


def test_the_cursor_stops_before_the_first_change_that_is_not_done_with() -> None:
    lanes = Lanes(10)
    lanes.add(first := parcel(11, "a"))
    lanes.skip(12)
    lanes.add(third := parcel(13, "b"))
    assert [lanes.take(0), lanes.take(0), lanes.take(0)] == [first, third, None]
    lanes.done(third)
    assert lanes.cursor == 10
    lanes.done(first)
    assert lanes.cursor == 13
    assert lanes.held == 0


def test_what_is_put_back_sleeps_and_holds_only_its_own_alert() -> None:
    lanes = Lanes(0)
    lanes.add(first := parcel(1, "a"))
    lanes.add(parcel(2, "a"))
    lanes.add(other := parcel(3, "b"))
    assert lanes.take(0) is first
    lanes.put_back(first, 5.0)
    assert lanes.take(0) is other
    assert lanes.next_at(0) == 5.0
    assert lanes.take(4.9) is None
    assert lanes.take(5.0) is first


def test_a_replay_does_not_move_the_cursor() -> None:
    lanes = Lanes(10)
    lanes.add(again := parcel(4, "a", row=1))
    assert lanes.take(0) is again
    lanes.done(again)
    assert (lanes.cursor, lanes.newest, lanes.waiting) == (10, 10, 0)


@given(
    alerts=st.lists(st.sampled_from(["", "a", "b", "c"]), max_size=30),
    fate=st.lists(st.tuples(st.integers(0, 7), st.booleans()), max_size=200),
)
def test_any_order_of_answers_keeps_alerts_in_order_and_the_cursor_honest(
    alerts: list[str], fate: list[tuple[int, bool]]
) -> None:
    lanes, now = Lanes(0), 0.0
    for seq, alert in enumerate(alerts, start=1):
        if alert:
            lanes.add(parcel(seq, alert))
        else:
            lanes.skip(seq)
    flying: list[Parcel] = []
    arrived: list[Parcel] = []
    for which, well in [*fate, *[(0, True)] * 60]:
        now += 1
        while (taken := lanes.take(now)) is not None:
            assert taken.alert not in {other.alert for other in flying}
            flying.append(taken)
        if flying:
            back = flying.pop(which % len(flying))
            if well:
                lanes.done(back)
                arrived.append(back)
            else:
                lanes.put_back(back, now + 1)
        missing = [s for s, a in enumerate(alerts, 1) if a and s not in {p.seq for p in arrived}]
        assert lanes.cursor == (min(missing) - 1 if missing else len(alerts))
    assert len(arrived) == sum(bool(a) for a in alerts)
    for alert in "abc":
        of_alert = [p.seq for p in arrived if p.alert == alert]
        assert of_alert == sorted(of_alert)
