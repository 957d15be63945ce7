"""What every native device can be told, whatever it is: speak, send a picture, restart, set the clock, keep a list."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from devices.effects import (
    Command,
    PersonEntry,
    PlateEntry,
    Reboot,
    Speak,
    SyncPersons,
    SyncPlates,
    SyncTime,
    TakeSnapshot,
)
from devices.events import CommandResult, FrameCaptured, ListAnswered, ListRefusal, ListReported
from simulators.device import Later, Voice

RESTARTS_AFTER, LISTED_AFTER, SEEN_AFTER = 1.0, 0.3, 0.2
"""Seconds to the greeting after a restart, to the answer to a list, to the picture."""
NO_PHOTO = "no face on the photo"


class Routine:
    """One device's routine. `list_`: what it keeps a list of ("persons", "plates" or ""); it is in memory only, so a
    restart loses it. `look()` gives the picture before its camera, None: it has none. `refuses` are entries it will not
    take, besides persons without a photograph.
    """

    def __init__(self, voice: Voice, *, list_: str = "", look: Callable[[], bytes] | None = None) -> None:
        self._voice = voice
        self._list = list_
        self._look = look
        self.held: dict[str, PersonEntry | PlateEntry] = {}
        self.refuses: set[str] = set()
        self.spoken: list[str] = []

    def obey(self, command_id: str, command: Command, now: datetime) -> list[Later] | None:  # noqa: PLR0911 - a line each
        """What comes of the command; None: it is not one of these, or this device cannot."""
        voice = self._voice
        match command:
            case Speak(text=text):
                self.spoken.append(text)
                return [voice.answer(command_id, CommandResult.DONE, now)]
            case SyncTime():
                voice.set_clock(timedelta())
                return [voice.answer(command_id, CommandResult.DONE, now), voice.beat(now)]
            case Reboot():
                return [voice.answer(command_id, CommandResult.ACCEPTED, now), *self._restart(now)]
            case TakeSnapshot() if self._look is not None:
                picture = voice.event(FrameCaptured, now, after=SEEN_AFTER, image=self._look())
                return [voice.answer(command_id, CommandResult.ACCEPTED, now), picture]
            case SyncPersons() if self._list == "persons":
                persons = {person.id: person for person in command.put}
                bad = {id_ for id_, person in persons.items() if not person.photo}
                return self._keep(command_id, persons, bad, command.remove, now)
            case SyncPlates() if self._list == "plates":
                plates = {entry.plate: entry for entry in command.put}
                return self._keep(command_id, plates, set(), command.remove, now)
            case _:
                return None

    def _restart(self, now: datetime) -> list[Later]:
        self.held.clear()
        self._voice.restart()
        said = [self._voice.hello(now, after=RESTARTS_AFTER)]
        if self._list:
            report = self._voice.event(ListReported, now, after=RESTARTS_AFTER, what=self._list, count=0)
            said.append(report)
        return said

    def _keep(
        self,
        command_id: str,
        put: dict[str, PersonEntry] | dict[str, PlateEntry],
        bad: set[str],
        remove: tuple[str, ...],
        now: datetime,
    ) -> list[Later]:
        """Take it over, and answer for every entry; to remove what is not there counts as taken."""
        refused = [entry for entry in put if entry in self.refuses or entry in bad]
        self.held |= {entry: value for entry, value in put.items() if entry not in refused}
        for entry in remove:
            self.held.pop(entry, None)
        took = [entry for entry in (*put, *remove) if entry not in refused]
        refusals = [ListRefusal(entry=entry, reason=NO_PHOTO if entry in bad else "refused") for entry in refused]
        accepted = self._voice.answer(command_id, CommandResult.ACCEPTED, now)
        answer = self._voice.event(
            ListAnswered, now, after=LISTED_AFTER, command_id=command_id, took=tuple(took), refused=tuple(refusals)
        )
        return [accepted, answer]
