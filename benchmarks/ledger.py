"""`bench ledger`: what the ledger costs a commit: the journal with it and the same journal without, in turns, on the
same disk. Worst case: every event of a batch is an access decision, so that each has a row.
"""

from __future__ import annotations

import contextlib
import tempfile
import time
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import ground
from benchmarks.alerts import alert
from devices.events import AccessGranted, Event, LampMeasured, Method
from gateway.changes import AlertChange, Changes, EventRow
from gateway.entries import Entry
from gateway.journal import Journal
from gateway.settings import Settings
from gateway.store import Store
from gateway.vault import Vault

BATCHES = (1, 10, 100)
COMMITS = 100


class Bare(Journal):
    """The journal without a word in the ledger."""

    def _said(self, batch: Changes) -> list[Entry]:  # noqa: ARG002 - the journal's signature
        return []


def run(rounds: int) -> dict[str, Any]:
    """Milliseconds of a commit by mix and batch size; `ratio`: with to without, of mixed traffic in batches of 100."""
    with tempfile.TemporaryDirectory(prefix="linli-bench-") as name:
        settings = Settings(data_dir=name)
        store, vault = Store(settings.database), Vault.at(Path(name) / "keys")
        given: Any = {"retention": settings.retention, "limits": settings.limits}
        with (
            contextlib.closing(Journal(store, vault, community_of=lambda _: "c", **given)) as kept,
            contextlib.closing(Bare(store, vault, community_of=lambda _: "c", **given)) as bare,
        ):
            figures = {
                mix: {str(size): _compared(kept, bare, mix, size, rounds) for size in BATCHES}
                for mix in ("mixed", "decisions", "alerts")
            }
        store.close()
    return {"name": "ledger", "commit_ms": figures, "ratio": figures["mixed"]["100"]["ratio"]}


def _compared(kept: Journal, bare: Journal, mix: str, size: int, rounds: int) -> dict[str, float]:
    ground.say(f"{mix} in batches of {size}")
    took: dict[Journal, list[float]] = {kept: [], bare: []}
    for _ in range(rounds):
        for journal in (kept, bare):
            batches = [_batch(mix, size) for _ in range(COMMITS)]
            now = datetime.now(UTC)
            for batch in batches:
                begin = time.perf_counter()
                journal.commit(batch, now)
                took[journal].append((time.perf_counter() - begin) * 1000)
    with_it, without = median(took[kept]), median(took[bare])
    return {"with": round(with_it, 3), "without": round(without, 3), "ratio": round(with_it / without, 2)}


def _batch(mix: str, size: int) -> Changes:
    """`mixed`: one event in ten is a decision.."""
    batch, now = Changes(), datetime.now(UTC)
    for n in range(size):
        if mix == "alerts":
            made = alert(uuid.uuid4().int % 10**12, now - timedelta(seconds=n))
            batch.alerts[made.id] = made
            batch.alert_changes.append(AlertChange(made, "raised", "gateway", "", now))
        event = _decision(now, n) if mix == "decisions" or (mix == "mixed" and n % 10 == 0) else _measured(now)
        batch.events.append(EventRow(uuid.uuid4().bytes, f"gate-{n}", event, now, now, late=False))
    return batch


def _decision(now: datetime, n: int) -> Event:
    return AccessGranted(at=now, method=Method.CARD, person=f"res_{n}")


def _measured(now: datetime) -> Event:
    return LampMeasured(at=now, level_pct=50.0, active_power_w=40.0, supply_voltage_v=221.0)
