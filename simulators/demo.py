"""A whole estate on one machine: gateway with broker, desk and vision, simulated devices, a receiving backend."""

from __future__ import annotations

import secrets
import sqlite3
import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

from msgspec import Struct

from simulators.backend import Backend
from simulators.chaos_books import open_books
from simulators.client import Client, register
from simulators.demo_records import lost_records, repeated_records
from simulators.estate import Estate
from simulators.gateway_process import GatewayProcess
from simulators.pictures import Pictures
from simulators.run import Run

ENDLESS_S = 30 * 86400.0
SETTLE_S = 90.0
REPORT_EVERY_S = 10.0
FRAME_S = 1.5
"""One camera sends a picture so often; that it is covered is told within the first minute (`simulators.pictures`)."""
IMPATIENT = "[delays.on_s]\ncamera_occluded = 10\n"
"""On an estate it has to hold for two minutes; a demo may be over by then."""


class Figures(Struct, frozen=True, kw_only=True):
    """What came of a demo. `events`: distinct events the broker confirmed; `alerts`: distinct alerts raised;
    `delivered`: distinct deliveries accepted with a good signature; `lost`: confirmed events that are not in the
    journal, and alert changes the backend never got; `duplicated`: deliveries under two ids, events journalled twice,
    doors opened twice. `p50_ms`, `p99_ms`: from a face, card or car at a gate to the command at its device.
    """

    events: int
    alerts: int
    delivered: int
    lost: int
    duplicated: int
    faces_identified: int
    plates_read: int
    passages_opened: int
    p50_ms: float | None
    p99_ms: float | None

    @property
    def clean(self) -> bool:
        """Nothing lost, nothing doubled, and everything was seen to work."""
        worked = self.faces_identified and self.plates_read and self.passages_opened and self.delivered
        return bool(worked and not self.lost and not self.duplicated)


class Demo:
    """Plays below `folder`: for `seconds` (None: until interrupted). `say` is told how it goes."""

    def __init__(
        self,
        folder: Path,
        *,
        seconds: float | None,
        rate: float = 2.0,
        seed: int = 1,
        port: int = 0,
        headless: bool = True,
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._folder = folder
        self._seconds = seconds
        self._rate = rate
        self._headless = headless
        self._say = say
        self._estate = Estate(seed)
        self._gateway = GatewayProcess(folder, workers=1, port=port, settings=IMPATIENT)

    def run(self) -> dict[str, Any]:
        """Play it; gives the `Figures` by name, and `clean`.

        :raises ProcessError, ApiError, ConnectionError: something does not start, or refuses what is needed.
        """
        with ExitStack() as stack:
            self._say("starting the gateway and its broker")
            stack.callback(self._gateway.stop)
            self._gateway.start()
            self._gateway.await_ready()
            backend = self._set_up(stack)
            run = Run(
                self._estate,
                broker=self._gateway.broker_url,
                seconds=self._seconds or ENDLESS_S,
                rate=self._rate,
                frame_s=FRAME_S,
            )
            with run:
                self._watch(run)
            self._say("the day is over; waiting for what is still on its way")
            figures = self._settled(run, backend)
        return {name: getattr(figures, name) for name in figures.__struct_fields__} | {"clean": figures.clean}

    def _set_up(self, stack: ExitStack) -> Backend:
        gateway = self._gateway
        admin = Client(gateway.url, gateway.token("demo", "admin"), timeout_s=60)
        backend = Backend(
            secret="",
            store=self._folder / "backend.db",
            api=gateway.url,
            token=gateway.token("backend", "backend"),
            auto=True,
        )
        stack.callback(backend.stop)
        backend.start()
        backend.secrets.append(admin.subscribe(backend.url)["secret"])
        self._say("registering the estate and enrolling its residents")
        counts = register(admin, self._estate, Pictures(self._estate))
        self._say(", ".join(f"{count} {name.replace('_', ' ')}" for name, count in counts.items()))
        if self._headless:
            self._say(f"the gateway listens at {gateway.url}")
        else:
            self._say(f"the desk: {gateway.url}/#token={gateway.token('desk', 'desk')}")
            password = secrets.token_urlsafe(9)
            backend.accounts.put("demo", password)
            self._say(f"the backend's page: {backend.page} (sign in as demo, password {password})")
            self._say("Ctrl-C ends it")
        return backend

    def _watch(self, run: Run) -> None:
        report_at = time.monotonic() + REPORT_EVERY_S
        end = time.monotonic() + (self._seconds or ENDLESS_S)
        while time.monotonic() < end and not run.wait(min(1.0, max(0.01, end - time.monotonic()))):
            if time.monotonic() >= report_at:
                report_at += REPORT_EVERY_S
                now = run.summary()
                self._say(f"{now.happenings} happenings, {now.acked} events, {now.openings} openings")

    # -- the reckoning ----------------------------------------------------------------------------------------------

    def _settled(self, run: Run, backend: Backend) -> Figures:
        """The figures once nothing is missing and vision has answered, or after `SETTLE_S`."""
        end = time.monotonic() + SETTLE_S
        while True:
            with closing(open_books(self._gateway.database)) as books:
                books.execute("BEGIN")
                figures = self._figures(books, run, backend)
                waiting = books.execute("SELECT count(*) FROM jobs").fetchone()[0]
            if not (figures.lost or waiting) or time.monotonic() > end:
                return figures
            time.sleep(0.3)

    def _figures(self, books: sqlite3.Connection, run: Run, backend: Backend) -> Figures:
        received: list[str] = backend.received()["events"]
        changes = {f"{seq}.{alert}" for seq, alert in books.execute("SELECT seq, alert FROM alert_changes")}
        journal = books.execute("SELECT device, type, substr(id, 7) FROM events").fetchall()
        acked = run.acked()
        summary = run.summary()
        waits = sorted(run.ledger.waits_ms)
        by_address = {device.address: device for device in self._estate.devices()}
        return Figures(
            events=len(acked),
            alerts=_count(books, "SELECT count(*) FROM alerts"),
            delivered=len(set(received)),
            lost=lost_records(acked, journal, by_address) + len(changes - set(received)),
            duplicated=len(received) - len(set(received)) + repeated_records(journal) + summary.double_openings,
            faces_identified=_count(books, _OUTCOMES, "face_identified", "identified"),
            plates_read=_count(books, _OUTCOMES, "plate_read", "read"),
            passages_opened=summary.openings,
            p50_ms=_percentile(waits, 50),
            p99_ms=_percentile(waits, 99),
        )


_OUTCOMES = "SELECT count(*) FROM events WHERE type=? AND json_extract(body, '$.outcome')=?"


def _percentile(ordered: list[float], percent: int) -> float | None:
    """The smallest value that at least so many percent do not exceed."""
    return round(ordered[-(-len(ordered) * percent // 100) - 1], 1) if ordered else None


def _count(books: sqlite3.Connection, query: str, *values: str) -> int:
    return int(books.execute(query, values).fetchone()[0])
