"""What the world saw against what the gateway wrote: the judge of a chaos run. Pure: two accounts in, a verdict out.

An event is told from every other by its device, its type and its mark: its device time (microseconds), which the
stream keeps unique, or a running number that stands in a figure, a name or a plate of the message. So it needs no help
from the gateway to be found again.

What exactly once means depends on what a protocol gives to know a message again by (docs/chaos.md): a record's id or a
time of its own. Without either a repetition by the broker counts as new; such events are `loose`: none may be missing,
`again` says how many stand there more than once, and the last one must have the last word.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from random import Random
from typing import NamedTuple

from msgspec import Struct

TRANSIT = timedelta(seconds=0.5)
"""A command published in time may arrive so much later."""
SERVED_WITHIN = timedelta(seconds=15)
"""An opening later than this after a credential was shown is not meant for it."""
BY_ITSELF = "gateway"
"""Who asked for a command that the gateway decided on."""


class Key(NamedTuple):
    """The identity of one event. `mark`: microseconds since 1970 UTC by the device's clock, or its running number."""

    device: str
    type: str
    mark: int


class Opening(Struct, frozen=True, kw_only=True):
    """A door opened at `at` by the command of this id, which was good until `not_after`. All UTC."""

    device: str
    command: str
    at: datetime
    not_after: datetime


class Account(Struct, frozen=True, kw_only=True):
    """What was seen from outside. `sent`: distinct events published; `acked`: those the broker confirmed;
    `presented`: device and time of every welcome credential; `received`: CloudEvent ids (`seq.alert`) of the
    accepted deliveries in order, deduplicated by webhook id; `answers`: idempotency key -> command ids the API gave.

    `loose`: those of `sent` that a repetition cannot be told from; `positions`: device -> the position it told last, by
    its own clock; `present`: devices that have said they are there, and are; `protocols`: device -> what it speaks.
    """

    sent: frozenset[Key] = frozenset()
    acked: frozenset[Key] = frozenset()
    presented: Sequence[tuple[str, datetime]] = ()
    openings: Sequence[Opening] = ()
    received: Sequence[str] = ()
    answers: dict[str, frozenset[str]] = {}
    loose: frozenset[Key] = frozenset()
    positions: dict[str, bool] = {}
    present: frozenset[str] = frozenset()
    protocols: dict[str, str] = {}


class Books(Struct, frozen=True, kw_only=True):
    """What the gateway has written. `events`: how often each stands in the journal; `changes`: `seq.alert` of every
    alert change; `open_keys`: the key of every open alert; `commands`: id -> (device, requested by); `states`: device
    -> position its saved state tells; `online`: devices that count as there; `alarmed`: devices with an alert;
    `dangers`: devices that reported a danger.
    """

    events: dict[Key, int] = {}
    changes: Sequence[str] = ()
    open_keys: Sequence[str] = ()
    commands: dict[str, tuple[str, str]] = {}
    states: dict[str, bool | None] = {}
    online: frozenset[str] = frozenset()
    alarmed: frozenset[str] = frozenset()
    dangers: frozenset[str] = frozenset()


class Tally(Struct, frozen=True, kw_only=True):
    """Of one protocol: distinct events `sent`, confirmed (`acked`), `stored`; confirmed but not stored (`lost`); stored
    once more than said (`doubled`, or `again` where a repetition cannot be told).
    """

    sent: int
    acked: int
    stored: int
    lost: int
    doubled: int
    again: int


FINE = ("sent", "acked", "stored", "alert_changes", "delivered", "again", "protocols")
"""What of a verdict may be more than nothing."""


class Verdict(Struct, frozen=True, kw_only=True):
    """Counts; all but those named in `FINE` are wrong when above zero.

    `lost` = `lost_events` + `lost_deliveries`; `duplicated` = `duplicated_events` + `duplicated_deliveries`.
    `invented`: in the journal, or delivered, and never said. `stray_openings`: too late, unrecorded, or for nobody;
    `double_openings`: again for one command or one credential; `split_keys`: two commands for one idempotency key;
    `backward_states`: a device that told its last position is believed in another; `absent`: one that is there is not
    believed to be.
    """

    sent: int
    acked: int
    stored: int
    alert_changes: int
    delivered: int
    lost: int
    duplicated: int
    lost_events: int
    lost_deliveries: int
    duplicated_events: int
    duplicated_deliveries: int
    invented: int
    disordered: int
    doubly_open_alerts: int
    missing_alerts: int
    stray_openings: int
    double_openings: int
    split_keys: int
    backward_states: int
    absent: int
    again: int
    protocols: dict[str, Tally]

    @property
    def clean(self) -> bool:
        """Nothing is wrong."""
        return not any(getattr(self, name) for name in self.__struct_fields__ if name not in FINE)


def judge(account: Account, books: Books) -> Verdict:
    """Compare the two accounts."""
    lost_events = len(account.acked - books.events.keys())
    duplicated_events = _more_than_once(account.sent - account.loose, books)
    deliveries = Counter(account.received)
    lost_deliveries = len(set(books.changes) - deliveries.keys())
    duplicated_deliveries = sum(deliveries.values()) - len(deliveries)
    stray, double = openings(account, books)
    return Verdict(
        sent=len(account.sent),
        acked=len(account.acked),
        stored=len(books.events.keys() & account.sent),
        alert_changes=len(books.changes),
        delivered=len(deliveries),
        lost=lost_events + lost_deliveries,
        duplicated=duplicated_events + duplicated_deliveries,
        lost_events=lost_events,
        lost_deliveries=lost_deliveries,
        duplicated_events=duplicated_events,
        duplicated_deliveries=duplicated_deliveries,
        invented=len(books.events.keys() - account.sent) + len(deliveries.keys() - set(books.changes)),
        disordered=disordered(account.received),
        doubly_open_alerts=len(books.open_keys) - len(set(books.open_keys)),
        missing_alerts=len(books.dangers - books.alarmed),
        stray_openings=stray,
        double_openings=double,
        split_keys=sum(len(commands) > 1 for commands in account.answers.values()),
        backward_states=sum(books.states.get(device) is not open_ for device, open_ in account.positions.items()),
        absent=len(account.present - books.online),
        again=_more_than_once(account.loose, books),
        protocols=_by_protocol(account, books),
    )


def _more_than_once(keys: Iterable[Key], books: Books) -> int:
    return sum(books.events.get(key, 1) - 1 for key in keys)


def _by_protocol(account: Account, books: Books) -> dict[str, Tally]:
    spoken: dict[str, set[Key]] = defaultdict(set)
    for key in account.sent:
        spoken[account.protocols.get(key.device, "native")].add(key)
    return {
        protocol: Tally(
            sent=len(keys),
            acked=len(keys & account.acked),
            stored=len(keys & books.events.keys()),
            lost=len(keys & account.acked - books.events.keys()),
            doubled=_more_than_once(keys - account.loose, books),
            again=_more_than_once(keys & account.loose, books),
        )
        for protocol, keys in sorted(spoken.items())
    }


def disordered(received: Iterable[str]) -> int:
    """How many deliveries came after a later change of the same alert (first arrivals only)."""
    highest: dict[str, int] = {}
    seen: set[str] = set()
    wrong = 0
    for event in received:
        if event in seen:
            continue
        seen.add(event)
        seq, _, alert = event.partition(".")
        wrong += int(seq) < highest.get(alert, 0)
        highest[alert] = max(int(seq), highest.get(alert, 0))
    return wrong


def openings(account: Account, books: Books) -> tuple[int, int]:
    """Stray and double openings."""
    stray = double = 0
    commands: set[tuple[str, str]] = set()
    by_itself: dict[str, list[datetime]] = defaultdict(list)
    for opening in account.openings:
        again = (opening.device, opening.command) in commands
        commands.add((opening.device, opening.command))
        device, asked_by = books.commands.get(opening.command, ("", ""))
        double += again
        stray += device != opening.device or opening.at > opening.not_after + TRANSIT
        if device == opening.device and asked_by == BY_ITSELF and not again:
            by_itself[device].append(opening.at)
    for device, moments in by_itself.items():
        shown = sorted(at for name, at in account.presented if name == device)
        more_stray, more_double = _unasked(sorted(moments), shown)
        stray, double = stray + more_stray, double + more_double
    return stray, double


def _unasked(moments: list[datetime], shown: list[datetime]) -> tuple[int, int]:
    """Openings of one door that no credential accounts for: stray where none was shown, else double."""
    stray = double = 0
    unserved = list(shown)
    for moment in moments:
        recent = [at for at in shown if at <= moment <= at + SERVED_WITHIN]
        waiting = [at for at in unserved if at <= moment <= at + SERVED_WITHIN]
        if waiting:
            unserved.remove(waiting[0])
        elif recent:
            double += 1
        else:
            stray += 1
    return stray, double


class Blow(NamedTuple):
    """What is struck down, `after` seconds from the start: gateway, broker, backend; all connections (storm); or
    for a while every write of the gateway fails (full_disk).
    """

    after: float
    what: str


EVERY_S = {"gateway": 13.5, "broker": 27.0, "backend": 27.0, "storm": 40.0, "full_disk": 60.0}
"""Within each span of so many seconds one blow of the kind falls: over 20, 10 and 10 in five minutes."""


def blows(seconds: float, seed: int) -> list[Blow]:
    """The blows of a run, in order, at least one of each kind. The same seed gives the same blows."""
    random = Random(f"blows {seed}")
    found = []
    for what, every in EVERY_S.items():
        spans = max(1, round(seconds / every))
        span = seconds / spans
        found += [Blow((n + random.uniform(0.15, 0.95)) * span, what) for n in range(spans)]
    return sorted(found)
