import sqlite3

import pytest

from gateway.store import insert_many


@pytest.mark.parametrize("count", [0, 1, 2, 63, 64, 65, 200, 511])
def test_every_row_is_inserted_once_and_in_order(count: int) -> None:
    db = sqlite3.connect(":memory:")
    db.execute("CREATE TABLE t(a INTEGER PRIMARY KEY, b TEXT)")
    rows = [(n, f"row {n}") for n in range(count)]
    insert_many(db, "INSERT INTO t(a, b)", rows)
    assert db.execute("SELECT a, b FROM t ORDER BY rowid").fetchall() == rows
    insert_many(
        db, "INSERT INTO t(a, b)", [(n, "again") for n in range(count)], "ON CONFLICT(a) DO UPDATE SET b=excluded.b"
    )
    assert db.execute("SELECT count(*) FROM t WHERE b = 'again'").fetchone() == (count,)
    db.close()
