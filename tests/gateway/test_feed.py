"""The feed as a chain: written with its batch, cut by retention, and what a reader can tell from it."""

from __future__ import annotations

import hashlib
import re
import shutil
import textwrap
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway import feed
from gateway.settings import Retention
from tests.api.conftest import Estate, address, call, estate  # noqa: F401 - fixtures
from tests.gateway.shell import Shell
from tests.gateway.test_ledger import lived

DOC = Path(__file__).resolve().parents[2] / "docs" / "backend.md"
Call = Callable[..., httpx.Response]


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    made = Shell(tmp_path)
    yield made
    made.close()


def proved(items: list[dict[str, Any]], before: str = "") -> bool:
    """Nothing is missing, doubled, moved or changed among them: as docs/backend.md says how to tell."""
    snippet = re.search(r"```python\n(.*?)```", DOC.read_text(encoding="utf-8"), re.DOTALL)
    assert snippet
    given: dict[str, Any] = {"hashlib": hashlib}
    exec(textwrap.dedent("  " + snippet[1].lstrip()), given)
    found: bool = given["proved"](items, before)
    return found


def page(call: Call, estate: Estate, after: int = 0, **more: Any) -> httpx.Response:  # noqa: F811
    return call("GET", "/v1/alerts/changes", estate.token("alerts:read"), params={"after": after, **more})


def test_a_reader_can_prove_that_nothing_is_missing(call: Call, estate: Estate) -> None:  # noqa: F811
    estate.raise_alerts(5, "battery_low", first=0)
    estate.clear_alert("battery_low")
    estate.raise_alert("door_forced")
    items = page(call, estate).json()["items"]
    assert proved(items)
    for n in range(1, len(items)):
        assert not proved(items[:n] + items[n + 1 :]) or n == len(items) - 1, "a gap"
    assert not proved([*items[:2], items[3], items[2], *items[4:]]), "another order"
    items[1]["alert"]["severity"] = 1
    assert not proved(items), "another content"


def test_a_reader_that_comes_back_goes_on_with_what_it_has_kept(call: Call, estate: Estate) -> None:  # noqa: F811
    estate.raise_alerts(3, "battery_low", first=0)
    kept = page(call, estate).json()["items"][-1]
    estate.raise_alerts(300, "battery_low", first=3)
    found, after, known = [], kept["seq"], kept["hash"]
    while items := page(call, estate, after, hash=known, limit=100).json()["items"]:
        found += items
        after, known = items[-1]["seq"], items[-1]["hash"]
    assert proved(found, kept["hash"])
    assert len(found) >= 300


def test_a_webhook_carries_the_same_link_of_the_chain(shell: Shell) -> None:
    lived(shell, 1)
    for row in shell.store.reader.execute("SELECT * FROM alert_changes"):
        ledger, number = row["ledger"].split(":")[1], int(row["ledger"].split(":")[0])
        held = shell.store.reader.execute("SELECT hash FROM ledger WHERE seq=?", (number,)).fetchone()
        assert held["hash"].hex() == ledger


@pytest.mark.parametrize("way", ["/v1/alerts/changes?after=9", "/v1/stream?after=9"])
def test_a_number_that_is_not_there_yet_is_refused(way: str, call: Call, estate: Estate) -> None:  # noqa: F811
    estate.raise_alerts(3, "battery_low", first=0)
    answer = call("GET", way, estate.token("alerts:read"))
    assert answer.status_code == 409
    assert answer.json()["newest"] == 3
    assert "backup" in answer.json()["detail"]


@pytest.mark.parametrize("way", ["/v1/alerts/changes?after=2&hash=", "/v1/stream?after=2&hash="])
def test_a_gateway_set_back_to_a_backup_is_found_out_by_who_kept_a_hash(
    way: str,
    call: Call,  # noqa: F811
    estate: Estate,  # noqa: F811
    tmp_path: Path,
) -> None:
    estate.raise_alert("door_forced")
    estate.store.reader.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    shutil.copy(estate.settings.database, tmp_path / "backup.db")
    estate.raise_alert("battery_low")
    kept = page(call, estate).json()["items"]
    shutil.copytree(estate.settings.data / "keys", tmp_path / "then" / "keys")
    shutil.copy(tmp_path / "backup.db", tmp_path / "then" / "linli.db")
    then = Estate(tmp_path / "then")  # the same gateway, set back; its numbers are given anew
    then.directory.put_device(estate.directory.devices()[0])
    then.raise_alert("battery_low", instance="2")
    with pytest.raises(feed.BrokenError, match="change 2 is not the one you know"):
        feed.check(then.store.reader, 2, kept[-1]["hash"])
    then.close()
    assert call("GET", way + "0" * 64, estate.token("alerts:read")).status_code == 409


def test_what_retention_dropped_is_said_and_not_left_out_silently(shell: Shell) -> None:
    lived(shell, 4)
    shell.journal._retention = Retention(alerts_days=1.5)
    shell.journal.prune(shell.now)
    db = shell.store.reader
    held = feed.bounds(db)
    left = [seq for (seq,) in shell.rows("SELECT seq FROM alert_changes ORDER BY seq")]
    assert 0 < held.forgotten < held.newest
    after_the_holes = [seq for seq in left if seq > held.forgotten]
    assert after_the_holes == list(range(held.forgotten + 1, held.newest + 1))
    with pytest.raises(feed.BrokenError, match="retention") as told:
        feed.check(db, held.forgotten - 1)
    assert told.value.gone
    assert feed.check(db, held.forgotten) == feed.check(db, 0) == held


def test_the_chain_goes_on_when_everything_before_is_past_its_time(shell: Shell) -> None:
    lived(shell, 1)
    last = feed.bounds(shell.store.reader).newest
    shell.journal._retention = Retention(alerts_days=1.0)
    shell.now += timedelta(days=30)
    for alert in shell.hub.alerts.open:
        shell.store.connect().execute("UPDATE alerts SET open=0 WHERE id=?", (alert.id,))
    shell.journal.prune(shell.now)
    assert shell.rows("SELECT seq FROM alert_changes") == [(last,)]


def test_a_change_edited_or_deleted_in_the_database_is_named(shell: Shell) -> None:
    lived(shell, 2)
    db = shell.store.connect()
    assert feed.edited(db) == []
    db.execute("BEGIN")
    db.execute("UPDATE alert_changes SET body=json_set(body, '$.severity', 3) WHERE seq=4")
    assert feed.edited(db) == [4]
    db.execute("ROLLBACK")
    db.execute("BEGIN")
    db.execute("DELETE FROM alert_changes WHERE seq IN (5, 6)")
    assert feed.edited(db) == [5, 6]
    db.execute("ROLLBACK")
    shell.journal._retention = Retention(alerts_days=1.0)
    shell.journal.prune(shell.now)
    assert feed.bounds(db).forgotten > 0
    assert feed.edited(db) == [], "what retention dropped is not missing"
