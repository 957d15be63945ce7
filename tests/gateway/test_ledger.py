"""The ledger: written with its batch, found out when touched, cut with an anchor."""

import contextlib
import csv
import gc
import html
import io
import json
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest
from typer.testing import CliRunner

from api.commands.ledger import app as ledger_command
from api.tokens import create_token, revoke_token
from devices.alerts import Disposition, Work
from gateway.actions import AcknowledgeAlert, DisposeAlert, ShelveAlert, WorkOnAlert
from gateway.chain import NOTHING, TOLD_OTHERWISE, Finding, findings, linked
from gateway.journal import CommitError
from gateway.ledger import SEAL_ROWS, Ledger, exported, genuine, kept_head, rows, seals, signing_key
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


def wrong(shell: Shell, *told: str) -> list[Finding]:
    key = signing_key(shell.settings.data / "keys").public_key()
    db = shell.store.connect()
    return findings(rows(db), seals(db), partial(genuine, key), anchors(*told))


def anchors(*told: str) -> dict[int, bytes]:
    return {int(one.split(":")[0]): bytes.fromhex(one.split(":")[1]) for one in told}


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
    again.journal._ledger.take_up()
    again.say(GATE, "access_granted", method="card", person="res_1")
    assert wrong(again)[0] == Finding(last - 2, last, "deleted")


def test_a_seal_of_somebody_else_counts_for_nothing(shell: Shell, tmp_path: Path) -> None:
    lived(shell, 1)
    db = shell.store.connect()
    other = Ledger(db, signing_key(tmp_path / "elsewhere"))
    other._sealed = 0
    other.seal(shell.now + timedelta(days=1))
    assert "not signed" in wrong(shell)[0].what


def test_a_ledger_rewritten_without_its_seals_is_not_taken_for_whole(shell: Shell, tmp_path: Path) -> None:
    """Who has the file but not the key rewrites every row, hashes and all, and drops the seals."""
    lived(shell, 1)
    rewrite(shell.store.connect(), from_row=1)
    shell.store.connect().execute("DELETE FROM ledger_seals")
    (found,) = wrong(shell)
    assert "not sealed" in found.what
    theirs = verified(shell, tmp_path)
    assert theirs.returncode == 1
    assert "not sealed" in theirs.stderr


def test_what_others_were_told_shows_a_rewriting_with_the_key_itself(shell: Shell, tmp_path: Path) -> None:
    lived(shell, 2)
    told = [anchor for (anchor,) in shell.rows("SELECT ledger FROM alert_changes ORDER BY seq")]
    assert wrong(shell, *told) == []
    row = int(told[-1].split(":")[0])
    rewrite(shell.store.connect(), from_row=row - 2)
    shell.store.connect().execute("DELETE FROM ledger_seals")
    forger = Ledger(shell.store.connect(), signing_key(shell.settings.data / "keys"))
    forger.seal(shell.now)
    assert wrong(shell) == []
    assert Finding(row, row, TOLD_OTHERWISE) in wrong(shell, *told)
    theirs = verified(shell, tmp_path, "--anchor", *told)
    assert theirs.returncode == 1
    assert f"row {row} is not the one you were told of" in theirs.stderr


def test_what_others_were_told_shows_a_database_set_back_to_a_backup(shell: Shell, tmp_path: Path) -> None:
    lived(shell, 1)
    backup = sqlite3.connect(tmp_path / "backup.db")
    shell.store.connect().backup(backup)
    lived(shell, 1)
    (told,) = shell.rows("SELECT ledger FROM alert_changes ORDER BY seq DESC LIMIT 1")[0]
    genuine_here = partial(genuine, signing_key(shell.settings.data / "keys").public_key())
    assert findings(rows(backup), seals(backup), genuine_here) == []
    (found,) = findings(rows(backup), seals(backup), genuine_here, anchors(told))
    assert found.what == "deleted from the end"
    backup.close()


def rewrite(db: sqlite3.Connection, *, from_row: int) -> None:
    """Every access decision from there on becomes another one, and the chain is made anew."""
    before = db.execute("SELECT hash FROM ledger WHERE seq=?", (from_row - 1,)).fetchone()
    last = before[0] if before else NOTHING
    for row in [row for row in rows(db) if row.seq >= from_row]:
        body = row.body.replace(b"denied", b"granted") + b" "
        last = linked(last, row.seq, row.at, row.kind, body)
        db.execute("UPDATE ledger SET body=?, hash=? WHERE seq=?", (body, last, row.seq))


def test_what_is_done_to_tokens_subscriptions_and_consents_has_its_row(shell: Shell) -> None:
    token, _ = create_token(shell.store, name="张三", scopes=["alerts:read"], now=shell.now)
    revoke_token(shell.store, token.id, shell.now)
    with shell.store.write() as db:
        db.execute(
            "INSERT INTO subscriptions(id, url, secret, types, max_severity, communities, cursor, created_at, disabled)"
            " VALUES ('sub_1', 'https://grid.example/s3cret', x'00', '[]', 3, '[]', 0, 0, '')"
        )
        db.execute("UPDATE subscriptions SET cursor=7")
        db.execute("UPDATE subscriptions SET clear_text=1")
        db.execute("UPDATE subscriptions SET old_secret=secret, secret=x'01'")
        db.execute("UPDATE subscriptions SET disabled='410 Gone'")
        db.execute("UPDATE subscriptions SET disabled=''")
        db.execute("DELETE FROM subscriptions")
        db.execute("INSERT INTO consents VALUES ('con_1', 'res_1', 'c1', 0, 1, '张三', NULL, NULL, 0)")
        db.execute("UPDATE consents SET withdrawn_at=5, receipt='r' WHERE id='con_1'")
    shell.say(GATE, "access_granted", method="card", person="res_9")
    said = [(row.kind, json.loads(row.body)) for row in rows(shell.store.connect())]
    done = [(kind, body["change"]) for kind, body in said if kind in ("token", "subscription", "consent")]
    assert done == [
        ("token", "added"),
        ("token", "changed"),
        ("subscription", "added"),
        ("subscription", "changed"),
        ("subscription", "secret_rotated"),
        ("subscription", "disabled"),
        ("subscription", "resumed"),
        ("subscription", "removed"),
        ("consent", "given"),
        ("consent", "ended"),
    ]
    assert [body["scopes"] for kind, body in said if kind == "token"] == [["alerts:read"]] * 2
    assert [body["clear_text"] for _, body in said if "clear_text" in body] == [0, 1]
    text = json.dumps(said, ensure_ascii=False)
    assert not any(personal in text for personal in ("张三", "res_1", "s3cret"))
    assert shell.rows("SELECT * FROM ledger_notes") == []
    assert wrong(shell) == []


def test_what_retention_dropped_has_its_row(shell: Shell) -> None:
    lived(shell)
    shell.journal._retention = Retention(events_days=1, alerts_days=1)
    while shell.journal.prune(shell.now):
        pass
    (dropped,) = [json.loads(row.body) for row in rows(shell.store.connect()) if row.kind == "retention"]
    assert dropped["events"] > 0
    assert dropped["alert_changes"] > 0
    assert wrong(shell) == []


def test_a_database_set_back_to_a_backup_says_so_itself(tmp_path: Path) -> None:
    live, backup = tmp_path / "live", tmp_path / "backup.db"
    shell = Shell(live)
    lived(shell, 1)
    shell.close()
    with contextlib.closing(sqlite3.connect(live / "linli.db")) as db:
        db.execute("VACUUM INTO ?", (str(backup),))
        kept = db.execute("SELECT max(seq) FROM ledger").fetchone()[0]
    again = Shell(live, now=shell.now)
    lived(again, 1)
    again.close()
    del shell, again
    gc.collect()  # every connection is closed, so that the file can be replaced
    for file in live.glob("linli.db*"):
        file.unlink()
    shutil.copy(backup, live / "linli.db")

    found = CliRunner().invoke(ledger_command, ["verify", "--data", str(live)])
    assert found.exit_code == 1
    assert json.loads(found.stdout.splitlines()[-1])["wrong"] == 1
    for _ in range(2):  # said once
        then = Shell(live)
        restored = [json.loads(row.body) for row in rows(then.store.connect()) if row.kind == "restored"]
        assert [one["set_back_to"] for one in restored] == [kept]
        then.close()


@pytest.mark.parametrize("torn", ["", "48", "48:", "48:ab", "\x00" * 20, "x" * 80])
def test_a_head_torn_by_a_power_cut_accuses_nobody(tmp_path: Path, torn: str) -> None:
    shell = Shell(tmp_path)
    lived(shell, 1)
    shell.close()
    (tmp_path / "keys" / "ledger.head").write_text(torn, encoding="ascii")
    again = Shell(tmp_path, now=shell.now)
    assert "restored" not in kinds(again)
    assert kept_head(tmp_path / "keys") in ("", again.journal._ledger.sealed_head)
    again.close()
    assert kept_head(tmp_path / "keys")


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
    assert as_csv(found).startswith("\ufeffquarter,company"), "else a spreadsheet reads UTF-8 as GBK"
    page = as_page(found)
    assert "1.0000 (3/3)" in page
    assert "<script src" not in page
    assert "@media print" in page


@pytest.mark.parametrize("name", ["=1+1", "+86", "-1", "@SUM(A1)", "＝1+1", "＠x", " =1+1", "\t=1", "\r=1", "\n=1"])
def test_a_company_named_like_a_formula_is_a_name_in_the_table(shell: Shell, name: str) -> None:
    lived(shell, 1)
    found = json.loads(as_json(reported(shell)).replace('"company": "c1"', f'"company": {json.dumps(name)}'))
    cells = [line[1] for line in csv.reader(io.StringIO(as_csv(found)[1:], newline=""))][1:]
    assert set(cells) == {"'" + name}
    assert f"<h2>{html.escape(name)}</h2>" in as_page(found)
