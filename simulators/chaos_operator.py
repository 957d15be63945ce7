"""Somebody at the API of a chaos run who opens doors, and asks again with the same key when no answer comes."""

from __future__ import annotations

import json
import threading
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from random import Random

import urllib3

GOOD_FOR = timedelta(seconds=4)


class Operator:
    """Opens one of `doors` every `every_s` seconds through the API at `url`, in a thread of its own.

    `answers`: idempotency key -> the command ids the API has given for it. `asked`: how many keys were used;
    `unanswered`: for how many neither a command nor a refusal came in time.
    """

    def __init__(self, url: str, token: str, doors: list[str], *, every_s: float, seed: int) -> None:
        self.answers: dict[str, set[str]] = defaultdict(set)
        self.asked = 0
        self.unanswered = 0
        self._url = url
        self._headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        self._doors = doors
        self._every_s = every_s
        self._random = Random(f"operator {seed}")
        self._seed = seed
        self._http = urllib3.PoolManager(timeout=urllib3.Timeout(total=3), retries=False)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="operator", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End after the request under way."""
        self._over.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        while not self._over.wait(self._every_s):
            self.asked += 1
            self._open(self._random.choice(self._doors), f"chaos-{self._seed}-{self.asked}")

    def _open(self, door: str, key: str) -> None:
        """Ask until there is an answer or the time is over; every second time ask again although there was one."""
        not_after = datetime.now(UTC) + GOOD_FOR
        again = self._random.random() < 0.5
        answered = False
        while datetime.now(UTC) < not_after and not self._over.is_set():
            if not self._ask(door, key, not_after):
                self._over.wait(0.2)
                continue
            answered = True
            if not again:
                return
            again = False
        self.unanswered += not answered

    def _ask(self, door: str, key: str, not_after: datetime) -> bool:
        """Whether the gateway has answered: with a command, or that it will not."""
        body = json.dumps({"type": "open_passage", "not_after": not_after.isoformat()})
        try:
            answer = self._http.request(
                "POST",
                f"{self._url}/v1/devices/{door}/commands",
                body=body.encode(),
                headers={**self._headers, "Idempotency-Key": key},
            )
        except urllib3.exceptions.HTTPError:
            return False
        if answer.status in (200, 202):
            self.answers[key].add(str(json.loads(answer.data)["id"]))
        return answer.status < 500
