"""A plate as read, by a camera or by us, against the register: voting among looks, and what resembles it.

Whatever is registered now counts, in force or not: a plate that is near two vehicles is in doubt even when one of them
may not come in any more.
"""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from devices.effects import CheckPlate, MatchPlate, PlateLook
from devices.events import Listing, PlateChecked, PlateText, PlateVerdict
from gateway.directory import Directory
from gateway.vehicles import Vehicle, listing_now, normal_plate
from vision.registry_match import Candidate, RegistryMatch, match
from vision.types import PlateReading
from vision.voting import clusters, vote

_NOWHERE = ((0.0, 0.0),) * 4


class _Seen(NamedTuple):
    """What is asked about, as `PlateChecked` tells of it: the text `read`, the picture, when that was taken."""

    read: str
    evidence: str
    at: datetime
    frames: int
    sure: bool
    looks: tuple[str, ...] = ()
    camera_plate: str = ""


def checked(question: CheckPlate, directory: Directory, now: datetime) -> PlateChecked:
    """The answer to a `CheckPlate`: a text without confidences."""
    text = normal_plate(question.plate)
    found = _found(text, text, directory, now)
    seen = _Seen(question.plate, question.evidence, question.captured_at, frames=1, sure=question.sure)
    return _answer(question, *found, seen, directory, now)


def matched(question: MatchPlate, directory: Directory, now: datetime) -> PlateChecked:
    """The answer to a `MatchPlate`: by the vote of the looks that may be of the plate asked about, and no others."""
    look, camera = question.look, normal_plate(question.camera_plate)
    together = _of_one_plate(look, question.others)
    voted = vote([_reading(one.reading) for one in together]) or _reading(look.reading)
    verdict, vehicle = _found(voted, voted.plate, directory, now)
    if vehicle is not None and listing_now(vehicle, now) is Listing.BLOCK and not _certain(look, together, voted.plate):
        near = (Candidate(vehicle.plate, 0.0),)
        why = "read as a plate on the blocklist, but not surely: for a person to look at"
        verdict, vehicle = RegistryMatch(verdict="unsure", candidates=near, ask_about_block=near, why=why), None
    agreeing = [one for one in together if one.reading.plate == voted.plate]
    plate = verdict.plate or voted.plate
    same = camera in (plate, voted.plate)
    seen = _Seen(
        voted.plate,
        look.evidence,
        look.at,
        frames=len(agreeing) + (bool(camera) and same),
        sure=any(one.reading.sure for one in agreeing),
        looks=tuple(one.evidence for one in together if one.evidence),
        camera_plate="" if same else camera,
    )
    return _answer(question, verdict, vehicle, seen, directory, now)


def _certain(look: PlateLook, together: list[PlateLook], plate: str) -> bool:
    """Was it read surely, or on two pictures? An accusation is no guess."""
    same = [one for one in (look, *together) if one.reading.plate == plate]
    return any(one.reading.sure for one in same) or len({one.evidence for one in same}) >= 2


def _of_one_plate(look: PlateLook, others: tuple[PlateLook, ...]) -> list[PlateLook]:
    """The look asked about and those of the same plate: the car in front does not vote on the one behind it."""
    looks = (look, *others)
    readings = [_reading(one.reading) for one in looks]
    for group in clusters(readings):
        if any(reading is readings[0] for reading in group):
            return [one for one, reading in zip(looks, readings, strict=True) if any(reading is r for r in group)]
    return [look]


def _found(
    reading: PlateReading | str, text: str, directory: Directory, now: datetime
) -> tuple[RegistryMatch, Vehicle | None]:
    """What the register says, and the vehicle where it is exactly one."""
    exact = directory.vehicle(text)
    if exact is not None:
        return RegistryMatch(verdict="exact", plate=exact.plate, distance=0.0, why="registered, exactly"), exact
    near = directory.near_plates(text)
    blocked = {v.plate for v in near if listing_now(v, now) is Listing.BLOCK}
    verdict = match(reading, (vehicle.plate for vehicle in near), blocked)
    return verdict, directory.vehicle(verdict.plate) if verdict.plate else None


def _answer(
    question: CheckPlate | MatchPlate,
    verdict: RegistryMatch,
    vehicle: Vehicle | None,
    seen: _Seen,
    directory: Directory,
    now: datetime,
) -> PlateChecked:
    ids = [found.id for c in verdict.candidates if (found := directory.vehicle(c.plate))]
    return PlateChecked(
        at=max(question.at, now),
        settled=question.settled,
        plate=vehicle.plate if vehicle else seen.read,
        read=seen.read if vehicle and vehicle.plate != seen.read else "",
        listing=listing_now(vehicle, now) if vehicle else Listing.UNKNOWN,
        vehicle=vehicle.id if vehicle else "",
        verdict=PlateVerdict(verdict.verdict),
        distance=verdict.distance,
        margin=verdict.margin,
        candidates=tuple(ids),
        near_block=bool(verdict.ask_about_block),
        why=verdict.why[:128],
        evidence=seen.evidence,
        captured_at=seen.at,
        frames=seen.frames,
        sure=seen.sure,
        looks=seen.looks,
        camera_plate=seen.camera_plate,
    )


def _reading(text: PlateText) -> PlateReading:
    """As vision has it. Where it is on the picture does not matter here."""
    confidences = tuple(character.confidence for character in text.characters)
    return PlateReading(
        plate=text.plate,
        confidence=sum(confidences) / max(1, len(confidences)),
        char_confidences=confidences,
        quad=_NOWHERE,
        valid=bool(text.grammar),
        grammar=text.grammar,
        alternatives=tuple(character.others for character in text.characters),
    )
