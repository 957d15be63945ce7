"""What devices say, taken one message after another: published or posted, each decided completely or not at all.

The supervisor is here: an error of our own costs the one message that met it, is counted, and is told.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import structlog

from devices.model import HttpReply
from gateway.changes import Changes
from gateway.hub import Hub
from gateway.inbox import PostAnswer, Posted
from gateway.journal import Journal
from gateway.mqtt import Message
from gateway.reader import FLOOD, Read, Reader, UnusableError, as_message, quarantine

log = structlog.get_logger()

NOT_INSTALLED = "its kind or protocol is not installed"
OUR_ERROR = "our own error"


class Intake:
    """Used by the engine's thread alone. `bugs`: how many errors of our own there were."""

    def __init__(self, *, reader: Reader, hub: Hub, journal: Journal) -> None:
        self._reader = reader
        self._hub = hub
        self._journal = journal
        self.bugs = 0

    def messages(self, messages: list[Message], batch: Changes) -> None:
        """Decide what was published.

        :raises CommitError: the database cannot be read.
        """
        reads: list[Read] = []
        for message in messages:
            for read in self._read(message, batch):
                if self._hub.states.knows(read.device):
                    reads.append(read)
                else:
                    self.set_aside(message, read.device.id, batch, NOT_INSTALLED)
        for device in {held.address for held in batch.quarantined if held.reason == FLOOD}:
            self.isolated(batch, partial(self._hub.flooding, device, messages[-1].received_at, batch), "flood")
        seen = self._journal.seen([key for read in reads for key in read.ids])
        if self._together(reads, seen, batch):
            return
        for read in reads:
            if not self.isolated(batch, partial(self._hub.message, read, seen, batch), "message"):
                self.set_aside(read.message, read.device.id, batch)

    def _together(self, reads: list[Read], seen: set[bytes], batch: Changes) -> bool:
        """Decide them all in one turn, which costs less than a turn for each. False: one of them met an error of our
        own and nothing has changed; one by one it is found, and told.
        """
        turn = Changes()
        try:
            for read in reads:
                self._hub.message(read, seen, batch, turn)
        except Exception:  # noqa: BLE001 - the supervisor: `isolated` meets it again
            return False
        batch.merge(turn)
        return True

    def post(self, post: Posted, batch: Changes) -> PostAnswer:
        """Decide what was posted, and say how it is answered once `batch` is safe. What cannot be used is in
        quarantine, so its sender need not send it again.

        :raises CommitError: the database cannot be read.
        """
        try:
            read = self._reader.posted(post, batch)
        except UnusableError as unusable:
            return self._not_taken(post, unusable, batch)
        except Exception as error:  # noqa: BLE001 - the supervisor: see `_read`
            self.bug("decode", error)
            return self.post_aside(post, batch)
        if not self._hub.states.knows(read.device):
            self.set_aside(read.message, read.device.id, batch, NOT_INSTALLED)
            return PostAnswer(status=422, reason=NOT_INSTALLED)
        seen = self._journal.seen(list(read.ids))
        if not self.isolated(batch, partial(self._hub.message, read, seen, batch), "message"):
            return self.post_aside(post, batch)
        order = next(
            (s for s in batch.sendings if s.device == read.device.id and isinstance(s.message, HttpReply)), None
        )
        if order is None or not isinstance(order.message, HttpReply):
            return PostAnswer(reply=read.decoded.answer)
        batch.sendings.remove(order)
        return PostAnswer(reply=read.decoded.answer, order=order.message, not_after=order.not_after)

    def _not_taken(self, post: Posted, unusable: UnusableError, batch: Changes) -> PostAnswer:
        if unusable.reason == FLOOD:
            work = partial(self._hub.flooding, unusable.address, post.received_at, batch)
            self.isolated(batch, work, "flood")
            return PostAnswer(status=429, reason=unusable.reason)
        return PostAnswer(status=422, reason=unusable.reason)

    def post_aside(self, post: Posted, batch: Changes) -> PostAnswer:
        """A post that met an error of our own: kept in quarantine, and its sender is told whose error it was."""
        self.set_aside(as_message(post), f"{post.protocol}:{post.push.address}", batch)
        return PostAnswer(status=500, reason=OUR_ERROR)

    def _read(self, message: Message, batch: Changes) -> list[Read]:
        try:
            return self._reader.read(message, batch)
        except Exception as error:  # noqa: BLE001 - the supervisor: our own bug must not stop the stream, nor pass in silence
            self.bug("decode", error)
            self.set_aside(message, "", batch)
            return []

    def set_aside(self, message: Message, address: str, batch: Changes, reason: str = OUR_ERROR) -> None:
        """Into quarantine, with a counted reason."""
        quarantine(message, batch, address, reason)

    def isolated(self, batch: Changes, work: Callable[[Changes], Any], what: str) -> bool:
        """Do one thing completely or not at all, so that one bug costs one message and is told."""
        turn = Changes()
        try:
            work(turn)
        except Exception as error:  # noqa: BLE001 - the supervisor: see above
            self.bug(what, error)
            return False
        batch.merge(turn)
        return True

    def bug(self, what: str, error: Exception) -> None:
        """An error of our own: counted and told."""
        self.bugs += 1
        log.error("our_own_error", what=what, bugs=self.bugs, exc_info=error)
