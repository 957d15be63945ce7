"""The backend's own work: catch up with the feed, dispatch (派单), escalate what nobody claims, tell the gateway.

One thread does it, and whenever it is woken it does all of it in this order; what a person does on the page goes the
same way out. A step is written down before it is told, so a kill or an absent gateway loses none.
"""

from __future__ import annotations

import threading
import time
import traceback
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from devices.alerts import Work
from simulators.backend import anew, roster
from simulators.backend.cases import (
    FIELD_LEVELS,
    NEXT,
    Case,
    Roster,
    loads,
    next_asked,
    not_apart,
    refused,
    unclaimed_since,
    wants_somebody,
)
from simulators.backend.store import Books, Step
from simulators.client import ApiError, Client

LOOK_EVERY_S = 5.0
BY_THEMSELVES = (Work.CLAIMED, Work.ON_SITE, Work.RESOLVED)
_HANDS = (Work.CLAIMED, Work.ON_SITE, Work.RESOLVED)
_WAITS = (0, 401, 403, 429)
"""Nothing against the step itself: the gateway is away, or the token is not good."""


class TakenError(Exception):
    """The step is not possible; `refusal` says why (`cases.refused`)."""

    def __init__(self, refusal: dict[str, str]) -> None:
        super().__init__(refusal["text"] or refusal["code"])
        self.refusal = refusal


class Office:
    """What an office of grid management does. `claim_within_s`: unclaimed for so long, the next level is asked. `auto`:
    whoever is sent claims, goes and resolves at once (the demo). `clock`: s since 1970. `subscribe`: sees to it
    that the gateway delivers; asked when it was set back.
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
        subscribe: Callable[[], None] = lambda: None,
    ) -> None:
        self._books, self._client = books, client
        self.roster = people
        self._claim_within_s, self._auto, self._clock = claim_within_s, auto, clock
        self._subscribe = subscribe
        self._awake, self._over = threading.Event(), threading.Event()
        self._telling = threading.RLock()
        self._thread = threading.Thread(target=self._run, name="governance-work", daemon=True)
        self.sent = self.refused = 0
        self._roster_trouble = ("", "")
        self._begun = False
        self.trouble = ("not_asked", "not asked yet")
        """Why the gateway cannot be used, as its code and in its words; ("", ""): it can."""

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
                trouble = (error.code, error.detail)
            except Exception as error:  # noqa: BLE001 - supervises this thread: whatever it is, the next round is tried, and the page says so meanwhile
                trouble = ("fault", f"{type(error).__name__}: {error}")
                traceback.print_exc()
            if trouble != self.trouble:
                self.trouble = trouble
                self._books.stir()
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
            roster.give(self._books, self._client, self.roster, anew=not self._begun)
        except ApiError as error:
            if not error.status:
                raise
            self._roster_trouble = (error.code, error.detail)
        else:
            self._roster_trouble, self._begun = ("", ""), True

    def _catch_up(self) -> None:
        """The feed from where it was left, to its end: what was missed comes without a gap."""
        while True:
            after = int(self._books.fact("after") or 0)
            try:
                page = self._client.changes(after, known=self._books.fact("after_hash"))
            except ApiError as error:
                if not anew.broken(error):
                    raise
                self._read_anew(error)
                return
            if not page["items"]:
                return
            if page["next"] <= after:
                raise ApiError(f"the feed behind {after} goes on at {page['next']}", status=502)
            self._books.catch_up(page["items"], page["next"], 0 if after else page.get("forgotten", 0))

    def _read_anew(self, error: ApiError) -> None:
        """A gateway that was set back may have lost our roster and our subscription, too."""
        anew.begin(self._books, self._client, error, self._moment())
        self._begun = False
        self.wake()
        if error.status == 409:
            self._subscribe()

    def _dispatch(self, case: Case, busy: dict[str, int]) -> None:
        found = next_asked(case, self.roster, busy)
        if found is None:
            return
        asked, person = found
        busy[person] = busy.get(person, 0) + 1
        level = FIELD_LEVELS[asked - 1].value
        expected = Work.ASSIGNED if case.work is Work.ASSIGNED else Work.ACCEPTED
        steps = [Step(alert=case.alert, work=Work.ACCEPTED, if_work=Work.NONE)] if case.work is Work.NONE else []
        steps.append(Step(alert=case.alert, work=Work.ASSIGNED, assignee=person, if_work=expected))
        steps += [Step(alert=case.alert, work=work, assignee=person) for work in BY_THEMSELVES if self._auto]
        self._books.dispatch(
            case,
            steps,
            at=self._now(),
            what="escalated" if case.asked else "dispatched",
            words=f"{level}: {person}",
            asked=asked,
            asked_at=self._clock(),
            work=Work.ASSIGNED,
            assignee=person,
        )

    # -- telling the gateway ------------------------------------------------------------------------------------------

    def step(self, alert: str, work: Work, *, operator: str, person: str = "", reason: str = "") -> bool:
        """What the operator did on the page; whether the gateway has it already (else it is told when it is back).
        `person`: whom they send (`assigned`).

        :raises LookupError: there is no such case.
        :raises TakenError: it is not possible as the case stands, or somebody was faster; nothing was changed.
        """
        with self._telling:  # nobody else tells it in between, and so hears the answer that is meant for this operator
            case = self._books.case(alert)
            if case is None:
                raise LookupError(alert)
            assignee = self._assignee(work, operator, person)
            self._check(case, work, operator, assignee)
            step = Step(alert=alert, work=work, assignee=assignee, reason=reason, operator=operator)
            if case.unknown:
                anew.alone(self._books, step, self._moment())
                return True
            asked = {"asked": max(1, case.asked), "asked_at": self._clock()} if work is Work.ASSIGNED else {}
            number = self._books.send(step, **asked)
            try:
                refusals = self._tell()
            except ApiError:
                self.wake()
                return False
        if number in refusals:
            raise TakenError(refusals[number])
        return True

    def _assignee(self, work: Work, operator: str, person: str) -> str:
        """Whose the case is by this step: who is sent, or who takes it in hand; "" leaves that as it is."""
        if work is not Work.ASSIGNED:
            return operator if work in _HANDS else ""
        if person not in {one.id for one in self.roster.staff} | {self.roster.anybody}:
            raise TakenError(refused("nobody", text=f"there is no {person!r} in the roster"))
        return person

    def _check(self, case: Case, work: Work, operator: str, assignee: str) -> None:
        """Is it possible as far as is known here?"""
        if work not in NEXT[case.work] and not (work is case.work and assignee == case.assignee):
            raise TakenError(refused("not_possible", stands=case.work, text=f"{case.work} -> {work}"))
        if work in _HANDS and case.work in _HANDS and case.assignee not in ("", assignee):
            text = f"{case.assignee} has claimed it already"
            raise TakenError(refused("claimed_already", who=case.assignee, stands=case.work, text=text))
        done = not_apart(case, work, operator)
        if done is not None:
            text = f"{operator} has {done} it; somebody else has to do this"
            raise TakenError(refused("somebody_else", who=operator, stands=done, text=text))

    def _tell(self) -> dict[int, dict[str, str]]:
        """Every step that waits, in order; the refusals by number.

        :raises ApiError: the gateway cannot be used; what was not told waits on.
        """
        refusals = {}
        with self._telling:
            for step in self._books.waiting():
                told = self._told(step)
                if told:
                    refusals[step.n] = told
        return refusals

    def _told(self, step: Step) -> dict[str, str]:
        """What the gateway says against a step, empty when it takes it."""
        try:
            alert = self._client.work(
                step.alert,
                step.work.value,
                assignee=step.assignee,
                reason=step.reason,
                if_work=step.if_work.value if step.if_work else None,
                step=f"{self._books.fact('books')}-{step.n}",
                operator=step.operator,
            )
        except ApiError as error:
            if error.status in _WAITS or error.status >= 500:
                raise
            self.refused += 1
            return self._outrun(step, error)
        self.sent += 1
        self._books.answered(step, alert, {})
        return {}

    def _outrun(self, step: Step, error: ApiError) -> dict[str, str]:
        """The case as the gateway has it, and who was faster. A step that cannot be told holds up no other."""
        problem = error.problem
        who, stands = str(problem.get("who") or ""), str(problem.get("stands") or "")
        refusal = refused(error.code, who=who, stands=stands, text=error.detail)
        try:
            alert: dict[str, Any] = self._client.alert(step.alert)
        except ApiError as gone:
            if gone.status != 404:
                raise
            anew.forget(self._books, step, self._moment())
            return {} if step.operator else refusal
        faster = alert["assignee"] not in ("", step.assignee) or step.if_work is None
        self._books.answered(step, alert, refusal if faster else {})
        return refusal

    def _now(self) -> str:
        return self._moment().isoformat()

    def _moment(self) -> datetime:
        return datetime.fromtimestamp(self._clock(), UTC)
