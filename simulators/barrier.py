"""A vehicle barrier with a lane camera that speaks native and reads no plates itself."""

from __future__ import annotations

from datetime import datetime

from devices.effects import CloseBarrier, Command, OpenPassage
from devices.events import BarrierMoved, CommandResult, Direction, LoopChanged, PlateCaptured, VehiclePassed
from simulators.device import Later, Voice, unable
from simulators.estate import Estate, Happening, What

UP_AFTER, ON_LOOP_AFTER, OFF_LOOP_AFTER, DOWN_AFTER = 0.5, 1.0, 2.0, 3.0
"""Seconds from the command to the raised arm, to the car on the loop, to the free loop, to the lowered arm."""

SHOTS_A_PASSAGE, SHOT_EVERY = 2, 0.3
"""Pictures the lane camera takes of one car, and the seconds between them."""


def is_welcome(estate: Estate, plate: str) -> bool:
    """Whether a barrier should open for this plate."""
    return any(v.plate == plate and v.listing in ("allow", "visitor") for v in estate.vehicles())


def tell(voice: Voice, happening: Happening, now: datetime) -> list[Later]:
    """What the lane camera says of an arriving car."""
    if happening.what is not What.CAR_ARRIVED:
        return []
    world = voice.world
    world.ledger.presented(voice.device.id, now, welcome=is_welcome(world.estate, happening.plate))
    direction = Direction(voice.device.direction)
    return [
        voice.event(
            PlateCaptured,
            now,
            after=shot * SHOT_EVERY,
            image=world.pictures.car(happening.plate, happening.number + shot),
            direction=direction,
        )
        for shot in range(SHOTS_A_PASSAGE)
    ]


def obey(voice: Voice, command_id: str, command: Command, now: datetime) -> list[Later]:
    """Raises the arm, lets the car through, lowers the arm; or lowers it at once."""
    match command:
        case OpenPassage():
            voice.world.ledger.opened(voice.device.id, command_id, now)
            direction = Direction(voice.device.direction)
            return [
                voice.answer(command_id, CommandResult.ACCEPTED, now),
                voice.event(BarrierMoved, now, after=UP_AFTER, open=True),
                voice.answer(command_id, CommandResult.DONE, now, after=UP_AFTER),
                voice.event(LoopChanged, now, after=ON_LOOP_AFTER, occupied=True),
                voice.event(LoopChanged, now, after=OFF_LOOP_AFTER, occupied=False),
                voice.event(VehiclePassed, now, after=OFF_LOOP_AFTER, direction=direction),
                voice.event(BarrierMoved, now, after=DOWN_AFTER, open=False),
            ]
        case CloseBarrier():
            done = voice.answer(command_id, CommandResult.DONE, now, after=UP_AFTER)
            return [done, voice.event(BarrierMoved, now, after=UP_AFTER, open=False)]
        case _:
            return unable(voice, command_id, command, now)
