"""A street or stair light with a dimming controller."""

from __future__ import annotations

from datetime import datetime

from devices.effects import Command, SetLamp
from devices.events import CommandResult, LampFault, LampFaulted, LampMeasured
from simulators.device import Later, Voice, unable
from simulators.estate import Happening, What

FULL_W = 60.0


class Light:
    """Remembers how bright it was told to be and whether its lamp is broken. Starts dark."""

    def __init__(self) -> None:
        self.level_pct = 0.0
        self.broken = False

    def tell(self, voice: Voice, happening: Happening, now: datetime) -> list[Later]:
        """What the controller says of a happening."""
        match happening.what:
            case What.LAMP_READ:
                return [self._measured(voice, now)]
            case What.LAMP_FAILED | What.LAMP_MENDED:
                self.broken = happening.what is What.LAMP_FAILED
                return [voice.event(LampFaulted, now, fault=LampFault.LAMP_FAILURE, active=self.broken)]
            case _:
                return []

    def obey(self, voice: Voice, command_id: str, command: Command, now: datetime) -> list[Later]:
        """Dims as told and reports the new level."""
        if not isinstance(command, SetLamp):
            return unable(voice, command_id, command, now)
        self.level_pct = command.level_pct
        voice.world.ledger.lamps_set += 1
        return [voice.answer(command_id, CommandResult.DONE, now), self._measured(voice, now, after=0.5)]

    def _measured(self, voice: Voice, now: datetime, after: float = 0.0) -> Later:
        power = 0.0 if self.broken else FULL_W * self.level_pct / 100
        return voice.event(
            LampMeasured,
            now,
            after=after,
            level_pct=self.level_pct,
            active_power_w=power,
            supply_voltage_v=229.0,
            supply_current_a=round(power / 229.0, 3),
            temperature_c=24.0,
        )
