"""Counts what the gateway made the devices do, and finds what it should not have done."""

from __future__ import annotations

from datetime import datetime, timedelta

from msgspec import Struct

REMEMBERED = timedelta(seconds=30)
"""How long after somebody presented themselves an opening can still be meant for them."""

ANSWERED_WITHIN = timedelta(seconds=8)
"""No command is good for longer after somebody showed themselves."""


class Presented(Struct, kw_only=True):
    """Somebody stood before a device at `at`. `welcome`: it should open for them. `served`: it has opened."""

    at: datetime
    welcome: bool
    served: bool = False


class Ledger(Struct, kw_only=True):
    """Counts of one run. `double_openings`: opened twice for one command or one presentation. `stray_openings`: opened
    though nobody was there. `wrong_openings`: opened for somebody who is not welcome. `waits_ms`: from somebody
    presenting themselves to the command at the device, milliseconds, where only one person can have been meant.
    """

    commands_received: int = 0
    commands_late: int = 0
    commands_unreadable: int = 0
    openings: int = 0
    double_openings: int = 0
    stray_openings: int = 0
    wrong_openings: int = 0
    lamps_set: int = 0
    presented_welcome: int = 0
    presented_unwelcome: int = 0
    waits_ms: list[float] = []
    opened_for: set[tuple[str, str]] = set()
    waiting: dict[str, list[Presented]] = {}

    def presented(self, device: str, at: datetime, *, welcome: bool) -> None:
        """Somebody presents themselves. Also says that an operator is about to open the device by hand."""
        self.presented_welcome += welcome
        self.presented_unwelcome += not welcome
        recent = [p for p in self.waiting.get(device, []) if at - p.at <= REMEMBERED]
        self.waiting[device] = [*recent, Presented(at=at, welcome=welcome)]

    def opened(self, device: str, command_id: str, at: datetime) -> None:
        """The device opens by the command of this id."""
        self.openings += 1
        repeated = (device, command_id) in self.opened_for
        self.opened_for.add((device, command_id))
        recent = [p for p in self.waiting.get(device, []) if at - p.at <= REMEMBERED]
        expecting = sorted((p for p in recent if not p.served), key=lambda p: not p.welcome)
        if repeated or (recent and not expecting):
            self.double_openings += 1
        elif not expecting:
            self.stray_openings += 1
        else:
            expecting[0].served = True
            lately = [p for p in expecting if at - p.at <= ANSWERED_WITHIN]
            if len(lately) == 1:
                self.waits_ms.append((at - lately[0].at).total_seconds() * 1000)
            self.wrong_openings += not expecting[0].welcome
