"""What one device of a chaos run has told, and how it is found again."""

from __future__ import annotations

import time
from collections import deque
from datetime import UTC, datetime
from typing import NamedTuple

from devices.model import Device
from simulators.chaos_ledger import Key
from simulators.chaos_words import BASE, Words

DOUBLED = 0.05
"""Share of records told twice."""
LAST_WORDS = 3
LATELY = 20
"""So many of its last records a device tells again in a storm."""


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

    def told(self, record: Record) -> Key:
        """Record `n` is handed over."""
        key = self.key(record.n)
        if key not in self.sent:
            self.sent[key] = time.time()
            self.lately.append(record)
            if self._words.loose:
                self.loose.add(key)
        self.published += 1
        return key
