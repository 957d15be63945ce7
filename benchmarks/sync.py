"""`bench sync`: a district given to a running gateway over HTTP, in pages; the same again; one grid drawn anew; against
the same rows in one bare SQLite transaction on the same disk.
"""

from __future__ import annotations

import sqlite3
import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import Any

from benchmarks import ground
from simulators.client import Client
from simulators.gateway_process import GatewayProcess

PAGE = 5_000
COMMUNITIES, GRIDS, BUILDINGS, UNITS, WORKERS, CARS = 400, 886, 8_860, 26_580, 1_212, 20_000

Items = list[dict[str, Any]]


def run() -> dict[str, Any]:
    """Seconds by section and step; `ratio`: the first snapshot of places to the bare transaction."""
    sections: dict[str, Items] = {"places": _places(), "staff": _staff(), "vehicles": _cars()}
    with tempfile.TemporaryDirectory(prefix="linli-bench-") as name:
        gateway = GatewayProcess(Path(name) / "gateway")
        gateway.start()
        try:
            gateway.await_ready()
            client = Client(gateway.url, gateway.token("bench", "backend"), timeout_s=120)
            figures = {section: _measured(client, section, items) for section, items in sections.items()}
        finally:
            gateway.stop()
        bare_s = _bare(Path(name) / "bare.db", sections["places"])
    ratio = round(figures["places"]["first_s"] / bare_s, 1)
    return {"name": "sync", "sections": figures, "bare_places_s": round(bare_s, 3), "ratio": ratio}


def _measured(client: Client, section: str, items: Items) -> dict[str, Any]:
    ground.say(f"{len(items)} {section}")
    first, added = _given(client, section, 1, items)
    again, _ = _given(client, section, 1, items)
    same, unchanged = _given(client, section, 2, items)
    renamed = [items[-1] | ({"name": "other"} if section != "vehicles" else {"note": "other"})]
    began = time.perf_counter()
    changed = client.sync(section, {"revision": 3, "base": 2, "items": renamed})["changed"]
    delta = time.perf_counter() - began
    right = len(added["added"]) == len(items) == unchanged["unchanged"] and len(changed) == 1
    return {
        "entries": len(items),
        "first_s": round(first, 2),
        "replayed_s": round(again, 2),
        "unchanged_s": round(same, 2),
        "one_changed_s": round(delta, 3),
        "right": right,
    }


def _given(client: Client, section: str, revision: int, items: Items) -> tuple[float, dict[str, Any]]:
    pages = [items[n : n + PAGE] for n in range(0, len(items), PAGE)]
    began = time.perf_counter()
    answer: dict[str, Any] = {}
    for number, page in enumerate(pages, 1):
        body = {"revision": revision, "page": number, "pages": len(pages), "items": page}
        answer = client.sync(section, body)
    return time.perf_counter() - began, answer


def _bare(path: Path, items: Items) -> float:
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.executescript(
            "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; CREATE TABLE p(id TEXT PRIMARY KEY, k, n, p);"
        )
        began = time.perf_counter()
        db.execute("BEGIN")
        rows = [(item["id"], item["kind"], item["name"], item.get("parent", "")) for item in items]
        db.executemany("INSERT INTO p VALUES(?, ?, ?, ?)", rows)
        db.execute("COMMIT")
        return time.perf_counter() - began


def _places() -> Items:
    found: Items = [{"id": "d", "kind": "district", "name": "district"}]

    def add(kind: str, letter: str, count: int, parent: str, parents: int) -> None:
        found.extend(
            {"id": f"{letter}{n}", "kind": kind, "name": f"{kind} {n}", "parent": f"{parent}{n % parents}"}
            for n in range(count)
        )

    found.extend({"id": f"s{n}", "kind": "sub_district", "name": f"s {n}", "parent": "d"} for n in range(12))
    add("community", "c", COMMUNITIES, "s", 12)
    add("grid", "g", GRIDS, "c", COMMUNITIES)
    add("building", "b", BUILDINGS, "g", GRIDS)
    add("unit", "u", UNITS, "b", BUILDINGS)
    return found


def _staff() -> Items:
    return [
        {
            "id": f"w{n}",
            "name": f"worker {n}",
            "level": "grid_worker",
            "role": "grid_worker",
            "places": [f"g{n % GRIDS}"],
        }
        for n in range(WORKERS)
    ]


def _cars() -> Items:
    return [{"plate": f"粤B{n:05}", "owner": f"owner {n}"} for n in range(CARS)]
