"""A face-access gate that speaks native: it sends the face it saw and leaves the decision to the gateway."""

from __future__ import annotations

from datetime import datetime

from devices.effects import Command, OpenPassage
from devices.events import (
    AccessTaken,
    CommandResult,
    CredentialPresented,
    DoorAlarm,
    DoorAlarmed,
    DoorChanged,
    DuressSignalled,
    FaceCaptured,
    Method,
)
from simulators.device import Later, Voice, unable
from simulators.estate import Happening, Role, What

OPENS_AFTER, PASSES_AFTER, CLOSES_AFTER = 0.2, 1.0, 2.5
"""Seconds from the command to the open door, to somebody passing, to the closed door."""


def tell(voice: Voice, happening: Happening, now: datetime) -> list[Later]:
    """What the gate says of a happening."""
    world, device = voice.world, voice.device.id
    match happening.what:
        case What.FACE_SHOWN:
            welcome = world.estate.people[happening.person].role is not Role.STRANGER
            world.ledger.presented(device, now, welcome=welcome)
            picture = world.pictures.face(happening.person, happening.number)
            return [voice.event(FaceCaptured, now, image=picture, live=True)]
        case What.CARD_SHOWN:
            known = any(happening.card in person.cards for person in world.estate.residents())
            world.ledger.presented(device, now, welcome=known)
            return [voice.event(CredentialPresented, now, method=Method.CARD, value=happening.card)]
        case What.DURESS:
            world.ledger.presented(device, now, welcome=True)
            return [voice.event(DuressSignalled, now, person=happening.person)]
        case What.DOOR_FORCED:
            forced = voice.event(DoorAlarmed, now, state=DoorAlarm.FORCED)
            return [forced, voice.event(DoorChanged, now, after=0.1, open=True)]
        case What.DOOR_SHUT:
            shut = voice.event(DoorChanged, now, open=False)
            return [shut, voice.event(DoorAlarmed, now, after=0.1, state=DoorAlarm.NORMAL)]
        case _:
            return []


def obey(voice: Voice, command_id: str, command: Command, now: datetime) -> list[Later]:
    """Opens the door once for each `OpenPassage`, as cheap hardware does: it does not know a repeated command."""
    if not isinstance(command, OpenPassage):
        return unable(voice, command_id, command, now)
    voice.world.ledger.opened(voice.device.id, command_id, now)
    return [
        voice.answer(command_id, CommandResult.ACCEPTED, now),
        voice.event(DoorChanged, now, after=OPENS_AFTER, open=True),
        voice.answer(command_id, CommandResult.DONE, now, after=OPENS_AFTER),
        voice.event(AccessTaken, now, after=PASSES_AFTER),
        voice.event(DoorChanged, now, after=CLOSES_AFTER, open=False),
    ]
