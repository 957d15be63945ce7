"""The engine: one thread that reads, decides, commits, acknowledges and sends: the way of a message, top to bottom.

    socket -> Intake: Reader (decode) -> Hub (decide) -> Journal (one durable transaction) -> adopt -> ack -> Dispatch

What is posted over HTTP and what is asked from inside comes through the inbox, and goes the same way from there.

If the transaction fails, nothing of the batch has happened: nothing was acknowledged, so the broker keeps it, and the
engine says so, lets go of the broker and tries again until the disk can be written.
"""

from __future__ import annotations

import select
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, NamedTuple

import structlog

from devices.alerts import Condition
from gateway import metrics
from gateway.actions import RefusedError
from gateway.changes import Changes
from gateway.directory import Directory
from gateway.dispatch import Dispatch
from gateway.errands import Errands
from gateway.evidence import Evidence
from gateway.face_sight import FaceSight
from gateway.hub import Hub
from gateway.inbox import Inbox, Item, PostAnswer, Posted
from gateway.intake import Intake
from gateway.journal import CommitError, Journal
from gateway.mqtt import Message, Mqtt
from gateway.reader import Reader
from gateway.schedule import STEP, ClockWatch, Name, Schedule
from gateway.settings import Settings

log = structlog.get_logger()

IDLE_S = 1.0
RETRY_COMMIT_S = 2.0
SETTLE = timedelta(seconds=3)
"""After a (re)connection the broker first hands over what waited; only then is silence silence and a deadline due."""
DUE_AT_ONCE = 64
"""After a night away many thousand deadlines are due: so many are looked at between two looks at the door."""
PRUNE_EVERY_S = 60.0
AFTER_A_BUG = timedelta(seconds=60)
"""A deadline that met a bug of ours is tried again after this, not at once."""
BROKER_AWAY = timedelta(seconds=10)
"""A broker gone for so long is an alert."""


class _Answer(NamedTuple):
    future: Future[Any]
    value: Any
    error: Exception | None


class _UnwritableError(Exception):
    """The batch holds something no database takes: our own bug, whose message has to be found."""


class Engine:
    """Owns every state and the journal. `listeners` are called after a commit that changed alerts or devices,
    `reloaded` when devices were registered, changed or removed.
    """

    def __init__(
        self,
        *,
        settings: Settings,
        mqtt: Mqtt,
        inbox: Inbox,
        reader: Reader,
        hub: Hub,
        journal: Journal,
        dispatch: Dispatch,
        evidence: Evidence,
        directory: Directory,
        face_sight: FaceSight,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._settings = settings
        self._mqtt = mqtt
        self._inbox = inbox
        self._reader = reader
        self._intake = Intake(reader=reader, hub=hub, journal=journal)
        self._errands = Errands(hub=hub, journal=journal, directory=directory, face_sight=face_sight)
        self._face_sight = face_sight
        self._hub = hub
        self._journal = journal
        self._dispatch = dispatch
        self._evidence = evidence
        self._clock = clock
        self._retry: list[Item] = []
        self._ticks_from = datetime.min.replace(tzinfo=UTC)
        self._epoch = -1
        self._served_at = journal.newest() or clock()
        self._moved: timedelta | None = None
        before = journal.clock()
        if before is not None and before - clock() > STEP:  # set back while we were away
            self._clock_moved(clock() - before)
        self._watch = ClockWatch()
        self._lost_at: datetime | None = None
        self._alarmed = any(
            alert.type == "broker_offline" and alert.condition is Condition.ACTIVE for alert in hub.alerts.open
        )
        self._prune_at = time.monotonic() + PRUNE_EVERY_S
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)
        self.listeners: list[Callable[[], None]] = []
        self.reloaded = self._errands.reloaded
        self.reloaded.append(reader.reload)
        self.trouble = ""

    # -- life -------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin, after `Hub.restore`. Questions that vision had not answered are asked again."""
        now = self._clock()
        self._face_sight.sightings.adopt(self._journal.sightings(now))
        for job in self._journal.kept.pending_jobs():
            self._errands.jobs[job.id] = job
            self._dispatch.look(job, now)
        self._thread.start()

    def stop(self) -> None:
        """End after the batch in hand; what was not acknowledged stays with the broker."""
        self._stopping.set()
        self._inbox.wake()
        if self._thread.is_alive():
            self._thread.join(15)
        for item in self._retry:
            if item.answer is not None:
                item.answer.set_exception(RefusedError("the gateway is stopping"))
        self._inbox.close()
        self._mqtt.disconnect()
        self._journal.close()

    @property
    def bugs(self) -> int:
        """How many errors of our own there were."""
        return self._intake.bugs

    @property
    def alive(self) -> bool:
        """The thread runs."""
        return self._thread.is_alive()

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._wait()
            self._mqtt.tend()
            self._follow_connection()
            messages = self._mqtt.read(self._settings.limits.batch) if self._mqtt.socket() else []
            try:
                self._round(messages, self._requests())
            except CommitError as error:
                self._let_go(str(error))
                self._stopping.wait(RETRY_COMMIT_S)
            if time.monotonic() >= self._prune_at:
                self._prune()

    def _requests(self) -> list[Item]:
        """What was asked from inside. While some of it could not be carried out the rest waits in the bounded inbox."""
        items, self._retry = self._retry, []
        return items or self._inbox.take()

    def _wait(self) -> None:
        sock = self._mqtt.socket()
        poll = select.poll()  # not select(): it takes no descriptor above 1023
        poll.register(self._inbox, select.POLLIN)
        if sock:
            poll.register(sock, select.POLLIN | (select.POLLOUT if self._mqtt.wants_write() else 0))
        patience = self._patience() if sock else min(0.1, self._patience())
        poll.poll(0 if self._mqtt.holds_more() else patience * 1000)

    def _patience(self) -> float:
        """How long nothing needs to be done of ourselves, s."""
        dues = [schedule.next() for schedule in self._running()]
        due = min((at for at in dues if at is not None), default=None)
        if self._retry and not self.trouble:
            return 0.0
        if due is None:
            return IDLE_S
        return min(IDLE_S, max(0.0, (max(due, self._ticks_from) - self._clock()).total_seconds()))

    def _follow_connection(self) -> None:
        if self._mqtt.epoch != self._epoch and self._mqtt.connected:
            self._epoch = self._mqtt.epoch
            self._settle()
            self._reader.pardon((self._clock() - self._served_at).total_seconds())
        by = self._watch.stepped(self._clock(), time.monotonic())
        if by is not None:
            log.warning("clock_was_set", now=self._clock().isoformat(), by_s=by.total_seconds())
            self._set_clocks(by)
        if self._mqtt.connected and not self.trouble:
            self._served_at = self._clock()

    def _settle(self) -> None:
        self._ticks_from = self._clock() + SETTLE
        self._hub.states.grace(self._ticks_from)

    def _set_clocks(self, by: timedelta) -> None:
        """The wall clock was set: what was measured by it before says nothing about silence now."""
        self._lost_at = None
        self._settle()
        self._hub.states.look_at_all(self._clock())
        self._clock_moved(by)

    def _clock_moved(self, by: timedelta) -> None:
        """The next batch sets what is being timed by as much."""
        self._moved = (self._moved or timedelta()) + by
        self._hub.alerts.reckon_anew(by)

    def _running(self) -> list[Schedule]:
        """Whose deadlines count. Silence says nothing while the broker is away, so devices and policies wait for it.
        Alerts do, too, until that is an alert itself: what ends them may wait at the broker.
        """
        alerts = self._mqtt.connected or (self._alarmed and not self.trouble)
        return [
            *([self._hub.alerts.schedule] if alerts else []),
            *([self._hub.schedule] if self._mqtt.connected else []),
        ]

    def _broker_news(self, now: datetime) -> bool | None:
        """True: the broker is reachable again; False: it has been away for too long; None: nothing new."""
        if self._mqtt.connected:
            self._lost_at = None
            news = True if self._alarmed else None
        elif self.trouble:  # we let go of the broker ourselves
            self._lost_at = news = None
        else:
            self._lost_at = self._lost_at or now
            news = False if not self._alarmed and now - self._lost_at >= BROKER_AWAY else None
        return news

    def _let_go(self, trouble: str) -> None:
        """The disk cannot be written: let the broker keep the messages until it can."""
        if trouble != self.trouble:
            log.error("commit_failed", trouble=trouble)
        self.trouble = trouble
        self._mqtt.disconnect()

    def _prune(self) -> None:
        try:
            more = self._journal.prune(self._clock())
        except CommitError as error:
            log.warning("prune_failed", trouble=str(error))
            more = 0
        self._prune_at = time.monotonic() + (1.0 if more > 0 else PRUNE_EVERY_S)

    # -- one batch --------------------------------------------------------------------------------------------------

    def _round(self, messages: list[Message], items: list[Item]) -> None:
        """Decide everything at hand, make it durable, then let it happen.

        :raises CommitError: nothing has happened; the requests are kept in `_retry`.
        """
        now = self._clock()
        running = self._running() if now >= self._ticks_from and self._moved is None else []
        due = [name for schedule in running for name in schedule.pop(now, DUE_AT_ONCE)]
        news = self._broker_news(now)
        if not (messages or items or due or news is not None or self._moved):
            self._probe()
            return
        try:
            self._batch(messages, items, now, due=due, news=news)
        except CommitError as error:
            self._keep(items, error)
            self._want_again(due, now)
            raise
        except _UnwritableError:
            self._want_again(due, now + AFTER_A_BUG)
            self._one_by_one(messages, items, now)

    def _want_again(self, due: list[Name], at: datetime) -> None:
        for name in due:
            self._hub.want(name, at)

    def _batch(
        self,
        messages: list[Message],
        items: list[Item],
        now: datetime,
        *,
        due: list[Name] | None = None,
        news: bool | None = None,
    ) -> None:
        batch = Changes()
        moved = self._moved
        if moved:
            self._intake.isolated(batch, lambda turn: self._hub.clock_set(moved, now, batch, turn), "clock")
        if news is not None:
            self._intake.isolated(
                batch, lambda turn: self._hub.broker(reachable=news, now=now, batch=batch, turn=turn), "broker"
            )
        self._intake.messages(messages, batch)
        answers = [answer for item in items if (answer := self._take_item(item, now, batch))]
        for name in due or ():
            if not self._intake.isolated(batch, partial(self._hub.tick, name, now, batch), "tick"):
                self._hub.want(name, now + AFTER_A_BUG)
        self._make_durable(batch, now)
        self._hub.adopt(batch, now)
        self._moved = None
        self._face_sight.sightings.adopt(batch.sightings)
        self._reader.adopt(batch)
        if news is not None:
            self._alarmed = not news
        self._errands.adopt(batch)
        for message in messages:
            self._mqtt.ack(message)
        unsent = self._dispatch.send(batch, self._clock)
        self._mqtt.flush()
        self._retry += [Item(command) for command in unsent]
        self._tell(batch, answers)

    def _one_by_one(self, messages: list[Message], items: list[Item], now: datetime) -> None:
        """Each in a batch of its own, so that only the one that cannot be written is set aside."""
        for n, item in enumerate(items):
            try:
                self._batch([], [item], now)
            except CommitError as error:
                self._keep(items[n:], error)
                raise
            except _UnwritableError as error:
                self._give_up(item, error, now)
        for message in messages:
            try:
                self._batch([message], [], now)
            except _UnwritableError:
                batch = Changes()
                self._intake.set_aside(message, "", batch)
                self._make_durable(batch, now)
                self._mqtt.ack(message)
        self._mqtt.flush()

    def _keep(self, items: list[Item], error: CommitError) -> None:
        """Requests wait for the disk. Posts do not: their devices keep them and send them again."""
        self._retry = [item for item in items if not isinstance(item.what, Posted)] + self._retry
        for item in items:
            if isinstance(item.what, Posted) and item.answer is not None:
                item.answer.set_exception(error)

    def _give_up(self, item: Item, error: _UnwritableError, now: datetime) -> None:
        """No database takes what follows from this one: a post is set aside, an asker told."""
        answer: PostAnswer | None = None
        if isinstance(item.what, Posted):
            batch = Changes()
            answer = self._intake.post_aside(item.what, batch)
            self._make_durable(batch, now)
        if item.answer is not None and answer is not None:
            item.answer.set_result(answer)
        elif item.answer is not None:
            item.answer.set_exception(error)

    def _make_durable(self, batch: Changes, now: datetime) -> None:
        if not batch.worth_writing:
            return
        try:
            if batch.captures:
                self._evidence.write_many({key: image for key, (_, _, image) in batch.captures.items()})
        except OSError as error:
            raise CommitError(f"evidence cannot be written: {error}") from error
        with metrics.COMMIT_SECONDS.time():
            try:
                self._journal.commit(batch, now)
            except CommitError:
                raise
            except Exception as error:  # the supervisor: what no database takes must not stop the stream
                self._intake.bug("commit", error)
                raise _UnwritableError("the gateway cannot write this down: its own error, see the log") from error
        if self.trouble:
            log.info("commit_works_again")
        self.trouble = ""

    def _probe(self) -> None:
        """With nothing to write, find out whether the disk has recovered."""
        if self.trouble:
            self._journal.commit(Changes(), self._clock())
            self.trouble = ""
            log.info("commit_works_again")

    def _tell(self, batch: Changes, answers: list[_Answer]) -> None:
        for answer in answers:
            if answer.error is not None:
                answer.future.set_exception(answer.error)
            else:
                answer.future.set_result(answer.value)
        if batch.alert_changes or batch.devices:
            for listener in self.listeners:
                listener()

    # -- requests and answers from inside ---------------------------------------------------------------------------

    def _take_item(self, item: Item, now: datetime, batch: Changes) -> _Answer | None:
        turn = Changes()
        try:
            if isinstance(item.what, Posted):
                value: Any = self._intake.post(item.what, batch)
            else:
                value = self._errands.carry_out(item.what, now, batch, turn)
        except CommitError:
            raise
        except Exception as error:  # noqa: BLE001 - the supervisor: handed to whoever asked, or told as a bug
            if item.answer is None:
                self._intake.bug(type(item.what).__name__, error)
                return None
            return _Answer(item.answer, None, error)
        batch.merge(turn)
        return _Answer(item.answer, value, None) if item.answer is not None else None
