"""The backend's own work: catch up with the feed, dispatch (派单), escalate what nobody claims, tell the gateway.

One thread does it, and whenever it is woken it does all of it in this order; what a person does on the page goes the
same way out. A step is written down before it is told, so a kill or an absent gateway loses none.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from devices.alerts import Work
from simulators.backend import roster
from simulators.backend.cases import (
    FIELD_LEVELS,
    NEXT,
    Case,
    Roster,
    loads,
    next_asked,
    unclaimed_since,
    wants_somebody,
)
from simulators.backend.store import Books, Step
from simulators.client import ApiError, Client

LOOK_EVERY_S = 5.0
BY_THEMSELVES = (Work.CLAIMED, Work.ON_SITE, Work.RESOLVED)
_HANDS = (Work.CLAIMED, Work.ON_SITE, Work.RESOLVED)


class TakenError(Exception):
    """Somebody else was faster, or the step is not possible as the case stands; the text is for whoever asked."""


class Office:
    """What an office of grid management does. `claim_within_s`: unclaimed for so long, the next level is asked. `auto`:
    whoever is sent claims, goes and resolves at once (the demo). `clock`: s since 1970.
    """

    def __init__(
        self,
        books: Books,
        client: Client,
        people: Roster,
        *,
        claim_within_s: float = 900.0,
        auto: bool = False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._books, self._client = books, client
        self.roster = people
        self._claim_within_s, self._auto, self._clock = claim_within_s, auto, clock
        self._awake, self._over = threading.Event(), threading.Event()
        self._telling = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="governance-work", daemon=True)
        self.sent = self.refused = 0
        self._roster_trouble = ""
        self.trouble = "not asked yet"
        """Why the gateway cannot be reached; "": it can."""

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End, after what is being done."""
        self._over.set()
        self._awake.set()
        self._thread.join()

    def wake(self) -> None:
        """Something came in."""
        self._awake.set()

    def _run(self) -> None:
        while not self._over.is_set():
            self._awake.clear()
            try:
                self.look()
                trouble = self._roster_trouble
            except ApiError as error:  # it comes back: nothing was lost meanwhile
                trouble = error.detail
            if trouble != self.trouble:
                self.trouble = trouble
                self._books.remember("trouble", trouble)
            self._awake.wait(LOOK_EVERY_S)

    def look(self) -> None:
        """Everything that is to be done now.

        :raises ApiError: the gateway cannot be reached.
        """
        self._give()
        self._tell()
        self._catch_up()
        cases = self._books.cases(open_only=True)
        busy = loads(cases)
        for case in cases:
            since = unclaimed_since(case)
            late = since is not None and self._clock() - since >= self._claim_within_s
            if wants_somebody(case) or late:
                self._dispatch(case, busy)
        self._tell()

    def _give(self) -> None:
        """A roster the gateway refuses is no reason to leave cases lying."""
        try:
            roster.give(self._books, self._client, self.roster)
        except ApiError as error:
            if not error.status:
                raise
            self._roster_trouble = error.detail
        else:
            self._roster_trouble = ""

    def _catch_up(self) -> None:
        """The feed from where it was left, to its end: what was missed comes without a gap."""
        while True:
            page = self._client.changes(int(self._books.fact("after") or 0))
            if not page["items"]:
                return
            self._books.catch_up(page["items"], page["next"])

    def _dispatch(self, case: Case, busy: dict[str, int]) -> None:
        found = next_asked(case, self.roster, busy)
        if found is None:
            return
        asked, person = found
        busy[person] = busy.get(person, 0) + 1
        if case.work is Work.NONE:
            self._books.send(case.alert, Work.ACCEPTED, assignee="", if_work=Work.NONE)
        expected = Work.ASSIGNED if case.work is Work.ASSIGNED else Work.ACCEPTED
        self._books.send(case.alert, Work.ASSIGNED, assignee=person, if_work=expected)
        level = FIELD_LEVELS[asked - 1].value
        what = "escalated" if case.asked else "dispatched"
        fields = {"asked": asked, "asked_at": self._clock(), "work": Work.ASSIGNED, "assignee": person}
        self._books.change(case.alert, at=self._now(), what=what, words=f"{level}: {person}", **fields)
        for step in BY_THEMSELVES if self._auto else ():
            self._books.send(case.alert, step, assignee=person)

    # -- telling the gateway ------------------------------------------------------------------------------------------

    def step(self, alert: str, work: Work, *, person: str, reason: str) -> bool:
        """What somebody did on the page; whether the gateway has it already (else it is told when it is back).

        :raises LookupError: there is no such case.
        :raises TakenError: it is not possible as the case stands, or somebody was faster; nothing was changed.
        """
        case = self._books.case(alert)
        if case is None:
            raise LookupError(alert)
        if work not in NEXT[case.work] and not (work is case.work and person == case.assignee):
            raise TakenError(f"{case.work} -> {work}")
        if work in _HANDS and case.work in _HANDS and case.assignee not in ("", person):
            raise TakenError(f"{case.assignee} has claimed it already")
        if work is Work.ASSIGNED:
            self._books.change(alert, asked=max(1, case.asked), asked_at=self._clock())
        number = self._books.send(alert, work, assignee=person, reason=reason)
        try:
            refusals = self._tell()
        except ApiError:
            self.wake()
            return False
        if number in refusals:
            raise TakenError(refusals[number])
        return True

    def _tell(self) -> dict[int, str]:
        """Every step that waits, in order; the refusals by number.

        :raises ApiError: the gateway cannot be reached; what was not told waits on.
        """
        refusals = {}
        with self._telling:
            for step in self._books.waiting():
                told = self._told(step)
                if told:
                    refusals[step.n] = told
        return refusals

    def _told(self, step: Step) -> str:
        """What the gateway says against a step, "" when it takes it."""
        try:
            if_work = step.if_work.value if step.if_work else None
            alert = self._client.work(
                step.alert, step.work.value, assignee=step.assignee, reason=step.reason, if_work=if_work
            )
        except ApiError as error:
            if error.status == 404:
                self._books.forget(step)
                return error.detail
            if error.status not in (409, 422):
                raise
            self.refused += 1
            return self._outrun(step, error.detail)
        self.sent += 1
        self._books.answered(step, alert, "")
        return ""

    def _outrun(self, step: Step, detail: str) -> str:
        """The case as the gateway has it, and who was faster."""
        alert: dict[str, Any] = self._client.alert(step.alert)
        faster = alert["assignee"] not in ("", step.assignee) or step.if_work is None
        self._books.answered(step, alert, detail if faster else "")
        return detail

    def _now(self) -> str:
        return datetime.fromtimestamp(self._clock(), UTC).isoformat()
