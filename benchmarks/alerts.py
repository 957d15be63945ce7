"""`bench alerts`: from an event to the backend at 500 alerts a second; 100,000 open alerts listed, filtered and swept;
200 desks on the live stream; a storm of 10,000 events of an outage with P1s in the middle.

The limit beside each: the broker's own echo at the same rate; SQLite asked for the same page without the API; a heap of
100,000 times popped once.
"""

from __future__ import annotations

import asyncio
import gc
import heapq
import json
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import httpx

from benchmarks import ground, latency
from benchmarks.storm import storm
from devices.alert_types import ALERT_TYPES
from devices.alerts import Alert, alert_key
from gateway.changes import AlertChange, Changes
from gateway.directory import Directory
from gateway.engine import DUE_AT_ONCE
from gateway.parts import restored_hub
from gateway.settings import load
from gateway.store import Store
from gateway.vault import Vault
from simulators.gateway_process import free_port
from vision.gallery import Gallery

Figures = dict[str, Any]
OPEN = 100_000
RAISED_PER_S = 100
CAUGHT_UP_WITHIN_S = 600.0
QUERIES: dict[str, dict[str, Any]] = {
    "newest": {"open": "true"},
    "by_severity": {"open": "true", "severity": 1},
    "by_type": {"open": "true", "type": "lamp_out"},
    "by_device": {"device": "lamp-4711"},
    "by_community": {"open": "true", "community": "c-7", "hidden": "false"},
}
TYPES = ("lamp_out", "battery_low", "device_offline", "door_held_open", "door_forced")


def run(seconds: float, clients: int) -> Figures:
    figures: Figures = {"name": "alerts", "seconds": seconds}
    with tempfile.TemporaryDirectory(prefix="linli-bench-") as name:
        figures |= delivered(Path(name), seconds)
    with tempfile.TemporaryDirectory(prefix="linli-bench-") as name:
        figures |= many_open(Path(name))
    with tempfile.TemporaryDirectory(prefix="linli-bench-") as name:
        figures["stream"] = streamed(Path(name), seconds, clients)
    with tempfile.TemporaryDirectory(prefix="linli-bench-") as name:
        ground.say("an outage of 10,000 events")
        figures["storm"] = storm(Path(name))
    figures["ratio"] = round(figures["p99_ms"] / figures["bare_echo"]["p99"], 2)
    return figures


# -- 500 alerts a second to the backend -------------------------------------------------------------------------------


def delivered(folder: Path, seconds: float) -> Figures:
    """From the publish to the webhook's receiver; every message is an alert."""
    with ground.broker(folder / "bare") as port, latency.receiver("echo", str(port)):
        bare = latency.asked(port, (500,), seconds)["500"]
    hook = free_port()
    with ground.broker(folder / "broker") as port, latency.estate(folder, port) as (url, token):
        latency.subscribe(url, token, f"http://127.0.0.1:{hook}/alerts")
        with latency.receiver("webhook", str(hook)) as backend:
            sent = latency.publish(port, 500, seconds, "plates")
            found = latency.matched(sent, backend.stop(), "plate")
    return {"p50_ms": found["p50"], "p99_ms": found["p99"], "backend": found, "bare_echo": bare}


# -- 100,000 open alerts ----------------------------------------------------------------------------------------------


def many_open(folder: Path) -> Figures:
    """List, filter, memory, and the sweep of as many timers."""
    with ground.broker(folder / "broker") as port:
        config = ground.settings_file(folder, port)
        fill(config)
        token = latency.new_token(config)
        sweep = swept(config)
        gateway = ground.GatewayProcess(config)
        try:
            ground.say(f"asking among {OPEN:,} open alerts")
            with httpx.Client(base_url=gateway.url, headers={"Authorization": f"Bearer {token}"}) as http:
                until_escalating(http)
                escalating = timed(partial(page, http, QUERIES["newest"]), 200)
                caught_up = until_caught_up(http)
                asked = {name: timed(partial(page, http, query), 200) for name, query in QUERIES.items()}
            rss = gateway.rss_mb()
        finally:
            gateway.stop()
        alone = timed(plain_page(config), 200)
    worst = max(one["p99"] for one in asked.values())
    found = {
        "list_ms": asked,
        "list_p99_ms": worst,
        "sqlite_alone_ms": alone,
        "list_while_escalating_ms": escalating,
        "escalated_after_restart": caught_up,
        "gateway_mb": round(rss, 1),
    }
    return {"open": found, "sweep": sweep}


def until_escalating(http: httpx.Client) -> None:
    """After a restart everybody is told who is due to be: until that begins."""
    while newest_change(http) == OPEN:
        time.sleep(0.1)


def until_caught_up(http: httpx.Client) -> Figures:
    """Until only those are told that become due meanwhile, no more than were raised at a time; how many changes that
    was, and how many seconds more it took.
    """
    begin = time.monotonic()
    before = 0
    while (now := newest_change(http)) - before > 2 * RAISED_PER_S:
        before = now
        if time.monotonic() - begin > CAUGHT_UP_WITHIN_S:
            raise TimeoutError(f"still escalating after {CAUGHT_UP_WITHIN_S:.0f} s: see the gateway's log")
        time.sleep(2)
    return {"changes": now - OPEN, "s": round(time.monotonic() - begin, 1)}


def newest_change(http: httpx.Client) -> int:
    refused = http.get("/v1/alerts/changes", params={"after": 2**61})
    return int(refused.json()["newest"])


def fill(config: Path) -> None:
    """As many open alerts as the journal itself would have written, in 500 communities."""
    ground.say(f"writing {OPEN:,} open alerts")
    settings = load(config)
    store = Store(settings.database)
    vault = Vault.at(settings.data / "keys")
    journal = ground.journal(store, vault, settings)
    now = datetime.now(UTC)
    for start in range(0, OPEN, 5000):
        batch = Changes()
        for n in range(start, start + 5000):
            made = alert(n, now - timedelta(seconds=(OPEN - n) / RAISED_PER_S))
            batch.alerts[made.id] = made
            batch.alert_changes.append(AlertChange(made, "raised", "gateway", "", made.raised_at))
        journal.commit(batch, now)
    journal.close()
    store.close()


def alert(n: int, at: datetime) -> Alert:
    code, community, device = TYPES[n % len(TYPES)], f"c-{n % 500}", f"lamp-{n}"
    return Alert(
        id=f"00000000-0000-4000-8000-{n:012d}",
        key=alert_key(community, device, code),
        type=code,
        severity=ALERT_TYPES[code].severity,
        community=community,
        device=device,
        uplink="default",
        incident=f"i-{n // 50}",
        first_seen=at,
        last_seen=at,
        raised_at=at,
        unowned_since=at,
    )


def swept(config: Path) -> Figures:
    """Finding who is due among all timers, as the engine does in each round: with nobody due, and with as many as it
    takes at once; and the heap alone.
    """
    settings = load(config)
    store = Store(settings.database)
    vault = Vault.at(settings.data / "keys")
    journal = ground.journal(store, vault, settings)
    directory = Directory(store, vault, Gallery(), zone=settings.zone, community=settings.community)
    now = datetime.now(UTC)
    gc.disable()  # and freeze, as the gateway does
    begin = time.monotonic()
    hub = restored_hub({}, {}, directory, settings, journal, now)
    restored = time.monotonic() - begin
    gc.freeze()
    gc.enable()
    for name in hub.alerts.schedule.pop(now, OPEN):  # what became due while it was away climbs first
        hub.tick(name, now, Changes(), Changes())
    quiet = timed(lambda: hub.alerts.schedule.pop(now, DUE_AT_ONCE), 50)
    times = [now + timedelta(seconds=n) for n in range(OPEN)]
    heap = timed(lambda: heapq.heapify(list(times)), 20)
    begin = time.monotonic()
    hub.alerts.schedule.pop(now + timedelta(days=30), DUE_AT_ONCE)
    some_due = (time.monotonic() - begin) * 1000
    begin = time.monotonic()
    every = [held for held in hub.alerts.open if hub.alerts.deadline(held.id, Changes(), Changes()) is not None]
    all_looked_at = (time.monotonic() - begin) * 1000
    journal.close()
    store.close()
    return {
        "timers": len(every),
        "none_due_ms": quiet,
        f"{DUE_AT_ONCE}_due_ms": round(some_due, 2),
        "every_deadline_anew_ms": round(all_looked_at, 1),
        "heap_alone_ms": heap,
        "restore_s": round(restored, 2),
    }


def page(http: httpx.Client, query: dict[str, Any]) -> None:
    http.get("/v1/alerts", params=query | {"limit": 50}).raise_for_status()


def plain_page(config: Path) -> Callable[[], Any]:
    store = Store(load(config).database)
    sql = "SELECT id, raised_at, seq, body FROM alerts WHERE open = 1 ORDER BY raised_at DESC, id DESC LIMIT 51"
    return lambda: store.reader.execute(sql).fetchall()


def timed(work: Callable[[], Any], times: int) -> Figures:
    took = []
    for _ in range(times):
        begin = time.monotonic()
        work()
        took.append((time.monotonic() - begin) * 1000)
    return {"p50": round(ground.percentile(took, 0.5), 2), "p99": round(ground.percentile(took, 0.99), 2)}


# -- 200 desks --------------------------------------------------------------------------------------------------------


def streamed(folder: Path, seconds: float, clients: int) -> Figures:
    """From the publish to each of the clients, at a hundred alerts a second."""
    with ground.broker(folder / "broker") as port, latency.estate(folder, port) as (url, token):
        ground.say(f"{clients} clients on the stream")
        return asyncio.run(_watched(port, url, token, seconds, clients))


async def _watched(port: int, url: str, token: str, seconds: float, clients: int) -> Figures:
    host, _, http_port = url.removeprefix("http://").partition(":")
    request = f"GET /v1/stream HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\n\r\n".encode()
    arrived: list[list[tuple[int, bytes]]] = [[] for _ in range(clients)]
    ready = asyncio.Semaphore(0)
    watchers = [asyncio.create_task(_watch(host, int(http_port), request, held, ready)) for held in arrived]
    for _ in watchers:
        await ready.acquire()
    sent = await asyncio.to_thread(latency.publish, port, 100, seconds, "plates")
    before = -1
    while (now := sum(map(len, arrived))) != before:  # what is still under way is late, not missing
        before = now
        await asyncio.sleep(latency.SETTLE_S)
    for watcher in watchers:
        watcher.cancel()
    await asyncio.gather(*watchers, return_exceptions=True)
    at = {(one.address, one.at): one.ns for one in sent}
    took = [(ns - at[key]) / 1e6 for held in arrived for ns, key in _raised(held) if key in at]
    return latency.spread(took) | {"clients": clients, "missing": len(sent) * clients - len(took)}


async def _watch(host: str, port: int, request: bytes, held: list[tuple[int, bytes]], ready: asyncio.Semaphore) -> None:
    """Only what came and when: reading it is for afterwards, so that 200 clients take little of the machine."""
    reader, writer = await asyncio.open_connection(host, port, limit=2**20)
    writer.write(request)
    await reader.readuntil(b": linli")
    ready.release()
    while chunk := await reader.read(2**20):
        held.append((time.monotonic_ns(), chunk))


def _raised(held: list[tuple[int, bytes]]) -> Iterator[tuple[int, tuple[str, str]]]:
    """When each alert had come whole: device and time of the event."""
    rest = b""
    for ns, chunk in held:
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            if line.startswith(b"data: "):
                said = json.loads(line[6:])
                if said.get("change") == "raised":
                    first = datetime.fromisoformat(said["alert"]["first_seen"]).astimezone(UTC).isoformat()
                    yield ns, (said["alert"]["device"], first.replace("+00:00", "Z"))
