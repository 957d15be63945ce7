"""What each device said last on topics whose messages the broker retains.

The broker repeats a retained message at every connection, as if it were new. One that says what its device said there
last changes nothing, so it is left alone; one that differs was said while we were away. Only hashes are kept.

What the broker delivers a second time (DUP) may come after what was said later (MQTT 3.1.1, 4.6: only first deliveries
are in order). Where a message has no time of its own, that it is old shows by what was heard since.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from hashlib import blake2b

from gateway.changes import Changes

TOPICS_AT_MOST = 50_000
"""Of all devices. A retained message on a further topic is not taken: it could not be recognised."""


class Standing:
    """By device and topic. What a batch changes counts once it is safe (`adopt`)."""

    def __init__(self, saved: Mapping[tuple[str, str], bytes]) -> None:
        self._said: dict[str, dict[str, bytes]] = {}
        self._count = 0
        self._heard: set[tuple[str, str]] = set()
        self._epoch = 0
        self._put(saved)

    def news(self, device: str, topic: str, payload: bytes, batch: Changes) -> bool:
        """Whether the device said something else there before; from now on this is what it said."""
        key, digest = (device, topic), blake2b(payload, digest_size=16).digest()
        before = batch.standing.get(key) or self._said.get(device, {}).get(topic)
        if before == digest or (before is None and self._count + len(batch.standing) >= TOPICS_AT_MOST):
            return False
        batch.standing[key] = digest
        return True

    def outdated(self, device: str, topic: str, *, epoch: int, dup: bool) -> bool:
        """Whether the broker delivers this again after something newer of the same topic: a first delivery of this
        connection (`epoch`), or what was retained when it began.
        """
        if epoch != self._epoch:
            self._epoch = epoch
            self._heard.clear()
        if dup:
            return (device, topic) in self._heard
        if len(self._heard) < TOPICS_AT_MOST:
            self._heard.add((device, topic))
        return False

    def adopt(self, batch: Changes) -> None:
        """The batch is safe."""
        self.forget(batch.forgotten)
        self._put(batch.standing)

    def forget(self, devices: Iterable[str]) -> None:
        """These are registered anew, or gone: what they say next is news."""
        for device in devices:
            self._count -= len(self._said.pop(device, {}))

    def _put(self, said: Mapping[tuple[str, str], bytes]) -> None:
        for (device, topic), digest in said.items():
            topics = self._said.setdefault(device, {})
            self._count += topic not in topics
            topics[topic] = digest
