"""The ledger: written with its batch, found out when touched, cut with an anchor."""

import json
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest

from devices.alerts import Disposition, Work
from gateway.actions import AcknowledgeAlert, DisposeAlert, ShelveAlert, WorkOnAlert
from gateway.chain import Finding, findings
from gateway.journal import CommitError
from gateway.ledger import SEAL_ROWS, Ledger, exported, genuine, rows, seals, signing_key
from gateway.report import Said, as_json, quarter, report
from gateway.reportpage import as_csv, as_page
from gateway.schema import MIGRATIONS
from gateway.settings import Retention
from gateway.store import us
from gateway.tampering import self_test
from tests.gateway.shell import BARRIER, GATE, LAMP, START, Shell

VERIFIER = Path(__file__).resolve().parents[2] / "scripts" / "verify-ledger"
PLATE = "浙A12345"


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    made = Shell(tmp_path)
    yield made
    made.close()


def lived(shell: Shell, days: int = 3) -> None:
    """Some days of an estate: refusals, vehicles, lamps that fail, people who act on the alerts or do not."""
    for device in (GATE, BARRIER, LAMP):
        shell.say(device, "heartbeat")
    for day in range(days):
        shell.say(GATE, "access_granted", method="card", person="res_1")
        shell.say(GATE, "access_denied", method="face", reason="Unauthorized", person="res_2")
        shell.say(BARRIER, "plate_captured", plate=PLATE, confidence=0.99)
        shell.say(LAMP, "lamp_faulted", fault="lampFailure")
        shell.say(GATE, "door_alarmed", state="DoorForcedOpen")
        shell.pass_time(90)
        for alert in list(shell.hub.alerts.open):
            if alert.type == "door_forced":
                shell.ask(AcknowledgeAlert(by="desk-zhang", alert=alert.id, reason="张三 looks"))
                for work in (Work.CLAIMED, Work.ON_SITE, Work.RESOLVED):
                    shell.pass_time(60)
                    shell.ask(WorkOnAlert(by="grid", alert=alert.id, work=work, assignee="李四", reason=""))
                said = Disposition.FALSE if day % 2 else Disposition.TRUE
                shell.ask(DisposeAlert(by="desk-zhang", alert=alert.id, disposition=said, reason="seen"))
        shell.pass_time(86_000)


def wrong(shell: Shell) -> list[Finding]:
    key = signing_key(shell.settings.data / "keys").public_key()
    db = shell.store.connect()
    return findings(rows(db), seals(db), partial(genuine, key))


def kinds(shell: Shell) -> list[str]:
    return [row.kind for row in rows(shell.store.connect())]


def test_every_transition_and_decision_has_its_row(shell: Shell) -> None:
    lived(shell, 1)
    assert wrong(shell) == []
    said = [(row.kind, json.loads(row.body)) for row in rows(shell.store.connect())]
    assert [kind for kind, _ in said][:2] == ["began", "estate"]
    decisions = {body["decision"] for kind, body in said if kind == "access"}
    assert decisions == {"granted", "denied", "vehicle_refused"}
    changes = [(body["alert"], body["change"]) for kind, body in said if kind == "alert"]
    assert changes == shell.rows("SELECT alert, change FROM alert_changes ORDER BY seq")


def test_nothing_personal_stands_in_it(shell: Shell) -> None:
    lived(shell, 2)
    text = "".join(exported(shell.store.connect(), signing_key(shell.settings.data / "keys").public_key()))
    for personal in (PLATE, "res_1", "res_2", "张三", "李四", "zhang"):
        assert personal not in text


def test_a_batch_that_is_undone_leaves_no_row_and_the_chain_goes_on(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    shell.say(GATE, "access_granted", method="card", person="res_1")
    before = kinds(shell)
    shell.pass_time(5)
    real = Ledger.append

    def fails(ledger: Ledger, *given: object) -> None:
        real(ledger, *given)  # type: ignore[arg-type]
        raise sqlite3.OperationalError("disk I/O error")

    with monkeypatch.context() as patched:
        patched.setattr(Ledger, "append", fails)
        with pytest.raises(CommitError):
            shell.engine._round([shell.event(GATE, "access_granted", method="card", person="res_1")], [])
    assert kinds(shell) == before
    shell.say(GATE, "access_granted", method="card", person="res_3")
    assert len(kinds(shell)) > len(before)
    assert wrong(shell) == []


def test_every_tampering_is_found(shell: Shell) -> None:
    lived(shell)
    key = signing_key(shell.settings.data / "keys")
    assert self_test(shell.store.connect(), key, times=1000, seed=7) == {"tampered": 1000, "found": 1000}


def test_an_end_cut_off_is_found_up_to_the_last_seal_and_no_row_takes_its_place(tmp_path: Path) -> None:
    shell = Shell(tmp_path)
    lived(shell)
    shell.close()
    again = Shell(tmp_path, now=shell.now)
    last = max(seal.seq for seal in seals(again.store.connect()))
    db = again.store.connect()
    db.execute("DELETE FROM ledger WHERE seq > ?", (last - 3,))
    assert wrong(again) == [Finding(last - 2, last, "deleted from the end")]
    again.say(GATE, "access_granted", method="card", person="res_1")
    assert wrong(again)[0] == Finding(last - 2, last, "deleted")


def test_a_seal_of_somebody_else_counts_for_nothing(shell: Shell, tmp_path: Path) -> None:
    lived(shell, 1)
    db = shell.store.connect()
    db.execute("DELETE FROM ledger_seals")
    Ledger(signing_key(tmp_path / "elsewhere")).seal(db, shell.now + timedelta(days=1))
    assert "not signed" in wrong(shell)[0].what


def test_what_is_past_its_time_goes_and_the_rest_can_still_be_checked(shell: Shell) -> None:
    lived(shell)
    shell.journal._retention = Retention(ledger_days=1.5)
    before = len(kinds(shell))
    shell.journal.prune(shell.now)
    assert 3 < len(kinds(shell)) < before
    assert "estate" in kinds(shell)
    assert wrong(shell) == []
    first = next(rows(shell.store.connect())).seq
    shell.store.connect().execute("DELETE FROM ledger WHERE seq=?", (first,))
    assert wrong(shell)[0] == Finding(first, first, "deleted")


def test_it_is_sealed_every_so_many_rows(shell: Shell) -> None:
    many = [shell.event(GATE, "access_granted", record=str(n), method="card", person="res_1") for n in range(SEAL_ROWS)]
    shell.take(*many)
    assert max(seal.seq for seal in seals(shell.store.connect())) >= SEAL_ROWS


def test_a_database_from_before_begins_with_what_it_held(tmp_path: Path) -> None:
    old = sqlite3.connect(tmp_path / "linli.db")
    old.executescript(f"{MIGRATIONS[0]} PRAGMA user_version=1;")
    old.execute("INSERT INTO alert_changes VALUES (41, 'a', 'raised', 'gateway', '', 0, '{}')")
    old.commit()
    old.close()
    shell = Shell(tmp_path)
    assert json.loads(next(rows(shell.store.connect())).body) == {"alert_changes": 41, "events": 0}
    assert wrong(shell) == []


# -- the report -------------------------------------------------------------------------------------------------------


def reported(shell: Shell, name: str = "2026Q4") -> dict[str, object]:
    return report([Said(r.at, r.kind, json.loads(r.body)) for r in rows(shell.store.connect())], name)


def verified(shell: Shell, folder: Path, *more: str) -> subprocess.CompletedProcess[str]:
    key = signing_key(shell.settings.data / "keys").public_key()
    (folder / "ledger.jsonl").write_text("".join(exported(shell.store.connect(), key)), encoding="utf-8")
    command = [sys.executable, "-I", str(VERIFIER), str(folder / "ledger.jsonl"), *more]
    return subprocess.run(command, capture_output=True, text=True, check=False, encoding="utf-8")


def test_somebody_else_computes_the_same_report_to_the_byte(shell: Shell, tmp_path: Path) -> None:
    lived(shell)
    theirs = verified(shell, tmp_path, "2026Q4")
    assert theirs.returncode == 0, theirs.stderr
    assert theirs.stdout == as_json(reported(shell))
    assert len(VERIFIER.read_text(encoding="utf-8").splitlines()) <= 200


def test_the_other_verifier_finds_what_ours_finds(shell: Shell, tmp_path: Path) -> None:
    lived(shell, 1)
    shell.store.connect().execute("UPDATE ledger SET body=replace(body, 'granted', 'denied') WHERE kind='access'")
    theirs = verified(shell, tmp_path, "2026Q4")
    assert theirs.returncode == 1
    assert theirs.stdout == ""
    assert f"row {wrong(shell)[0].last} " in theirs.stderr


def test_the_figures_are_those_of_what_happened(shell: Shell) -> None:
    lived(shell)
    (company,) = reported(shell)["companies"]  # type: ignore[misc]
    crime = company["six_zero"]["零发案"]
    assert company["company"] == "c1"
    assert company["devices"] == 3
    assert crime["response"]["acknowledged"] == {"of": 3, "p50_ms": 90_000, "p90_ms": 90_000, "p99_ms": 90_000}
    assert crime["response"]["resolved"]["p50_ms"] == 270_000
    assert crime["false_alarms"] == {"count": 1, "of": 3, "share": "0.3333"}
    assert crime["closed"] == {"count": 3, "of": 3, "share": "1.0000"}
    assert crime["unowned_minutes"] == 4


def test_an_alert_that_rests_is_nobodys_fault(shell: Shell) -> None:
    shell.say(LAMP, "heartbeat")
    shell.say(LAMP, "lamp_faulted", fault="lampFailure")
    (alert,) = shell.hub.alerts.open
    shell.pass_time(600)
    until = shell.now + timedelta(hours=2)
    shell.ask(ShelveAlert(by="desk", alert=alert.id, until=until, reason="the battery is ordered"))
    shell.pass_time(3600)
    shell.ask(AcknowledgeAlert(by="desk", alert=alert.id, reason="seen"))
    (company,) = reported(shell)["companies"]  # type: ignore[misc]
    assert company["all"]["unowned_minutes"] == 10


def test_a_quarter_is_one_of_the_estates_own_time() -> None:
    first, end = quarter("2026Q4", "Asia/Shanghai")
    assert end - first == 92 * 86_400 * 1_000_000
    assert us(START) > first
    with pytest.raises(ValueError, match="2026Q4"):
        quarter("2026-4", "Asia/Shanghai")


def test_the_table_and_the_page_say_the_same(shell: Shell) -> None:
    lived(shell)
    found = reported(shell)
    assert "2026Q4,c1,零发案,closed,1.0000,3,3\r\n" in as_csv(found)
    page = as_page(found)
    assert "1.0000 (3/3)" in page
    assert "<script src" not in page
    assert "@media print" in page
