import sqlite3
import threading
from pathlib import Path

import pytest

from gateway.latest import KEPT, Latest, Row
from gateway.store import Store


def row(seq: int) -> Row:
    return {"seq": seq, "alert": f"a{seq}", "change": "raised", "actor": "g", "reason": "", "at": seq, "body": b"{}"}


def write(store: Store, first: int, last: int) -> list[Row]:
    rows = [row(seq) for seq in range(first, last + 1)]
    with store.write() as db:
        db.executemany(
            "INSERT INTO alert_changes(seq, alert, change, actor, reason, at, body) VALUES"
            " (:seq, :alert, :change, :actor, :reason, :at, :body)",
            rows,
        )
    return rows


def seqs(latest: Latest, after: int, limit: int = 10_000) -> list[int]:
    return [row["seq"] for row in latest.after(after, limit)]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "linli.db")


def test_what_was_there_before_comes_from_the_database_and_the_rest_from_memory(store: Store) -> None:
    write(store, 1, 5)
    assert seqs(store.latest, 0) == [1, 2, 3, 4, 5]
    store.latest.add(write(store, 6, 9))
    assert seqs(store.latest, 0) == list(range(1, 10))
    assert seqs(store.latest, 3, 2) == [4, 5]
    with store.write() as db:
        db.execute("DELETE FROM alert_changes WHERE seq > 5")  # so that only memory can know them
    assert seqs(store.latest, 5) == [6, 7, 8, 9]
    assert seqs(store.latest, 7, 1) == [8]
    assert seqs(store.latest, 9) == []
    assert seqs(store.latest, 12) == []
    store.close()


def test_who_is_far_behind_is_led_on_without_a_gap(store: Store) -> None:
    store.latest.add(write(store, 1, KEPT + 500))
    seen: list[int] = []
    while page := seqs(store.latest, seen[-1] if seen else 0, 200):
        seen += page
    assert seen == list(range(1, KEPT + 501))
    store.close()


def test_readers_see_every_row_once_while_rows_are_added(store: Store) -> None:
    last = 3000
    held: list[list[int]] = [[] for _ in range(4)]

    def follow(seen: list[int]) -> None:
        while not seen or seen[-1] < last:
            seen += seqs(store.latest, seen[-1] if seen else 0, 50)

    readers = [threading.Thread(target=follow, args=(seen,)) for seen in held]
    for reader in readers:
        reader.start()
    for first in range(1, last, 20):
        store.latest.add(write(store, first, first + 19))
    for reader in readers:
        reader.join(60)
    assert held == [list(range(1, last + 1))] * 4
    store.close()


def test_a_database_that_cannot_be_read_is_an_error_and_not_an_end(store: Store) -> None:
    with sqlite3.connect(store.path) as db:
        db.execute("DROP TABLE alert_changes")
    db.close()
    with pytest.raises(sqlite3.Error):
        store.latest.after(0, 1)
    store.close()
