"""Who speaks the protocols of `simulators.chaos_words` in a chaos run: over MQTT a `Speaker`, over HTTP a `Poster`.

Both keep a record until it is confirmed, by the broker, by the gateway's own answer, or by 200, and tell it again until
then; both tell some twice, and many again when a storm comes.
"""

from __future__ import annotations

import heapq
import threading
import time
from collections import Counter, deque
from datetime import UTC, datetime
from queue import Empty, SimpleQueue
from random import Random
from typing import NamedTuple

import requests
from requests.auth import HTTPDigestAuth

from devices.model import Device
from simulators.chaos_ledger import Key
from simulators.chaos_line import Connection
from simulators.chaos_words import BASE, Out, Scene, Session, Words
from simulators.link import Broker

DOUBLED, HELD_BACK, PLACED = 0.05, 0.05, 0.3
"""Shares of messages told twice, sent late, and followed by a position."""
HELD_BACK_S = 4.0
TOLD_AGAIN_S = 5.0
"""A terminal that waits for an answer of the gateway's tells its record again after so long, once the broker has it."""
POST_AGAIN_S = 0.3
ANSWERED_WITHIN_S = 12.0
LAST_WORDS = 3
LATELY = 20
"""So many of its last records a device tells again in a storm."""
SET_ASIDE = frozenset({413, 415, 422, 500})
"""Answers after which a post is in quarantine, or nowhere: nothing is gained by sending it again."""


class Record(NamedTuple):
    """One record a device has made: its number, and when, UTC."""

    n: int
    at: datetime


class Diary:
    """What a device has told. `sent`: when each was first handed over, seconds since 1970."""

    def __init__(self, words: Words, device: Device) -> None:
        self.sent: dict[Key, float] = {}
        self.acked: set[Key] = set()
        self.loose: set[Key] = set()
        self.lately: deque[Record] = deque(maxlen=LATELY)
        self.published = 0
        self._words = words
        self._device = device.id
        self._n = BASE

    def new(self) -> Record:
        """The next record, made now."""
        self._n += 1
        return Record(self._n, datetime.now(UTC))

    def key(self, n: int) -> Key:
        """How record `n` is found again."""
        return Key(self._device, self._words.event, n)

    def told(self, record: Record, *, calm: bool) -> Key:
        """Record `n` is handed over."""
        key = self.key(record.n)
        if key not in self.sent:
            self.sent[key] = time.time()
            self.lately.append(record)
            if self._words.loose and not calm:
                self.loose.add(key)
        self.published += 1
        return key


class Speaker:
    """A device on a connection of its own. It tells nothing before it has greeted on the connection that stands."""

    def __init__(self, broker: Broker, words: Words, device: Device, *, seed: int) -> None:
        self.device = device
        self.diary = Diary(words, device)
        self.positions: dict[str, bool] = {}
        self._words = words
        self._random = Random(f"speaker {words.protocol} {seed}")
        self._session = Session()
        self._open = False
        self._greeted = 0
        self._kept: list[Record] = []
        self._later: list[tuple[float, Record, bool]] = []
        self._unanswered: dict[int, tuple[Record, float]] = {}
        self._heard: SimpleQueue[bytes] = SimpleQueue()
        self.line = Connection(
            broker,
            f"chaos-{words.protocol}-{seed}",
            words.hears,
            lambda _topic, payload: self._heard.put(payload),
            will=self._will if words.will is not None else None,
        )

    def say(self, *, calm: bool = False) -> None:
        """Make a record and tell it, now, later, or twice; and now and then where it stands."""
        record = self.diary.new()
        words, draw = self._words, self._random
        if words.answers is not None:
            self._unanswered[record.n] = (record, time.monotonic())
        if not calm and words.repeats and draw.random() < HELD_BACK:
            heapq.heappush(self._later, (time.monotonic() + draw.uniform(0, HELD_BACK_S), record, False))
        elif words.greets is None or self._stands:
            self._tell(record, calm=calm)
        else:
            self._kept.append(record)
        if not calm and words.repeats and draw.random() < DOUBLED:
            heapq.heappush(self._later, (time.monotonic() + draw.uniform(0, HELD_BACK_S), record, True))
        if not calm and draw.random() < PLACED:
            self._place(is_open=draw.random() < 0.5)

    def step(self) -> None:
        """Greet on a new connection, tell what waited, hear what the gateway says, ask again for what it has not."""
        self.line.settle()
        if self._words.greets is not None and self._greeted != self.line.epoch:
            self._greeted = self.line.epoch
            self._greet()
            kept, self._kept = self._kept, []
            for record in kept:
                self._tell(record, again=True)
        now = time.monotonic()
        while self._later and self._later[0][0] <= now:
            _, record, again = heapq.heappop(self._later)
            self._tell(record, again=again)
        self._listen()
        for record, told_at in list(self._unanswered.values()):
            if now - told_at >= TOLD_AGAIN_S and self.diary.key(record.n) in self.line.acked:
                self._unanswered[record.n] = (record, now)
                self._tell(record, again=True)

    def last_words(self) -> None:
        """Everything held back, then a few more in calm, then a position that counts."""
        for _, record, again in sorted(self._later):
            self._tell(record, again=again)
        self._later.clear()
        for _ in range(LAST_WORDS):
            self.say(calm=True)
        self._place(is_open=self._random.random() < 0.5)

    def settle(self) -> int:
        """How much neither broker nor gateway has confirmed, and how much waits here."""
        waits = self.line.settle() + len(self._later) + len(self._kept) + len(self._unanswered)
        self.diary.acked |= self.line.acked
        return waits

    @property
    def present(self) -> bool:
        """Whether it has said that it is there, in a way that its broker can take back."""
        return self._words.will is not None and self._stands

    @property
    def _stands(self) -> bool:
        """It has greeted on the connection that stands."""
        return self.line.up and self._greeted == self.line.epoch

    def storm(self) -> None:
        """The line breaks; what has records of its own tells the last of them again."""
        self.line.tear()
        if self._words.repeats:
            now = time.monotonic()
            for record in self.diary.lately:
                heapq.heappush(self._later, (now + self._random.uniform(0, 1), record, True))

    def close(self) -> None:
        """Leave."""
        self.line.close()

    def _scene(self, record: Record | None = None, *, again: bool = False) -> Scene:
        n, at = record or (0, datetime.now(UTC))
        return Scene(address=self.device.address, n=n, at=at, again=again, session=self._session)

    def _tell(self, record: Record, *, again: bool = False, calm: bool = False) -> None:
        self._publish(self._words.says(self._scene(record, again=again)), self.diary.told(record, calm=calm))

    def _publish(self, out: Out, key: Key | None = None) -> None:
        self.line.publish(out.where, out.payload, key, retain=out.retain)

    def _place(self, *, is_open: bool) -> None:
        if self._words.places is None:
            return
        self._open = is_open
        self.positions[self.device.id] = is_open
        if self._stands:  # else the greeting says it
            self._publish(self._words.places(self._scene(), is_open))

    def _greet(self) -> None:
        if self._words.greets is not None:
            for out in self._words.greets(self._scene(), self._open):
                self._publish(out)

    def _will(self) -> Out:
        """A new connection is a new birth (in the thread of the connection)."""
        self._session.births += 1
        assert self._words.will is not None  # noqa: S101 - the connection asks for it only where there is one
        return self._words.will(self._scene())

    def _listen(self) -> None:
        while True:
            try:
                payload = self._heard.get_nowait()
            except Empty:
                return
            if self._words.asked(payload):
                self._greet()
            answered = self._words.answers(payload) if self._words.answers is not None else None
            if answered is not None and self._unanswered.pop(answered, None) is not None:
                self.diary.acked.add(self.diary.key(answered))


class Poster:
    """A device that posts to `url` with its token, one record after another, each until it is answered 200.

    `answers`: how often it was answered with which status, 0 for no answer.
    """

    def __init__(self, url: str, token: str, words: Words, device: Device, *, seed: int) -> None:
        self.device = device
        self.diary = Diary(words, device)
        self.positions: dict[str, bool] = {}
        self.answers: Counter[int] = Counter()
        self._words = words
        self._url, self._token = url, token
        self._random = Random(f"poster {words.protocol} {seed}")
        self._todo: SimpleQueue[tuple[Record, bool] | None] = SimpleQueue()
        self._done: SimpleQueue[int | None] = SimpleQueue()
        self._waiting = 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"post-{words.protocol}", daemon=True)
        self._thread.start()

    @property
    def present(self) -> bool:
        """Nobody would say that it is gone."""
        return False

    @property
    def refused(self) -> int:
        """How many posts were set aside."""
        return sum(count for status, count in self.answers.items() if status in SET_ASIDE)

    def say(self, *, calm: bool = False) -> None:
        """Make a record and post it; now and then twice."""
        record = self.diary.new()
        self._post(record, again=False, calm=calm)
        if not calm and self._random.random() < DOUBLED:
            self._post(record, again=self._random.random() < 0.5)

    def step(self) -> None:
        """Note what was answered."""
        self.settle()

    def last_words(self) -> None:
        """A few more in calm."""
        for _ in range(LAST_WORDS):
            self.say(calm=True)

    def settle(self) -> int:
        """How many posts are not answered."""
        while True:
            try:
                answered = self._done.get_nowait()
            except Empty:
                return self._waiting
            self._waiting -= 1
            if answered is not None:
                self.diary.acked.add(self.diary.key(answered))

    def storm(self) -> None:
        """As if no answer to the last records had been heard."""
        for record in list(self.diary.lately):
            self._post(record, again=self._random.random() < 0.5)

    def close(self) -> None:
        """Leave."""
        self._over.set()
        self._todo.put(None)
        self._thread.join(ANSWERED_WITHIN_S + 5)

    def _post(self, record: Record, *, again: bool, calm: bool = False) -> None:
        self.diary.told(record, calm=calm)
        self._waiting += 1
        self._todo.put((record, again))

    def _run(self) -> None:
        with requests.Session() as session:
            session.trust_env = False
            if self._words.digest:
                session.auth = HTTPDigestAuth(self.device.id, self._token)
            else:
                session.params = {"token": self._token}
            while (todo := self._todo.get()) is not None and not self._over.is_set():
                self._until_answered(session, *todo)

    def _until_answered(self, session: requests.Session, record: Record, again: bool) -> None:
        """Post it as a real one does: the same again until it is taken, also when only the answer was lost."""
        while not self._over.is_set():
            status = self._once(session, record, again=again)
            self.answers[status] += 1
            if status == 200 or status in SET_ASIDE:
                self._done.put(record.n if status == 200 else None)
                return
            self._over.wait(POST_AGAIN_S)

    def _once(self, session: requests.Session, record: Record, *, again: bool) -> int:
        """The status it was answered with, 0 for no answer."""
        scene = Scene(address=self.device.address, n=record.n, at=record.at, again=again)
        out = self._words.says(scene)
        headers = {"Content-Type": out.where}
        try:
            return session.post(self._url, data=out.payload, headers=headers, timeout=ANSWERED_WITHIN_S).status_code
        except requests.RequestException:
            return 0


class Chorus:
    """All of them, `rate` messages a second together. Call `step` often, from one thread."""

    def __init__(self, voices: list[Speaker | Poster], *, rate: float, seed: int) -> None:
        self.voices = voices
        self._rate = rate
        self._random = Random(f"chorus {seed}")
        self._start = time.monotonic()
        self._due = 0

    def await_ready(self, seconds: float) -> bool:
        """Whether every connection stands within so many seconds; then the clock starts."""
        ready = all(v.line.await_ready(seconds) for v in self.voices if isinstance(v, Speaker))
        self._start = time.monotonic()
        return ready

    def step(self) -> None:
        """Have somebody say what is due by now."""
        wanted = int((time.monotonic() - self._start) * self._rate) if self.voices else 0
        for _ in range(min(wanted - self._due, 1000)):
            self._due += 1
            self._random.choice(self.voices).say()
        self.step_later()

    def step_later(self) -> None:
        """Nothing new, only what is due of the old."""
        for voice in self.voices:
            voice.step()

    def last_words(self) -> None:
        """Each has its last words."""
        for voice in self.voices:
            voice.last_words()

    def settle(self) -> int:
        """How much is not confirmed."""
        return sum(voice.settle() for voice in self.voices)

    def storm(self) -> None:
        """Every line breaks."""
        for voice in self.voices:
            voice.storm()

    def close(self) -> None:
        """Leave."""
        for voice in self.voices:
            voice.close()
