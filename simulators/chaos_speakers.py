"""Who speaks the protocols of `simulators.chaos_protocols` in a chaos run: over MQTT a `Speaker`, over HTTP a `Poster`.

Both keep a record until it is confirmed, by the broker, by the gateway's own answer, or by 200, and tell it again until
then; both tell some twice, and many again when a storm comes.
"""

from __future__ import annotations

import heapq
import time
from datetime import UTC, datetime
from itertools import islice
from queue import Empty, SimpleQueue
from random import Random

from devices.model import Device
from simulators.chaos_diary import DOUBLED, LAST_WORDS, Diary, Record
from simulators.chaos_ledger import Key
from simulators.chaos_line import Connection
from simulators.chaos_posters import Poster
from simulators.chaos_stream import WAITING_AT_MOST
from simulators.chaos_words import Out, Scene, Session, Words
from simulators.link import Broker

HELD_BACK, PLACED = 0.05, 0.3
"""Shares of messages sent late, and followed by a position."""
HELD_BACK_S = 4.0
TOLD_AGAIN_S = 5.0
"""A terminal that waits for an answer of the gateway's tells its record again after so long, once the broker has it."""
TOLD_AGAIN_AT_ONCE = 10


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
            self._tell(record)
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
        for record, told_at in list(islice(self._unanswered.values(), TOLD_AGAIN_AT_ONCE)):
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

    def _tell(self, record: Record, *, again: bool = False) -> None:
        self._publish(self._words.says(self._scene(record, again=again)), self.diary.told(record))

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
        if self.settle() > WAITING_AT_MOST:
            self._due = wanted
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
