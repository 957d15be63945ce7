from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.effects import Effect, RecordPoint, Report
from devices.events import (
    DeviceStatusChanged,
    DoorChanged,
    Event,
    FaceIdentified,
    FaceOutcome,
    Heartbeat,
    OfflineReason,
    Ticked,
)
from devices.kinds.link import Link, advance, corrected, deadline, decide, heard, interval, resumed
from tests.devices.table import at, changes, device

BEAT = 30.0
DEVICE = device("face_gate")


def say(link: Link, event: Event, received: float | None = None, *, timed: bool = True) -> tuple[Link, list[Effect]]:
    received_at = event.at if received is None else at(received)
    return decide(link, event, DEVICE, received_at=received_at, timed=timed, heartbeat_s=BEAT)


def online(seconds: float = 0) -> Link:
    return say(Link(), DeviceStatusChanged(at=at(seconds), online=True))[0]


def offset_after(*samples: tuple[float, float], link: Link | None = None) -> tuple[Link, list[str]]:
    """Heartbeats as (received, offset of the device's clock), and what alerts they gave."""
    link, alerts = link or Link(), []
    for received, offset in samples:
        link, effects = say(link, Heartbeat(at=at(received + offset)), received)
        alerts += changes(effects)
    return link, alerts


# -- there or not


def test_the_first_word_of_a_device_reports_it_online_once() -> None:
    link, effects = say(Link(), DoorChanged(at=at(0), open=True))
    assert effects == [Report(event=DeviceStatusChanged(at=at(0), online=True))]
    assert (link.online, link.since, link.last_seen) == (True, at(0), at(0))
    assert say(link, DoorChanged(at=at(1), open=False)) == (heard(link, at(1), live=True), [])


def test_a_device_that_says_itself_that_it_is_there_is_not_reported_again() -> None:
    link, effects = say(Link(), DeviceStatusChanged(at=at(0), online=True))
    assert link.online is True
    assert effects == []


def test_three_missed_heartbeats_are_reported_once_as_silence() -> None:
    link = online()
    assert deadline(link, BEAT) == at(90)
    assert say(link, Ticked(at=at(89))) == (link, [])
    link, effects = say(link, Ticked(at=at(90)))
    assert effects == [Report(event=DeviceStatusChanged(at=at(90), online=False, reason=OfflineReason.SILENT))]
    assert deadline(link, BEAT) is None
    assert say(link, Ticked(at=at(91))) == (link, [])


def test_a_last_will_makes_it_offline_and_the_next_word_online_again() -> None:
    gone = DeviceStatusChanged(at=at(10), online=False, reason=OfflineReason.WILL)
    link, effects = say(online(), gone)
    assert (link.online, link.since, effects) == (False, at(10), [])
    assert say(link, msgspec.structs.replace(gone, at=at(20)))[0].since == at(10)
    link, effects = say(link, Heartbeat(at=at(30)))
    assert link.online is True
    assert effects == [Report(event=DeviceStatusChanged(at=at(30), online=True))]


def test_what_we_found_out_ourselves_is_no_sign_of_life() -> None:
    answer = FaceIdentified(at=at(0), outcome=FaceOutcome.UNSURE, evidence="e", captured_at=at(0))
    assert say(Link(), answer) == (Link(), [])


def test_a_devices_own_heartbeat_interval_overrides_its_protocols() -> None:
    slow = device("cover", heartbeat_s=3600)
    assert (interval(slow, BEAT), interval(DEVICE, BEAT)) == (3600, BEAT)
    link = online()
    after, effects = decide(link, Ticked(at=at(100)), slow, received_at=at(100), timed=False, heartbeat_s=BEAT)
    assert (after, effects) == (link, [])


def test_no_heartbeat_interval_means_never_silent() -> None:
    assert deadline(online(), 0) is None


def test_our_own_absence_is_nobodys_silence() -> None:
    assert deadline(resumed(online(), at(5000)), BEAT) == at(5090)
    unheard = Link()
    assert resumed(unheard, at(5000)) == unheard


def test_a_replayed_message_is_no_sign_of_life() -> None:
    link = online()
    assert heard(link, at(50), live=False) is link
    assert heard(heard(link, at(50), live=True), at(40), live=True).last_seen == at(50)


def test_a_restart_is_counted_by_its_boot_id() -> None:
    link, _ = say(Link(), Heartbeat(at=at(0), boot_id="a"))
    link, effects = say(link, Heartbeat(at=at(1), boot_id="a"))
    assert (link.reboots, effects) == (0, [])
    link, effects = say(link, Heartbeat(at=at(2), boot_id="b"))
    assert effects == [RecordPoint(metric="reboots", value=1, at=at(2))]
    assert say(link, Heartbeat(at=at(3)))[0].reboots == 1


# -- its clock


def test_a_clock_ahead_is_told_at_once_and_over_when_it_is_right() -> None:
    link, alerts = offset_after((0, 45))
    assert (link.clock_offset_s, alerts) == (45, ["+clock_wrong"])
    link, alerts = offset_after((30, 45), (60, 0), (90, 0), link=link)
    assert (link.clock_offset_s, alerts) == (0, ["-clock_wrong"])


def test_a_slow_clock_is_told_when_a_second_measurement_agrees() -> None:
    link, alerts = offset_after((0, -3600))
    assert (link.clock_offset_s, alerts) == (None, [])
    link, alerts = offset_after((30, -3600.5), (60, -3600), link=link)
    assert (link.clock_offset_s, alerts) == (-3600.5, ["+clock_wrong"])


def test_a_clock_set_right_again_is_believed_at_once() -> None:
    link, _ = offset_after((0, -3600), (30, -3600))
    link, alerts = offset_after((60, 0), link=link)
    assert (link.clock_offset_s, alerts) == (0, ["-clock_wrong"])


def test_a_backlog_of_heartbeats_is_not_a_slow_clock() -> None:
    backlog = [(3600 + n / 100, n * BEAT - 3600 - n / 100) for n in range(120)]
    link, alerts = offset_after((0, 0), *backlog)
    assert (link.clock_offset_s, alerts) == (0, [])
    fresh, alerts = offset_after(*backlog[:100])
    assert (fresh.clock_offset_s, alerts) == (None, [])


def test_a_clock_that_was_reset_to_1970_is_wrong_and_its_times_are_still_of_use() -> None:
    off = (datetime(1970, 1, 1, tzinfo=UTC) - at(0)).total_seconds()
    link, alerts = offset_after((0, off), (30, off))
    assert alerts == ["+clock_wrong"]
    assert corrected(link, at(40 + off), at(41), timed=True, stored=False) == (at(40), False)


def test_an_untimed_heartbeat_measures_no_clock() -> None:
    link, _ = say(Link(), Heartbeat(at=at(0)), timed=False)
    assert link.clock_offset_s is None


# -- when it happened


@pytest.mark.parametrize(
    ("said", "timed", "stored", "expected", "late"),
    [
        (95, True, False, 95, False),
        (95, True, True, 95, True),
        (39, True, False, 39, True),
        (50, True, False, 50, True),
        (160, True, False, 100, False),
        (160, True, True, 100, True),
        (95, False, False, 100, False),
        (95, False, True, 100, True),
        (-9 * 365 * 86400, True, False, 100, False),
        (-9 * 365 * 86400, True, True, 100, True),
        (100 + 86401, True, False, 100, False),
    ],
)
def test_when_it_happened_and_whether_that_is_late(
    said: float, timed: bool, stored: bool, expected: float, late: bool
) -> None:
    link = advance(Link(), at(60), at(60))
    assert corrected(link, at(said), at(100), timed=timed, stored=stored) == (at(expected), late)


@pytest.mark.parametrize(("offset", "expected"), [(-1000, 95), (1000, 95), (1.5, 96.5)])
def test_a_measured_offset_is_taken_off_unless_it_is_within_the_tolerance(offset: float, expected: float) -> None:
    link = Link(clock_offset_s=offset)
    assert corrected(link, at(95 + offset), at(100), timed=True, stored=False) == (at(expected), False)


TIMES = st.datetimes(timezones=st.just(UTC))


@given(TIMES, TIMES.filter(lambda t: 2021 < t.year < 9990), st.booleans(), st.booleans(), st.floats(-1e10, 1e10))
def test_no_claimed_time_is_ever_in_the_future_or_before_2020(
    said: datetime, received: datetime, timed: bool, stored: bool, offset: float
) -> None:
    link = Link(clock_offset_s=offset)
    when, late = corrected(link, said, received, timed=timed, stored=stored)
    assert datetime(2019, 12, 31, tzinfo=UTC) < when <= received
    assert late or when >= received - timedelta(seconds=61)


MESSAGES = st.lists(st.tuples(st.floats(0, 500), st.booleans(), st.booleans()), max_size=30)


@given(MESSAGES)
def test_shuffled_and_redelivered_events_never_move_the_high_water_back(
    messages: list[tuple[float, bool, bool]],
) -> None:
    link, received = Link(), 0.0
    for said, timed, stored in [*messages, *messages]:
        received += 10
        before = link.high_water
        when, late = corrected(link, at(said), at(received), timed=timed, stored=stored)
        if not late:
            assert not timed or before is None or when >= before or when == at(received)
            link = advance(link, when, at(received))
        assert before is None or (link.high_water is not None and link.high_water >= before)


EVENTS = st.one_of(
    st.builds(Heartbeat, at=st.floats(-4000, 4000).map(at), boot_id=st.sampled_from(["", "a", "b"])),
    st.builds(DeviceStatusChanged, at=st.floats(-4000, 4000).map(at), online=st.booleans()),
    st.builds(DoorChanged, at=st.floats(0, 500).map(at), open=st.booleans()),
)


@given(st.lists(st.tuples(EVENTS, st.floats(0, 200)), max_size=20), st.floats(1, 300))
def test_whatever_a_device_says_silence_comes_once_and_its_link_survives_the_disk(
    told: list[tuple[Event, float]], beat: float
) -> None:
    link, now = Link(), 0.0
    for event, wait in told:
        now += wait
        link, _ = decide(link, event, DEVICE, received_at=at(now), timed=True, heartbeat_s=beat)
        assert msgspec.json.decode(msgspec.json.encode(link), type=Link) == link
        due = deadline(link, beat)
        assert (due is not None) == (link.online is True)
    due = deadline(link, beat)
    if due is not None:
        link, effects = decide(link, Ticked(at=due), DEVICE, received_at=due, timed=False, heartbeat_s=beat)
        assert len(effects) == 1
        assert deadline(link, beat) is None
