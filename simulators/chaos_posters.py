"""Who posts in a chaos run: a record after another, each until it is answered 200."""

from __future__ import annotations

import threading
from collections import Counter
from queue import Empty, SimpleQueue
from random import Random

import requests
from requests.auth import HTTPDigestAuth

from devices.model import Device
from simulators.chaos_diary import DOUBLED, LAST_WORDS, Diary, Record
from simulators.chaos_words import Scene, Words

POST_AGAIN_S = 0.3
ANSWERED_WITHIN_S = 12.0
SET_ASIDE = frozenset({413, 415, 422, 500})
"""Answers after which a post is in quarantine, or nowhere: nothing is gained by sending it again."""


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
        self._post(record, again=False)
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

    def _post(self, record: Record, *, again: bool) -> None:
        self.diary.told(record)
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
