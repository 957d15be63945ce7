"""What we have seen of whoever stands before the arm: our looks of the last seconds, and a vehicle still in doubt.

look --MatchPlate, with the looks before it--> opened for
                                               not yet --settle_s, no better look--> asked a last time: a person is told
"""

from __future__ import annotations

from datetime import datetime, timedelta

from msgspec import Struct
from msgspec.structs import replace

from devices.effects import CheckPlate, Effect, MatchPlate, PlateLook
from devices.events import PlateChecked, PlateRead

MAX_LOOKS = 8


class Doubt(Struct, frozen=True, kw_only=True):
    """A vehicle nothing was opened for yet: since when, by which picture, and how its plate was read."""

    at: datetime
    captured_at: datetime
    evidence: str
    plate: str
    camera_plate: str = ""


class Passage(Struct, frozen=True, kw_only=True):
    """`looks`: the latest, in the order of their capture; `doubt`: the vehicle in doubt; `opened`: pictures of the one
    the arm was last opened for.
    """

    looks: tuple[PlateLook, ...] = ()
    doubt: Doubt | None = None
    opened: tuple[str, ...] = ()


def looked(passage: Passage, event: PlateRead, window: timedelta) -> tuple[Passage, list[Effect]]:
    """One look more: what it shows is asked for, with the looks within `window` before the latest. The same look again
    changes nothing, and the order in which looks are answered does not matter.
    """
    if event.reading is None:
        return passage, []
    look = PlateLook(at=event.captured_at, evidence=event.evidence, reading=event.reading)
    every = sorted(
        (look, *(other for other in passage.looks if other.evidence != look.evidence)),
        key=lambda one: (one.at, one.evidence),
    )
    kept = tuple(one for one in every if every[-1].at - one.at <= window)[-MAX_LOOKS:]
    passage = replace(passage, looks=kept)
    return passage, [_question(passage, look, event.at, event.camera_plate, settled=False)]


def _question(passage: Passage, look: PlateLook, at: datetime, camera_plate: str, *, settled: bool) -> MatchPlate:
    others = tuple(other for other in passage.looks if other.evidence != look.evidence)
    return MatchPlate(look=look, at=at, others=others, camera_plate=camera_plate, settled=settled)


def doubted(passage: Passage, event: PlateChecked) -> Passage:
    """The arm was not opened for it; a better look may come."""
    if event.settled:
        return settled(passage, event)
    doubt = Doubt(
        at=event.at,
        captured_at=event.captured_at,
        evidence=event.evidence,
        plate=event.read or event.plate,
        camera_plate=event.camera_plate,
    )
    return replace(passage, doubt=doubt)


def settled(passage: Passage, event: PlateChecked) -> Passage:
    """The vehicle of this answer is in doubt no more."""
    ours = passage.doubt is not None and passage.doubt.evidence in (event.evidence, *event.looks)
    return replace(passage, doubt=None) if ours else passage


def opened(passage: Passage, event: PlateChecked) -> Passage:
    """The arm is opened for it; looks of the same vehicle that come later are no news."""
    return replace(settled(passage, event), opened=(*event.looks, event.evidence)[-MAX_LOOKS:])


def same_vehicle(passage: Passage, event: PlateChecked) -> bool:
    """Was the arm opened for the vehicle on these pictures?"""
    return any(look and look in passage.opened for look in event.looks)


def due(passage: Passage, wait: timedelta) -> datetime | None:
    """When no better look is to be expected of the vehicle in doubt."""
    return passage.doubt.at + wait if passage.doubt else None


def last_word(passage: Passage, at: datetime) -> tuple[Passage, list[Effect]]:
    """Ask a last time for the vehicle in doubt."""
    doubt = passage.doubt
    if doubt is None:
        return passage, []
    passage = replace(passage, doubt=None)
    for look in passage.looks:
        if look.evidence == doubt.evidence:
            return passage, [_question(passage, look, at, doubt.camera_plate, settled=True)]
    check = CheckPlate(
        plate=doubt.plate, at=at, captured_at=doubt.captured_at, evidence=doubt.evidence, sure=False, settled=True
    )
    return passage, [check]
