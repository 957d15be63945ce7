"""A chaos run: a gateway under load whose processes are killed at random, and the reckoning at the end."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from typing import Any

import msgspec

from simulators.chaos_books import read_books, set_aside
from simulators.chaos_ledger import Account, Blow, Key, Verdict, blows, judge
from simulators.chaos_operator import Operator
from simulators.chaos_posters import Poster
from simulators.chaos_protocols import WORDS
from simulators.chaos_speakers import Chorus, Speaker
from simulators.chaos_stream import COMMUNITY, Stream, fleet
from simulators.chaos_words import Words
from simulators.client import Client
from simulators.estate import Person, Role
from simulators.gateway_process import LINLI, BackendProcess, GatewayProcess, ProcessError, free_port
from simulators.link import Broker, broker_at

CARD = "4711081500"
NATIVE_SHARE = 0.5
"""Of the messages, where other protocols are spoken, too."""
STEP_S = 0.005
RESTART_AFTER_S = 0.3
"""A gateway that ends by itself is started again after so long, as a service manager does."""
CALM_S = 60.0
"""How long after the last blow everybody may take to be back, and then to get anything more confirmed, seconds."""
SETTLE_S = 180.0
FULL_S = 3.0
"""How long a full disk stays full, seconds."""
LOOK_EVERY_S = 0.5
HOPELESS_S = 45.0
"""Waiting ends when so long nothing more has arrived: four times what the broker waits before it sends again."""


class Chaos:
    """One run below `folder`. `protocols` are spoken besides native; `program` stands in for `linli`; `say` is told how
    it goes.
    """

    def __init__(
        self,
        folder: Path,
        *,
        seconds: float,
        rate: float = 100.0,
        seed: int = 1,
        protocols: Sequence[str] = tuple(WORDS),
        program: Sequence[str] = LINLI,
        patience_s: float = HOPELESS_S,
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.kills: Counter[str] = Counter()
        self.exits = 0
        self.stuck = 0
        self._patience_s = patience_s
        self._words = [WORDS[name] for name in protocols]
        self._spoken: dict[str, Words] = {}
        self._fallen: list[tuple[str, str]] = []
        self._seconds = seconds
        self._say = say
        self._seed = seed
        self._rate = rate
        self._folder = folder
        self._gateway = GatewayProcess(folder, program=program)
        self._ended_at: float | None = None
        self._full_until: float | None = None
        self._stack = ExitStack()
        self._blows: list[Blow] = blows(seconds, seed)

    def run(self) -> dict[str, Any]:
        """Play it; gives the verdict with `kills`, `clean` and what else is worth knowing.

        :raises ProcessError: the gateway or the backend does not even start, or the gateway does not come back.
        :raises ApiError: the gateway refuses what a run needs.
        """
        with self._stack as stack:
            stack.callback(self._gateway.stop)
            self._gateway.start()
            self._gateway.await_ready()
            self._set_up()
            self._play()
            self._calm_down()
            verdict = self._reckon()
        return {
            **msgspec.to_builtins(verdict),
            "kills": {what: self.kills[what] for what in ("gateway", "broker", "backend")},
            "storms": self.kills["storm"],
            "full_disks": self.kills["full_disk"],
            "stuck": self.stuck,
            "gateway_exits": self.exits,
            "published": self._stream.published + sum(voice.diary.published for voice in self._chorus.voices),
            "openings": len(self._stream.openings),
            "commands_asked": self._operator.asked,
            "commands_unanswered": self._operator.unanswered,
            "unconfirmed": (unconfirmed := self._settle()),
            "refused_posts": (refused := sum(poster.refused for poster in self._posters)),
            "clean": verdict.clean and not self.stuck and not unconfirmed and not refused,
        }

    # -- before -----------------------------------------------------------------------------------------------------

    def _set_up(self) -> None:
        token = self._gateway.token("chaos", "admin")
        client = Client(self._gateway.url, token)
        devices = fleet()
        for device in devices:
            client.device(device)
        resident = Person(id="res-1", name="Resident 1", role=Role.RESIDENT, building="", face=0, cards=(CARD,))
        client.resident(resident, [], now=datetime.now(UTC))
        port = free_port()
        secret = client.subscribe(f"http://127.0.0.1:{port}/hook")["secret"]
        self._backend = BackendProcess(self._folder, port=port, secret=secret)
        self._stack.callback(self._backend.stop)
        self._backend.start()
        self._backend.await_ready()
        broker = broker_at(self._gateway.broker_url)
        rate = self._rate * (NATIVE_SHARE if self._words else 1)
        self._stream = Stream(broker, devices, rate=rate, seed=self._seed, card=CARD)
        self._stack.callback(self._stream.close)
        voices = [self._voice(words, broker, client) for words in self._words]
        self._posters = [voice for voice in voices if isinstance(voice, Poster)]
        self._chorus = Chorus(voices, rate=self._rate - rate, seed=self._seed)
        self._stack.callback(self._chorus.close)
        doors = [device.id for device in devices if device.kind == "face_gate"]
        self._operator = Operator(self._gateway.url, token, doors, every_s=1.0, seed=self._seed)
        self._stack.callback(self._operator.stop)

    def _voice(self, words: Words, broker: Broker, client: Client) -> Speaker | Poster:
        device = words.device(COMMUNITY)
        client.device(device)
        self._spoken[device.id] = words
        if not words.posts:
            return Speaker(broker, words, device, seed=self._seed)
        path, token = client.access(device.id)
        return Poster(f"{self._gateway.url}{path}", token, words, device, seed=self._seed)

    # -- during -----------------------------------------------------------------------------------------------------

    def _play(self) -> None:
        if not (self._stream.await_ready(CALM_S) and self._chorus.await_ready(CALM_S)):
            raise ConnectionError("the broker did not take the stream's connections")
        self._operator.start()
        start = time.monotonic()
        todo = list(self._blows)
        report_at = start + 10
        while (now := time.monotonic()) - start < self._seconds:
            self._step()
            todo = [blow for blow in todo if now - start < blow.after or not self._strike(blow.what)]
            if now >= report_at:
                report_at = now + 10
                self._say(f"{now - start:.0f} s: {len(self._sent())} sent, kills {dict(self.kills)}")
            time.sleep(STEP_S)
        give_up = time.monotonic() + CALM_S
        while todo or self._full_until is not None:  # what could not fall yet still does
            if time.monotonic() >= give_up:
                words = self._gateway.last_words()
                raise ProcessError(f"the gateway is not back {CALM_S:g} s after the run; its log ends: {words}")
            self._step()
            todo = [blow for blow in todo if not self._strike(blow.what)]
            time.sleep(STEP_S)
        self._operator.stop()

    def _step(self) -> None:
        self._stream.step()
        self._chorus.step()
        self._keep_alive()

    def _strike(self, what: str) -> bool:
        """Whether the blow fell: only on what is up."""
        if what == "storm":
            self._stream.storm()
            self._chorus.storm()
        elif what == "full_disk":
            # A broker restarted meanwhile would inherit the full disk for good, so it has to be there.
            if not self._gateway.ready or not self._gateway.broker_pid() or not self._gateway.fill_disk(full=True):
                return False
            self._full_until = time.monotonic() + FULL_S
        elif what == "broker":
            if self._full_until is not None or not self._gateway.ready or not self._gateway.kill_broker():
                return False
        else:
            victim = self._gateway if what == "gateway" else self._backend
            if not victim.ready:
                return False
            victim.kill()
            victim.start()
        self.kills[what] += 1
        self._fallen.append((datetime.now(UTC).strftime("%H:%M:%S.%f")[:-3], what))
        return True

    def _keep_alive(self) -> None:
        """A gateway that ended by itself (a port still taken...) is started again; a full disk is emptied in time."""
        if self._full_until is not None and time.monotonic() >= self._full_until:
            self._full_until = None
            self._gateway.fill_disk(full=False)
        if self._gateway.pid is not None:
            self._ended_at = None
            return
        if self._ended_at is None:
            self._ended_at = time.monotonic()
            self.exits += 1
            self._say(f"the gateway ended by itself: {self._gateway.last_words()[-300:]}")
        elif time.monotonic() - self._ended_at >= RESTART_AFTER_S:
            self._ended_at = None
            self._gateway.start()

    # -- after ------------------------------------------------------------------------------------------------------

    def _calm_down(self) -> None:
        """Everybody is back and everything is confirmed; then the last words, and everything is confirmed again."""
        self._confirm()
        self._stream.last_words()
        self._chorus.last_words()
        self._confirm()

    def _confirm(self) -> None:
        """Until everything is confirmed and the gateway is there, or nothing more gets confirmed for `CALM_S`."""
        least, end = self._settle(), time.monotonic() + CALM_S
        while time.monotonic() < end and ((waits := self._settle()) or not self._gateway.ready):
            if waits < least:
                least, end = waits, time.monotonic() + CALM_S
            self._finish_off()
            time.sleep(STEP_S)

    def _finish_off(self) -> None:
        """Nothing new is said, but what is asked is answered."""
        self._stream.step_later()
        self._chorus.step_later()
        self._keep_alive()

    def _settle(self) -> int:
        return self._stream.settle() + self._chorus.settle()

    def _reckon(self) -> Verdict:
        """Judge until nothing is missing or nothing more comes. What comes only after one more restart was stuck."""
        self._say("waiting for what is still on its way")
        verdict = self._awaited()
        if _may_come(verdict):
            self._testify()
            self._gateway.stop()
            self._gateway.start()
            before, verdict = verdict.lost, self._awaited()
            self.stuck = max(0, before - verdict.lost)
        return verdict

    def _awaited(self) -> Verdict:
        start = changed_at = looked_at = time.monotonic()
        verdict = self._judged()
        while (
            _may_come(verdict) and (now := time.monotonic()) - start < SETTLE_S and now - changed_at < self._patience_s
        ):
            self._finish_off()
            time.sleep(STEP_S)
            if now - looked_at < LOOK_EVERY_S:
                continue
            before, verdict, looked_at = verdict, self._judged(), now
            if verdict != before:
                changed_at = now
                self._say(
                    f"lost {verdict.lost}, backward {verdict.backward_states}, absent {verdict.absent} as it stands"
                )
        return verdict

    def _testify(self) -> None:
        """Say what helps to find the culprit: when the blows fell, when what is gone was said, what was set aside."""
        self._say("blows: " + ", ".join(f"{at} {what}" for at, what in self._fallen))
        sent = self._sent()
        books = read_books(self._gateway.database, self._spoken)
        gone = self._acked() - books.events.keys()
        told = sorted((int(sent[key]), key.device, key.type) for key in gone)
        for second, keys in groupby(told, key=lambda key: key[0]):
            at = datetime.fromtimestamp(second, UTC).strftime("%H:%M:%S")
            self._say(f"gone: {at} {dict(Counter(f'{device} {kind}' for _, device, kind in keys))}")
        self._say(f"set aside: {set_aside(self._gateway.database)}")
        account = self._account()
        wrong = [d for d, is_open in account.positions.items() if books.states.get(d) is not is_open]
        self._say(f"backward: {wrong}, absent: {sorted(account.present - books.online)}")

    def _sent(self) -> dict[Key, float]:
        found = dict(self._stream.sent)
        for voice in self._chorus.voices:
            found |= voice.diary.sent
        return found

    def _acked(self) -> set[Key]:
        return self._stream.acked().union(*(voice.diary.acked for voice in self._chorus.voices))

    def _judged(self) -> Verdict:
        return judge(self._account(), read_books(self._gateway.database, self._spoken))

    def _account(self) -> Account:
        self._settle()
        voices = self._chorus.voices
        return Account(
            sent=frozenset(self._sent()),
            acked=frozenset(self._acked()),
            presented=tuple(self._stream.presented),
            openings=tuple(self._stream.openings),
            received=[kept.event for kept in self._backend.received()],
            answers={key: frozenset(ids) for key, ids in self._operator.answers.items()},
            loose=frozenset().union(*(voice.diary.loose for voice in voices)),
            positions={device: yes for told in (self._stream, *voices) for device, yes in told.positions.items()},
            present=frozenset(voice.device.id for voice in voices if voice.present),
            protocols={device: words.protocol for device, words in self._spoken.items()},
        )


def _may_come(verdict: Verdict) -> bool:
    """Whether something is missing that may still come."""
    return bool(verdict.lost or verdict.backward_states or verdict.absent)
